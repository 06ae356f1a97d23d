// SPDX-License-Identifier: Apache-2.0
// Takes a request's body off the wire (RFC 9112 sections 6.2 and 7.1).
#pragma once

#include "http/parser.h"
#include "http/problem.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace fanhorn::http {

// Buffers nothing itself. The result does not depend on how the bytes are cut.
class BodyReader {
  public:
    enum class Status : uint8_t { NeedMore, Done, Error };
    struct Step {
        Status status;
        size_t consumed; // the bytes behind belong to the next request
    };

    // No body: done at once.
    BodyReader() = default;
    // More than `limit` bytes of content are an error, as soon as that is known: ask with an empty
    // feed() before answering 100 (Continue). UINT64_MAX for a body that is used as it comes.
    BodyReader(Framing framing, uint64_t length, uint64_t limit);

    // Appends the content to `out`; never more than there are bytes.
    Step feed(std::string_view bytes, std::string& out);
    bool is_done() const { return state_ == State::Done; }
    // After Status::Error.
    Problem problem() const;

    // Where it is, for another process to go on from; never one that has ended.
    struct Place {
        uint64_t left = 0, room = 0;
        uint16_t count = 0;
        uint8_t state = 0;
    };
    Place place() const { return {left_, room_, count_, static_cast<uint8_t>(state_)}; }
    // False, and nothing: there is no such place.
    bool go_on(const Place& place);

  private:
    enum class State : uint8_t {
        Length, // of a known length
        // chunked-body, at what comes next
        SizeStart,
        Size,
        Extension,
        SizeLf,
        Data,
        DataCr,
        DataLf,
        TrailerStart,
        TrailerName,
        TrailerValue,
        TrailerLf,
        LastLf,
        Done,
        TooLarge,
        TrailersTooLarge,
        Malformed,
    };

    size_t take_content(std::string_view bytes, std::string& out);
    State step(char byte);
    State in_size(char byte);
    State in_extension(char byte);
    State at_size_end();
    State in_trailer(char byte);

    uint64_t left_ = 0;  // bytes to come: of the body, or of the chunk
    uint64_t room_ = 0;  // content that may still come
    uint16_t count_ = 0; // size digits, extension bytes, or trailer bytes so far
    State state_ = State::Done;
};

} // namespace fanhorn::http
