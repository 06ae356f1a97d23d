// SPDX-License-Identifier: Apache-2.0
// The text/event-stream encoding (WHATWG HTML section 9.2). Pure bytes; any thread.
//
// A stream must begin with a line of our own (retry or a comment), never with a payload: the
// parser drops a byte order mark at the very start of a stream, and only there.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace fanhorn {

// A whole event with its closing empty line. `id` and `event` may be empty (no such line) and hold
// no control characters (CHECKed; they were validated when they came in).
void append_event(std::string& out, std::string_view id, std::string_view event,
                  std::string_view payload);

// The "data: " lines of a payload, at least one. CR, LF and CRLF each start a new line, so that
// nothing in a payload can end the event or forge a field.
void append_data(std::string& out, std::string_view payload);

// "id: X" and an empty line: moves the reader's Last-Event-ID and dispatches nothing.
void append_id_block(std::string& out, std::string_view id);

// One line ": text"; no CR or LF in `text` (CHECKed). May stand before any other block.
void append_comment(std::string& out, std::string_view text);

// One line "retry: N": the pause before a reconnect. May stand before any other block.
void append_retry(std::string& out, uint32_t milliseconds);

} // namespace fanhorn
