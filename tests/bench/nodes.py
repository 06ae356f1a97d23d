#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One node with its own memory, one and two nodes with a Redis, by turns: how long a message takes, how many are published
and delivered in a second, and what CPU time that costs the nodes and the server together.

    tests/bench/nodes.py [--rounds 3]"""

import argparse
import json
import statistics
import subprocess
import time
import urllib.error
import urllib.request

from measure import FANHORNCTL
from program import PATIENCE, Failed, Unavailable, first_line
from programs import Fanhorn

# Of fanhornctl bench. With two nodes all is published at the one, and all subscribers are at the other.
WORK = {
    "one subscriber, 50 messages/s": ("--messages", 500, "--rate", 50, "--subscribers", 1),
    "1,000 subscribers, 50 messages/s": ("--messages", 500, "--rate", 50, "--subscribers", 1000),
    "100 subscribers, as it goes": ("--messages", 20_000, "--subscribers", 100, "--publishers", 4, "--pipeline", 16),
    "1,000 channels, as it goes, NDJSON": ("--messages", 100_000, "--subscribers", 1000, "--channels", 1000, "--window", 64,
                                           "--publish-format", "ndjson"),
}


class Nodes(Fanhorn):
    count, has_redis = 1, False

    @property
    def ports(self):
        return 2 * self.count

    def start(self):
        broker = ""
        if self.has_redis:
            socket = self.dir / "redis"
            self.launch("redis-server", "--port", 0, "--unixsocket", socket, "--save", "", cpu=None)
            broker = f"broker = shared\n[broker shared]\ntype = redis\nurl = unix:{socket}\n"
        for number in range(self.count):
            file = self.dir / f"node{number}.conf"
            file.write_text("[server]\nworkers = 1\n[listener public]\naddress = 127.0.0.1:{}\nserve = subscribe\n"
                            "[listener private]\naddress = 127.0.0.1:{}\nserve = publish, control\n[channel **]\n{}".format(
                                *self.port[2 * number:2 * number + 2], broker))
            self.launch(self.binary, "-c", file, cpu=None)

    def subscribe_url(self, transport):  # of the last node; published is at the first
        return f"http://127.0.0.1:{self.port[-2]}/sub/{{channel}}"

    def publish_url(self, publish_format):
        url = f"http://127.0.0.1:{self.port[1]}/pub"
        return url if publish_format == "ndjson" else url + "/{channel}"

    def pids(self):
        return [process.pid for process in self.processes]

    def wait_up(self):
        deadline = time.monotonic() + PATIENCE
        for port in self.port[1::2]:
            while True:
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/pub/warm", b"x", timeout=5).close()
                    break
                except urllib.error.URLError as error:
                    if time.monotonic() > deadline:
                        raise Failed(f"{error}\n{self.log()}") from error
                    time.sleep(0.02)


class Memory(Nodes):
    name = "memory"


class OneNode(Nodes):
    name, has_redis = "redis, 1 node", True


class TwoNodes(Nodes):
    name, has_redis, count = "redis, 2 nodes", True, 2


def measure(kind, work):
    publish_format = work[work.index("--publish-format") + 1] if "--publish-format" in work else "raw"
    with kind() as program:
        program.wait_up()
        done = subprocess.run(
            [FANHORNCTL, "bench", "--subscribe-url", program.subscribe_url("websocket"), "--publish-url",
             program.publish_url(publish_format), *map(str, work), "--pid", ",".join(map(str, program.pids())), "--json"],
            capture_output=True, text=True)
        try:
            result = json.loads(done.stdout)
        except ValueError:
            raise SystemExit(f"{kind.name}: {done.stdout}{done.stderr}") from None
    if result["lost"] or result["doubled"] or result["disordered"]:
        raise SystemExit(f"{kind.name}: {result}")
    return {"p50 us": result["latency_us"]["p50"], "p99 us": result["latency_us"]["p99"],
            "published/s": result["publishes_per_second"], "delivered/s": result["deliveries_per_second"],
            "CPU us/publish": result["server"]["cpu_us_per_publish"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    try:
        print(first_line("redis-server", "--version"))
    except Unavailable as reason:
        raise SystemExit(f"no redis-server: {reason}") from None
    for title, work in WORK.items():
        found = {}
        for number in range(asked.rounds):
            for kind in (Memory, OneNode, TwoNodes)[::-1 if number % 2 else 1]:
                found.setdefault(kind.name, []).append(measure(kind, work))
        print(title)
        for name, results in found.items():
            figures = ((key, statistics.median(each[key] for each in results)) for key in results[0])
            print(f"  {name:15}" + ", ".join(f"{key} {value:,.0f}" for key, value in figures))


if __name__ == "__main__":
    main()
