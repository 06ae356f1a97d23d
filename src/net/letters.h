// SPDX-License-Identifier: Apache-2.0
// Letters between two processes on one machine: some bytes, and descriptors with them (SCM_RIGHTS,
// unix(7)); and what is too large for a letter, as a file in memory (memfd_create(2)).
#pragma once

#include "net/socket.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fanhorn {

struct Letter {
    std::string text;
    std::vector<Descriptor> descriptors;
};

// One end of a socket of theirs. Not thread-safe.
class Letters {
  public:
    // Of one letter: the kernel's SCM_MAX_FD is 253.
    static constexpr size_t kMaxDescriptors = 252;
    static constexpr size_t kMaxBytes = 64 << 10;
    // send() waits so long for the other to read.
    static constexpr Millis kSendsWithin = 5000;

    Letters() = default;
    explicit Letters(Descriptor socket);
    // This process's end, and one that a program it starts inherits under its number.
    static Result<Letters> make(Descriptor& of_child);

    Result<void> send(std::string_view text, std::span<const int> descriptors = {});
    // Fails when none comes in time, when the other has gone, and when there is no room for its
    // descriptors.
    Result<Letter> receive(Millis within);
    // Whether that failed for the other's having gone.
    bool is_over() const { return is_over_; }
    int socket() const { return socket_.get(); }

  private:
    Descriptor socket_;
    bool is_over_ = false;
};

Result<Descriptor> make_memory_file(std::string_view text);
Result<std::string> read_memory_file(int fd);

} // namespace fanhorn
