#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "binding.hpp"

namespace binding {

// Parts to publish or import, and the Python objects that they are read from.
class Source {
 public:
  Source() = default;
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  ~Source();

  void add_file(const std::string& file);
  void add_bytes(const py::buffer& data);
  void add_gridfs(const pts::GridfsFile& file);
  // `read(position, into)` fills a memoryview that is only good during the call.
  void add_reader(std::uint64_t size, const py::object& read);

  pts::Source& get() const noexcept { return *source_; }

 private:
  std::vector<py::buffer_info> views_;  // keep the bytes from being resized or freed
  std::vector<std::unique_ptr<py::object>> readers_;
  std::unique_ptr<pts::Source> source_ = std::make_unique<pts::Source>();
};

}  // namespace binding
