// SPDX-License-Identifier: Apache-2.0
// The request side of HTTP/1.1, strict: what two readers could understand differently is refused
// (RFC 9112 section 11), and the connection is not used any more.
#pragma once

#include "http/problem.h"
#include "http/request.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

namespace fanhorn::http {

struct ParserLimits {
    size_t head_size = 16 << 10; // request line and fields with their line ends; 431
    size_t uri_size = 8 << 10;   // request target; 414
    uint32_t header_count = 100; // fields; 431
};

// How the body is delimited (RFC 9112 section 6.3).
enum class Framing : uint8_t { None, Length, Chunked };

struct Head {
    Request request;
    Framing framing = Framing::None;
    uint64_t length = 0; // of Length, never 0
};

// Feed it what comes from the socket; it copies only what it needs of a head that is not complete
// yet. The result does not depend on how the bytes are cut.
//
//   idle -> feed() -> NeedMore ... -> Head: head(), the body's bytes go elsewhere; idle again
//                              ... -> Error: problem(), then nothing more
//
// One request after the other is read into the same memory.
class RequestParser {
  public:
    enum class Status : uint8_t { NeedMore, Head, Error };
    struct Step {
        Status status;
        size_t consumed; // the bytes behind belong to the body or to the next request
    };

    // The limits must outlive the parser.
    explicit RequestParser(const ParserLimits& limits);
    ~RequestParser();
    RequestParser(RequestParser&&) noexcept;
    RequestParser& operator=(RequestParser&&) noexcept;

    Step feed(std::string_view bytes);
    // After Status::Head, until the next feed(). It may be changed, or moved away.
    Head& head();
    // After Status::Error.
    const Problem& problem() const;
    // Whether no byte of the next request has come.
    bool is_idle() const { return is_idle_; }
    // Nor the one empty line that may stand before it.
    bool is_new() const { return is_idle_ && !skipped_empty_line_; }
    // As a new one, but for its memory.
    void restart();

  private:
    class Partial;

    const ParserLimits* limits_;
    std::unique_ptr<Partial> partial_; // the head that is coming, or the last one
    bool is_idle_ = true;
    bool skipped_empty_line_ = false;
};

} // namespace fanhorn::http
