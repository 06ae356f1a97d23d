// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"
#include "base/repeat_limiter.h"
#include "base/text.h"

#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <sstream>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include "tests/unit/test.h"

using namespace fanhorn;
using namespace std::string_literals;

namespace {

std::string folder; // of this run, removed at its end

std::string path_of(const std::string& name) {
    return folder + "/" + name;
}

std::string read_file(const std::string& name) {
    std::ifstream file(path_of(name));
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

bool has(std::string_view text, std::string_view part) {
    return text.find(part) != text.npos;
}

// What log_event() writes, without the time stamp, whose form is checked.
std::string written(LogFormat format, std::initializer_list<LogField> fields) {
    unlink(path_of("line").c_str());
    assert_true(log_open("stderr", LogLevel::Debug, format).ok());
    assert_true(log_open(path_of("line"), LogLevel::Debug, format).ok());
    log_event(LogLevel::Debug, "tested", fields);
    std::string line = read_file("line");
    const std::string start = format == LogFormat::Json ? "{\"time\":\"" : "";
    assert_true(line.starts_with(start + "20") && line.ends_with("\n"));
    assert_int_equal(line[start.size() + 10], 'T');
    assert_int_equal(line[start.size() + 19], '.');
    assert_int_equal(line[start.size() + 23], 'Z');
    return line.substr(start.size() + 24, line.size() - start.size() - 25);
}

// stderr goes to a file while one of these lives.
class StderrInFile {
  public:
    explicit StderrInFile(const std::string& name) : saved_(dup(STDERR_FILENO)) {
        const int file = open(path_of(name).c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
        dup2(file, STDERR_FILENO);
        close(file);
    }
    ~StderrInFile() {
        dup2(saved_, STDERR_FILENO);
        close(saved_);
    }

  private:
    const int saved_;
};

} // namespace

static void test_text_lines(void**) {
    struct {
        std::string value, expected;
    } rows[] = {
        {"word", "word"},
        {"10.0.0.1:80", "10.0.0.1:80"},
        {"", "\"\""},
        {"two words", "\"two words\""},
        {"a=b", "\"a=b\""},
        {"say \"hi\"\\", "\"say \\\"hi\\\"\\\\\""},
        {"x\nlevel=error event=forged", "\"x\\x0alevel=error event=forged\""},
        {"\x1b[2J\0"s, "\"\\x1b[2J\\x00\""},
        {"\xC3\xA9", "\"\\xc3\\xa9\""},
        {std::string(600, 'a'), "\"" + std::string(512, 'a') + "...\""},
    };
    for (const auto& row : rows) {
        assert_text(written(LogFormat::Text, {{"key", row.value}}),
                    " level=debug event=tested key=" + row.expected);
    }
    const int negative = -5;
    assert_text(written(LogFormat::Text,
                        {{"a", negative}, {"b", UINT64_MAX}, {"c", INT64_MIN}, {"d", uint8_t{7}}}),
                " level=debug event=tested a=-5 b=18446744073709551615 c=-9223372036854775808 d=7");
    assert_text(written(LogFormat::Text, {}), " level=debug event=tested");
}

static void test_json_lines(void**) {
    assert_text(
        written(LogFormat::Json, {{"n", -5}, {"text", "a\"\n\xC3\xA9"}}),
        "\",\"level\":\"debug\",\"event\":\"tested\",\"n\":-5,\"text\":\"a\\\"\\n\xC3\xA9\"}");
    assert_text(written(LogFormat::Json, {{"bad", "\xFF"}}),
                "\",\"level\":\"debug\",\"event\":\"tested\",\"bad\":\"\\\\xff\"}");
}

static void test_levels(void**) {
    assert_true(log_open(path_of("levels"), LogLevel::Warning, LogFormat::Text).ok());
    assert_false(log_enabled(LogLevel::Notice));
    assert_true(log_enabled(LogLevel::Warning));
    log_event(LogLevel::Notice, "unseen");
    assert_text(read_file("levels"), "");
    log_event(LogLevel::Error, "seen");
    assert_true(has(read_file("levels"), " level=error event=seen\n"));
    assert_true(log_open(path_of("levels"), LogLevel::Debug, LogFormat::Text).ok());
    assert_true(log_enabled(LogLevel::Debug));
}

static void test_file(void**) {
    umask(0);
    const std::string path = path_of("file");
    assert_true(log_open(path, LogLevel::Info, LogFormat::Text).ok());
    struct stat status {};
    stat(path.c_str(), &status);
    assert_int_equal(status.st_mode & 07777, 0640);

    log_event(LogLevel::Info, "before");
    rename(path.c_str(), path_of("rotated").c_str());
    log_event(LogLevel::Info, "between");
    assert_true(log_reopen().ok());
    log_event(LogLevel::Info, "behind");
    const std::string rotated = read_file("rotated"), fresh = read_file("file");
    assert_true(has(rotated, "event=before"));
    assert_true(has(rotated, "event=between"));
    assert_false(has(rotated, "event=behind"));
    assert_true(has(fresh, "event=behind"));

    // What was there stays there.
    assert_true(log_open("stderr", LogLevel::Info, LogFormat::Text).ok());
    assert_true(log_reopen().ok());
    assert_true(log_open(path, LogLevel::Info, LogFormat::Text).ok());
    assert_true(read_file("file") == fresh);
}

static void test_refused_targets(void**) {
    assert_true(log_open(path_of("kept"), LogLevel::Info, LogFormat::Text).ok());
    assert_int_equal(symlink(path_of("kept").c_str(), path_of("link").c_str()), 0);
    for (const std::string& bad :
         {path_of("link"), path_of("missing/file"), folder, "log.txt"s, "Syslog"s, ""s}) {
        const auto opened = log_open(bad, LogLevel::Error, LogFormat::Json);
        assert_row(bad, !opened && has(opened.error(), "'" + bad + "'"));
    }
    // Nothing of the refused ones has stuck.
    log_event(LogLevel::Info, "still_here");
    assert_true(has(read_file("kept"), " level=info event=still_here\n"));

    unlink(path_of("kept").c_str());
    assert_int_equal(symlink("/dev/null", path_of("kept").c_str()), 0);
    assert_false(log_reopen().ok());
}

// Under systemd lines carry their priority and no time.
static void test_journal(void**) {
    const StderrInFile redirected("journal");
    struct stat status {};
    fstat(STDERR_FILENO, &status);
    const auto stream = std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino);
    setenv("JOURNAL_STREAM", stream.c_str(), 1);
    assert_true(log_open("syslog", LogLevel::Debug, LogFormat::Text).ok());
    assert_true(log_open("stderr", LogLevel::Debug, LogFormat::Text).ok());
    log_event(LogLevel::Debug, "d");
    log_event(LogLevel::Info, "i");
    log_event(LogLevel::Notice, "n");
    log_event(LogLevel::Warning, "w");
    log_event(LogLevel::Error, "e");
    assert_text(read_file("journal"), "<7>level=debug event=d\n<6>level=info event=i\n"
                                      "<5>level=notice event=n\n<4>level=warning event=w\n"
                                      "<3>level=error event=e\n");

    setenv("JOURNAL_STREAM", "1:2", 1); // someone else's stderr
    assert_true(log_open("stderr", LogLevel::Debug, LogFormat::Json).ok());
    const size_t before = read_file("journal").size();
    log_event(LogLevel::Info, "stamped");
    assert_true(read_file("journal").substr(before).starts_with("{\"time\":\""));
    unsetenv("JOURNAL_STREAM");
}

static void test_repeats_are_held_back(void**) {
    assert_true(log_open(path_of("repeats"), LogLevel::Info, LogFormat::Text).ok());
    for (int i = 0; i < 100; ++i)
        log_event(LogLevel::Info, "often", {{"i", i}});
    const std::string text = read_file("repeats");
    assert_int_equal(split(text, '\n').size() - 1, RepeatLimiter::kBurst);
    assert_true(has(text, "i=9\n"));
    log_tell_repeats(); // the window has not passed
    assert_true(read_file("repeats") == text);
}

static void test_limiter(void**) {
    RepeatLimiter limiter;
    std::vector<std::string> told;
    const auto tell = [&](LogLevel level, std::string_view event, uint32_t repeated) {
        told.push_back(std::string(log_level_name(level)) + " " + std::string(event) + " " +
                       std::to_string(repeated));
    };
    const Millis start = 5'000'000;
    for (uint32_t i = 0; i < RepeatLimiter::kBurst; ++i)
        assert_true(limiter.admit(LogLevel::Warning, "a", start + i));
    for (int i = 0; i < 3; ++i)
        assert_false(limiter.admit(LogLevel::Warning, "a", start + 20));
    assert_true(limiter.admit(LogLevel::Info, "b", start + 4000));

    limiter.expire(start + RepeatLimiter::kWindow - 1, tell);
    assert_int_equal(told.size(), 0);
    limiter.expire(start + RepeatLimiter::kWindow, tell);
    assert_int_equal(told.size(), 1);
    assert_text(told[0], "warning a 3");
    assert_true(limiter.admit(LogLevel::Warning, "a", start + RepeatLimiter::kWindow));

    // A window without repetitions ends without a word; the others end in their own time.
    limiter.expire(start + RepeatLimiter::kWindow + 4000, tell);
    assert_int_equal(told.size(), 1);
    for (uint32_t i = 0; i < RepeatLimiter::kBurst; ++i)
        limiter.admit(LogLevel::Warning, "a", start + RepeatLimiter::kWindow + 4000);
    limiter.expire(start + 2 * RepeatLimiter::kWindow, tell);
    assert_int_equal(told.size(), 2);
    assert_text(told[1], "warning a 1");
}

static void test_limiter_is_bounded(void**) {
    std::vector<std::string> names;
    for (size_t i = 0; i <= RepeatLimiter::kNames; ++i)
        names.push_back("event" + std::to_string(i));
    RepeatLimiter limiter;
    for (const auto& name : names)
        limiter.admit(LogLevel::Info, name, 1000);
    bool first = true, beyond = true;
    for (uint32_t i = 0; i < RepeatLimiter::kBurst; ++i) {
        first = limiter.admit(LogLevel::Info, names.front(), 1000);
        beyond = limiter.admit(LogLevel::Info, names.back(), 1000);
    }
    assert_false(first);
    assert_true(beyond);
}

int main() {
    char name[] = "/tmp/fanhorn-log-XXXXXX";
    folder = mkdtemp(name);
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_text_lines),
        cmocka_unit_test(test_json_lines),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_refused_targets),
        cmocka_unit_test(test_journal),
        cmocka_unit_test(test_repeats_are_held_back),
        cmocka_unit_test(test_limiter),
        cmocka_unit_test(test_limiter_is_bounded),
    };
    const int failed = cmocka_run_group_tests(tests, nullptr, nullptr);
    for (const char* file :
         {"line", "levels", "file", "rotated", "kept", "link", "journal", "repeats"})
        unlink(path_of(file).c_str());
    rmdir(folder.c_str());
    return failed;
}
