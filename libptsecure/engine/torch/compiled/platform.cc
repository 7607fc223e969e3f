#include "libptsecure/engine/torch/compiled/platform.hpp"

#include <elf.h>
#include <sys/utsname.h>

#include <array>
#include <cstring>
#include <fstream>
#include <string>

#include "libptsecure/base/error.hpp"

namespace ptsecure::torch_plugin {
namespace {

constexpr std::string_view kRecompile =
    "; compile the model again there with torch._inductor.aoti_compile_and_package";

[[noreturn]] void unsupported(const std::string& message) {
  throw Error(Status::unsupported, message);
}

// What Inductor compiles with for the instruction sets it names.
struct InstructionSet {
  std::string_view name;
  std::string_view features;  // as /proc/cpuinfo calls them
};
constexpr std::array<InstructionSet, 8> kInstructionSets = {{
    {"AVX2", "avx2 fma f16c"},
    {"AVX512", "avx512f avx512dq avx512vl avx512bw fma"},
    {"AVX512_VNNI", "avx512_vnni avx512vl"},
    {"AMX_TILE", "amx_tile amx_bf16 amx_int8"},
    {"NEON", "asimd"},
    {"ASIMD", "asimd"},
    {"SVE", "sve"},
    {"INVALID_VEC_ISA", ""},  // compiled without vector instructions
}};

// Calls `on_word` for each word of a text separated by blanks.
template <class OnWord>
void for_each_word(std::string_view text, const OnWord& on_word) {
  while (!text.empty()) {
    const auto blank = text.find(' ');
    if (blank != 0) on_word(text.substr(0, blank));
    if (blank == std::string_view::npos) return;
    text.remove_prefix(blank + 1);
  }
}

const InstructionSet* find_instruction_set(std::string_view name) {
  for (const InstructionSet& known : kInstructionSets) {
    if (known.name == name) return &known;
  }
  return nullptr;
}

void require_instruction_set(const std::string& compiled_for, std::string_view features) {
  for_each_word(compiled_for, [&](std::string_view name) {
    const InstructionSet* known = find_instruction_set(name);
    if (known == nullptr) {
      unsupported("the package was compiled for the instruction set " + compiled_for +
                  ", which this version doesn't know, so it can't tell whether this processor has "
                  "it" +
                  std::string(kRecompile));
    }
    for_each_word(known->features, [&](std::string_view feature) {
      if (features.find(" " + std::string(feature) + " ") != std::string_view::npos) return;
      unsupported("the package was compiled for a processor with " + compiled_for +
                  ", and this one has no " + std::string(feature) + std::string(kRecompile));
    });
  });
}

std::string_view minor_of(std::string_view version) {
  const auto major = version.find('.');
  if (major == std::string_view::npos) return version;
  return version.substr(0, version.find_first_not_of("0123456789", major + 1));
}

[[noreturn]] void throw_cut_short() {
  throw Error(Status::invalid_model, "the compiled library of the package is cut short");
}

// The loader maps segments without asking how long the file is.
void require_whole_elf(std::string_view bytes, const Elf64_Ehdr& header) {
  const std::uint64_t table = std::uint64_t{header.e_phnum} * sizeof(Elf64_Phdr);
  if (header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phoff > bytes.size() ||
      table > bytes.size() - header.e_phoff) {
    throw_cut_short();
  }
  for (std::size_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment{};
    std::memcpy(&segment, bytes.data() + header.e_phoff + i * sizeof(segment), sizeof(segment));
    if (segment.p_offset > bytes.size() || segment.p_filesz > bytes.size() - segment.p_offset) {
      throw_cut_short();
    }
  }
}

std::string machine() {
  utsname name{};
  uname(&name);
  return name.machine;
}

}  // namespace

std::string cpu_features() {
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line)) {
    if (!line.starts_with("flags") && !line.starts_with("Features")) continue;
    if (const auto colon = line.find(':'); colon != std::string::npos) {
      return " " + line.substr(colon + 1) + " ";
    }
  }
  return " ";
}

void require_platform(const std::map<std::string, std::string>& metadata, std::string_view device,
                      std::string_view torch_version, std::string_view features) {
  const auto said = [&](const char* key) {
    const auto found = metadata.find(key);
    return found == metadata.end() ? std::string() : found->second;
  };
  const std::string compiled_device = said("AOTI_DEVICE_KEY");
  if (compiled_device.empty()) {
    throw Error(Status::invalid_model,
                "the package doesn't say which device it was compiled for (AOTI_DEVICE_KEY)");
  }
  if (compiled_device != device) {
    unsupported("the package was compiled for the device " + compiled_device +
                " and can't run on " + std::string(device) + "; open it with the device " +
                compiled_device);
  }
  if (const std::string system = said("AOTI_PLATFORM"); !system.empty() && system != "linux") {
    unsupported("the package was compiled for " + system + ", and this is linux" +
                std::string(kRecompile));
  }
  const std::string here = machine();
  if (const std::string compiled = said("AOTI_MACHINE"); !compiled.empty() && compiled != here) {
    unsupported("the package was compiled for " + compiled + " machines, and this is " + here +
                std::string(kRecompile));
  }
  if (const std::string compiled = said("PTSECURE_TORCH_VERSION");
      !compiled.empty() && minor_of(compiled) != minor_of(torch_version)) {
    unsupported("the package was compiled by torch " + compiled + ", and libtorch here is " +
                std::string(torch_version) + "; use the same minor version, or compile it again");
  }
  require_instruction_set(said("AOTI_CPU_ISA"), features);
}

void require_native_library(std::string_view bytes) {
  Elf64_Ehdr header{};
  if (bytes.size() < sizeof(header)) throw_cut_short();
  std::memcpy(&header, bytes.data(), sizeof(header));
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) {
    throw Error(Status::invalid_model, "the compiled library of the package is no ELF file");
  }
#if defined(__x86_64__)
  constexpr Elf64_Half kMachine = EM_X86_64;
#elif defined(__aarch64__)
  constexpr Elf64_Half kMachine = EM_AARCH64;
#else
#error "name this processor's ELF machine"
#endif
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
      header.e_machine != kMachine || header.e_type != ET_DYN) {
    throw Error(Status::unsupported,
                "the compiled library of the package is for another processor than this " +
                    machine() + " machine" + std::string(kRecompile));
  }
  require_whole_elf(bytes, header);
}

}  // namespace ptsecure::torch_plugin
