# SPDX-License-Identifier: Apache-2.0
"""The memory budget: what is done without when it is short, in which order, and what is not touched by it."""

import json
import re
import signal
import time
import unittest
from pathlib import Path

from h2 import CANCEL, INITIAL_WINDOW, H2Client
from harness import FanhornTest, config, eventually, has_part
from process import SANITIZED
from session import Session
from sse import SseClient
from wire import build_request

LEVEL, SHED = "fanhorn_memory_level", 'fanhorn_memory_shed_total{what="%s"}'
NORMAL, NO_SUBSCRIPTIONS, FEWER_READERS, NO_PUBLISHES = range(4)
MEGA = 1 << 20
CHANNELS = "[channel **]\nhistory = 1k\nhistory_bytes = 8m\nclient_publish = public\n"


class MemoryTest(FanhornTest):
    def level(self):
        return self.daemon.metrics()[LEVEL]

    def shed(self, what):
        return self.daemon.metrics()[SHED % what]

    def wait_level(self, *levels):
        eventually(lambda: self.level() in levels, f"level {levels}")

    def check_retry(self, response):
        """So that they do not all come back at once."""
        self.assertIn(int(response.headers["Retry-After"]), range(5, 31))

    def check_no_subscriptions(self):
        def hit():
            stream = self.sse(self.channel)
            block = stream.next_event()
            self.assertEqual((block.event, json.loads(block.data)["code"]), ("error", "overloaded"))
            retry = int(re.match(rb"retry: ?([0-9]+)\n", stream.raw)[1])
            self.assertIn(retry, range(5000, 30_001))
            responses = [self.refused(self.channel, 503)]
            for wait in ("0", "20"):
                responses.append(self.daemon.request("GET", "/sub/" + self.channel, "public", query={"wait": wait}))
            for response in responses:
                self.assert_problem(response, 503, "overloaded")
                self.check_retry(response)
        before, hits = self.shed("subscription"), self.daemon.limit_hits("memory")
        hit()
        self.assertEqual(self.shed("subscription"), before + 4)
        self.assertGreaterEqual(self.daemon.limit_hits("memory"), hits + 4)
        # Not one of its own for each: the readers that were closed may have had all of these seconds.
        self.assertGreater(self.daemon.limit_lines("memory"), 0)

    def check_no_publishes(self):
        before, hits = self.shed("publish"), self.daemon.limit_hits("memory")
        response = self.daemon.request("POST", "/pub/" + self.channel, body=b"x")
        self.assert_problem(response, 503, "overloaded")
        self.check_retry(response)
        body = json.dumps({"messages": [{"channel": self.channel, "text": "x"}] * 2})
        answer = self.daemon.request("POST", "/pub", body=body, headers={"Content-Type": "application/json"})
        lines = self.daemon.publish_lines([{"channel": self.channel, "text": "x"}])
        self.assertEqual([each["code"] for each in answer.json()["results"] + lines], ["overloaded"] * 3)
        self.assertEqual(self.shed("publish"), before + 4)
        self.assertGreaterEqual(self.daemon.limit_hits("memory"), hits + 4)

    def check_private(self):
        """What operators look at."""
        for path in ("/healthz", "/readyz", "/metrics", "/channels", f"/channels/{self.channel}/history"):
            self.assertEqual(self.daemon.request("GET", path).status, 200, path)

    def stop_reading(self, channels, count):
        """Subscribers that replay and take nothing of it."""
        return [self.open(SseClient(self.daemon.public, "/sub/" + channels, {"since": "0"}, receive_buffer=4096))
                for _ in range(count)]

    def ended(self, clients):
        """How many of them the daemon has closed, when all is read that had been sent."""
        count = 0
        for client in clients:
            client.wire.socket.setblocking(False)
            try:
                while client.wire.socket.recv(1 << 16):
                    pass
                count += 1
            except ConnectionResetError:
                count += 1
            except BlockingIOError:
                pass
        return count


@unittest.skipUnless(has_part("http2"), "built without HTTP/2")
class Budget(MemoryTest):
    """The budget comes and goes by reload."""

    PUBLIC = "http2 = cleartext"
    config = config(limits="memory = 100%", public=PUBLIC, channels=CHANNELS)
    STOPPED = 40

    def set_budget(self, text):
        self.daemon.write_config(config(limits=f"memory = {text}", public=self.PUBLIC, channels=CHANNELS))
        self.daemon.send_signal(signal.SIGHUP)

    def fill(self):
        """What stays when the readers have gone."""
        for number in range(3):
            self.daemon.publish_lines([{"channel": f"fill:{number}", "text": "x" * 60_000}] * 100, 10)

    def test_in_its_order(self):
        self.assertEqual(self.level(), NORMAL)
        before = self.shed("reader")
        self.fill()
        self.daemon.publish_lines([{"channel": self.channel, "text": "x" * 60_000}] * 20, 5)
        stopped = self.stop_reading(self.channel, self.STOPPED)
        eventually(lambda: self.daemon.metrics()["fanhorn_stalled"] == self.STOPPED, "all of them stalled")
        healthy = self.envelopes(self.channel + ":live")
        session = self.open(Session(self.daemon.public, self.channel + ":live"))
        session.until_caught_up(self.channel + ":live")
        self.set_budget("16m")  # it has more
        # Those who do not read go first, some each second.
        self.wait_level(FEWER_READERS)
        self.check_no_subscriptions()
        self.assertEqual(session.fault(subscribe={"channel": "another"}), "overloaded")
        self.wait_level(NO_PUBLISHES)
        self.check_no_publishes()
        self.check_private()
        self.assertEqual(session.fault(publish={"channel": self.channel, "text": "x"}), "overloaded")
        eventually(lambda: self.shed("reader") == before + self.STOPPED, "the end of all who stopped")
        self.assertIn("event=memory_level level=fewer_readers", self.daemon.log())
        self.assertIn("event=memory_level level=no_publishes", self.daemon.log())
        self.set_budget("100%")
        self.wait_level(NORMAL)
        eventually(lambda: self.ended(stopped) == self.STOPPED, "their ends")
        self.assertEqual(self.daemon.subscribers(self.channel), 0)
        # Who had kept up has missed nothing.
        identity = self.daemon.publish(self.channel + ":live", b"after all")["id"]
        self.assertEqual(healthy.next_json()["id"], identity)
        self.assertEqual(session.push()["id"], identity)
        self.sse(self.channel).opened()

    def ask(self, wait, since, count):
        """Polls, of whose answers little can be on its way unread."""
        wires = [self.wire("public", receive_buffer=4096) for _ in range(count)]
        for wire in wires:
            wire.send(build_request("GET", "/sub/" + self.channel, wire.address, {"wait": wait, "since": since}))
        return wires

    def test_answers_that_nobody_reads(self):
        self.fill()
        self.daemon.publish_lines([{"channel": self.channel, "text": "x" * 60_000}] * 20, 5)
        short = self.ask("0", "0", 20)
        multiplexed = self.open(H2Client(self.daemon.public, {INITIAL_WINDOW: 1000}))
        stream = multiplexed.open(path=f"/sub/{self.channel}?wait=0&since=0")
        reads = self.wire("public")
        self.assertEqual(reads.request("GET", "/sub/" + self.channel, query={"wait": "0", "since": "0"}).status, 200)
        held = self.ask("60", "latest", 20)
        self.wait_subscribers(self.channel, 20)
        self.daemon.publish(self.channel, b"x" * 60_000)
        for wire in short + held:
            self.assertEqual(wire.read_exactly(12), b"HTTP/1.1 200")
        multiplexed.until(lambda: multiplexed.answers[stream].body)
        before = self.shed("reader")
        self.set_budget("16m")  # it has more
        self.wait_level(FEWER_READERS, NO_PUBLISHES)
        eventually(lambda: self.shed("reader") == before + 41, "the end of all who stopped")
        self.assertEqual(multiplexed.whole(stream).error, CANCEL)
        self.wait_level(NO_PUBLISHES)  # nobody is left to be closed
        self.check_private()
        self.set_budget("100%")
        self.wait_level(NORMAL)
        for wire in short + held:
            self.assertLess(len(wire.read_to_end()), 60_000)
        # Who had read his answer is not touched.
        self.assertEqual(reads.request("GET", "/sub/" + self.channel, query={"wait": "0", "since": "0"}).status, 200)
        self.assertEqual(multiplexed.request(path=f"/sub/{self.channel}?wait=0").status, 200)
        self.assertEqual(self.shed("reader"), before + 41)


class Traffic(MemoryTest):
    """A budget that histories fill."""

    BUDGET = 96 * MEGA
    config = config(limits=f"memory = {BUDGET >> 20}m", channels=CHANNELS)
    STOPPED = 100
    PAYLOAD = "x" * 8000

    def used(self):
        status = Path(f"/proc/{self.daemon.process.pid}/status").read_text()
        return int(re.search(r"RssAnon:\s+([0-9]+) kB", status)[1]) << 10

    def fill(self, share):
        """Publishes until so much of the budget is used; all of it must be taken."""
        while self.used() < share * self.BUDGET:
            lines = [{"channel": f"fill:{self.filled + number // 40}", "text": self.PAYLOAD} for number in range(80)]
            self.filled += 2
            results = self.daemon.publish_lines(lines, 40)
            self.assertEqual([each for each in results if "id" not in each], [])

    def test_growing_histories(self):
        self.filled = 0
        self.fill(0.6)
        healthy = self.sse("live").opened()
        channels = ",".join(f"fill:{number}" for number in range(20))
        stopped = self.stop_reading(channels, self.STOPPED)
        eventually(lambda: self.daemon.metrics()["fanhorn_stalled"] == self.STOPPED, "all of them stalled")
        self.assertEqual(self.level(), NORMAL)
        self.fill(0.82)
        self.wait_level(NO_SUBSCRIPTIONS)
        self.check_no_subscriptions()
        self.fill(0.91)
        # Slow readers pay, and no publisher notices.
        eventually(lambda: self.shed("reader") > 0, "the end of some who stopped")
        eventually(lambda: self.level() < FEWER_READERS or self.shed("reader") == self.STOPPED, "an end of it")
        self.assertEqual(self.shed("publish"), 0)
        self.daemon.publish("live", b"still")
        self.assertEqual(healthy.next_event().data, "still")
        self.assertGreater(self.ended(stopped), 0)
        self.grow_beyond()
        self.check_no_publishes()
        self.check_private()
        for number in range(self.filled):
            self.assertEqual(self.daemon.request("DELETE", f"/pub/fill:{number}").status // 100, 2)
        self.wait_level(NORMAL)
        self.daemon.publish("live", b"again")
        self.assertEqual(healthy.next_event().data, "again")
        self.sse("live").opened()

    def grow_beyond(self):
        """Until publishes are refused, which they are before the budget is used up by much."""
        deadline = time.monotonic() + 30
        while self.level() < NO_PUBLISHES:
            self.assertLess(time.monotonic(), deadline)
            if self.used() < 0.97 * self.BUDGET:
                self.daemon.publish_lines([{"channel": f"fill:{self.filled}", "text": self.PAYLOAD}] * 40, 40)
                self.filled += 1
            else:
                time.sleep(0.1)
        eventually(lambda: self.shed("reader") == self.STOPPED, "the end of all who stopped")
        self.assertLess(self.used(), 1.02 * self.BUDGET)


if SANITIZED:  # their allocators keep what was freed
    del Traffic


if __name__ == "__main__":
    unittest.main()
