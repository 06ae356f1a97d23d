// SPDX-License-Identifier: Apache-2.0
// fanhornctl's side of HTTP: answers read whole, and cut at every place; URLs; names in paths.
#include "ctl/client.h"
#include "http/response_reader.h"

#include "test.h"

using namespace fanhorn;
using namespace fanhorn::ctl;

namespace {

struct Row {
    const char* name;
    const char* bytes;
    bool is_http;  // as far as it goes
    bool is_whole; // after the end
    int status;
    const char* body;
};

constexpr Row kRows[] = {
    {"length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", true, true, 200, "hello"},
    {"no body", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", true, true, 404, ""},
    {"204", "HTTP/1.1 204 No Content\r\n\r\n", true, true, 204, ""},
    {"until the end", "HTTP/1.1 200 OK\r\n\r\na\r\nb", true, true, 200, "a\r\nb"},
    {"chunks",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=1\r\nde\r\n0\r\n\r\n",
     true, true, 200, "abcde"},
    {"chunks with trailers",
     "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\nA\r\n0123456789\r\n0\r\nx: y\r\n\r\n",
     true, true, 200, "0123456789"},
    {"100 first", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
     true, true, 200, "x"},
    {"cut in the head", "HTTP/1.1 200 OK\r\nConte", true, false, 0, ""},
    {"cut in the body", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", true, false, 200, "hel"},
    {"cut in a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", true, false,
     200, "ab"},
    {"not HTTP", "SSH-2.0-x\r\n\r\n\r\n", false, false, 0, ""},
    {"no status", "HTTP/1.1 abc\r\n\r\n", false, false, 0, ""},
    {"both framings", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx",
     false, false, 0, ""},
    {"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy", false,
     false, 0, ""},
    {"another coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
     false, false, 0, ""},
    {"blank before the colon", "HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\nx", false, false, 0,
     ""},
    {"folded field", "HTTP/1.1 200 OK\r\nA: 1\r\n 2\r\n\r\n", false, false, 0, ""},
    {"another protocol", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", false, false, 0,
     ""},
    {"status of four digits", "HTTP/1.1 2000 OK\r\n\r\n", false, false, 0, ""},
    {"bad field", "HTTP/1.1 200 OK\r\nno colon\r\n\r\n", false, false, 0, ""},
    {"bad length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", false, false, 200, ""},
    {"bad chunk size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", false, false,
     200, ""},
    {"bad chunk end", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\naXX\r\n", false,
     false, 200, "a"},
};

void check(const Row& row, size_t piece) {
    http::ResponseReader reader;
    bool is_http = true;
    std::string_view rest = row.bytes;
    while (is_http && !rest.empty()) {
        is_http = reader.feed(rest.substr(0, piece));
        rest.remove_prefix(std::min(piece, rest.size()));
    }
    assert_row(row.name, is_http == row.is_http);
    if (!is_http)
        return;
    assert_row(row.name, reader.end() == row.is_whole);
    assert_row(row.name, reader.status() == row.status);
    assert_row(row.name, reader.body() == row.body);
}

} // namespace

static void test_responses(void**) {
    for (const Row& row : kRows)
        for (const size_t piece : {1, 2, 3, 7, 1000})
            check(row, piece);
}

static void test_an_endless_head_is_refused(void**) {
    http::ResponseReader reader;
    std::string head = "HTTP/1.1 200 OK\r\n";
    bool is_http = true;
    for (size_t i = 0; i < 2 * http::ResponseReader::kMaxHeadBytes && is_http; i += 16) {
        is_http = reader.feed(head);
        head = "x: 0123456789a\r\n";
    }
    assert_false(is_http);
}

static void test_which_connections_are_kept(void**) {
    const struct {
        const char* bytes;
        bool is_kept;
    } kCases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", true},
        {"HTTP/1.1 204 No Content\r\n\r\n", true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nab", false},
        {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nab", false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabHTTP/1.1 200 OK\r\n", false},
        {"HTTP/1.1 200 OK\r\n\r\nab", false},
    };
    for (const auto& each : kCases) {
        http::ResponseReader reader;
        assert_row(each.bytes, reader.feed(each.bytes) && reader.end());
        assert_row(each.bytes, reader.is_kept_alive() == each.is_kept);
    }
}

static void test_a_body_has_a_limit(void**) {
    http::ResponseReader small(4), large(4);
    assert_true(small.feed("HTTP/1.1 200 OK\r\n\r\nabcd"));
    assert_false(large.feed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n"));
}

static void test_urls(void**) {
    const struct {
        const char* text;
        const char *host, *port, *path;
    } kGood[] = {{"http://127.0.0.1:8081", "127.0.0.1", "8081", ""},
                 {"http://localhost/", "localhost", "80", ""},
                 {"http://[::1]:8081", "::1", "8081", ""},
                 {"http://[::1]", "::1", "80", ""},
                 {"https://[::1]", "::1", "443", ""},
                 {"https://relay.example:8443/", "relay.example", "8443", ""},
                 {"unix:/run/fanhorn/private.sock", "", "80", "/run/fanhorn/private.sock"}};
    for (const auto& row : kGood) {
        const auto url = http::parse_url(row.text);
        assert_row(row.text, url.ok());
        assert_row(row.text,
                   url->host == row.host && url->port == row.port && url->path == row.path);
        assert_row(row.text, url->is_secure == std::string_view(row.text).starts_with("https:"));
    }
    for (const char* bad : {"", "127.0.0.1:8081", "https:x", "ftp://x", "http://",
                            "http://x:", "http://x:65536", "http://x/base", "https://x/base",
                            "http://u@x", "http://[::1", "http://::1", "http://x\r\nY: z", "unix:"})
        assert_row(bad, !http::parse_url(bad).ok());
}

static void test_percent_encoding(void**) {
    assert_text(http::percent_encode("chat:room1"), "chat:room1");
    assert_text(http::percent_encode("a b/c?d=e#f%g,h"), "a%20b%2Fc%3Fd%3De%23f%25g%2Ch");
    assert_text(http::percent_encode("\xc3\xbc"), "%C3%BC");
}

static void test_problems(void**) {
    assert_text(problem_text({404, R"({"status":404,"code":"not_found","detail":"no 'x'"})"}),
                "404 not_found: no 'x'");
    assert_text(problem_text({502, "<html>"}), "the daemon answered 502");
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_responses),
        cmocka_unit_test(test_an_endless_head_is_refused),
        cmocka_unit_test(test_which_connections_are_kept),
        cmocka_unit_test(test_a_body_has_a_limit),
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_percent_encoding),
        cmocka_unit_test(test_problems),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
