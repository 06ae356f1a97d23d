# SPDX-License-Identifier: Apache-2.0
"""One order under many workers: ids strictly rise, no hole, no double, for whoever is there from
the start, joins in the middle, resumes, or asks for several channels."""

import os
import random
import unittest

from harness import Daemon, PATIENCE, config
from swarm import TRANSPORTS, Oracle, Publisher, Swarm

SOAK = bool(os.environ.get("FANHORN_SOAK"))
MEMBERS, JOINERS, MESSAGES, ROUNDS = (30, 60, 8_000, 3) if SOAK else (12, 20, 2000, 1)
# Soaks differ from run to run; a failure prints the seed that FANHORN_SEED repeats.
SEED = int(os.environ.get("FANHORN_SEED") or (random.randrange(1 << 30) if SOAK else 20_261))


class Order(unittest.TestCase):
    CHANNELS = [f"c{number}" for number in range(12)]

    def run_round(self, seed, workers, history, publishers=4):
        text = config(server=f"workers = {workers}", defaults=f"history = {history}\nhistory_bytes = 8m\n"
                      "slow_consumer_limit = 8m")
        with Daemon(text) as daemon:
            swarm = Swarm(daemon.public, seed)
            try:
                self.play(daemon, swarm, seed, publishers)
            finally:
                swarm.close()
            return swarm

    def play(self, daemon, swarm, seed, publishers):
        for transport in TRANSPORTS:
            for _ in range(MEMBERS):
                swarm.add(transport, self.some_channels(swarm))
        self.assertTrue(swarm.run(lambda: all(m.start is not None for m in swarm.members), 30 * PATIENCE))
        count = MESSAGES // publishers
        threads = [Publisher(daemon.private, f"p{number}", self.CHANNELS, count, f"{seed}/{number}", 0.002)
                   for number in range(publishers)]
        for thread in threads:
            thread.start()
        joiners = [transport for transport in TRANSPORTS for _ in range(JOINERS // 4)]
        swarm.chance.shuffle(joiners)

        def disturb():
            if joiners:
                self.join(swarm, joiners.pop(), threads)
            for _ in range(len(swarm.members) // 12):
                swarm.cut(swarm.chance.choice(swarm.members))

        limit = (600 if SOAK else 60) * PATIENCE
        self.assertTrue(swarm.run(lambda: not any(t.is_alive() for t in threads), limit, disturb), "publishing hangs")
        while joiners:
            self.join(swarm, joiners.pop(), threads)
        oracle = Oracle(threads)
        behind = lambda: [m for m in swarm.members if not oracle.is_complete(m)]
        self.assertTrue(swarm.run(lambda: not behind(), 60 * PATIENCE), f"never arrived: {behind()[:3]}")
        for member in swarm.members:
            oracle.check(member)

    def some_channels(self, swarm):
        return tuple(swarm.chance.sample(self.CHANNELS, swarm.chance.choice((1, 1, 2, 5, 12))))

    def join(self, swarm, transport, publishers):
        """From the start of what is kept, or from an id that some publisher was just answered."""
        logs = [publisher.log for publisher in publishers if publisher.log]
        if logs and swarm.chance.random() < 0.7:
            channel, seq, _ = swarm.chance.choice(logs)[-1]
            epoch = next(m.position for m in swarm.members if m.position).partition(".")[0]
            swarm.add(transport, tuple({channel, *self.some_channels(swarm)}), f"{epoch}.{seq}")
        else:
            swarm.add(transport, self.some_channels(swarm))

    def rounds(self, workers, history):
        """The gaps told in all rounds."""
        gaps = 0
        for number in range(ROUNDS):
            with self.subTest(seed=SEED + number, workers=workers, history=history):
                swarm = self.run_round(SEED + number, workers, history)
                self.assertGreater(swarm.cuts, 10)
                gaps += swarm.gaps
        return gaps

    def test_two_workers(self):
        self.assertEqual(self.rounds(2, 20_000), 0)

    def test_eight_workers(self):
        self.assertEqual(self.rounds(8, 20_000), 0)

    def test_short_history(self):
        self.assertGreater(self.rounds(4, 10), 0)


if __name__ == "__main__":
    unittest.main()
