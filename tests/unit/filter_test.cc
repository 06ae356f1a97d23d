// SPDX-License-Identifier: Apache-2.0
#include "base/filter.h"

#include <random>

#include "tests/unit/test.h"

using namespace fanhorn;

static std::string canonical(std::string_view text) {
    const auto filter = Filter::parse(text);
    return filter ? (*filter)->text() : "refused";
}

static bool matches(std::string_view filter, std::string_view tags) {
    return Filter::parse(filter).value()->matches(tags);
}

static void test_canonical(void**) {
    struct Row {
        const char *text, *canonical;
    };
    for (const Row& row : {Row{"k=v", "k=v"},
                           {"b=1,a=2", "a=2,b=1"},
                           {"a=2,b=1,a=2", "a=2,b=1"},
                           {"k=c|a|b|a", "k=a|b|c"},
                           {"k=", "k="},
                           {"k=|v", "k=|v"},
                           {"k!=b|a", "k!=a|b"},
                           {"k==v", "k==v"},
                           {"k=a=b", "k=a=b"},
                           {"k=a<b>c!=d", "k=a<b>c!=d"},
                           {"a!b=c", "a!b=c"},
                           {"!=c", "refused"},
                           {"!a!=c", "!a!=c"},
                           {"k = v ", "k = v "},
                           {"k>=007.500", "k>=7.5"},
                           {"k<=-0.00", "k<=0"},
                           {"k>0.10", "k>0.1"},
                           {"k<-00", "k<0"},
                           {"k<12345678901234567890123.0", "k<12345678901234567890123"},
                           {"k>=1,k>=1.0", "k>=1"},
                           {"\xc3\xa9=\xc3\xa9", "\xc3\xa9=\xc3\xa9"}})
        assert_row(std::string(row.text) + " is " + canonical(row.text),
                   canonical(row.text) == row.canonical);
}

static void test_refused(void**) {
    for (const char* text : {"",      "k",        "=v",     "a=1,",   ",a=1",          "a=1,,b=2",
                             ">1",    "<=1",      "k>",     "k>=",    "k>=x",          "k>=1.",
                             "k>=.5", "k>=1.2.3", "k>=+1",  "k>=1e3", "k>= 1",         "k>=1|2",
                             "k<>1",  "k=\n",     "k=\x7f", "\xff=1", "k=\xed\xa0\x80"})
        assert_row(text, !Filter::parse(text).ok());
    assert_true(Filter::parse("k=" + std::string(Filter::kMaxBytes - 2, 'v')).ok());
    assert_false(Filter::parse("k=" + std::string(Filter::kMaxBytes - 1, 'v')).ok());
    std::string terms = "k0=v";
    for (size_t i = 1; i < Filter::kMaxTerms; ++i)
        terms += ",k" + std::to_string(i) + "=v";
    assert_true(Filter::parse(terms).ok());
    assert_false(Filter::parse(terms + ",more=v").ok());
    assert_text(Filter::parse("minute>=late").error(),
                "'late' is no decimal number, as 45, 1.5 or -3, to compare with; a filter is terms "
                "like kind=goal, kind=goal|card, kind!=goal, minute>=45 or odds<1.5 with commas "
                "between them");
    assert_true(Filter::parse("k").error().starts_with("'k' has no operator; a filter is"));
    assert_true(Filter::parse("=v").error().starts_with("'=v' has no name; a filter is"));
}

static void test_matches(void**) {
    struct Row {
        const char *filter, *tags;
        bool matches;
    };
    for (const Row& row : {
             Row{"k=v", "k=v", true},
             {"k=v", "", false},
             {"k=v", "k=w", false},
             {"k=v", "K=v", false},
             {"k=v", "k=vv", false},
             {"k=vv", "k=v", false},
             {"k=v", "kk=v", false},
             {"k=v", "a=b,k=v,c=d", true},
             {"k=v", "k=w,k=v", true}, // a tag twice: any
             {"k=", "k=", true},
             {"k=", "k=v", false},
             {"k=a=b", "k=a=b", true},
             {"k=a|b", "k=a", true},
             {"k=a|b", "k=b", true},
             {"k=a|b", "k=a|b", false},
             {"k=a|b", "k=c", false},
             {"k=a|", "k=", true},
             {"k=a,l=b", "l=b,k=a", true},
             {"k=a,l=b", "k=a", false},
             {"k=a,k=b", "k=a", false},
             {"k!=v", "k=w", true},
             {"k!=v", "k=v", false},
             {"k!=v", "k=w,k=v", false},
             {"k!=v", "", true},
             {"k!=v", "other=v", true},
             {"k!=a|b", "k=b", false},
             {"k!=a|b", "k=c", true},
             {"k>=10", "k=10", true},
             {"k>=10", "k=9", false},
             {"k>=10", "k=9.999", false},
             {"k>=10", "k=100", true},
             {"k>=10", "k=10.0", true},
             {"k>=10", "k=0010", true},
             {"k>=10", "k=-11", false},
             {"k>=10", "k=x", false},
             {"k>=10", "k=", false},
             {"k>=10", "k=1e9", false},
             {"k>=10", "", false},
             {"k>10", "k=10", false},
             {"k>10", "k=10.00000000000000000000000000001", true},
             {"k<=10", "k=10", true},
             {"k<=10", "k=10.1", false},
             {"k<=10", "k=-3", true},
             {"k<10", "k=10", false},
             {"k<10", "k=9.9", true},
             {"k<0", "k=-0", false},
             {"k<=0", "k=-0.0", true},
             {"k>-2", "k=-1.5", true},
             {"k>-2", "k=-2.5", false},
             {"k>-0.25", "k=-0.2", true},
             {"k<0.3", "k=0.25", true},
             {"k>9007199254740992", "k=9007199254740993", true}, // no double tells them apart
             {"k>=5,k<10", "k=7", true},
             {"k>=5,k<10", "k=10", false},
             {"k>=5", "k=x,k=6", true},
         })
        assert_row(std::string(row.filter) + " of " + row.tags,
                   matches(row.filter, row.tags) == row.matches);
}

// Against the machine's numbers, in a range where they are exact.
static void test_random_numbers(void**) {
    std::mt19937 random(6);
    const auto number = [&](double& value) {
        const int hundredths = static_cast<int>(random() % 4001) - 2000;
        value = hundredths / 100.0;
        const std::string digits = std::to_string(100 + std::abs(hundredths) % 100).substr(1);
        std::string text = hundredths < 0 ? "-" : "";
        text.append(random() % 3, '0').append(std::to_string(std::abs(hundredths) / 100));
        return text + "." + digits + std::string(random() % 2, '0');
    };
    for (int i = 0; i < 20'000; ++i) {
        double left = 0, right = 0;
        const std::string tags = "k=" + number(left), bound = number(right);
        assert_row(tags + " " + bound, matches("k>=" + bound, tags) == (left >= right));
        assert_row(tags + " " + bound, matches("k<=" + bound, tags) == (left <= right));
        assert_row(tags + " " + bound, matches("k>" + bound, tags) == (left > right));
        assert_row(tags + " " + bound, matches("k<" + bound, tags) == (left < right));
    }
}

static void test_fields(void**) {
    const std::vector<Filter::Field> fields = {{"wiki", "a,b=c"}, {"n", "7.5"}, {"n", "x"}};
    struct Row {
        const char* filter;
        bool matches;
    };
    for (const Row& row : {Row{"n>=7.5", true},
                           {"n>7.5", false},
                           {"n=x|y,wiki!=a", true},
                           {"n!=x", false},
                           {"wiki=a", false},
                           {"wiki!=a", true},
                           {"b=c", false},
                           {"gone=", false},
                           {"gone!=", true}})
        assert_row(
            row.filter,
            Filter::parse(row.filter).value()->matches(std::span<const Filter::Field>(fields)) ==
                row.matches);
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_canonical),      cmocka_unit_test(test_refused),
        cmocka_unit_test(test_fields),         cmocka_unit_test(test_matches),
        cmocka_unit_test(test_random_numbers),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
