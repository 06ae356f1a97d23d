// SPDX-License-Identifier: Apache-2.0
#include "base/utf8.h"

#include <cstring>

namespace fanhorn {
namespace {

// The first place at or behind `at` that is not inside eight bytes of ASCII.
size_t skip_ascii(std::string_view bytes, size_t at) {
    for (uint64_t word; bytes.size() - at >= sizeof word; at += sizeof word) {
        std::memcpy(&word, bytes.data() + at, sizeof word);
        if (word & 0x8080808080808080u)
            break;
    }
    return at;
}

} // namespace

// RFC 3629 section 4: what may follow depends on the lead byte alone.
bool Utf8Validator::start_character(uint8_t lead) {
    low_ = 0x80;
    high_ = 0xBF;
    if (lead < 0x80)
        return true;
    if (lead < 0xC2 || lead > 0xF4) // continuation, overlong, or above U+10FFFF
        return false;
    missing_ = lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
    if (lead == 0xE0)
        low_ = 0xA0; // below: overlong
    else if (lead == 0xED)
        high_ = 0x9F; // above: surrogates
    else if (lead == 0xF0)
        low_ = 0x90; // below: overlong
    else if (lead == 0xF4)
        high_ = 0x8F; // above: beyond U+10FFFF
    return true;
}

bool Utf8Validator::feed(std::string_view bytes) {
    for (size_t at = 0; at < bytes.size() && !failed_; ++at) {
        if (missing_ == 0 && (at = skip_ascii(bytes, at)) == bytes.size())
            break;
        const auto byte = static_cast<uint8_t>(bytes[at]);
        if (missing_ == 0) {
            failed_ = !start_character(byte);
            continue;
        }
        failed_ = byte < low_ || byte > high_;
        low_ = 0x80;
        high_ = 0xBF;
        --missing_;
    }
    return !failed_;
}

bool is_utf8(std::string_view bytes) {
    Utf8Validator validator;
    return validator.feed(bytes) && validator.complete();
}

bool has_control(std::string_view text) {
    for (size_t i = 0; i < text.size(); ++i) {
        const auto byte = static_cast<uint8_t>(text[i]);
        if (byte < 0x20 || byte == 0x7f)
            return true;
        if (byte == 0xc2 && i + 1 < text.size() && static_cast<uint8_t>(text[i + 1]) < 0xa0)
            return true;
    }
    return false;
}

} // namespace fanhorn
