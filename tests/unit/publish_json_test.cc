// SPDX-License-Identifier: Apache-2.0
#include "server/publisher.h"

#include "tests/unit/test.h"

using namespace fanhorn;
using namespace std::string_literals;

static std::string message(const std::string& members) {
    return "{\"channel\":\"c\"," + members + "}";
}

static std::string code_of(const Attempt& attempt) {
    return attempt.problem ? std::string(attempt.problem->code) : "";
}

// What `data` is, is what the publisher wrote.
static void test_data_byte_for_byte(void**) {
    for (const std::string& data :
         {"1.0"s, "1e400"s, "-0"s, "1E+02"s, "12345678901234567890123"s, "0.10"s, "null"s,
          "\"\\u00e9\""s, "\"\xc3\xa9 \\/\""s, "\"\\ud83d\\ude00\""s, "{}"s, "[ ]"s,
          "{ \"b\" : 1,\t\"a\":[1, {\"b\":2}],\"b\":3 }"s, "[\r\n  1,\n  2\n]"s}) {
        const Attempt attempt = read_message(message(" \"data\" :\t" + data + " "));
        assert_row(data, !attempt.problem);
        assert_text(attempt.draft.payload, data);
        assert_text(attempt.draft.content_type, "application/json");

        Attempts batch;
        assert_true(!read_batch("{\"messages\":[" + message("\"data\":" + data) + "]}", batch));
        assert_int_equal(batch.size(), 1);
        assert_text(batch[0].draft.payload, data);
    }
}

static void test_members(void**) {
    const Attempt attempt = read_message(
        "{\"event\":\"e\",\"ch\\u0061nnel\":\"r\\u00e4ume\",\"text\":\"a\\nb\",\"ttl\":\"10s\","
        "\"tags\":{\"k\":\"v\",\"l\":\"w\",\"k\":\"x\"},\"store\":0,\"retain\":true,"
        "\"exclude\":\"00112233445566778899aabbccddeeff\",\"idempotency_key\":\"once\"}");
    assert_true(!attempt.problem);
    assert_text(attempt.channel, "r\xc3\xa4ume");
    assert_text(attempt.draft.payload, "a\nb");
    assert_text(attempt.draft.content_type, "text/plain");
    assert_text(attempt.draft.event, "e");
    assert_text(attempt.draft.tags, "k=x,l=w");
    assert_text(attempt.draft.idempotency_key, "once");
    assert_int_equal(attempt.draft.ttl, 10'000);
    assert_int_equal(attempt.draft.exclude[15], 0xff);
    assert_false(attempt.draft.store);
    assert_true(attempt.draft.retain);

    const Attempt binary = read_message(message("\"base64\":\"AP8=\""));
    assert_true(binary.draft.payload == "\0\xff"s);
    assert_text(binary.draft.content_type, "application/octet-stream");
    assert_int_equal(read_message(message("\"data\":1,\"ttl\":5")).draft.ttl, 5'000);
    assert_text(read_message(message("\"data\":1,\"tags\":\"a=b\"")).draft.tags, "a=b");
    assert_text(code_of(read_message("\xef\xbb\xbf" + message("\"data\":1"))), "");
    for (const char* yes : {"1", "true", "1.0", "1e0"})
        assert_row(yes, read_message(message("\"data\":1,\"store\":"s + yes)).draft.store);
    for (const char* no : {"0", "false", "-0", "0.0"})
        assert_row(no, !read_message(message("\"data\":1,\"store\":"s + no)).draft.store);
}

// Of members with one name the last counts, in the first one's place.
static void test_repeated_members(void**) {
    const Attempt attempt =
        read_message("{\"channel\":1,\"data\":1,\"event\":7,\"data\":{\"last\":2},\"event\":\"e\","
                     "\"channel\":\"c\"}");
    assert_true(!attempt.problem);
    assert_text(attempt.channel, "c");
    assert_text(attempt.draft.payload, "{\"last\":2}");
    assert_text(attempt.draft.event, "e");
    assert_text(code_of(read_message(message("\"data\":1,\"channel\":2"))), "bad_channel");

    Attempts batch;
    assert_true(!read_batch("{\"messages\":1,\"more\":2,\"messages\":[]}", batch));
    assert_true(batch.empty());
}

static void test_refused(void**) {
    struct Row {
        std::string line;
        const char* code;
    };
    const std::string deep63 = std::string(63, '[') + std::string(63, ']');
    assert_text(code_of(read_message(message("\"data\":" + deep63))), "");
    for (const Row& row : {
             Row{"", "bad_request"},
             {"nonsense", "bad_request"},
             {"[]", "bad_request"},
             {"\"a\"", "bad_request"},
             {message("\"data\":[" + deep63 + "]"), "bad_request"},
             {message("\"data\":NaN"), "bad_request"},
             {message("\"data\":01"), "bad_request"},
             {message("\"data\":\"\xff\""), "bad_request"},
             {message("\"data\":\"\\ud800\""), "bad_request"},
             {message("\"data\":1") + "x", "bad_request"},
             {message("\"data\":1") + "\0"s, "bad_request"},
             {message("\"data\":1,"), "bad_request"},
             {message("\"event\":\"e\""), "bad_request"},
             {message("\"data\":1,\"text\":\"x\""), "bad_request"},
             {message("\"text\":1"), "bad_request"},
             {message("\"base64\":\"*\""), "bad_request"},
             {message("\"base64\":1"), "bad_request"},
             {"{\"data\":1}", "bad_channel"},
             {"{\"channel\":\"\",\"data\":1}", "bad_channel"},
             {"{\"channel\":\"a,b\",\"data\":1}", "bad_channel"},
             {"{\"channel\":\"$x\",\"data\":1}", "bad_channel"},
             {"{\"channel\":[\"c\"],\"data\":1}", "bad_channel"},
             {message("\"data\":1,\"colour\":1"), "bad_option"},
             {message("\"data\":1,\"\":1"), "bad_option"},
             {message("\"data\":1,\"event\":1"), "bad_option"},
             {message("\"data\":1,\"event\":\"gap\""), "bad_option"},
             {message("\"data\":1,\"ttl\":-1"), "bad_option"},
             {message("\"data\":1,\"ttl\":1.5"), "bad_option"},
             {message("\"data\":1,\"ttl\":null"), "bad_option"},
             {message("\"data\":1,\"store\":2"), "bad_option"},
             {message("\"data\":1,\"store\":\"0\""), "bad_option"},
             {message("\"data\":1,\"store\":1e400"), "bad_option"},
             {message("\"data\":1,\"retain\":1"), "bad_option"},
             {message("\"data\":1,\"tags\":[]"), "bad_option"},
             {message("\"data\":1,\"tags\":{\"a\":1}"), "bad_option"},
             {message("\"data\":1,\"tags\":{\"a\":\"b,c\"}"), "bad_option"},
             {message("\"data\":1,\"tags\":{\"\":\"b\"}"), "bad_option"},
             {message("\"data\":1,\"idempotency_key\":\"\""), "bad_option"},
             {message("\"data\":1,\"idempotency_key\":\"" + std::string(256, 'k') + "\""),
              "bad_option"},
         })
        assert_row(row.line, code_of(read_message(row.line)) == row.code);
}

// More tags than may be are refused, however many of them there are.
static void test_many_tags(void**) {
    std::string tags;
    for (int i = 0; i < 20'000; ++i)
        tags.append(i ? "," : "").append("\"t" + std::to_string(i) + "\":\"v\"");
    assert_text(code_of(read_message(message("\"data\":1,\"tags\":{" + tags + "}"))), "bad_option");
}

static void test_batch(void**) {
    Attempts attempts;
    assert_true(!read_batch(" {\"messages\" : [ " + message("\"data\":1") + " , 5,\n" +
                                message("\"text\":\"x\"") + "] } ",
                            attempts));
    assert_int_equal(attempts.size(), 3);
    assert_text(attempts[0].draft.payload, "1");
    assert_text(code_of(attempts[1]), "bad_request");
    assert_text(attempts[2].draft.payload, "x");

    for (const char* text : {"", "[]", "{}", "5", "{\"messages\":{}}", "{\"messages\":null}",
                             "{\"messages\":[]", "{\"messages\":[]}x", "{\"messages\":[1,]}"}) {
        Attempts none;
        const auto problem = read_batch(text, none);
        assert_row(text, problem && problem->code == "bad_request" && none.empty());
    }
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_data_byte_for_byte), cmocka_unit_test(test_members),
        cmocka_unit_test(test_repeated_members),   cmocka_unit_test(test_refused),
        cmocka_unit_test(test_many_tags),          cmocka_unit_test(test_batch),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
