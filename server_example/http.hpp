#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <ptsecure/ptsecure.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

// Requests and answers without the network.
namespace server {

// A request's body. `owner` keeps the bytes.
struct Body {
  std::uint8_t* data = nullptr;
  std::size_t size = 0;
  std::shared_ptr<const void> owner;

  std::string_view text() const {
    return size == 0 ? std::string_view() : std::string_view(reinterpret_cast<char*>(data), size);
  }
};

// The head of a request, in so far as anybody here looks at it. Fields that are absent are empty.
struct RequestHead {
  std::string method;
  std::string target;  // as sent
  std::string path;    // of it, still percent-encoded
  std::string host;
  std::string origin;
  bool wants_page = false;  // a browser, by its Accept
  std::string key;          // the API key, from either field
  // Inference-Header-Content-Length; larger than any body for what is no number.
  std::optional<std::uint64_t> json_size;
  std::uint64_t body_size{};  // as announced
};

using Headers = std::vector<std::pair<std::string_view, std::string>>;

struct Answer {
  unsigned status = 200;
  std::string_view content_type = "application/json";
  std::variant<std::string, pts::Bytes, std::string_view> body;  // a view: of static storage
  Headers headers;
  // For logs and counters.
  std::string model;
  std::uint64_t version = 0;

  std::string_view text() const {
    if (const auto* bytes = std::get_if<pts::Bytes>(&body)) return bytes->view();
    if (const auto* view = std::get_if<std::string_view>(&body)) return *view;
    return std::get<std::string>(body);
  }
};

// {"error": message}
Answer refusal(unsigned status, std::string_view message, Headers headers = {});
// Any failure of the library, with the status that docs/errors.md has for it.
Answer refusal(const pts::Error& error);

Answer json_answer(std::string text);

}  // namespace server
