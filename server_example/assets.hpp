#pragma once

#include <string_view>

// The files in page/ and openapi.json, built in.
namespace server::assets {

extern const std::string_view page_html;
extern const std::string_view page_js;
extern const std::string_view page_css;
extern const std::string_view openapi_json;

}  // namespace server::assets
