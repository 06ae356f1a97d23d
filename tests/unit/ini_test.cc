// SPDX-License-Identifier: Apache-2.0
#include "server/expand.h"
#include "server/ini.h"

#include "fake_surroundings.h"

#include "test.h"

using namespace fanhorn;
using namespace std::string_literals;

// What was read, one line each: "[type|name] FILE:LINE", "key=value FILE:LINE", and the faults.
static std::string dump(const FakeSurroundings& world, const std::string& file) {
    Faults faults;
    std::string text;
    for (const IniSection& section : read_ini(file, world, faults)) {
        text += "[" + section.type + "|" + section.name + "] " + section.place.text() + "\n";
        for (const IniEntry& entry : section.entries)
            text += (entry.continued ? "+" : "") + entry.key + "=" + entry.value + " " +
                    entry.place.text() + "\n";
    }
    for (const std::string& fault : faults.list())
        text += "! " + fault + "\n";
    return text;
}

static std::string dump_text(const std::string& text) {
    FakeSurroundings world;
    world.files["f"] = text;
    return dump(world, "f");
}

static void well_formed(void**) {
    struct Row {
        std::string text, expected;
    };
    for (const Row& row : {
             Row{"", ""},
             {"\n\n", ""},
             {"# only\n; comments\n   # indented\n", ""},
             {"[a]", "[a|] f:1\n"},
             {"[a]\n[a]\n", "[a|] f:1\n[a|] f:2\n"},
             {"[ a   b c ] ; note\n", "[a|b c] f:1\n"},
             {"[channel a[b]:{c}]", "[channel|a[b]:{c}] f:1\n"},
             {"[a]\nk=v", "[a|] f:1\nk=v f:2\n"},
             {"[a]\r\nk = v\r\n", "[a|] f:1\nk=v f:2\n"},
             {"\xef\xbb\xbf[a]\nk = v\n", "[a|] f:1\nk=v f:2\n"},
             {"[a]\n\n# x\nk\t=  v w \t ; note\n", "[a|] f:1\nk=v w f:4\n"},
             {"[a]\nk = a;b#c\n", "[a|] f:1\nk=a;b#c f:2\n"},
             {"[a]\nk = a #c\n", "[a|] f:1\nk=a f:2\n"},
             {"[a]\nk = a ;c\n", "[a|] f:1\nk=a f:2\n"},
             {"[a]\nk =\n", "[a|] f:1\nk= f:2\n"},
             {"[a]\nk = ; none\n", "[a|] f:1\nk= f:2\n"},
             {"[a]\nk = x=y:z\n", "[a|] f:1\nk=x=y:z f:2\n"},
             {"[a]\nk = 1\n  2 ; note\n\n# x\n\t[::]:3\n",
              "[a|] f:1\nk=1 f:2\n+k=2 f:3\n+k=[::]:3 f:6\n"},
             {"[a]\nk =\n  2\n", "[a|] f:1\nk= f:2\n+k=2 f:3\n"},
             {"[a]\nk = '\"x\"'\n", "[a|] f:1\nk='\"x\"' f:2\n"},
         })
        assert_text(dump_text(row.text), row.expected);
}

static void faults(void**) {
    const std::string unknown = "! f:2: not understood; a line is 'key = value', '[section]' or a "
                                "comment\n";
    struct Row {
        std::string text, expected;
    };
    for (const Row& row : {
             Row{"k = v\n",
                 "! f:1: 'k' stands before the first section, where only 'include' may\n"},
             {"k\n", "! f:1: not understood; a line is 'key = value', '[section]' or a comment\n"},
             {"[a]\nk\n", "[a|] f:1\n" + unknown},
             {"[a]\nk: v\n", "[a|] f:1\n" + unknown},
             {"[a]\nk:x = v\n", "[a|] f:1\n! f:2: 'k:x' is not a key: letters, digits and '_', at "
                                "most 49\n"},
             {"[a]\n= v\n",
              "[a|] f:1\n! f:2: '' is not a key: letters, digits and '_', at most 49\n"},
             {"[a]\n" + std::string(50, 'k') + " = v\n",
              "[a|] f:1\n! f:2: '" + std::string(50, 'k') +
                  "' is not a key: letters, digits and '_', at most 49\n"},
             {"[a\nk = v\n", "[|] f:1\nk=v f:2\n! f:1: a section header ends in ']'\n"},
             {"[a] x\n", "[|] f:1\n! f:1: a section header ends in ']'\n"},
             {"[ ]\n", "[|] f:1\n! f:1: a section header is empty\n"},
             {"[a]\n  v\n", "[a|] f:1\n! f:2: an indented line that continues no key\n"},
             {"  v\n", "! f:1: an indented line that continues no key\n"},
             {"[a]\nk = 1\n[b]\n  v\n",
              "[a|] f:1\nk=1 f:2\n[b|] f:3\n! f:4: an indented line that continues no key\n"},
             {"[a]\nk\n  v\n  w\n", "[a|] f:1\n" + unknown},
             {"[a]\nk = 1\n  m = 2\n",
              "[a|] f:1\nk=1 f:2\n! f:3: an indented line continues the key before it; 'm' must "
              "begin in the first column\n"},
             {"[a]\nk = a\0b\n"s, "[a|] f:1\n! f:2: the line has a NUL byte\n"},
             {"[a]\nk = a\x1b\n", "[a|] f:1\n! f:2: the line has a control byte, 27\n"},
             {"[a]\nk = \xff\n", "[a|] f:1\n! f:2: the line is not UTF-8\n"},
         })
        assert_text(dump_text(row.text), row.expected);
}

// inih reads 198 bytes of a line and takes the rest for another one.
static void long_lines(void**) {
    const std::string longest = "k = " + std::string(194, 'v');
    assert_text(dump_text("[a]\n" + longest + "\n"), "[a|] f:1\nk=" + longest.substr(4) + " f:2\n");
    assert_text(dump_text("[a]\n" + longest + "   ; " + std::string(500, 'c') + "\nm = 1\n"),
                "[a|] f:1\nk=" + longest.substr(4) + " f:2\nm=1 f:3\n");
    assert_text(dump_text("[a]\n" + longest + "v\nm = 1\n"),
                "[a|] f:1\nm=1 f:3\n! f:2: the line has 199 bytes, at most 198 can be read; a list "
                "goes on in indented lines, a long value comes from ${file:/path}\n");
    const std::string name(600, 'n');
    assert_text(dump_text("[a " + name + "]\nk = v\n"), "[a|" + name + "] f:1\nk=v f:2\n");
}

static void includes(void**) {
    FakeSurroundings world;
    world.files = {
        {"/etc/f", "include = d/*.conf\ninclude=${D:-d}/one\n[m]\nk=1\n"},
        {"/etc/d/b.conf", "[b]\nk=2\n"},
        {"/etc/d/a.conf", "include = sub/x\n[a]\nk=3\n"},
        {"/etc/d/sub/x", "[x]\n"},
        {"/etc/d/one", "[one]\n"},
        {"/etc/none", "include = nothing/*.conf\n[m]\n"},
        {"/etc/absent", "include = nothing.conf\n[m]\n"},
        {"/etc/loop", "include = loop2\n[l]\n"},
        {"/etc/loop2", "include = /etc/loop\n[l2]\n"},
        {"/etc/leak", "include = d/sub/x\nk = 1\n"},
        {"/etc/empty", "include =\n"},
        {"/etc/undefined", "include = ${NO}/x\n"},
    };
    assert_text(dump(world, "/etc/f"),
                "[x|] /etc/d/sub/x:1\n[a|] /etc/d/a.conf:2\nk=3 /etc/d/a.conf:3\n"
                "[b|] /etc/d/b.conf:1\nk=2 /etc/d/b.conf:2\n[one|] /etc/d/one:1\n"
                "[m|] /etc/f:3\nk=1 /etc/f:4\n");
    assert_text(dump(world, "/etc/none"), "[m|] /etc/none:2\n");
    assert_text(dump(world, "/etc/absent"),
                "[m|] /etc/absent:2\n! /etc/absent:1: include '/etc/nothing.conf': No such file or "
                "directory\n");
    assert_text(dump(world, "/etc/loop"),
                "[l2|] /etc/loop2:2\n[l|] /etc/loop:2\n! /etc/loop2:1: include '/etc/loop': "
                "includes itself\n");
    assert_text(dump(world, "/etc/leak"),
                "[x|] /etc/d/sub/x:1\n! /etc/leak:2: 'k' stands before the first section, where "
                "only 'include' may\n");
    assert_text(dump(world, "/etc/empty"), "! /etc/empty:1: 'include' needs a value\n");
    assert_text(dump(world, "/etc/undefined"),
                "! /etc/undefined:1: ${NO}: is not defined; a default is written "
                "${NO:-default}\n");
    assert_text(dump(world, "/etc/gone"), "! /etc/gone: No such file or directory\n");
}

static void include_depth(void**) {
    FakeSurroundings world;
    for (int i = 0; i < 12; ++i)
        world.files[std::to_string(i)] = "include = " + std::to_string(i + 1) + "\n";
    world.files["8"] = "[deepest]\n";
    assert_text(dump(world, "0"), "[deepest|] 8:1\n");
    world.files["8"] = "include = 9\n";
    assert_text(dump(world, "0"), "! 8:1: include '9': more than 8 files deep\n");
}

// What a variable brings into an include is no pattern.
static void include_quotes_variables(void**) {
    FakeSurroundings world;
    world.variables["D"] = "a*";
    world.files = {{"f", "include = ${D}/*.conf\ninclude = ${D}/x\n"},
                   {"ab/y.conf", "[wrong]\n"},
                   {"a*/y.conf", "[right]\n"},
                   {"a*/x", "[plain]\n"}};
    assert_text(dump(world, "f"), "[right|] a*/y.conf:1\n[plain|] a*/x:1\n");
}

static void expansion(void**) {
    FakeSurroundings world;
    world.variables = {
        {"A", "x"}, {"EMPTY", ""}, {"EVIL", "${A} ; , $$"}, {"CREDENTIALS_DIRECTORY", "/cred"}};
    world.files = {{"/f", "one\n"}, {"/two", "two\n\n"}, {"/nul", "a\0b"s}, {"/cred/key", "k"}};
    struct Row {
        const char *value, *expected;
        bool secret = false;
    };
    for (const Row& row : {
             Row{"", ""},
             {"plain", "plain"},
             {"${A}", "x"},
             {"<${A}${A}>", "<xx>"},
             {"${EMPTY}", ""},
             {"${EMPTY:-d}", "d"},
             {"${NO:-d e}", "d e"},
             {"${NO:-}", ""},
             {"${A:-d}", "x"},
             {"$$", "$"},
             {"$${A}", "${A}"},
             {"a$$b$$", "a$b$"},
             {"${EVIL}", "${A} ; , $$"},
             {"${file:/f}", "one", true},
             {"${file:/two}", "two\n", true},
             {"${cred:key}", "k", true},
         }) {
        auto expanded = expand(row.value, world);
        assert_row(row.value, expanded.ok());
        assert_text(expanded->text, row.expected);
        assert_row(row.value, expanded->secret == row.secret);
    }
}

static void expansion_faults(void**) {
    FakeSurroundings world;
    world.files = {{"/nul", "a\0b"s}};
    const char* dollar = "a '$' begins ${NAME}; a '$' itself is written '$$'";
    const char* forms = ": is not ${NAME}, ${NAME:-default}, ${file:/path} or ${cred:NAME}";
    struct Row {
        std::string value, error;
    };
    for (const Row& row : {
             Row{"$", dollar},
             {"$A", dollar},
             {"${A", dollar},
             {"x$", dollar},
             {"${}", std::string("${}") + forms},
             {"${1}", std::string("${1}") + forms},
             {"${a b}", std::string("${a b}") + forms},
             {"${env:A}", std::string("${env:A}") + forms},
             {"${NO}", "${NO}: is not defined; a default is written ${NO:-default}"},
             {"${NO:-${A}}", "${NO:-${A}: no '$' may stand inside of ${...}"},
             {"${file:x}", "${file:x}: needs an absolute path, as in ${file:/path}"},
             {"${file:/no}", "${file:/no}: '/no': No such file or directory"},
             {"${file:/nul}", "${file:/nul}: '/nul': has a NUL byte"},
             {"${cred:a}", "${cred:a}: $CREDENTIALS_DIRECTORY is not set"},
             {"${cred:a/b}", "${cred:a/b}: 'a/b' is not a credential's name"},
             {"${cred:..}", "${cred:..}: '..' is not a credential's name"},
         })
        assert_text(expand(row.value, world).error(), row.error);
}

static void items(void**) {
    struct Row {
        const char* value;
        std::vector<std::string> items;
    };
    for (const Row& row : {
             Row{"", {}},
             {" , ", {}},
             {"a", {"a"}},
             {"a,b c\td", {"a", "b", "c", "d"}},
             {"a, ,b,", {"a", "b"}},
             {"${A:-x y},b", {"${A:-x y}", "b"}},
             {"<${A},b}> c", {"<${A}", "b}>", "c"}},
             {"$${a b}", {"$${a", "b}"}},
             {"${a b", {"${a b"}},
         })
        assert_row(row.value, split_items(row.value) == row.items);
}

static void fault_list(void**) {
    Faults faults;
    faults.add({"a", 7}, "late");
    faults.add({"b", 1}, "other");
    faults.add({"a", 3}, "early");
    faults.add({"a", 0}, "whole");
    const std::vector<std::string> expected = {"a: whole", "a:3: early", "a:7: late", "b:1: other"};
    assert_true(faults.list() == expected);
    for (unsigned i = 0; i < 50; ++i)
        faults.add({"c", i + 1}, "x");
    assert_int_equal(faults.list().size(), 50);
    assert_text(faults.list()[48], "c:45: x");
    assert_text(faults.list()[49], "and 5 more errors");
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(well_formed),   cmocka_unit_test(faults),
        cmocka_unit_test(long_lines),    cmocka_unit_test(includes),
        cmocka_unit_test(include_depth), cmocka_unit_test(include_quotes_variables),
        cmocka_unit_test(expansion),     cmocka_unit_test(expansion_faults),
        cmocka_unit_test(items),         cmocka_unit_test(fault_list),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
