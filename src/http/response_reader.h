// SPDX-License-Identifier: Apache-2.0
// Takes one HTTP/1.1 response off the wire (RFC 9112): status, fields, body. No sockets.
#pragma once

#include "http/request.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fanhorn::http {

// Of a request that is not HEAD. Feed it what comes; the result does not depend on how the bytes
// are cut. What could be read in two ways is refused: both framings, or two lengths (section 6.3).
class ResponseReader {
  public:
    static constexpr size_t kMaxHeadBytes = 64 << 10;

    // `max_body`: what body() may hold; more is refused.
    explicit ResponseReader(size_t max_body = SIZE_MAX) : max_body_(max_body) {}

    // Appends decoded body bytes to body(). False when the peer does not speak HTTP, or too much.
    bool feed(std::string_view bytes);
    // The peer closed. False when the response is not whole.
    bool end();

    bool has_head() const { return step_ != Step::Head; }
    bool is_done() const { return step_ == Step::Done; }
    // Once it is done: whether the connection may carry another request.
    bool is_kept_alive() const { return keeps_alive_ && rest_.empty(); }
    int status() const { return status_; }
    // The first field of that name in any case, or "".
    std::string header(std::string_view name) const;
    // What has come; the caller may take it.
    std::string& body() { return body_; }

  private:
    enum class Step : uint8_t {
        Head,
        Length,
        UntilClose,
        ChunkSize,
        ChunkData,
        ChunkEnd,
        Trailers,
        Done,
        Bad
    };

    bool take();
    bool take_head();
    bool read_head(std::string_view head);
    bool read_status(std::string_view line);
    bool read_field(std::string_view field);
    bool choose_framing();
    size_t count(std::string_view name) const;
    bool take_data(Step next);
    bool take_line();
    bool at_line(std::string_view line);

    Step step_ = Step::Head;
    int status_ = 0;
    bool keeps_alive_ = false;
    std::vector<Header> headers_;
    std::string rest_; // not yet taken
    std::string body_;
    size_t max_body_;
    uint64_t left_ = 0; // of Length or ChunkData
};

} // namespace fanhorn::http
