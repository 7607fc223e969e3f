#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "binding.hpp"
#include "long_call.hpp"

namespace binding {

inline std::chrono::milliseconds milliseconds(double seconds) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
}

class Store {
 public:
  explicit Store(pts::Store&& store) : handle_(std::move(store)) {}
  std::shared_ptr<pts::Store> get() const { return handle_.get(); }
  bool closed() const noexcept { return handle_.closed(); }
  void close() noexcept { handle_.close(); }

 private:
  Closable<pts::Store> handle_;
};

// `body(store, call)` as a long call.
template <typename Body>
auto on_store(const Store& self, const Deadline& limit, Body&& body) {
  const std::shared_ptr<pts::Store> store = self.get();
  return run_long(limit, py::none(), [&](const pts::Call& call) { return body(*store, call); });
}

// Every finding, then the status and text of the first bad one (PTS_OK: there was none).
using Finding = std::tuple<std::string, pts_status, std::string>;
using Findings = std::tuple<std::vector<Finding>, pts_status, std::string>;

// What `verify(check)` finds; `check` notes a finding.
template <typename Verify>
Findings findings_of(Verify&& verify) {
  std::vector<Finding> findings;
  const auto note = [&](const char* check, pts_status status, const char* detail) {
    findings.emplace_back(check, status, detail);
  };
  try {
    verify(note);
  } catch (const pts::Error& error) {
    return {std::move(findings), error.status(), error.what()};
  }
  return {std::move(findings), PTS_OK, ""};
}

}  // namespace binding
