#include "libptsecure/package/source.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

namespace ptsecure {
namespace {

constexpr std::size_t kMaxPath = 4096;

bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

bool is_path(std::string_view path) {
  if (path.size() > kMaxPath || std::any_of(path.begin(), path.end(), is_control)) return false;
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view folder = path.substr(begin, end - begin);
    if (folder.empty() || folder == "." || folder == "..") return false;
    begin = end + 1;
  }
  return true;
}

class GridfsInput final : public PlainInput {
 public:
  explicit GridfsInput(GridfsName name) : name_(std::move(name)) {}

  void begin(const CancelToken& cancel) override {
    file_.reset();
    cancel_ = cancel;
  }
  std::uint64_t size() const override { return file().size(); }
  void read(std::uint64_t pos, void* dst, std::size_t n) override { file().read(pos, dst, n); }
  bool concurrent() const override { return false; }
  void check_unchanged() override {}
  bool others_may_write() const override { return true; }

 private:
  // Opened when it is needed, so that a call that is wrong in itself asks no server.
  GridfsFile& file() const {
    if (!file_) file_ = open_gridfs_file(name_, StoreOptions{}, cancel_);
    return *file_;
  }

  GridfsName name_;
  CancelToken cancel_;
  mutable std::unique_ptr<GridfsFile> file_;
};

}  // namespace

std::unique_ptr<PlainInput> gridfs_input(GridfsName name) {
  if (name.filename.empty() == name.id.empty()) {
    throw Error(Status::invalid_argument,
                "a file in GridFS is named by its filename or by its id: give one of them");
  }
  return std::make_unique<GridfsInput>(std::move(name));
}

void Source::add(std::optional<std::string> path, std::unique_ptr<PlainInput> input) {
  if (path && !is_path(*path)) {
    throw Error(Status::invalid_argument,
                "the path of a part is relative, with '/' between its folders, without empty, '.' "
                "and '..' ones or control characters, and of at most 4096 bytes");
  }
  for (const Part& part : parts_) {
    if (part.path.has_value() != path.has_value()) {
      throw Error(Status::invalid_argument,
                  "a part without a path is the only one of its source: give each of several a "
                  "path");
    }
    if (part.path == path) {
      throw Error(Status::already_exists,
                  path ? "the source has a part '" + *path + "' already"
                       : std::string("the source has its part, which has no path, already"));
    }
  }
  parts_.push_back({std::move(path), std::move(input)});
}

PlainInput& Source::only(const CancelToken& cancel) const {
  if (parts_.empty()) {
    throw Error(Status::invalid_argument, "the source has no part: add what it is to consist of");
  }
  if (parts_.size() > 1) {
    throw Error(Status::unsupported, "the source has " + std::to_string(parts_.size()) +
                                         " parts, where one is taken: no format that this library "
                                         "knows is made of several");
  }
  PlainInput& input = *parts_.front().input;
  input.begin(cancel);
  return input;
}

}  // namespace ptsecure
