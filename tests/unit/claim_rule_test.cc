// SPDX-License-Identifier: Apache-2.0
// Rules on claims: how they are written, and what they let in.
#include "relay/claim_rule.h"
#include "relay/identity.h"
#include "relay/settings.h"

#include "test.h"

using namespace fanhorn;

namespace {

ClaimRule rule(const std::string& text, const char* pattern) {
    auto access = parse_access("users, " + text);
    if (!access || !access->rule)
        fail_msg("%s", text.c_str());
    access->rule->pattern = *Pattern::parse(pattern);
    return *access->rule;
}

Ref<Identity> identity(const char* claim, const char* value) {
    auto one = make_ref<Identity>();
    one->authority = "users";
    one->claims.push_back({claim, value});
    return one;
}

} // namespace

static void test_how_it_is_written(void**) {
    const struct {
        const char *text, *name, *claim, *value; // claim null: no rule; name null: an error
        ClaimRule::Kind kind = ClaimRule::Kind::Equals;
    } kRows[] = {
        {"public", "public", nullptr, ""},
        {"users", "users", nullptr, ""},
        {" users ", "users", nullptr, ""},
        {"users,", "users", nullptr, ""},
        {"users, claim:sub equals {id}", "users", "sub", "{id}"},
        {"users,claim:rooms   contains   r-{room} x", "users", "rooms", "r-{room} x",
         ClaimRule::Kind::Contains},
        {"users, admins", nullptr, nullptr, ""},
        {"users, claim:", nullptr, nullptr, ""},
        {"users, claim:a", nullptr, nullptr, ""},
        {"users, claim:a equals", nullptr, nullptr, ""},
        {"users, claim:a is b", nullptr, nullptr, ""},
        {"users, claim: equals b", nullptr, nullptr, ""},
        {", claim:a equals b", nullptr, nullptr, ""},
        {"claim:a equals b", "claim:a equals b", nullptr, ""},
    };
    for (const auto& row : kRows) {
        const auto access = parse_access(row.text);
        assert_row(row.text, access.ok() == (row.name != nullptr));
        if (!access)
            continue;
        assert_row(row.text, access->name == row.name);
        assert_row(row.text, access->rule.has_value() == (row.claim != nullptr));
        if (access->rule)
            assert_row(row.text, access->rule->claim == row.claim &&
                                     access->rule->value == row.value &&
                                     access->rule->kind == row.kind);
    }
}

static void test_what_it_lets_in(void**) {
    const struct {
        const char *rule, *pattern, *claim, *channel;
        bool holds;
    } kRows[] = {
        {"claim:c contains {room}", "chat:{room}", R"(["a","b"])", "chat:b", true},
        {"claim:c contains {room}", "chat:{room}", R"(["a","b"])", "chat:c", false},
        {"claim:c contains {room}", "chat:{room}", R"(["a","b"])", "chat:", false},
        {"claim:c contains {room}", "chat:{room}", R"("b")", "chat:b", true},
        {"claim:c contains {room}", "chat:{room}", R"([["b"],{"b":1}])", "chat:b", false},
        {"claim:c contains {room}", "chat:{room}", R"([])", "chat:b", false},
        {"claim:c contains {room}", "chat:{room}", R"([""])", "chat:", false},
        {"claim:c contains {room}", "chat:{room}", R"([7,1.0])", "chat:7", true},
        {"claim:c contains {room}", "chat:{room}", R"([7,1.0])", "chat:1", false},
        {"claim:c contains {room}", "chat:{room}", R"(["\u0062"])", "chat:b", true},
        {"claim:c contains {room}", "chat:{room}", R"(["b"])", "other:b", false},
        {"claim:c contains {room}", "chat:{room}", R"(["*"])", "chat:*", false},
        {"claim:c contains {room}", "{room}", R"(["$user"])", "$user", false},
        {"claim:c equals {id}", "user.{id}.n", R"("al")", "user.al.n", true},
        {"claim:c equals {id}", "user.{id}.n", R"("al")", "user.bo.n", false},
        {"claim:c equals {id}", "user.{id}.n", R"(["al"])", "user.al.n", false},
        {"claim:c equals {id}", "user.{id}.n", R"("AL")", "user.al.n", false},
        {"claim:c equals {id}", "user.{id}.n", R"(12)", "user.12.n", true},
        {"claim:c equals {id}", "user.{id}.n", R"(null)", "user.null.n", false},
        {"claim:c equals {a}/{b}", "x:{a}:{b}", R"("1/2")", "x:1:2", true},
        {"claim:c equals {a}/{b}", "x:{a}:{b}", R"("1/2")", "x:2:1", false},
        {"claim:c equals admin", "x:*", R"("admin")", "x:1", true},
        {"claim:c equals true", "x:**", R"(true)", "x:1:2", true},
        {"claim:d equals admin", "x:*", R"("admin")", "x:1", false},
        {"claim:c equals {", "x:*", R"("{")", "x:1", true},
    };
    for (const auto& row : kRows)
        assert_row(std::string(row.rule) + " " + row.claim + " " + row.channel,
                   rule(row.rule, row.pattern).holds(*identity("c", row.claim), row.channel) ==
                       row.holds);
}

static void test_captures_that_the_pattern_has_not(void**) {
    const Pattern pattern = *Pattern::parse("chat:{room}:{part}");
    assert_text(rule("claim:c equals {room}-{part}", "**").unknown_capture(pattern), "");
    assert_text(rule("claim:c equals {room}-{other}", "**").unknown_capture(pattern), "other");
    assert_text(rule("claim:c equals {}", "**").unknown_capture(pattern), "");
    assert_text(rule("claim:c equals x", "**").unknown_capture(Pattern()), "");
    assert_text(rule("claim:c equals {x}", "**").unknown_capture(Pattern()), "x");
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_how_it_is_written),
        cmocka_unit_test(test_what_it_lets_in),
        cmocka_unit_test(test_captures_that_the_pattern_has_not),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
