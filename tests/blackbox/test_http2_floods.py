# SPDX-License-Identifier: Apache-2.0
"""What has been done to servers of HTTP/2: cheap for the client, dear for the server. Each closes his own
connection, at most, and costs little memory."""

import struct
import time

from h2 import (ACK, Answer, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, H2Client, HEADERS,
                INITIAL_WINDOW, PING, PRIORITY, PROTOCOL_ERROR, REFUSED_STREAM, RST_STREAM, SETTINGS, WINDOW_UPDATE,
                fields, frame, literal)
from harness import FanhornTest, config
from process import SANITIZED, cpu_seconds, resident

KEPT = 16 << 20 if SANITIZED else 4 << 20


class Floods(FanhornTest):
    config = config(public="http2 = cleartext\n", server="workers = 1\n",
                    limits="http2_streams = 100\nhttp2_resets = 50\nhttp2_frames = 50\nsend_timeout = 1s\n")

    def h2(self, settings=()):
        client = self.open(H2Client(self.daemon.public, settings))
        client.until(lambda: client.settings)
        return client

    def flood(self, client, bytes_of, count=20_000):
        """Sends as long as it is taken; the code of the GOAWAY."""
        try:
            for number in range(0, count, 50):
                client.wire.send(b"".join(bytes_of(number + i) for i in range(50)))
        except (ConnectionResetError, BrokenPipeError):
            pass
        return client.until_gone()

    def others_are_well(self):
        self.assertEqual(self.h2().request(path="/").status, 200)

    def assert_calmed(self, limit, client, bytes_of):
        before = resident(self.daemon.process.pid)
        code = self.assert_limit(limit, lambda: self.flood(client, bytes_of))
        self.assertIn(code, (ENHANCE_YOUR_CALM, None))  # None: a reset was faster than its last words
        self.assertLess(resident(self.daemon.process.pid) - before, KEPT)
        self.others_are_well()

    def test_rapid_reset(self):  # CVE-2023-44487
        client = self.h2()
        block = fields(path=f"/sub/{self.channel}", authority=client.authority, more=[("accept", "text/event-stream")])

        def begin_and_reset(number):
            stream = 1 + 2 * number
            return (frame(HEADERS, END_HEADERS | END_STREAM, stream, block)
                    + frame(RST_STREAM, 0, stream, struct.pack("!I", 0)))
        self.assert_calmed("http2_resets", client, begin_and_reset)
        self.wait_subscribers(self.channel, 0)

    def test_made_you_reset(self):  # CVE-2025-8671
        client = self.h2()
        block = fields(path=f"/sub/{self.channel}", authority=client.authority)

        def provoke():
            for _ in range(50):
                stream = client.open(block=block)
                client.send(WINDOW_UPDATE, 0, stream, b"\x7f\xff\xff\xff")
                self.assertIsNotNone(client.whole(stream).error)
            client.send(WINDOW_UPDATE, 0, client.open(block=block), b"\x7f\xff\xff\xff")
            return client.until_gone()
        self.assertEqual(self.assert_limit("http2_resets", provoke), ENHANCE_YOUR_CALM)
        self.others_are_well()

    def test_too_many_streams(self):
        client = self.h2()
        block = fields(path=f"/sub/{self.channel}", authority=client.authority, more=[("accept", "text/event-stream")])
        streams = [client.open(block=block) for _ in range(100)]
        self.daemon.publish(self.channel, b"to each")
        for stream in streams:
            client.body(stream, b"to each")

        def one_more():
            client.open(block=block)
            return client.until_gone()
        self.assertEqual(self.assert_limit("http2_streams", one_more), PROTOCOL_ERROR)
        self.wait_subscribers(self.channel, 0)
        self.others_are_well()

    def test_too_many_streams_at_once(self):
        """Before the client can know of the limit."""
        client = self.open(H2Client(self.daemon.public))
        block = fields(path=f"/sub/{self.channel}", authority=client.authority, more=[("accept", "text/event-stream")])
        last = client.answers[201] = Answer()

        def all_at_once():
            client.wire.send(b"".join(frame(HEADERS, END_HEADERS | END_STREAM, 1 + 2 * number, block)
                                      for number in range(101)))
            client.until(lambda: last.error == REFUSED_STREAM)
        self.assert_limit("http2_streams", all_at_once)
        self.assertEqual(self.daemon.subscribers(self.channel), 100)

    def test_pings(self):  # CVE-2019-9512
        self.assert_calmed("http2_frames", self.h2(), lambda _: frame(PING, 0, 0, bytes(8)))

    def test_settings(self):  # CVE-2019-9515
        self.assert_calmed("http2_frames", self.h2(), lambda _: frame(SETTINGS))

    def test_acknowledged_settings(self):
        self.assertIn(self.flood(self.h2(), lambda _: frame(SETTINGS, ACK)), (ENHANCE_YOUR_CALM, PROTOCOL_ERROR, None))
        self.others_are_well()

    def test_priorities(self):  # CVE-2019-9513
        self.assert_calmed("http2_frames", self.h2(),
                           lambda number: frame(PRIORITY, 0, 1 + 2 * (number % 50), bytes([0, 0, 0, 0, number % 256])))

    def test_empty_data(self):  # CVE-2019-9518
        client = self.h2()
        stream = client.open("POST", f"/sub/{self.channel}", ends=False)
        self.assert_calmed("http2_frames", client, lambda _: frame(DATA, 0, stream))

    def test_continuations(self):  # CVE-2024-27316
        client = self.h2()
        client.send(HEADERS, 0, 1, fields(path="/"))
        before = resident(self.daemon.process.pid)
        self.flood(client, lambda number: frame(CONTINUATION, 0, 1, literal(f"x-{number}", "v" * 1000)))
        self.assertLess(resident(self.daemon.process.pid) - before, KEPT)
        self.others_are_well()

    def test_compression_bomb(self):  # CVE-2016-1544: a large field, named again by one byte each
        client = self.h2()
        block = fields(path="/") + b"\x40\x01x\x7f\xa1\x1e" + b"v" * 4000 + b"\xbe" * 12_000
        before = resident(self.daemon.process.pid)
        self.assertEqual(client.whole(client.open(block=block)).status, 431)
        for _ in range(20):
            client.whole(client.open(block=fields(path="/") + b"\xbe" * 16_000))
        self.assertLess(resident(self.daemon.process.pid) - before, KEPT)
        self.others_are_well()

    def test_tables_and_integers(self):  # CVE-2016-6581 and overflows: RFC 7541 sections 4.3, 5.1
        for block in (b"\x3f\xff\xff\xff\xff\x0f", b"\xff\xff\xff\xff\xff\xff\x0f", b"\x00\x7f\xff\xff\xff\xff\x0f", b"\x80"):
            client = self.h2()
            client.open(block=block)
            self.assertIsNotNone(client.until_gone())
        self.others_are_well()

    def test_zero_windows(self):  # CVE-2019-9517
        for number in range(20):
            self.daemon.publish(self.channel, b"%d" % number + b"." * 60_000)
        before = resident(self.daemon.process.pid)
        clients = []
        for _ in range(10):
            client = self.h2({INITIAL_WINDOW: 0})
            clients.append(client)
            for _ in range(20):  # 20 on each of 10 connections
                client.open("GET", f"/sub/{self.channel}?transport=poll&since=0")
        time.sleep(0.3)
        self.assertLess(resident(self.daemon.process.pid) - before, 200 * 2_000_000)  # of answers of 1.2 MB
        self.others_are_well()
        for client in clients:  # whoever takes nothing within send_timeout is reset
            client.until(lambda its=client: all(answer.error is not None for answer in its.answers.values()))
            client.close()

    def test_blocked_socket(self):
        """Whoever takes nothing is cut after send_timeout, whatever he sends meanwhile."""
        for number in range(20):
            self.daemon.publish(self.channel, b"%d" % number + b"." * 60_000)
        client = self.open(H2Client(self.daemon.public, {INITIAL_WINDOW: 1 << 30}, receive_buffer=4096))
        client.send(WINDOW_UPDATE, 0, 0, struct.pack("!I", 1 << 30))

        def linger():
            for _ in range(20):
                client.open("GET", f"/sub/{self.channel}?transport=poll&since=0")
            for _ in range(40):
                time.sleep(0.2)
                client.wire.try_send(frame(WINDOW_UPDATE, 0, 0, struct.pack("!I", 1)))
                if self.daemon.metrics()["fanhorn_http2_connections"] == 0:
                    return
            self.fail("it is still there")
        self.assert_limit("send_timeout", linger)

    def test_one_byte_at_a_time(self):  # CVE-2019-9511
        client = self.h2({INITIAL_WINDOW: 1})
        stream = client.open("GET", f"/sub/{self.channel}", {"accept": "text/event-stream"})
        began = cpu_seconds(self.daemon.process.pid)
        for _ in range(40):
            client.send(WINDOW_UPDATE, 0, stream, struct.pack("!I", 1))
        client.until(lambda: len(client.answers[stream].body) > 30)
        self.assertLess(cpu_seconds(self.daemon.process.pid) - began, 1)
        self.others_are_well()

    def test_frames_that_are_wrong(self):
        wrong = {
            "data of no stream": frame(DATA, 0, 0, b"x"),
            "an even stream": frame(HEADERS, END_HEADERS | END_STREAM, 2, fields()),
            "too large": frame(DATA, 0, 1, b"x" * 16385),
            "a short ping": frame(PING, 0, 0, b"x"),
            "continuation of nothing": frame(CONTINUATION, END_HEADERS, 1, b""),
            "window of 0": frame(WINDOW_UPDATE, 0, 0, bytes(4)),
            "a push": frame(5, END_HEADERS, 1, bytes(4)),
            "settings of 5 bytes": frame(SETTINGS, 0, 0, b"12345"),
            "padding longer than the frame": frame(DATA, 8, 1, b"\xff"),
            "between headers": frame(HEADERS, END_STREAM, 1, fields()) + frame(PING, 0, 0, bytes(8)),
        }
        for name, data in wrong.items():
            client = self.h2()
            client.wire.send(data)
            self.assertNotIn(client.until_gone(), (None, 0), name)
        self.others_are_well()

    def test_requests_that_are_wrong(self):  # RFC 9113 sections 8.2 and 8.3: the stream is at fault
        line = [(":method", "GET"), (":scheme", "http"), (":authority", "localhost"), (":path", "/")]
        wrong = {
            "a connection's own field": [*line, ("connection", "close")],
            "transfer-encoding": [*line, ("transfer-encoding", "chunked")],
            "te": [*line, ("te", "gzip")],
            "upper case": [*line, ("X-Upper", "y")],
            "a line feed": [*line, ("x", "a\r\nx-more: b")],
            "a null": [*line, ("x", "a\0b")],
            "no method": line[1:],
            "no path": line[:3],
            "an empty path": [*line[:3], (":path", "")],
            "a blank in the path": [*line[:3], (":path", "/ HTTP/1.1\r\nx: y")],
            "two paths": [*line, (":path", "/")],
            "an unknown one": [*line, (":x", "y")],
            "late": [("x", "y"), *line],
        }
        client = self.h2()
        for name, listed in wrong.items():
            stream = client.open(block=b"".join(literal(*field) for field in listed))
            answer = client.whole(stream)
            self.assertTrue(answer.error is not None or answer.status == 400, (name, answer.__dict__))
        self.assertEqual(client.request(path="/").status, 200)

    def test_no_preface(self):
        wire = self.wire("public")
        wire.send(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n")
        self.assertIn(wire.read_response().status, (400, 505))
        self.assertTrue(wire.is_closed())
        self.others_are_well()
