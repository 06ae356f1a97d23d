// SPDX-License-Identifier: Apache-2.0
// What comes from the process before, in a live upgrade: its state, and each connection's record,
// are refused, or written as what is read again.
#include "server/handed_record.h"
#include "server/upgrade_words.h"

#include <cstdlib>

using namespace fanhorn;

namespace {

void require(bool is_true) {
    if (!is_true)
        std::abort();
}

bool is_within(std::string_view part, std::string_view whole) {
    return part.empty() || (part.data() >= whole.data() &&
                            part.data() + part.size() <= whole.data() + whole.size());
}

void read_state(std::string_view bytes) {
    const auto state = unpack_state(bytes);
    if (!state)
        return;
    require(is_within(state->hooks, bytes));
    for (const auto& each : state->brokers)
        require(is_within(each.name, bytes) && is_within(each.state, bytes));
    for (const auto& each : state->records)
        require(is_within(each.record, bytes));
    const std::string written = pack_state(*state);
    const auto again = unpack_state(written);
    require(again && pack_state(*again) == written);
    require(again->records.size() == state->records.size());
}

void read_record(std::string_view bytes) {
    const auto handed = unpack_handed(bytes);
    if (!handed)
        return;
    const std::string written = pack_handed(*handed);
    const auto again = unpack_handed(written);
    require(again && pack_handed(*again) == written);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    read_state(bytes);
    read_record(bytes);
    return 0;
}
