#include "libptsecure/crypto/jwk.hpp"

#include <algorithm>
#include <array>

#include "libptsecure/base/text.hpp"
#include "libptsecure/crypto/base64url.hpp"
#include "libptsecure/crypto/digest.hpp"
#include "libptsecure/crypto/jwk_impl.hpp"
#include "libptsecure/crypto/random.hpp"
#include "libptsecure/crypto/secret_json.hpp"

namespace ptsecure {

namespace {

constexpr std::size_t kMaxJwkText = 64 * 1024;
constexpr std::size_t kMaxOctSize = 1024;
constexpr std::size_t kMaxText = 1024;

// Every name that holds key material of some type (RFC 7518 section 6, RFC 8037).
constexpr std::array kMaterial{"crv", "x", "y",  "d",  "n",  "e",  "k",
                               "p",   "q", "dp", "dq", "qi", "oth"};

bool is_material(std::string_view name) {
  return std::find(kMaterial.begin(), kMaterial.end(), name) != kMaterial.end();
}

std::string to_std(const SecretString& text) {
  return {text.data(), text.size()};
}

nlohmann::json to_plain(const SecretJson& from) {
  if (from.is_object()) {
    auto object = nlohmann::json::object();
    for (const auto& [name, value] : from.items()) object[to_std(name)] = to_plain(value);
    return object;
  }
  if (from.is_array()) {
    auto array = nlohmann::json::array();
    for (const auto& value : from) array.push_back(to_plain(value));
    return array;
  }
  if (from.is_string()) return to_std(from.get_ref<const SecretString&>());
  if (from.is_boolean()) return from.get<bool>();
  if (from.is_number_unsigned()) return from.get<std::uint64_t>();
  if (from.is_number_integer()) return from.get<std::int64_t>();
  if (from.is_number()) return from.get<double>();
  return nullptr;
}

const SecretString& text_of(const SecretJson& value, std::string_view name) {
  if (!value.is_string()) refuse_jwk(std::string(name) + " must be a string");
  return value.get_ref<const SecretString&>();
}

struct Shape {
  KeyType type;
  std::vector<const char*> public_names;
  std::vector<const char*> private_names;
};

Shape shape_of(std::string_view kty, std::string_view crv) {
  if (kty == "oct") return {KeyType::oct, {}, {"k"}};
  if (kty == "RSA") return {KeyType::rsa, {"n", "e"}, {"d", "p", "q", "dp", "dq", "qi"}};
  if (kty == "EC" && find_curve(crv) != nullptr) return {KeyType::ec, {"crv", "x", "y"}, {"d"}};
  if (kty == "OKP" && crv == "Ed25519") return {KeyType::okp, {"crv", "x"}, {"d"}};
  throw Error(Status::unsupported,
              "keys must be oct, RSA, EC on P-256, P-384 or P-521, or OKP Ed25519; this JWK is of "
              "another type or curve");
}

const char* kty_of(KeyType type) {
  switch (type) {
    case KeyType::oct:
      return "oct";
    case KeyType::ec:
      return "EC";
    case KeyType::okp:
      return "OKP";
    case KeyType::rsa:
      return "RSA";
  }
  return "";
}

bool contains(const std::vector<const char*>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

void build_oct(Jwk::Impl& key) {
  key.secret = base64url_decode_secret(key.private_members.at(0).second);
  const ByteView bytes = key.secret.view();
  if (bytes.empty() || bytes.size() > kMaxOctSize ||
      std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t byte) { return byte == 0; })) {
    refuse_jwk("a symmetric key has 1 to 1024 bytes that are not all zero");
  }
  key.bits = bytes.size() * 8;
}

void build(Jwk::Impl& key) {
  switch (key.type) {
    case KeyType::oct:
      return build_oct(key);
    case KeyType::ec:
      return build_ec(key);
    case KeyType::okp:
      return build_ed25519(key);
    case KeyType::rsa:
      return build_rsa(key);
  }
}

// Takes the material members, checks that all of the public ones and all or none of the private
// ones are there, and none of another type's (extra() would make them public).
void take_material(Jwk::Impl& key, const Shape& shape, const SecretJson& json) {
  key.type = shape.type;
  for (const auto& [name, value] : json.items()) {
    const std::string plain = to_std(name);
    if (is_material(plain) && !contains(shape.public_names, plain) &&
        !contains(shape.private_names, plain)) {
      refuse_jwk("member " + plain + " doesn't belong to a key of this type");
    }
  }
  for (const char* name : shape.public_names) {
    const auto found = json.find(name);
    if (found == json.end()) refuse_jwk("member " + std::string(name) + " is missing");
    key.public_members.emplace_back(name, to_std(text_of(*found, name)));
  }
  for (const char* name : shape.private_names) {
    const auto found = json.find(name);
    if (found == json.end()) continue;
    key.private_members.emplace_back(name, text_of(*found, name));
  }
  key.is_private = !key.private_members.empty();
  if (key.private_members.size() != shape.private_names.size() &&
      (key.is_private || key.type == KeyType::oct)) {
    refuse_jwk("some of its private members are missing");
  }
  if (key.type == KeyType::ec || key.type == KeyType::okp) key.curve = key.public_member("crv");
}

std::string short_text(const nlohmann::json& value, const char* name) {
  if (!value.is_string()) refuse_jwk(std::string(name) + " must be a string");
  const auto& text = value.get_ref<const std::string&>();
  if (text.empty() || text.size() > kMaxText || has_control(text)) {
    refuse_jwk(std::string(name) + " is empty, too long or holds control characters");
  }
  return text;
}

// Sets one member that is no key material; null takes it away.
void set_member(Jwk::Impl& key, const std::string& name, const nlohmann::json& value) {
  const auto text = [&] {
    return value.is_null() ? std::string() : short_text(value, name.c_str());
  };
  if (name == "kid") {
    key.kid = text();
  } else if (name == "alg") {
    key.alg = text();
  } else if (name == "use") {
    key.use = text();
  } else if (name == "key_ops") {
    if (!value.is_null() && !value.is_array()) refuse_jwk("key_ops must be an array of strings");
    key.key_ops.clear();
    for (const auto& op : value) {
      key.key_ops.push_back(short_text(op, "key_ops"));
      if (std::count(key.key_ops.begin(), key.key_ops.end(), key.key_ops.back()) != 1) {
        refuse_jwk("key_ops names an operation twice");
      }
    }
  } else if (value.is_null()) {
    key.extra.erase(name);
  } else {
    key.extra[name] = value;
  }
}

void append_metadata(std::string& out, const Jwk::Impl& key) {
  const auto add = [&](const std::string& name, const nlohmann::json& value) {
    out += ',' + nlohmann::json(name).dump() + ':' + value.dump();
  };
  if (!key.kid.empty()) add("kid", key.kid);
  if (!key.use.empty()) add("use", key.use);
  if (!key.key_ops.empty()) add("key_ops", key.key_ops);
  if (!key.alg.empty()) add("alg", key.alg);
  for (const auto& [name, value] : key.extra.items()) add(name, value);
}

std::string public_head(const Jwk::Impl& key) {
  std::string out = "{\"kty\":\"" + std::string(kty_of(key.type)) + '"';
  for (const auto& [name, value] : key.public_members) {
    out += ",\"" + std::string(name) + "\":\"" + value + '"';
  }
  return out;
}

// key_ops of the public half (RFC 7517 section 4.3).
std::vector<std::string> public_ops(const std::vector<std::string>& ops) {
  static constexpr std::array kPairs{std::pair{"sign", "verify"}, std::pair{"decrypt", "encrypt"},
                                     std::pair{"unwrapKey", "wrapKey"}};
  std::vector<std::string> out;
  const auto add = [&](const std::string& op) {
    if (std::find(out.begin(), out.end(), op) == out.end()) out.push_back(op);
  };
  for (const auto& op : ops) {
    for (const auto& [of_private, of_public] : kPairs) {
      if (op == of_private || op == of_public) add(of_public);
    }
  }
  return out;
}

}  // namespace

void refuse_jwk(const std::string& why) {
  throw Error(Status::corrupt, "the JWK is refused: " + why);
}

Jwk::Impl::Impl(const Impl& other)
    : type(other.type),
      curve(other.curve),
      bits(other.bits),
      kid(other.kid),
      alg(other.alg),
      use(other.use),
      key_ops(other.key_ops),
      is_private(other.is_private),
      extra(other.extra),
      public_members(other.public_members),
      private_members(other.private_members),
      secret(other.secret.clone()) {
  if (other.pkey != nullptr) {
    EVP_PKEY_up_ref(other.pkey.get());
    pkey.reset(other.pkey.get());
  }
}

const std::string& Jwk::Impl::public_member(std::string_view name) const {
  for (const auto& [member, value] : public_members) {
    if (name == member) return value;
  }
  throw Error(Status::internal, "a JWK member is missing");
}

Jwk Jwk::parse(std::string_view json) {
  if (json.size() > kMaxJwkText) refuse_jwk("it is longer than 64 KiB");
  return from_json(parse_secret_json(json));
}

Jwk Jwk::from_json(const SecretJson& json) {
  if (!json.is_object()) refuse_jwk("it is no JSON object");
  const auto named = [&](const char* name) -> std::string {
    const auto found = json.find(name);
    return found == json.end() ? std::string() : to_std(text_of(*found, name));
  };
  const Shape shape = shape_of(named("kty"), named("crv"));
  auto key = std::make_shared<Impl>();
  take_material(*key, shape, json);
  for (const auto& [name, value] : json.items()) {
    const std::string plain = to_std(name);
    if (plain == "kty" || is_material(plain)) continue;
    if (value.is_null()) refuse_jwk("member " + plain + " is null");
    set_member(*key, plain, to_plain(value));
  }
  build(*key);
  return Jwk(std::move(key));
}

KeyType Jwk::type() const noexcept {
  return impl_->type;
}
const std::string& Jwk::curve() const noexcept {
  return impl_->curve;
}
std::size_t Jwk::bits() const noexcept {
  return impl_->bits;
}
const std::string& Jwk::kid() const noexcept {
  return impl_->kid;
}
const std::string& Jwk::alg() const noexcept {
  return impl_->alg;
}
const std::string& Jwk::use() const noexcept {
  return impl_->use;
}
const std::vector<std::string>& Jwk::key_ops() const noexcept {
  return impl_->key_ops;
}
bool Jwk::is_private() const noexcept {
  return impl_->is_private;
}
const nlohmann::json& Jwk::extra() const noexcept {
  return impl_->extra;
}
ByteView Jwk::secret() const noexcept {
  return impl_->secret.view();
}

std::string Jwk::thumbprint() const {
  // Required members in the order of their names; all values are plain ASCII.
  std::vector<std::pair<std::string_view, std::string_view>> members{{"kty", kty_of(type())}};
  for (const auto& [name, value] : impl_->public_members) members.emplace_back(name, value);
  if (type() == KeyType::oct) members.emplace_back("k", impl_->private_members.at(0).second);
  std::sort(members.begin(), members.end());
  SecretString text;
  text.reserve(256);
  for (const auto& [name, value] : members) {
    text += text.empty() ? "{\"" : ",\"";
    text.append(name).append("\":\"").append(value) += '"';
  }
  text += '}';
  return base64url_encode(sha256(as_bytes(text)));
}

Jwk Jwk::with_members(const nlohmann::json& members) const {
  if (!members.is_object()) {
    throw Error(Status::invalid_argument, "members to set on a key must be a JSON object");
  }
  auto copy = std::make_shared<Impl>(*impl_);
  for (const auto& [name, value] : members.items()) {
    if (name == "kty" || is_material(name)) {
      throw Error(Status::invalid_argument, "member " + name + " is key material and can't be set");
    }
    set_member(*copy, name, value);
  }
  return Jwk(std::move(copy));
}

std::string Jwk::public_json() const {
  if (type() == KeyType::oct) {
    throw Error(Status::invalid_argument, "a symmetric key has no public part");
  }
  if (is_private()) return public_part().public_json();
  std::string out = public_head(*impl_);
  append_metadata(out, *impl_);
  return out + '}';
}

SecretString Jwk::private_json() const {
  if (!is_private()) throw Error(Status::invalid_argument, "the key has no private part");
  SecretString out;
  out.reserve(512);
  out += public_head(*impl_);
  for (const auto& [name, value] : impl_->private_members) {
    out.append(",\"").append(name).append("\":\"").append(value).append("\"");
  }
  std::string rest;
  append_metadata(rest, *impl_);
  out.append(rest).append("}");
  return out;
}

Jwk Jwk::public_part() const {
  if (type() == KeyType::oct) {
    throw Error(Status::invalid_argument, "a symmetric key has no public part");
  }
  if (!is_private()) return *this;
  auto copy = std::make_shared<Impl>(*impl_);
  copy->is_private = false;
  copy->private_members.clear();
  copy->key_ops = public_ops(copy->key_ops);
  copy->pkey.reset();
  build(*copy);  // so that the public key holds nothing private, in OpenSSL's object neither
  return Jwk(std::move(copy));
}

bool key_permits(const Jwk& key, std::string_view use,
                 std::initializer_list<std::string_view> ops) noexcept {
  if (!key.use().empty() && key.use() != use) return false;
  const auto& allowed = key.key_ops();
  return allowed.empty() || std::any_of(ops.begin(), ops.end(), [&](std::string_view op) {
           return std::find(allowed.begin(), allowed.end(), op) != allowed.end();
         });
}

}  // namespace ptsecure
