# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 from outside: each transport as streams of one connection, by TLS and by prior knowledge."""

import json
import re
import signal
import socket
import struct
import subprocess
import time

from certificates import Authority
from h2 import (CANCEL, CONNECT_PROTOCOL, DATA, END_STREAM, H2Client, HEADERS, INITIAL_WINDOW, MAX_STREAMS, NO_ERROR,
                PREFACE, REFUSED_STREAM, RST_STREAM, WINDOW_UPDATE, fields)
from harness import Daemon, FanhornTest, Wire, config, eventually
from wire import build_request
from ws import CLOSE, TEXT, FrameParser, close_payload, frame_bytes

AUTHORITY = Authority()
CERTIFICATE, KEY = AUTHORITY.sign("main", "relay.example")
CLEARTEXT = "http2 = cleartext\n"


def tearDownModule():
    AUTHORITY.remove()


class Http2Test(FanhornTest):
    config = config(public=CLEARTEXT, private=CLEARTEXT)

    def h2(self, listener="public", settings=(), **options):
        return self.open(H2Client(self.daemon.address(listener), settings, **options))

    def stream(self, client, query="", **options):
        """An event stream that has begun."""
        stream = client.open("GET", f"/sub/{self.channel}{query}", {"accept": "text/event-stream"}, **options)
        client.body(stream, b"\n\n")
        return stream


class Streams(Http2Test):
    def test_settings(self):
        client = self.h2()
        client.request(path="/")
        self.assertEqual(client.settings[MAX_STREAMS], 100)
        self.assertEqual(client.settings[CONNECT_PROTOCOL], 1)

    def test_requests(self):
        client = self.h2("private")
        published = client.request("POST", f"/pub/{self.channel}", body=b"one")
        self.assertEqual(published.status, 200)
        self.assertEqual(json.loads(published.body)["n"], 1)
        facts = client.request("GET", f"/pub/{self.channel}")
        self.assertEqual(json.loads(facts.body)["messages"], 1)
        head = client.request("HEAD", "/metrics")
        self.assertEqual((head.status, head.body), (200, b""))
        self.assertEqual(client.request("GET", "/nothing").status, 404)
        self.assertEqual(client.request("PATCH", "/pub/a").status, 405)
        self.assertEqual(client.request("GET", "/" + "u" * 9000).status, 414)
        self.assertEqual(client.request("GET", "/", {"x-large": "l" * 17000}).status, 431)
        self.assertEqual(client.request("GET", "/", {f"x-{i}": "y" for i in range(101)}).status, 431)
        self.assertEqual(client.request("DELETE", f"/pub/{self.channel}").status, 204)

    def test_hosts_of_the_private_listener(self):
        client = self.h2("private")
        client.authority = "evil.example"
        self.assertEqual(client.request("POST", f"/pub/{self.channel}", body=b"x").status, 403)

    def test_large_bodies(self):
        client = self.h2("private")
        answer = client.request("POST", f"/pub/{self.channel}", {"content-length": "3"}, body=b"abc")
        self.assertEqual(answer.status, 200)
        # More than it says, and less, are errors of the stream (RFC 9113 section 8.1.1).
        for body in (b"ab", b"abcd"):
            answer = client.request("POST", f"/pub/{self.channel}", {"content-length": "3"}, body=body)
            self.assertIsNotNone(answer.error)
        stream = client.open("POST", f"/pub/{self.channel}", ends=False)
        for _ in range(3):
            client.send(DATA, 0, stream, b"x" * 16384)
        client.send(DATA, END_STREAM, stream, b"y" * 10000)
        self.assertEqual(client.whole(stream).status, 200)
        self.assertEqual(len(self.daemon.poll(self.channel, since="-1")["messages"][0]["data"]), 3 * 16384 + 10000)
        stream = client.open("POST", f"/pub/{self.channel}", {"content-length": "2000000"}, ends=False)
        self.assertEqual(client.whole(stream).status, 413)

    def test_streamed_lines(self):
        client = self.h2("private")
        stream = client.open("POST", "/pub", {"content-type": "application/x-ndjson"}, ends=False)
        for number in (1, 2, 3):
            line = json.dumps({"channel": self.channel, "data": number}) + "\n"
            client.send(DATA, 0, stream, line[:10].encode())
            client.send(DATA, 0, stream, line[10:].encode())
            client.until(lambda wanted=number: client.answers[stream].body.count(b"\n") == wanted)
        client.send(DATA, END_STREAM, stream)
        self.assertEqual(len(client.whole(stream).body.splitlines()), 3)

    def test_event_streams_of_one_connection(self):
        client = self.h2()
        streams = [self.stream(client) for _ in range(30)]
        self.assertEqual(self.daemon.subscribers(self.channel), 30)
        for number in range(20):
            self.daemon.publish(self.channel, f"m{number}.".encode())
        for stream in streams:
            client.body(stream, b"m19.")
            self.assertEqual(re.findall(rb"data: m(\d+)\.", client.answers[stream].body),
                             [b"%d" % number for number in range(20)])
        for stream in streams[:10]:
            client.send(RST_STREAM, 0, stream, struct.pack("!I", CANCEL))
        eventually(lambda: self.daemon.subscribers(self.channel) == 20, "the end of ten streams")
        metrics = self.daemon.metrics()
        self.assertEqual(metrics["fanhorn_http2_connections"], 1)
        self.assertEqual(metrics['fanhorn_connections{transport="sse"}'], 20)
        client.close()
        eventually(lambda: self.daemon.subscribers(self.channel) == 0, "the end of the others")
        eventually(lambda: self.daemon.metrics()["fanhorn_http2_connections"] == 0, "that of the connection")

    def test_resume(self):
        ids = [self.daemon.publish(self.channel, f"m{number}.".encode())["id"] for number in range(5)]
        client = self.h2()
        stream = client.open("GET", f"/sub/{self.channel}",
                             {"accept": "text/event-stream", "last-event-id": ids[2]})
        client.body(stream, b"m4.")
        self.assertEqual(re.findall(rb"data: m(\d)\.", client.answers[stream].body), [b"3", b"4"])

    def test_polls(self):
        client = self.h2()
        poll = client.open("GET", f"/sub/{self.channel}?transport=longpoll&since=latest")
        eventually(lambda: self.daemon.subscribers(self.channel) == 1, "a held poll")
        self.daemon.publish(self.channel, b"answer")
        self.assertEqual(json.loads(client.whole(poll).body)["messages"][0]["data"], "answer")
        short = client.request("GET", f"/sub/{self.channel}?transport=poll&since=0")
        self.assertEqual(len(json.loads(short.body)["messages"]), 1)

    def test_a_deleted_channel_ends_its_streams(self):
        client = self.h2()
        stream = self.stream(client)
        self.daemon.publish(self.channel)
        self.daemon.request("DELETE", f"/pub/{self.channel}")
        self.assertIn(b"event: end", client.whole(stream).body)

    def test_stalled_stream(self):
        """A stream whose window is closed holds up none of the others, and is told what it missed."""
        client = self.h2(settings={INITIAL_WINDOW: 0})
        stalled, free = (client.open("GET", f"/sub/{self.channel}", {"accept": "text/event-stream"}) for _ in "ab")
        client.send(WINDOW_UPDATE, 0, free, struct.pack("!I", 1 << 30))
        client.send(WINDOW_UPDATE, 0, 0, struct.pack("!I", 1 << 30))
        eventually(lambda: self.daemon.subscribers(self.channel) == 2, "both of them")
        for number in range(20):
            self.daemon.publish(self.channel, b"%d" % number + b"." * 60_000)
        client.body(free, b"data: 19.")
        self.assertEqual(client.answers[stalled].body, b"")
        client.send(WINDOW_UPDATE, 0, stalled, struct.pack("!I", 1 << 30))
        client.body(stalled, b"data: 19.")
        body = client.answers[stalled].body
        self.assertIn(b"event: gap", body)
        numbers = [int(number) for number in re.findall(rb"data: (\d+)\.", body)]
        self.assertEqual(numbers, sorted(set(numbers)))


class Websockets(Http2Test):
    def upgrade(self, client, path, **headers):
        client.until(lambda: client.settings)
        block = [(":protocol", "websocket"), ("sec-websocket-version", "13"),
                 *((name.replace("_", "-"), value) for name, value in headers.items())]
        stream = client.open("CONNECT", path, dict(block), ends=False)
        client.until(lambda: client.answers[stream].status or client.answers[stream].error is not None)
        return stream

    def frames(self, client, stream, count):
        parser, frames, read = FrameParser(), [], 0
        while len(frames) < count:
            client.until(lambda: len(client.answers[stream].body) > read)
            body = client.answers[stream].body
            frames, read = frames + parser.feed(body[read:]), len(body)
        return frames

    def test_messages_both_ways(self):
        client = self.h2()
        stream = self.upgrade(client, f"/sub/{self.channel}")
        self.assertEqual(client.answers[stream].status, 200)
        client.send(DATA, 0, stream, frame_bytes(TEXT, b"from a stream"))
        self.assertEqual(self.frames(client, stream, 1)[0].payload, b"from a stream")
        client.send(DATA, 0, stream, frame_bytes(CLOSE, close_payload(1000)))
        self.assertTrue(client.whole(stream).is_ended)

    def test_a_close_at_the_end(self):
        client = self.h2()
        stream = self.upgrade(client, f"/sub/{self.channel}")
        client.send(DATA, END_STREAM, stream, frame_bytes(CLOSE, close_payload(1000)))
        answer = client.whole(stream)
        self.assertTrue(answer.is_ended, answer.__dict__)
        self.assertEqual(FrameParser().feed(answer.body)[-1].payload, close_payload(1000))

    def test_session(self):
        client = self.h2()
        stream = self.upgrade(client, "/sub", sec_websocket_protocol="fanhorn.v1")
        client.send(DATA, 0, stream, frame_bytes(TEXT, json.dumps({"id": 1, "subscribe": {"channel": self.channel}}).encode()))
        hello, reply, *_ = (json.loads(frame.payload) for frame in self.frames(client, stream, 2))
        self.assertIn("connection", hello)
        self.assertIn("ok", reply)

    def test_refusals(self):
        client = self.h2()
        self.assertEqual(client.answers[self.upgrade(client, "/nowhere")].status, 404)
        version = client.open("CONNECT", f"/sub/{self.channel}", {":protocol": "websocket"}, ends=False)
        self.assertEqual(client.whole(version).status, 426)
        other = client.open("CONNECT", f"/sub/{self.channel}", {":protocol": "connect-udp"}, ends=False)
        self.assertIn(client.whole(other).status, (400, 405))

    def test_an_end_without_a_close(self):
        client = self.h2()
        stream = self.upgrade(client, f"/sub/{self.channel}")
        self.wait_subscribers(self.channel, 1)
        client.send(DATA, END_STREAM, stream)
        self.wait_subscribers(self.channel, 0)


class Prefaces(Http2Test):
    def test_in_pieces_beside_http1(self):
        wire = self.wire("public")
        for byte in PREFACE[:20]:
            wire.send(bytes([byte]))
            time.sleep(0.005)
        client = self.h2(preface=PREFACE)
        self.assertEqual(client.request(path="/").status, 200)
        wire.send(PREFACE[20:])
        self.assertNotEqual(wire.read_exactly(9), b"")  # our settings
        for begin in ("P", "PR", "PRI"):  # a method that begins so
            plain = self.wire("public")
            plain.send(begin.encode())
            time.sleep(0.02)
            plain.send(b"X / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.assertEqual(plain.read_response().status, 405)
        plain = self.wire("public")
        self.assertEqual(plain.request("GET", "/").status, 200)

    def test_only_where_it_is_set(self):
        for setting in ("", "http2 = on\n", "http2 = off\n"):
            with Daemon(config(public=setting)) as daemon, Wire(daemon.public) as wire:
                wire.send(PREFACE)
                self.assertIn(wire.read_response().status, (400, 505))

    def test_an_upgrade_is_ignored(self):
        wire = self.wire("public")
        wire.send(build_request("GET", "/", self.daemon.public,
                                headers={"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c",
                                         "HTTP2-Settings": "AAMAAABkAARAAAAAAAIAAAAA"}))
        self.assertEqual(wire.read_response().status, 200)

    def test_behind_proxies(self):
        text = config(public=CLEARTEXT + "proxy_protocol = on\ntrusted_proxies = 127.0.0.1\nallow = 192.0.2.0/24\n")
        with Daemon(text) as daemon:
            for client, forwarded, status in (("192.0.2.1", None, 200), ("198.51.100.1", None, 403),
                                              ("127.0.0.1", "192.0.2.9", 200), ("127.0.0.1", "198.51.100.9", 403)):
                header = f"PROXY TCP4 {client} 127.0.0.1 1 2\r\n".encode()
                h2 = self.open(H2Client(daemon.public, preface=header + PREFACE))
                more = {"x-forwarded-for": forwarded} if forwarded else {}
                self.assertEqual(h2.request(path="/", headers=more).status, status, (client, forwarded))


class Ends(Http2Test):
    config = config(public=CLEARTEXT, private=CLEARTEXT, limits="idle_timeout = 1s\nheader_timeout = 1s\n",
                    server="drain = 300ms\n", more="[log]\nlevel = info\n")

    def test_idle(self):
        client = self.h2()
        client.request(path="/")
        self.assert_limit("idle_timeout", lambda: self.assertEqual(client.until_gone(), NO_ERROR))
        busy = self.h2()
        stream = self.stream(busy)
        busy.drain(2.5)
        self.daemon.publish(self.channel, b"still there")
        busy.body(stream, b"still there")

    def test_nothing_behind_the_preface(self):
        self.assert_limit("header_timeout", lambda: self.assertEqual(self.h2().until_gone(), NO_ERROR))

    def test_half_a_head(self):
        for settled in (False, True):
            client = self.h2()
            client.until(lambda its=client: its.settings)  # nothing may stand within a head
            if settled:
                client.request(path="/")
            client.send(HEADERS, END_STREAM, client.next_id, fields(path="/"))
            self.assert_limit("header_timeout", lambda its=client: self.assertIsNone(its.until_gone()))

    def test_an_end_behind_a_request(self):
        self.daemon.publish(self.channel, b"x" * 40_000)  # more than what waits in a stream
        for path, size in (("/healthz", 3), (f"/sub/{self.channel}?transport=poll&since=0", 40_000)):
            client = self.h2()
            stream = client.open(path=path)
            client.wire.socket.shutdown(socket.SHUT_WR)
            self.assertEqual(client.whole(stream).status, 200)
            self.assertGreaterEqual(len(client.answers[stream].body), size)

    def test_half_a_request(self):
        client = self.h2()
        stream = client.open("POST", "/sub/" + self.channel, ends=False)
        client.send(DATA, 0, stream, b"x")
        client.send(RST_STREAM, 0, stream, struct.pack("!I", CANCEL))
        self.assertEqual(client.request(path="/").status, 200)

    def test_drain(self):
        daemon = Daemon(self.config).start()
        self.addCleanup(daemon.kill)
        client = self.open(H2Client(daemon.public))
        stream = client.open("GET", "/sub/a", {"accept": "text/event-stream"})
        client.body(stream, b"\n\n")
        daemon.send_signal(signal.SIGQUIT)
        self.assertIn(b"retry:", client.whole(stream).body)
        self.assertEqual(client.until_gone(), NO_ERROR)
        client.close()
        self.assertEqual(daemon.wait(), 0)

    def test_max_connections_counts_streams(self):
        with Daemon(config(public=CLEARTEXT, server="max_connections = 4\n")) as daemon:
            client = self.open(H2Client(daemon.public))

            def is_opened():
                stream = client.open("GET", "/sub/a", {"accept": "text/event-stream"})
                answer = client.answers[stream]
                client.until(lambda: b"\n\n" in answer.body or answer.error is not None)
                return answer.error is None
            for _ in range(3):  # the connection that asked whether it is ready may still count
                eventually(is_opened, "a stream")
            self.assertEqual(client.whole(client.open("GET", "/sub/a")).error, REFUSED_STREAM)


class Secured(Http2Test):
    """What stock clients say of it."""
    config = config(public="tls = main\n", more=f"[tls main]\ncertificate = {CERTIFICATE}\nkey = {KEY}\n")

    def run_client(self, *command):
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)

    def test_curl(self):
        self.daemon.publish(self.channel, b"hello")
        host, port = self.daemon.public
        told = self.run_client("curl", "--http2", "-sv", "-N", "--max-time", "2", "--cacert", AUTHORITY.folder / "ca.pem",
                               "--resolve", f"relay.example:{port}:{host}", "-H", "Accept: text/event-stream",
                               f"https://relay.example:{port}/sub/{self.channel}?since=0")
        self.assertIn("ALPN: server accepted h2", told.stderr)
        self.assertRegex(told.stderr, r"(?m)^< HTTP/2 200")
        self.assertRegex(told.stderr, r"(?m)^< content-type: text/event-stream")
        self.assertIn("data: hello", told.stdout)
        self.assertNotRegex(told.stderr, r"(?mi)^< (connection|transfer-encoding):")

    def test_nghttp(self):
        self.daemon.publish(self.channel, b"hello")
        told = self.run_client("nghttp", "-v", "--no-verify-peer", "-m", "5",
                               "https://%s:%d" % self.daemon.public + f"/sub/{self.channel}?transport=poll&since=0")
        self.assertEqual(told.returncode, 0, told)
        self.assertIn("The negotiated protocol: h2", told.stdout)
        self.assertIn("[SETTINGS_ENABLE_CONNECT_PROTOCOL(0x08):1]", told.stdout)
        self.assertIn("[SETTINGS_MAX_CONCURRENT_STREAMS(0x03):100]", told.stdout)
        self.assertEqual(told.stdout.count(":status: 200"), 5)
        self.assertEqual(told.stdout.count('"data":"hello"'), 5)
        self.assertNotIn("RST_STREAM", told.stdout)

    def test_large_messages(self):
        for number in range(10):
            self.daemon.publish(self.channel, b"%d" % number + b"." * 60_000)
        told = self.run_client("nghttp", "--no-verify-peer",
                               "https://%s:%d" % self.daemon.public + f"/sub/{self.channel}?transport=poll&since=0")
        messages = json.loads(told.stdout)["messages"]
        self.assertEqual([message["data"][0] for message in messages], list("0123456789"))


class Off(FanhornTest):
    config = config(public="tls = main\nhttp2 = off\n",
                    more=f"[tls main]\ncertificate = {CERTIFICATE}\nkey = {KEY}\n")

    def test_alpn(self):
        told = subprocess.run(["curl", "--http2", "-skv", "https://%s:%d/" % self.daemon.public], capture_output=True,
                              text=True, timeout=20, check=False)
        self.assertIn("ALPN: server accepted http/1.1", told.stderr)
        self.assertRegex(told.stderr, r"(?m)^< HTTP/1.1 200")
