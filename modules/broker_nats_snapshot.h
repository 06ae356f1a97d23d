// SPDX-License-Identifier: Apache-2.0
// A snapshot that the NATS broker is writing; for its own files.
#pragma once

#include "modules/broker_nats.h"

namespace fanhorn {

// All of it under the broker's mutex_.
struct NatsBroker::Snapshot {
    enum class Stage : uint8_t { Channels, Keys, Markers, Seats, Rest, Ended, Failed };

    uint64_t begin = 0; // its place in the stream
    NatsEntry end;      // but for how many parts there are
    Stage stage = Stage::Channels;
    std::string next_channel;
    uint64_t next_key = 0;
    Seat next_seat; // the last that was copied
    uint64_t parts = 0;
    size_t under_way = 0;
};

} // namespace fanhorn
