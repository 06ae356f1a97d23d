// SPDX-License-Identifier: Apache-2.0
// The log: one line an event, `key=value` or JSON. Never a message's body, never a token.
//
// Any thread may log; a line is one write. Only the main thread opens and reopens.
#pragma once

#include "base/result.h"

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <sys/types.h>

namespace fanhorn {

enum class LogLevel : uint8_t { Debug, Info, Notice, Warning, Error };
enum class LogFormat : uint8_t { Text, Json };

std::string_view log_level_name(LogLevel level);

// Sends the log to `target`: "stderr", "syslog" or the path of a file, which must not be a symbolic
// link. Until the first call it goes to stderr at Notice. After a failure it goes where it went.
Result<void> log_open(const std::string& target, LogLevel level, LogFormat format);

// Opens the file of log_open() again (after a rotation); other targets have nothing to reopen.
Result<void> log_reopen();

// Gives the log's file, where it is one, to that user, who is to open it again.
Result<void> log_give_to(uid_t user, gid_t group);

// For callers who would have to work for their fields.
bool log_enabled(LogLevel level);

// A name and what it is; borrows both.
class LogField {
  public:
    LogField(std::string_view key, std::string_view value) : key_(key), text_(value) {}
    template <std::integral T>
    requires(!std::same_as<T, bool> && !std::same_as<T, char>)
        LogField(std::string_view key, T number)
        : key_(key), magnitude_(number < 0 ? 0 - static_cast<uint64_t>(number)
                                           : static_cast<uint64_t>(number)),
          kind_(number < 0 ? Kind::Negative : Kind::Number) {}

    // ` key=value`, the value quoted and escaped where it is not a plain word.
    void append_text(std::string& out) const;
    // `,"key":value`
    void append_json(std::string& out) const;

  private:
    enum class Kind : uint8_t { Text, Number, Negative };
    void append_number_value(std::string& out) const;

    std::string_view key_;
    std::string_view text_;
    uint64_t magnitude_ = 0;
    Kind kind_ = Kind::Text;
};

// `event` is a literal, snake_case; keys are literals too. Of an event that comes often, 10 in ten
// seconds are written on each thread, the others counted (see RepeatLimiter); Debug is not limited.
void log_event(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {});

// Tells what was held back on this thread in windows that have passed. Call once a second or so;
// log_event() does it too.
void log_tell_repeats();

} // namespace fanhorn
