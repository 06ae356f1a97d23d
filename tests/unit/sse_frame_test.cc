// SPDX-License-Identifier: Apache-2.0
#include "modules/sse_frame.h"

#include "sse_parser.h"

#include <random>

#include "test.h"

using namespace fanhorn;

static std::string event(std::string_view id, std::string_view name, std::string_view payload) {
    std::string out;
    append_event(out, id, name, payload);
    return out;
}

static std::string data(std::string_view payload) {
    std::string out;
    append_data(out, payload);
    return out;
}

static void data_lines(void**) {
    struct Row {
        const char *payload, *lines;
    };
    for (const Row& row : {
             Row{"", "data: \n"},
             {"a", "data: a\n"},
             {"a\nb", "data: a\ndata: b\n"},
             {"a\rb", "data: a\ndata: b\n"},
             {"a\r\nb", "data: a\ndata: b\n"},
             {"a\n\rb", "data: a\ndata: \ndata: b\n"},
             {"a\r\r\nb", "data: a\ndata: \ndata: b\n"},
             {"a\n", "data: a\ndata: \n"},
             {"a\r", "data: a\ndata: \n"},
             {"a\r\n", "data: a\ndata: \n"},
             {"\n", "data: \ndata: \n"},
             {"\n\n", "data: \ndata: \ndata: \n"},
             {" a", "data:  a\n"},
             {": a", "data: : a\n"},
             {"id: 1\n\nevent: x", "data: id: 1\ndata: \ndata: event: x\n"},
         })
        assert_text(data(row.payload), row.lines);
}

static void blocks(void**) {
    assert_text(event("k3.1", "msg", "hi"), "id: k3.1\nevent: msg\ndata: hi\n\n");
    assert_text(event("k3.1", "", "hi"), "id: k3.1\ndata: hi\n\n");
    assert_text(event("", "gap", "{}"), "event: gap\ndata: {}\n\n");
    assert_text(event("", "", ""), "data: \n\n");
    std::string out;
    append_retry(out, 3141);
    append_comment(out, "fanhorn");
    append_comment(out, "");
    append_id_block(out, "k3.2");
    assert_text(out, "retry: 3141\n: fanhorn\n: \nid: k3.2\n\n");
    const SseParser parser(out);
    assert_true(parser.is_whole && !parser.has_unknown_field && parser.events.empty());
    assert_text(parser.retry, "3141");
    assert_text(parser.last_event_id, "k3.2");
    assert_int_equal(parser.comments.size(), 2);
}

// The stream as a browser gets it, after the lines that begin every stream.
static void expect_back(std::string_view name, std::string_view payload) {
    std::string stream;
    append_comment(stream, "");
    append_event(stream, "k3.1", name, payload);
    append_event(stream, "k3.2", "", "after");
    const SseParser parser(stream);
    const std::string type = name.empty() ? "message" : std::string(name);
    const bool is_same =
        parser.events == std::vector<SseEvent>{{"k3.1", type, with_line_feeds(payload)},
                                               {"k3.2", "message", "after"}};
    assert_row(payload.substr(0, 100), is_same);
    assert_true(parser.is_whole && !parser.has_unknown_field && parser.retry.empty());
    assert_int_equal(parser.comments.size(), 1);
}

static void every_byte(void**) {
    for (int byte = 0; byte < 256; ++byte) {
        const std::string one(1, static_cast<char>(byte));
        for (const std::string& payload :
             {one, one + one, "a" + one, one + "b", "a" + one + "b", one + "\n", "\r" + one,
              "a" + one + one + "b", one + "data: x", "\n" + one + "\nid: 9"})
            expect_back("", payload);
    }
}

static void hostile_payloads(void**) {
    for (const std::string& payload :
         {std::string("a\nb\nc"), std::string("x\r\n\r\nevent: evil\ndata: pwn\r\n\r\n"),
          std::string("  two spaces"), std::string(": not a comment"), std::string("line\n"),
          std::string("retry: 1\nid: 1\nevent: x\ndata: y"),
          std::string("\xef\xbb\xbf"
                      "bom"),
          std::string("\n\n\n\ndata: pwn"), std::string("a\0b\0", 4), std::string("\r\r\n\n\r"),
          std::string("\xe2\x80\xa8\xc2\x85\x0b\x0c"), std::string(1048576, 'L'),
          std::string(100000, '['), std::string(100000, '\r')})
        expect_back("evt", payload);
}

static void event_names(void**) {
    expect_back(" blank in front", "x");
    expect_back("a:b", "x");
    expect_back("\xe2\x98\x95", "x");
}

static void random_payloads(void**) {
    std::mt19937 random(11);
    for (int round = 0; round < 5000; ++round) {
        std::string payload(random() % 30, '\0');
        for (char& byte : payload)
            byte = "\r\n\r\n :adtid\xc3\0"[random() % 13];
        expect_back("", payload);
    }
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(data_lines),  cmocka_unit_test(blocks),
        cmocka_unit_test(every_byte),  cmocka_unit_test(hostile_payloads),
        cmocka_unit_test(event_names), cmocka_unit_test(random_payloads),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
