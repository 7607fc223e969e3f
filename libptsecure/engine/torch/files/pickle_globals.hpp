#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

// What a pickle names, without running it. No torch here.
namespace ptsecure::torch_plugin {

struct PickleGlobal {
  std::string module;
  std::string name;
};

// Every class and function the pickle names, each once; nullopt when it holds an instruction that
// neither torch.save nor torch.jit.save writes, so that nothing is known about it.
std::optional<std::vector<PickleGlobal>> pickle_globals(std::string_view pickle);

// A state_dict that torch.save wrote as it is: an OrderedDict with attributes, for which libtorch
// puts None. Returns a pickle of the tuple (None, dict) with the same items and without the
// attributes; nullopt for anything else.
std::optional<std::string> ordered_dict_as_dict(std::string_view pickle);

// The first class that is neither of torch's tensor machinery nor a plain container.
std::optional<std::string> first_foreign_class(const std::vector<PickleGlobal>& globals);

// True when unpickling a TorchScript module that names these never looks at the bytes of a tensor:
// plain tensors, lists and objects only, no quantized, sparse or opaque ones.
bool rebuilds_plain_tensors_only(const std::vector<PickleGlobal>& globals);

}  // namespace ptsecure::torch_plugin
