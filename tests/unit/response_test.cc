// SPDX-License-Identifier: Apache-2.0
#include "http/problem.h"
#include "http/response.h"

#include <csignal>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/test.h"

using namespace fanhorn::http;
using namespace std::string_literals;

namespace {

// Whether `broken` ends in a failed CHECK, which aborts: tried in a child.
template <typename Broken> bool is_checked(Broken broken) {
    const pid_t child = fork();
    if (child == 0) {
        std::signal(SIGABRT, SIG_DFL); // cmocka catches it
        if (!std::freopen("/dev/null", "w", stderr))
            _exit(2);
        broken();
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

} // namespace

static void test_status(void**) {
    std::string out;
    append_status(out, 404);
    const std::string start = "HTTP/1.1 404 Not Found\r\nDate: ";
    assert_true(out.starts_with(start));
    const std::string date = out.substr(start.size(), out.size() - start.size() - 2);
    assert_int_equal(date.size(), 29);
    assert_true(out.ends_with(" GMT\r\n"));
    // The same second, or the next one.
    const time_t now = time(nullptr);
    assert_true(date == http_date(now) || date == http_date(now - 1));

    out.clear();
    append_status(out, 418); // no phrase, but its blank
    assert_true(out.starts_with("HTTP/1.1 418 \r\n"));
    assert_true(is_checked([] {
        std::string text;
        append_status(text, 99);
    }));
}

static void test_dates(void**) {
    assert_text(http_date(784111777), "Sun, 06 Nov 1994 08:49:37 GMT"); // RFC 9110 section 5.6.7
    assert_text(http_date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_text(http_date(1709164800), "Thu, 29 Feb 2024 00:00:00 GMT");
}

static void test_headers(void**) {
    std::string out;
    append_header(out, "Vary", "Accept, Origin");
    append_header(out, "X-Text", "tab\there caf\xE9");
    append_header(out, "X-Empty", "");
    append_content_length(out, 0);
    append_content_length(out, UINT64_MAX);
    assert_text(out, "Vary: Accept, Origin\r\nX-Text: tab\there caf\xE9\r\nX-Empty: \r\n"
                     "Content-Length: 0\r\nContent-Length: 18446744073709551615\r\n");
}

static void test_nothing_can_be_forged(void**) {
    for (const std::string& value : {"a\r\nSet-Cookie: x"s, "a\rb"s, "a\nb"s, "a\0b"s, "\x7f"s}) {
        assert_true(is_checked([&] {
            std::string out;
            append_header(out, "X", value);
        }));
    }
    for (const char* name : {"", "X Y", "X:", "X\r\n", "caf\xE9"}) {
        assert_row(name, is_checked([=] {
                       std::string out;
                       append_header(out, name, "a");
                   }));
    }
    assert_false(is_checked([] {
        std::string out;
        append_header(out, "X", "a");
    }));
}

static void test_connection(void**) {
    const auto line = [](bool keep_alive, int minor_version) {
        std::string out;
        append_connection(out, keep_alive, minor_version);
        return out;
    };
    assert_text(line(true, 1), "");
    assert_text(line(true, 0), "Connection: keep-alive\r\n");
    assert_text(line(false, 1), "Connection: close\r\n");
    assert_text(line(false, 0), "Connection: close\r\n");
}

static void test_problem_codes(void**) {
    const struct {
        const char* code;
        int status;
    } rows[] = {
        {"bad_request", 400},
        {"bad_channel", 400},
        {"bad_option", 400},
        {"bad_position", 400},
        {"unauthorized", 401},
        {"forbidden", 403},
        {"channel_unknown", 404},
        {"not_found", 404},
        {"method_not_allowed", 405},
        {"not_acceptable", 406},
        {"timeout", 408},
        {"idempotency_mismatch", 409},
        {"too_large", 413},
        {"uri_too_long", 414},
        {"unsupported_type", 415},
        {"expectation_failed", 417},
        {"upgrade_required", 426},
        {"rate_limited", 429},
        {"headers_too_large", 431},
        {"internal", 500},
        {"overloaded", 503},
        {"store_down", 503},
        {"broker_down", 503},
        {"draining", 503},
        {"version", 505},
    };
    for (const auto& row : rows) {
        const Problem made = problem(row.code, "why");
        assert_row(row.code, made.status == row.status && made.code == row.code);
        assert_row(row.code, !made.title.empty() && made.detail == "why");
        assert_row(row.code, !reason_phrase(row.status).empty());
    }
    assert_true(is_checked([] { problem("no_such_code", ""); }));
}

static void test_problem_body(void**) {
    assert_text(problem_body(problem("channel_unknown", "no [channel] section matches 'x'")),
                R"({"type":"about:blank","status":404,"code":"channel_unknown",)"
                R"("title":"No section governs this channel",)"
                R"("detail":"no [channel] section matches 'x'"})");
    // What a stranger sent stays inside its string, and the whole is UTF-8.
    Problem quoting = problem("bad_channel", "'\"\n\xC3\xA9'");
    quoting.members = R"("transports":["sse"])";
    assert_true(problem_body(quoting).ends_with(
        ",\"detail\":\"'\\\"\\n\xC3\xA9'\",\"transports\":[\"sse\"]}"));
    assert_true(problem_body(problem("bad_channel", "\xFF\n"))
                    .ends_with(",\"detail\":\"\\\\xff\\\\x0a\"}"));
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_status),       cmocka_unit_test(test_dates),
        cmocka_unit_test(test_headers),      cmocka_unit_test(test_nothing_can_be_forged),
        cmocka_unit_test(test_connection),   cmocka_unit_test(test_problem_codes),
        cmocka_unit_test(test_problem_body),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
