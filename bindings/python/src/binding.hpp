#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <memory>
#include <ptsecure/ptsecure.hpp>
#include <string>
#include <utility>

// The raw layer: what ptsecure/ (the Python files) is made of. One function a noun adds it to the
// module.
namespace binding {

namespace py = pybind11;

void add_apikey(py::module_& module);
void add_deadline(py::module_& module);
void add_errors(py::module_& module);
void add_history(py::module_& module);
void add_keyring(py::module_& module);
void add_model(py::module_& module);
void add_publish(py::module_& module);
void add_source(py::module_& module);
void add_store(py::module_& module);

// Sets the Python exception of a status; the GIL is held.
[[noreturn]] void raise(pts_status status, const std::string& message);

// A handle that can be closed while other threads are inside calls on it: those keep it alive.
// Handles are destroyed without the GIL, because the library may wait for its own threads, which
// may want to log or to release a buffer.
template <typename T>
class Closable {
 public:
  explicit Closable(T&& object) : held_(std::make_shared<T>(std::move(object))) {}
  Closable(Closable&&) noexcept = default;
  Closable& operator=(Closable&&) = delete;
  ~Closable() { close(); }

  std::shared_ptr<T> get() const {
    if (!held_) raise(PTS_CLOSED, "this object is closed");
    return held_;
  }
  bool closed() const noexcept { return held_ == nullptr; }
  void close() noexcept {
    if (!held_) return;
    std::shared_ptr<T> last = std::move(held_);
    const py::gil_scoped_release unlocked;
    last.reset();
  }

 private:
  std::shared_ptr<T> held_;
};

// Bytes of a Python buffer; throws InvalidArgumentError for `what` that doesn't lie together.
std::size_t contiguous_size(const py::buffer_info& view, const std::string& what);

// Runs `call` without the GIL. What it used is let go there too.
template <typename Call>
auto unlocked(Call&& call) {
  const py::gil_scoped_release guard;
  return std::forward<Call>(call)();
}

}  // namespace binding
