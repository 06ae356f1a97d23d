# SPDX-License-Identifier: Apache-2.0
"""Live upgrades in the middle of things: half-read requests and frames, answers and messages half sent, replays under
way, deadlines that run."""

import json
import threading
import time
import unittest

from harness import Stream, config, eventually, position
from readers import SseReader, WsReader, on_each
from succession import Succession
from test_upgrade import UpgradeTest
from wire import PATIENCE, TIMEOUT, Wire, build_request
from ws import CONTINUATION, PING, TEXT, WsClient, deflate, frame_bytes


class Cut(UpgradeTest):
    """Bytes that the one process has read, and those behind them that the next one reads."""

    def across(self, data, opened, count=None):
        """Upgrades when there is a connection for each cut of the data, each of which is then sent its rest. `opened()`
        gives a client and its wire."""
        cuts = range(1, len(data)) if count is None else range(1, len(data), max(1, len(data) // count))
        clients = [(*opened(), cut) for cut in cuts]
        for _, wire, cut in clients:
            wire.send(data[:cut])
        self.daemon.wait_read()
        self.upgrade()
        for _, wire, cut in clients:
            wire.send(data[cut:])
        return [client for client, _, _ in clients]

    def requests(self, data, listener="private"):
        """The answers to a request cut everywhere."""
        def opened():
            wire = self.wire(listener)
            return wire, wire
        wires = self.across(data, opened)
        answers = [wire.read_response() for wire in wires]
        self.assertEqual({answer.status for answer in answers}, {200})
        for wire in wires:  # and the connection goes on behind it
            self.assertEqual(wire.request("GET", "/healthz").status, 200)
        return answers

    def kept(self, channel=None):
        since, found = "earliest", []
        while True:
            page = self.daemon.poll(channel or self.channel, since=since, wait="0")
            if not page["messages"]:
                return [message["data"] for message in found]
            found, since = found + page["messages"], page["next"]

    config = config(server="drain = 2s", defaults="history = 10k\nhistory_bytes = 64m")

    def test_a_request_with_a_length(self):
        data = build_request("POST", f"/pub/{self.channel}?event=e%20e", self.daemon.private, body=b"a body",
                             headers={"Content-Type": "text/plain", "X-Long": "a, b;c=\"d\""})
        answers = self.requests(data)
        self.assertEqual(self.kept(), ["a body"] * len(answers))

    def test_a_request_in_chunks(self):
        head = build_request("POST", f"/pub/{self.channel}", self.daemon.private,
                             headers={"Transfer-Encoding": "chunked", "Content-Length": None})
        answers = self.requests(head + b"3;x=y\r\nabc\r\n" + b"12\r\n" + b"d" * 18 + b"\r\n0\r\nTrailer: x\r\n\r\n")
        self.assertEqual(self.kept(), ["abc" + "d" * 18] * len(answers))

    def test_an_invited_body(self):
        wire = self.wire()
        wire.send(build_request("POST", f"/pub/{self.channel}", wire.address,
                                headers={"Content-Length": "5", "Expect": "100-continue"}))
        self.assertEqual(wire.read_exactly(25), b"HTTP/1.1 100 Continue\r\n\r\n")
        wire.send(b"he")
        self.daemon.wait_read()
        self.upgrade()
        wire.send(b"llo")
        response = wire.read_response()
        self.assertEqual((response.status, response.interim), (200, []))
        self.assertEqual(self.kept(), ["hello"])

    def test_streamed_lines(self):
        """Each line is published once and answered once, also one that is half there."""
        line = json.dumps({"channel": self.channel, "text": "{}"})
        with Stream(self.daemon.private) as stream:
            for turn in range(3):
                stream.send(line.replace("{}", f"{turn} whole") + "\n")
                self.assertIn("id", stream.next_line())
                half = line.replace("{}", f"{turn} half") + "\n"
                stream.send(half[:20])
                self.daemon.wait_read()
                self.upgrade()
                stream.send(half[20:])
                self.assertIn("id", stream.next_line())
            self.assertEqual(stream.finish(), [])
        self.assertEqual(self.kept(), [f"{turn} {what}" for turn in range(3) for what in ("whole", "half")])

    def test_lines_whose_answers_wait(self):
        """Nobody takes them yet, and so the rest of the lines is not read."""
        line = json.dumps({"channel": self.channel, "text": "x", "store": False}) + "\n"
        with Stream(self.daemon.private) as stream:
            sender = threading.Thread(target=lambda: [stream.send(line * 100) for _ in range(600)])
            sender.start()
            eventually(lambda: self.daemon.unread() > 0, "a stop of its reading")
            for _ in range(2):
                self.upgrade()
            seqs = [position(stream.next_line()["id"])[1] for _ in range(60_000)]
            sender.join()
            self.assertEqual(stream.finish(), [])
        self.assertEqual(seqs, sorted(set(seqs)))

    def test_requests_behind_each_other(self):
        """The whole ones are answered by whichever process reads them, in their order."""
        one = build_request("POST", f"/pub/{self.channel}", self.daemon.private, body=b"x")
        wires = self.across(one * 3, lambda: (wire := self.wire(), wire), count=40)
        for wire in wires:
            ids = [wire.read_response().json()["n"] for _ in range(3)]
            self.assertEqual(ids, sorted(set(ids)))
        self.assertEqual(len(self.kept()), 3 * len(wires))

    def sockets(self, data, compress=False, count=None):
        """Sends these frames over WebSockets, cut everywhere; how many there were."""
        def opened():
            client = self.ws(self.channel, compress=compress)
            return client, client.wire
        clients = self.across(data, opened, count)
        eventually(lambda: (self.daemon.facts(self.channel) or {}).get("messages", 0) >= len(clients), "all messages")
        return clients

    def test_a_frame(self):
        clients = self.sockets(frame_bytes(TEXT, "größer".encode()))
        self.assertEqual(self.kept(), ["größer"] * len(clients))

    def test_fragments(self):
        text = "öö".encode()
        data = (frame_bytes(TEXT, text[:1], fin=False) + frame_bytes(PING, b"ping") + frame_bytes(CONTINUATION, b"", fin=False)
                + frame_bytes(CONTINUATION, text[1:3], fin=False) + frame_bytes(CONTINUATION, text[3:]))
        clients = self.sockets(data)
        self.assertEqual(self.kept(), ["öö"] * len(clients))
        for client in clients[:5] + clients[-5:]:
            while client.next_any().kind != "pong":
                pass

    def test_a_compressed_message(self):
        packed = deflate(b"abcabcabc" * 20)
        data = frame_bytes(TEXT, packed[:4], fin=False, rsv1=True) + frame_bytes(CONTINUATION, packed[4:])
        clients = self.sockets(data, compress=True)
        self.assertEqual(self.kept(), ["abcabcabc" * 20] * len(clients))

    def test_a_long_message(self):
        text = "0123456789" * 6000
        clients = self.sockets(frame_bytes(TEXT, text[:100].encode(), fin=False) + frame_bytes(CONTINUATION, text[100:].encode()),
                               count=30)
        self.assertEqual(self.kept(), [text] * len(clients))

    def test_a_command(self):
        data = frame_bytes(TEXT, json.dumps({"id": 1, "publish": {"channel": self.channel, "data": 1}}).encode())

        def opened():
            session = self.session()
            session.last_id = 1
            return session, session.wire
        for session in (clients := self.across(data, opened)):
            self.assertIn("ok", session.reply(1))
            self.assertEqual(session.ask(ping={}), {})
        self.assertEqual(self.kept(), [1] * len(clients))

    def test_what_is_wrong_stays_wrong(self):
        """Bytes that no process takes are refused by the next one as they would have been by the last."""
        wire, client = self.wire(), self.ws(self.channel)
        wire.send(b"GET / HTT")
        client.wire.send(b"\x81\xff\x7f")  # 2^62 bytes and more
        self.daemon.wait_read()
        self.upgrade()
        wire.send(b"X/1.1\r\n\r\n")
        self.assertEqual(wire.read_response().status, 400)
        client.wire.send(b"\xff" * 16)
        self.assertEqual(client.expect_close().code, 1009)


class Behind(UpgradeTest):
    """Readers whose sockets are full when the upgrade comes."""

    config = config(server="drain = 2s", defaults="history = 1000\nhistory_bytes = 64m\n"
                    "slow_consumer_limit = 64m")
    COUNT, SIZE = 60, 20_000

    def text(self, number):
        return f"{number} " + "x" * self.SIZE

    def publish_many(self, first=0):
        for number in range(first, first + self.COUNT):
            self.daemon.publish(self.channel, self.text(number))

    def check(self, reader, first=0, count=COUNT):
        for number in range(first, first + count):
            self.assertEqual(reader.next_message()["data"], self.text(number))

    def behind(self, reader_class, **options):
        return self.open(reader_class(self.daemon, self.channel, receive_buffer=4096, **options))

    @on_each(SseReader, WsReader)
    def test_live_messages_that_wait(self, reader_class):
        reader = self.behind(reader_class)
        self.publish_many()
        self.upgrade()
        self.daemon.publish(self.channel, self.text(self.COUNT))
        self.check(reader, count=self.COUNT + 1)

    @on_each(SseReader, WsReader)
    def test_a_replay_under_way(self, reader_class):
        self.publish_many()
        reader = self.behind(reader_class, since="earliest")
        self.check(reader, count=3)
        self.upgrade()
        self.check(reader, 3, 3)
        self.upgrade()
        self.daemon.publish(self.channel, self.text(self.COUNT))
        self.check(reader, 6, self.COUNT - 5)

    @on_each(SseReader, WsReader)
    def test_upgrades_while_it_reads(self, reader_class):
        reader = self.behind(reader_class)
        for turn in range(3):
            self.publish_many(turn * self.COUNT)
            self.check(reader, turn * self.COUNT, self.COUNT // 2)
            self.upgrade()
            self.check(reader, turn * self.COUNT + self.COUNT // 2, self.COUNT - self.COUNT // 2)

    def session_behind(self, **subscribe):
        session = self.session(receive_buffer=4096)
        session.ask(subscribe={"channel": self.channel, **subscribe})
        return session

    def check_session(self, session, count):
        numbers = []
        while len(numbers) < count:
            envelope = session.push()
            if "data" in envelope:
                numbers.append(int(envelope["data"].split()[0]))
            else:
                self.assertIn("caught_up", envelope)
        self.assertEqual(numbers, list(range(count)))

    def test_a_session_with_live_messages(self):
        session = self.session_behind()
        self.publish_many()
        self.upgrade()
        self.daemon.publish(self.channel, self.text(self.COUNT))
        self.check_session(session, self.COUNT + 1)

    def test_a_session_with_a_replay(self):
        self.publish_many()
        session = self.session_behind(since="earliest")
        self.upgrade()
        self.daemon.publish(self.channel, self.text(self.COUNT))
        self.check_session(session, self.COUNT + 1)

    def test_an_answer_that_waits(self):
        """Of a poll, to a client that takes it later."""
        self.publish_many()
        wires = [self.wire("public", receive_buffer=4096) for _ in range(4)]
        request = build_request("GET", "/sub/" + self.channel, self.daemon.public, query={"since": "earliest", "wait": 0},
                                headers={"Accept": "application/json"})
        for wire in wires:
            wire.send(request)
        self.daemon.wait_read()
        facts = self.daemon.upgrade()
        self.assertEqual(facts["connections"] + facts["left"], len(wires))
        for wire in wires:
            self.assertGreater(len(wire.read_response().json()["messages"]), 10)


class Deadlines(unittest.TestCase):
    """They run on from where they were."""

    def start(self, **parts):
        daemon = Succession(config(**parts)).start()
        self.addCleanup(lambda: daemon.is_alive() and daemon.stop())
        return daemon

    def half(self, daemon, data):
        wire = Wire(daemon.public)
        self.addCleanup(wire.close)
        wire.send(data)
        daemon.wait_read()
        return wire

    def upgrade_some(self, daemon):
        """Each buys a client a moment at most."""
        for _ in range(2):
            time.sleep(0.5)
            daemon.upgrade()

    LATEST = 3 + 1 + 1.5 * PATIENCE  # seconds

    def test_a_head(self):
        daemon = self.start(limits="header_timeout = 3s")
        start, wire = time.monotonic(), self.half(daemon, b"GET / HTTP/1.1\r\nHo")
        self.upgrade_some(daemon)
        self.assertEqual(wire.read_response().status, 408)
        self.assertLess(time.monotonic() - start, self.LATEST)

    def test_a_body(self):
        daemon = self.start(limits="body_timeout = 3s")
        start, wire = time.monotonic(), self.half(daemon, b"POST /sub/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe")
        self.upgrade_some(daemon)
        self.assertEqual(wire.read_response().status, 408)
        self.assertLess(time.monotonic() - start, self.LATEST)

    def test_an_idle_connection(self):
        daemon = self.start(limits="idle_timeout = 3s")
        start, wire = time.monotonic(), self.half(daemon, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual(wire.read_response().status, 200)
        self.upgrade_some(daemon)
        self.assertTrue(wire.is_closed())
        self.assertLess(time.monotonic() - start, self.LATEST)

    def test_a_poll(self):
        daemon = self.start()
        start = time.monotonic()
        wire = self.half(daemon, build_request("GET", "/sub/x", daemon.public, query={"wait": 3}))
        self.upgrade_some(daemon)
        self.assertEqual(wire.read_response().json()["messages"], [])
        self.assertGreater(time.monotonic() - start, 2.9)
        self.assertLess(time.monotonic() - start, self.LATEST)

    def test_an_age(self):
        daemon = self.start(limits="connection_max_age = 4s")
        start = time.monotonic()
        client = WsClient(daemon.public, "/sub/x")
        self.addCleanup(client.close)
        self.upgrade_some(daemon)
        self.assertEqual(client.expect_close().code, 1001)
        self.assertLess(time.monotonic() - start, 4.8 + 2 + 1.5 * PATIENCE)

    def test_a_reader_that_has_stopped(self):
        daemon = self.start(limits="send_timeout = 3s")
        client = WsClient(daemon.public, "/sub/x", receive_buffer=4096)
        self.addCleanup(client.close)
        for _ in range(100):
            daemon.publish("x", b"x" * 60_000)
        self.upgrade_some(daemon)
        eventually(lambda: daemon.subscribers("x") == 0, "its end", 5 + TIMEOUT / 3)


if __name__ == "__main__":
    unittest.main()
