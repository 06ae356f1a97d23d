// SPDX-License-Identifier: Apache-2.0
#include "modules/json_patch.h"

#include <iterator>
#include <nlohmann/json.hpp>
#include <random>
#include <vector>

#include "tests/unit/test.h"

using namespace fanhorn;
using namespace std::string_literals;

static std::string patch_of(std::string_view from, std::string_view to,
                            size_t max_bytes = SIZE_MAX) {
    std::string out;
    return make_patch(out, from, to, max_bytes) ? out : "none";
}

// A long element in place of each E and a long member in place of each P, so that patching the rest
// is worth it.
static std::string with_padding(std::string_view text) {
    const std::string value = '"' + std::string(90, 'p') + '"';
    std::string out;
    for (const char byte : text) {
        if (byte == 'E')
            out += value;
        else if (byte == 'P')
            out += "\"pad\":" + value;
        else
            out += byte;
    }
    return out;
}

static void test_edges(void**) {
    struct Row {
        std::string from, to, patch;
    };
    for (const Row& row : {
             Row{"{}", "{}", "[]"},
             {"1", "1", "[]"},
             {" {\"a\":1, \"b\":[ ]}", "{\"b\":[],\"a\":1}\n", "[]"},
             {"{\"a\":{\"x\":1,\"y\":2},\"b\":3}", "{\"b\":3,\"a\":{\"y\":2,\"x\":1}}", "[]"},
             // The outermost.
             {"1", "2", R"([{"op":"replace","path":"","value":2}])"},
             {"\"x\"", " {} ", R"([{"op":"replace","path":"","value":{}}])"},
             {"{}", "[]", R"([{"op":"replace","path":"","value":[]}])"},
             {"[1]", "null", R"([{"op":"replace","path":"","value":null}])"},
             // Members.
             {"{\"a\":1,P}", "{P}", R"([{"op":"remove","path":"/a"}])"},
             {"{P}", "{P,\"a\":{\"b\":1}}", R"([{"op":"add","path":"/a","value":{"b":1}}])"},
             {"{\"a\":1,P,\"b\":2}", "{\"a\":1,P,\"b\":3}",
              R"([{"op":"replace","path":"/b","value":3}])"},
             {"{\"a\":{\"b\":{P,\"c\":1,\"d\":2}}}", "{\"a\":{\"b\":{\"c\":1,\"d\":null,P}}}",
              R"([{"op":"replace","path":"/a/b/d","value":null}])"},
             {"{\"a\":1,P}", "{\"c\":3,P}",
              R"([{"op":"add","path":"/c","value":3},{"op":"remove","path":"/a"}])"},
             // Names.
             {"{\"\":1,P}", "{\"\":2,P}", R"([{"op":"replace","path":"/","value":2}])"},
             {"{\"\":{\"\":1,P}}", "{\"\":{\"\":2,P}}",
              R"([{"op":"replace","path":"//","value":2}])"},
             {"{\"-\":1,P}", "{P}", R"([{"op":"remove","path":"/-"}])"},
             {"{\"a/b\":1,P}", "{P}", R"([{"op":"remove","path":"/a~1b"}])"},
             {"{\"a\\/b\":1,P}", "{P}", R"([{"op":"remove","path":"/a~1b"}])"},
             {"{\"\\u002f\\u007e\":1,P}", "{P}", R"([{"op":"remove","path":"/~1~0"}])"},
             {"{\"~1\":1,P}", "{P}", R"([{"op":"remove","path":"/~01"}])"},
             {"{\"q\\\"\\\\\\n\":1,P}", "{P}", R"([{"op":"remove","path":"/q\"\\\n"}])"},
             {"{\"\\u0000\":1,P}", "{P}", R"([{"op":"remove","path":"/\u0000"}])"},
             {"{\"\\ud83d\\ude00\":1,P}", "{P}",
              "[{\"op\":\"remove\",\"path\":\"/\xf0\x9f\x98\x80\"}]"},
             {"{\"\\u0061\":1}", "{\"a\":1}", "[]"},
             {"{\"\\u0061\":1,P}", "{\"a\":2,P}", R"([{"op":"replace","path":"/a","value":2}])"},
             {"{\"a\":1,P}", "{P,\"\\u0061\":2}", R"([{"op":"replace","path":"/a","value":2}])"},
             // Bytes as they are.
             {"[1,E]", "[1e400,E]", R"([{"op":"replace","path":"/0","value":1e400}])"},
             {"[E,0]", "[E,0.1234567890123456789]",
              R"([{"op":"replace","path":"/1","value":0.1234567890123456789}])"},
             {"{\"a\":-0,P}", "{\"a\":123456789012345678901234567890,P}",
              R"([{"op":"replace","path":"/a","value":123456789012345678901234567890}])"},
             {"[\"x\",E]", "[\"\\u0078\\/\",E]",
              R"([{"op":"replace","path":"/0","value":"\u0078\/"}])"},
             {"{\"a\":1,P}", "{\"a\":{ \"b\" : [1 ] },P}",
              R"([{"op":"replace","path":"/a","value":{ "b" : [1 ] }}])"},
             // Arrays: rows that come behind, in front, between; that go.
             {"[E]", "[E,1]", R"([{"op":"add","path":"/1","value":1}])"},
             {"[E,2]", "[E,2,3,4]",
              R"([{"op":"add","path":"/2","value":3},{"op":"add","path":"/3","value":4}])"},
             {"[1,E]", "[0,1,E]", R"([{"op":"add","path":"/0","value":0}])"},
             {"[1,E]", "[1,2,E]", R"([{"op":"add","path":"/1","value":2}])"},
             {"[E,E]", "[E,E,E]", R"([{"op":"add","path":"/2","value":E}])"},
             {"[E,E,E]", "[E]", R"([{"op":"remove","path":"/1"},{"op":"remove","path":"/1"}])"},
             {"[1,2,E]", "[1,E]", R"([{"op":"remove","path":"/1"}])"},
             {"[[E,2],[E,4]]", "[[E,2],[E,5]]", R"([{"op":"replace","path":"/1/1","value":5}])"},
             {"[1,{\"a\":1,P},3]", "[1,{\"a\":2,P},3,4]",
              R"([{"op":"replace","path":"/1/a","value":2},{"op":"add","path":"/3","value":4}])"},
         }) {
        const std::string patch = patch_of(with_padding(row.from), with_padding(row.to));
        assert_row(row.from + " -> " + row.to + " gave " + patch, patch == with_padding(row.patch));
    }
}

// A window over a stream of values, with equal ones among them, and a list with the newest on top.
static void test_moved_on(void**) {
    const std::string values = "1000,1001,1001,1002,1000,1000,1001,1003,1000,1000,1002,1001";
    assert_text(patch_of("{\"w\":[7777," + values + "]}", "{\"w\":[" + values + ",8888]}"),
                R"([{"op":"remove","path":"/w/0"},{"op":"add","path":"/w/12","value":8888}])");
    assert_text(patch_of("{\"w\":[" + values + ",7777]}", "{\"w\":[8888," + values + "]}"),
                R"([{"op":"remove","path":"/w/12"},{"op":"add","path":"/w/0","value":8888}])");
    // Within equal ends.
    assert_text(patch_of("[1,7777," + values + ",2]", "[1," + values + ",8888,2]"),
                R"([{"op":"remove","path":"/1"},{"op":"add","path":"/13","value":8888}])");
    // One value at the wrong end is not worth moving all others.
    const std::string rows = "{\"id\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",\"n\":1},"
                             "{\"id\":\"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\",\"n\":1}";
    std::string changed = rows;
    changed.replace(changed.find(":1"), 2, ":2");
    assert_text(patch_of("[" + rows + ",5]", "[" + changed + ",5]"),
                R"([{"op":"replace","path":"/0/n","value":2}])");
    assert_text(
        patch_of("[{\"n\":3,\"k\":\"cccccccccccccccccccccccccccccccccccccccccccccc\"}," + rows +
                     ",5]",
                 "[5," + rows + ",6]"),
        R"([{"op":"replace","path":"/0","value":5},{"op":"replace","path":"/3","value":6}])");
}

static void test_refused(void**) {
    const auto nested = [](size_t depth) {
        return std::string(depth, '[') + std::string(depth, ']');
    };
    struct Row {
        std::string from, to;
    };
    for (const Row& row : {Row{"{\"a\":1,\"a\":1}", "{}"},
                           {"{}", "{\"a\":1,\"\\u0061\":1}"},
                           {"[1,{\"x\":{\"b\":1,\"c\":2,\"b\":1}}]", "[1]"},
                           {"", "{}"},
                           {"{}", "{} x"},
                           {"{}", "\"\xff\""},
                           {nested(65), "{}"},
                           {"{}", nested(65)}}) {
        std::string out = "before";
        assert_row(row.from + " -> " + row.to, !make_patch(out, row.from, row.to, SIZE_MAX));
        assert_text(out, "before");
    }
    assert_text(patch_of(nested(64), nested(63) + " "), patch_of(nested(64), nested(63)));
    assert_true(patch_of(nested(64), nested(63)) != "none");

    const auto ones = [](size_t count) {
        std::string out = "[1";
        for (size_t i = 1; i < count; ++i)
            out += ",1";
        return out + "]";
    };
    assert_text(patch_of(ones(kMaxPatchNodes - 2), ones(kMaxPatchNodes - 1)),
                R"([{"op":"add","path":"/1048574","value":1}])");
    assert_text(patch_of(ones(kMaxPatchNodes - 1), ones(kMaxPatchNodes)), "none");
}

static void test_limit(void**) {
    const std::string from =
        "{\"a\":1,\"b\":[1,2,3],\"c\":\"ccccccccccccccccccccccccccccccccccccc\"}";
    const std::string to =
        "{\"a\":2,\"b\":[1,2,4],\"c\":\"ccccccccccccccccccccccccccccccccccccc\"}";
    const std::string patch = patch_of(from, to);
    std::string out = "before";
    for (size_t limit = 0; limit < patch.size(); ++limit)
        assert_false(make_patch(out, from, to, limit));
    assert_text(out, "before");
    assert_true(make_patch(out, from, to, patch.size()));
    assert_text(out, "before" + patch);
    assert_text(patch_of(from, from, 2), "[]");
    assert_text(patch_of(from, from, 1), "none");
    // All of it is shorter than its parts one by one, and a limit between the two is no obstacle.
    const std::string whole = R"([{"op":"replace","path":"/r","value":[5,6,7,8]}])";
    const auto row = [](const char* values) {
        return std::string("{\"r\":[") + values + "],\"s\":\"sssssssssssssssssssssssssssssssss\"}";
    };
    assert_text(patch_of(row("1,2,3,4"), row("5,6,7,8")), whole);
    assert_text(patch_of(row("1,2,3,4"), row("5,6,7,8"), whole.size()), whole);
}

// Random texts: short names and values, so that equal ones are frequent.
class Author {
  public:
    explicit Author(uint32_t seed) : random_(seed) {}

    nlohmann::ordered_json value(int depth) {
        switch (below(depth > 0 ? 9 : 6)) {
        case 0:
            return nullptr;
        case 1:
            return below(2) == 0;
        case 2:
            return 0.5 * static_cast<double>(below(4));
        case 3:
            return name();
        case 4:
        case 5:
            return below(3);
        case 6:
            return array(depth);
        default:
            return object(depth);
        }
    }

    void change(nlohmann::ordered_json& value, int depth) {
        if (value.is_object() && !value.empty() && below(8) != 0)
            change_object(value, depth);
        else if (value.is_array() && !value.empty() && below(8) != 0)
            change_array(value, depth);
        else
            value = this->value(depth);
    }

    // With blanks and escapes here and there.
    std::string text(const nlohmann::ordered_json& value) {
        std::string out = blank();
        if (value.is_array()) {
            out += '[';
            for (const auto& each : value)
                out.append(out.back() == '[' ? "" : ",").append(text(each));
            out += ']';
        } else if (value.is_object()) {
            out += '{';
            bool is_first = true;
            for (const auto& [name, each] : value.items()) {
                out.append(is_first ? "" : ",")
                    .append(blank())
                    .append(quoted(name))
                    .append(blank());
                out.append(":").append(text(each));
                is_first = false;
            }
            out += '}';
        } else {
            out += value.dump();
        }
        return out + blank();
    }

  private:
    uint32_t below(uint32_t bound) { return static_cast<uint32_t>(random_() % bound); }

    std::string name() {
        static constexpr const char* kNames[] = {"",   "a",   "b",  "~",        "/",
                                                 "~1", "a/b", "-",  "0",        "1",
                                                 "\"", "\\",  "\n", "\xc3\xa9", "\xf0\x9f\x98\x80",
                                                 "%41"};
        return kNames[below(std::size(kNames))];
    }
    std::string blank() { return below(8) == 0 ? " " : ""; }
    std::string quoted(const std::string& name) {
        return nlohmann::json(name).dump(-1, ' ', below(2) == 0); // perhaps ASCII alone
    }
    nlohmann::ordered_json array(int depth) {
        auto out = nlohmann::ordered_json::array();
        for (uint32_t i = below(6); i > 0; --i)
            out.push_back(value(depth - 1));
        return out;
    }
    nlohmann::ordered_json object(int depth) {
        auto out = nlohmann::ordered_json::object();
        for (uint32_t i = below(7); i > 0; --i)
            out[name()] = value(depth - 1);
        return out;
    }
    void change_object(nlohmann::ordered_json& object, int depth) {
        auto some = std::next(object.begin(), below(static_cast<uint32_t>(object.size())));
        switch (below(5)) {
        case 0:
            object.erase(some);
            return;
        case 1:
            object[name()] = value(depth - 1);
            return;
        case 2: { // to the end
            const std::string name = some.key();
            auto moved = *some;
            object.erase(some);
            object[name] = moved;
            return;
        }
        default:
            change(*some, depth - 1);
        }
    }
    void change_array(nlohmann::ordered_json& array, int depth) {
        const auto some = array.begin() + below(static_cast<uint32_t>(array.size()));
        switch (below(6)) {
        case 0:
            array.erase(some);
            return;
        case 1:
            array.insert(some, value(depth - 1));
            return;
        case 2:
            array.push_back(value(depth - 1));
            return;
        case 3: // moves on
            array.erase(array.begin());
            array.push_back(value(depth - 1));
            return;
        case 4:
            array.insert(array.begin(), value(depth - 1));
            array.erase(array.end() - 1);
            return;
        default:
            change(*some, depth - 1);
        }
    }

    std::mt19937 random_;
};

// Another implementation applies the patches.
static void expect_patched(const std::string& from, const std::string& to) {
    const std::string patch = patch_of(from, to);
    const auto applied = nlohmann::json::parse(from).patch(nlohmann::json::parse(patch));
    assert_row(from + " -> " + to + " gave " + patch, applied == nlohmann::json::parse(to));
    assert_row(patch,
               patch.size() <= to.size() + R"([{"op":"replace","path":"","value":}])"s.size());
    assert_text(patch_of(from, to, patch.size()), patch);
    assert_text(patch_of(from, to, patch.size() - 1), "none");
}

static void test_random(void**) {
    for (uint32_t seed = 1; seed <= 3000; ++seed) {
        Author author(seed);
        auto value = author.value(5);
        std::string text = author.text(value);
        for (uint32_t changes = 1; changes <= 6; ++changes) {
            for (uint32_t i = 0; i < changes; ++i)
                author.change(value, 4);
            const std::string next = author.text(value);
            expect_patched(text, next);
            text = next;
        }
        expect_patched(text, author.text(author.value(5)));
    }
}

// The aim of it all: of 200 metrics 4 change.
static void test_dashboard(void**) {
    std::mt19937 random(4);
    auto metrics = nlohmann::ordered_json::object();
    for (int i = 0; i < 200; ++i)
        metrics["host" + std::to_string(i / 10) + ".metric" + std::to_string(i % 10)] = {
            {"value", static_cast<double>(random() % 100'000) / 100}, {"unit", "ms"}};
    size_t whole = 0, patches = 0;
    std::string text = metrics.dump();
    for (int update = 0; update < 100; ++update) {
        for (int i = 0; i < 4; ++i)
            std::next(metrics.begin(), random() % 200).value()["value"] =
                static_cast<double>(random() % 100'000) / 100;
        const std::string next = metrics.dump();
        const std::string patch = patch_of(text, next);
        assert_true(nlohmann::json::parse(text).patch(nlohmann::json::parse(patch)) ==
                    nlohmann::json::parse(next));
        whole += next.size();
        patches += patch.size();
        text = next;
    }
    assert_true(patches * 10 <= whole);
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_edges),   cmocka_unit_test(test_moved_on),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_limit),
        cmocka_unit_test(test_random),  cmocka_unit_test(test_dashboard),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
