# SPDX-License-Identifier: Apache-2.0
"""What is measured: a table of work, each row done by several programs in turn."""

from dataclasses import dataclass, field

import capacity


@dataclass(frozen=True)
class Measure:
    title: str
    unit: str
    value: object  # of the results of a scenario's steps, in order; None where there is none
    more_is_better: bool = False

    def label(self):
        return f"{self.title}, {self.unit}" if self.unit else self.title


def one(*path):
    """The number at that path of the last step's result."""
    return lambda results: dig(results[-1], *path)


def dig(result, *path):
    for key in path:
        result = result.get(key) if isinstance(result, dict) else None
    return result


def difference(per, *paths):
    """How much more of it the second step took than the first, a `per`."""
    def value(results):
        parts = [[dig(result, *path) for path in paths] for result in results]
        if None in parts[0] + parts[1]:
            return None
        return max(0, sum(parts[1]) - sum(parts[0])) / per
    return value


def quotient(factor, over, under):
    def value(results):
        above, below = dig(results[-1], *over), dig(results[-1], *under)
        return above / below * factor if above is not None and below else None
    return value


def slab_a_connection(results):
    kernel, connected = results[-1].get("kernel", {}), results[-1].get("connected")
    return connected and (kernel["slab_bytes_connected"] - kernel["slab_bytes_before"]) / connected


def step(index, *path):
    return lambda results: dig(results[index], *path)


CPU = Measure("CPU a delivery", "us", one("server", "cpu_us_per_delivery"))
RATE = Measure("deliveries", "/s", one("deliveries_per_second"), True)
P50 = Measure("latency p50", "us", one("latency_us", "p50"))
P99 = Measure("latency p99", "us", one("latency_us", "p99"))
PUBLISHES = Measure("publishes", "/s", one("publishes_per_second"), True)
CPU_PUBLISH = Measure("CPU a publish", "us", one("server", "cpu_us_per_publish"))
USER_BYTES = Measure("user space a connection", "B", one("server", "user_bytes_per_connection"))
CONNECTS = Measure("connects", "/s", one("connects_per_second"), True)
CPU_CONNECT = Measure("CPU a connect", "us", one("server", "cpu_us_per_connect"))

EVERYBODY = ("fanhorn", "limit", "nchan", "ws", "socket.io", "pushpin")
NEAREST = ("fanhorn", "limit", "nchan")
RELAYS = ("fanhorn", "nchan")


@dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    programs: tuple
    measures: tuple  # the first is the headline
    steps: tuple  # options of `fanhornctl bench`; each step has a fresh program
    differs: dict = field(default_factory=dict)  # what a program does otherwise in each step
    options: dict = field(default_factory=dict)  # how a program is configured otherwise
    rounds: int = 0  # 0: as many as asked for
    quick: dict = field(default_factory=dict)  # what --quick changes
    behind: dict = field(default_factory=dict)  # work that goes on meanwhile, on other channels
    long: bool = False  # only in `make bench-long`
    fit: object = None  # makes a step fit this machine: the step, and a list of reasons
    time_limit: int = 60  # seconds, for one step
    is_spread: bool = False  # over all CPUs, both ends, instead of one CPU for each
    headlines: int = 1  # so many of the measures are for the README


def fan_out(transport, subscribers, rate, programs, **more):
    word = {"websocket": "ws", "sse": "sse"}[transport]
    return Scenario(
        f"fanout-{subscribers}-{word}", f"{rate} messages/s to {subscribers:,} {word.upper()} subscribers",
        programs, (CPU, P50, P99),
        ({"transport": transport, "subscribers": subscribers, "messages": 2 * rate, "rate": rate,
          "processes": 1 + subscribers // 15000},),
        # Pushpin has no more in it: a fifth of the messages, in the same time.
        differs={"pushpin": {"messages": max(2, 2 * rate // 5), "rate": max(1, rate // 5)}}, **more)


def idle(transport, programs):
    word = {"websocket": "ws", "sse": "sse"}[transport]
    return Scenario(
        f"idle-10000-{word}", f"10,000 idle {word.upper()} subscribers, after a storm of connects",
        programs, (USER_BYTES, CONNECTS, CPU_CONNECT),
        ({"transport": transport, "subscribers": 10000, "messages": 0, "hold": 1},),
        quick={"subscribers": 2000}, headlines=2)


SCENARIOS = (
    fan_out("websocket", 1000, 50, EVERYBODY, quick={"messages": 50}),
    fan_out("sse", 1000, 50, ("fanhorn", "limit", "nchan", "ws", "pushpin"), quick={"messages": 50}),
    fan_out("websocket", 10000, 5, NEAREST, quick={"subscribers": 5000, "messages": 6}),
    fan_out("sse", 10000, 5, NEAREST, quick={"subscribers": 5000, "messages": 6}, headlines=0),
    fan_out("websocket", 18000, 3, NEAREST[:2], quick={"subscribers": 9000, "messages": 4}, headlines=0),
    Scenario(
        "flatout-1000-ws", "flat out to 1,000 WS subscribers, 32 POSTs under way",
        ("fanhorn", "limit", "nchan", "ws", "socket.io"), (CPU, RATE),
        ({"subscribers": 1000, "messages": 100, "pipeline": 32},),
        differs={"fanhorn": {"messages": 2000}}, quick={"messages": 100}, headlines=2),
    Scenario(
        "burst-1000-ws", "a burst to 1,000 WS subscribers, the publisher 256 messages ahead",
        NEAREST, (CPU, RATE),
        ({"subscribers": 1000, "messages": 300, "pipeline": 256, "window": 256},),
        differs={"fanhorn": {"publish-format": "ndjson", "messages": 10000},
                 "limit": {"messages": 10000}},
        options={"limit": {"coalesce": 256}}, quick={"messages": 200}, headlines=2),
    Scenario(
        "channels-10000x1", "10,000 channels with one WS subscriber each, by POST",
        NEAREST, (CPU, RATE),
        ({"subscribers": 10000, "channels": 10000, "messages": 30000, "publishers": 16},),
        quick={"subscribers": 2000, "channels": 2000, "messages": 4000}),
    Scenario(
        "channels-fastest", "the same, each by the fastest way it offers: NDJSON, pipelined POSTs",
        RELAYS, (CPU, RATE),
        ({"subscribers": 10000, "channels": 10000, "messages": 60000, "publishers": 16,
          "pipeline": 32, "window": 512},),
        differs={"fanhorn": {"publish-format": "ndjson", "publishers": 1, "pipeline": 512}},
        quick={"subscribers": 2000, "channels": 2000, "messages": 4000}),
    Scenario(
        "longpoll-1000", "20 messages/s to 1,000 long polling subscribers, the next request included",
        RELAYS, (CPU, P99),
        ({"transport": "longpoll", "subscribers": 1000, "messages": 40, "rate": 20},)),
    Scenario(
        "publish-post", "POSTs on 16 kept-alive connections, no subscribers",
        ("fanhorn", "limit", "nchan", "ws"), (PUBLISHES, CPU_PUBLISH),
        ({"subscribers": 0, "channels": 16, "messages": 50000, "publishers": 16},), quick={"messages": 10000}),
    Scenario(
        "publish-ndjson", "streamed NDJSON on one connection, no subscribers",
        ("fanhorn",), (PUBLISHES, CPU_PUBLISH),
        ({"subscribers": 0, "messages": 1000000, "publish-format": "ndjson"},), quick={"messages": 50000}),
    *(Scenario(
        f"durable-{sync}", f"sync = {sync}: POSTs on 256 connections, each to a channel with one WS subscriber",
        ("fanhorn",), (PUBLISHES, P99, P50, CPU_PUBLISH),
        ({"subscribers": 256, "channels": 256, "messages": 50000, "publishers": 256},),
        options={"fanhorn": {"sync": sync}}, quick={"messages": 5000}, headlines=0)
      for sync in ("always", "1s")),
    Scenario(
        "latency-100-ws", "50 messages/s to 100 WS subscribers",
        ("fanhorn", "limit", "nchan", "ws", "socket.io"), (P99, P50),
        ({"subscribers": 100, "messages": 100, "rate": 50},), quick={"messages": 50}),
    idle("websocket", ("fanhorn", "limit", "nchan", "ws", "socket.io")),
    idle("sse", ("fanhorn", "limit", "nchan", "ws")),
    Scenario(
        "channel-memory", "a channel with one subscriber, beyond the subscriber",
        RELAYS, (Measure("user space a channel", "B",
                         difference(1, ("server", "user_bytes_per_connection"))),),
        ({"subscribers": 10000, "messages": 0}, {"subscribers": 10000, "channels": 10000, "messages": 0}),
        rounds=1, quick={"subscribers": 2000}),
    Scenario(
        "stopped-readers", "30 of 100 WS subscribers stop reading: 6 MB of 4 KiB messages for each",
        ("fanhorn", "nchan", "ws"),
        (Measure("the server's memory", "B",
                 difference(30, ("server", "user_bytes_after"), ("kernel", "server_tcp_bytes_after"))),
         Measure("of that its sockets'", "B", difference(30, ("kernel", "server_tcp_bytes_after"))),
         Measure("memory of both ends", "B",
                 difference(30, ("server", "user_bytes_after"), ("kernel", "tcp_bytes_after"))), P99),
        ({"subscribers": 100, "messages": 1500, "rate": 750, "size": 4096},
         {"subscribers": 100, "messages": 1500, "rate": 750, "size": 4096, "stopped": 30}), rounds=1),
    Scenario(
        "channel-count", "NDJSON into 100, 10,000 and 1,000,000 channels, no subscribers",
        ("fanhorn",),
        tuple(Measure(f"CPU a publish, {count:,} channels", "us", step(i, "server", "cpu_us_per_publish"))
              for i, count in enumerate((100, 10000, 1000000))),
        tuple({"subscribers": 0, "channels": count, "messages": messages, "publish-format": "ndjson"}
              for count, messages in ((100, 300000), (10000, 300000), (1000000, 2000000))),
        rounds=2, quick={"messages": 20000}, headlines=0),
    Scenario(
        "neighbour", "50 messages/s to 100 WS subscribers, another channel with 10,000 flat out",
        RELAYS, (P99, P50, Measure("deliveries to the 10,000", "/s", one("behind", "deliveries_per_second"), True)),
        ({"subscribers": 100, "messages": 100, "rate": 50},),
        behind={"subscribers": 10000, "seconds": 6, "pipeline": 2}, quick={"messages": 50}),
    Scenario(
        "fanout-100000-ws", "a message a second to 100,000 WS subscribers, several workers on one CPU",
        RELAYS, (CPU, P50, P99, USER_BYTES),
        ({"subscribers": 100000, "messages": 5, "rate": 1, "processes": 6, "sources": 40},),
        options={"fanhorn": {"workers": 8, "descriptors": "worker"}, "nchan": {"workers": 8}},
        time_limit=180, long=True),
    Scenario(
        "million", "1,000,000 idle WS subscribers, 64 workers, a ping each 60 s; then a message to all",
        ("fanhorn",),
        (USER_BYTES,
         Measure("connected", "", one("connected"), True),
         Measure("slab a connection, both ends", "B", slab_a_connection),
         Measure("CPU for the pings", "% of a core", quotient(1e-4, ("server", "cpu_us_hold"), ("server", "hold_seconds"))),
         CONNECTS, CPU_CONNECT, CPU,
         Measure("until all have the message", "s", one("seconds"))),
        ({"subscribers": 1000000, "messages": 1, "processes": 56, "sources": 200, "connect-rate": 10000, "hold": 60,
          "patience": 60},),
        options={"fanhorn": {"workers": 64, "descriptors": "worker", "max_connections": "2m",
                             "heartbeat": "60s"}},
        rounds=1, quick={"subscribers": 100000, "hold": 5}, fit=capacity.fit, time_limit=600,
        is_spread=True, headlines=4, long=True),
)


@dataclass(frozen=True)
class Growth:
    """How a measure of one scenario grows to that of others: no runs of its own."""

    name: str
    base: str
    measure: Measure
    others: tuple  # (title, scenario)


GROWTHS = (
    Growth("linearity", "fanout-1000-ws", CPU,
           tuple((f"CPU a delivery to {count:,} / to 1,000", f"fanout-{count}-ws")
                 for count in (10000, 18000, 100000))),
)
