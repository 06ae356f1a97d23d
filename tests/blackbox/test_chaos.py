# SPDX-License-Identifier: Apache-2.0
"""Many subscribers on every transport, half of them cut at random and resuming: each has every
message once, in order, or was told the gap. FANHORN_SOAK=1 makes it 1,000 on each transport and
20,000 messages."""

import os
import random
import unittest

from harness import Daemon, PATIENCE, config
from swarm import TRANSPORTS, Oracle, Publisher, Swarm

SOAK = bool(os.environ.get("FANHORN_SOAK"))
EACH, MESSAGES, PAUSE = (1000, 20_000, 0.05) if SOAK else (60, 2500, 0.002)
# Seconds; some stay away for longer than the history reaches.
HISTORY, AWAY = 10, (0, 0.01, 0.3, 0.3, 10) if SOAK else (0, 0.01, 0.3)
SEED = int(os.environ.get("FANHORN_SEED") or (random.randrange(1 << 30) if SOAK else 77))
CHANNELS = [f"room:{number}" for number in range(50)]


class Chaos(unittest.TestCase):
    def test_everybody_has_everything_or_was_told(self):
        print(f"seed {SEED}: {EACH} subscribers on each of {len(TRANSPORTS)} transports, {MESSAGES} messages")
        with Daemon(config(server="workers = 4", defaults=f"history = {HISTORY}")) as daemon:
            swarm = Swarm(daemon.public, SEED, keeps_text=False, pauses=AWAY)
            try:
                self.play(daemon, swarm)
            finally:
                swarm.close()

    def play(self, daemon, swarm):
        for number in range(EACH):
            for transport in TRANSPORTS:
                swarm.add(transport, (CHANNELS[number % len(CHANNELS)],))
            swarm.step(0)
        settled = lambda: all(member.start is not None for member in swarm.members)
        self.assertTrue(swarm.run(settled, 120 * PATIENCE), "not everybody got a position")
        cuttable = swarm.chance.sample(swarm.members, len(swarm.members) // 2)
        publishers = [Publisher(daemon.private, f"p{number}", CHANNELS, MESSAGES // 2, f"{SEED}/{number}", PAUSE)
                      for number in range(2)]
        for publisher in publishers:
            publisher.start()
        self.disturb(swarm, publishers, cuttable)
        oracle = Oracle(publishers)
        self.assertGreaterEqual(oracle.count, MESSAGES)
        complete = lambda: (all(oracle.is_complete(member) for member in swarm.members)
                            and all(member.connections > 1 for member in cuttable))
        self.assertTrue(swarm.run(complete, 120 * PATIENCE), "some never had the last message")
        self.verdict(swarm, oracle, cuttable)

    def disturb(self, swarm, publishers, cuttable):
        """Cuts while there is publishing, and until each of the half was cut once."""
        uncut = list(cuttable)

        def cut():
            for _ in range(max(1, len(cuttable) // 100)):
                swarm.cut(uncut.pop() if uncut else swarm.chance.choice(cuttable))

        over = lambda: not uncut and not any(publisher.is_alive() for publisher in publishers)
        self.assertTrue(swarm.run(over, (1800 if SOAK else 90) * PATIENCE, cut), "publishing hangs")

    def verdict(self, swarm, oracle, cuttable):
        for member in swarm.members:
            oracle.check(member)
        uncut = set(swarm.members) - set(cuttable)
        self.assertTrue(all(member.connections == 1 for member in uncut))
        self.assertTrue(all(member.connections > 1 for member in cuttable))
        self.assertGreater(swarm.gaps, 0)
        total = sum(len(received) for member in swarm.members for received in member.received.values())
        print(f"{oracle.count} published, {total} received, {swarm.cuts} cuts, {swarm.gaps} gaps told")


if __name__ == "__main__":
    unittest.main()
