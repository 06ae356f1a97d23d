// SPDX-License-Identifier: Apache-2.0
#include "relay/backlog.h"

#include <random>

#include "tests/unit/relay_fakes.h"
#include "tests/unit/test.h"

using namespace fanhorn;

namespace {

const ConnectionId kReader = connection_id(1);

MessageRef message(uint64_t seq, size_t size = 3, const ConnectionId& exclude = kNoConnection) {
    Draft draft = fanhorn::draft("c", std::string(size, 'x'));
    draft.exclude = exclude;
    return MessageRef(new Message(std::move(draft), {1, seq}, seq, 0));
}

std::string bytes(const iovec* pieces, int count) {
    std::string out;
    for (int i = 0; i < count; ++i)
        out.append(static_cast<const char*>(pieces[i].iov_base), pieces[i].iov_len);
    return out;
}

std::string text(const Frame& frame) {
    return frame.segment->bytes.substr(frame.begin, frame.size());
}

// Of a message as above: its ten bytes, and its entry.
constexpr size_t kCost = 10 + sizeof(Frame);

} // namespace

static void test_ordinals(void**) {
    TestEncoding encoding(Use::Sse);
    Backlog backlog(5);
    assert_true(backlog.empty());
    for (const uint64_t seq : {10, 20, 30})
        backlog.append(encoding, message(seq));
    assert_int_equal(backlog.first(), 5);
    assert_int_equal(backlog.next(), 8);
    assert_text(text(backlog.at(6)), "m20:c:xxx;");
    assert_int_equal(backlog.bytes(), 3 * kCost);
    assert_int_equal(backlog.bytes_from(5), 3 * kCost);
    assert_int_equal(backlog.bytes_from(7), kCost);
    assert_int_equal(backlog.bytes_from(8), 0);
    assert_int_equal(backlog.first_after(0), 5);
    assert_int_equal(backlog.first_after(10), 6);
    assert_int_equal(backlog.first_after(29), 7);
    assert_int_equal(backlog.first_after(30), 8);

    assert_int_equal(backlog.drop_front(), 10);
    assert_int_equal(backlog.first(), 6);
    assert_int_equal(backlog.bytes(), 2 * kCost);
    assert_int_equal(backlog.bytes_from(2), 2 * kCost); // overtaken: all of it
    assert_text(text(backlog.at(7)), "m30:c:xxx;");
}

static void test_within(void**) {
    TestEncoding encoding(Use::Sse);
    Backlog backlog(0);
    for (const uint64_t seq : {10, 20, 30})
        backlog.append(encoding, message(seq));
    const struct {
        size_t bytes;
        uint64_t ordinal;
    } kRows[] = {{0, 3},         {kCost - 1, 3}, {kCost, 2}, {2 * kCost - 1, 2},
                 {2 * kCost, 1}, {3 * kCost, 0}, {1000, 0}};
    for (const auto& row : kRows)
        assert_row(std::to_string(row.bytes), backlog.within(row.bytes) == row.ordinal);
}

static void test_one_piece_a_segment(void**) {
    TestEncoding encoding(Use::Sse);
    Backlog backlog(0);
    std::string all;
    for (uint64_t seq = 1; seq <= 100; ++seq) {
        backlog.append(encoding, message(seq, 1000));
        all += text(backlog.at(seq - 1));
    }
    const size_t segments = all.size() / Segment::kFullBytes + 1;
    iovec pieces[64];
    uint64_t ordinal = 0;
    const int count = backlog.gather(ordinal, kReader, pieces, 64);
    assert_int_equal(ordinal, 100);
    assert_true(static_cast<size_t>(count) <= segments);
    assert_true(bytes(pieces, count) == all);

    ordinal = 0; // a few at a time
    std::string got;
    while (ordinal < backlog.next())
        got += bytes(pieces, backlog.gather(ordinal, kReader, pieces, 2));
    assert_true(got == all);
}

static void test_selective_frames(void**) {
    TestEncoding encoding(Use::Sse);
    Backlog backlog(0);
    backlog.append(encoding, message(1));
    backlog.append(encoding, message(2, 3, kReader));
    backlog.append(encoding, message(3, 3, connection_id(2)));
    backlog.append(encoding, message(4, 3, kReader));
    assert_true(backlog.has_selective());
    iovec pieces[64];
    uint64_t ordinal = 0;
    assert_text(bytes(pieces, backlog.gather(ordinal, kReader, pieces, 64)), "m1:c:xxx;m3:c:xxx;");
    assert_int_equal(ordinal, 4);
    // What is written is counted without them; who is excluded from the rest has it.
    const Backlog::Written whole = backlog.advance(0, kReader, 18);
    assert_int_equal(whole.ordinal, 4);
    assert_int_equal(whole.seq, 4);
    assert_int_equal(whole.messages, 2);
    while (backlog.next() - backlog.first() > 1)
        backlog.drop_front();
    assert_true(backlog.has_selective());
    backlog.drop_front();
    assert_false(backlog.has_selective());
}

static void test_advance_at_every_byte(void**) {
    TestEncoding encoding(Use::Sse);
    Backlog backlog(7);
    backlog.append(encoding, message(1));
    backlog.append(encoding, message(2, 3, kReader));
    backlog.append(encoding, message(3));
    backlog.append(encoding, message(4));
    const std::string all = "m1:c:xxx;m3:c:xxx;m4:c:xxx;";
    for (size_t written = 0; written <= all.size(); ++written) {
        const Backlog::Written place = backlog.advance(7, kReader, written);
        std::string rest;
        if (place.segment) {
            rest = place.segment->bytes.substr(place.begin, place.end - place.begin);
            assert_int_equal(place.partial_seq, backlog.at(place.ordinal - 1).seq);
        }
        iovec pieces[64];
        uint64_t ordinal = place.ordinal;
        rest += bytes(pieces, backlog.gather(ordinal, kReader, pieces, 64));
        assert_text(rest, all.substr(written));
        const uint64_t had = written < 9 ? 0 : written < 18 ? 2 : written < 27 ? 3 : 4;
        assert_true(place.seq <= had && place.seq + 1 >= had);
    }
}

// A reader that takes any number of bytes at a time has in the end what was appended for it.
static void test_any_writes(void**) {
    std::mt19937_64 random(7);
    for (int round = 0; round < 200; ++round) {
        TestEncoding encoding(Use::Sse);
        Backlog backlog(random() % 100);
        std::string all, got;
        for (uint64_t seq = 1, count = 1 + random() % 30; seq <= count; ++seq) {
            const bool is_excluded = random() % 4 == 0;
            const MessageRef each =
                message(seq, random() % 3000, is_excluded ? kReader : kNoConnection);
            backlog.append(encoding, each);
            if (!is_excluded)
                encoding.message(all, *each);
        }
        uint64_t ordinal = backlog.first();
        while (ordinal < backlog.next()) {
            iovec pieces[4];
            uint64_t end = ordinal;
            const std::string offered = bytes(pieces, backlog.gather(end, kReader, pieces, 4));
            const size_t written = offered.empty() ? 0 : random() % (offered.size() + 1);
            got += offered.substr(0, written);
            const Backlog::Written place = backlog.advance(ordinal, kReader, written);
            if (place.segment)
                got += place.segment->bytes.substr(place.begin, place.end - place.begin);
            assert_true(place.ordinal >= ordinal);
            ordinal = place.ordinal;
        }
        assert_true(got == all);
    }
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_ordinals),
        cmocka_unit_test(test_within),
        cmocka_unit_test(test_one_piece_a_segment),
        cmocka_unit_test(test_selective_frames),
        cmocka_unit_test(test_advance_at_every_byte),
        cmocka_unit_test(test_any_writes),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
