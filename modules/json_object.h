// SPDX-License-Identifier: Apache-2.0
// A JSON object as its members, for what is read by name and must not be ambiguous.
#pragma once

#include "base/json.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fanhorn {

// Keeps pieces of the text it was read from, which must outlive it.
class JsonObject {
  public:
    // Nothing when the text is not a JSON object, has a name twice (RFC 7515 section 4: which one
    // counts would depend on the reader), or nests deeper than 32.
    static std::optional<JsonObject> read(std::string_view text);

    // The member's value as written, "" when there is none.
    std::string_view find(std::string_view name) const;
    // What the member says when it is a string.
    std::optional<std::string> string(std::string_view name) const;

  private:
    struct Member {
        std::string name;
        std::string_view value;
    };
    std::vector<Member> members_; // by name
};

// The strings of a value that is a string or an array of strings; nothing for another.
std::optional<std::vector<std::string>> json_strings(std::string_view value);

} // namespace fanhorn
