// SPDX-License-Identifier: Apache-2.0
// What nodes write into a NATS stream, and where servers are: entries, URLs, names.
#include "modules/nats_entry.h"
#include "modules/nats_url.h"

#include "tests/unit/test.h"

using namespace fanhorn;

static NatsEntry full_entry() {
    NatsEntry entry;
    entry.kind = NatsEntry::Kind::Message;
    entry.node = "node";
    entry.request = UINT64_MAX;
    entry.at = 1'700'000'000'000;
    entry.channel = "chat:room";
    entry.user = "bob";
    entry.of = "other node";
    entry.other = "$user:bob";
    entry.key = std::string("k\0y", 3);
    entry.text = std::string(300, '\xff');
    entry.a = 1;
    entry.b = 1ull << 40;
    entry.c = UINT64_MAX;
    entry.content.emplace().fill(7);
    return entry;
}

static void test_entries_come_back(void**) {
    for (const bool is_full : {true, false}) {
        const NatsEntry entry = is_full ? full_entry() : NatsEntry();
        const auto back = decode_entry(encode_entry(entry));
        assert_true(back.has_value());
        assert_true(back->kind == entry.kind && back->at == entry.at);
        assert_true(back->request == entry.request && back->content == entry.content);
        for (auto field : {&NatsEntry::node, &NatsEntry::channel, &NatsEntry::user, &NatsEntry::of,
                           &NatsEntry::other, &NatsEntry::key, &NatsEntry::text})
            assert_true((*back).*field == entry.*field);
        for (auto field : {&NatsEntry::a, &NatsEntry::b, &NatsEntry::c})
            assert_true((*back).*field == entry.*field);
    }
}

static void test_what_is_no_entry(void**) {
    const std::string bytes = encode_entry(full_entry());
    for (size_t size = 0; size < bytes.size(); ++size)
        assert_false(decode_entry(std::string_view(bytes).substr(0, size)).has_value());
    assert_false(decode_entry(bytes + "x").has_value());
    for (const char kind : {'\0', '\x0c'}) {
        std::string other = bytes;
        other[1] = kind;
        assert_false(decode_entry(other).has_value());
    }
    std::string other = bytes;
    other[0] = 2; // a version to come
    assert_false(decode_entry(other).has_value());
    NatsEntry late = full_entry();
    late.at = INT64_MAX;
    assert_false(decode_entry(encode_entry(late)).has_value());
}

static void test_urls(void**) {
    const struct {
        const char* url;
        bool is_good;
    } kRows[] = {
        {"nats://localhost", true},
        {"nats://localhost:4223", true},
        {"tls://user:p%40ss@[::1]:1,b:2", true},
        {"nats://token@a,b,c", true},
        {"nats://a,nats://b:1", true}, // as its own tools write them
        {"tls://a,nats://b", false},
        {"nats://u:p@a,nats://u:p@b", false}, // one for all
        {"nats://@a", false},
        {"nats://:p@a", false},
        {"nats://u:%zz@a", false},
        {"nats://", false},
        {"nats://a,,b", false},
        {"nats://a:port", false},
        {"redis://a", false},
        {"a", false},
    };
    for (const auto& row : kRows)
        assert_row(row.url, parse_nats_url(row.url).ok() == row.is_good);
    const auto url = parse_nats_url("tls://user:p%40ss@[::1]:1,b");
    assert_true(url->is_secure && url->user == "user" && url->password == "p@ss");
    assert_true(url->hosts == (std::vector<std::string>{"[::1]:1", "b:4222"}));
    assert_true(parse_nats_url("nats://t%3Ak@a")->token == "t:k");
}

static void test_names(void**) {
    for (const char* good : {"fanhorn", "A-b_9"})
        assert_row(good, is_nats_name(good));
    for (const char* bad : {"", "a.b", "a*", "a b", "fanhorn:", "\xc3\xa4"})
        assert_row(bad, !is_nats_name(bad));
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_entries_come_back),
        cmocka_unit_test(test_what_is_no_entry),
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
