#include "libptsecure/engine/torch/errors.hpp"

#include <c10/util/Exception.h>
#include <torch/csrc/jit/runtime/jit_exception.h>

#include <new>
#include <string_view>

#include "libptsecure/base/error.hpp"

namespace ptsecure::torch_plugin {
namespace {

bool is_allocation_failure(std::string_view what) {
  return what.find("DefaultCPUAllocator: can't allocate memory") != std::string_view::npos ||
         what.find("DefaultCPUAllocator: not enough memory") != std::string_view::npos ||
         what.find("CUDA out of memory") != std::string_view::npos;
}

[[noreturn]] void throw_failure(const std::string& where, const std::string& what) {
  if (is_allocation_failure(what)) {
    throw Error(Status::out_of_memory, where + ": not enough memory: " + last_line(what));
  }
  throw Error(Status::engine, where + ": " + last_line(what));
}

}  // namespace

std::string last_line(const std::string& what) {
  std::string_view text(what);
  // Frames follow "Exception raised from"; the interpreter puts its traceback before the message.
  text = text.substr(0, text.find("\nException raised from "));
  constexpr std::string_view kMark = "\nRuntimeError: ";
  if (const auto mark = text.rfind(kMark); mark != std::string_view::npos) {
    text.remove_prefix(mark + kMark.size());
    text = text.substr(0, text.find('\n'));
  } else {
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
    if (const auto line = text.rfind('\n'); line != std::string_view::npos) {
      text.remove_prefix(line + 1);
    }
  }
  constexpr std::string_view kBuiltins = "builtins.";
  if (text.starts_with(kBuiltins)) text.remove_prefix(kBuiltins.size());
  return std::string(text);
}

void rethrow_as_error(const std::string& where) {
  try {
    throw;
  } catch (const Error&) {
    throw;
  } catch (const torch::jit::JITException& e) {
    throw_failure(where, e.what());
  } catch (const c10::OutOfMemoryError& e) {
    throw Error(Status::out_of_memory,
                where + ": not enough memory: " + last_line(e.what_without_backtrace()));
  } catch (const c10::Error& e) {
    throw_failure(where, e.what_without_backtrace());
  } catch (const std::bad_alloc&) {
    throw Error(Status::out_of_memory, where + ": not enough memory");
  } catch (const std::exception& e) {
    throw_failure(where, e.what());
  } catch (...) {
    throw Error(Status::engine, where + ": an unknown error");
  }
}

}  // namespace ptsecure::torch_plugin
