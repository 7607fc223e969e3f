#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "libptsecure/base/cancel.hpp"
#include "libptsecure/package/payload.hpp"
#include "libptsecure/store/gridfs.hpp"

namespace ptsecure {

// A file in GridFS; each use opens it anew, when it first needs it. Throws
// Status::invalid_argument unless it is named by one of filename and id.
std::unique_ptr<PlainInput> gridfs_input(GridfsName name);

// What is published or imported: parts, each with a path inside of it. Not thread-safe.
class Source {
 public:
  // `path`: UTF-8, relative, '/' between folders; none = the only part. Throws
  // Status::invalid_argument for any other, Status::already_exists for one that is taken.
  void add(std::optional<std::string> path, std::unique_ptr<PlainInput> input);
  // Begins a use of the only part. Throws Status::invalid_argument when there is none,
  // Status::unsupported when there are several.
  PlainInput& only(const CancelToken& cancel) const;

 private:
  struct Part {
    std::optional<std::string> path;
    std::unique_ptr<PlainInput> input;
  };
  std::vector<Part> parts_;
};

}  // namespace ptsecure
