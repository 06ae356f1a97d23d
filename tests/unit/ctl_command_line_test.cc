// SPDX-License-Identifier: Apache-2.0
// fanhornctl's options: rows that parse and that are its help.
#include "ctl/command_line.h"

#include <cstdlib>

#include "test.h"

using namespace fanhorn::ctl;

namespace {

constexpr Listener kListener = {"http://127.0.0.1:1", "FANHORN_TEST_URL"};
constexpr Option kOptions[] = {{"event", "NAME", "the kind"}, {"json", "", "as JSON"}};

int nothing(const Arguments&) {
    return kOk;
}

constexpr Command kCommand = {"try", "NAME [DATA]", "Tries.", 1, 2, kListener, kOptions, nothing};

fanhorn::Result<Arguments> read(std::vector<std::string> words) {
    std::vector<char*> pointers;
    for (std::string& word : words)
        pointers.push_back(word.data());
    return read_arguments(kCommand, pointers);
}

} // namespace

static void test_good_words(void**) {
    const auto arguments = read({"--event", "--json", "x", "--json", "-5", "--event=a=b"});
    assert_true(arguments.ok());
    assert_text(arguments->option("event"), "a=b"); // the last one counts
    assert_text(arguments->option("json"), "1");
    assert_true(arguments->operands == std::vector<std::string>({"x", "-5"}));
    assert_true(read({"--", "--json"})->operands == std::vector<std::string>{"--json"});
    assert_text(read({"--event=", "x"})->option("event"), "");
}

static void test_bad_words(void**) {
    const std::vector<std::string> kBad[] = {{},
                                             {"x", "y", "z"},
                                             {"--nothing", "x"},
                                             {"x", "--event"},
                                             {"x", "--json=1"},
                                             {"--url", "https://x/y", "x"},
                                             {"--url=", "x"},
                                             {"--cert", "c.pem", "--url", "http://h", "x"},
                                             {"--cert=", "--url", "https://h", "x"},
                                             {"--key", "k.pem", "--url", "https://h", "x"},
                                             {"x", "---"}};
    for (const auto& words : kBad)
        assert_row(words.empty() ? "" : words.back(), !read(words).ok());
}

static void test_where_the_url_comes_from(void**) {
    unsetenv(kListener.variable);
    assert_text(read({"x"})->daemon.url.port, "1");
    setenv(kListener.variable, "http://[::1]:2", 1);
    assert_text(read({"x"})->daemon.url.port, "2");
    assert_text(read({"x", "--url", "http://h:3"})->daemon.url.port, "3");
    setenv(kListener.variable, "", 1);
    assert_text(read({"x"})->daemon.url.port, "1");
    setenv(kListener.variable, "nonsense", 1);
    assert_false(read({"x"}).ok());
    unsetenv(kListener.variable);
}

static void test_who_we_are(void**) {
    auto own = read({"x"})->daemon.own;
    assert_true(own.certificate.empty() && own.key.empty());
    own = read({"x", "--cert", "c.pem", "--key", "k.pem", "--url", "https://h"})->daemon.own;
    assert_true(own.certificate == "c.pem" && own.key == "k.pem");
    own = read({"x", "--cert", "both.pem", "--url", "https://h"})->daemon.own;
    assert_true(own.certificate == "both.pem" && own.key == "both.pem");
}

static void test_help_names_every_option(void**) {
    assert_true(read({"--help"})->has("help")); // though the name is missing
    const std::string help = help_text(kCommand);
    for (const char* part :
         {"fanhornctl try [OPTION...] NAME [DATA]", "Tries.", "--event NAME", "--json", "--url URL",
          "--cert FILE", "--key FILE", "--help", "$FANHORN_TEST_URL"})
        assert_row(part, help.find(part) != help.npos);
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_good_words),
        cmocka_unit_test(test_bad_words),
        cmocka_unit_test(test_where_the_url_comes_from),
        cmocka_unit_test(test_who_we_are),
        cmocka_unit_test(test_help_names_every_option),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
