// SPDX-License-Identifier: Apache-2.0
// The Redis broker and its server: reaching it, and what it carries to us.
#include "modules/broker_redis_placing.h"

#include "base/log.h"
#include "base/random.h"
#include "base/text.h"
#include "modules/broker_redis_script.h"
#include "modules/message_record.h"
#include "modules/redis_info.h"

#include <algorithm>

namespace fanhorn {

namespace {

// The script counts in doubles.
constexpr uint64_t kMostSeq = uint64_t{1} << 53;

uint64_t take_number(std::string_view& text) {
    return parse_u64(take_until(text, ' ')).value_or(0);
}

std::string escape_for_glob(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (std::string_view("?*[]\\").find(c) != std::string_view::npos)
            out += '\\';
        out += c;
    }
    return out;
}

// What Redis means by the pattern, or more: what it sends is looked at again.
std::string glob_of(const Pattern& pattern) {
    std::string glob;
    for (const Pattern::Segment& segment : pattern.segments()) {
        glob +=
            segment.kind == Pattern::Segment::Kind::Literal ? escape_for_glob(segment.text) : "*";
        if (segment.end)
            glob += segment.end;
    }
    return glob;
}

} // namespace

// ---- reaching it

void RedisBroker::make_connections() {
    const auto lost = [this](std::string_view reason) { lose_server(reason); };
    commands_ = std::make_unique<RedisConnection>(
        *loop_, wire_clock_, RedisConnection::Events{[this] { on_commands_open(); }, lost, nullptr},
        settings_.commands);
    carrier_ = std::make_unique<RedisConnection>(
        *loop_, wire_clock_,
        RedisConnection::Events{[this] { on_carrier_open(); }, lost,
                                [this](const RedisReply& reply) { on_carried(reply); }});
    route_ = std::make_unique<RedisRoute>(
        *loop_, wire_clock_, settings_,
        RedisRoute::Events{[this](const RedisPeer& peer) { on_found(peer); }, lost});
}

void RedisBroker::connect() {
    stage_ = Stage::Finding;
    run_id_.clear();
    carrier_run_id_.clear();
    script_.clear();
    route_->find();
}

void RedisBroker::on_found(const RedisPeer& peer) {
    stage_ = Stage::Greeting;
    progress_at_ = wire_clock_.now();
    peer_ = peer;
    commands_->open(peer_);
    carrier_->open(peer_);
}

// Who waits for a subscription is told; who reads is served when the server is back.
void RedisBroker::lose_server(std::string_view reason) {
    if (stage_ == Stage::Away || is_stopped_)
        return;
    if (is_up_.exchange(false) || told_reason_ != reason)
        log_event(LogLevel::Error, "broker_down",
                  {{"broker", settings_.name}, {"reason", reason}, {"retry_ms", pause_}});
    told_reason_ = reason;
    stage_ = Stage::Away;
    route_->note(reason);
    retry_at_ =
        wire_clock_.now() + static_cast<Millis>(random_below(static_cast<uint32_t>(pause_))) + 1;
    pause_ = std::min(2 * pause_, kMostPause);
    commands_->close();
    carrier_->close();
    route_->close();
    const auto placing = std::exchange(placing_, {});
    for (const auto& [word, each] : placing)
        give_up(*each, Start::Status::Down);
    awaited_.clear();
    std::vector<Topic*> topics;
    for (const auto& topic : topics_)
        topics.push_back(topic.get());
    for (Topic* topic : topics) {
        topic->confirming = 0;
        topic->waiting.clear();
        drop_if_unused(*topic);
    }
    for (const auto& task : std::exchange(parked_, {})) // who does not stay is told
        task();
}

void RedisBroker::on_commands_open() {
    const auto must = [this](const std::vector<std::string>& words, auto&& take) {
        commands_->ask(words, [this, take](const RedisReply& reply) {
            if (reply.is_error())
                return lose_server(reply.text().empty() ? "the connection broke" : reply.text());
            take(reply);
            join_if_greeted();
        });
    };
    if (settings_.mode == RedisMode::Cluster) // or who has our keys
        must({"EXISTS", base_ + "meta"}, [](const RedisReply&) {});
    must({"INFO"}, [this](const RedisReply& reply) { on_info(reply); });
    must({"TIME"}, [this, at = wire_clock_.now()](const RedisReply& reply) {
        heed_clock(static_cast<Millis>(reply[0].number() * 1000 + reply[1].number() / 1000), at);
    });
    must({"SCRIPT", "LOAD", std::string(redis_script())},
         [this](const RedisReply& reply) { script_ = reply.text(); });
}

void RedisBroker::on_info(const RedisReply& reply) {
    const RedisInfo info = parse_info(reply.text());
    if (const std::string why = unfit_because(info); !why.empty())
        return lose_server(why);
    run_id_ = info.run_id;
    is_sharded_ = base_.starts_with('{') && info.major >= 7;
}

// A name may stand for several servers.
void RedisBroker::on_carrier_open() {
    const std::vector<std::string> info = {"INFO", "server"};
    carrier_->ask(info, [this](const RedisReply& reply) {
        if (reply.is_error())
            return lose_server(reply.text().empty() ? "the connection broke" : reply.text());
        carrier_run_id_ = parse_info(reply.text()).run_id;
        join_if_greeted();
    });
}

void RedisBroker::join_if_greeted() {
    if (stage_ != Stage::Greeting || carrier_run_id_.empty() || run_id_.empty() || script_.empty())
        return;
    if (carrier_run_id_ != run_id_)
        return lose_server("two connections reach two servers: name one of them");
    join_server();
}

// Everything that is wanted here is subscribed to again.
void RedisBroker::join_server() {
    stage_ = Stage::Joining;
    progress_at_ = wire_clock_.now();
    joining_ = 1;
    to_join_.clear();
    for (const auto& topic : topics_)
        to_join_.push_back(topic->name);
    const std::vector<std::string> inbox = {wanting(false, true), inbox_};
    carrier_->ask(inbox, nullptr);
    join_some();
}

// Some at once, whatever there are: the server's answers bring the next.
void RedisBroker::join_some() {
    while (joining_ < kMostJoining && !to_join_.empty()) {
        const auto found = topics_.find(std::string_view(to_join_.back()));
        to_join_.pop_back();
        if (found == topics_.end())
            continue;
        ask_for(**found);
        ++joining_;
    }
}

// What was carried before the word is in the history; what comes behind it is new.
void RedisBroker::catch_up() {
    stage_ = Stage::CatchingUp;
    progress_at_ = wire_clock_.now();
    word_ = next_word();
    Words words = {inbox_, word_, "0", "latest", "0", "0", "0"};
    call("subscribe", std::move(words), [this](const RedisReply& reply) {
        if (reply.is_error())
            lose_server(reply.text().empty() ? "the connection broke" : reply.text());
    });
}

void RedisBroker::on_caught_up(uint64_t epoch, uint64_t head) {
    if (epoch_ && epoch != epoch_)
        log_event(
            LogLevel::Warning, "broker_epoch",
            {{"broker", settings_.name}, {"reason", "another server, or one that lost its data"}});
    epoch_ = epoch;
    seen_ = std::max(seen_, head);
    known_ = std::max(known_, seen_);
    for (const auto& topic : topics_)
        notify(*topic, Notice::Kind::Lost, head);
    stage_ = Stage::Up;
    tell_pushed();
    is_up_ = true;
    told_reason_.clear();
    pause_ = kLeastPause;
    log_event(LogLevel::Notice, "broker_up", {{"broker", settings_.name}});
    say_all_again();
    run_parked();
}

void RedisBroker::look_after() {
    const Millis now = wire_clock_.now();
    if (stage_ == Stage::Away && now >= retry_at_)
        connect();
    commands_->tick();
    carrier_->tick();
    route_->tick();
    if (std::exchange(is_carrier_full_, false))
        lose_server("it does not take what it is asked to carry");
    const bool is_under_way =
        stage_ == Stage::Greeting || stage_ == Stage::Joining || stage_ == Stage::CatchingUp;
    if (is_under_way && now >= progress_at_ + kComesOnWithin)
        lose_server(stage_ == Stage::CatchingUp ? "what it publishes does not reach us"
                                                : "it does not answer what it is asked");
    if (now < asked_at_ + 1000)
        return;
    asked_at_ = now;
    static const std::vector<std::string> kPing = {"PING"}, kInfo = {"INFO"};
    carrier_->ask(kPing, nullptr);
    commands_->ask(kInfo, [this](const RedisReply& reply) { // it may become unfit
        const std::string why = unfit_because(parse_info(reply.text()));
        if (!why.empty() && !reply.is_error())
            lose_server(why);
    });
    run_parked();
}

// What the server was away, or too busy, for.
void RedisBroker::run_parked() {
    if (stage_ == Stage::Up)
        for (const auto& task : std::exchange(parked_, {}))
            task();
}

// ---- asking it

void RedisBroker::call(std::string_view command, Words words,
                       const RedisConnection::Answer& answer) {
    Words all = {"EVALSHA",
                 script_,
                 "1",
                 base_,
                 std::string(command),
                 run_id_,
                 std::to_string(random_epoch()), // should one begin with this
                 std::to_string(known_),
                 std::to_string(shared_now())};
    std::move(words.begin(), words.end(), std::back_inserter(all));
    const bool is_ready = stage_ == Stage::Up || stage_ == Stage::CatchingUp;
    const auto hear = [this, answer](const RedisReply& reply) {
        answer(reply);
        if (reply.is_error() && !reply.text().empty())
            on_refusal(reply.text());
    };
    if (is_ready && commands_->ask(all, hear))
        return;
    if (is_ready)
        counters_.hit(Limit::Commands);
    answer(RedisReply(nullptr));
}

// Another server, or this one anew, may do what this one does not.
void RedisBroker::on_refusal(std::string_view error) {
    static constexpr std::string_view kElsewhere[] = {
        "NOSCRIPT", "READONLY", "MOVED", "ASK", "LOADING", "CLUSTERDOWN", "TRYAGAIN", "MASTERDOWN"};
    for (const std::string_view kind : kElsewhere)
        if (error.starts_with(kind) ||
            error.find("-" + std::string(kind) + " ") != error.npos) // 6.2 has it within
            return lose_server(error);
    log_event(LogLevel::Error, "broker_refused", {{"broker", settings_.name}, {"reason", error}});
}

// A reply of another epoch than ours: what is wanted here is to be read again.
void RedisBroker::check_epoch(const RedisReply& reply) {
    if (stage_ == Stage::Up && reply.size() > 0 && reply[0].number() != epoch_)
        catch_up();
}

std::string RedisBroker::next_word() {
    return std::to_string(++words_);
}

void RedisBroker::ask_for(Topic& topic) {
    ++topic.confirming;
    const std::vector<std::string> words = {wanting(topic.pattern.has_value(), true),
                                            key_of(topic)};
    is_carrier_full_ |= !carrier_->ask(words, nullptr);
}

// The command. Shards know no patterns.
std::string RedisBroker::wanting(bool is_pattern, bool is_wanted) const {
    const std::string_view kind = is_pattern ? "P" : is_sharded_ ? "S" : "";
    return std::string(kind) + (is_wanted ? "SUBSCRIBE" : "UNSUBSCRIBE");
}

std::string RedisBroker::key_of(const Topic& topic) const {
    return topic.pattern ? escape_for_glob(base_ + "m:") + glob_of(*topic.pattern)
                         : base_ + "m:" + topic.name;
}

// ---- what it carries

void RedisBroker::on_carried(const RedisReply& reply) {
    const std::string_view kind = reply[0].text();
    if (kind == "message" || kind == "smessage")
        on_message(reply[1].text(), reply[2].text());
    else if (kind == "pmessage")
        on_message(reply[2].text(), reply[3].text());
    else if (kind == "subscribe" || kind == "ssubscribe" || kind == "psubscribe")
        on_confirmed(reply[1].text(), kind == "psubscribe");
    else if (kind == "sunsubscribe" && reply[1].text() == inbox_)
        lose_server("it does not have the slot of our keys any more");
    else if (reply.is_error())
        lose_server(reply.text());
}

void RedisBroker::on_confirmed(std::string_view key, bool is_pattern) {
    std::vector<std::shared_ptr<Placing>> waiting;
    std::vector<std::string> names;
    for (Topic* topic : confirming_topics(key, is_pattern)) {
        if (topic->confirming == 0 || --topic->confirming > 0)
            continue;
        names.push_back(topic->name);
        std::move(topic->waiting.begin(), topic->waiting.end(), std::back_inserter(waiting));
        topic->waiting.clear();
    }
    for (const auto& placing : waiting) // one that cannot be asked for gives its topics up
        place_if_confirmed(placing);
    for (const std::string& name : names)
        if (const auto found = topics_.find(std::string_view(name)); found != topics_.end())
            drop_if_unused(**found);
    if (stage_ != Stage::Joining)
        return;
    --joining_;
    progress_at_ = wire_clock_.now();
    join_some();
    if (joining_ == 0)
        catch_up();
}

std::vector<RedisBroker::Topic*> RedisBroker::confirming_topics(std::string_view key,
                                                                bool is_pattern) const {
    std::vector<Topic*> found;
    if (is_pattern) {
        for (Topic* topic : wildcards_)
            if (key == key_of(*topic))
                found.push_back(topic);
        return found;
    }
    const std::string prefix = base_ + "m:";
    if (key.starts_with(prefix))
        if (const auto named = topics_.find(key.substr(prefix.size())); named != topics_.end())
            found.push_back(named->get());
    return found;
}

void RedisBroker::on_message(std::string_view key, std::string_view text) {
    if (key == inbox_)
        return on_word(text);
    const std::string prefix = base_ + "m:";
    if (!key.starts_with(prefix) || stage_ != Stage::Up)
        return;
    const std::string_view kind = take_until(text, ' ');
    Position position;
    position.epoch = take_number(text);
    position.seq = take_number(text);
    const uint64_t n = take_number(text);
    if ((kind != "m" && kind != "e") || position.seq >= kMostSeq) // somebody else's words
        return log_event(LogLevel::Error, "broker_record",
                         {{"broker", settings_.name}, {"channel", key.substr(prefix.size())}});
    if (position.epoch != epoch_)
        return catch_up();
    if (position.seq <= seen_) // a wildcard's copy of it
        return;
    const std::string channel(key.substr(prefix.size()));
    if (kind == "e")
        end_channel(channel, position.seq);
    else if (const MessageRef message = decode_record(text, channel, position, n, behind()))
        deliver(channel, message);
    else
        lose_record(channel, position.seq);
    seen_ = position.seq;
    known_ = std::max(known_, seen_);
}

// One that the script carried to us in the step in which it answered.
void RedisBroker::on_word(std::string_view text) {
    take_until(text, ' ');
    const uint64_t epoch = take_number(text), head = take_number(text);
    if (head >= kMostSeq)
        return;
    known_ = std::max(known_, head);
    if (stage_ == Stage::CatchingUp && text == word_)
        return on_caught_up(epoch, head);
    if (stage_ == Stage::Up && epoch != epoch_)
        catch_up();
    if (stage_ == Stage::Up)
        seen_ = std::max(seen_, head);
    const auto found = placing_.find(std::string(text));
    if (found == placing_.end())
        return;
    const std::shared_ptr<Placing> placing = found->second;
    placing->is_carried = true;
    if (placing->start)
        return settle(*placing);
    awaited_ = placing->word; // what comes behind it is for whom the answer is
    carrier_->pause();
}

template <typename Mail> void RedisBroker::push(uint16_t worker, Mail&& mail) {
    Mailbox* box = crew_[worker]->box;
    if (box->push(std::forward<Mail>(mail)) &&
        std::find(filled_.begin(), filled_.end(), box) == filled_.end())
        filled_.push_back(box);
}

void RedisBroker::deliver(const std::string& channel, const MessageRef& message) {
    std::u16string reached;
    each_topic_of(channel, [&](const Topic& topic) {
        for (const uint16_t worker : topic.wanted) {
            if (reached.find(worker) != reached.npos)
                continue;
            reached.push_back(worker);
            push(worker, message);
        }
    });
}

void RedisBroker::notify(const Topic& topic, Notice::Kind kind, uint64_t seq) {
    for (const uint16_t worker : topic.wanted) {
        auto notice = std::make_unique<Notice>();
        notice->kind = kind;
        notice->channel = topic.name;
        notice->seq = seq;
        push(worker, std::move(notice));
    }
}

// What cannot be read cannot be delivered: who reads the history is told so.
void RedisBroker::lose_record(const std::string& channel, uint64_t seq) {
    log_event(LogLevel::Error, "broker_record", {{"broker", settings_.name}, {"channel", channel}});
    each_topic_of(channel, [&](const Topic& topic) { notify(topic, Notice::Kind::Lost, seq); });
}

void RedisBroker::end_channel(const std::string& channel, uint64_t seq) {
    const auto found = topics_.find(std::string_view(channel));
    if (found == topics_.end())
        return;
    notify(**found, Notice::Kind::Ended, seq);
}

} // namespace fanhorn
