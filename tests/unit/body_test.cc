// SPDX-License-Identifier: Apache-2.0
#include "http/body.h"

#include <algorithm>
#include <vector>

#include "tests/unit/test.h"

using namespace fanhorn::http;
using namespace std::string_literals;

namespace {

struct Read {
    BodyReader::Status status = BodyReader::Status::NeedMore;
    std::string content, rest;
    int problem = 0;
    bool operator==(const Read&) const = default;
};

Read read(BodyReader reader, std::string_view bytes, size_t size) {
    Read read;
    auto step = reader.feed({}, read.content); // as before a 100 (Continue)
    while (step.status == BodyReader::Status::NeedMore && !bytes.empty()) {
        step = reader.feed(bytes.substr(0, size), read.content);
        bytes.remove_prefix(step.consumed);
    }
    read.status = step.status;
    read.rest = bytes;
    if (step.status == BodyReader::Status::Error)
        read.problem = reader.problem().status;
    return read;
}

constexpr uint64_t kLimit = 1000;

struct Row {
    const char* name;
    std::string bytes;
    int status; // 0: done, -1: more is needed, else that problem
    std::string content, rest;
};

std::string trailer(size_t size) {
    return "0\r\n" + ("T: " + std::string(size - 5, 't')) + "\r\n\r\n";
}

const Row kChunked[] = {
    {"nothing", "0\r\n\r\n", 0, "", ""},
    {"one", "5\r\nhello\r\n0\r\n\r\n", 0, "hello", ""},
    {"what follows stays", "1\r\nx\r\n0\r\n\r\nGET /", 0, "x", "GET /"},
    {"two, in both cases of hexadecimal", "a\r\n0123456789\r\nB\r\nhello world\r\n0\r\n\r\n", 0,
     "0123456789hello world", ""},
    {"line ends in the content", "4\r\n\r\n\r\n\r\n0\r\n\r\n", 0, "\r\n\r\n", ""},
    {"many zeros", "00000001\r\nx\r\n000\r\n\r\n", 0, "x", ""},
    {"extensions", "1;a\r\nx\r\n1;b=c;d=\"e f\"\r\ny\r\n0;last\r\n\r\n", 0, "xy", ""},
    {"longest extension", "1;" + std::string(256, 'e') + "\r\nx\r\n0\r\n\r\n", 0, "x", ""},
    {"quote that stays open", "1;a=\"b\r\nx\r\n0\r\n\r\n", 0, "x", ""},
    {"trailers", "1\r\nx\r\n0\r\nVary: *\r\nX:\r\n\r\nrest", 0, "x", "rest"},
    {"longest trailers", trailer(4096), 0, "", ""},
    {"as much as allowed", "3e8\r\n" + std::string(1000, 'x') + "\r\n0\r\n\r\n", 0,
     std::string(1000, 'x'), ""},
    {"not yet", "5\r\nhel", -1, "hel", ""},
    {"last chunk is missing", "5\r\nhello\r\n", -1, "hello", ""},
    {"last line is missing", "0\r\n", -1, "", ""},
    {"last LF is missing", "0\r\n\r", -1, "", ""},
    {"more than allowed", "3e9\r\n", 413, "", ""},
    {"more than allowed in two", "3e8\r\n" + std::string(1000, 'x') + "\r\n1\r\n", 413,
     std::string(1000, 'x'), ""},
    {"largest size", "ffffffff\r\n", 413, "", ""},
    {"nine digits", "000000001\r\n", 400, "", "\r\n"},
    {"letters", "zz\r\nhello\r\n0\r\n\r\n", 400, "", "z\r\nhello\r\n0\r\n\r\n"},
    {"letters behind", "3zz", 400, "", "z"},
    {"no size", "\r\nhello", 400, "", "\nhello"},
    {"underscore", "1_0\r\n", 400, "", "0\r\n"},
    {"0x", "0x1\r\nx\r\n", 400, "", "1\r\nx\r\n"},
    {"plus", "+3\r\nabc", 400, "", "3\r\nabc"},
    {"minus", "-3\r\nabc", 400, "", "3\r\nabc"},
    {"leading blank", " 5\r\n", 400, "", "5\r\n"},
    {"blank behind", "5 \r\nhello", 400, "", "\r\nhello"},
    {"blank before an extension", "5 ;a\r\n", 400, "", ";a\r\n"},
    {"tab behind", "5\t\r\n", 400, "", "\r\n"},
    {"LF behind the size", "5\nhello", 400, "", "hello"},
    {"CR and something", "5\r;a\r\n", 400, "", "a\r\n"},
    {"CR CR", "5\r\r\n", 400, "", "\n"},
    {"empty extension", "5;\r\nhello", 400, "", "\nhello"},
    {"LF in an extension", "5;a\nb\r\n", 400, "", "b\r\n"},
    {"NUL in an extension", "5;a\0\r\n"s, 400, "", "\r\n"},
    {"extension too long", "1;" + std::string(257, 'e') + "\r\n", 400, "", "\r\n"},
    {"no line end behind the content", "5\r\nhello0\r\n\r\n", 400, "hello", "\r\n\r\n"},
    {"other bytes behind the content", "5\r\nhelloXX0\r\n", 400, "hello", "X0\r\n"},
    {"LF behind the content", "1\r\nx\n0\r\n\r\n", 400, "x", "0\r\n\r\n"},
    {"CR and something behind the content", "1\r\nx\rX", 400, "x", ""},
    {"LF behind the last size", "0\n\n", 400, "", "\n"},
    {"LF at the end", "0\r\n\n", 400, "", ""},
    {"CR and something at the end", "0\r\n\rX", 400, "", ""},
    {"blank before a trailer", "0\r\n X: y\r\n", 400, "", "X: y\r\n"},
    {"trailer without a name", "0\r\n: y\r\n", 400, "", " y\r\n"},
    {"trailer without a colon", "0\r\nX\r\n\r\n", 400, "", "\n\r\n"},
    {"blank before a trailer's colon", "0\r\nX : y\r\n", 400, "", ": y\r\n"},
    {"folded trailer", "0\r\nX: y\r\n z\r\n", 400, "", "z\r\n"},
    {"NUL in a trailer", "0\r\nX: y\0\r\n"s, 400, "", "\r\n"},
    {"LF behind a trailer", "0\r\nX: y\nZ: 1\r\n", 400, "", "Z: 1\r\n"},
    {"CR in a trailer", "0\r\nX: y\rz", 400, "", ""},
    {"trailers too long", trailer(4097), 431, "", "\r\n"},
    {"endless trailer name", "0\r\n" + std::string(4097, 'n'), 431, "", ""},
};

} // namespace

static void test_chunked(void**) {
    for (const Row& row : kChunked) {
        Read expected;
        expected.status = row.status < 0    ? BodyReader::Status::NeedMore
                          : row.status == 0 ? BodyReader::Status::Done
                                            : BodyReader::Status::Error;
        expected.content = row.content;
        expected.rest = row.rest;
        expected.problem = std::max(row.status, 0);
        for (const size_t size : {100'000, 1, 2, 3, 7}) {
            const Read got = read({Framing::Chunked, 0, kLimit}, row.bytes, size);
            if (got != expected)
                std::printf("pieces of %zu: problem %d, content '%s', rest '%s'\n", size,
                            got.problem, got.content.c_str(), got.rest.c_str());
            assert_row(row.name, got == expected);
        }
    }
}

static void test_length(void**) {
    for (const size_t size : {100, 1, 3}) {
        const BodyReader five(Framing::Length, 5, 5);
        assert_true(
            (read(five, "helloGET", size) == Read{BodyReader::Status::Done, "hello", "GET", 0}));
        assert_true((read(five, "hel", size) == Read{BodyReader::Status::NeedMore, "hel", "", 0}));
        // Known before the first byte.
        assert_true((read({Framing::Length, 6, 5}, "hello!", size) ==
                     Read{BodyReader::Status::Error, "", "hello!", 413}));
    }
}

static void test_no_body(void**) {
    std::string out;
    for (BodyReader reader :
         {BodyReader(), BodyReader(Framing::None, 0, 0), BodyReader(Framing::Length, 0, 0)}) {
        assert_true(reader.is_done());
        const auto step = reader.feed("GET", out);
        assert_true(step.status == BodyReader::Status::Done);
        assert_int_equal(step.consumed, 0);
    }
    assert_text(out, "");
}

// A body without a limit, used as it comes.
static void test_streamed(void**) {
    BodyReader reader(Framing::Chunked, 0, UINT64_MAX);
    std::string out;
    uint64_t total = 0;
    for (int i = 0; i < 1000; ++i) {
        const auto step = reader.feed("400\r\n" + std::string(1024, 'x') + "\r\n", out);
        assert_true(step.status == BodyReader::Status::NeedMore);
        total += out.size();
        out.clear();
    }
    assert_int_equal(total, 1024 * 1000);
    assert_true(reader.feed("0\r\n\r\n", out).status == BodyReader::Status::Done);
    assert_true(reader.is_done());
}

int main() {
    static_assert(sizeof(BodyReader) <= 24);
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_chunked),
        cmocka_unit_test(test_length),
        cmocka_unit_test(test_no_body),
        cmocka_unit_test(test_streamed),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
