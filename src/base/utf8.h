// SPDX-License-Identifier: Apache-2.0
// UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include <cstdint>
#include <string_view>

namespace fanhorn {

bool is_utf8(std::string_view bytes);

// Whether there is a control character in a text in UTF-8: C0, DEL, or C1 (U+0080 to U+009F).
bool has_control(std::string_view text);

// Checks text that comes in pieces; fails at the first byte that no valid text could have there.
class Utf8Validator {
  public:
    // False from the first bad byte on, until reset().
    bool feed(std::string_view bytes);
    // Whether what was fed so far is valid and ends between two characters.
    bool complete() const { return missing_ == 0 && !failed_; }
    void reset() { *this = Utf8Validator(); }

  private:
    bool start_character(uint8_t lead);

    uint8_t missing_ = 0; // continuation bytes still to come
    uint8_t low_ = 0x80;  // bounds of the next one
    uint8_t high_ = 0xBF;
    bool failed_ = false;
};

} // namespace fanhorn
