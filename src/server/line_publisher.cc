// SPDX-License-Identifier: Apache-2.0
#include "server/line_publisher.h"

#include "base/text.h"
#include "server/auth.h"

namespace fanhorn {

namespace {

// Lines that take the sequencer once: many, and few enough to stay in the processor's cache.
constexpr size_t kLinesAtOnce = 64;

void add_line(Attempts& attempts, std::string_view line) {
    if (trim_blanks(line).empty() || line == "\r")
        return;
    if (attempts.empty())
        attempts.reserve(kLinesAtOnce);
    attempts.push_back(read_message(line));
}

} // namespace

LinePublisher::Status LinePublisher::feed(std::string_view bytes,
                                          const std::function<void(std::string)>& done) {
    Attempts attempts;
    Status status = Status::Ok;
    while (!bytes.empty()) {
        const size_t end = bytes.find('\n');
        const std::string_view piece = bytes.substr(0, end);
        if (rest_.size() + piece.size() > max_line_) {
            status = Status::TooLong;
            break;
        }
        if (end == bytes.npos) {
            rest_ += piece;
            break;
        }
        bytes.remove_prefix(end + 1);
        if (rest_.empty()) {
            add_line(attempts, piece);
        } else {
            rest_ += piece;
            add_line(attempts, rest_);
            rest_.clear();
        }
        if (attempts.size() == kLinesAtOnce)
            publish(std::exchange(attempts, {}), done);
    }
    publish(std::move(attempts), done);
    return status;
}

void LinePublisher::finish(const std::function<void(std::string)>& done) {
    Attempts attempts;
    add_line(attempts, rest_);
    rest_.clear();
    publish(std::move(attempts), done);
}

void LinePublisher::publish(Attempts attempts, const std::function<void(std::string)>& done) {
    if (attempts.empty())
        return;
    check_attempts(identity_.get(), attempts, publisher_.counters());
    ++*open_;
    publisher_.publish(std::move(attempts), [open = open_, done](const Attempts& results) {
        --*open;
        std::string lines;
        lines.reserve(results.size() * kUsualResultBytes);
        for (const Attempt& result : results) {
            append_attempt(lines, result, true);
            lines += '\n';
        }
        done(std::move(lines));
    });
}

} // namespace fanhorn
