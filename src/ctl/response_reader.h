// SPDX-License-Identifier: Apache-2.0
// Takes one HTTP/1.1 response off the wire (RFC 9112): status, fields, body. No sockets.
#pragma once

#include "http/request.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fanhorn::ctl {

// Feed it what comes; the result does not depend on how the bytes are cut.
class ResponseReader {
  public:
    static constexpr size_t kMaxHeadBytes = 64 << 10;

    // Appends decoded body bytes to body(). False when the peer does not speak HTTP.
    bool feed(std::string_view bytes);
    // The peer closed. False when the response is not whole.
    bool end();

    bool has_head() const { return step_ != Step::Head; }
    bool is_done() const { return step_ == Step::Done; }
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
    bool take_data(Step next);
    bool take_line();
    bool at_line(std::string_view line);

    Step step_ = Step::Head;
    int status_ = 0;
    std::vector<http::Header> headers_;
    std::string rest_; // not yet taken
    std::string body_;
    uint64_t left_ = 0; // of Length or ChunkData
};

} // namespace fanhorn::ctl
