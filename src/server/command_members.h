// SPDX-License-Identifier: Apache-2.0
// What stands in a command of fanhorn.v1, and how it is replied to.
#pragma once

#include "base/json.h"
#include "http/problem.h"
#include "relay/broker.h"

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fanhorn {

inline constexpr size_t kMaxCommandDepth = 64; // of nesting
inline constexpr size_t kMaxIdBytes = 32;

// A JSON object that has been checked, by its members' names. Of one name the last counts. Keeps
// pieces of the text, which must outlive it.
class CommandMembers {
  public:
    explicit CommandMembers(std::string_view object);
    bool is_object() const { return is_object_; }
    // As written, "" where there is none.
    std::string_view value(std::string_view name) const;
    // What it says, when it is a string.
    std::optional<std::string> text(std::string_view name) const;
    // A member that is none of these.
    std::optional<http::Problem> check_known(std::initializer_list<std::string_view> known) const;
    // Without those of that name.
    std::vector<JsonPart> others(std::string_view name) const;

  private:
    std::vector<JsonPart> parts_;
    std::vector<std::string> names_;
    bool is_object_;
};

// What a checked value says when it is a string; nothing for another, and for "".
std::optional<std::string> string_of(std::string_view value);
std::optional<http::Problem> check_name(const std::string& channel);
// The same where a wildcard may stand for channels.
std::optional<http::Problem> check_name_or_wildcard(const std::string& channel);
using NameCheck = std::optional<http::Problem> (*)(const std::string& channel);
// A list of at most so many channels' names, each once.
std::optional<http::Problem> read_names(std::string_view array, size_t most,
                                        std::vector<std::string>& names,
                                        NameCheck check = check_name);
// A string, or a number like 0 or -50; "": as it is.
std::optional<http::Problem> read_since(std::string_view value, Since& since);

// The token that a command brings.
std::optional<std::string> command_token(std::string_view json);
// The number of a command, as it was written; "null" where it has none.
std::string command_id(std::string_view json);

// `id` is the command's number as it was written.
std::string ok_json(const std::string& id, std::string_view body);
std::string error_json(const std::string& id, const http::Problem& problem);
// Of what could not be placed.
http::Problem start_problem(Start::Status status);

// {"channels":[…],"since":…}: what a POST /sub subscribes to. `since` stays empty where it has
// none.
struct LongList {
    std::vector<std::string> channels;
    std::string since;
};
// A problem when it is not that; nothing in `list` when it is a command.
std::optional<http::Problem> read_long_list(std::string_view json, size_t max_channels,
                                            std::optional<LongList>& list);

} // namespace fanhorn
