// SPDX-License-Identifier: Apache-2.0
// From a request or a JSON object to a message in a broker, and back to what the publisher is told.
#pragma once

#include "base/json.h"
#include "http/problem.h"
#include "http/request.h"
#include "relay/broker.h"
#include "relay/observer.h"
#include "server/directory.h"
#include "server/memory_watch.h"

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fanhorn {

// One message on its way: a checked draft, or why there is none; then what became of it.
struct Attempt {
    std::string channel;
    Draft draft;
    std::optional<http::Problem> problem;
    Published published;
};
using Attempts = std::vector<Attempt>;

// The options of a raw publish: query parameters, or headers `Fanhorn-NAME`. Sets what is given in
// `draft`; what is wrong with them otherwise.
std::optional<http::Problem> read_options(const http::Request& request, Draft& draft);

// 32 hex digits.
std::optional<ConnectionId> parse_connection(std::string_view text);
// Takes a number of seconds, or a duration like 500ms, 10s, 5m, 2h, 7d.
std::optional<Millis> parse_ttl(std::string_view text);
std::optional<http::Problem> set_event(std::string_view event, Draft& draft);
std::optional<http::Problem> set_tags(std::string_view tags, Draft& draft);
std::optional<http::Problem> set_exclude(std::string_view id, Draft& draft);

// One object of a batch, or a line of NDJSON.
Attempt read_message(std::string_view json);
// The same, already taken apart.
Attempt read_message(const std::vector<JsonPart>& members);
// {"messages":[…]}. A problem when it is not that.
std::optional<http::Problem> read_batch(std::string_view json, Attempts& attempts);

// Belongs to a worker.
class Publisher {
  public:
    // `observer` may be null.
    Publisher(const Directory& directory, Counters& counters, const MemoryWatch& memory,
              Observer* observer)
        : directory_(directory), counters_(counters), memory_(memory), observer_(observer) {}

    // Hands those without a problem to their brokers. `done` runs on this worker, perhaps before
    // the call returns, when all have been answered.
    void publish(Attempts attempts, std::function<void(Attempts)> done);
    // The same for one.
    void publish_one(Attempt&& attempt, std::function<void(const Attempt&)> done);

    Counters& counters() { return counters_; }

  private:
    const ChannelSettings* check(Attempt& attempt);
    void settle(Attempt& attempt, const Published& published);

    const Directory& directory_;
    Counters& counters_;
    const MemoryWatch& memory_;
    Observer* const observer_;
};

// Of a result; a reserve that is usually enough.
inline constexpr size_t kUsualResultBytes = 128;
// {"id","n","subscribers"}, with "channel" first where `with_channel`; or the problem's object.
void append_attempt(std::string& out, const Attempt& attempt, bool with_channel);
std::string attempt_json(const Attempt& attempt, bool with_channel);

} // namespace fanhorn
