// SPDX-License-Identifier: Apache-2.0
#include "modules/websocket_frame.h"

#include "websocket_client.h"

#include <algorithm>
#include <cstdlib>
#include <new>
#include <random>
#include <vector>

#include "test.h"

using namespace fanhorn;

static size_t g_largest_allocation = 0;

// Not inlined, or gcc sees a free() of what new gave.
[[gnu::noinline]] void* operator new(size_t size) {
    g_largest_allocation = std::max(g_largest_allocation, size);
    void* memory = std::malloc(size);
    if (!memory)
        std::abort();
    return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
    std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept {
    std::free(memory);
}

// First bytes of frames.
static constexpr unsigned kText = 0x81, kBinary = 0x82, kClose = 0x88, kPing = 0x89, kPong = 0x8a;
static constexpr unsigned kTextStart = 0x01, kBinaryStart = 0x02, kMore = 0x00, kLast = 0x80;
static constexpr unsigned kRsv1 = 0x40, kRsv2 = 0x20, kRsv3 = 0x10;

static std::string repeat(std::string_view text, size_t times) {
    std::string out;
    for (size_t i = 0; i < times; ++i)
        out.append(text);
    return out;
}

static std::string close_frame(unsigned code, std::string_view reason = "") {
    std::string payload;
    payload.push_back(static_cast<char>(code >> 8));
    payload.push_back(static_cast<char>(code & 0xff));
    return client_frame(kClose, payload.append(reason));
}

static std::string bytes(std::initializer_list<int> values) {
    std::string out;
    for (const int value : values)
        out.push_back(static_cast<char>(value));
    return out;
}

static std::string length16(unsigned first, unsigned length, std::string_view payload) {
    return masked(bytes({int(first), 0xfe, int(length >> 8 & 0xff), int(length & 0xff)}), payload);
}

static std::string length64(unsigned first, uint64_t length, std::string_view payload) {
    std::string header = bytes({int(first), 0xff});
    for (int shift = 56; shift >= 0; shift -= 8)
        header.push_back(static_cast<char>(length >> shift & 0xff));
    return masked(header, payload);
}

struct Row {
    std::string name, bytes, expected;
    ReaderLimits limits = {};
};

// However the bytes are split, the same is heard.
static void run_rows(const std::vector<Row>& rows) {
    std::mt19937 random(7);
    for (const Row& row : rows) {
        const auto whole = read_in_pieces(row.bytes, row.limits, [&] { return row.bytes.size(); });
        if (whole != row.expected)
            std::printf("heard '%.300s'\n", whole.c_str());
        assert_row(row.name, whole == row.expected);
        assert_row(row.name + " byte by byte",
                   read_in_pieces(row.bytes, row.limits, [] { return 1; }) == row.expected);
        for (int round = 0; round < 20; ++round) {
            const auto next_size = [&] { return 1 + random() % 13; };
            assert_row(row.name + " in pieces",
                       read_in_pieces(row.bytes, row.limits, next_size) == row.expected);
        }
    }
}

// Cut anywhere, another reader goes on as if it had read all of it.
static void another_goes_on(void**) {
    struct Ear final : FrameHandler {
        bool on_message(Opcode opcode, std::string payload, bool compressed) override {
            heard += std::to_string(static_cast<int>(opcode)) + (compressed ? "c" : "") + "(" +
                     payload + ")";
            return true;
        }
        bool on_ping(std::string_view payload) override {
            heard.append("ping(").append(payload).append(")");
            return true;
        }
        bool on_pong(std::string_view payload) override { return on_ping(payload); }
        void on_close(uint16_t, std::string_view) override { heard += "close"; }
        void on_error(uint16_t code, std::string_view) override {
            heard += "error" + std::to_string(code);
        }
        std::string heard;
    };
    const ReaderLimits once = {.fragments = 1, .deflate = true}, often = {.deflate = true};
    const std::string long_text = repeat("\xc3\xa9", 150);
    const struct {
        std::string bytes;
        const ReaderLimits& limits;
    } kRows[] = {
        {client_frame(kText, long_text) + client_frame(kBinary, "b"), once},
        {client_frame(kText | kRsv1, "deflated"), once},
        {client_frame(kTextStart, "\xf0\x9f") + client_frame(kPing, "ping") +
             client_frame(kMore, "") + client_frame(kLast, "\x98\x80") + client_frame(kPing, ""),
         often},
        {client_frame(kTextStart | kRsv1, "one") + client_frame(kLast, "two"), often},
        {client_frame(kPing, repeat("q", 125)) + client_frame(kClose, ""), once},
    };
    for (const auto& row : kRows) {
        Ear whole;
        std::string bytes = row.bytes;
        MessageReader reader;
        reader.feed(bytes, row.limits, whole);
        for (size_t cut = 0; cut < row.bytes.size(); ++cut) {
            Ear ear;
            std::string first = row.bytes.substr(0, cut), second, third = row.bytes.substr(cut);
            MessageReader before;
            before.feed(first, row.limits, ear);
            before.append_partial(second);
            MessageReader after;
            const std::string heard = ear.heard;
            after.feed(second, row.limits, ear);
            assert_text(ear.heard, heard); // it is nothing whole
            after.feed(third, row.limits, ear);
            assert_text(ear.heard, whole.heard);
        }
    }
}

static void good_frames(void**) {
    const std::string long_text = repeat("\xc3\xa9", 32768);
    run_rows({
        {"empty text", client_frame(kText, ""), "text()"},
        {"empty binary", client_frame(kBinary, ""), "binary()"},
        {"text", client_frame(kText, "hi"), "text(hi)"},
        {"binary", client_frame(kBinary, "\xff\xfe"), "binary(\xff\xfe)"},
        {"125", client_frame(kText, repeat("a", 125)), "text(" + repeat("a", 125) + ")"},
        {"126", client_frame(kText, repeat("a", 126)), "text(" + repeat("a", 126) + ")"},
        {"65535", client_frame(kBinary, repeat("a", 65535)), "binary(" + repeat("a", 65535) + ")"},
        {"65536", client_frame(kText, long_text), "text(" + long_text + ")"},
        {"two messages", client_frame(kText, "a") + client_frame(kBinary, "b"),
         "text(a) binary(b)"},
        {"zero key", client_frame(kText, "hi", MaskKey{}), "text(hi)"},
        {"ping", client_frame(kPing, ""), "ping()"},
        {"ws-ping-125", client_frame(kPing, repeat("q", 125)), "ping(" + repeat("q", 125) + ")"},
        {"pong nobody asked for", client_frame(kPong, "x"), "pong(x)"},
        {"fragments",
         client_frame(kTextStart, "a") + client_frame(kMore, "b") + client_frame(kLast, "c"),
         "text(abc)"},
        {"empty fragments",
         client_frame(kTextStart, "") + client_frame(kMore, "") + client_frame(kLast, ""),
         "text()"},
        {"binary fragments", client_frame(kBinaryStart, "\xff") + client_frame(kLast, "\x00"),
         std::string("binary(\xff)")},
        {"ping between fragments",
         client_frame(kTextStart, "a") + client_frame(kPing, "p") + client_frame(kPong, "q") +
             client_frame(kLast, "b"),
         "ping(p) pong(q) text(ab)"},
        {"character over two fragments",
         client_frame(kTextStart, "\xf0\x9f") + client_frame(kPing, "\xff") +
             client_frame(kLast, "\x98\x80"),
         "ping(\xff) text(\xf0\x9f\x98\x80)"},
        {"text after a broken binary", client_frame(kBinary, "\xc3") + client_frame(kText, "a"),
         "binary(\xc3) text(a)"},
        {"fragments left open", client_frame(kTextStart, "a"), ""},
        {"ws-eof-mid-frame", length16(kBinary, 4096, "partial"), ""},
    });
}

static void broken_frames(void**) {
    const std::string e = "error(1002)";
    run_rows({
        {"ws-unmasked-text", bytes({0x81, 2, 'h', 'i'}), e},
        {"unmasked 16-bit", bytes({0x81, 126, 0, 126}), e},
        {"ws-rsv1-without-extension", client_frame(kText | kRsv1, "hi"), e},
        {"rsv2", client_frame(kText | kRsv2, "hi"), e},
        {"rsv3", client_frame(kText | kRsv3, "hi"), e},
        {"ws-rsv123-without-extension", client_frame(kText | kRsv1 | kRsv2 | kRsv3, "hi"), e},
        {"rsv1 on a ping", client_frame(kPing | kRsv1, ""), e},
        {"ws-opcode-3", client_frame(0x83, "x"), e},
        {"opcode 4", client_frame(0x84, "x"), e},
        {"ws-opcode-5", client_frame(0x85, "x"), e},
        {"ws-opcode-6", client_frame(0x86, "x"), e},
        {"ws-opcode-7", client_frame(0x87, "x"), e},
        {"opcode 11", client_frame(0x8b, "x"), e},
        {"ws-opcode-12", client_frame(0x8c, "x"), e},
        {"opcode 13", client_frame(0x8d, "x"), e},
        {"ws-opcode-14", client_frame(0x8e, "x"), e},
        {"opcode 15", client_frame(0x8f, "x"), e},
        {"ping 126", client_frame(kPing, repeat("p", 126)), e},
        {"ws-pong-126", client_frame(kPong, repeat("p", 126)), e},
        {"ws-close-126", close_frame(1000, repeat("p", 124)), e},
        {"ping with a 64-bit length", length64(kPing, 1, "p"), e},
        {"ws-fragmented-ping", client_frame(0x09, "a"), e},
        {"ws-fragmented-close", client_frame(0x08, "\x03\xe8"), e},
        {"ws-text-inside-fragmented", client_frame(kTextStart, "a") + client_frame(kText, "b"), e},
        {"binary inside fragmented",
         client_frame(kTextStart, "a") + client_frame(kBinaryStart, "b"), e},
        {"ws-continuation-after-final", client_frame(kText, "a") + client_frame(kLast, "b"),
         "text(a) " + e},
        {"continuation first", client_frame(kMore, "b"), e},
        {"ws-length-126-nonminimal", length16(kText, 2, "hi"), e},
        {"125 in 16 bits", length16(kText, 125, repeat("a", 125)), e},
        {"65535 in 64 bits", length64(kText, 65535, ""), e},
        {"top bit of the length", length64(kBinary, uint64_t{1} << 63, ""), e},
        {"ws-http-after-101", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", e},
        {"nothing after an error", bytes({0x81, 2, 'h', 'i'}) + client_frame(kText, "a"), e},
        {"good ones before it",
         client_frame(kText, "a") + client_frame(kPing, "b") + bytes({0x81, 0}),
         "text(a) ping(b) " + e},
    });
}

static void broken_text(void**) {
    const std::string e = "error(1007)";
    std::vector<Row> rows = {
        {"ws-text-utf8-invalid-in-2nd-fragment",
         client_frame(kTextStart, "ok") + client_frame(kLast, "\xff"), e},
        {"text cut in a character", client_frame(kText, "a\xc3"), e},
        {"fragments cut in a character",
         client_frame(kTextStart, "\xf0\x9f") + client_frame(kLast, "\x98"), e},
        {"character cut by a new message",
         client_frame(kText, "\xc3\xa9") + client_frame(kText, "\xa9"), "text(\xc3\xa9) " + e},
        {"bad from the first fragment on", client_frame(kTextStart, "\xed\xa0"), e},
    };
    for (const char* bad : {"\xff", "a\x80z", "\xed\xa0\x80", "\xc0\xaf", "\xe0\x80\xaf",
                            "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\xfe"})
        rows.push_back({"UTF-8", client_frame(kText, bad), e});
    run_rows(rows);
}

// The error comes with the byte that makes the text wrong, not with the frame's end.
static void broken_text_fails_early(void**) {
    std::string frame = client_frame(kText, std::string("ab\xed\xa0").append(1000, 'x'));
    const size_t header = frame.size() - 1004;
    FrameRecorder recorder;
    MessageReader reader;
    reader.feed(std::span(frame).first(header + 3), {}, recorder);
    assert_text(recorder.log, "");
    reader.feed(std::span(frame).subspan(header + 3, 1), {}, recorder);
    assert_text(recorder.log, "error(1007)");
    assert_true(reader.has_ended());
    assert_false(reader.is_partial());
}

static void closes(void**) {
    std::vector<Row> rows = {
        {"close without code", client_frame(kClose, ""), "close(0,)"},
        {"close with half a code", client_frame(kClose, "\x03"), "error(1002)"},
        {"longest reason", close_frame(1000, repeat("r", 123)),
         "close(1000," + repeat("r", 123) + ")"},
        {"reason", close_frame(1000, "\xe2\x98\x95"), "close(1000,\xe2\x98\x95)"},
        {"ws-close-bad-utf8-reason", close_frame(1000, "\xff\xfe"), "error(1007)"},
        {"reason cut in a character", close_frame(1000, "\xe2\x98"), "error(1007)"},
        {"ws-data-after-close", close_frame(1000) + client_frame(kText, "late"), "close(1000,)"},
        {"close inside a message", client_frame(kTextStart, "a") + close_frame(1001, "bye"),
         "close(1001,bye)"},
    };
    for (const unsigned code : {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013,
                                1014, 3000, 3999, 4000, 4999})
        rows.push_back({"code " + std::to_string(code), close_frame(code, "x"),
                        "close(" + std::to_string(code) + ",x)"});
    for (const unsigned code :
         {0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535})
        rows.push_back({"code " + std::to_string(code), close_frame(code), "error(1002)"});
    run_rows(rows);
}

static void sizes(void**) {
    const std::string e = "error(1009)";
    const ReaderLimits ten{10, 10, false};
    const ReaderLimits three_fragments{1000, 3, false};
    const std::string piece = client_frame(kMore, "m");
    run_rows({
        {"as long as allowed", client_frame(kText, repeat("a", 10)),
         "text(" + repeat("a", 10) + ")", ten},
        {"one byte more", client_frame(kText, repeat("a", 11)), e, ten},
        {"ws-length-1tb", length64(kBinary, uint64_t{1} << 40, "xxxx"), e},
        {"the largest legal length", length64(kBinary, ~uint64_t{0} >> 1, ""), e},
        {"fragments as long as allowed",
         client_frame(kBinaryStart, repeat("a", 9)) + client_frame(kLast, "b"),
         "binary(" + repeat("a", 9) + "b)", ten},
        {"one byte more in fragments",
         client_frame(kBinaryStart, repeat("a", 9)) + client_frame(kLast, "bc"), e, ten},
        {"the limit is one message's",
         client_frame(kText, repeat("a", 9)) + client_frame(kText, "bc"),
         "text(" + repeat("a", 9) + ") text(bc)", ten},
        {"control frames do not count",
         client_frame(kTextStart, repeat("a", 9)) + client_frame(kPing, repeat("p", 50)) +
             client_frame(kLast, "b"),
         "ping(" + repeat("p", 50) + ") text(" + repeat("a", 9) + "b)", ten},
        {"three fragments", client_frame(kTextStart, "s") + piece + client_frame(kLast, "l"),
         "text(sml)", three_fragments},
        {"four fragments", client_frame(kTextStart, "s") + piece + piece + client_frame(kLast, "l"),
         e, three_fragments},
        {"pings between do not count",
         client_frame(kTextStart, "s") + repeat(client_frame(kPing, ""), 5) +
             client_frame(kLast, "l"),
         "ping() ping() ping() ping() ping() text(sl)", three_fragments},
        {"ws-fragment-flood-50000-empty",
         client_frame(kTextStart, "") + repeat(client_frame(kMore, ""), 50000) +
             client_frame(kLast, ""),
         e},
        {"ws-fragment-flood-50000-1byte",
         client_frame(kBinaryStart, "i") + repeat(client_frame(kMore, "i"), 50000) +
             client_frame(kLast, "i"),
         e},
    });
}

static void compressed_frames(void**) {
    const ReaderLimits deflate{80, 10, true};
    run_rows({
        {"deflate-uncompressed-message-ok", client_frame(kText, "hello"), "text(hello)", deflate},
        {"compressed text is not checked here", client_frame(kText | kRsv1, "\xff"),
         "deflated-text(\xff)", deflate},
        {"compressed fragments",
         client_frame(kBinaryStart | kRsv1, "a") + client_frame(kPing, "") +
             client_frame(kLast, "b"),
         "ping() deflated-binary(ab)", deflate},
        {"each message has its own bit",
         client_frame(kText | kRsv1, "\xff") + client_frame(kText, "\xff"),
         "deflated-text(\xff) error(1007)", deflate},
        {"rsv1 on a continuation",
         client_frame(kTextStart | kRsv1, "a") + client_frame(kLast | kRsv1, "b"), "error(1002)",
         deflate},
        {"deflate-rsv1-on-ping", client_frame(kPing | kRsv1, "a"), "error(1002)", deflate},
        {"rsv1 on a close", client_frame(kClose | kRsv1, ""), "error(1002)", deflate},
        {"rsv2", client_frame(kText | kRsv1 | kRsv2, ""), "error(1002)", deflate},
        {"compressed longer by an eighth", client_frame(kText | kRsv1, repeat("a", 106)),
         "deflated-text(" + repeat("a", 106) + ")", deflate},
        {"compressed longer still", client_frame(kText | kRsv1, repeat("a", 107)), "error(1009)",
         deflate},
    });
}

// What a partial frame costs follows what came, not what was announced.
static void memory(void**) {
    static_assert(sizeof(MessageReader) <= 32);
    const ReaderLimits large{100000000, 10, false};
    std::string begun = length64(kBinary, 100000000, "some");
    FrameRecorder recorder;
    MessageReader reader;
    g_largest_allocation = 0;
    reader.feed(begun, large, recorder);
    assert_true(reader.is_partial());
    assert_true(g_largest_allocation < 512);
    assert_text(recorder.log, "");

    MessageReader idle;
    std::string whole = client_frame(kPing, "") + client_frame(kText, "hi");
    g_largest_allocation = 0;
    idle.feed(whole, large, recorder);
    assert_false(idle.is_partial());
    assert_true(g_largest_allocation < 64);
}

static void partial_state_is_given_back(void**) {
    std::string frame = client_frame(kTextStart, "a") + client_frame(kLast, "b");
    FrameRecorder recorder;
    MessageReader reader;
    for (size_t i = 0; i < frame.size(); ++i) {
        assert_int_equal(reader.feed(std::span(frame).subspan(i, 1), {}, recorder), 1);
        assert_int_equal(reader.is_partial(), i + 1 < frame.size());
    }
    assert_text(recorder.log, "text(ab)");
}

// A callback that says stop leaves the rest unread; a later feed goes on there.
static void callback_stops(void**) {
    const std::string first = client_frame(kText, "a");
    std::string both = first + client_frame(kPing, "b") + client_frame(kPong, "c");
    FrameRecorder recorder;
    MessageReader reader;
    recorder.goes_on = false;
    std::span<char> rest(both);
    for (const char* heard : {"text(a)", "text(a) ping(b)", "text(a) ping(b) pong(c)"}) {
        rest = rest.subspan(reader.feed(rest, {}, recorder));
        assert_text(recorder.log, heard);
    }
    assert_true(rest.empty());
    assert_false(reader.has_ended());
}

static void consumed_at_the_end(void**) {
    const std::string bye = close_frame(1000);
    std::string text = bye + client_frame(kText, "late");
    FrameRecorder recorder;
    MessageReader reader;
    assert_int_equal(reader.feed(text, {}, recorder), bye.size());
    assert_true(reader.has_ended());
    assert_int_equal(reader.feed(text, {}, recorder), 0);
    assert_text(recorder.log, "close(1000,)");
}

static void lowered_limit(void**) {
    std::string start = client_frame(kTextStart, repeat("a", 100));
    std::string more = client_frame(kLast, "b");
    FrameRecorder recorder;
    MessageReader reader;
    reader.feed(start, {1000, 10, false}, recorder);
    reader.feed(more, {50, 10, false}, recorder);
    assert_text(recorder.log, "error(1009)");
    assert_text(recorder.error_reason, "message too big");
}

// Random messages, keys, fragments and splits come out as they went in.
static void random_round_trips(void**) {
    std::mt19937 random(20);
    for (int round = 0; round < 300; ++round) {
        std::string stream, expected;
        for (unsigned count = 1 + random() % 4; count > 0; --count) {
            std::string message(random() % 3 ? random() % 40 : random() % 1000, '\0');
            for (char& byte : message)
                byte = static_cast<char>(random());
            expected.append(expected.empty() ? "" : " ").append("binary(").append(message) += ")";
            std::string_view rest = message;
            unsigned opcode = kBinaryStart;
            while (random() % 3) {
                const size_t size = random() % (rest.size() + 1);
                stream += client_frame(opcode, rest.substr(0, size), {1, 2, 3, 255});
                rest.remove_prefix(size);
                opcode = kMore;
            }
            stream += client_frame(opcode | 0x80, rest, {uint8_t(random()), 9, 0, 7});
        }
        const auto next_size = [&] { return 1 + random() % 200; };
        assert_true(read_in_pieces(stream, {}, next_size) == expected);
    }
}

static void masking(void**) {
    for (size_t offset = 0; offset < 9; ++offset)
        for (size_t size = 0; size < 40; ++size) {
            std::string text(64, 'x');
            std::string expected = text;
            MaskKey key = kTestKey;
            for (size_t i = 0; i < size; ++i)
                expected[offset + i] = static_cast<char>('x' ^ kTestKey[i % 4]);
            apply_mask(std::span(text).subspan(offset, size), key);
            assert_true(text == expected);
            for (size_t i = 0; i < 4; ++i)
                assert_int_equal(key[i], kTestKey[(size + i) % 4]);
        }
}

static std::string frame(Opcode opcode, std::string_view payload, bool rsv1 = false) {
    std::string out = "<";
    append_frame(out, opcode, payload, rsv1);
    return out;
}

static void encoding(void**) {
    assert_true(frame(Opcode::Text, "hi") == "<\x81\x02hi");
    assert_true(frame(Opcode::Text, "hi", true) == "<\xc1\x02hi");
    assert_true(frame(Opcode::Binary, "") == std::string("<\x82\x00", 3));
    assert_true(frame(Opcode::Ping, repeat("p", 125)) == "<\x89\x7d" + repeat("p", 125));
    assert_true(frame(Opcode::Text, repeat("a", 126)) ==
                std::string("<\x81\x7e\x00\x7e", 5) + repeat("a", 126));
    assert_true(frame(Opcode::Text, repeat("a", 65535)) ==
                "<\x81\x7e\xff\xff" + repeat("a", 65535));
    assert_true(frame(Opcode::Text, repeat("a", 65536)) ==
                std::string("<\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 11) + repeat("a", 65536));
    for (const size_t size : {0, 125, 126, 65535, 65536})
        assert_int_equal(frame(Opcode::Binary, repeat("a", size)).size(),
                         1 + frame_header_size(size) + size);
}

static std::string closing(uint16_t code, std::string_view reason) {
    std::string out;
    append_close(out, code, reason);
    return out;
}

static void close_encoding(void**) {
    assert_true(closing(0, "") == std::string("\x88\x00", 2));
    assert_true(closing(1001, "bye") == "\x88\x05\x03\xe9"
                                        "bye");
    assert_true(closing(1000, repeat("a", 123)) == "\x88\x7d\x03\xe8" + repeat("a", 123));
    assert_true(closing(1000, repeat("a", 124)) == "\x88\x7d\x03\xe8" + repeat("a", 123));
    // 121 + 3 bytes: the last character does not fit and goes whole.
    assert_true(closing(1000, repeat("a", 121) + "\xe2\x98\x95") ==
                "\x88\x7b\x03\xe8" + repeat("a", 121));
    assert_true(closing(1000, repeat("a", 120) + "\xe2\x98\x95x") ==
                "\x88\x7d\x03\xe8" + repeat("a", 120) + "\xe2\x98\x95");
}

static void handshake(void**) {
    assert_text(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_true(is_websocket_key("dGhlIHNhbXBsZSBub25jZQ=="));
    assert_true(is_websocket_key("AAAAAAAAAAAAAAAAAAAAAA=="));
    for (const char* bad : {"", "x", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ",
                            "dGhlIHNhbXBsZSBub25jZTE=", "dGhlIHNhbXBsZSBub25j",
                            "dGhlIHNhbXBsZSBub25jZ===", "dGhlIHNhbXBsZSBub2 jZQ=="})
        assert_row(bad, !is_websocket_key(bad));
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(another_goes_on),
        cmocka_unit_test(good_frames),
        cmocka_unit_test(broken_frames),
        cmocka_unit_test(broken_text),
        cmocka_unit_test(broken_text_fails_early),
        cmocka_unit_test(closes),
        cmocka_unit_test(sizes),
        cmocka_unit_test(compressed_frames),
        cmocka_unit_test(memory),
        cmocka_unit_test(partial_state_is_given_back),
        cmocka_unit_test(callback_stops),
        cmocka_unit_test(consumed_at_the_end),
        cmocka_unit_test(lowered_limit),
        cmocka_unit_test(random_round_trips),
        cmocka_unit_test(masking),
        cmocka_unit_test(encoding),
        cmocka_unit_test(close_encoding),
        cmocka_unit_test(handshake),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
