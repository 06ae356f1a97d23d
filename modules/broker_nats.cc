// SPDX-License-Identifier: Apache-2.0
// The NATS broker: what it is asked.
#include "modules/broker_nats.h"

#include "base/log.h"
#include "base/random.h"
#include "base/text.h"
#include "modules/broker_local_channel.h"
#include "modules/broker_nats_snapshot.h"
#include "modules/message_record.h"

#include <fstream>
#include <iterator>

namespace fanhorn {

namespace {

// The configuration has looked at it; it may have gone since.
std::string read_file(const std::string& path, std::string& fault) {
    if (path.empty())
        return "";
    std::ifstream file(path, std::ios::binary);
    std::string text{std::istreambuf_iterator<char>(file), {}};
    if (text.empty())
        fault = path + " cannot be read";
    return text;
}

} // namespace

std::string NatsBroker::random_name() {
    uint8_t bytes[8];
    random_bytes(bytes, sizeof bytes);
    return hex_encode(std::span<const uint8_t>(bytes));
}

NatsBroker::NatsBroker(const BrokerSettings& settings, const Seams& seams, const Clock& clock,
                       Counters& counters)
    : LocalBroker(clock, counters), settings_(settings), slack_bytes_(seams.slack_bytes),
      lease_(seams.lease), renews_every_(seams.lease / 3), wall_(seams.wall),
      origin_(wire_clock_.now() - clock.now()), behind_(wall_() - clock.now()),
      self_(random_name()), node_(random_name()) {
    epoch_ = 0;
    if (auto url = parse_nats_url(settings.url))
        peer_.url = *url;
    else
        fault_ = url.error();
    peer_.authorities = read_file(settings.tls_ca, fault_);
    peer_.certificate = read_file(settings.tls_certificate, fault_);
    peer_.key = read_file(settings.tls_key, fault_);
    peer_.stream = settings.prefix;
    peer_.client = "fanhorn";
}

NatsBroker::~NatsBroker() {
    stop();
}

Result<void> NatsBroker::start() {
    if (!fault_.empty())
        return Error{fault_};
    follower_ = std::thread([this] { follow(); });
    sender_ = std::thread([this] { send(); });
    return {};
}

void NatsBroker::stop() {
    if (!follower_.joinable())
        return;
    {
        std::lock_guard lock(queue_mutex_);
        is_stopping_ = true;
        queue_.clear();
        waiting_.clear(); // there is nobody
    }
    is_wanted_.notify_all();
    follower_.join();
    sender_.join();
    std::lock_guard lock(mutex_);
    parked_.clear();
    behind_said_.clear();
}

// To the worker that calls; where none does, at once.
NatsBroker::Home NatsBroker::home() {
    return [box = Mailbox::of_this_thread()](std::function<void()> task) {
        if (box)
            box->post(std::move(task));
        else
            task();
    };
}

void NatsBroker::nudge() {
    {
        std::lock_guard lock(queue_mutex_);
        is_nudged_ = true;
    }
    is_wanted_.notify_all();
}

// ---- asking for one entry

template <typename T>
void NatsBroker::ask(NatsEntry entry, std::function<void(T)> done, T (*pick)(const Outcome&)) {
    auto command = std::make_shared<Command>();
    auto result = std::make_shared<T>();
    command->settle = [result, pick](size_t, const Outcome& outcome) { *result = pick(outcome); };
    command->answer = [result, done = std::move(done)] { done(std::move(*result)); };
    std::vector<NatsEntry> entries;
    entries.push_back(std::move(entry));
    submit(std::move(entries), command);
}

// ---- publishing

// Published: it is to be sent.
std::vector<Published> NatsBroker::admit(const std::vector<Draft>& drafts) {
    std::vector<Published> results(drafts.size());
    std::set<std::string_view> made;
    for (size_t i = 0; i < drafts.size(); ++i) {
        const Draft& draft = drafts[i];
        if (!rules_->settings_for(draft.channel)) {
            results[i].status = Published::Status::NoSection;
            continue;
        }
        if (find(draft.channel) || made.contains(draft.channel) ||
            (!draft.idempotency_key.empty() &&
             keys_.find(draft.channel, draft.idempotency_key, shared_now())))
            continue;
        if (channels_.size() + made.size() < limits_.channels) {
            made.insert(draft.channel);
            continue;
        }
        results[i].status = Published::Status::ChannelsFull;
        reached(Limit::Channels);
    }
    return results;
}

void NatsBroker::publish(std::vector<Draft> drafts,
                         std::function<void(std::vector<Published>)> done) {
    After after;
    auto results = std::make_shared<std::vector<Published>>();
    {
        std::lock_guard lock(mutex_);
        *results = admit(drafts);
        take(after);
    }
    after.run();
    std::vector<NatsEntry> entries;
    std::vector<size_t> indices; // of the drafts
    for (size_t i = 0; i < drafts.size(); ++i) {
        if ((*results)[i].status != Published::Status::Published)
            continue;
        Draft& draft = drafts[i];
        NatsEntry& made = entries.emplace_back(entry(Kind::Message));
        if (!draft.idempotency_key.empty())
            made.content = content_digest(draft);
        made.text = encode_record(draft, made.at);
        made.channel = std::move(draft.channel);
        made.key = std::move(draft.idempotency_key);
        made.c = draft.store ? 1 : 0;
        indices.push_back(i);
    }
    if (entries.empty())
        return done(std::move(*results));
    auto command = std::make_shared<Command>();
    command->settle = [results, indices = std::move(indices)](size_t index,
                                                              const Outcome& outcome) {
        (*results)[indices[index]] = outcome.published;
    };
    command->answer = [results, done = std::move(done)] { done(std::move(*results)); };
    submit(std::move(entries), command);
}

void NatsBroker::remove(const std::string& channel, std::function<void(Removal)> done) {
    NatsEntry made = entry(Kind::Removal);
    made.channel = channel;
    ask<Removal>(std::move(made), std::move(done),
                 [](const Outcome& outcome) { return outcome.removal; });
}

// Nothing where it is to be written. Who has read further has done so for all times.
std::optional<Marked> NatsBroker::judge_mark(const ReadMark& mark) const {
    if (!is_up_ || is_loading_)
        return Marked{Marked::Status::Down, {}};
    if (judge(mark).status != Marked::Status::Moved)
        return std::nullopt; // by what we have seen
    if (const auto seq = markers_.find(mark.user, mark.channel); seq && *seq >= mark.position.seq)
        return Marked{Marked::Status::Kept, {epoch_of(*seq), *seq}};
    return std::nullopt;
}

void NatsBroker::mark(ReadMark mark, std::function<void(Marked)> done) {
    NatsEntry made = entry(Kind::Mark);
    std::optional<Marked> judged;
    {
        std::lock_guard lock(mutex_);
        judged = judge_mark(mark);
        if (is_heard(mark.told.channel) || find(mark.told.channel))
            made.other = mark.told.channel;
    }
    if (judged)
        return done(*judged);
    made.channel = mark.channel;
    made.user = mark.user;
    made.a = mark.position.epoch;
    made.b = mark.position.seq;
    made.text = encode_record(mark.told, made.at);
    ask<Marked>(std::move(made), std::move(done),
                [](const Outcome& outcome) { return outcome.marked; });
}

void NatsBroker::send_user_away(const std::string& user, std::function<void(bool)> done) {
    NatsEntry made = entry(Kind::Away);
    made.user = user;
    ask<bool>(std::move(made), std::move(done),
              [](const Outcome& outcome) { return outcome.is_applied; });
}

// ---- reading

// Under mutex_. Another node may have told of a position that we have not come to.
bool NatsBroker::is_beyond(const Since& since) const {
    return since.kind == Since::Kind::After &&
           (since.position.epoch != epoch_ || since.position.seq > head_);
}

// Before it begins; false: now it cannot.
bool NatsBroker::may_begin(const Since& since) const {
    std::lock_guard lock(mutex_);
    return !is_loading_ && (is_up_ || !is_beyond(since));
}

void NatsBroker::subscribe(size_t worker, std::vector<std::string> channels, Since since,
                           std::function<void(Start)> done) {
    bool is_late = false;
    {
        std::lock_guard lock(mutex_);
        is_late = is_beyond(since);
    }
    auto begin = [this, worker, channels = std::move(channels), since, done = std::move(done)] {
        if (!may_begin(since))
            return done(Start{.status = Start::Status::Down});
        LocalBroker::subscribe(worker, channels, since, done);
        std::lock_guard lock(mutex_);
        note_heard(channels); // it is said as it is found
    };
    if (is_late)
        return behind_all(std::move(begin));
    begin();
}

void NatsBroker::locate(std::vector<std::string> channels, Since since,
                        std::function<void(Start)> done) {
    bool is_late = false;
    {
        std::lock_guard lock(mutex_);
        is_late = is_beyond(since);
    }
    auto begin = [this, channels = std::move(channels), since, done = std::move(done)] {
        if (!may_begin(since))
            return done(Start{.status = Start::Status::Down});
        LocalBroker::locate(channels, since, done);
    };
    if (is_late)
        return behind_all(std::move(begin));
    behind_said(std::move(begin));
}

void NatsBroker::unsubscribe(size_t worker, const std::string& channel) {
    LocalBroker::unsubscribe(worker, channel);
    std::lock_guard lock(mutex_);
    note_heard({channel});
}

// What the reader had is of an epoch before this one: what came between may be lost.
static void tell_of_epoch(Page& page, const std::vector<StretchPart>& parts, Position after) {
    page.gaps.clear();
    for (const StretchPart& part : parts) {
        Gap gap{part.channel, {after.epoch, std::max(part.floor, after.seq)}, {}, Gap::Why::Broker};
        for (auto message = page.messages.rbegin(); message != page.messages.rend(); ++message)
            if ((*message)->channel == part.channel)
                gap.next = (*message)->position;
        page.gaps.push_back(std::move(gap));
    }
}

void NatsBroker::read(Stretch stretch, std::function<void(Page)> done) {
    bool is_down = false;
    {
        std::lock_guard lock(mutex_);
        is_down = is_loading_ && !stretch.may_wait;
        if (is_loading_ && !is_down) {
            auto again = [this, stretch = std::move(stretch), done = std::move(done)]() mutable {
                read(std::move(stretch), std::move(done));
            };
            parked_.push_back(
                [home = home(), again = std::move(again)]() mutable { home(std::move(again)); });
            return;
        }
    }
    if (is_down)
        return done(Page{.is_down = true});
    const Position after{stretch.epoch, stretch.after};
    const std::vector<StretchPart> parts = after.epoch ? stretch.parts : std::vector<StretchPart>();
    LocalBroker::read(std::move(stretch), [&](Page page) {
        if (after.epoch && after.epoch != page.epoch)
            tell_of_epoch(page, parts, after);
        page.rest.epoch = page.epoch;
        done(std::move(page));
    });
}

void NatsBroker::facts(const std::string& channel,
                       std::function<void(std::optional<ChannelFacts>)> done) {
    if (!is_up_)
        return done(std::nullopt);
    LocalBroker::facts(channel, std::move(done));
}

void NatsBroker::list(std::string_view prefix, std::string_view cursor, size_t limit,
                      std::function<void(ChannelList)> done) {
    if (!is_up_)
        return done({});
    LocalBroker::list(prefix, cursor, limit, std::move(done));
}

// The epoch that gave that seq: markers outlive epochs.
uint64_t NatsBroker::epoch_of(uint64_t seq) const {
    uint64_t epoch = epochs_.empty() ? epoch_ : epochs_.front().second;
    for (const auto& [from, its_epoch] : epochs_)
        if (from <= seq)
            epoch = its_epoch;
    return epoch;
}

void NatsBroker::markers(const std::vector<std::string>& channels, const std::string& user,
                         std::function<void(std::vector<Position>)> done) {
    std::vector<Position> found(channels.size());
    {
        std::lock_guard lock(mutex_);
        for (size_t i = 0; i < channels.size() && !is_loading_; ++i)
            if (const auto seq = markers_.find(user, channels[i]))
                found[i] = {epoch_of(*seq), *seq};
    }
    done(std::move(found));
}

Position NatsBroker::pushed() const {
    std::lock_guard lock(position_mutex_);
    return position_;
}

// All nodes' are kept right by whoever keeps clocks right.
void NatsBroker::heed_clock() {
    const Millis by = wall_() - wire_clock_.now() + origin_ - behind();
    if (std::abs(by) <= kClockSlack)
        return;
    behind_ = behind() + by;
    log_event(LogLevel::Notice, "broker_clock", {{"broker", settings_.name}, {"moved_ms", by}});
}

void NatsBroker::tick() {
    heed_clock();
    LocalBroker::tick();
    nudge();
}

namespace {
std::unique_ptr<Broker> create(const BrokerSettings& settings, const Clock& clock,
                               Counters& counters) {
    return std::make_unique<NatsBroker>(settings, NatsBroker::Seams(), clock, counters);
}
} // namespace

extern const BrokerModule broker_nats;
const BrokerModule broker_nats = {"nats", create};

} // namespace fanhorn
