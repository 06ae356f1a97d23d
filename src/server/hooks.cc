// SPDX-License-Identifier: Apache-2.0
#include "server/hooks.h"

#include "base/check.h"
#include "base/log.h"
#include "base/random.h"
#include "base/text.h"
#include "modules/packed_fields.h"
#include "server/words.h"

#include <algorithm>

namespace fanhorn {

namespace {

using Kind = Census::Kind;

// Of those who have gone, told under one lock, and of these in one tick.
constexpr size_t kSlice = 256, kSlicesPerTick = 100;

HookQueue::Bounds bounds_of(const HookSettings& settings) {
    return {.batch_events = settings.batch_events,
            .batch_bytes = settings.batch_bytes,
            .delay = settings.delay,
            .events = settings.queue_events,
            .bytes = settings.queue_bytes,
            .age = settings.queue_age};
}

std::string new_start() {
    char bytes[8];
    random_bytes(bytes, sizeof bytes);
    return hex_encode(std::string_view(bytes, sizeof bytes));
}

HookEvent event_of(Kind kind, bool is_here) {
    switch (kind) {
    case Kind::Channel:
        return is_here ? HookEvent::Occupied : HookEvent::Vacated;
    case Kind::User:
        return is_here ? HookEvent::Connected : HookEvent::Disconnected;
    case Kind::Attendee:
        break;
    }
    return is_here ? HookEvent::Joined : HookEvent::Left;
}

void append_member(std::string& json, std::string_view name, std::string_view text) {
    if (text.empty())
        return;
    json.append(",\"").append(name).append("\":");
    append_json_string(json, text);
}

// The members of an event's object but its id.
std::string members_of(HookEvent event, const Census::Who& who) {
    static const std::vector<std::string_view> kNames = words_of(kHookEvents);
    std::string json = "\"event\":\"";
    json.append(kNames[static_cast<size_t>(event)]).append("\",\"time\":");
    append_number(json, static_cast<uint64_t>(wall_millis()));
    append_member(json, "channel", who.channel);
    append_member(json, "user", who.user);
    return json;
}

} // namespace

bool HookSettings::wants(HookEvent event, const std::string& channel) const {
    if (!(events & (1u << static_cast<unsigned>(event))))
        return false;
    return channel.empty() || patterns.empty() ||
           std::any_of(patterns.begin(), patterns.end(),
                       [&](const Pattern& each) { return each.matches(channel); });
}

Hooks::Hooks(const Clock& clock) : clock_(clock) {}

void Hooks::configure(const std::vector<HookSettings>& sections) {
    const std::lock_guard lock(mutex_);
    std::vector<std::unique_ptr<Section>> configured;
    for (const HookSettings& settings : sections) {
        const auto known =
            std::find_if(sections_.begin(), sections_.end(), [&](const auto& section) {
                return section && section->settings.name == settings.name;
            });
        if (known == sections_.end()) {
            configured.push_back(std::make_unique<Section>(Section{
                settings, HookQueue(new_start(), bounds_of(settings), random_below(UINT32_MAX))}));
            continue;
        }
        (*known)->settings = settings;
        (*known)->queue.set_bounds(bounds_of(settings));
        configured.push_back(std::move(*known));
    }
    for (const auto& removed : sections_)
        if (removed && removed->queue.events() > 0)
            log_event(LogLevel::Error, "hook_events_dropped",
                      {{"hooks", removed->settings.name},
                       {"bound", "the section is gone"},
                       {"count", removed->queue.events()}});
    sections_ = std::move(configured);
}

// ---- what happens

void Hooks::on_channel(const std::string& channel, bool is_here) {
    if (!is_reserved(channel) && !is_wildcard(channel))
        count({.kind = Kind::Channel, .channel = channel}, "", is_here);
}

void Hooks::on_user(const std::string& user, bool is_here) {
    count({.kind = Kind::User, .user = user}, "", is_here);
}

void Hooks::on_attendee(const std::string& channel, const std::string& user,
                        const std::string& info, bool is_here) {
    if (!is_reserved(channel))
        count({Kind::Attendee, channel, user}, info, is_here);
}

void Hooks::on_unheard(const std::string& user, const Position& message) {
    const std::lock_guard lock(mutex_);
    const Census::Who who = {.kind = Kind::User, .user = user};
    if (!is_retired_ && !census_.is_here(who)) // he may be between two polls
        tell(HookEvent::Offline, who, ",\"message\":\"" + position_text(message) + "\"");
}

void Hooks::count(const Census::Who& who, const std::string& info, bool is_here) {
    const std::lock_guard lock(mutex_);
    if (is_retired_)
        return;
    if (!is_here)
        return census_.go(who, clock_.now());
    if (census_.come(who))
        tell(event_of(who.kind, true), who, info.empty() ? "" : ",\"info\":" + info);
}

void Hooks::tell(HookEvent event, const Census::Who& who, std::string_view more) {
    std::string members;
    for (const auto& section : sections_) {
        if (!section->settings.wants(event, who.channel))
            continue;
        if (members.empty())
            members = members_of(event, who).append(more);
        section->queue.push(members, clock_.now());
    }
}

// ---- who sends

Hooks::Section* Hooks::find(const std::string& name) {
    const auto found = std::find_if(sections_.begin(), sections_.end(), [&](const auto& section) {
        return section->settings.name == name;
    });
    return found == sections_.end() ? nullptr : found->get();
}

std::optional<std::string> Hooks::take(const std::string& name, bool hurries) {
    const std::lock_guard lock(mutex_);
    Section* section = find(name);
    CHECK(section);
    return section->queue.take(clock_.now(), hurries);
}

void Hooks::settle(const std::string& name, HookQueue::Outcome outcome) {
    const std::lock_guard lock(mutex_);
    Section* section = find(name);
    CHECK(section);
    section->requests += outcome != HookQueue::Outcome::Undone;
    section->failures += outcome == HookQueue::Outcome::Failed;
    section->queue.settle(outcome, clock_.now());
}

void Hooks::tick() {
    Millis grace = 0;
    {
        const std::lock_guard lock(mutex_);
        let_absent_go(clock_.now());
        grace = longest_grace();
        for (const auto& section : sections_)
            section->queue.expire(clock_.now());
    }
    for (size_t slice = 0; slice < kSlicesPerTick && tell_some_gone(grace); ++slice) {
    }
}

// It holds for all: there is one census.
Millis Hooks::longest_grace() const {
    Millis grace = 0;
    for (const auto& section : sections_)
        grace = std::max(grace, section->settings.grace);
    return grace;
}

// Whether there may be more: when all go at once, workers are not to wait for the last one.
bool Hooks::tell_some_gone(Millis grace) {
    const std::lock_guard lock(mutex_);
    for (size_t i = 0; i < kSlice; ++i) {
        const auto who = census_.take_gone(clock_.now(), grace);
        if (!who)
            return false;
        tell(event_of(who->kind, false), *who);
    }
    return true;
}

void Hooks::end() {
    {
        const std::lock_guard lock(mutex_);
        if (is_retired_)
            return;
        census_.end(clock_.now());
    }
    while (tell_some_gone(0)) {
    }
}

void Hooks::abandon() {
    const std::lock_guard lock(mutex_);
    for (const auto& section : sections_)
        section->queue.abandon();
}

// ---- from process to process

std::string Hooks::pack() const {
    const std::lock_guard lock(mutex_);
    std::string packed;
    PackedWriter to(packed);
    census_.each([&](const Census::Who& who) {
        to.byte(static_cast<uint8_t>(who.kind)).text(who.channel).text(who.user);
    });
    return packed;
}

bool Hooks::unpack(std::string_view packed, Millis absent_until) {
    const std::lock_guard lock(mutex_);
    PackedReader from(packed);
    while (!from.is_end()) {
        const uint8_t kind = from.byte();
        const std::string channel = from.text(), user = from.text();
        if (!from.is_whole() || kind > static_cast<uint8_t>(Kind::Attendee))
            return false;
        absent_.push_back({static_cast<Kind>(kind), channel, user});
        census_.come(absent_.back());
    }
    absent_until_ = absent_until;
    return true;
}

void Hooks::let_absent_go(Millis now) {
    if (absent_.empty() || now < absent_until_)
        return;
    for (const Census::Who& who : absent_)
        census_.go(who, now);
    absent_ = {};
}

void Hooks::end_absence() {
    const std::lock_guard lock(mutex_);
    absent_until_ = 0;
}

void Hooks::retire() {
    const std::lock_guard lock(mutex_);
    is_retired_ = true;
}

std::vector<HookFigures> Hooks::figures() const {
    const std::lock_guard lock(mutex_);
    std::vector<HookFigures> figures;
    for (const auto& section : sections_)
        figures.push_back({section->settings.name, section->queue.raised(), section->queue.taken(),
                           section->requests, section->failures, section->queue.events(),
                           section->queue.bytes(), section->queue.dropped()});
    return figures;
}

} // namespace fanhorn
