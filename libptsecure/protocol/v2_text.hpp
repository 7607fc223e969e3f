#pragma once

#include <string>
#include <string_view>

#include "libptsecure/value/value.hpp"

// Internal to the writers of answers in JSON.
namespace ptsecure {

// Appends the elements of a tensor, row-major, with commas between them.
void append_tensor_data(std::string& out, const Tensor& tensor);
// Appends text as a JSON string. Status::unsupported when it is not UTF-8.
void append_text(std::string& out, std::string_view text);

}  // namespace ptsecure
