// SPDX-License-Identifier: Apache-2.0
// A reader of logs that writes down what it is given.
#pragma once

#include "modules/log_entry.h"

#include <string>
#include <vector>

namespace fanhorn {

struct LogNotes final : LogReader {
    bool on_message(LoggedMessage&& message) override {
        messages.push_back(std::move(message));
        return true;
    }
    bool on_removal(const std::string& channel, uint64_t seq) override {
        removals.push_back(seq);
        return note("removal " + channel + " " + std::to_string(seq));
    }
    bool on_marker(const std::string& user, const std::string& channel, uint64_t seq) override {
        return note("marker " + user + " " + channel + " " + std::to_string(seq));
    }
    bool on_channel(const std::string& channel, uint64_t n, uint64_t trimmed) override {
        return note("channel " + channel + " " + std::to_string(n) + " " + std::to_string(trimmed));
    }
    bool on_watermark(size_t index, uint64_t seq) override {
        return note("watermark " + std::to_string(index) + " " + std::to_string(seq));
    }
    bool on_key(LoggedKey&& key) override {
        return note("key " + key.channel + " " + key.key + " " +
                    std::to_string(key.entry.position.seq) + " " + std::to_string(key.entry.n) +
                    " " + std::to_string(key.used_at));
    }
    bool on_loss(const LostStretch& lost) override {
        return note("loss " + std::to_string(lost.after) + " " + std::to_string(lost.upto));
    }

    std::vector<LoggedMessage> messages;
    std::vector<uint64_t> removals;
    std::vector<std::string> others;

  private:
    bool note(std::string text) {
        others.push_back(std::move(text));
        return true;
    }
};

} // namespace fanhorn
