# SPDX-License-Identifier: Apache-2.0
"""Readers that stop reading: what they cost, what they are told, and that nobody else notices."""

import threading
import time
import unittest

from harness import FanhornTest, PATIENCE, TIMEOUT, Wire, config, eventually
from process import SANITIZED, resident
from readers import SseReader, WsReader, on_each
from sse import SseClient

LIMIT, SLACK = 64 << 10, 64 << 10


def unsent(server, client_port):
    """Bytes in the kernel's send queue of that connection, the daemon's side."""
    local, remote = f"0100007F:{server[1]:04X}", f"0100007F:{client_port:04X}"
    with open("/proc/net/tcp", encoding="ascii") as table:
        for line in table:
            fields = line.split()
            if fields[1:3] == [local, remote]:
                return int(fields[4].split(":")[0], 16)
    return None


def next_of(items, gap):
    """The first message behind a gap that did not know it yet."""
    behind = items[items.index(gap) + 1:]
    return next(item.body["id"] for item in behind if item.kind == "message")


def account(items, ids):
    """The gaps of a reader, once every id is shown to be received in order or inside a gap."""
    at, gaps = 0, []
    for item in items:
        if item.kind == "message":
            assert item.body["id"] == ids[at], f"wanted {ids[at]}, got {item.body['id']}"
            at += 1
        elif item.kind == "gap":
            gaps.append(item.body)
            assert at == 0 or item.body["after"] == ids[at - 1], f"{item.body} after {ids[at - 1]}"
            next_id = item.body["next"] or next_of(items, item)
            at = ids.index(next_id, at)
    assert at == len(ids), f"silence after {at} of {len(ids)}"
    return gaps


class SmallBuffer:
    """Readers whose kernel holds little for them, so that the daemon soon cannot write."""

    def stop_reading(self, reader_class, channel):
        """A subscriber that has its position and from then on reads nothing."""
        reader = reader_class(self.daemon, channel, receive_buffer=4096)
        self.addCleanup(reader.close)
        while not reader.position:
            reader.next()
        return reader

    def stalled(self, reader_class, channel):
        reader = self.stop_reading(reader_class, channel)
        self.wait_subscribers(channel, 1)
        return reader


class Policies(SmallBuffer, FanhornTest):
    config = config(channels="""
[channel gap:**]
slow_consumer_limit = 64k
[channel latest:**]
slow_consumer = latest
slow_consumer_limit = 64k
[channel drop:**]
slow_consumer = disconnect
slow_consumer_limit = 64k
""")

    def flood(self, channel, count=200, size=16000):
        lines = [{"channel": channel, "text": f"{number:06}" + "x" * size} for number in range(count)]
        return [result["id"] for result in self.daemon.publish_lines(lines, 5)]

    def drain(self, reader, last):
        items = []
        while not items or items[-1].kind != "message" or items[-1].body["id"] != last:
            item = reader.next()
            assert item is not None, f"ended after {items[-1:]}"
            items.append(item)
        return items

    def evictions(self, policy):
        return self.daemon.metrics().get('fanhorn_evictions_total{policy="%s"}' % policy, 0)

    @on_each(SseReader, WsReader)
    def test_gap(self, reader_class):
        channel = "gap:" + self.channel
        reader, before = self.stalled(reader_class, channel), self.evictions("gap")
        ids = self.flood(channel)
        queued = unsent(self.daemon.public, reader.client.wire.local_port)
        self.assertLessEqual(queued, LIMIT + SLACK)
        gaps = account(self.drain(reader, ids[-1]), ids)
        self.assertTrue(gaps)
        self.assertEqual({gap["why"] for gap in gaps}, {"overflow"})
        self.assertGreater(self.evictions("gap"), before)

    @on_each(SseReader, WsReader)
    def test_it_goes_on_live_after_the_gap(self, reader_class):
        channel = "gap:" + self.channel
        reader = self.stalled(reader_class, channel)
        ids = self.flood(channel)
        self.drain(reader, ids[-1])
        new = [self.daemon.publish(channel)["id"] for _ in range(3)]
        self.assertEqual([message["id"] for message in reader.messages(3)], new)

    @on_each(SseReader, WsReader)
    def test_latest(self, reader_class):
        channel = "latest:" + self.channel
        reader, before = self.stalled(reader_class, channel), self.evictions("latest")
        ids = self.flood(channel)
        eventually(lambda: self.evictions("latest") > before, "an eviction")
        items, marks = [], []

        def read():
            while not any(item.kind == "message" and item.body["id"] in marks for item in items):
                items.append(reader.next())

        thread = threading.Thread(target=read)
        thread.start()
        while thread.is_alive():  # what comes next is the first it sees after the gap
            marks.append(self.daemon.publish(channel, b"mark")["id"])
            thread.join(0.05)
        self.assertTrue(items[-1] is not None and any(item.kind == "gap" for item in items), items[-3:])
        self.assertEqual({item.body["why"] for item in items if item.kind == "gap"}, {"overflow"})
        everything = ids + marks
        account(items, everything[:everything.index(items[-1].body["id"]) + 1])

    def test_disconnect_sse(self):
        self.check_disconnect(SseReader)

    def test_disconnect_websocket(self):
        reader = self.check_disconnect(WsReader)
        closes = [message for message in reader.client.messages if message.kind == "close"]
        for message in closes:
            self.assertEqual(message.code, 1013)

    def check_disconnect(self, reader_class):
        channel = f"drop:{self.channel}"
        reader, before = self.stalled(reader_class, channel), self.evictions("disconnect")
        ids = self.flood(channel)
        eventually(lambda: self.evictions("disconnect") > before, "an eviction")
        self.wait_subscribers(channel, 0)
        got = []
        try:
            while (item := reader.next()) is not None:
                got.append(item)
        except AssertionError as error:  # cut in the middle of a message
            self.assertIn("closed", str(error))
        received = [item.body["id"] for item in got if item.kind == "message"]
        self.assertEqual(received, ids[:len(received)])
        self.assertLess(len(received), len(ids))
        again = reader_class(self.daemon, channel, reader.position)
        self.addCleanup(again.close)
        left = ids[len(received):]
        self.assertTrue(account(self.drain(again, ids[-1]), left) or len(left) <= 100)
        return reader

    def test_the_limit_is_counted_and_logged(self):
        channel = "drop:" + self.channel
        self.stalled(SseReader, channel)
        self.assert_limit("slow_consumer_limit", lambda: self.flood(channel))

    def test_replay_does_not_count(self):
        ids = self.flood("drop:" + self.channel, 50)
        client = SseClient(self.daemon.public, "/sub/drop:" + self.channel, {"since": "earliest"}, receive_buffer=4096)
        self.addCleanup(client.close)
        self.assertFalse(client.wire.is_quiet(0.01))
        for identity in ids:
            self.assertEqual(client.next_event().id, identity)


class Cost(SmallBuffer):
    """100 MB go past readers that stopped, each on a channel of its own; each costs at most its
    limit and 64 KiB, and those who read and publish notice nothing."""

    CHANNELS = [f"c{number}" for number in range(30)]
    LIMIT = 256 << 10
    # With one worker nobody is behind the healthy reader unnoticed, whose mailbox would count.
    # It may take long on a small machine, and what is counted are messages, not heartbeats.
    config = config(server="workers = 1", defaults="history_bytes = 64k\nheartbeat = 1h")

    def setUp(self):
        super().setUp()
        self.sent = self.seen = 0

    def follow(self, client):
        try:
            while (message := client.next()) is not None and message.kind == "text":
                self.assertGreater(len(message.payload), self.MESSAGE)
                self.seen += 1
        except OSError:
            pass  # closed, at the test's end or catch_up() fails

    def publish_megabytes(self, wire, count):
        """A message to each channel, again and again; the slowest answer's seconds."""
        slowest, body = 0, b"x" * self.MESSAGE
        for _ in range(count * 1_000_000 // (self.MESSAGE * len(self.CHANNELS))):
            start = time.monotonic()
            response = wire.request("POST", "/pub/" + ",".join(self.CHANNELS), body=body)
            slowest = max(slowest, time.monotonic() - start)
            self.assertEqual(response.status, 200)
            self.sent += len(self.CHANNELS)
            self.catch_up()
        return slowest

    def catch_up(self):
        """The healthy reader is never more than one round behind, or it would cost as well."""
        deadline = time.monotonic() + TIMEOUT
        while self.seen < self.sent:
            self.assertLess(time.monotonic(), deadline, f"{self.seen} of {self.sent} arrived")
            time.sleep(0.0002)

    def test_a_hundred_megabytes(self):
        healthy = self.envelopes(",".join(self.CHANNELS))
        self.wait_subscribers(self.CHANNELS[0], 1)
        thread = threading.Thread(target=self.follow, args=(healthy,), daemon=True)
        thread.start()
        with Wire(self.daemon.private) as wire:
            calm = self.publish_megabytes(wire, 20)
            before = resident(self.daemon.process.pid)
            stalled = [self.stop_reading((SseReader, WsReader)[number % 2], channel)
                       for number, channel in enumerate(self.CHANNELS)]
            slowest = self.publish_megabytes(wire, 100)
            self.check_cost(stalled, before)
        self.assertLess(slowest, calm + 0.5 * PATIENCE)
        self.assertEqual(self.daemon.limit_hits("slow_consumer_limit"), len(stalled))
        self.assertEqual([self.daemon.subscribers(channel) for channel in self.CHANNELS], [2] * len(stalled))

    def check_cost(self, stalled, before):
        allowed = self.LIMIT + SLACK
        queues = [unsent(self.daemon.public, reader.client.wire.local_port) for reader in stalled]
        self.assertLessEqual(max(queues), SLACK)  # the kernel's part
        if not SANITIZED:  # their allocators keep what was freed
            grown = resident(self.daemon.process.pid) - before
            self.assertLessEqual(grown, allowed * len(stalled))


class SmallMessages(Cost, FanhornTest):
    MESSAGE = 4000


class MessagesOfSomePages(Cost, FanhornTest):
    MESSAGE = 16_000


class LargeMessages(Cost, FanhornTest):
    MESSAGE = 60_000


if __name__ == "__main__":
    unittest.main()
