# SPDX-License-Identifier: Apache-2.0
"""Connections that come, subscribe, receive and go, all the time: afterwards the daemon's memory and descriptors are
where they were. FANHORN_SOAK=1 makes it 10,000 of them for ten minutes."""

import os
import random
import threading
import time
import unittest

from harness import PATIENCE, Daemon, config, eventually
from process import SANITIZED, connections, descriptors, resident
from swarm import TRANSPORTS, Swarm
from wire import Wire

SOAK = bool(os.environ.get("FANHORN_SOAK"))
COUNT, SECONDS = (10_000, 600) if SOAK else (400, 8)
CHANNELS = [f"room:{number}" for number in range(COUNT // 20)]
ALLOWED = 4 << 20  # of anonymous memory: what malloc keeps of its own


class Talker(threading.Thread):
    """Publishes to one room after the other until stop()."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.address, self.going, self.count, self.failure = address, True, 0, None

    def run(self):
        chance = random.Random(5)
        try:
            with Wire(self.address) as wire:
                while self.going:
                    body = b"x" * chance.randrange(10, 2000)
                    assert wire.request("POST", "/pub/" + chance.choice(CHANNELS), body=body).status == 200
                    self.count += 1
                    time.sleep(0.005)
        except Exception as error:  # told by the test's thread
            self.failure = error

    def stop(self):
        self.going = False
        self.join(15)
        if self.failure:
            raise self.failure


class Soak(unittest.TestCase):
    def test_nothing_is_left(self):
        with Daemon(config(server="workers = 2\nmax_connections = 20k", defaults="history = 20\nhistory_ttl = 5s")) as daemon:
            self.daemon = daemon
            self.churn(3 if not SOAK else 30)  # what is made once is made
            first = self.facts()
            made, received, seconds = self.churn(SECONDS)
            last = self.facts()
        print(f"{COUNT} connections, {made} in all, {received} messages received in {seconds:.0f} s; "
              f"RssAnon {first[0] >> 10} kB, then {last[0] >> 10} kB; descriptors {first[1]}, then {last[1]}")
        self.assertLessEqual(last[1], first[1])
        if not SANITIZED:
            self.assertLess(last[0], first[0] + ALLOWED)

    def facts(self):
        """Memory and descriptors once everybody has gone, and all that was stored."""
        eventually(lambda: connections(self.daemon) <= 1, "all connections gone", 60 * PATIENCE)
        eventually(lambda: self.daemon.metrics()["fanhorn_channels"] == 0, "no channel", 60 * PATIENCE)
        time.sleep(1)
        pid = self.daemon.process.pid
        return resident(pid), len(descriptors(pid))

    def churn(self, seconds):
        """Everybody connects; a part of them goes and comes each moment. (connections, messages, seconds)"""
        swarm, talker = Swarm(self.daemon.public, 7, keeps_text=False, pauses=(0, 0.1, 1)), Talker(self.daemon.private)
        try:
            for number in range(COUNT):
                swarm.add(TRANSPORTS[number % len(TRANSPORTS)], (CHANNELS[number % len(CHANNELS)],))
                if number % 50 == 0:
                    swarm.step(0)
            settled = lambda: all(member.start is not None for member in swarm.members)
            self.assertTrue(swarm.run(settled, 120 * PATIENCE), "not everybody got a position")
            talker.start()
            began = time.monotonic()
            swarm.run(lambda: time.monotonic() - began > seconds, seconds + 60, lambda: self.leave(swarm))
            talker.stop()
            return (sum(member.connections for member in swarm.members),
                    sum(len(messages) for member in swarm.members for messages in member.received.values()),
                    time.monotonic() - began)
        finally:
            swarm.close()

    @staticmethod
    def leave(swarm):
        for member in swarm.chance.sample(swarm.members, max(1, COUNT // 200)):
            swarm.cut(member)


if __name__ == "__main__":
    unittest.main()
