// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include "base/repeat_limiter.h"
#include "base/text.h"
#include "base/utf8.h"

#include <fmt/format.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <memory>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>
#include <vector>

namespace fanhorn {
namespace {

// A stranger's text may fill a line, not a disk.
constexpr size_t kLogValueSize = 512;

struct LevelRow {
    std::string_view name;
    spdlog::level::level_enum level; // spdlog knows no notice: its order counts, not its names
    int priority;                    // syslog(3), and systemd's <N> prefix
};
constexpr std::array kLevels = {
    LevelRow{"debug", spdlog::level::trace, LOG_DEBUG},
    LevelRow{"info", spdlog::level::debug, LOG_INFO},
    LevelRow{"notice", spdlog::level::info, LOG_NOTICE},
    LevelRow{"warning", spdlog::level::warn, LOG_WARNING},
    LevelRow{"error", spdlog::level::err, LOG_ERR},
};

const LevelRow& row(LogLevel level) {
    return kLevels[static_cast<size_t>(level)];
}

int priority_of(spdlog::level::level_enum level) {
    for (const LevelRow& candidate : kLevels) {
        if (candidate.level == level)
            return candidate.priority;
    }
    return LOG_ERR;
}

// The sinks have no lock: a line is one call of the system, which keeps lines apart itself.
class LineSink : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
  protected:
    void flush_() override {}
};

class DescriptorSink final : public LineSink {
  public:
    DescriptorSink(int descriptor, bool journal) : descriptor_(descriptor), journal_(journal) {}

  private:
    void sink_it_(const spdlog::details::log_msg& message) override {
        spdlog::memory_buf_t line;
        if (journal_) { // sd-daemon(3)
            line.push_back('<');
            line.push_back(static_cast<char>('0' + priority_of(message.level)));
            line.push_back('>');
        }
        line.append(message.payload.begin(), message.payload.end());
        line.push_back('\n');
        // A full disk or a closed pipe must not stop the relay: the line is lost.
        while (write(descriptor_, line.data(), line.size()) < 0 && errno == EINTR) {
        }
    }

    const int descriptor_;
    const bool journal_;
};

class SyslogSink final : public LineSink {
  public:
    SyslogSink() { openlog("fanhorn", LOG_PID, LOG_DAEMON); }

  private:
    void sink_it_(const spdlog::details::log_msg& message) override {
        syslog(priority_of(message.level), "%.*s", static_cast<int>(message.payload.size()),
               message.payload.data());
    }
};

// systemd sets JOURNAL_STREAM to the device and inode of the stderr it gave us; who redirected
// stderr since then is not the journal.
bool is_journal(int descriptor) {
    const char* stream = std::getenv("JOURNAL_STREAM");
    struct stat status {};
    if (!stream || fstat(descriptor, &status) != 0)
        return false;
    std::string expected;
    append_number(expected, status.st_dev);
    expected += ':';
    append_number(expected, status.st_ino);
    return expected == stream;
}

// Where lines go and what they look like: immutable, so that threads read it without a lock.
struct Output {
    spdlog::logger logger;
    LogFormat format;
    bool stamped; // the journal and syslog stamp the time themselves
};

using OutputOwner = std::unique_ptr<Output>;

OutputOwner make_output(std::shared_ptr<LineSink> sink, LogFormat format, bool stamped) {
    OutputOwner output(new Output{spdlog::logger("fanhorn", std::move(sink)), format, stamped});
    output->logger.set_level(spdlog::level::trace); // log_enabled() has the say
    return output;
}

OutputOwner make_stderr(LogFormat format) {
    const bool journal = is_journal(STDERR_FILENO);
    return make_output(std::make_shared<DescriptorSink>(STDERR_FILENO, journal), format, !journal);
}

struct Log {
    std::atomic<LogLevel> level{LogLevel::Notice};
    std::atomic<Output*> output{nullptr};

    // The main thread's.
    int file_descriptor = -1; // one number for life: a new file is put under it with dup3()
    // Also those that were replaced: another thread may be writing to one. A reload that changes
    // nothing adds none.
    std::vector<OutputOwner> outputs;
    std::string target = "stderr";
    LogFormat format = LogFormat::Text;

    Log() { use(make_stderr(format)); }
    void use(OutputOwner next) {
        outputs.push_back(std::move(next));
        output.store(outputs.back().get(), std::memory_order_release);
    }
};

// Never destroyed: threads may log until the very end.
Log& the_log() {
    static Log* const kLog = new Log;
    return *kLog;
}

bool is_path(std::string_view target) {
    return target.starts_with('/');
}

Result<void> open_file(Log& log, const std::string& path) {
    const int opened =
        open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC, 0640);
    if (opened < 0)
        return Error{"cannot open log file '" + path + "': " + std::strerror(errno)};
    if (log.file_descriptor < 0) {
        log.file_descriptor = opened;
    } else {
        CHECK(dup3(opened, log.file_descriptor, O_CLOEXEC) >= 0);
        close(opened);
    }
    return {};
}

Result<OutputOwner> make_output(Log& log, const std::string& target, LogFormat format) {
    if (target == "stderr")
        return make_stderr(format);
    if (target == "syslog")
        return make_output(std::make_shared<SyslogSink>(), format, false);
    if (!is_path(target))
        return Error{"log target '" + target + "' is neither stderr, syslog nor an absolute path"};
    if (auto opened = open_file(log, target); !opened)
        return Error{opened.error()};
    return make_output(std::make_shared<DescriptorSink>(log.file_descriptor, false), format, true);
}

// RFC 3339 in UTC with milliseconds.
void append_time(std::string& out) {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    tm parts{};
    gmtime_r(&now.tv_sec, &parts);
    fmt::format_to(std::back_inserter(out), "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
                   parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour,
                   parts.tm_min, parts.tm_sec, now.tv_nsec / 1'000'000);
}

bool is_plain_word(std::string_view value) {
    const auto plain = [](char byte) {
        return byte > ' ' && byte <= '~' && byte != '"' && byte != '\\' && byte != '=';
    };
    return !value.empty() && std::all_of(value.begin(), value.end(), plain);
}

void append_text_line(std::string& line, const Output& output, LogLevel level,
                      std::string_view event, std::initializer_list<LogField> fields) {
    if (output.stamped) {
        append_time(line);
        line += ' ';
    }
    line += "level=";
    line += row(level).name;
    line += " event=";
    line += event;
    for (const LogField& field : fields)
        field.append_text(line);
}

void append_json_line(std::string& line, const Output& output, LogLevel level,
                      std::string_view event, std::initializer_list<LogField> fields) {
    line += '{';
    if (output.stamped) {
        line += "\"time\":\"";
        append_time(line);
        line += "\",";
    }
    line += "\"level\":\"";
    line += row(level).name;
    line += "\",\"event\":";
    append_json_string(line, event);
    for (const LogField& field : fields)
        field.append_json(line);
    line += '}';
}

void write_event(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
    Output& output = *the_log().output.load(std::memory_order_acquire);
    std::string line;
    const auto append = output.format == LogFormat::Json ? append_json_line : append_text_line;
    append(line, output, level, event, fields);
    output.logger.log(row(level).level, spdlog::string_view_t(line.data(), line.size()));
}

RepeatLimiter& this_threads_limiter() {
    thread_local RepeatLimiter limiter;
    return limiter;
}

void tell_repeats(Millis now) {
    const auto report = [](LogLevel level, std::string_view event, uint32_t repeated) {
        write_event(level, event, {{"repeated", repeated}});
    };
    this_threads_limiter().expire(now, report);
}

} // namespace

std::string_view log_level_name(LogLevel level) {
    return row(level).name;
}

Result<void> log_open(const std::string& target, LogLevel level, LogFormat format) {
    Log& log = the_log();
    if (target != log.target || format != log.format) {
        auto output = make_output(log, target, format);
        if (!output)
            return Error{output.error()};
        log.use(std::move(*output));
        log.target = target;
        log.format = format;
    }
    log.level.store(level, std::memory_order_relaxed);
    return {};
}

Result<void> log_reopen() {
    Log& log = the_log();
    return is_path(log.target) ? open_file(log, log.target) : Result<void>();
}

// Not one that has another name as well, which somebody may have made of a file that is not his.
Result<void> log_give_to(uid_t user, gid_t group) {
    const Log& log = the_log();
    if (!is_path(log.target))
        return {};
    struct stat facts {};
    if (fstat(log.file_descriptor, &facts) != 0)
        return Error{std::strerror(errno)};
    if (!S_ISREG(facts.st_mode) || (facts.st_uid == user && facts.st_gid == group))
        return {};
    if (facts.st_nlink > 1)
        return Error{"'" + log.target + "' has several names"};
    if (fchown(log.file_descriptor, user, group) != 0)
        return Error{std::strerror(errno)};
    return {};
}

bool log_enabled(LogLevel level) {
    return level >= the_log().level.load(std::memory_order_relaxed);
}

void LogField::append_number_value(std::string& out) const {
    if (kind_ == Kind::Negative)
        out += '-';
    append_number(out, magnitude_);
}

void LogField::append_text(std::string& out) const {
    out += ' ';
    out += key_;
    out += '=';
    if (kind_ != Kind::Text) {
        append_number_value(out);
    } else if (text_.size() <= kLogValueSize && is_plain_word(text_)) {
        out += text_;
    } else {
        out += '"';
        out += escape_for_log(text_.substr(0, kLogValueSize));
        out += text_.size() > kLogValueSize ? "...\"" : "\"";
    }
}

void LogField::append_json(std::string& out) const {
    out += ',';
    append_json_string(out, key_);
    out += ':';
    if (kind_ != Kind::Text)
        append_number_value(out);
    else if (text_.size() <= kLogValueSize && is_utf8(text_))
        append_json_string(out, text_);
    else
        append_json_string(out, escape_for_log(text_.substr(0, kLogValueSize)));
}

void log_event(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
    if (!log_enabled(level))
        return;
    const Millis now = SystemClock().now();
    tell_repeats(now);
    if (level == LogLevel::Debug || this_threads_limiter().admit(level, event, now))
        write_event(level, event, fields);
}

void log_tell_repeats() {
    tell_repeats(SystemClock().now());
}

} // namespace fanhorn
