// SPDX-License-Identifier: Apache-2.0
#include "http/http2_message.h"

#include "http/parser.h"
#include "http/response.h"

#include "test.h"

using namespace fanhorn::http;
using Fields = std::vector<std::pair<std::string, std::string>>;

static constexpr size_t kLimit = 1000;
static const Fields kGet = {{":method", "GET"},
                            {":scheme", "https"},
                            {":authority", "a.example"},
                            {":path", "/sub/x?since=1"}};

static Fields with(Fields fields, const Fields& more) {
    fields.insert(fields.end(), more.begin(), more.end());
    return fields;
}

static std::string text_of(const Fields& fields, bool has_body = false) {
    RequestText text(kLimit);
    for (const auto& [name, value] : fields)
        text.add(name, value);
    return text.finish(has_body);
}

static void requests(void**) {
    const Fields post = {
        {":method", "POST"}, {":scheme", "http"}, {":authority", "a"}, {":path", "/pub/x"}};
    const struct {
        Fields fields;
        bool has_body;
        const char* text;
    } kRows[] = {
        {kGet, false,
         "GET /sub/x?since=1 HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n\r\n"},
        {with(kGet, {{"host", "a.example"}, {"accept", "text/event-stream"}}), false,
         "GET /sub/x?since=1 HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n"
         "accept: text/event-stream\r\n\r\n"},
        // The parser will see two.
        {with(kGet, {{"host", "b.example"}}), false,
         "GET /sub/x?since=1 HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n"
         "host: b.example\r\n\r\n"},
        {with(kGet, {{"cookie", "a=1"}, {"x", "y"}, {"cookie", "b=2"}}), false,
         "GET /sub/x?since=1 HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n"
         "cookie: a=1; b=2\r\nx: y\r\n\r\n"},
        {post, true,
         "POST /pub/x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n"
         "transfer-encoding: chunked\r\n\r\n"},
        {with(post, {{"content-length", "5"}}), true,
         "POST /pub/x HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 5\r\n\r\n"},
        {{{":method", "OPTIONS"}, {":scheme", "http"}, {":path", "*"}, {"host", "a"}},
         false,
         "OPTIONS * HTTP/1.1\r\nconnection: close\r\nhost: a\r\n\r\n"},
        {{{":method", "CONNECT"}, {":authority", "a:1"}},
         true,
         "CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\nconnection: close\r\n"
         "transfer-encoding: chunked\r\n\r\n"},
        {{{":method", "CONNECT"},
          {":protocol", "websocket"},
          {":scheme", "https"},
          {":path", "/sub/x"},
          {":authority", "a"},
          {"sec-websocket-version", "13"},
          {"sec-websocket-key", "mine"}},
         true,
         "GET /sub/x HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
         "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-version: 13\r\n\r\n"},
        // Another protocol is none of ours.
        {{{":method", "CONNECT"},
          {":protocol", "connect-udp"},
          {":scheme", "https"},
          {":path", "/"},
          {":authority", "a"}},
         false,
         "CONNECT / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"},
    };
    for (const auto& row : kRows)
        assert_text(text_of(row.fields, row.has_body), row.text);
}

// What is over the limit is over that of the parser as well.
static void too_large(void**) {
    const ParserLimits limits{.head_size = kLimit, .uri_size = 200, .header_count = 10};
    const auto status = [&](const Fields& fields) {
        RequestParser parser(limits);
        const auto step = parser.feed(text_of(fields));
        return step.status == RequestParser::Status::Error ? parser.problem().status : 200;
    };
    assert_int_equal(status(kGet), 200);
    assert_int_equal(status(with(kGet, {{"x", std::string(500, 'x')}})), 200);
    assert_int_equal(status(with(kGet, {{"x", std::string(kLimit, 'x')}})), 431);
    assert_int_equal(
        status(with(kGet, {{"x", std::string(600, 'x')}, {"y", std::string(600, 'y')}})), 431);
    assert_int_equal(status(with(kGet, Fields(20, {"x", "y"}))), 431);
    Fields long_path = kGet;
    long_path.back().second = "/" + std::string(300, 'p');
    assert_int_equal(status(long_path), 414);
    long_path.back().second = "/" + std::string(3 * kLimit, 'p');
    assert_int_equal(status(long_path), 414);
}

static void answers(void**) {
    std::string text;
    append_status(text, 200);
    append_header(text, "Content-Type", "text/plain");
    append_content_length(text, 2);
    append_header(text, "Connection", "close");
    text += "\r\nok";
    for (size_t size = 0; size < text.size() - 2; ++size)
        assert_false(read_response_head(std::string_view(text).substr(0, size)).has_value());
    const auto head = read_response_head(text);
    assert_true(head.has_value());
    assert_int_equal(head->status, 200);
    assert_int_equal(head->size, text.size() - 2);
    assert_true(head->is_final());
    std::string fields;
    for (const auto& [name, value] : head->fields)
        if (name != "date")
            fields += name + "=" + value + "\n";
    assert_text(fields, "content-type=text/plain\ncontent-length=2\n");

    const auto chunked =
        read_response_head("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_true(chunked && chunked->is_chunked && chunked->fields.empty());
    assert_false(head->is_chunked);

    const auto interim = read_response_head(kContinue);
    assert_true(interim && interim->status == 100 && !interim->is_final());
    assert_true(interim->fields.empty() && interim->size == kContinue.size());

    const auto upgrade = read_response_head(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: fanhorn.v1\r\n\r\n");
    assert_true(upgrade && upgrade->status == 200 && upgrade->is_final());
    assert_int_equal(upgrade->fields.size(), 1);
    assert_text(upgrade->fields[0].first, "sec-websocket-protocol");
}

static void chunks(void**) {
    std::string out;
    append_chunk(out, "hello");
    append_chunk(out, std::string(300, 'x'));
    append_chunk(out, {});
    assert_text(out, "5\r\nhello\r\n12c\r\n" + std::string(300, 'x') + "\r\n0\r\n\r\n");
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(requests),
        cmocka_unit_test(too_large),
        cmocka_unit_test(answers),
        cmocka_unit_test(chunks),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
