#include "source.hpp"

#include <cstddef>
#include <utility>

namespace binding {
namespace {

void read_part(const py::object& read, std::uint64_t position, void* data, std::size_t size) {
  const py::gil_scoped_acquire locked;
  auto view = py::memoryview::from_memory(data, static_cast<py::ssize_t>(size));
  const auto end = [&] { view.attr("release")(); };
  try {
    read(position, view);
  } catch (...) {
    end();
    throw;
  }
  end();
}

}  // namespace

// Without the GIL: there may be a connection to close.
Source::~Source() {
  unlocked([&] { source_.reset(); });
}

void Source::add_file(const std::string& file) {
  unlocked([&] { source_->add_file({}, file); });
}

void Source::add_bytes(const py::buffer& data) {
  const py::buffer_info& view = views_.emplace_back(data.request());
  source_->add_bytes({}, view.ptr, contiguous_size(view, "the model's bytes"));
}

void Source::add_gridfs(const pts::GridfsFile& file) {
  source_->add_gridfs({}, file);
}

void Source::add_reader(std::uint64_t size, const py::object& read) {
  const py::object& kept = *readers_.emplace_back(std::make_unique<py::object>(read));
  source_->add_callback({}, size, [&kept](std::uint64_t position, void* data, std::size_t count) {
    read_part(kept, position, data, count);
  });
}

void add_source(py::module_& module) {
  py::class_<Source, std::shared_ptr<Source>>(module, "Source")
      .def(py::init<>())
      .def("add_file", &Source::add_file)
      .def("add_bytes", &Source::add_bytes)
      .def(
          "add_gridfs",
          [](Source& self, std::string uri, std::string bucket, std::string filename,
             std::string id) {
            self.add_gridfs(
                {std::move(uri), std::move(bucket), std::move(filename), std::move(id)});
          },
          py::kw_only(), py::arg("uri"), py::arg("bucket"), py::arg("filename"), py::arg("id"))
      .def("add_reader", &Source::add_reader);
}

}  // namespace binding
