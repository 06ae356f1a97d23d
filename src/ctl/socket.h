// SPDX-License-Identifier: Apache-2.0
// A connection to a daemon.
#pragma once

#include "base/result.h"
#include "http/url.h"

#include <utility>

namespace fanhorn::ctl {

// Owns its descriptor.
class Socket {
  public:
    explicit Socket(int fd) : fd_(fd) {}
    Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Socket& operator=(Socket&&) = delete;
    ~Socket();

    int fd() const { return fd_; }

  private:
    int fd_;
};

// The first address that answers; each has 5 s.
Result<Socket> connect_to(const http::Url& url);
// The same, and its error asks whether the daemon is there.
Result<Socket> connect_to_daemon(const http::Url& url);

} // namespace fanhorn::ctl
