// SPDX-License-Identifier: Apache-2.0
#include "modules/deflate.h"

#include "base/utf8.h"

#include <random>

#include "test.h"

using namespace fanhorn;

static constexpr size_t kLimit = 65536;
static const std::string kAnswer =
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

// RFC 7692 sections 7.1 and 9; RFC 6455 section 9.1.
static void offers(void**) {
    const std::string windowed = kAnswer + "; server_max_window_bits=15";
    struct Row {
        std::string offers, answer;
    };
    for (const Row& row : {
             Row{"", ""},
             {",", ""},
             {" , ,", ""},
             {"permessage-deflate", kAnswer},
             {"\t permessage-deflate \t", kAnswer},
             {"permessage-deflate; client_max_window_bits", kAnswer},
             {"permessage-deflate;client_max_window_bits=8", kAnswer},
             {"permessage-deflate ; client_max_window_bits = \"15\" ", kAnswer},
             {"permessage-deflate; server_no_context_takeover; client_no_context_takeover",
              kAnswer},
             {"permessage-deflate; server_max_window_bits=15", windowed},
             {"permessage-deflate; server_max_window_bits=\"1\\5\"", windowed},
             {"x-frob", ""},
             {"x-frob; permessage-deflate", ""},
             {"x-frob, permessage-deflate", kAnswer},
             {"x-frob; a=1; b=\"c\", permessage-deflate", kAnswer},
             {"permessage-deflate, permessage-deflate; server_max_window_bits=15", kAnswer},
             {"permessage-deflate; server_max_window_bits=10, permessage-deflate", kAnswer},
             {"permessage-deflate; unknown, , permessage-deflate; server_max_window_bits=15",
              windowed},
             // Declined: a window that we do not compress for, values and parameters out of place.
             {"permessage-deflate; server_max_window_bits=14", ""},
             {"permessage-deflate; server_max_window_bits=8", ""},
             {"permessage-deflate; server_max_window_bits=16", ""},
             {"permessage-deflate; server_max_window_bits=015", ""},
             {"permessage-deflate; server_max_window_bits", ""},
             {"permessage-deflate; client_max_window_bits=0", ""},
             {"permessage-deflate; client_max_window_bits=7", ""},
             {"permessage-deflate; client_max_window_bits=16", ""},
             {"permessage-deflate; client_max_window_bits=99", ""},
             {"permessage-deflate; client_max_window_bits=08", ""},
             {"permessage-deflate; client_max_window_bits=-8", ""},
             {"permessage-deflate; client_max_window_bits=1e1", ""},
             {"permessage-deflate; server_no_context_takeover=1", ""},
             {"permessage-deflate; client_no_context_takeover=true", ""},
             {"permessage-deflate; client_max_window_bits; client_max_window_bits", ""},
             {"permessage-deflate; server_no_context_takeover; server_no_context_takeover", ""},
             {"permessage-deflate; unknown", ""},
             {"permessage-deflate; unknown; unknown", ""},
             {"permessage-bzip2", ""},
             {"x-webkit-deflate-frame", ""},
         }) {
        const auto answer = choose_deflate(row.offers);
        assert_row(row.offers, answer.ok());
        assert_text(*answer, row.answer);
    }
}

static void malformed_offers(void**) {
    for (const std::string& bad :
         {std::string("permessage-deflate;"), std::string("permessage-deflate; ;"),
          std::string("; a"), std::string("=1"), std::string("a b"), std::string("a; b c"),
          std::string("a; b="), std::string("a; b=\"\""), std::string("a; b=\"1"),
          std::string("a; b=\"1\\"), std::string("a; b=\"1\\\""), std::string("a; b=\"x y\""),
          std::string("a; b=\"x\"y"), std::string("a; =b"), std::string("a; b==c"),
          std::string("a/b"), std::string("a\0", 2), std::string("\xff"),
          std::string("permessage-deflate, \"")}) {
        const auto answer = choose_deflate(bad);
        assert_row(bad, !answer.ok());
        assert_text(answer.error(), "malformed Sec-WebSocket-Extensions");
    }
}

// Linear: a megabyte of offers takes no noticeable time (CVE-2020-7662 and its like).
static void many_offers(void**) {
    std::string text, quoted = "a; b=\"";
    for (int i = 0; i < 50000; ++i)
        text += "permessage-deflate; unknown, ";
    quoted.append(1000000, '\\');
    assert_text(*choose_deflate(text + "permessage-deflate"), kAnswer);
    assert_false(choose_deflate(quoted).ok());
}

static std::string noise(size_t size, unsigned seed) {
    std::mt19937 random(seed);
    std::string out(size, '\0');
    for (char& byte : out)
        byte = static_cast<char>(random());
    return out;
}

static void round_trips(void**) {
    Deflater deflater;
    Inflater inflater;
    std::string out = "what was here before";
    for (const size_t size : {1, 2, 5, 100, 16383, 16384, 16385, 32768, 65535, 65536})
        for (const std::string& message : {noise(size, unsigned(size)), std::string(size, 'x')}) {
            const std::string_view small = deflater.compress(message);
            const InflateStatus status = inflater.inflate(small, kLimit, out);
            assert_row(std::to_string(size), status == InflateStatus::Ok);
            assert_row(std::to_string(size), out == message);
        }
}

// No context takeover: the same message is the same bytes whatever went before, at any level.
static void messages_are_independent(void**) {
    for (int level = 1; level <= 9; ++level) {
        Deflater fresh(level), used(level);
        const std::string message = "{\"text\":\"hello hello hello\"}";
        used.compress(noise(70000, 3));
        used.compress(message);
        const std::string expected(fresh.compress(message));
        assert_true(expected.size() < message.size());
        assert_true(used.compress(message) == expected);
    }
}

static void huge_message(void**) {
    Deflater deflater;
    Inflater inflater;
    const std::string message = noise(3000000, 4);
    std::string out;
    assert_true(inflater.inflate(deflater.compress(message), message.size(), out) ==
                InflateStatus::Ok);
    assert_true(out == message);
    assert_true(inflater.inflate(deflater.compress("small"), kLimit, out) == InflateStatus::Ok);
    assert_text(out, "small");
}

static void empty_message(void**) {
    Deflater deflater;
    assert_true(deflater.compress("") == std::string_view("\x00", 1)); // section 7.2.3.6
}

// RFC 7692 section 7.2.3, and what other implementations send.
static void inflating(void**) {
    struct Row {
        const char* name;
        std::string bytes, message;
        InflateStatus status;
    };
    constexpr auto ok = InflateStatus::Ok, malformed = InflateStatus::Malformed;
    const auto raw = [](const char* bytes, size_t size) { return std::string(bytes, size); };
    for (const Row& row : {
             Row{"7.2.3.1 fixed codes", raw("\xf2\x48\xcd\xc9\xc9\x07\x00", 7), "Hello", ok},
             {"7.2.3.3 stored block", raw("\x00\x05\x00\xfa\xffHello\x00", 11), "Hello", ok},
             {"7.2.3.4 BFINAL", raw("\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 8), "Hello", ok},
             {"7.2.3.5 two blocks", raw("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", 13),
              "Hello", ok},
             {"7.2.3.6 empty", raw("\x00", 1), "", ok},
             {"empty without its byte", "", "", ok},
             {"deflate-bfinal-block", raw("\x4b\xcb\xcc\x03\x00\x00", 6), "fin", ok},
             {"BFINAL without the last byte", raw("\x4b\xcb\xcc\x03\x00", 5), "fin", ok},
             {"two streams", raw("\x4b\xcb\xcc\x03\x00\x4b\xcb\xcc\x03\x00\x00", 11), "finfin", ok},
             {"deflate-garbage", "\xff\xff\xff\xff\xff\xff", "", malformed},
             {"reserved block type", "\x06", "", malformed},
             {"distance too far back", raw("\x02\x02\x00\x00", 4), "", malformed},
             {"cut in a block", raw("\xf2\x48\xcd", 3), "", malformed},
             {"cut in a stored block", raw("\x00\x05\x00\xfa\xffHel", 8), "", malformed},
             {"stored length wrong", raw("\x00\x05\x00\xfa\xfeHello\x00", 11), "", malformed},
         }) {
        Inflater inflater;
        std::string out;
        const InflateStatus status = inflater.inflate(row.bytes, kLimit, out);
        if (status != row.status || out != row.message)
            std::printf("status %d, '%s'\n", int(status), out.c_str());
        assert_row(row.name, status == row.status);
        assert_row(row.name, out == row.message);
    }
}

// "deflate-invalid-utf8-inside": inflating does not judge, the caller does.
static void text_is_checked_by_the_caller(void**) {
    Inflater inflater;
    std::string out;
    assert_true(inflater.inflate(std::string("\xfa\xff\x0f\x00", 4), kLimit, out) ==
                InflateStatus::Ok);
    assert_false(is_utf8(out));
}

// Cut or damaged anywhere, a message is refused or something else, and the next one is whole.
static void truncated_and_damaged(void**) {
    Deflater deflater;
    Inflater inflater;
    std::string out;
    std::mt19937 random(5);
    const std::string message = noise(300, 6) + std::string(300, 'x') + noise(300, 7);
    const std::string small(deflater.compress(message));
    for (size_t cut = 1; cut < small.size(); ++cut) {
        std::string damaged = small.substr(0, cut);
        const InflateStatus status = inflater.inflate(damaged, kLimit, out);
        assert_true(status == InflateStatus::Malformed || out != message);
        damaged[random() % cut] = static_cast<char>(random());
        inflater.inflate(damaged, kLimit, out);
        assert_true(out.size() <= kLimit);
    }
    assert_true(inflater.inflate(small, kLimit, out) == InflateStatus::Ok);
    assert_true(out == message);
}

static void limits(void**) {
    Deflater deflater;
    Inflater inflater;
    std::string out;
    for (const size_t size : {1, 100, 16384, 16385, 50000}) {
        const std::string small(deflater.compress(std::string(size, 'x')));
        assert_true(inflater.inflate(small, size, out) == InflateStatus::Ok);
        assert_int_equal(out.size(), size);
        assert_true(inflater.inflate(small, size - 1, out) == InflateStatus::TooBig);
        assert_int_equal(out.size(), 0);
    }
}

// 64 KiB that would become 64 MB stop at the limit.
static void bomb(void**) {
    Deflater deflater(9);
    Inflater inflater;
    const std::string small(deflater.compress(std::string(64000000, '\0')));
    assert_true(small.size() < 65536);
    std::string out;
    assert_true(inflater.inflate(small, kLimit, out) == InflateStatus::TooBig);
    assert_true(out.capacity() <= 4 * kLimit);
    assert_true(inflater.inflate(deflater.compress("after"), kLimit, out) == InflateStatus::Ok);
    assert_text(out, "after");
}

// Empty final blocks produce nothing for ever; they cost what their bytes cost.
static void empty_streams(void**) {
    Inflater inflater;
    std::string blocks, out;
    for (int i = 0; i < 32768; ++i)
        blocks.append("\x03\x00", 2);
    assert_true(inflater.inflate(blocks, kLimit, out) == InflateStatus::Ok);
    assert_int_equal(out.size(), 0);
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(offers),
        cmocka_unit_test(malformed_offers),
        cmocka_unit_test(many_offers),
        cmocka_unit_test(round_trips),
        cmocka_unit_test(messages_are_independent),
        cmocka_unit_test(huge_message),
        cmocka_unit_test(empty_message),
        cmocka_unit_test(inflating),
        cmocka_unit_test(text_is_checked_by_the_caller),
        cmocka_unit_test(truncated_and_damaged),
        cmocka_unit_test(limits),
        cmocka_unit_test(bomb),
        cmocka_unit_test(empty_streams),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
