// SPDX-License-Identifier: Apache-2.0
// The envelopes of relay objects, for all transports.
#pragma once

#include "modules/envelope.h"
#include "relay/message.h"

#include <string>

namespace fanhorn {

// How the payload appears in an envelope; found once a message.
DataKind data_kind(const Message& message);

void append_message(std::string& out, const Message& message);
void append_retained(std::string& out, const Message& message);
// As a patch of the state before; false, with `out` as it was, where that is not smaller.
bool append_patch(std::string& out, const Message& message, const Message& base);
// {"channel","gap":{…}}, and the bare object.
void append_gap(std::string& out, const Gap& gap);
void append_gap_object(std::string& out, const Gap& gap);

} // namespace fanhorn
