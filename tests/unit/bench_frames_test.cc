// SPDX-License-Identifier: Apache-2.0
// The benchmark finds its messages wherever the bytes were cut, and in whatever stands around them.
#include "ctl/bench_frames.h"
#include "ctl/bench_histogram.h"

#include <functional>
#include <vector>

#include "test.h"

using namespace fanhorn::ctl::load;

namespace {

struct Seen {
    std::vector<uint64_t> numbers;
    std::vector<std::string> others, controls;

    bool on_marker(const Marker& marker) {
        numbers.push_back(marker.number);
        return true;
    }
    bool on_other(std::string_view payload) {
        others.emplace_back(payload);
        return true;
    }
    bool on_control(uint8_t, std::string_view payload) {
        controls.emplace_back(payload);
        return true;
    }
    bool operator==(const Seen&) const = default;
};

std::string message(uint64_t number, size_t size = kMinMessageBytes) {
    std::string out;
    append_message(out, {7, number, 1'000'000 + number}, size);
    return out;
}

std::string frame(uint8_t opcode, const std::string& payload) {
    std::string out = {static_cast<char>(0x80 | opcode)};
    if (payload.size() < 126) {
        out += static_cast<char>(payload.size());
    } else if (payload.size() < 65536) {
        out += {126, static_cast<char>(payload.size() >> 8), static_cast<char>(payload.size())};
    } else {
        out += 127;
        for (int shift = 56; shift >= 0; shift -= 8)
            out += static_cast<char>(payload.size() >> shift);
    }
    return out + payload;
}

std::string chunk(const std::string& body) {
    char size[32];
    snprintf(size, sizeof size, "%zX;x=y\r\n", body.size());
    return size + body + "\r\n";
}

// What is seen when the bytes come in pieces of `step`; what a reader leaves is given again.
template <typename Read> Seen in_pieces(const std::string& bytes, size_t step, Read read) {
    Seen seen;
    std::string waiting;
    for (size_t at = 0; at < bytes.size(); at += step) {
        waiting += read(bytes.substr(at, step));
        waiting.erase(0, read(waiting, seen));
    }
    assert_true(waiting.empty());
    return seen;
}

struct Frames {
    uint64_t left = 0;
    std::string operator()(const std::string& piece) { return piece; }
    size_t operator()(const std::string& bytes, Seen& seen) {
        return read_frames(bytes, left, seen);
    }
};

struct Body {
    Chunks chunks;
    std::string operator()(std::string piece) {
        piece.resize(chunks.decode(piece.data(), piece.size()));
        return piece;
    }
    size_t operator()(const std::string& bytes, Seen& seen) { return read_body(bytes, seen); }
};

} // namespace

// What no reader could keep until it is whole ends the connection.
static void test_oversized_control_frame(void**) {
    Seen seen;
    uint64_t left = 0;
    read_frames(frame(kPing, std::string(70'000, 'x')).substr(0, 20), left, seen);
    assert_true(seen.controls == std::vector<std::string>{""});
}

static void test_marker(void**) {
    const std::string text = message(0x1234567890abcdef, 64);
    assert_int_equal(text.size(), 64);
    Marker marker;
    assert_true(read_marker(text.data(), marker));
    assert_int_equal(marker.channel, 7);
    assert_true(marker.number == 0x1234567890abcdef);
    assert_true(marker.sent_ns == 1'000'000 + 0x1234567890abcdef);
    for (size_t i = 0; i < kMarkerBytes; ++i) {
        std::string bad = text;
        bad[i] = 'x';
        assert_false(read_marker(bad.data(), marker));
    }
}

static void test_marker_behind_others(void**) {
    const std::string text = "a@b@@" + message(3);
    const Found found = find_marker(text, 0);
    assert_true(found.is_found);
    assert_int_equal(found.marker.number, 3);
    assert_int_equal(found.end, 5 + kMarkerBytes);
    assert_int_equal(find_marker("abc@00", 0).end, 3); // may become one
    assert_int_equal(find_marker("abc", 0).end, 3);
}

static void test_frames_in_pieces(void**) {
    const std::string bytes = frame(1, message(0)) + frame(9, "position") + frame(1, "40{}") +
                              frame(2, message(1, 300)) +
                              frame(1, "42[\"message\",\"" + message(2) + "\"]") +
                              frame(2, message(3, 70'000)) + frame(1, "") + frame(1, message(4));
    const Seen whole = in_pieces(bytes, bytes.size(), Frames());
    assert_true(whole.numbers == std::vector<uint64_t>({0, 1, 2, 3, 4}));
    assert_true(whole.controls == std::vector<std::string>{"position"});
    assert_true(whole.others == std::vector<std::string>({"40{}", ""}));
    for (const size_t step : {1, 2, 3, 7, 40, 41, 127, 1000, 65536})
        assert_true(in_pieces(bytes, step, Frames()) == whole);
}

static void test_events_in_chunks(void**) {
    std::string bytes = chunk("retry: 1000\n\n: fanhorn\nid: a.1\n\n");
    for (uint64_t i = 0; i < 5; ++i)
        bytes += chunk("id: a.2\ndata: " + message(i, 200) + "\n\n");
    const std::string cut = message(5);
    bytes += chunk(cut.substr(0, 20)) + chunk(cut.substr(20) + message(6)) + "0\r\nA: b\r\n\r\n";
    for (const size_t step : {1, 2, 5, 44, 999, 4000}) {
        Body body;
        const Seen seen = in_pieces(bytes, step, std::ref(body));
        assert_true(seen.numbers == std::vector<uint64_t>({0, 1, 2, 3, 4, 5, 6}));
        assert_true(body.chunks.is_over());
    }
}

static void test_bad_chunks(void**) {
    for (const char* text : {"x\r\n", "\r\n", "1234567890abcdef0\r\n", "2\r\nab\r\n\r\n"}) {
        std::string bytes = text;
        Chunks chunks;
        chunks.decode(bytes.data(), bytes.size());
        assert_row(text, chunks.is_broken());
    }
}

static void test_head(void**) {
    const std::string text =
        "HTTP/1.1 200 OK\r\ncontent-LENGTH: 12\r\nTransfer-Encoding: Chunked\r\n"
        "Connection:close\r\nEtag:  5 \r\n\r\nbody";
    for (size_t size = 0; size < text.size() - 4; ++size)
        assert_false(read_head(text.substr(0, size)).has_value());
    const auto head = read_head(text);
    assert_true(head.has_value());
    assert_int_equal(head->bytes, text.size() - 4);
    assert_int_equal(head->status, 200);
    assert_int_equal(*head->length, 12);
    assert_true(head->is_chunked && head->closes);
    assert_text(field(text, "ETag"), "5");
    assert_text(field(text, "Absent"), "");
    assert_int_equal(read_head("SSH-2.0-x 200 OK\r\n\r\n")->status, 0);
}

static void test_histogram_is_near(void**) {
    for (const uint64_t value : {uint64_t{0}, uint64_t{63}, uint64_t{64}, uint64_t{1000},
                                 uint64_t{123'456'789}, ~uint64_t{0}}) {
        Histogram histogram;
        histogram.add(value);
        histogram.add(value / 2);
        assert_true(histogram.max() == value);
        const uint64_t half = histogram.quantile(0.49);
        assert_true(half >= value / 2 && half - value / 2 <= value / 2 / 64);
        assert_true(histogram.quantile(1) == value);
    }
}

static void test_histogram_quantiles(void**) {
    Histogram low, high;
    assert_int_equal(low.quantile(0.5), 0);
    for (uint64_t i = 1; i <= 500; ++i) {
        low.add(i * 1000);
        high.add((500 + i) * 1000);
    }
    low.merge(high);
    assert_int_equal(low.total(), 1000);
    assert_int_equal(low.max(), 1'000'000);
    assert_in_range(low.quantile(0.5), 500'000, 510'000);
    assert_in_range(low.quantile(0.99), 990'000, 1'000'000);
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_marker),
        cmocka_unit_test(test_oversized_control_frame),
        cmocka_unit_test(test_marker_behind_others),
        cmocka_unit_test(test_frames_in_pieces),
        cmocka_unit_test(test_events_in_chunks),
        cmocka_unit_test(test_bad_chunks),
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_histogram_is_near),
        cmocka_unit_test(test_histogram_quantiles),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
