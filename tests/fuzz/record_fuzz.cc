// SPDX-License-Identifier: Apache-2.0
// What another writer may have left on a broker's server: a record is a message or nothing, and
// what is a message is written the same way again.
#include "modules/message_record.h"
#include "modules/nats_entry.h"
#include "modules/nats_url.h"
#include "modules/redis_info.h"
#include "modules/redis_reply.h"
#include "modules/redis_url.h"

#include <cstdlib>

using namespace fanhorn;

static void replay(std::string_view bytes) {
    RedisReader reader;
    for (size_t at = 0; at < bytes.size() && reader.feed(bytes.substr(at, 7)); at += 7)
        while (reader.next()) {
        }
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    replay(input);
    unfit_because(parse_info(input));
    moved_to(input);
    (void)parse_nats_url(input);
    if (const auto entry = decode_entry(input); entry && !decode_entry(encode_entry(*entry)))
        std::abort();
    const MessageRef message = decode_record(input, "c", {1, 2}, 3, 0);
    if (!message)
        return 0;
    Draft draft;
    draft.payload = message->payload;
    draft.content_type = message->content_type;
    draft.event = message->event;
    draft.tags = message->tags;
    draft.exclude = message->exclude;
    draft.ttl = message->expires ? message->expires - message->stored_at : 0;
    draft.store = message->stored;
    draft.retain = message->retained;
    draft.binary = message->binary;
    draft.kind = message->tells;
    const std::string again = encode_record(draft, message->stored_at);
    if (encode_record(draft, message->stored_at) != again ||
        !decode_record(again, "c", {1, 2}, 3, 0))
        std::abort();
    return 0;
}
