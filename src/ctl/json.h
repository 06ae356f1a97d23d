// SPDX-License-Identifier: Apache-2.0
// JSON as text: values are found, not converted, so that what a publisher wrote comes out as it
// was: numbers of any length, and nesting of any depth.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fanhorn::ctl {

// Whether this is one JSON value (RFC 8259). All others here want text that is.
bool is_json(std::string_view text);

// The parts of an object or array, as they stand in it, which they borrow; none of what is
// neither.
struct Member {
    std::string name;
    std::string_view value;
};
std::vector<Member> members(std::string_view object);
std::vector<std::string_view> elements(std::string_view array);

// The member of that name; "" where there is none.
std::string_view member(std::string_view object, std::string_view name);

// A string without its quotes and escapes; "" for null and nothing; another value in one line.
std::string text_of(std::string_view value);
// An unsigned integer; 0 for whatever else.
uint64_t number_of(std::string_view value);

} // namespace fanhorn::ctl
