// SPDX-License-Identifier: Apache-2.0
// Fields of what we write for ourselves, as bytes and back: numbers by 7 bits, the low ones first;
// texts behind their length.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace fanhorn {

class PackedWriter {
  public:
    // Appends to `out`, which must outlive it.
    explicit PackedWriter(std::string& out) : out_(out) {}
    PackedWriter& byte(uint8_t value) {
        out_ += static_cast<char>(value);
        return *this;
    }
    PackedWriter& number(uint64_t value) {
        while (value >= 0x80) {
            byte(static_cast<uint8_t>(value | 0x80));
            value >>= 7;
        }
        return byte(static_cast<uint8_t>(value));
    }
    PackedWriter& text(std::string_view value) {
        number(value.size());
        return bytes(value.data(), value.size());
    }
    PackedWriter& bytes(const void* from, size_t size) {
        out_.append(static_cast<const char*>(from), size);
        return *this;
    }

  private:
    std::string& out_;
};

// Takes from the front; what is missing is noted, and reads as nothing.
class PackedReader {
  public:
    // Of bytes that must outlive it.
    explicit PackedReader(std::string_view bytes) : rest_(bytes) {}
    bool is_whole() const { return is_whole_; }
    bool is_end() const { return rest_.empty(); }
    uint8_t byte() {
        const std::string_view taken = take(1);
        return taken.empty() ? 0 : static_cast<uint8_t>(taken[0]);
    }
    uint64_t number() {
        uint64_t value = 0;
        for (unsigned shift = 0; shift < 64; shift += 7) {
            const uint8_t next = byte();
            value |= static_cast<uint64_t>(next & 0x7f) << shift;
            if (next < 0x80)
                return value;
        }
        is_whole_ = false;
        return 0;
    }
    std::string_view view() { return take(number()); }
    std::string text() { return std::string(view()); }
    template <size_t size> void bytes(std::array<uint8_t, size>& into) {
        const std::string_view taken = take(size);
        if (taken.size() == size)
            std::memcpy(into.data(), taken.data(), size);
    }

  private:
    std::string_view take(uint64_t size) {
        if (size > rest_.size()) {
            is_whole_ = false;
            rest_ = {};
            return {};
        }
        const std::string_view taken = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return taken;
    }
    std::string_view rest_;
    bool is_whole_ = true;
};

} // namespace fanhorn
