#pragma once

#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <cstdint>
#include <optional>

#include "server_example/http.hpp"
#include "server_example/trace.hpp"

// The head of a request, as it comes from the network.
namespace server {

using HeadParser = boost::beast::http::request_parser<boost::beast::http::empty_body>;

constexpr std::uint32_t kLongestHead = 16 * 1024;

// Sets the limits of a parser that nothing has been put into yet.
void limit_head(HeadParser& parser);

// The four take a parser that has read the whole head.
RequestHead head_of(const HeadParser& parser);
Trace trace_of(const HeadParser& parser);
// Framing that two servers could understand differently, and what isn't taken at all; nothing when
// all is well. After a refusal nothing that follows on the connection is to be believed.
std::optional<Answer> check_fields(const HeadParser& parser);
// Whether the client waits to be told that its body is welcome.
bool expects_continue(const HeadParser& parser);

// What a failed read of a head or body is for the client; nothing when it is gone.
std::optional<Answer> explain(const boost::beast::error_code& error);

}  // namespace server
