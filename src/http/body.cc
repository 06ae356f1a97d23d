// SPDX-License-Identifier: Apache-2.0
#include "http/body.h"

#include "base/check.h"
#include "base/text.h"
#include "http/grammar.h"

#include <algorithm>

namespace fanhorn::http {
namespace {

constexpr uint16_t kSizeDigits = 8;
constexpr uint16_t kExtensionSize = 256; // of one chunk
constexpr uint16_t kTrailerSize = 4096;  // of all trailers

} // namespace

BodyReader::BodyReader(Framing framing, uint64_t length, uint64_t limit) : room_(limit) {
    if (framing == Framing::Chunked) {
        state_ = State::SizeStart;
    } else if (framing == Framing::Length && length > 0) {
        left_ = length;
        state_ = length <= limit ? State::Length : State::TooLarge;
    }
}

BodyReader::Step BodyReader::feed(std::string_view bytes, std::string& out) {
    size_t at = 0;
    while (at < bytes.size() && state_ < State::Done) {
        if (state_ == State::Length || state_ == State::Data)
            at += take_content(bytes.substr(at), out);
        else
            state_ = step(bytes[at++]);
    }
    if (state_ < State::Done)
        return {Status::NeedMore, at};
    return {state_ == State::Done ? Status::Done : Status::Error, at};
}

size_t BodyReader::take_content(std::string_view bytes, std::string& out) {
    const std::string_view content = bytes.substr(0, std::min<uint64_t>(left_, bytes.size()));
    out += content;
    left_ -= content.size();
    if (left_ == 0)
        state_ = state_ == State::Length ? State::Done : State::DataCr;
    return content.size();
}

// One byte of a chunked body that is not content.
BodyReader::State BodyReader::step(char byte) {
    const auto expect = [byte](char wanted, State next) {
        return byte == wanted ? next : State::Malformed;
    };
    switch (state_) {
    case State::SizeStart:
        count_ = 0;
        left_ = 0;
        [[fallthrough]];
    case State::Size:
        return in_size(byte);
    case State::Extension:
        return in_extension(byte);
    case State::SizeLf:
        return byte == '\n' ? at_size_end() : State::Malformed;
    case State::DataCr:
        return expect('\r', State::DataLf);
    case State::DataLf:
        return expect('\n', State::SizeStart);
    case State::LastLf:
        return expect('\n', State::Done);
    default:
        return in_trailer(byte);
    }
}

// 1*HEXDIG, no more than eight of them, then an extension or the end of the line.
BodyReader::State BodyReader::in_size(char byte) {
    const int digit = hex_value(byte);
    if (digit >= 0 && count_ < kSizeDigits) {
        left_ = left_ << 4 | static_cast<uint64_t>(digit);
        ++count_;
        return State::Size;
    }
    if (count_ == 0)
        return State::Malformed;
    count_ = 0;
    return byte == '\r' ? State::SizeLf : byte == ';' ? State::Extension : State::Malformed;
}

// Ignored, as RFC 9112 section 7.1.1 asks; only that there is one, and no control character.
BodyReader::State BodyReader::in_extension(char byte) {
    if (byte == '\r')
        return count_ > 0 ? State::SizeLf : State::Malformed;
    return is_field_char(byte) && ++count_ <= kExtensionSize ? State::Extension : State::Malformed;
}

BodyReader::State BodyReader::at_size_end() {
    count_ = 0;
    if (left_ == 0)
        return State::TrailerStart;
    if (left_ > room_)
        return State::TooLarge;
    room_ -= left_;
    return State::Data;
}

// Trailers are held to the rules of fields and ignored (RFC 9112 section 7.1.2).
BodyReader::State BodyReader::in_trailer(char byte) {
    if (state_ == State::TrailerStart && byte == '\r')
        return State::LastLf;
    if (++count_ > kTrailerSize)
        return State::TrailersTooLarge;
    if (state_ == State::TrailerLf)
        return byte == '\n' ? State::TrailerStart : State::Malformed;
    if (state_ == State::TrailerValue && byte == '\r')
        return State::TrailerLf;
    if (state_ == State::TrailerValue)
        return is_field_char(byte) ? State::TrailerValue : State::Malformed;
    if (state_ == State::TrailerName && byte == ':')
        return State::TrailerValue;
    return is_token_char(byte) ? State::TrailerName : State::Malformed;
}

bool BodyReader::go_on(const Place& place) {
    if (place.state >= static_cast<uint8_t>(State::Done))
        return false;
    left_ = place.left;
    room_ = place.room;
    count_ = place.count;
    state_ = static_cast<State>(place.state);
    return true;
}

Problem BodyReader::problem() const {
    CHECK(state_ > State::Done);
    if (state_ == State::TooLarge)
        return http::problem("too_large", "the request's body is larger than allowed here");
    if (state_ == State::TrailersTooLarge)
        return http::problem("headers_too_large", "the body's trailers have more than 4096 bytes");
    return http::problem("bad_request", "the body is not well chunked");
}

} // namespace fanhorn::http
