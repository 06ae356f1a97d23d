// SPDX-License-Identifier: Apache-2.0
// Follows channels over Server-Sent Events and comes back where it was.
#include "base/random.h"
#include "base/text.h"
#include "ctl/commands.h"
#include "ctl/json.h"

#include <algorithm>
#include <cstdio>
#include <ctime>

namespace fanhorn::ctl {

namespace {

constexpr int kSilenceS = 90; // more than three of the daemon's heartbeats: the peer is dead
constexpr uint32_t kFirstPauseMs = 500;
constexpr uint32_t kLongestPauseMs = 30'000;

// The lines of a text/event-stream (WHATWG HTML section 9.2), as far as our daemon writes them.
class EventReader {
  public:
    // Calls on_event(event, data) for each block with data. False: stop.
    template <typename OnEvent> bool feed(std::string_view bytes, OnEvent on_event) {
        rest_ += bytes;
        size_t end = 0;
        while ((end = rest_.find('\n')) != rest_.npos) {
            const std::string line = rest_.substr(0, end);
            rest_.erase(0, end + 1);
            if (!line.empty()) {
                take(line);
                continue;
            }
            const std::string event = std::move(event_);
            const std::string data = std::move(data_);
            event_.clear();
            data_.clear();
            if (!data.empty() && !on_event(event, data))
                return false;
        }
        return true;
    }
    // A new connection: what was incomplete is void.
    void reset() { rest_.clear(), event_.clear(), data_.clear(); }

    const std::string& last_id() const { return last_id_; }
    uint32_t retry_ms() const { return retry_ms_; }

  private:
    void take(std::string_view line) {
        std::string_view value = line;
        const std::string_view name = take_until(value, ':');
        if (value.starts_with(' '))
            value.remove_prefix(1);
        if (name == "id")
            last_id_ = value;
        else if (name == "event")
            event_ = value;
        else if (name == "data")
            data_.append(data_.empty() ? "" : "\n").append(value);
        else if (name == "retry")
            retry_ms_ = static_cast<uint32_t>(
                std::min<uint64_t>(parse_u64(value).value_or(0), kLongestPauseMs));
    }

    std::string rest_, event_, data_, last_id_;
    uint32_t retry_ms_ = 0;
};

// The payload of an envelope in one line.
std::string payload_text(const Json& message) {
    if (const auto data = message.find("data"); data != message.end())
        return data->is_string() ? data->get<std::string>()
                                 : data->dump(-1, ' ', false, Json::error_handler_t::replace);
    return text_member(message, "base64");
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
            if (is_over_)
                return kOk;
            if (response && response->status != 200 && response->status != 503)
                return fail(problem_text(*response));
            if (!response && !has_ever_heard_)
                return fail(response.error());
            events_.reset();
            if (has_heard_)
                attempt = 0;
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
        const std::string since =
            events_.last_id().empty() ? arguments_.option("since") : events_.last_id();
        if (!since.empty())
            request.target += "&since=" + percent_encode(since);
        return request;
    }

    bool on_piece(std::string_view piece) {
        has_heard_ = has_ever_heard_ = true;
        const bool go_on =
            events_.feed(piece, [this](const std::string& event, const std::string& data) {
                return on_event(event, data);
            });
        is_over_ |= !go_on;
        return go_on;
    }

    // False when nobody reads our output any more.
    bool on_event(const std::string& event, const std::string& data) {
        const auto json = parse_json(data);
        if (!json)
            return true;
        if (event == "gap") {
            if (arguments_.has("json"))
                return print_line(data);
            fprintf(stderr, "fanhornctl: gap in %s after %s: %s\n",
                    escape_for_log(text_member(*json, "channel")).c_str(),
                    escape_for_log(text_member(*json, "after")).c_str(),
                    escape_for_log(text_member(*json, "why")).c_str());
            return true;
        }
        if (event == "end" || event == "error") {
            fprintf(stderr, "fanhornctl: %s: %s\n", event.c_str(), escape_for_log(data).c_str());
            return true;
        }
        return print_line(arguments_.has("json") ? data : payload_text(*json));
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
    bool has_heard_ = false, has_ever_heard_ = false, is_over_ = false;
};

} // namespace

int subscribe(const Arguments& arguments) {
    return Follower(arguments).run();
}

} // namespace fanhorn::ctl
