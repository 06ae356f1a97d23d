// SPDX-License-Identifier: Apache-2.0
// What a bridge makes of an upstream's message: a line for POST /pub, nothing, or a complaint.
#pragma once

#include "base/filter.h"
#include "ctl/event_reader.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fanhorn::ctl {

// A channel's name in which {field} stands for a top-level field of the payload.
class ChannelTemplate {
  public:
    static Result<ChannelTemplate> parse(std::string_view text);
    // The error names the field that is not there, or is no text, number or boolean.
    Result<std::string> name(std::span<const Filter::Field> fields) const;

  private:
    // What stands before a field, and its name; the last one has no field.
    struct Piece {
        std::string before, field;
    };
    std::vector<Piece> pieces_;
};

// Whose value is a string, a number or a boolean: the text, or the number as it is written. None
// where the payload is no JSON object.
std::vector<Filter::Field> top_level_fields(std::string_view payload);

struct Routed {
    enum class Kind : uint8_t { Publish, FilteredOut, Unfit } kind;
    std::string text; // the line with its end, or why it is unfit
};

class Route {
  public:
    ChannelTemplate channel;
    FilterRef filter;         // null for all
    bool needs_json = false;  // else what is not JSON goes on as text, or as bytes
    std::string event;        // of every message; "" for the upstream's own
    std::string more_members; // of every line, each with a comma before it

    Routed line(const Event& event) const;
};

} // namespace fanhorn::ctl
