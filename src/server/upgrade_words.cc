// SPDX-License-Identifier: Apache-2.0
#include "server/upgrade_words.h"

namespace fanhorn {

std::string_view upgrade_end_name(UpgradeEnd end) {
    static constexpr std::string_view kNames[] = {"done", "failed", "refused"};
    return kNames[static_cast<size_t>(end)];
}

std::string pack_state(const HandedState& state) {
    size_t size = state.hooks.size() + 64;
    for (const auto& each : state.brokers)
        size += each.name.size() + each.state.size() + 16;
    for (const auto& each : state.records)
        size += each.record.size() + 8;
    std::string bytes;
    bytes.reserve(size);
    PackedWriter to(bytes);
    to.number(static_cast<uint64_t>(state.frozen_at_micros));
    to.number(static_cast<uint64_t>(state.absent_until));
    for (const uint64_t count : state.upgrades)
        to.number(count);
    to.number(state.totals.size());
    for (const uint64_t total : state.totals)
        to.number(total);
    to.text(state.hooks).number(state.brokers.size());
    for (const auto& [name, packed] : state.brokers)
        to.text(name).text(packed);
    to.number(state.records.size());
    for (const auto& [worker, record] : state.records)
        to.number(worker).text(record);
    return bytes;
}

std::optional<HandedState> unpack_state(std::string_view bytes) {
    PackedReader from(bytes);
    HandedState state;
    state.frozen_at_micros = static_cast<int64_t>(from.number());
    state.absent_until = static_cast<int64_t>(from.number());
    for (uint64_t& count : state.upgrades)
        count = from.number();
    for (uint64_t count = from.number(); count > 0 && from.is_whole(); --count)
        state.totals.push_back(from.number());
    state.hooks = from.view();
    for (uint64_t count = from.number(); count > 0 && from.is_whole(); --count) {
        const std::string_view name = from.view();
        state.brokers.push_back({name, from.view()});
    }
    for (uint64_t count = from.number(); count > 0 && from.is_whole(); --count) {
        const uint64_t worker = from.number();
        state.records.push_back({worker, from.view()});
    }
    if (!from.is_whole() || !from.is_end())
        return std::nullopt;
    return state;
}

} // namespace fanhorn
