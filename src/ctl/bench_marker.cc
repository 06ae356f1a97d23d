// SPDX-License-Identifier: Apache-2.0
#include "ctl/bench_marker.h"

#include <array>
#include <cstring>
#include <ctime>

namespace fanhorn::ctl::load {

namespace {

constexpr uint8_t kNoDigit = 0xff;

constexpr std::array<uint8_t, 256> make_digits() {
    std::array<uint8_t, 256> values{};
    values.fill(kNoDigit);
    for (uint8_t i = 0; i < 16; ++i)
        values[static_cast<uint8_t>("0123456789abcdef"[i])] = i;
    return values;
}
constexpr auto kDigits = make_digits();

void write_hex(char* out, uint64_t value, int digits) {
    for (int i = digits - 1; i >= 0; --i, value >>= 4)
        out[i] = "0123456789abcdef"[value & 15];
}

// Each digit's doubt is collected, and looked at once.
uint64_t read_hex(const char* text, int digits, uint8_t& doubt) {
    uint64_t value = 0;
    for (int i = 0; i < digits; ++i) {
        const uint8_t digit = kDigits[static_cast<uint8_t>(text[i])];
        doubt |= digit;
        value = value << 4 | (digit & 15);
    }
    return value;
}

} // namespace

void append_message(std::string& out, const Marker& marker, size_t size) {
    char text[kMarkerBytes];
    text[0] = '@';
    write_hex(text + 1, marker.channel, 8);
    write_hex(text + 9, marker.number, 16);
    write_hex(text + 25, marker.sent_ns, 16);
    out.append(text, kMarkerBytes);
    out.append(size - kMarkerBytes, 'x');
}

bool read_marker(const char* text, Marker& marker) {
    uint8_t doubt = 0;
    marker.channel = static_cast<uint32_t>(read_hex(text + 1, 8, doubt));
    marker.number = read_hex(text + 9, 16, doubt);
    marker.sent_ns = read_hex(text + 25, 16, doubt);
    return text[0] == '@' && doubt < 16;
}

Found find_marker(std::string_view bytes, size_t from) {
    Found found;
    while (from < bytes.size()) {
        const void* at = std::memchr(bytes.data() + from, '@', bytes.size() - from);
        if (!at) {
            from = bytes.size();
            break;
        }
        from = static_cast<size_t>(static_cast<const char*>(at) - bytes.data());
        if (bytes.size() - from < kMarkerBytes)
            break;
        if (read_marker(bytes.data() + from, found.marker)) {
            found.is_found = true;
            from += kMarkerBytes;
            break;
        }
        ++from;
    }
    found.end = from;
    return found;
}

uint64_t now_ns() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

} // namespace fanhorn::ctl::load
