// SPDX-License-Identifier: Apache-2.0
// A connection on its way to the process that takes this one's place: as the request that would
// bring it here, plus what of it has been sent.
#pragma once

#include "net/socket.h"

#include <optional>
#include <string>
#include <string_view>

namespace fanhorn {

class Connection;
class Worker;

// What one connection is, for another process to go on with. None: it stays behind and is drained.
// On its worker, which holds still; changes nothing.
std::optional<std::string> pack(const Connection& connection);
// Takes up such a connection; on the worker's thread, before its turns begin: it registers
// everything but neither reads nor writes a byte and says nothing to anybody. False: not
// understood.
bool adopt(Worker& worker, Descriptor socket, std::string_view record);
// Those that were adopted are watched from now on, send what is to be sent, and read.
void go_on(Worker& worker);
// Another process has it: it is forgotten without a word, its socket closed and not shut down.
void release(Connection& connection);

} // namespace fanhorn
