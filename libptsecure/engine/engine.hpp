#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "libptsecure/base/error.hpp"
#include "libptsecure/engine/byte_source.hpp"
#include "libptsecure/value/spec.hpp"
#include "libptsecure/value/value.hpp"

// The interface between the core and an engine plug-in. Header-only: a plug-in links nothing of the
// core. Both sides are built from the same headers by the same compiler; the build id proves it.
namespace ptsecure {

// What is done to a program after it is loaded, for faster runs: nothing; its weights become
// constants and it is simplified; and it is fused and laid out for the machine.
enum class Optimize : std::int32_t { none = 0, freeze = 1, inference = 2 };

struct EngineLoadOptions {
  std::string format;        // "torchscript" or "aotinductor"
  Device device;             // where the weights go; Status::unsupported when it isn't there
  int intra_op_threads = 0;  // threads one run may use; 0 = the engine's own default
  Optimize optimize = Optimize::none;  // nothing is done to a program that is compiled already
  bool inspect_only = false;  // only describe(): weights may stay unread, infer() may be refused
  // Weights to use instead of those that lie beside the program (a state_dict: safetensors, or a
  // torch.save of one); finished together with the source. Null = the program's own. Formats whose
  // programs don't take others: Status::unsupported.
  ByteSource* weights = nullptr;
  // Unless empty, called before anything of the model's own runs (its library's initialisers, what
  // it does to restore its state, its own operations on constants), maybe several times. What it
  // throws is what finish() throws.
  std::function<void()> before_code;
};

struct ModelDescription {
  std::vector<MethodSpec> methods;  // "forward" first when there is one
  bool stateful = false;            // running it changes its own buffers or attributes
  std::uint64_t weight_bytes = 0;   // bytes of its parameters and buffers
};

// One loaded model. infer() may be called from many threads; calls on a stateful model are
// serialised on its handle.
class EngineModel {
 public:
  virtual ~EngineModel() = default;

  virtual const ModelDescription& description() const = 0;

  // Runs a method with positional arguments (as many as the method's schema takes; missing trailing
  // optional ones get their defaults). Throws Error(Status::invalid_input) for arguments of the
  // wrong kind, Error(Status::engine) when the model itself fails; the message is the model's own
  // last line, without the interpreter's traceback of its source.
  virtual Value infer(const std::string& method, std::span<const Value> arguments) = 0;

  // A handle that shares the parameters and owns copies of the buffers and other state as they are
  // now.
  virtual std::unique_ptr<EngineModel> fork() const = 0;

  // Puts other weights under the same program and finishes the source: a state_dict as in
  // EngineLoadOptions::weights, or, when `package`, the file that the program itself is in. Runs
  // under way end with the old weights; later ones, on this handle and on those that share its
  // weights, use the new ones. State starts anew. On failure nothing has changed. Throws
  // Error(Status::unsupported) where the engine can't.
  virtual void replace_weights(ByteSource& source, bool package) = 0;
};

// A model that is being loaded. Used by one thread at a time. Destroying one that isn't finished
// discards what the source was asked for.
class EngineLoad {
 public:
  virtual ~EngineLoad() = default;
  // At most once. Calls the source's finish() before it returns (unless inspect_only).
  virtual std::unique_ptr<EngineModel> finish() = 0;
};

class Engine {
 public:
  virtual ~Engine() = default;
  // e.g. "libtorch 2.15.0"
  virtual std::string version() const = 0;
  virtual std::vector<std::string> formats() const = 0;
  virtual bool device_available(Device device) const = 0;
  // Which of the formats the bytes seem to be; loading is what tells for sure.
  virtual std::string detect_format(ByteSource& source) = 0;
  // What the engine does once in a process for its first model of a format, and finishing a load
  // would do otherwise. Returns at once when it was done, or isn't needed; a call meanwhile waits.
  // Thread-safe.
  virtual void prepare(const std::string& format) = 0;
  // Begins to load: all that can be done beside prepare(). The source, and the weights, must
  // outlive what is returned. This and finish() throw Error(Status::invalid_model) with what to do
  // when the bytes are no model of that format.
  virtual std::unique_ptr<EngineLoad> begin_load(ByteSource& source,
                                                 const EngineLoadOptions& options) = 0;
  std::unique_ptr<EngineModel> load(ByteSource& source, const EngineLoadOptions& options) {
    return begin_load(source, options)->finish();
  }
};

// The one function a plug-in exports, extern "C", never throws. Returns the engine (static
// storage), or NULL with *error pointing to static text, e.g. when `build_id` is not the plug-in's
// own.
using EnginePluginEntry = Engine* (*)(const char* build_id, const char** error) noexcept;
inline constexpr const char* kEnginePluginSymbol = "ptsecure_engine_plugin";

}  // namespace ptsecure
