// SPDX-License-Identifier: Apache-2.0
#include "modules/log_entry.h"

#include "tests/unit/log_notes.h"

#include "tests/unit/test.h"

using namespace fanhorn;

namespace {

Message full_message() {
    Draft draft;
    draft.channel = "chat:é";
    draft.payload = std::string("a\0b\n", 4) + std::string(300, 'x');
    draft.content_type = "text/plain";
    draft.event = "said";
    draft.tags = "a=1,b=2";
    draft.exclude[3] = 7;
    draft.ttl = 5000;
    draft.retain = true;
    draft.binary = true;
    return Message(std::move(draft), {1, UINT64_MAX - 1}, 1ull << 40, 1000);
}

std::string all_kinds() {
    const Message message = full_message();
    const Digest digest{1, 2, 3};
    std::string bytes;
    log_message(bytes, message, 123'456, true, "the key", &digest);
    log_message(bytes, Message({}, {1, 1}, 0, 0), 0, false);
    log_removal(bytes, "gone", 300);
    log_marker(bytes, "bob", "chat", 12);
    log_channel(bytes, "chat", 7, 6);
    log_watermark(bytes, 4095, 99);
    log_key(bytes, {"chat", "k", {digest, {0, 5}, 2}, 777});
    log_loss(bytes, {3, 9});
    return bytes;
}

} // namespace

static void test_all_kinds_come_back(void**) {
    LogNotes notes;
    assert_true(read_entries(all_kinds(), notes));
    assert_int_equal(notes.messages.size(), 2);
    const LoggedMessage& read = notes.messages[0];
    const Message message = full_message();
    assert_true(read.draft.channel == message.channel && read.draft.payload == message.payload);
    assert_true(read.draft.content_type == message.content_type);
    assert_true(read.draft.event == message.event && read.draft.tags == message.tags);
    assert_true(read.draft.exclude == message.exclude && read.draft.ttl == 5000);
    assert_true(read.draft.retain && read.draft.binary && read.draft.store && read.is_past);
    assert_true(read.seq == message.position.seq && read.n == message.n);
    assert_true(read.stored_at == 123'456 && read.draft.idempotency_key == "the key");
    assert_true(read.content == Digest({1, 2, 3}));
    const LoggedMessage& plain = notes.messages[1];
    assert_true(plain.draft.store && !plain.draft.retain && !plain.is_past && !plain.content);
    assert_true(plain.draft.exclude == kNoConnection && plain.draft.ttl == 0);
    const std::vector<std::string> others = {"removal gone 300",   "marker bob chat 12",
                                             "channel chat 7 6",   "watermark 4095 99",
                                             "key chat k 5 2 777", "loss 3 9"};
    assert_true(notes.others == others);
}

// A prefix that ends between two entries is whole, any other is not.
static void test_parts_are_refused(void**) {
    const std::string bytes = all_kinds();
    size_t whole = 0;
    for (size_t length = 0; length < bytes.size(); ++length) {
        LogNotes notes;
        whole += read_entries(std::string_view(bytes).substr(0, length), notes) ? 1 : 0;
    }
    assert_int_equal(whole, 8); // as many as there are entries: none, one, … seven
}

static void test_what_cannot_be_is_refused(void**) {
    LogNotes notes;
    assert_false(read_entries(std::string("\0", 1), notes));
    assert_false(read_entries("\x63", notes));
    // A length beyond all bytes, a number beyond 64 bits.
    assert_false(read_entries("\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", notes));
    assert_false(read_entries("\x05\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", notes));
    assert_true(notes.others.empty() && notes.messages.empty());
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_all_kinds_come_back),
        cmocka_unit_test(test_parts_are_refused),
        cmocka_unit_test(test_what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
