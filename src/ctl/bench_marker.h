// SPDX-License-Identifier: Apache-2.0
// What a benchmark's message begins with, found whatever the framing around it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace fanhorn::ctl::load {

// "@", 8 hexadecimal digits of the channel, 16 of the number, 16 of the time.
inline constexpr size_t kMarkerBytes = 41;
inline constexpr size_t kMinMessageBytes = 48;

struct Marker {
    uint32_t channel = 0;
    uint64_t number = 0;  // within its channel, from 0
    uint64_t sent_ns = 0; // CLOCK_MONOTONIC
};

// Appends a message of `size` bytes, at least kMinMessageBytes.
void append_message(std::string& out, const Marker& marker, size_t size);

// `text` has kMarkerBytes. False when no marker stands there.
bool read_marker(const char* text, Marker& marker);

struct Found {
    bool is_found = false;
    size_t end = 0; // behind the marker; else where the search goes on when more bytes are there
    Marker marker;
};
// The first marker at or behind `from`.
Found find_marker(std::string_view bytes, size_t from);

// CLOCK_MONOTONIC.
uint64_t now_ns();

} // namespace fanhorn::ctl::load
