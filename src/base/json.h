// SPDX-License-Identifier: Apache-2.0
// JSON text (RFC 8259) taken apart without being turned into anything: a value is the piece of the
// text in which it is written, so that it goes on byte for byte as it came.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fanhorn {

enum class JsonKind : uint8_t { Object, Array, String, Number, Boolean, Null };

// What the outermost object or array holds, in order. Pieces of the text.
struct JsonPart {
    std::string_view name;  // with its quotes and escapes; empty in an array
    std::string_view value; // without the blanks around it
};

// A value of a text read whole. All of them stand in the order of the text, each behind the one
// that holds it and followed by what it holds. Pieces of the text.
struct JsonNode {
    std::string_view name;  // with its quotes and escapes; empty in an array and for the outermost
    std::string_view value; // without the blanks around it
    uint32_t next = 0;      // the node behind everything that it holds
};

// Whether a number may be of any size and precision, as the grammar has it, or must be one that a
// double can stand for: most readers refuse a text with another one.
enum class JsonNumbers : uint8_t { Any, Doubles };

// Checks the whole of `text`: one value, in UTF-8, with objects and arrays nested at most
// `max_depth` deep. Escapes must be Unicode too: a lone surrogate is refused. Adds to `parts`, if
// it is not null. Empty: it is not that. No recursion.
std::optional<JsonKind> read_json(std::string_view text, size_t max_depth,
                                  std::vector<JsonPart>* parts = nullptr,
                                  JsonNumbers numbers = JsonNumbers::Any);

// As read_json with numbers of any size, and every value is in `nodes`, which were empty. False too
// where there are more than `max_nodes`.
bool read_json_nodes(std::string_view text, size_t max_depth, uint32_t max_nodes,
                     std::vector<JsonNode>& nodes);

// For a value out of read_json.
JsonKind json_kind(std::string_view value);
// What a string out of read_json says.
std::string json_text(std::string_view string);

} // namespace fanhorn
