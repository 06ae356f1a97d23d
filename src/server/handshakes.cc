// SPDX-License-Identifier: Apache-2.0
#include "server/handshakes.h"

#include "server/socket_connection.h"

namespace fanhorn {

void Handshakes::enter(Secured& secured) {
    if (secured.waiting.is_linked())
        return;
    queue_.push_back(secured);
    counters_.handshakes_waiting.add(1);
}

void Handshakes::leave(Secured& secured) {
    if (!secured.waiting.is_linked())
        return;
    secured.waiting.unlink();
    counters_.handshakes_waiting.subtract(1);
}

Secured* Handshakes::next() {
    Secured* first = queue_.front();
    leave(*first);
    return first;
}

void Handshakes::go_on(Secured& secured) {
    secured.connection.shake_hands();
}

} // namespace fanhorn
