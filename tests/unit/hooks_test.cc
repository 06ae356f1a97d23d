// SPDX-License-Identifier: Apache-2.0
// What the applications are told of what happens.
#include "base/digest.h"
#include "base/text.h"
#include "server/hook_sender.h"
#include "server/hooks.h"

#include <thread>

#include "test.h"

using namespace fanhorn;

static HookSettings section(const std::string& name, uint32_t events = 127) {
    HookSettings settings;
    settings.name = name;
    settings.events = events;
    settings.delay = 0;
    settings.grace = 1000;
    return settings;
}

static uint32_t bit(HookEvent event) {
    return 1u << static_cast<unsigned>(event);
}

// The events of all that waits for that section, without ids and times: "joined chat alice;".
static std::string told(Hooks& hooks, const std::string& name = "app") {
    std::string all;
    while (const auto body = hooks.take(name, true)) {
        hooks.settle(name, HookQueue::Outcome::Taken);
        for (size_t at = 0; (at = body->find("\"event\"", at)) != body->npos; ++at) {
            std::string one = body->substr(at, body->find('}', at) - at);
            one.erase(one.find(",\"time\":"), std::string(",\"time\":1700000000000").size());
            all += one + ";";
        }
    }
    return all;
}

static void each_is_told(void**) {
    const FakeClock clock;
    Hooks hooks(clock);
    hooks.configure({section("app")});
    hooks.on_channel("chat", true);
    hooks.on_user("alice", true);
    hooks.on_attendee("chat", "alice", "{\"name\":\"A\"}", true);
    hooks.on_unheard("bob", {7, 42});
    const std::string first = told(hooks);
    assert_text(first, "\"event\":\"occupied\",\"channel\":\"chat\";"
                       "\"event\":\"connected\",\"user\":\"alice\";"
                       "\"event\":\"joined\",\"channel\":\"chat\",\"user\":\"alice\","
                       "\"info\":{\"name\":\"A\";"
                       "\"event\":\"offline\",\"user\":\"bob\",\"message\":\"" +
                           position_text({7, 42}) + "\";");
}

// Who comes over to the next process has not come, and who does not come has gone when it is time.
static void who_is_here_goes_on_elsewhere(void**) {
    FakeClock clock;
    Hooks before(clock);
    Hooks after(clock);
    before.configure({section("app")});
    after.configure({section("app")});
    before.on_channel("chat", true);
    before.on_user("alice", true);
    before.on_user("bob", true);
    told(before);
    const std::string packed = before.pack();
    assert_true(after.unpack(packed, clock.now() + 3000));
    before.retire();
    before.on_user("bob", false);
    before.on_user("carol", true);
    before.on_unheard("dave", {7, 42});
    before.end();
    assert_text(told(before), "");

    after.on_channel("chat", true);
    after.on_user("alice", true);
    clock.advance(2999);
    after.tick();
    assert_text(told(after), "");
    clock.advance(1); // gone, and its grace begins
    after.tick();
    clock.advance(1000);
    after.tick();
    assert_text(told(after), "\"event\":\"disconnected\",\"user\":\"bob\";");

    Hooks other(clock);
    assert_false(other.unpack(packed.substr(0, packed.size() - 1), 0));
    assert_false(other.unpack(std::string("\x07\0\0", 3), 0)); // no such kind
}

static void who_is_back_in_time_is_not_told(void**) {
    FakeClock clock;
    Hooks hooks(clock);
    hooks.configure({section("app")});
    hooks.on_channel("chat", true);
    hooks.on_channel("chat", true); // of another worker
    hooks.on_channel("chat", false);
    clock.advance(5000);
    hooks.tick();
    assert_text(told(hooks), "\"event\":\"occupied\",\"channel\":\"chat\";");
    hooks.on_channel("chat", false);
    clock.advance(999);
    hooks.tick();
    hooks.on_channel("chat", true);
    clock.advance(5000);
    hooks.tick();
    assert_text(told(hooks), "");
    hooks.on_channel("chat", false);
    clock.advance(1000);
    hooks.tick();
    assert_text(told(hooks), "\"event\":\"vacated\",\"channel\":\"chat\";");
}

static void who_is_here_is_not_offline(void**) {
    FakeClock clock;
    Hooks hooks(clock);
    hooks.configure({section("app", bit(HookEvent::Offline))});
    hooks.on_user("alice", true);
    hooks.on_user("alice", false); // between two polls
    hooks.on_unheard("alice", {7, 1});
    assert_text(told(hooks), "");
    clock.advance(1000);
    hooks.tick();
    hooks.on_unheard("alice", {7, 2});
    assert_text(told(hooks), "\"event\":\"offline\",\"user\":\"alice\",\"message\":\"" +
                                 position_text({7, 2}) + "\";");
}

static void each_section_has_its_own(void**) {
    const FakeClock clock;
    Hooks hooks(clock);
    HookSettings chats = section("chats");
    chats.patterns.push_back(*Pattern::parse("chat:*"));
    hooks.configure({section("users", bit(HookEvent::Connected)), chats});
    hooks.on_channel("chat:a", true);
    hooks.on_channel("news", true);
    hooks.on_channel("$user:alice", true); // reserved
    hooks.on_channel("chat:*", true);      // a wildcard
    hooks.on_user("alice", true);
    assert_text(told(hooks, "users"), "\"event\":\"connected\",\"user\":\"alice\";");
    assert_text(told(hooks, "chats"), "\"event\":\"occupied\",\"channel\":\"chat:a\";"
                                      "\"event\":\"connected\",\"user\":\"alice\";");
}

static void a_reload_keeps_what_waits(void**) {
    const FakeClock clock;
    Hooks hooks(clock);
    hooks.configure({section("app"), section("gone")});
    hooks.on_user("alice", true);
    hooks.configure({section("new"), section("app", bit(HookEvent::Occupied))});
    hooks.on_user("bob", true);
    hooks.on_channel("chat", true);
    assert_text(told(hooks), "\"event\":\"connected\",\"user\":\"alice\";"
                             "\"event\":\"occupied\",\"channel\":\"chat\";");
    assert_text(told(hooks, "new"), "\"event\":\"connected\",\"user\":\"bob\";"
                                    "\"event\":\"occupied\",\"channel\":\"chat\";");
    assert_int_equal(hooks.figures().size(), 2);
}

static void the_end(void**) {
    const FakeClock clock;
    Hooks hooks(clock);
    hooks.configure({section("app")});
    hooks.on_user("alice", true);
    hooks.on_attendee("chat", "alice", "", true);
    told(hooks);
    hooks.end();
    const std::string last = told(hooks);
    assert_true(last.find("\"disconnected\",\"user\":\"alice\"") != last.npos);
    assert_true(last.find("\"left\",\"channel\":\"chat\",\"user\":\"alice\"") != last.npos);
    hooks.on_user("bob", true);
    hooks.abandon();
    const HookFigures figures = hooks.figures()[0];
    assert_int_equal(figures.raised, 5);
    assert_int_equal(figures.taken, 4);
    assert_int_equal(figures.dropped[static_cast<size_t>(HookQueue::Drop::Stop)], 1);
    assert_int_equal(figures.events, 0);
}

static void all_go_together(void**) {
    FakeClock clock;
    Hooks hooks(clock);
    hooks.configure({section("app")});
    for (const bool is_here : {true, false})
        for (int i = 0; i < 1000; ++i)
            hooks.on_user("user" + std::to_string(i), is_here);
    assert_int_equal(hooks.figures()[0].raised, 1000);
    clock.advance(1000);
    hooks.tick();
    assert_int_equal(hooks.figures()[0].raised, 2000);
}

static void from_many_threads(void**) {
    const FakeClock clock;
    Hooks hooks(clock);
    hooks.configure({section("app")});
    std::vector<std::thread> workers;
    for (int worker = 0; worker < 4; ++worker)
        workers.emplace_back([&] {
            for (int i = 0; i < 500; ++i)
                hooks.on_user("user" + std::to_string(i), true);
            for (int i = 0; i < 500; ++i)
                hooks.on_user("user" + std::to_string(i), false);
        });
    for (std::thread& worker : workers)
        worker.join();
    assert_int_equal(hooks.figures()[0].raised, 500); // all within the grace time
}

// RFC 4231 has the code; the rest was made by Python's hmac.
static void signatures(void**) {
    assert_text(hex_encode(hmac_sha256("Jefe", "what do ya want for nothing?")),
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    const std::string one(32, 'k'), other(32, 'l');
    assert_text(hook_signature({one}, 1'700'000'000'999, "{}"),
                "t=1700000000,v1="
                "0b3b35525c10b3757ffa78df69037021fc3168d8390a51a4fcb4a8d56a25b557");
    assert_text(hook_signature({one, other}, 1'700'000'000'999, "{}"),
                "t=1700000000,v1="
                "0b3b35525c10b3757ffa78df69037021fc3168d8390a51a4fcb4a8d56a25b557,v1="
                "30312f618ee7ab6b3a6d1deb502930504df925352699501c1cc9ed1a568a7fe2");
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(each_is_told),
        cmocka_unit_test(who_is_here_goes_on_elsewhere),
        cmocka_unit_test(who_is_back_in_time_is_not_told),
        cmocka_unit_test(who_is_here_is_not_offline),
        cmocka_unit_test(each_section_has_its_own),
        cmocka_unit_test(a_reload_keeps_what_waits),
        cmocka_unit_test(the_end),
        cmocka_unit_test(all_go_together),
        cmocka_unit_test(from_many_threads),
        cmocka_unit_test(signatures),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
