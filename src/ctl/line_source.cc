// SPDX-License-Identifier: Apache-2.0
#include "ctl/line_source.h"

#include "base/text.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>
#include <utility>

namespace fanhorn::ctl {

LineSource::LineSource(const std::string& name)
    : name_(name == "-" ? "standard input" : name),
      fd_(name == "-" ? STDIN_FILENO : open(name.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (fd_ < 0)
        end("cannot open " + name_ + ": " + std::strerror(errno));
}

LineSource::~LineSource() {
    if (fd_ > STDIN_FILENO)
        close(fd_);
}

void LineSource::end(std::string failure) {
    is_over_ = true;
    failure_ = std::move(failure);
}

void LineSource::turn(Millis, std::vector<Event>& events) {
    char buffer[16384];
    const ssize_t got = read(fd_, buffer, sizeof buffer);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (got < 0)
        return end("cannot read " + name_ + ": " + std::strerror(errno));
    if (got == 0) {
        end_line(events);
        return end("");
    }
    std::string_view rest(buffer, static_cast<size_t>(got));
    while (rest.find('\n') != rest.npos) {
        line_ += take_until(rest, '\n');
        end_line(events);
    }
    line_ += rest;
    if (line_.size() > kMaxUpstreamBytes)
        end("a line of " + name_ + " is longer than 16 MiB");
}

// Empty lines are between messages, not among them.
void LineSource::end_line(std::vector<Event>& events) {
    std::string line = std::exchange(line_, {});
    if (line.find_first_not_of(" \t\r") != line.npos)
        events.push_back({"", std::move(line)});
}

} // namespace fanhorn::ctl
