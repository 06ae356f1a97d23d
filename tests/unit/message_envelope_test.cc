// SPDX-License-Identifier: Apache-2.0
// The envelopes of relay objects; envelope_test.cc has the JSON itself.
#include "modules/message_envelope.h"

#include "tests/unit/test.h"

using namespace fanhorn;

namespace {

MessageRef message(const char* type, std::string payload, bool stored = true) {
    Draft draft;
    draft.channel = "chat:room1";
    draft.content_type = type;
    draft.payload = std::move(payload);
    draft.event = "msg";
    draft.store = stored;
    return MessageRef(new Message(std::move(draft), {36, 41}, stored ? 7 : 0, 0));
}

std::string envelope(const MessageRef& message) {
    std::string out;
    append_message(out, *message);
    return out;
}

} // namespace

static void test_messages(void**) {
    const std::string head = R"({"channel":"chat:room1","id":"10.41","n":7,"event":"msg",)";
    const struct {
        const char* name;
        const char* type;
        std::string payload, rest;
    } kRows[] = {
        {"json", "application/json", R"({"a":1})", R"("data":{"a":1}})"},
        {"object without type", "", R"([1, 2])", R"("data":[1, 2]})"},
        {"text", "text/plain", "hi \"x\"\r\n", R"("data":"hi \"x\"\r\n"})"},
        {"bytes", "", "\xff\xfe", R"("base64":"//4="})"},
        {"nothing", "", "", R"("data":""})"},
    };
    for (const auto& row : kRows)
        assert_row(row.name, envelope(message(row.type, row.payload)) == head + row.rest);
    assert_text(envelope(message("", "x", false)),
                R"({"channel":"chat:room1","id":"10.41","event":"msg","data":"x"})");
    std::string out;
    append_retained(out, *message("", "x"));
    assert_text(out, head + R"("data":"x","retained":true})");
}

static void test_the_kind_is_found_once(void**) {
    const MessageRef json = message("application/json", "{}");
    assert_true(data_kind(*json) == DataKind::Json);
    int asked = 0;
    json->kind([&](const Message&) {
        ++asked;
        return uint8_t{9};
    });
    assert_int_equal(asked, 0);
    assert_true(data_kind(*json) == DataKind::Json);
    assert_true(data_kind(*message("application/json", "{")) == DataKind::Text);
    assert_true(data_kind(*message("text/plain", "\x80")) == DataKind::Base64);
}

static void test_gaps(void**) {
    const struct {
        Gap::Why why;
        const char* text;
    } kRows[] = {{Gap::Why::Trimmed, "trimmed"},
                 {Gap::Why::Epoch, "epoch"},
                 {Gap::Why::Ahead, "ahead"},
                 {Gap::Why::Overflow, "overflow"},
                 {Gap::Why::Broker, "broker"}};
    for (const auto& row : kRows) {
        const std::string members =
            std::string(R"("after":"10.40","next":"10.90","why":")") + row.text + "\"}";
        const Gap gap{"a", {36, 40}, {36, 90}, row.why};
        std::string out;
        append_gap(out, gap);
        assert_text(out, R"({"channel":"a","gap":{)" + members + "}");
        out.clear();
        append_gap_object(out, gap);
        assert_text(out, R"({"channel":"a",)" + members);
    }
    std::string out;
    append_gap_object(out, Gap{"a", {36, 40}, {}, Gap::Why::Trimmed});
    assert_text(out, R"({"channel":"a","after":"10.40","next":null,"why":"trimmed"})");
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_the_kind_is_found_once),
        cmocka_unit_test(test_gaps),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
