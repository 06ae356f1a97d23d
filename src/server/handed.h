// SPDX-License-Identifier: Apache-2.0
// Connections on their way to the process that takes this one's place: each as what a request would
// ask that brings it here, and what of it has been sent (server/handed_record.h). They then go the
// way of all others.
#pragma once

#include "server/connection.h"
#include "server/handed_record.h"

#include <optional>

namespace fanhorn {

class SocketConnection;
class Worker;

// The one place that looks into connections from outside.
class Handover {
  public:
    // What one is, but for when it goes for its age. None: it stays behind and is drained. On its
    // worker, which holds still; changes nothing.
    static std::optional<Handed> pack(const Connection& connection);
    // In the new process, on the worker's thread: it is where it was, not watched yet, and what its
    // client has not got may be sent. Owns `socket`.
    static void place(Worker& worker, int socket, const Handed& handed);
    // From now on it is heard.
    static void watch(Connection& connection);

  private:
    using State = Connection::State;

    static bool pack_http(const Connection& connection, Handed& handed);
    static bool pack_subscriber(const Connection& connection, Handed& handed);
    static bool pack_standing(const Connection& connection, Handed& handed);
    static void pack_poll(const Connection& connection, Handed& handed);

    static void begin(SocketConnection& connection, const Handed& handed);
    static void begin_http(Connection& connection, const Handed& handed);
    static void go_on_with_body(Exchange& exchange, const Handed& handed);
    static bool begin_subscriber(Connection& connection, const Handed& handed);
    static std::optional<Opening> open(const Connection& connection, const Handed& handed,
                                       const Wish& wish);
    static void begin_standing(Connection& connection, const Handed& handed, size_t channels);
    static void begin_poll(Connection& connection, const Handed& handed, Wish&& wish,
                           Opening&& opening);
    static void begin_stream(Connection& connection, const Handed& handed, const Wish& wish,
                             Opening&& opening);
    static void begin_session(Connection& connection, const Handed& handed, const Wish& wish,
                              Opening&& opening);
};

} // namespace fanhorn
