// SPDX-License-Identifier: Apache-2.0
#include "server/census.h"

namespace fanhorn {

// No name of a channel has a control character.
std::string Census::name_of(const Who& who) {
    std::string name(1, static_cast<char>('0' + static_cast<int>(who.kind)));
    return name.append(who.channel).append("\n").append(who.user);
}

bool Census::come(const Who& who) {
    std::string name = name_of(who);
    const auto found = entries_.find(std::string_view(name));
    if (found != entries_.end()) {
        Entry& entry = **found;
        if (++entry.count == 1)
            --gone_count_;
        entry.of_gone.unlink();
        return false;
    }
    auto made = std::make_unique<Entry>();
    made->who = who;
    made->name = std::move(name);
    made->count = 1;
    entries_.insert(std::move(made));
    return true;
}

void Census::go(const Who& who, Millis now) {
    const auto found = entries_.find(std::string_view(name_of(who)));
    if (found == entries_.end() || (*found)->count == 0)
        return;
    if (--(*found)->count == 0)
        put_away(**found, now);
}

void Census::put_away(Entry& entry, Millis now) {
    entry.gone_at = now;
    gone_.push_back(entry);
    ++gone_count_;
}

bool Census::is_here(const Who& who) const {
    return entries_.contains(std::string_view(name_of(who)));
}

std::optional<Census::Who> Census::take_gone(Millis now, Millis grace) {
    Entry* entry = gone_.front();
    if (!entry || (gone_count_ <= most_gone_ && now - entry->gone_at < grace))
        return std::nullopt;
    --gone_count_;
    Who who = entry->who;
    entries_.erase(entries_.find(entry->key()));
    return who;
}

void Census::end(Millis now) {
    for (const auto& entry : entries_) {
        if (entry->count == 0)
            continue;
        entry->count = 0;
        put_away(*entry, now);
    }
}

} // namespace fanhorn
