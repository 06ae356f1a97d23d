// SPDX-License-Identifier: Apache-2.0
// Follows channels over Server-Sent Events and comes back where it was.
#include "base/random.h"
#include "base/text.h"
#include "ctl/commands.h"
#include "ctl/event_reader.h"
#include "ctl/json.h"
#include "ctl/json_text.h"

#include <algorithm>
#include <ctime>
#include <optional>
#include <vector>

namespace fanhorn::ctl {

namespace {

constexpr int kSilenceS = 90; // more than three of the daemon's heartbeats: the peer is dead
constexpr uint32_t kFirstPauseMs = 500;
constexpr uint32_t kLongestPauseMs = 30'000;

// What a later try may do away with: a proxy whose daemon restarts answers so too.
bool is_transient(int status) {
    return status == 429 || status == 502 || status == 503 || status == 504;
}

// A string's text; other JSON as it stands.
std::string plain_text(std::string_view value) {
    const bool is_string = value.starts_with('"');
    const auto json = is_string ? parse_json(value) : std::nullopt;
    return json ? json->get<std::string>() : std::string(value);
}

std::string member_text(std::string_view envelope, std::string_view name) {
    return plain_text(raw_member(envelope, name));
}

// The payload of an envelope, without the line end that `echo` and its like put there.
std::string payload_text(std::string_view envelope) {
    const std::string_view data = raw_member(envelope, "data");
    if (data.empty())
        return member_text(envelope, "base64");
    std::string text = plain_text(data);
    if (text.ends_with('\n'))
        text.pop_back();
    return text;
}

class Follower {
  public:
    // `count` messages are waited for; 0: without end.
    Follower(const Arguments& arguments, uint64_t count) : arguments_(arguments), left_(count) {}

    int run() {
        for (uint32_t attempt = 0;; ++attempt) {
            has_heard_ = false;
            const auto response =
                follow(arguments_.daemon, request(), kSilenceS,
                       [this](std::string_view piece) { return on_piece(piece); });
            if (exit_code_)
                return *exit_code_;
            if (response && response->status == 204) // "never come back"
                return kOk;
            const bool is_lost =
                !response || response->status == 200 || is_transient(response->status);
            const std::string why = !response                 ? response.error()
                                    : response->status == 200 ? "the stream ended"
                                                              : problem_text(*response);
            if (!is_lost || !has_ever_heard_ || arguments_.has("no-reconnect"))
                return fail(why);
            if (has_heard_)
                attempt = 0;
            if (attempt == 0)
                warn(why + "; coming back");
            events_.reset();
            pause(attempt, response ? response->retry_after_s : 0);
        }
    }

  private:
    Request request() const {
        Request request;
        request.target = "/sub/";
        for (const std::string_view each : split(arguments_.operands[0], ','))
            request.target.append(request.target.ends_with('/') ? "" : ",")
                .append(http::percent_encode(each));
        request.target += "?transport=sse&envelope=1";
        request.headers = "Accept: text/event-stream\r\n";
        if (!events_.last_id().empty())
            request.headers += "Last-Event-ID: " + events_.last_id() + "\r\n";
        else if (arguments_.has("since"))
            request.target += "&since=" + http::percent_encode(arguments_.option("since"));
        return request;
    }

    // False when nothing more can be done with this connection.
    bool on_piece(std::string_view piece) {
        has_heard_ = has_ever_heard_ = true;
        std::vector<Event> events;
        const bool is_bounded = events_.feed(piece, events);
        for (const Event& event : events)
            if (!on_event(event)) {
                exit_code_ = output_code();
                return false;
            }
        if (!is_bounded) // it would be the next again
            exit_code_ = fail("a message is too long to be shown");
        return is_bounded;
    }

    // False when it is over: the output cannot be written any more, or all has come.
    bool on_event(const Event& event) {
        if (event.type == "end" || event.type == "error") {
            warn(event.type + ": " + event.data);
            return true;
        }
        if (event.type == "gap") {
            warn(gap_text(event.data));
            return !arguments_.has("json") || print_line(event.data);
        }
        return print_message(event.data) && (left_ == 0 || --left_ > 0);
    }

    static std::string gap_text(std::string_view gap) {
        const std::string next = member_text(gap, "next");
        return "gap in " + member_text(gap, "channel") + " after " + member_text(gap, "after") +
               (next == "null" ? "" : ", on with " + next) + ": " + member_text(gap, "why");
    }

    bool print_message(const std::string& envelope) const {
        if (arguments_.has("json"))
            return print_line(envelope);
        const std::string id = arguments_.has("ids") ? member_text(envelope, "id") + '\t' : "";
        return print_line(id + payload_text(envelope));
    }

    // Full jitter, so that many do not come back together. What the daemon asks for counts more:
    // that has its own jitter.
    void pause(uint32_t attempt, uint64_t retry_after_s) const {
        const uint32_t longest = std::min(kLongestPauseMs, kFirstPauseMs << std::min(attempt, 6u));
        uint64_t ms = random_below(longest) + 1;
        if (retry_after_s)
            ms = std::min<uint64_t>(retry_after_s, kLongestPauseMs / 1000) * 1000;
        else if (attempt == 0 && events_.retry_ms())
            ms = std::min(events_.retry_ms(), kLongestPauseMs);
        const timespec time{static_cast<time_t>(ms / 1000),
                            static_cast<long>(ms % 1000) * 1'000'000};
        nanosleep(&time, nullptr);
    }

    const Arguments& arguments_;
    EventReader events_;
    bool has_heard_ = false, has_ever_heard_ = false;
    uint64_t left_;                // messages; 0: without end
    std::optional<int> exit_code_; // once it is over
};

} // namespace

int subscribe(const Arguments& arguments) {
    const auto count = parse_u64(arguments.option("count"));
    if (arguments.has("count") && count.value_or(0) == 0) {
        warn("--count is a number, 1 or more");
        return kUsage;
    }
    return Follower(arguments, count.value_or(0)).run();
}

} // namespace fanhorn::ctl
