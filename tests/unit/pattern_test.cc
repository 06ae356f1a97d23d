// SPDX-License-Identifier: Apache-2.0
#include "relay/pattern.h"
#include "relay/settings.h"

#include <algorithm>

#include "test.h"

using namespace fanhorn;

static Pattern pattern(std::string_view text) {
    auto parsed = Pattern::parse(text);
    assert_row(text, parsed.ok());
    return *parsed;
}

static void channel_names(void**) {
    const std::string longest(255, 'x');
    for (const std::string& good :
         {std::string("a"), std::string("chat:room1"), std::string("a/b.c:d"),
          std::string("$user:1"), std::string("with blank"), std::string("\xc3\xa9"),
          std::string("\xc2\xa0"), std::string("a{b}"), std::string(".."), longest})
        assert_row(good, is_channel_name(good));
    for (const std::string& bad :
         {std::string(), longest + "x", std::string("a,b"), std::string("*"), std::string("a*"),
          std::string("a\nb"), std::string("a\0b", 3), std::string("\x7f"), std::string("\x1f"),
          std::string("\xc2\x80"), std::string("a\xc2\x9f"), std::string("\xff"),
          std::string("\xc2"), std::string("\xed\xa0\x80")})
        assert_row(bad, !is_channel_name(bad));
}

static void matching(void**) {
    struct Row {
        const char *pattern, *name;
        bool matches;
    };
    for (const Row& row : {
             Row{"news", "news", true},
             {"news", "news2", false},
             {"news", "new", false},
             {"news", "news:", false},
             {"news:", "news:", true},
             {"news:", "news", false},
             {"chat:*", "chat:room1", true},
             {"chat:*", "chat:", false},
             {"chat:*", "chat", false},
             {"chat:*", "chat:a:b", false},
             {"chat:*", "chat:a.b", false},
             {"chat:*", "chat.room1", false},
             {"chat:*", "chat:room1/", false},
             {"chat:{room}", "chat:room1", true},
             {"chat:{room}", "chat:", false},
             {"chat:{room}/{part}", "chat:a/b", true},
             {"chat:{room}/{part}", "chat:a:b", false},
             {"*", "anything", true},
             {"*", "any.thing", false},
             {"*.b", "a.b", true},
             {"*.b", ".b", false},
             {"*:", "a:", true},
             {"**", "x", true},
             {"**", "a.b:c/d", true},
             {"**", ".", true},
             {"a.**", "a.b", true},
             {"a.**", "a.b.c:d", true},
             {"a.**", "a..", true},
             {"a.**", "a.", false},
             {"a.**", "a", false},
             {"a.**", "a:b", false},
             {"a..b", "a..b", true},
             {"a..b", "a.b", false},
             {"$user:*", "$user:alice", true},
         })
        assert_row(std::string(row.pattern) + " ~ " + row.name,
                   pattern(row.pattern).matches(row.name) == row.matches);
}

static void refused_patterns(void**) {
    const char* plain = "a pattern is 1 to 255 bytes of UTF-8 without control characters and ','";
    const char* alone =
        " is not a segment: '*', '**' and '{name}' stand alone between '.', ':' and '/'";
    struct Row {
        std::string pattern, error;
    };
    for (const Row& row : {
             Row{"", plain},
             {std::string(256, 'x'), plain},
             {"a,b", plain},
             {"a\tb", plain},
             {"\xff", plain},
             {"a*", std::string("'a*'") + alone},
             {"x:*b", std::string("'*b'") + alone},
             {"***", std::string("'***'") + alone},
             {"a**", std::string("'a**'") + alone},
             {"a{b}", std::string("'a{b}'") + alone},
             {"{}", std::string("'{}'") + alone},
             {"{a b}", std::string("'{a b}'") + alone},
             {"{a", std::string("'{a'") + alone},
             {"{a.b}", std::string("'{a'") + alone},
             {"**.a", "'**' can only be the last segment"},
             {"**:", "'**' can only be the last segment"},
             {"{a}.{a}", "{a} stands twice in it"},
         })
        assert_text(Pattern::parse(row.pattern).error(), row.error);
}

static void specificity_order(void**) {
    const std::vector<std::string> expected = {"a:b:c",  "a:b:*", "a:b:**", "a:*:c", "a:*:*",
                                               "a:*:**", "a:**",  "*:b:c",  "*:**",  "**"};
    std::vector<Pattern> patterns;
    for (auto text = expected.rbegin(); text != expected.rend(); ++text)
        patterns.push_back(pattern(*text));
    std::sort(patterns.begin(), patterns.end(),
              [](const Pattern& a, const Pattern& b) { return a.specificity(b) < 0; });
    for (size_t i = 0; i < expected.size(); ++i)
        assert_text(patterns[i].text(), expected[i]);
}

static void equal_patterns(void**) {
    assert_true(pattern("chat:*").specificity(pattern("chat:{room}")) == 0);
    assert_true(pattern("{a}.{b}").specificity(pattern("*.{c}")) == 0);
    assert_true(pattern("chat:*").specificity(pattern("chat.*")) != 0);
    assert_true(pattern("chat:*").specificity(pattern("chat:**")) < 0);
    assert_true(pattern("a").specificity(pattern("a:")) != 0);
    assert_true(pattern("*:").specificity(pattern("*")) != 0);
}

static void allowed_transports(void**) {
    ChannelSettings settings;
    assert_true(settings.allows("sse"));
    assert_false(settings.allows("ss"));
    settings.transports = {"poll"};
    assert_true(settings.allows("poll"));
    assert_false(settings.allows("sse"));
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(channel_names),    cmocka_unit_test(matching),
        cmocka_unit_test(refused_patterns), cmocka_unit_test(specificity_order),
        cmocka_unit_test(equal_patterns),   cmocka_unit_test(allowed_transports),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
