// SPDX-License-Identifier: Apache-2.0
// What stands in a command of fanhorn.v1, and what does not pass for it.
#include "server/command_members.h"

#include "test.h"

using namespace fanhorn;

namespace {

std::string code_of(const std::optional<http::Problem>& problem) {
    return problem ? std::string(problem->code) : "";
}

struct Row {
    const char *text, *result;
};

std::string read_list(const char* array, NameCheck check) {
    std::vector<std::string> names;
    if (const auto problem = read_names(array, 3, names, check))
        return code_of(problem);
    std::string all;
    for (const std::string& name : names)
        all += name + ' ';
    return all;
}

std::string since_of(const char* value) {
    Since since;
    if (const auto problem = read_since(value, since))
        return code_of(problem);
    return std::to_string(static_cast<int>(since.kind)) + ' ' + std::to_string(since.count) + ' ' +
           position_text(since.position);
}

std::string long_list_of(const char* json) {
    std::optional<LongList> list;
    if (const auto problem = read_long_list(json, 2, list))
        return code_of(problem);
    if (!list)
        return "a command";
    std::string all;
    for (const std::string& name : list->channels)
        all += name + ' ';
    return all + "since " + list->since;
}

} // namespace

static void test_members(void**) {
    const CommandMembers members(R"({"id":7,"\u0061":"x","b":1,"a":"y","c":{"a":"z"}})");
    assert_true(members.is_object());
    assert_text(members.value("a"), R"("y")"); // of one name the last
    assert_text(members.text("a").value_or("-"), "y");
    assert_text(members.text("b").value_or("-"), "-");
    assert_text(members.value("d"), "");
    assert_text(members.text("d").value_or("-"), "-");
    assert_int_equal(members.others("a").size(), 3);
    assert_text(code_of(members.check_known({"id", "a", "b", "c"})), "");
    assert_text(code_of(members.check_known({"id", "a", "b"})), "bad_option");
    assert_false(CommandMembers("[1]").is_object());
    assert_text(CommandMembers("[1]").value(""), "1"); // nameless, as all of a list
}

static void test_names(void**) {
    for (const Row& row : {Row{"a:b", ""}, Row{"", "bad_channel"}, Row{"a,b", "bad_channel"},
                           Row{"a*", "bad_channel"}, Row{"$user:a", "bad_channel"}})
        assert_row(row.text, code_of(check_name(row.text)) == row.result);
    for (const Row& row :
         {Row{"a:b", ""}, Row{"a:*", ""}, Row{"a:**", ""}, Row{"a*", "bad_channel"},
          Row{"**:a", "bad_channel"}, Row{"$user:*", "bad_channel"}})
        assert_row(row.text, code_of(check_name_or_wildcard(row.text)) == row.result);
}

static void test_lists(void**) {
    for (const Row& row :
         {Row{R"(["a","b"])", "a b "}, Row{R"(["a","b","c","d"])", "bad_channel"},
          Row{R"(["a","\u0061"])", "bad_channel"}, Row{R"(["a",1])", "bad_channel"},
          Row{R"(["a","b*"])", "bad_channel"}, Row{"[]", "bad_channel"},
          Row{R"("a")", "bad_channel"}, Row{R"({"a":"b"})", "bad_channel"}, Row{"", "bad_channel"}})
        assert_row(row.text, read_list(row.text, check_name) == row.result);
    assert_text(read_list(R"(["a:*"])", check_name), "bad_channel");
    assert_text(read_list(R"(["a:*"])", check_name_or_wildcard), "a:* ");
}

static void test_since(void**) {
    for (const Row& row :
         {Row{"", "0 0 0.0"}, Row{R"("latest")", "0 0 0.0"}, Row{R"("earliest")", "1 0 0.0"},
          Row{"0", "1 0 0.0"}, Row{"-5", "2 5 0.0"}, Row{R"("-5")", "2 5 0.0"},
          Row{R"("z.7")", "3 0 z.7"}, Row{"5", "bad_position"}, Row{"null", "bad_position"},
          Row{R"("z.")", "bad_position"}, Row{"[0]", "bad_position"}})
        assert_row(row.text, since_of(row.text) == row.result);
}

static void test_tokens(void**) {
    for (const Row& row :
         {Row{R"({"id":1,"refresh":{"token":"t"}})", "t"},
          Row{R"({"subscribe":{"channel":"a","token":"t"}})", "t"},
          Row{R"({"subscribe":{"channel":"a"}})", "-"}, Row{R"({"subscribe":{"token":5}})", "-"},
          Row{R"({"subscribe":"t"})", "-"}, Row{R"({"publish":{"token":"t"}})", "-"},
          Row{R"(["refresh"])", "-"}, Row{"", "-"}, Row{"{", "-"}})
        assert_row(row.text, command_token(row.text).value_or("-") == row.result);
}

static void test_ids(void**) {
    for (const Row& row :
         {Row{R"({"id":7})", "7"}, Row{R"({"id":-1.5e3})", "-1.5e3"}, Row{R"({"id":"7"})", "null"},
          Row{R"({"id":null})", "null"}, Row{R"({"ping":{}})", "null"},
          Row{R"({"id":12345678901234567890123456789012})", "12345678901234567890123456789012"},
          Row{R"({"id":123456789012345678901234567890123})", "null"}})
        assert_row(row.text, command_id(row.text) == row.result);
}

static void test_replies(void**) {
    assert_text(ok_json("7", "{}"), R"({"reply":7,"ok":{}})");
    assert_text(error_json("null", http::problem("bad_option", "no \"x\"")),
                R"({"reply":null,"error":{"code":"bad_option","detail":"no \"x\""}})");
    using Status = Start::Status;
    for (const auto& [status, code] : {std::pair{Status::NoSection, "channel_unknown"},
                                       {Status::ChannelsFull, "overloaded"},
                                       {Status::WildcardsFull, "overloaded"},
                                       {Status::SubscribersFull, "overloaded"},
                                       {Status::Down, "broker_down"}})
        assert_text(start_problem(status).code, code);
}

static void test_long_lists(void**) {
    for (const Row& row :
         {Row{R"({"channels":["a","b"],"since":"earliest"})", "a b since earliest"},
          Row{R"({"since":-3,"channels":["a"]})", "a since -3"},
          Row{R"({"channels":["a"]})", "a since "}, Row{R"({"id":1,"ping":{}})", "a command"},
          Row{"{}", "a command"}, Row{R"({"channels":["a","b","c"]})", "bad_channel"},
          Row{R"({"channels":"a"})", "bad_channel"}, Row{R"(["a"])", "bad_request"},
          Row{"", "bad_request"}, Row{R"({"channels":["a"])", "bad_request"}})
        assert_row(row.text, long_list_of(row.text) == row.result);
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_members), cmocka_unit_test(test_names),
        cmocka_unit_test(test_lists),   cmocka_unit_test(test_since),
        cmocka_unit_test(test_tokens),  cmocka_unit_test(test_ids),
        cmocka_unit_test(test_replies), cmocka_unit_test(test_long_lists),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
