// SPDX-License-Identifier: Apache-2.0
// Connections as records and back.
#include "server/handed_record.h"

#include "tests/unit/test.h"

using namespace fanhorn;
using Kind = Handed::Kind;

namespace {

Pattern pattern(std::string_view text) {
    return *Pattern::parse(text);
}

Handed one_of(Kind kind) {
    Handed handed;
    handed.kind = kind;
    handed.listener = "127.0.0.1:8080";
    handed.is_fresh = false;
    handed.has_client = true;
    handed.peer = *parse_ipv4("192.0.2.1");
    handed.client = *parse_ipv6("2001:db8::1");
    handed.goes_at = 1234;
    handed.due_at = 5678;
    handed.input = "GET / HT";
    handed.output = "out";
    handed.stash = "stash";
    handed.has_body = true;
    handed.place = {.left = 7, .room = 8, .count = 1, .state = 0};
    handed.body = "half";
    handed.has_begun = true;
    handed.transport = "websocket";
    handed.query = "envelope=1";
    handed.lines = "Upgrade: websocket\r\n";
    handed.connection[3] = 9;
    handed.heartbeat = 25'000;
    handed.subscriber.parts.push_back({.channels = {"a", "b:*"},
                                       .filter = "k=v",
                                       .position = {7, 42},
                                       .is_patched = true,
                                       .is_caught_up = true,
                                       .is_behind = true});
    handed.subscriber.unsent = std::string("\x81\0x", 3);
    handed.subscriber.told = {7, 41};
    handed.subscriber.owes_position = true;
    handed.has_standing = true;
    auto* identity = new Identity;
    identity->authority = "jwt";
    identity->user = "ann";
    identity->info = "{}";
    identity->channels = {pattern("a"), pattern("b:*")};
    identity->publish = {pattern("c:{room}")};
    identity->claims = {{"rooms", "[1]"}};
    identity->expires = 99;
    handed.standing.identities = {IdentityRef(identity)};
    handed.standing.publishes_to = "a";
    handed.standing.since = 77;
    handed.headers = "Vary: Accept\r\n";
    handed.keep_alive = false;
    handed.max_messages = 10;
    return handed;
}

} // namespace

// Packed again it is the same bytes, and every field is in them.
static void test_there_and_back(void**) {
    for (const Kind kind : {Kind::Preface, Kind::Http, Kind::Poll, Kind::Stream, Kind::Session}) {
        const std::string record = pack_handed(one_of(kind));
        const auto back = unpack_handed(record);
        assert_true(back.has_value());
        assert_true(pack_handed(*back) == record);
        assert_true(back->kind == kind && back->client == *parse_ipv6("2001:db8::1"));
        assert_int_equal(back->place.left, 7);
        if (kind < Kind::Poll)
            continue;
        assert_true(back->subscriber.parts.at(0).channels.at(1) == "b:*");
        assert_true(back->subscriber.unsent == one_of(kind).subscriber.unsent);
        const Identity& identity = *back->standing.identities.at(0);
        assert_true(identity.may_read("b:1") && !identity.may_read("c"));
        assert_true(identity.user == "ann" && identity.claims.at(0).value == "[1]");
        assert_true(back->keep_alive == (kind != Kind::Poll));
    }
}

static void test_what_is_not_whole_is_refused(void**) {
    const std::string record = pack_handed(one_of(Kind::Poll));
    for (size_t size = 0; size < record.size(); ++size)
        assert_false(unpack_handed(std::string_view(record).substr(0, size)).has_value());
    assert_false(unpack_handed(record + "x").has_value());
}

static void test_what_cannot_be_is_refused(void**) {
    Handed handed = one_of(Kind::Stream);
    handed.subscriber.parts.clear();
    assert_false(unpack_handed(pack_handed(handed)).has_value());
    handed = one_of(Kind::Session);
    handed.subscriber.parts[0].channels.clear();
    assert_false(unpack_handed(pack_handed(handed)).has_value());
    handed.subscriber.parts.clear(); // a session may have none
    assert_true(unpack_handed(pack_handed(handed)).has_value());
    handed.kind = static_cast<Kind>(9);
    assert_false(unpack_handed(pack_handed(handed)).has_value());
    handed = one_of(Kind::Http);
    handed.place.state = 255;
    assert_false(unpack_handed(pack_handed(handed)).has_value());
    handed = one_of(Kind::Http);
    handed.peer.kind = static_cast<NetAddress::Kind>(7);
    assert_false(unpack_handed(pack_handed(handed)).has_value());
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_what_is_not_whole_is_refused),
        cmocka_unit_test(test_what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
