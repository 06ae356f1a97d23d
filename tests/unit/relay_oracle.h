// SPDX-License-Identifier: Apache-2.0
// What a client may be sent, judged frame by frame (TestEncoding's) against what was published.
#pragma once

#include "base/text.h"
#include "tests/unit/relay_fakes.h"

#include <map>
#include <set>
#include <string>
#include <vector>

namespace fanhorn {

// Everything that was published, whatever became of it.
class Ledger {
  public:
    struct Entry {
        std::string channel, payload;
        ConnectionId exclude;
        Millis expires = 0;
        bool stored = true, retained = false;
    };
    void add(uint64_t seq, Entry entry) {
        by_channel_[entry.channel].push_back(seq);
        entries_.emplace(seq, std::move(entry));
    }
    // DELETE: what lay before is nobody's any more.
    void remove(const std::string& channel, uint64_t seq) { removed_[channel] = seq; }

    uint64_t removed(const std::string& channel) const {
        const auto found = removed_.find(channel);
        return found == removed_.end() ? 0 : found->second;
    }

    const Entry* find(uint64_t seq) const {
        const auto found = entries_.find(seq);
        return found == entries_.end() ? nullptr : &found->second;
    }
    // The lowest seq in (after, upto] that a reader of the channel must have been given or told
    // about; 0 for none.
    uint64_t first_owed(const std::string& channel, uint64_t after, uint64_t upto,
                        const ConnectionId& reader, Millis now) const {
        const auto seqs = by_channel_.find(channel);
        if (seqs == by_channel_.end())
            return 0;
        after = std::max(after, removed(channel));
        auto each = std::upper_bound(seqs->second.begin(), seqs->second.end(), after);
        for (; each != seqs->second.end() && *each <= upto; ++each) {
            const Entry& entry = entries_.at(*each);
            const bool is_expired = entry.expires && entry.expires <= now;
            if (entry.stored && !is_expired && entry.exclude != reader)
                return *each;
        }
        return 0;
    }

  private:
    std::map<uint64_t, Entry> entries_;
    std::map<std::string, std::vector<uint64_t>> by_channel_;
    std::map<std::string, uint64_t> removed_;
};

// One answer or stream from its first byte. The first fault found stays in fault().
class Session {
  public:
    // `told`: what the hello has to say. `head`: the newest seq. `starts`: up to where the client
    // has each channel, by what it asked for.
    Session(const Ledger& ledger, const Clock& clock, uint64_t epoch, const ConnectionId& reader,
            Position told, uint64_t head, std::map<std::string, uint64_t> starts)
        : ledger_(ledger), clock_(clock), epoch_(epoch), reader_(reader), told_(told), head_(head),
          cursors_(std::move(starts)) {}

    const std::string& fault() const { return fault_; }
    size_t gaps() const { return gaps_; }
    // Gaps that are none of `since`'s fault.
    size_t losses() const { return losses_; }
    size_t messages() const { return messages_; }
    bool has_said_farewell() const { return is_over_; }
    // The last id that its client has seen.
    Position last() const { return last_; }

    // Bytes as they come; an incomplete frame is kept.
    void read(std::string_view bytes) {
        partial_ += bytes;
        size_t end;
        while (fault_.empty() && (end = partial_.find(';')) != partial_.npos) {
            frame(partial_.substr(0, end));
            partial_.erase(0, end + 1);
        }
    }
    // Whoever resumes from there must be missing nothing.
    void check_position(Position at) {
        if (at.epoch == epoch_ && at != told_) // `since` may be no position of ours
            account_all(at.seq, "position()");
    }
    void check_whole() {
        if (!partial_.empty())
            blame("ends within a frame: " + partial_);
    }

  private:
    void blame(const std::string& why) {
        if (fault_.empty())
            fault_ = why;
    }

    void frame(const std::string& text) {
        if (is_over_)
            return blame("after the farewell: " + text);
        const std::string rest = text.substr(text.empty() ? 0 : 1);
        switch (text.empty() ? '?' : text[0]) {
        case 'h':
            return hello(rest);
        case 'm':
            return message(rest);
        case 'r':
            return retained(rest);
        case 'g':
            return gap(rest);
        case 'p':
        case 'b':
            return position(parse_position(rest).value_or(Position{}));
        case 'e':
            return ended(rest.substr(0, rest.find(',')));
        case 'f':
            is_over_ = true;
            return;
        case 'c': // a transport's own control frame
            if (rest != "ontrol")
                blame("torn: " + text);
            return;
        default:
            return blame("no frame: " + text);
        }
    }

    void hello(const std::string& text) {
        if (is_open_)
            return blame("a second hello");
        is_open_ = true;
        last_ = parse_position(text).value_or(Position{});
        if (last_ != told_)
            blame("hello told " + text + ", not " + position_text(told_));
    }

    // <seq>:<channel>:<payload>, checked against the ledger.
    const Ledger::Entry* entry(const std::string& text, uint64_t& seq) {
        const size_t colon = text.find(':');
        seq = parse_u64(text.substr(0, colon)).value_or(0);
        const Ledger::Entry* entry = ledger_.find(seq);
        if (!entry || text.substr(colon + 1) != entry->channel + ":" + entry->payload)
            blame("never published: " + text);
        else if (!cursors_.contains(entry->channel))
            blame("of a channel not asked for, or ended: " + text);
        return entry;
    }

    void message(const std::string& text) {
        uint64_t seq = 0;
        const Ledger::Entry* entry = this->entry(text, seq);
        if (!entry || !fault_.empty())
            return;
        ++messages_;
        if (entry->exclude == reader_)
            blame("excluded: " + text);
        if (last_.epoch == epoch_ && !is_anew_ && seq <= last_.seq)
            return blame("does not rise: " + text + " behind " + position_text(last_));
        account_all(seq - 1, text);
        cursors_[entry->channel] = seq;
        last_ = {epoch_, seq};
    }

    void retained(const std::string& text) {
        uint64_t seq = 0;
        const Ledger::Entry* entry = this->entry(text, seq);
        if (entry && !entry->retained)
            blame("was not retained: " + text);
        if (messages_ > 0)
            blame("retained behind a message: " + text);
    }

    // <channel>,<after>,<next>,<why>,<head>
    void gap(const std::string& text) {
        const auto parts = split(text);
        const auto cursor = parts.size() == 5 ? cursors_.find(parts[0]) : cursors_.end();
        if (cursor == cursors_.end())
            return blame("gap of another channel: " + text);
        ++gaps_;
        const Position after = parse_position(parts[1]).value_or(Position{});
        if (parts[3] == "epoch" || parts[3] == "ahead") {
            if (messages_ > 0 || after != last_)
                blame("not at the opening: " + text);
            last_ = after; // ids begin anew, once all gaps are told
            is_anew_ = true;
        } else {
            account(parts[0], after.seq, "gap " + text);
            ++losses_;
        }
        const uint64_t head = parse_u64(parts[4]).value_or(0);
        const auto next = parse_position(parts[2]);
        if (!next)
            return raise(cursor->second, head);
        const Ledger::Entry* entry = ledger_.find(next->seq);
        if (!entry || entry->channel != parts[0] ||
            (last_.epoch == epoch_ && !is_anew_ && next->seq <= last_.seq))
            blame("next is no message to come: " + text);
        raise(cursor->second, next->seq - 1);
    }

    void position(Position at) {
        if (last_.epoch == epoch_ && !is_anew_ && at.seq < last_.seq)
            return blame("position falls: " + position_text(at));
        if (at.epoch == epoch_ && at != told_)
            account_all(at.seq, "told " + position_text(at));
        last_ = at;
        is_anew_ = false;
    }

    void ended(const std::string& channel) {
        if (cursors_.erase(channel) == 0)
            blame("a second end of " + channel);
        if (ledger_.removed(channel) <= head_)
            blame("ended by what lay before it: " + channel);
    }

    void account_all(uint64_t upto, const std::string& why) {
        if (is_anew_) {
            last_ = {};
            is_anew_ = false;
        }
        for (auto& [channel, cursor] : cursors_)
            account(channel, upto, why);
    }
    void account(const std::string& channel, uint64_t upto, const std::string& why) {
        uint64_t& cursor = cursors_[channel];
        if (const uint64_t owed = ledger_.first_owed(channel, cursor, upto, reader_, clock_.now()))
            blame("a hole: " + channel + " " + std::to_string(owed) + " before " + why);
        raise(cursor, upto);
    }
    static void raise(uint64_t& cursor, uint64_t seq) { cursor = std::max(cursor, seq); }
    static std::vector<std::string> split(const std::string& text) {
        std::vector<std::string> parts(1);
        for (const char c : text)
            if (c == ',')
                parts.emplace_back();
            else
                parts.back() += c;
        return parts;
    }

    const Ledger& ledger_;
    const Clock& clock_;
    const uint64_t epoch_;
    const ConnectionId reader_;
    const Position told_;
    const uint64_t head_;
    std::map<std::string, uint64_t> cursors_; // accounted for, by channel; without ended ones
    std::string partial_, fault_;
    Position last_;
    bool is_open_ = false, is_over_ = false;
    bool is_anew_ = false; // epoch or ahead: the next id may be lower
    size_t gaps_ = 0, losses_ = 0, messages_ = 0;
};

} // namespace fanhorn
