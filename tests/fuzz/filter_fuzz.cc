// SPDX-License-Identifier: Apache-2.0
// A line is a filter, the rest a message's tags: what the filter was made into says the same as
// what was written, and the opposite term the opposite.
#include "base/filter.h"
#include "base/utf8.h"

#include <algorithm>
#include <cstdlib>

using namespace fanhorn;

static void require(bool is_true) {
    if (!is_true)
        std::abort();
}

static void expect_opposite(std::string_view value, std::string_view tags) {
    const auto is = Filter::parse("k=" + std::string(value));
    const auto is_not = Filter::parse("k!=" + std::string(value));
    require(is.ok() == is_not.ok());
    if (is)
        require((*is)->matches(tags) != (*is_not)->matches(tags));
}

// Of one number and a bound exactly two of these hold.
static void expect_order(std::string_view bound, std::string_view number) {
    const auto filter = [&](const char* name) { return Filter::parse(name + std::string(bound)); };
    const auto at_least = filter("k>="), at_most = filter("k<="), above = filter("k>"),
               below = filter("k<");
    require(at_least.ok() == below.ok() && at_most.ok() == above.ok());
    if (!at_least.ok() || !Filter::parse("k>=" + std::string(number)).ok())
        return;
    const std::string tags = "k=" + std::string(number);
    require((*at_least)->matches(tags) != (*below)->matches(tags));
    require((*at_most)->matches(tags) != (*above)->matches(tags));
    require((*at_least)->matches(tags) || (*at_most)->matches(tags));
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    const size_t line = std::min(input.find('\n'), size);
    const std::string_view text = input.substr(0, line);
    const std::string_view tags = input.substr(std::min(line + 1, size));
    const bool is_operand = text.find(',') == text.npos && text.size() < Filter::kMaxBytes - 8;
    if (is_operand)
        expect_opposite(text, tags);
    if (is_operand && tags.find(',') == tags.npos && !text.starts_with('='))
        expect_order(text, tags);
    const auto filter = Filter::parse(text);
    if (!filter) {
        require(!filter.error().empty() && is_utf8(filter.error()));
        return 0;
    }
    const auto again = Filter::parse((*filter)->text());
    require(again.ok() && (*again)->text() == (*filter)->text());
    require((*again)->matches(tags) == (*filter)->matches(tags));
    return 0;
}
