// SPDX-License-Identifier: Apache-2.0
// Bytes from and to a server, over TLS where its URL says https.
#pragma once

#include "base/result.h"
#include "ctl/socket.h"
#include "http/url.h"

#include <memory>
#include <string_view>
#include <sys/types.h>

struct ssl_st;

namespace fanhorn::ctl {

class ServerStream {
  public:
    // Connects, shakes hands and sends `request`; blocks, for 10 s of silence at most. The
    // certificate is checked against the system's store (or $SSL_CERT_FILE) and the host's name:
    // `is_untrusted` says that this is what went wrong. Reading does not block then.
    static Result<std::unique_ptr<ServerStream>> open(const http::Upstream& upstream,
                                                      std::string_view request, bool& is_untrusted);
    ~ServerStream();
    ServerStream(const ServerStream&) = delete;
    ServerStream& operator=(const ServerStream&) = delete;

    int fd() const { return socket_.fd(); }
    // Bytes are here that poll() does not know of.
    bool has_buffered() const;
    // Empty for now, or, with `is_over`, for good.
    std::string_view read(bool& is_over);

  private:
    explicit ServerStream(Socket socket) : socket_(std::move(socket)) {}
    Result<void> start_tls(const http::Upstream& upstream, bool& is_untrusted);
    bool send_all(std::string_view bytes);

    Socket socket_;
    ssl_st* ssl_ = nullptr;
    char buffer_[16384];
};

} // namespace fanhorn::ctl
