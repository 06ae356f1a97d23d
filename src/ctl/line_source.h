// SPDX-License-Identifier: Apache-2.0
// A bridge's messages from a file or standard input, one a line.
#pragma once

#include "ctl/bridge_source.h"

namespace fanhorn::ctl {

class LineSource final : public Source {
  public:
    // A file's name, or - for standard input. failure() says so where it cannot be opened.
    explicit LineSource(const std::string& name);
    ~LineSource() override;

    int fd() const override { return fd_; }
    int due_in_ms(Millis) const override { return -1; }
    void turn(Millis now, std::vector<Event>& events) override;
    bool is_over() const override { return is_over_; }
    const std::string& failure() const override { return failure_; }

  private:
    void end(std::string failure);
    void end_line(std::vector<Event>& events);

    std::string name_;
    int fd_;
    std::string line_; // so far
    bool is_over_ = false;
    std::string failure_;
};

} // namespace fanhorn::ctl
