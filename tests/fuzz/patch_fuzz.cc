// SPDX-License-Identifier: Apache-2.0
// Two JSON texts, a line and the rest: whatever they are, the patch between them, applied by
// another implementation, gives the second one.
#include "base/json.h"
#include "modules/json_patch.h"

#include <cstdlib>
#include <nlohmann/json.hpp>

using namespace fanhorn;

static void require(bool is_true) {
    if (!is_true)
        std::abort();
}

// Without an exception to throw, it takes what it cannot read for a value of its own.
static nlohmann::json read(std::string_view text) {
    return nlohmann::json::parse(text, nullptr, false);
}

static void expect_patch(std::string_view from, std::string_view to) {
    const auto fits = [](std::string_view text) {
        return read_json(text, kMaxPatchDepth).has_value();
    };
    std::string patch;
    if (!make_patch(patch, from, to, SIZE_MAX))
        return require(patch.empty());
    require(fits(from) && fits(to) && fits(patch));
    constexpr std::string_view kWhole = "[{\"op\":\"replace\",\"path\":\"\",\"value\":}]";
    require(patch.size() <= to.size() + kWhole.size());
    std::string again;
    require(!make_patch(again, from, to, patch.size() - 1) && again.empty());
    require(make_patch(again, from, to, patch.size()) && again == patch);
    const nlohmann::json old = read(from), current = read(to), operations = read(patch);
    if (old.is_discarded() || current.is_discarded() || operations.is_discarded())
        return; // a number that no double holds
    require(old.patch(operations) == current);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const size_t line = std::min(text.find('\n'), size);
    const std::string_view first = text.substr(0, line);
    const std::string_view rest = text.substr(std::min(line + 1, size));
    expect_patch(first, rest);
    expect_patch(rest, first);
    expect_patch(rest, rest);
    return 0;
}
