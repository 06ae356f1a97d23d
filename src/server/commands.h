// SPDX-License-Identifier: Apache-2.0
// fanhorn.v1: the commands of a client, one JSON object each, and what is replied.
#pragma once

#include "base/json.h"
#include "http/problem.h"
#include "relay/session.h"
#include "server/publisher.h"

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace fanhorn {

class Rights;
class Worker;

// The session of a connection, or one command that came by POST. On its worker's thread. Kept alive
// by whatever it waits for; once detached nothing is said any more.
class Commands final : public std::enable_shared_from_this<Commands> {
  public:
    // Takes a reply: {"reply","ok"} or {"reply","error"}.
    using Say = std::function<void(std::string_view json)>;

    // `session`: null by POST. Both it and `worker` outlive detach().
    Commands(Worker& worker, Session* session, const ConnectionId& connection, Say say);
    ~Commands();
    void detach();

    // Every command is replied to once, at once or later; a fault of it touches nothing else.
    // `rights` are its client's, and are looked at before this returns, as its `socket` is.
    void run(std::string_view text, Rights& rights, int socket);

  private:
    // What stands in a command's object, by name.
    class Members;
    struct Lookup;
    struct Verb {
        std::string_view name;
        void (Commands::*run)(const std::string& id, const Members& members);
    };
    static const Verb kVerbs[];

    void ok(const std::string& id, std::string_view body) const;
    void error(const std::string& id, const http::Problem& problem) const;

    void subscribe(const std::string& id, const Members& members);
    void unsubscribe(const std::string& id, const Members& members);
    void publish(const std::string& id, const Members& members);
    void history(const std::string& id, const Members& members);
    void presence(const std::string& id, const Members& members);
    void refresh(const std::string& id, const Members& members);
    void ping(const std::string& id, const Members& members);

    std::optional<http::Problem> read_channels(const Members& members,
                                               std::vector<std::string>& names) const;
    std::optional<http::Problem> read_step(const Members& members, Session::Step& step);
    std::optional<http::Problem> check_channel(const std::string& name,
                                               const ChannelSettings*& settings) const;
    std::optional<http::Problem> read_channel(const Members& members, std::string& name,
                                              const ChannelSettings*& settings) const;
    static std::optional<http::Problem>
    find_filter(const Members& members, const std::vector<std::string>& channels,
                const std::vector<const ChannelSettings*>& settings, FilterRef& filter);
    std::optional<http::Problem> take_token(const Members& members,
                                            const std::vector<std::string>& channels);
    void know_user();
    static std::optional<http::Problem> read_delta(std::string_view value, Session::Step& step);
    void run_command(std::string_view text);
    std::optional<http::Problem> choose_broker(const Session::Step& step);
    std::optional<http::Problem> read_publish(const Members& members, Attempt& attempt) const;
    std::optional<http::Problem> read_lookup(const Members& members, Wish& wish, size_t& limit);

    Worker& worker_;
    Session* session_;
    Rights* rights_ = nullptr; // while a command runs
    int socket_ = -1;          // then as well
    const ConnectionId connection_;
    Say say_; // null when detached
    std::vector<std::unique_ptr<Lookup>> lookups_;
};

// {"channels":[…],"since":…}: what a POST /sub subscribes to. `since` stays empty where it has
// none.
struct LongList {
    std::vector<std::string> channels;
    std::string since;
};
// A problem when it is not that; nothing in `list` when it is a command.
std::optional<http::Problem> read_long_list(std::string_view json, size_t max_channels,
                                            std::optional<LongList>& list);

} // namespace fanhorn
