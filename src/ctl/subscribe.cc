// SPDX-License-Identifier: Apache-2.0
// Follows channels over Server-Sent Events and comes back where it was.
#include "base/random.h"
#include "base/text.h"
#include "ctl/commands.h"
#include "ctl/event_reader.h"
#include "ctl/json.h"

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

// The payload of an envelope, without the line end that `echo` and its like put there.
std::string payload_text(const Json& message) {
    const auto data = message.find("data");
    if (data == message.end())
        return text_member(message, "base64");
    if (!data->is_string())
        return data->dump(-1, ' ', false, Json::error_handler_t::replace);
    std::string text = data->get<std::string>();
    if (text.ends_with('\n'))
        text.pop_back();
    return text;
}

class Follower {
  public:
    explicit Follower(const Arguments& arguments) : arguments_(arguments) {}

    int run() {
        for (uint32_t attempt = 0;; ++attempt) {
            has_heard_ = false;
            const auto response =
                follow(arguments_.url, request(), kSilenceS,
                       [this](std::string_view piece) { return on_piece(piece); });
            if (exit_code_)
                return *exit_code_;
            const bool is_lost =
                !response || response->status == 200 || is_transient(response->status);
            const std::string why = !response                 ? response.error()
                                    : response->status == 200 ? "the stream ended"
                                                              : problem_text(*response);
            if (!is_lost || !has_ever_heard_)
                return fail(why);
            if (has_heard_)
                attempt = 0;
            if (attempt == 0)
                warn(why + "; coming back");
            events_.reset();
            pause(attempt);
        }
    }

  private:
    Request request() const {
        Request request;
        request.target = "/sub/";
        for (const std::string_view each : split(arguments_.operands[0], ','))
            request.target.append(request.target.ends_with('/') ? "" : ",")
                .append(percent_encode(each));
        request.target += "?transport=sse&envelope=1";
        request.headers = "Accept: text/event-stream\r\n";
        if (!events_.last_id().empty())
            request.headers += "Last-Event-ID: " + events_.last_id() + "\r\n";
        else if (arguments_.has("since"))
            request.target += "&since=" + percent_encode(arguments_.option("since"));
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

    // False when the output cannot be written any more.
    bool on_event(const Event& event) {
        if (event.type == "end" || event.type == "error") {
            warn(event.type + ": " + event.data);
            return true;
        }
        const auto json = parse_json(event.data);
        if (arguments_.has("json") || !json) // nested too deeply to be taken apart
            return print_line(event.data);
        if (event.type == "gap") {
            warn("gap in " + text_member(*json, "channel") + " after " +
                 text_member(*json, "after") + ": " + text_member(*json, "why"));
            return true;
        }
        return print_line(payload_text(*json));
    }

    // Full jitter, so that many do not come back together; the daemon's own hint counts more.
    void pause(uint32_t attempt) const {
        const uint32_t longest =
            std::min(kLongestPauseMs, kFirstPauseMs << std::min(attempt + 1, 7u));
        const uint32_t ms =
            attempt == 0 && events_.retry_ms() ? events_.retry_ms() : random_below(longest) + 1;
        const timespec time{ms / 1000, static_cast<long>(ms % 1000) * 1'000'000};
        nanosleep(&time, nullptr);
    }

    const Arguments& arguments_;
    EventReader events_;
    bool has_heard_ = false, has_ever_heard_ = false;
    std::optional<int> exit_code_; // once it is over
};

} // namespace

int subscribe(const Arguments& arguments) {
    return Follower(arguments).run();
}

} // namespace fanhorn::ctl
