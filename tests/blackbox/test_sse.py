# SPDX-License-Identifier: Apache-2.0
"""Server-sent events: what a strict EventSource sees."""

import base64
import json
import random
import unittest

from harness import FanhornTest, config, eventually, position
from readers import SseReader
from sse import SseParser


class Sse(FanhornTest):
    def published(self, *bodies, **options):
        """A stream, and the ids of what was published after it opened."""
        stream = self.sse(self.channel).opened()
        return stream, [self.daemon.publish(self.channel, body, **options)["id"] for body in bodies]

    def test_headers(self):
        headers = self.sse(self.channel).response.headers
        self.assertRegex(headers["Content-Type"].lower(), r"^text/event-stream(; ?charset=utf-8)?$")
        self.assertEqual(headers["Cache-Control"], "no-store")
        self.assertEqual(headers["X-Accel-Buffering"], "no")
        self.assertNotIn("Content-Length", headers)

    def test_greeting(self):
        self.daemon.publish(self.channel)
        newest = self.daemon.publish(self.channel)["id"]
        stream = self.sse(self.channel)
        blocks = [stream.next_block()]
        while not blocks[-1].is_position:
            blocks.append(stream.next_block())
        fields = [field for block in blocks for field in block.fields]
        self.assertEqual([name for name, _ in fields], ["retry", "id"])
        self.assertTrue(any(block.comments for block in blocks))
        self.assertTrue(stream.raw.startswith(b"retry:"), stream.raw[:40])
        self.assertEqual(stream.response.headers["Fanhorn-Id"], fields[1][1])
        self.assertGreaterEqual(position(fields[1][1])[1], position(newest)[1])

    def test_retry_is_jittered(self):
        retries = set()
        for _ in range(8):
            stream = self.sse(self.channel).opened()
            retries.update(block.retry for block in stream.all_blocks if block.retry)
        self.assertGreater(len(retries), 2)
        for retry in retries:
            self.assertTrue(100 <= int(retry) <= 120_000, retry)

    def test_event(self):
        stream, (identity,) = self.published(b"hello")
        event = stream.next_event()
        self.assertEqual(event.fields, [("id", identity), ("data", "hello")])
        self.assertEqual(stream.last_event_id, identity)

    def test_named_event(self):
        stream, _ = self.published(b"hello", event="greeting")
        event = stream.next_event()
        self.assertEqual((event.event, event.data), ("greeting", "hello"))

    def test_awkward_payloads(self):
        bodies = ["", " ", "  two blanks", "\n", "\n\n", "a\nb", "a\r\nb", "a\rb", "a\n", "\na", "a\n\nb", "\r\r\n\n\r",
                  "data: x", "id: 1", "\nid: forged.1\n\nevent: gap\ndata: x\n\n", ":", "\ufeff", "retry: 1",
                  "grüße \U0001f600", "\u2028x\u0085", "x" * 60000, "a\n" * 20000, "\u0000 nul"]
        stream, ids = self.published(*(body.encode() for body in bodies))
        for body, identity in zip(bodies, ids):
            event = stream.next_event()
            self.assertEqual(event.data, body.replace("\r\n", "\n").replace("\r", "\n"))
            self.assertEqual((event.event, event.id, event.retry), ("message", identity, None))

    def test_random_payloads(self):
        chance = random.Random(2)
        bodies = ["".join(chance.choices("ab:\r\n \u00fc{}\"id", k=chance.randrange(40))) for _ in range(200)]
        stream = self.sse(self.channel).opened()
        self.daemon.publish_lines([{"channel": self.channel, "text": body} for body in bodies])
        for body in bodies:
            self.assertEqual(stream.next_event().data, body.replace("\r\n", "\n").replace("\r", "\n"))

    def test_binary(self):
        payload = bytes(range(256))
        stream, _ = self.published(payload, b"\xc3", event="mine")
        event = stream.next_event()
        self.assertEqual((event.event, base64.b64decode(event.data, validate=True)), ("binary", payload))
        self.assertEqual(base64.b64decode(stream.next_event().data), b"\xc3")

    def test_envelope_mode(self):
        stream = self.sse(self.channel, envelope=1).opened()
        identity = self.daemon.publish(self.channel, b'a\r\n"b"\n', event="mine")["id"]
        event = stream.next_event()
        self.assertEqual([name for name, _ in event.fields], ["id", "data"])
        self.assertEqual(event.id, identity)
        self.assertEqual(json.loads(event.data), {"channel": self.channel, "id": identity, "n": 1,
                                                  "event": "mine", "data": 'a\r\n"b"\n'})
        self.daemon.publish(self.channel, b"\xff\x00")
        self.assertEqual(json.loads(stream.next_event().data)["base64"], "/wA=")

    def test_several_channels(self):
        names = [f"{self.channel}:{letter}" for letter in "abc"]
        stream = self.sse(",".join(names)).opened()
        ids = [self.daemon.publish(name, name.encode())["id"] for name in names * 3]
        got = [json.loads(stream.next_event().data) for _ in ids]
        self.assertEqual([item["id"] for item in got], ids)
        self.assertEqual([item["channel"] for item in got], names * 3)
        self.assertEqual([item["n"] for item in got], [1] * 3 + [2] * 3 + [3] * 3)

    def test_the_same_channel_twice_is_sent_once(self):
        reader = SseReader(self.daemon, f"{self.channel},{self.channel}")
        self.addCleanup(reader.close)
        ids = [self.daemon.publish(self.channel)["id"] for _ in range(3)]
        self.assertEqual([message["id"] for message in reader.messages(3)], ids)

    def test_escaped_channel_name(self):
        stream = self.sse("t:gr%C3%BC%C3%9Fe%20x", envelope=1).opened()
        self.daemon.publish("t:gr%C3%BC%C3%9Fe%20x")
        self.assertEqual(json.loads(stream.next_event().data)["channel"], "t:grüße x")

    def test_head_opens_nothing(self):
        wire = self.wire("public")
        response = wire.request("HEAD", "/sub/" + self.channel, headers={"Accept": "text/event-stream"})
        self.assertEqual(response.status, 200)
        self.assertTrue(response.headers["Content-Type"].startswith("text/event-stream"))
        self.assertEqual(self.daemon.subscribers(self.channel), 0)
        self.assertTrue(wire.is_quiet(0.2) or wire.eof)
        self.assertEqual(bytes(wire.buffer), b"")

    def test_http_1_0_gets_no_chunks(self):
        stream = self.sse(self.channel, version="1.0").opened()
        self.assertNotIn("Transfer-Encoding", stream.response.headers)
        self.daemon.publish(self.channel, b"hello")
        self.assertEqual(stream.next_event().data, "hello")

    def test_a_body_after_the_request_is_not_answered(self):
        stream = self.sse(self.channel).opened()
        stream.wire.try_send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        self.daemon.publish(self.channel, b"hello")
        event = None
        try:
            event = stream.next_event()
        except AssertionError:
            pass
        self.assertTrue(event is None or event.data == "hello")

    def test_all_that_was_published_together_comes_in_order(self):
        stream = self.sse(self.channel).opened()
        results = self.daemon.publish_lines([{"channel": self.channel, "text": str(number)} for number in range(500)])
        got = [stream.next_event() for _ in results]
        self.assertEqual([event.id for event in got], [result["id"] for result in results])
        self.assertEqual([event.data for event in got], [str(number) for number in range(500)])

    def test_many_streams_of_one_channel(self):
        streams = [self.sse(self.channel).opened() for _ in range(50)]
        ids = [self.daemon.publish(self.channel)["id"] for _ in range(5)]
        for stream in streams:
            self.assertEqual([stream.next_event().id for _ in ids], ids)


class EventSourceErrors(FanhornTest):
    config = config(limits="channels = 3", channels="[channel t:**]\n")

    def test_what_is_transient_is_told_in_the_stream(self):
        fillers = [self.sse(f"{self.channel}:{number}").opened() for number in range(3)]
        eventually(lambda: len(self.daemon.request("GET", "/channels").json()["channels"]) >= 3)
        stream = self.sse(self.channel + ":more")
        self.assertEqual(stream.response.status, 200, stream.response)
        event = stream.next_event()
        self.assertEqual(event.event, "error")
        problem = json.loads(event.data)
        self.assertEqual((problem["status"], problem["code"]), (503, "overloaded"))
        self.assertTrue(any(block.retry for block in stream.all_blocks))
        self.assertIsNone(stream.next_block())
        self.assertEqual(len(fillers), 3)

    def test_what_is_final_is_refused(self):
        stream = self.sse("nobody")
        self.assert_problem(stream.response, 404, "channel_unknown")


class Parser(unittest.TestCase):
    """The parser of these tests itself, on the examples of the standard."""

    def events(self, text):
        parser = SseParser()
        blocks = [block for byte in text.encode() for block in parser.feed(bytes([byte]))]
        return [(block.event, block.data) for block in blocks if block.data is not None]

    def test_standard_examples(self):
        self.assertEqual(self.events("data: YHOO\ndata: +2\ndata: 10\n\n"), [("message", "YHOO\n+2\n10")])
        self.assertEqual(self.events("data\n\ndata\ndata\n\ndata:"), [("message", ""), ("message", "\n")])
        self.assertEqual(self.events("data:test\r\n\r\ndata: test\r\r:"), [("message", "test"), ("message", "test")])

    def test_faults_are_seen(self):
        for text in ("dat: x\n\n", "id: x\n\n", "retry: soon\n\n"):
            with self.assertRaises(AssertionError):
                self.events(text)


if __name__ == "__main__":
    unittest.main()
