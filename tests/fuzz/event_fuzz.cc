// SPDX-License-Identifier: Apache-2.0
// An upstream's event stream: however it is cut, and whatever ends its lines, the events are the
// same; each becomes one line that is JSON. The first byte says how it is cut.
#include "base/json.h"
#include "ctl/event_reader.h"
#include "ctl/route.h"
#include "http/grammar.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>

using namespace fanhorn;
using namespace fanhorn::ctl;

static void require(bool is_true) {
    if (!is_true)
        std::abort();
}

static std::vector<Event> read_in_pieces(EventReader& reader, std::string_view bytes,
                                         size_t piece) {
    std::vector<Event> events;
    for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size())))
        require(reader.feed(bytes.substr(0, piece), events));
    return events;
}

// The same with LF for every line end.
static std::string with_plain_ends(std::string_view bytes) {
    std::string out;
    for (size_t at = 0; at < bytes.size(); ++at)
        if (bytes[at] != '\r')
            out += bytes[at];
        else if (at + 1 == bytes.size() || bytes[at + 1] != '\n')
            out += '\n';
    return out;
}

static void expect_equal(const std::vector<Event>& left, const std::vector<Event>& right) {
    require(std::equal(left.begin(), left.end(), right.begin(), right.end(),
                       [](const Event& one, const Event& other) {
                           return one.type == other.type && one.data == other.data;
                       }));
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0)
        return 0;
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    EventReader whole, cut, plain;
    const auto events = read_in_pieces(whole, bytes, bytes.size() + 1);
    expect_equal(events, read_in_pieces(cut, bytes, data[0] % 8 + 1));
    require(whole.last_id() == cut.last_id() && whole.retry_ms() == cut.retry_ms());
    const std::string plain_bytes = with_plain_ends(bytes);
    expect_equal(events, read_in_pieces(plain, plain_bytes, plain_bytes.size() + 1));
    require(whole.last_id() == plain.last_id());
    require(http::is_field_value(whole.last_id()));
    require(whole.retry_ms() <= EventReader::kMaxRetryMs);

    const Route route{ChannelTemplate::parse("c:{k}").value(), {}, false, {}, {}};
    for (const Event& event : events) {
        require(event.type.find_first_of("\r\n") == event.type.npos);
        require(event.data.find('\r') == event.data.npos);
        const Routed routed = route.line(event);
        if (routed.kind == Routed::Kind::Unfit)
            continue;
        require(routed.text.find('\n') == routed.text.size() - 1);
        require(read_json(routed.text, 64) == JsonKind::Object);
    }
    return 0;
}
