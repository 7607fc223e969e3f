#pragma once

#include <map>
#include <string>
#include <string_view>

// Whether compiled code fits where it is to run. Asked before any of it is mapped. No torch here.
namespace ptsecure::torch_plugin {

// The processor's features as Linux names them: the words of the "flags" line of /proc/cpuinfo
// ("Features" on ARM), each between blanks.
std::string cpu_features();

// Throws Error(Status::unsupported) with what was compiled for and what is here, unless the
// metadata of an AOTInductor model (AOTI_PLATFORM, AOTI_MACHINE, AOTI_CPU_ISA, AOTI_DEVICE_KEY, and
// PTSECURE_TORCH_VERSION when it was published from Python) fits this process. `device` is "cpu" or
// "cuda", `torch_version` that of the libtorch in use, `features` what cpu_features() returns.
void require_platform(const std::map<std::string, std::string>& metadata, std::string_view device,
                      std::string_view torch_version, std::string_view features);

// Throws Error(Status::invalid_model or unsupported) unless these bytes are a whole shared object
// for this processor, as far as the loader wouldn't notice itself.
void require_native_library(std::string_view bytes);

}  // namespace ptsecure::torch_plugin
