#pragma once

#include <cstddef>
#include <cstring>
#include <string>

#include "libptsecure/base/error.hpp"

namespace ptsecure::capi {

// No options struct will ever be larger: a struct_size beyond it is an uninitialised one.
inline constexpr std::size_t kMaxStructSize = 4096;

// A caller's struct as this library knows it. `first_size` is the size it had when it was first
// published. Members that an older caller doesn't have keep their `defaults`; what a newer caller
// has on top must be zero, because it asks for something that this library can't do.
template <typename T>
T known_part(const T* given, const T& defaults, std::size_t first_size, const char* type) {
  T result = defaults;
  if (given == nullptr) return result;
  std::size_t size = 0;
  std::memcpy(&size, given, sizeof(size));
  if (size < first_size || size > kMaxStructSize) {
    throw Error(Status::invalid_argument, std::string(type) + ".struct_size is " +
                                              std::to_string(size) + "; set the struct up with " +
                                              type + "_init");
  }
  const char* bytes = reinterpret_cast<const char*>(given);
  for (std::size_t i = sizeof(T); i < size; ++i) {
    if (bytes[i] != 0) {
      throw Error(Status::invalid_argument,
                  std::string(type) + " has members that this library (" +
                      std::to_string(sizeof(T)) + " bytes) doesn't know: the program was built " +
                      "for a newer version; update libptsecure or leave them 0");
    }
  }
  std::memcpy(&result, given, size < sizeof(T) ? size : sizeof(T));
  std::memcpy(&result, &defaults, sizeof(std::size_t));
  return result;
}

}  // namespace ptsecure::capi
