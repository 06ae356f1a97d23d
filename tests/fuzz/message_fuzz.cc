// SPDX-License-Identifier: Apache-2.0
// Any line is a message or is refused with a reason; `data` is a piece of the line. Whether it is
// JSON at all, another parser must say the same, except about numbers that no double holds.
#include "base/json.h"
#include "base/utf8.h"
#include "relay/pattern.h"
#include "server/publisher.h"

#include <cstdlib>
#include <nlohmann/json.hpp>

using namespace fanhorn;

static void require(bool is_true) {
    if (!is_true)
        std::abort();
}

// Takes everything, and remembers why it ended.
struct Oracle : nlohmann::json_sax<nlohmann::json> {
    bool null() override { return true; }
    bool boolean(bool) override { return true; }
    bool number_integer(number_integer_t) override { return true; }
    bool number_unsigned(number_unsigned_t) override { return true; }
    bool number_float(number_float_t, const string_t&) override { return true; }
    bool string(string_t& text) override {
        strings += text;
        return true;
    }
    bool binary(binary_t&) override { return true; }
    bool start_object(size_t) override { return true; }
    bool key(string_t&) override { return true; }
    bool end_object() override { return true; }
    bool start_array(size_t) override { return true; }
    bool end_array() override { return true; }
    bool parse_error(size_t, const std::string&,
                     const nlohmann::detail::exception& error) override {
        is_too_large = error.id == 406;
        return false;
    }

    std::string strings;
    bool is_too_large = false;
};

static void expect_agreement(std::string_view text) {
    const auto any = read_json(text, SIZE_MAX);
    const auto kind = read_json(text, SIZE_MAX, nullptr, JsonNumbers::Doubles);
    require(any || !kind);
    // It takes a NUL for the end of its input and skips a byte order mark.
    if (text.find('\0') != text.npos || text.starts_with("\xef\xbb\xbf"))
        return require(!kind || text.find('\0') == text.npos);
    Oracle oracle;
    const bool accepted = nlohmann::json::sax_parse(text.begin(), text.end(), &oracle);
    require(accepted == kind.has_value());
    require(any == kind || oracle.is_too_large);
    if (!accepted || kind != JsonKind::String)
        return;
    text.remove_prefix(text.find('"'));
    require(json_text(text.substr(0, text.rfind('"') + 1)) == oracle.strings);
}

static void expect_message(std::string_view line) {
    const Attempt attempt = read_message(line);
    if (attempt.problem)
        return require(attempt.problem->status == 400 && is_utf8(attempt.problem->detail));
    require(is_channel_name(attempt.channel));
    require(is_utf8(attempt.draft.event) && is_utf8(attempt.draft.tags));
    if (attempt.draft.content_type != "application/json")
        return;
    require(line.find(attempt.draft.payload) != line.npos);
    require(read_json(attempt.draft.payload, 64).has_value());
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    expect_agreement(text);
    expect_message(text);
    expect_message("{\"channel\":\"c\",\"data\":" + std::string(text) + "}");
    Attempts attempts;
    if (read_batch(text, attempts))
        require(attempts.empty());
    return 0;
}
