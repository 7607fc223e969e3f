#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "libptsecure/history/access.hpp"

namespace ptsecure {

// One finding of verify(): "manifest", "payload model", ...
using CheckSink =
    std::function<void(const std::string& check, Status status, const std::string& detail)>;

// Verifies every record of the log and every link, however the log is damaged; the first thing that
// is wrong, or nothing, and how many records there are.
std::optional<Error> check_log(const Access& access, std::uint64_t& records);

// The same, and every change that the log announces against what is stored, both ways; that it
// still has the record `head` (where given) and the one remembered last. Goes on after a finding
// and returns the first. What was found in order is remembered.
std::optional<Error> audit_log(const Access& access, const std::optional<RecordMark>& head,
                               const CheckSink& check);

}  // namespace ptsecure
