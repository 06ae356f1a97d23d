// SPDX-License-Identifier: Apache-2.0
// fanhorn.v1: the commands of a client, one JSON object each, and what is replied.
#pragma once

#include "relay/session.h"
#include "server/command_members.h"
#include "server/publisher.h"

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace fanhorn {

class Connection;
class Rights;
class Worker;

// The session of a connection, or one command that came by POST. On its worker's thread. Kept alive
// by whatever it waits for; once detached nothing is said any more.
class Commands final : public std::enable_shared_from_this<Commands> {
  public:
    // Takes a reply: {"reply","ok"} or {"reply","error"}.
    using Say = std::function<void(std::string_view json)>;

    // `session`: null for one that has none. Both it and `worker` outlive detach().
    Commands(Worker& worker, Session* session, const ConnectionId& connection, Say say);
    ~Commands();
    void detach();

    // Every command is replied to once, at once or later; a fault of it touches nothing else.
    // `rights` are its client's, and are looked at before this returns, as `from` is, its
    // connection. `also` takes a reply of the session's as well, where it came by POST.
    void run(std::string_view text, Rights& rights, const Connection& from,
             const Say& also = nullptr);
    const ConnectionId& connection() const { return connection_; }
    // Whether nothing is waited for.
    bool is_idle() const { return lookups_.empty(); }

  private:
    struct Lookup;
    struct Verb {
        std::string_view name;
        void (Commands::*run)(const std::string& id, const CommandMembers& members);
    };
    static const Verb kVerbs[];

    void tell(std::string_view json, const Say& also) const;
    void ok(const std::string& id, std::string_view body) const;
    void error(const std::string& id, const http::Problem& problem) const;

    void subscribe(const std::string& id, const CommandMembers& members);
    void unsubscribe(const std::string& id, const CommandMembers& members);
    void publish(const std::string& id, const CommandMembers& members);
    void history(const std::string& id, const CommandMembers& members);
    void presence(const std::string& id, const CommandMembers& members);
    void refresh(const std::string& id, const CommandMembers& members);
    void read(const std::string& id, const CommandMembers& members);
    void ping(const std::string& id, const CommandMembers& members);

    std::optional<http::Problem> read_channels(const CommandMembers& members,
                                               std::vector<std::string>& names) const;
    std::optional<http::Problem> read_step(const CommandMembers& members, Session::Step& step);
    std::optional<http::Problem> check_channel(const std::string& name,
                                               const ChannelSettings*& settings) const;
    std::optional<http::Problem> read_channel(const CommandMembers& members, std::string& name,
                                              const ChannelSettings*& settings) const;
    static std::optional<http::Problem>
    find_filter(const CommandMembers& members, const std::vector<std::string>& channels,
                const std::vector<const ChannelSettings*>& settings, FilterRef& filter);
    std::optional<http::Problem> take_token(const CommandMembers& members,
                                            const std::vector<std::string>& channels);
    void on_token();
    static std::optional<http::Problem> read_delta(std::string_view value, Session::Step& step);
    void run_command(std::string_view text);
    std::optional<http::Problem> choose_broker(const Session::Step& step);
    std::optional<http::Problem> read_publish(const CommandMembers& members,
                                              Attempt& attempt) const;
    std::optional<http::Problem> read_lookup(const CommandMembers& members, Wish& wish,
                                             size_t& limit);
    std::optional<http::Problem> read_mark(const CommandMembers& members, ReadMark& mark,
                                           const ChannelSettings*& settings) const;
    std::shared_ptr<std::string> find_markers(const Session::Step& step, bool is_list) const;

    Worker& worker_;
    Session* session_;
    Rights* rights_ = nullptr;         // while a command runs
    const Connection* from_ = nullptr; // then as well
    Say also_;                         // and this
    const ConnectionId connection_;
    Say say_; // null when detached
    std::vector<std::unique_ptr<Lookup>> lookups_;
};

} // namespace fanhorn
