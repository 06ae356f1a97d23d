// SPDX-License-Identifier: Apache-2.0
#include "relay/pattern.h"
#include "relay/settings.h"
#include "relay/wildcards.h"

#include <algorithm>
#include <set>

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

static void containing(void**) {
    struct Row {
        const char *pattern, *other;
        bool contains;
    };
    for (const Row& row : {
             Row{"scores:*", "scores:*", true},
             {"scores:*", "scores:{game}", true},
             {"scores:*", "scores:1", true},
             {"scores:*", "scores:", false},
             {"scores:*", "scores:**", false},
             {"scores:*", "scores:*:live", false},
             {"scores:*", "*", false},
             {"scores:**", "scores:*", true},
             {"scores:**", "scores:*:live", true},
             {"scores:**", "scores:**", true},
             {"scores:**", "scores", false},
             {"scores:**", "scores:", false},
             {"scores:**", "scores::", true},
             {"scores:**", "scores.*", false},
             {"scores:1", "scores:*", false},
             {"scores:1", "scores:1", true},
             {"scores:1", "scores:1:a", false},
             {"*:a", "*:a", true},
             {"*:a", "*:*", false},
             {"*:a", ":a", false},
             {"*:", "*:", true},
             {"**", "a:*", true},
             {"**", "**", true},
             {"*", "**", false},
         })
        assert_row(std::string(row.pattern) + " > " + row.other,
                   pattern(row.pattern).contains(pattern(row.other)) == row.contains);
}

// Whatever is drawn of up to three segments, against all names of up to three.
static void containing_is_matching(void**) {
    uint32_t seed = 1;
    const auto random = [&](uint32_t below) {
        seed = seed * 1664525 + 1013904223;
        return (seed >> 8) % below;
    };
    const auto draw = [&] {
        const char* segments[] = {"a", "b", "*", "", "**"};
        std::string text = segments[random(5)];
        for (int i = 0; i < 2 && !text.ends_with("**") && random(3); ++i)
            text += ":" + std::string(segments[random(5)]);
        return pattern(text.empty() ? "a" : text);
    };
    std::vector<std::string> names = {"a", "b", "x"};
    for (const std::string first : {"", "a", "b", "x"})
        for (const std::string second : {"", "a", "b", "x"}) {
            names.push_back(first + ":" + second);
            for (const std::string third : {"", "a", "b", "x", "x:x"})
                names.push_back(first + ":" + second + ":" + third);
        }
    size_t contained = 0;
    for (int i = 0; i < 20'000; ++i) {
        const Pattern one = draw(), other = draw();
        const bool contains = std::all_of(names.begin(), names.end(), [&](const std::string& name) {
            return one.matches(name) || !other.matches(name);
        });
        assert_row(one.text() + " > " + other.text(), one.contains(other) == contains);
        contained += contains ? 1 : 0;
    }
    assert_true(contained > 1000);
}

static void literals(void**) {
    assert_text(pattern("a:b:*").literal(), "a:b:");
    assert_text(pattern("a:{b}:c").literal(), "a:");
    assert_text(pattern("**").literal(), "");
    assert_text(pattern("a.b").literal(), "a.b");
}

// As if each were asked.
static void wildcards_by_name(void**) {
    struct Item {
        Pattern pattern;
    };
    Wildcards<Item> wildcards;
    std::set<std::string> there;
    const auto check = [&](const std::string& name) {
        std::multiset<std::string> found, expected;
        wildcards.each_match(name, [&](const Item& item) { found.insert(item.pattern.text()); });
        for (const std::string& text : there)
            if (name[0] != '$' && pattern(text).matches(name))
                expected.insert(text);
        assert_row(name, found == expected);
    };
    const auto check_all = [&] {
        for (const char* name : {"a", "a:b", "a:b:c", "a:x:c", "x:b", "a.b", ":b", "a:", "$x:1"})
            check(name);
        assert_int_equal(wildcards.size(), there.size());
    };
    const char* texts[] = {"**",  "*",    "a:*",   "a:**",  "a:*:c",   "a:b:*",   "*:b",  "a.*",
                           "*:*", "$x:*", "{b}:*", "*:{b}", "a:{b}:c", "a:*:{c}", "*:*:*"};
    for (int round = 0; round < 3; ++round) {
        for (const char* text : texts) {
            there.insert(text);
            wildcards.insert(std::make_unique<Item>(Item{pattern(text)}));
            check_all();
        }
        assert_null(wildcards.find("b:*"));
        assert_null(wildcards.find("a:{x}:c"));
        while (!there.empty()) { // not in the order in which they came
            const std::string text = round == 0 ? *there.begin() : *there.rbegin();
            there.erase(text);
            wildcards.erase(*wildcards.find(text));
            assert_null(wildcards.find(text));
            check_all();
        }
        assert_true(wildcards.empty());
    }
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
        cmocka_unit_test(containing),       cmocka_unit_test(containing_is_matching),
        cmocka_unit_test(literals),         cmocka_unit_test(wildcards_by_name),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
