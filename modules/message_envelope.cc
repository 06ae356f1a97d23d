// SPDX-License-Identifier: Apache-2.0
#include "modules/message_envelope.h"

#include "modules/json_patch.h"

namespace fanhorn {

namespace {

void append(std::string& out, const Message& message, bool is_retained) {
    const std::string id = position_text(message.position);
    append_message(out, MessageEnvelope{.channel = message.channel,
                                        .id = id,
                                        .n = message.n,
                                        .event = message.event,
                                        .kind = data_kind(message),
                                        .payload = message.payload,
                                        .retained = is_retained});
}

struct GapTexts {
    explicit GapTexts(const Gap& gap)
        : after(position_text(gap.after)), next(gap.next.epoch ? position_text(gap.next) : "") {}
    std::string after, next;
};

} // namespace

DataKind data_kind(const Message& message) {
    const uint8_t known = message.kind([](const Message& each) {
        return static_cast<uint8_t>(
            static_cast<uint8_t>(classify(each.content_type, each.payload)) + 1);
    });
    return static_cast<DataKind>(known - 1);
}

void append_message(std::string& out, const Message& message) {
    if (message.tells != MessageKind::Data)
        return append_presence(out, message.channel,
                               message.tells == MessageKind::Join ? "join" : "leave",
                               message.payload);
    append(out, message, false);
}

void append_retained(std::string& out, const Message& message) {
    append(out, message, true);
}

bool append_patch(std::string& out, const Message& message, const Message& base) {
    constexpr size_t kMoreBytes = 40; // that the envelope has of its own
    const size_t whole = message.payload.size();
    std::string patch;
    if (whole <= kMoreBytes || data_kind(message) != DataKind::Json ||
        data_kind(base) != DataKind::Json ||
        !make_patch(patch, base.payload, message.payload, whole - kMoreBytes))
        return false;
    const std::string id = position_text(message.position);
    append_patch(out,
                 MessageEnvelope{.channel = message.channel,
                                 .id = id,
                                 .n = message.n,
                                 .event = message.event,
                                 .payload = patch},
                 position_text(base.position));
    return true;
}

void append_gap(std::string& out, const Gap& gap) {
    const GapTexts texts(gap);
    append_gap(out, GapEnvelope{gap.channel, texts.after, texts.next, gap_reason(gap.why)});
}

void append_gap_object(std::string& out, const Gap& gap) {
    const GapTexts texts(gap);
    append_gap_object(out, GapEnvelope{gap.channel, texts.after, texts.next, gap_reason(gap.why)});
}

} // namespace fanhorn
