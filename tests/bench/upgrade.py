#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Live upgrades under load: subscribers, half of them WebSockets and half Server-Sent Events, are sent messages while
the daemon is upgraded in place several times in a row. Prints how many of them were closed, what they lost or got
twice, and for how long each upgrade held everything still; fails where that is not nothing, or too long.

    tests/bench/upgrade.py [--subscribers 15000] [--upgrades 3]"""

import argparse
import os
import re
import signal
import sys
import time
import urllib.request

from measure import FANHORNCTL, SOURCES, Bench
from program import CLIENT_CPU, Failed, pin
from programs import Fanhorn

MOST_FREEZE = 5  # ms for each 1,000 connections
BETWEEN = 2  # seconds of traffic before, between and behind the upgrades
PATIENCE = 60
FAULTS = ("closed", "failed", "lost", "doubled", "disordered")


class Upgraded(Fanhorn):
    """The process that serves is the last one that has taken over."""

    def events(self, name):
        log = (self.dir / "log").read_text(errors="replace")
        return [dict(re.findall(r"(\w+)=(\S+)", line)) for line in re.findall(rf"event={name} (.*)", log)]

    def metrics(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port[1]}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))

    def connections(self):
        return sum(float(value) for name, value in self.metrics().items() if name.startswith("fanhorn_connections{"))

    def server(self):
        done = self.events("upgraded")
        return int(done[-1]["pid"]) if done else self.processes[0].pid

    def upgrade(self):
        """What the two processes say of it."""
        count, failures = len(self.events("took_over")), len(self.events("upgrade_(?:failed|refused)"))
        os.kill(self.server(), signal.SIGUSR2)
        self.wait(lambda: len(self.events("took_over")) > count and len(self.events("upgraded")) > count
                  or len(self.events("upgrade_(?:failed|refused)")) > failures, "an upgrade")
        if len(self.events("took_over")) == count:
            raise Failed(f"no upgrade: {self.log()}")
        return {**self.events("upgraded")[-1], **self.events("took_over")[-1]}

    def wait(self, probe, what):
        deadline = time.monotonic() + PATIENCE
        while not probe():
            if time.monotonic() > deadline:
                raise Failed(f"{what} did not come within {PATIENCE} s:\n{self.log()}")
            time.sleep(0.02)

    def __exit__(self, *error):
        if self.processes and (last := self.server()) != self.processes[0].pid:
            os.kill(last, signal.SIGTERM)
        super().__exit__(*error)


def load(program, transport, subscribers, messages, rate):
    options = {"subscribe-url": program.subscribe_url(transport), "publish-url": program.publish_url("raw"),
               "transport": transport, "subscribers": subscribers, "messages": messages, "rate": rate,
               "sources": SOURCES, "prefix": f"upgraded-{transport}-"}
    return Bench([str(FANHORNCTL), "bench", "--json", *(str(word) for name, value in options.items()
                                                        for word in (f"--{name}", value))], pin(CLIENT_CPU))


def measure(asked):
    """What each load found, and what was said of each upgrade."""
    with Upgraded({"workers": asked.workers}, is_spread=asked.workers > 1) as program:
        messages = asked.rate * (asked.upgrades + 2) * BETWEEN
        each = asked.subscribers // 2
        loads = [load(program, transport, each, messages, asked.rate) for transport in ("websocket", "sse")]
        program.wait(lambda: program.connections() > 2 * each, "all subscribers")
        upgrades = []
        for _ in range(asked.upgrades):
            time.sleep(BETWEEN)
            upgrades.append(program.upgrade())
        if any(one.has_ended() for one in loads):
            raise Failed("the load ended before the last upgrade")
        return [one.result(PATIENCE + asked.upgrades * BETWEEN) for one in loads], upgrades


def freeze(facts):
    """In all, and of each 1,000 connections."""
    taken = float(facts["freeze_ms"])
    return taken, taken * 1000 / max(1, int(facts["connections"]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subscribers", type=int, default=15_000)
    parser.add_argument("--upgrades", type=int, default=3)
    parser.add_argument("--rate", type=int, default=2, help="messages a second to each half")
    parser.add_argument("--workers", type=int, default=1)
    asked = parser.parse_args()
    try:
        results, upgrades = measure(asked)
    except Failed as why:
        raise SystemExit(str(why)) from None
    is_good = True
    for name, (result, faults) in zip(("WebSocket", "SSE"), results):
        counts = ", ".join(f"{result.get(fault, '?')} {fault}" for fault in FAULTS)
        print(f"{name}: {result.get('connected', '?')} subscribers, {result.get('deliveries', '?')} deliveries, {counts}, "
              f"latency p99 {result.get('latency_us', {}).get('p99', 0) / 1000:.0f} ms")
        for fault in faults:
            print(f"*** {name}: {fault} ***")
        is_good = is_good and bool(result) and not faults
    for number, facts in enumerate(upgrades, 1):
        total, of_each = freeze(facts)
        print(f"upgrade {number}: {facts['connections']} connections handed over, {facts['left']} left behind, "
              f"{total:.0f} ms still, {of_each:.2f} for each 1,000")
        is_good = is_good and facts["left"] == "0" and of_each <= MOST_FREEZE
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
