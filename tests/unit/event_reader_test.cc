// SPDX-License-Identifier: Apache-2.0
// fanhornctl's side of Server-Sent Events, cut at every place.
#include "ctl/event_reader.h"

#include <algorithm>

#include "test.h"

using namespace fanhorn::ctl;

namespace {

struct Row {
    const char* name;
    const char* bytes;
    const char* events; // type|data, each followed by ';'
    const char* last_id;
    uint32_t retry_ms;
};

constexpr Row kRows[] = {
    {"message", "id: e.1\ndata: one\n\n", "|one;", "e.1", 0},
    {"no blank", "id:e.1\ndata:one\n\n", "|one;", "e.1", 0},
    {"one blank only", "data:  one\n\n", "| one;", "", 0},
    {"type", "event: gap\ndata: {}\n\ndata: x\n\n", "gap|{};|x;", "", 0},
    {"lines", "data: a\ndata:\ndata: b\n\n", "|a\n\nb;", "", 0},
    {"first line empty", "data:\ndata: b\n\n", "|\nb;", "", 0},
    {"CRLF", "id: e.1\r\ndata: one\r\n\r\n", "|one;", "e.1", 0},
    {"id only", "id: e.2\n\n", "", "e.2", 0},
    {"id of half a block", "id: e.1\ndata: one\n\nid: e.2\ndata: tw", "|one;", "e.1", 0},
    {"CR", "id: e.1\rdata: one\r\rdata: two\r\r", "|one;|two;", "e.1", 0},
    {"all line ends", "data: a\rdata: b\r\ndata: c\n\r\n", "|a\nb\nc;", "", 0},
    {"CRLF CR", "data: a\r\n\rdata: b\n\n", "|a;|b;", "", 0},
    {"byte order mark",
     "\xef\xbb\xbf"
     "data: a\n\n\xef\xbb\xbf"
     "data: b\n\n",
     "|a;", "", 0},
    {"half a byte order mark",
     "\xef\xbb"
     "data: a\n\n",
     "", "", 0},
    {"id that a CR ends", "id: e.1\n\nid: x\rY: z\n\n", "", "x", 0},
    {"id that forges a field", "id: e.1\n\nid: x\x01\n\n", "", "e.1", 0},
    {"id taken back", "id: e.1\n\nid\n\n", "", "", 0},
    {"id of Wikimedia", "id: [{\"topic\":\"t\",\"offset\":7}]\n\n", "",
     "[{\"topic\":\"t\",\"offset\":7}]", 0},
    {"comments and unknown fields", ": hi\nfoo: bar\nData: x\n data: y\n\n:\n\n", "", "", 0},
    {"empty data", "data\n\ndata\ndata\n\ndata:", "|;|\n;", "", 0}, // the standard's own example
    {"type without data", "event: x\n\ndata: a\n\n", "|a;", "", 0},
    {"the last type", "event: x\nevent\ndata: a\n\n", "|a;", "", 0},
    {"retry", "retry: 1500\n\n", "", "", 1500},
    {"retry too long", "retry: 99999999999\n\n", "", "", EventReader::kMaxRetryMs},
    {"retry of nonsense", "retry: 700\nretry: -1\nretry: 5x\n\n", "", "", 700},
};

void feed_in_pieces(EventReader& reader, std::string_view bytes, size_t piece,
                    std::vector<Event>& events) {
    for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size())))
        assert_true(reader.feed(bytes.substr(0, piece), events));
}

std::string text_of(const std::vector<Event>& events) {
    std::string text;
    for (const Event& event : events)
        text += event.type + '|' + event.data + ';';
    return text;
}

} // namespace

static void test_streams(void**) {
    for (const Row& row : kRows)
        for (const size_t piece : {1, 2, 3, 7, 1000}) {
            EventReader reader;
            std::vector<Event> events;
            feed_in_pieces(reader, row.bytes, piece, events);
            assert_row(row.name, text_of(events) == row.events);
            assert_row(row.name, reader.last_id() == row.last_id);
            assert_row(row.name, reader.retry_ms() == row.retry_ms);
        }
}

static void test_a_new_connection_begins_anew(void**) {
    EventReader reader;
    std::vector<Event> events;
    feed_in_pieces(reader, "id: e.1\ndata: one\n\nid: e.2\nevent: gap\ndata: ha", 1000, events);
    reader.reset();
    feed_in_pieces(reader, "data: two\n\n", 1000, events);
    assert_text(text_of(events), "|one;|two;");
    assert_text(reader.last_id(), "e.1"); // not that of the half block
}

static void test_a_block_without_end_is_refused(void**) {
    std::vector<Event> events;
    EventReader reader(100);
    assert_true(reader.feed("data: " + std::string(80, 'x') + "\n\n", events));
    assert_true(reader.feed("data: " + std::string(80, 'y') + "\n", events));
    assert_false(reader.feed("data: " + std::string(80, 'y') + "\n", events));
    EventReader other(100);
    assert_false(other.feed(std::string(101, 'x'), events));
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_a_new_connection_begins_anew),
        cmocka_unit_test(test_a_block_without_end_is_refused),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
