// SPDX-License-Identifier: Apache-2.0
// Messages of HTTP/2 (RFC 9113 section 8) as HTTP/1.1 has them: one parser looks at every request,
// whichever way it came, and one piece of code writes every answer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fanhorn::http {

// A request's header section, field by field, as the head of a request of HTTP/1.1. What is no
// valid field of HTTP/2 must have been refused before.
class RequestText {
  public:
    // Beyond `limit` bytes nothing is kept any more but that it is too large, which whoever reads
    // the head with the same limit will see.
    explicit RequestText(size_t limit) : limit_(limit) {}

    void add(std::string_view name, std::string_view value);
    // The head, once. `has_body`: there is more of the request than its header section. Its
    // connection ends with it: a stream carries one request.
    std::string finish(bool has_body);
    // Whether the body is to be sent in chunks behind it, since its length is not told.
    bool is_chunked() const { return is_chunked_; }
    // Whether it asks for a WebSocket (RFC 8441 section 5), which in HTTP/1.1 is an upgrade: the
    // bytes behind it are not a body.
    bool is_websocket() const { return method_ == "CONNECT" && protocol_ == "websocket"; }

  private:
    void add_pseudo(std::string_view name, std::string_view value);

    const size_t limit_;
    size_t size_ = 0;
    std::string method_, path_, authority_, protocol_, cookies_, fields_;
    bool has_length_ = false, is_chunked_ = false;
};

// An answer's head, for HTTP/2: names in lower case, without the fields that belong to a
// connection of HTTP/1.1 (RFC 9113 section 8.2.2).
struct ResponseHead {
    int status = 0; // of an accepted WebSocket 200 (RFC 8441 section 5)
    std::vector<std::pair<std::string, std::string>> fields;
    bool is_chunked = false; // the body behind it is
    size_t size = 0; // bytes that it took
    bool is_final() const { return status >= 200; }
};

// None while it is not whole. Only for heads that we have written.
std::optional<ResponseHead> read_response_head(std::string_view text);

// A chunk of HTTP/1.1 (RFC 9112 section 7.1); an empty one ends the body.
void append_chunk(std::string& out, std::string_view bytes);

} // namespace fanhorn::http
