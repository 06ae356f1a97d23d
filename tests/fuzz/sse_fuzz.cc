// SPDX-License-Identifier: Apache-2.0
// Whatever is published, a strict parser gives back exactly one event with that payload, raw or in
// an envelope. The first byte says how long the event's name is, which comes next.
#include "base/utf8.h"
#include "modules/envelope.h"
#include "modules/sse_frame.h"
#include "tests/unit/sse_parser.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>

using namespace fanhorn;

static void require(bool is_true) {
    if (!is_true)
        std::abort();
}

static void expect_back(std::string_view name, std::string_view payload) {
    std::string stream;
    append_retry(stream, 1000);
    append_event(stream, "k.1", name, payload);
    append_id_block(stream, "k.2");
    append_event(stream, "", "", "after");
    const SseParser parser(stream);
    const std::string type = name.empty() ? "message" : std::string(name);
    require(parser.events == std::vector<SseEvent>{{"k.1", type, with_line_feeds(payload)},
                                                   {"k.2", "message", "after"}});
    require(parser.is_whole && !parser.has_unknown_field && parser.retry == "1000");
    require(parser.comments.empty());
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0)
        return 0;
    std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
    std::string name(rest.substr(0, data[0] % 16));
    rest.remove_prefix(name.size());
    std::replace_if(
        name.begin(), name.end(), [](unsigned char byte) { return byte < 0x20 || byte == 0x7f; },
        '_');
    if (has_control(name)) // C1: a publish refuses it
        name.clear();
    expect_back(name, rest);

    const std::string type = data[0] & 16 ? "application/json" : "";
    const DataKind kind = classify(type, rest);
    require((kind == DataKind::Base64) == !is_utf8(rest));
    std::string envelope;
    append_message(envelope, {"c", "k.1", 1, is_utf8(name) ? name : "", kind, rest});
    require(is_utf8(envelope));
    require(envelope.find_first_of("\r\n") == envelope.npos);
    require(classify("application/json", envelope) == DataKind::Json);
    expect_back("", envelope);
    return 0;
}
