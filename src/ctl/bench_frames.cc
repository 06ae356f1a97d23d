// SPDX-License-Identifier: Apache-2.0
#include "ctl/bench_frames.h"

#include "base/text.h"

#include <cstring>

namespace fanhorn::ctl::load {

std::string_view field(std::string_view head, std::string_view name) {
    take_until(head, '\n');
    while (!head.empty()) {
        std::string_view line = take_until(head, '\n');
        if (line.ends_with('\r'))
            line.remove_suffix(1);
        const std::string_view key = take_until(line, ':');
        if (equal_ignoring_case(key, name))
            return trim_blanks(line);
    }
    return {};
}

std::optional<Head> read_head(std::string_view bytes) {
    const size_t end = bytes.find("\r\n\r\n");
    if (end == bytes.npos)
        return std::nullopt;
    Head head;
    head.bytes = end + 4;
    bytes = bytes.substr(0, end + 2);
    if (bytes.starts_with("HTTP/1.") && bytes.size() > 12)
        head.status = static_cast<int>(parse_u64(bytes.substr(9, 3)).value_or(0));
    head.length = parse_u64(field(bytes, "Content-Length"));
    head.is_chunked = equal_ignoring_case(field(bytes, "Transfer-Encoding"), "chunked");
    head.closes = equal_ignoring_case(field(bytes, "Connection"), "close");
    return head;
}

void Chunks::take_size(char byte) {
    const int digit = hex_value(byte);
    if (digit >= 0 && digits_ < 15) {
        left_ = left_ << 4 | static_cast<unsigned>(digit);
        ++digits_;
    } else if (digit >= 0 || digits_ == 0) {
        state_ = State::kBroken;
    } else if (byte == '\n') {
        take_line_end();
    } else {
        state_ = State::kExtension;
    }
}

void Chunks::take_line_end() {
    state_ = left_ ? State::kData : State::kTrailer;
    digits_ = 0;
    is_line_empty_ = true;
}

void Chunks::take_trailer(char byte) {
    if (byte == '\n' && is_line_empty_)
        state_ = State::kOver;
    is_line_empty_ = byte == '\n' || (byte == '\r' && is_line_empty_);
}

size_t Chunks::decode(char* bytes, size_t size) {
    size_t body = 0;
    for (size_t at = 0; at < size; ++at) {
        const char byte = bytes[at];
        switch (state_) {
        case State::kSize:
            take_size(byte);
            break;
        case State::kExtension:
            if (byte == '\n')
                take_line_end();
            break;
        case State::kData: {
            const auto step = std::min<uint64_t>(left_, size - at);
            std::memmove(bytes + body, bytes + at, step);
            body += step;
            left_ -= step;
            at += step - 1;
            if (!left_)
                state_ = State::kDataEnd;
            break;
        }
        case State::kDataEnd:
            if (byte == '\n')
                state_ = State::kSize;
            break;
        case State::kTrailer:
            take_trailer(byte);
            break;
        case State::kOver:
        case State::kBroken:
            return body;
        }
    }
    return body;
}

FrameHeader read_frame_header(std::string_view bytes) {
    FrameHeader frame;
    if (bytes.size() < 2)
        return frame;
    const auto byte = [&](size_t i) { return static_cast<uint8_t>(bytes[i]); };
    frame.opcode = byte(0) & 15;
    frame.is_masked = byte(1) & 0x80;
    frame.length = byte(1) & 0x7f;
    const size_t more = frame.length == 126 ? 2 : frame.length == 127 ? 8 : 0;
    if (bytes.size() < 2 + more)
        return frame;
    if (more)
        frame.length = 0;
    for (size_t i = 0; i < more; ++i)
        frame.length = frame.length << 8 | byte(2 + i);
    frame.bytes = 2 + more;
    return frame;
}

} // namespace fanhorn::ctl::load
