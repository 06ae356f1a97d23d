// SPDX-License-Identifier: Apache-2.0
// [auth] of type callback: what the application's answers mean, and for how long.
#include "modules/modules.h"

#include "test.h"

using namespace fanhorn;

namespace {

constexpr Millis kNow = 1'700'000'000'000;
using Verdict = std::variant<IdentityRef, TokenRefusal>;

std::shared_ptr<const Authority> make(Millis cache = 10'000, uint32_t cache_answers = 100) {
    AuthSettings settings;
    settings.name = "app";
    settings.type = "callback";
    settings.url = "http://127.0.0.1/who";
    settings.cache = cache;
    settings.cache_answers = cache_answers;
    settings.token_size = 64;
    for (const AuthModule* module : auth_modules())
        if (module->type == "callback")
            return std::get<std::shared_ptr<const Authority>>(module->create(settings));
    return nullptr;
}

std::string summary(const Verdict& verdict) {
    if (const auto* refusal = std::get_if<TokenRefusal>(&verdict))
        return std::string(auth_refusal_name(refusal->why)) + " " + std::string(refusal->code);
    const Identity& identity = *std::get<IdentityRef>(verdict);
    std::string text = identity.user + " " + identity.info;
    for (const auto* patterns : {&identity.channels, &identity.publish}) {
        text += " [";
        for (const Pattern& each : *patterns)
            text += each.text() + ",";
        text += "]";
    }
    return text + (identity.expires ? " " + std::to_string(identity.expires - kNow) : "");
}

std::string learnt(int status, const char* body) {
    const auto authority = make();
    authority->learn("token", status, body, kNow);
    return summary(authority->identify("token", kNow));
}

} // namespace

static void test_answers(void**) {
    const struct {
        int status;
        const char *body, *verdict;
    } kRows[] = {
        {200, R"({"sub":"al","channels":["a:*","b"],"publish":"a:*","info":{"n":1}})",
         R"(al {"n":1} [a:*,b,] [a:*,])"},
        {200, R"({"exp":1700000060})", "  [] [] 60000"},
        {200, "{}", "  [] []"},
        {204, "", "  [] []"},
        {299, "{}", "  [] []"},
        {401, "{}", "denied unauthorized"},
        {403, R"({"sub":"al","channels":["**"]})", "denied forbidden"},
        {0, "did not answer in time", "unavailable overloaded"},
        {199, "{}", "unavailable overloaded"},
        {300, "{}", "unavailable overloaded"},
        {404, "{}", "unavailable overloaded"},
        {500, R"({"channels":["**"]})", "unavailable overloaded"},
        {200, "[]", "unavailable overloaded"},
        {200, "null", "unavailable overloaded"},
        {200, "{", "unavailable overloaded"},
        {200, "<html>", "unavailable overloaded"},
        {200, R"({"sub":1})", "unavailable overloaded"},
        {200, R"({"sub":"a","sub":"b"})", "unavailable overloaded"},
        {200, R"({"sub":"a*"})", "unavailable overloaded"},
        {200, R"({"channels":["a:**:b"]})", "unavailable overloaded"},
        {200, R"({"channels":{}})", "unavailable overloaded"},
        {200, R"({"exp":"soon"})", "unavailable overloaded"},
        {200, R"({"exp":-1})", "unavailable overloaded"},
    };
    for (const auto& row : kRows)
        assert_text(learnt(row.status, row.body), row.verdict);
}

static void test_what_is_not_known_is_asked_for(void**) {
    const auto authority = make();
    assert_non_null(authority->inquiry());
    assert_false(authority->knows("token", kNow));
    assert_text(summary(authority->identify("token", kNow)), "unavailable overloaded");
    authority->learn("token", 403, "", kNow);
    assert_true(authority->knows("token", kNow));
    assert_false(authority->knows("token2", kNow));
    assert_false(authority->knows("toke", kNow));
}

static void test_it_holds_for_a_while(void**) {
    const auto authority = make(10'000);
    authority->learn("good", 200, "{}", kNow);
    authority->learn("bad", 403, "", kNow);
    authority->learn("away", 500, "", kNow);
    assert_true(authority->knows("away", kNow + 999));
    assert_false(authority->knows("away", kNow + 1000));
    for (const char* token : {"good", "bad"}) {
        assert_true(authority->knows(token, kNow + 9999));
        assert_false(authority->knows(token, kNow + 10'000));
    }
    authority->learn("good", 403, "", kNow + 5000);
    assert_text(summary(authority->identify("good", kNow + 12'000)), "denied forbidden");
}

static void test_it_ends_when_the_application_says_so(void**) {
    const auto authority = make();
    authority->learn("token", 200, R"({"exp":1700000002})", kNow);
    assert_text(summary(authority->identify("token", kNow + 1999)), "  [] [] 2000");
    assert_text(summary(authority->identify("token", kNow + 2000)), "expired unauthorized");
}

static void test_tokens_that_nobody_is_asked_about(void**) {
    const auto authority = make();
    const std::string large(65, 'x');
    const struct {
        std::string_view token;
        const char* verdict;
    } kRows[] = {{"", "malformed unauthorized"},
                 {"a b", "malformed unauthorized"},
                 {"a\r\nX: y", "malformed unauthorized"},
                 {"a\n", "malformed unauthorized"},
                 {"\xc3\xbc", "malformed unauthorized"},
                 {"a\x7f", "malformed unauthorized"},
                 {large, "large unauthorized"}};
    for (const auto& row : kRows) {
        assert_true(authority->knows(row.token, kNow));
        assert_text(summary(authority->identify(row.token, kNow)), row.verdict);
    }
}

static void test_the_oldest_answers_go(void**) {
    const auto authority = make(10'000, 20);
    for (int i = 0; i < 30; ++i)
        assert_int_equal(authority->learn(std::to_string(i), 204, "", kNow), i >= 20);
    assert_false(authority->knows("0", kNow));
    assert_false(authority->knows("9", kNow));
    assert_true(authority->knows("10", kNow));
    assert_true(authority->knows("29", kNow));
    assert_false(authority->learn("late", 204, "", kNow + 10'000)); // all others have ended
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_what_is_not_known_is_asked_for),
        cmocka_unit_test(test_it_holds_for_a_while),
        cmocka_unit_test(test_it_ends_when_the_application_says_so),
        cmocka_unit_test(test_tokens_that_nobody_is_asked_about),
        cmocka_unit_test(test_the_oldest_answers_go),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
