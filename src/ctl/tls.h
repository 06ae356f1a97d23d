// SPDX-License-Identifier: Apache-2.0
// Bytes from and to a server, over TLS where its URL says https.
#pragma once

#include "base/result.h"
#include "ctl/endpoint.h"
#include "ctl/socket.h"

#include <memory>
#include <string>
#include <string_view>

struct ssl_st;

namespace fanhorn::ctl {

// Whether that can be shown to a server.
Result<void> check_certificate(const ClientCertificate& own);

class ServerStream {
  public:
    // Shakes hands over what connect_to(url) gave and sends `request`, which may be empty; blocks,
    // for 10 s of silence at most. The certificate is checked against the system's store (or
    // $SSL_CERT_FILE) and the host's name: `is_untrusted` says that this is what went wrong. `own`
    // is shown where the server asks.
    // Nothing blocks then.
    static Result<std::unique_ptr<ServerStream>> open(Result<Socket> socket, const Endpoint& server,
                                                      std::string_view request, bool& is_untrusted);
    ~ServerStream();
    ServerStream(const ServerStream&) = delete;
    ServerStream& operator=(const ServerStream&) = delete;

    int fd() const { return socket_.fd(); }
    // Bytes are here that poll() does not know of.
    bool has_buffered() const;
    // Empty for now, or, with `is_over`, for good: failure() says why, and is empty at an end that
    // the server made.
    std::string_view read(bool& is_over);
    // How many of these went out; an error is for good.
    Result<size_t> send(std::string_view bytes);
    const std::string& failure() const { return failure_; }

  private:
    explicit ServerStream(Socket socket) : socket_(std::move(socket)) {}
    Result<void> start_tls(const Endpoint& server, bool& is_untrusted);
    bool send_all(std::string_view bytes);

    Socket socket_;
    ssl_st* ssl_ = nullptr;
    std::string failure_;
    char buffer_[16384];
};

} // namespace fanhorn::ctl
