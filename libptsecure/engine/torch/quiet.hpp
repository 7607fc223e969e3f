#pragma once

#include <c10/util/Exception.h>

namespace ptsecure::torch_plugin {

// While it lives, warnings of libtorch on this thread are dropped instead of printed on the host's
// standard error.
class QuietScope {
 public:
  QuietScope() : guard_(&handler()) {}

 private:
  class Silent final : public c10::WarningHandler {
   public:
    void process(const c10::Warning&) override {}
  };
  static Silent& handler() {
    static Silent instance;
    return instance;
  }

  const c10::WarningUtils::WarningHandlerGuard guard_;
};

}  // namespace ptsecure::torch_plugin
