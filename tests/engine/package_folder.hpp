#pragma once

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

// The compiled packages that make_packages.py makes.
namespace ptsecure::testing {

inline const std::filesystem::path& package_folder() {
  static const std::filesystem::path folder = [] {
    const char* python = std::getenv("PTSECURE_PYTHON");
    const std::string command =
        "'" +
        std::string(python != nullptr ? python : PTSECURE_SOURCE_DIR "/build/venv/bin/python") +
        "' '" PTSECURE_SOURCE_DIR "/tests/engine/make_packages.py'";
    FILE* pipe = popen(command.c_str(), "r");
    if (pipe == nullptr) throw std::runtime_error("cannot run " + command);
    std::string printed;
    std::array<char, 256> part{};
    while (std::fgets(part.data(), part.size(), pipe) != nullptr) printed += part.data();
    if (pclose(pipe) != 0 || printed.empty()) throw std::runtime_error(command + " failed");
    while (printed.ends_with('\n')) printed.pop_back();
    printed.erase(0, printed.rfind('\n') + 1);
    return std::filesystem::absolute(printed);
  }();
  return folder;
}

}  // namespace ptsecure::testing
