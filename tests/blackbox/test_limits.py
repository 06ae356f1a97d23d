# SPDX-License-Identifier: Apache-2.0
"""Every limit, reached from outside: its answer, its log line, its metric."""

import json
import resource
import signal
import time
import unittest

from harness import Daemon, FanhornTest, Wire, config, eventually
from process import cpu_seconds
from sse import SseClient
from ws import BINARY, CONTINUATION, frame_bytes

VERBOSE = "[log]\nlevel = info\n"  # what a vanished peer leaves is no notice
LIMITS = {
    "header_size", "header_count", "uri_size", "header_timeout", "body_size", "body_timeout", "idle_timeout",
    "send_timeout", "subscriptions", "channels", "mailbox_bytes", "ws_fragments", "max_connections",
    "descriptors", "message_size", "slow_consumer_limit", "heartbeat", "idempotency_keys", "filters", "wildcards", "wildcard_channels",
    "presence_users", "token_size", "publish_rate", "read_markers", "user_read_markers", "auth_requests",
    "cache_answers", "handshakes", "http2_streams", "http2_resets", "http2_frames", "connections_per_address", "connection_rate",
    "connections_per_user", "subscribers", "memory", "log_queue", "accept_rate", "channels_per_user", "connection_max_age",
    "commands",
}  # slow_consumer_limit is reached in test_slow, heartbeat in test_heartbeat, filters in test_filter,
   # token_size in test_auth, publish_rate in test_publish_rate, both read_markers in test_read,
   # auth_requests and cache_answers in test_auth_callback, handshakes in test_tls, http2_* in test_http2_floods,
   # those of addresses and accept_rate in test_addresses, those per user and subscribers in test_subscribers,
   # connection_max_age in test_age,
   # memory in test_memory, log_queue in test_durable, commands in test_redis_access, the others here


class Requests(FanhornTest):
    config = config(limits="""
header_size = 4k
header_count = 20
uri_size = 1k
header_timeout = 1s
body_size = 100k
body_timeout = 1s
idle_timeout = 2s
subscriptions = 3
ws_fragments = 10
""", more=VERBOSE, channels="[channel **]\nclient_publish = public\nmessage_size = 10k\n")

    def test_each_has_a_metric(self):
        names = [name for name in self.daemon.metrics() if name.startswith("fanhorn_limit_hits_total{")]
        self.assertEqual(set(names), {'fanhorn_limit_hits_total{limit="%s"}' % name for name in LIMITS})

    def head(self, wire, *lines, method="POST", path=None):
        path = path or "/pub/" + self.channel
        first = [f"{method} {path} HTTP/1.1", f"Host: {wire.address[0]}:{wire.address[1]}"]
        return "\r\n".join(first + list(lines)).encode() + b"\r\n"

    def refuse(self, data, status, code, wire=None):
        wire = wire or self.wire()
        wire.try_send(data)
        response = wire.read_response()
        self.assert_problem(response, status, code)
        self.assertTrue(wire.is_closed())

    def test_header_size(self):
        wire = self.wire()
        data = self.head(wire, "X-Long: " + "x" * 5000) + b"\r\n"
        self.assert_limit("header_size", lambda: self.refuse(data, 431, "headers_too_large", wire))

    def test_header_size_without_an_end(self):
        wire = self.wire()
        data = self.head(wire) + b"X: " + b"x" * 5000
        self.assert_limit("header_size", lambda: self.refuse(data, 431, "headers_too_large", wire))

    def test_header_size_is_not_reached(self):
        wire = self.wire()
        wire.send(self.head(wire, "X-Long: " + "x" * 3500, "Content-Length: 0") + b"\r\n")
        self.assertEqual(wire.read_response().status, 200)

    def test_header_count(self):
        wire = self.wire()
        fields = [f"X-{number}: y" for number in range(20)]
        data = self.head(wire, *fields) + b"\r\n"
        self.assert_limit("header_count", lambda: self.refuse(data, 431, "headers_too_large", wire))
        wire = self.wire()
        wire.send(self.head(wire, *fields[:18], "Content-Length: 0") + b"\r\n")
        self.assertEqual(wire.read_response().status, 200)

    def test_uri_size(self):
        wire = self.wire()
        data = self.head(wire, path="/pub/x?tags=" + "x" * 1100) + b"\r\n"
        self.assert_limit("uri_size", lambda: self.refuse(data, 414, "uri_too_long", wire))

    def test_header_timeout(self):
        wire = self.wire()
        data = self.head(wire)
        self.assert_limit("header_timeout", lambda: self.refuse(data, 408, "timeout", wire))

    def test_header_timeout_is_absolute(self):
        wire, start = self.wire(), time.monotonic()
        while time.monotonic() - start < 4 and not wire.eof:
            wire.try_send(b"G")
            try:
                wire.receive(time.monotonic() + 0.2)
            except TimeoutError:
                pass
        self.assertTrue(wire.buffer or wire.eof, "dribbling keeps it open")

    def test_empty_lines_hold_no_connection(self):
        wire = self.wire()
        wire.send(b"\r\n")
        self.assertTrue(wire.is_quiet(0.3))
        wire.send(b"\r\n")  # one too many, as it is when both come at once
        self.assertEqual(wire.read_response().status, 400)
        self.assertTrue(wire.is_closed())

    def test_header_timeout_behind_an_answer_without_a_body(self):
        wire = self.wire()
        wire.send(self.head(wire, path="/healthz", method="HEAD") + b"\r\n" + b"GET /hea")
        self.assertEqual(wire.read_response("HEAD").status, 200)
        self.assert_problem(wire.read_response(), 408, "timeout")

    def test_a_connection_that_asks_nothing_ends(self):
        self.assert_limit("header_timeout", lambda: self.assertTrue(self.wire().is_closed(8)))

    def test_idle_timeout(self):
        kept = self.wire()
        self.assertEqual(kept.request("GET", "/healthz").status, 200)
        self.assert_limit("idle_timeout", lambda: self.assertTrue(kept.is_closed(8)))

    def test_body_size(self):
        wire = self.wire()
        data = self.head(wire, "Content-Length: 200000") + b"\r\n" + b"x" * 1000
        self.assert_limit("body_size", lambda: self.refuse(data, 413, "too_large", wire))
        wire = self.wire()
        chunks = b"".join(b"8000\r\n" + b"x" * 0x8000 + b"\r\n" for _ in range(4))
        data = self.head(wire, "Transfer-Encoding: chunked") + b"\r\n" + chunks
        self.assert_limit("body_size", lambda: self.refuse(data, 413, "too_large", wire))

    def test_body_timeout(self):
        wire = self.wire()
        data = self.head(wire, "Content-Length: 10") + b"\r\nhalf"
        self.assert_limit("body_timeout", lambda: self.refuse(data, 408, "timeout", wire))

    def test_body_timeout_is_absolute(self):
        wire, start = self.wire(), time.monotonic()
        wire.send(self.head(wire, "Content-Length: 1000") + b"\r\n")
        while time.monotonic() - start < 4 and not wire.eof:
            wire.try_send(b"x")
            try:
                wire.receive(time.monotonic() + 0.2)
            except TimeoutError:
                pass
        self.assertTrue(wire.buffer or wire.eof, "dribbling keeps it open")

    def test_message_size(self):
        def hit():
            response = self.daemon.request("POST", "/pub/" + self.channel, body=b"x" * 10241)
            self.assert_problem(response, 413, "too_large")
        self.assert_limit("message_size", hit)
        self.daemon.publish(self.channel, b"x" * 10240)

    def test_message_size_of_a_websocket(self):
        def hit():
            client = self.ws(self.channel)
            client.send_binary(b"x" * 10241)
            self.assertEqual(client.expect_close().code, 1009)
        self.assert_limit("message_size", hit)

    def test_subscriptions(self):
        def hit():
            names = ",".join(f"{self.channel}:{number}" for number in range(4))
            response = self.daemon.request("GET", "/sub/" + names, "public")
            self.assert_problem(response, 400, "bad_channel")
        self.assert_limit("subscriptions", hit)
        self.sse(",".join(f"{self.channel}:{number}" for number in range(3))).opened()

    def test_ws_fragments(self):
        def hit():
            client = self.ws(self.channel)
            client.send_frame(BINARY, b"x", fin=False)
            for _ in range(11):
                client.send_frame(CONTINUATION, b"x", fin=False)
            self.assertEqual(client.expect_close().code, 1009)
        self.assert_limit("ws_fragments", hit)

    def test_many_at_their_limits_disturb_nobody(self):
        wires = [self.wire() for _ in range(100)]
        for wire in wires:
            wire.try_send(self.head(wire, "X: " + "x" * 6000))
            wire.try_send(frame_bytes(BINARY, b"x" * 1000))
        stream = self.sse(self.channel).opened()
        self.daemon.publish(self.channel, b"hello")
        self.assertEqual(stream.next_event().data, "hello")


class Channels(FanhornTest):
    config = config(limits="channels = 3")

    def test_channels(self):
        for number in range(3):
            self.daemon.publish(f"{number}")

        def hit():
            response = self.daemon.request("POST", "/pub/one-more", body=b"x")
            self.assert_problem(response, 503, "overloaded")
            response = self.daemon.request("GET", "/sub/one-more", "public", query={"wait": "20"})
            self.assert_problem(response, 503, "overloaded")
            self.assert_problem(self.refused("one-more", 503), 503, "overloaded")
        self.assert_limit("channels", hit)
        self.daemon.publish("0")
        self.daemon.request("DELETE", "/pub/1")
        eventually(lambda: self.daemon.request("POST", "/pub/one-more", body=b"x").status == 200, "a free place")


class Mailbox(FanhornTest):
    config = config(limits="mailbox_bytes = 64k", channels="""
[channel long:**]
history_bytes = 8m
slow_consumer_limit = 8m
[channel short:**]
history = 5
slow_consumer_limit = 8m
""")

    def burst(self, channel):
        """900 kB in one step, far more than a mailbox takes."""
        body = json.dumps({"messages": [{"channel": channel, "text": "x" * 60000}] * 15})
        response = self.daemon.request("POST", "/pub", body=body, headers={"Content-Type": "application/json"})
        return [result["id"] for result in response.json()["results"]]

    def bursts(self, channel):
        """Bursts until one was too much; a worker that is quick enough takes one in pieces."""
        before = self.daemon.limit_hits("mailbox_bytes")
        for _ in range(50):
            yield self.burst(channel)
            if self.daemon.limit_hits("mailbox_bytes") > before:
                return
        self.fail("no mailbox is ever full")

    def test_beyond_it_history_is_read_again(self):
        client = self.envelopes("long:x")

        def hit():
            for ids in self.bursts("long:x"):
                self.assertEqual([client.next_json()["id"] for _ in ids], ids)
        self.assert_limit("mailbox_bytes", hit)

    def test_what_is_gone_is_a_gap(self):
        client, gaps = self.envelopes("short:x"), []
        for _ in range(50):  # until the worker looks only after more than history keeps went by
            for ids in self.bursts("short:x"):
                gaps += self.gaps_within(client, ids)
            if gaps:
                break
        self.assertIn({gap["why"] for gap in gaps}, ({"overflow"}, {"trimmed"}, {"overflow", "trimmed"}))

    def gaps_within(self, client, ids):
        """Reads to the last of these ids; all are there in order, or inside a gap."""
        at, gaps = 0, []
        while at < len(ids):
            envelope = client.next_json()
            if "gap" in envelope:
                gaps.append(envelope["gap"])
                at = ids.index(envelope["gap"]["next"], at)
            else:
                self.assertEqual(envelope["id"], ids[at])
                at += 1
        return gaps

class SendTimeout(FanhornTest):
    config = config(limits="send_timeout = 1s", channels="[channel **]\nhistory_bytes = 8m\n")

    def test_send_timeout(self):
        lines = [{"channel": self.channel, "text": "x" * 60000}] * 60
        self.daemon.publish_lines(lines, 5)

        def hit():
            stalled = SseClient(self.daemon.public, "/sub/" + self.channel, {"since": "0"}, receive_buffer=4096)
            self.addCleanup(stalled.close)
            self.wait_subscribers(self.channel, 1)
            self.wait_subscribers(self.channel, 0)
        self.assert_limit("send_timeout", hit)

    def test_25_what_the_kernel_holds(self):
        """Who has gone without a word has no room, and the daemon's own writes go well."""
        for reload in (False, True):
            with self.subTest(reload=reload):
                if reload:
                    self.daemon.send_signal(signal.SIGHUP)
                    eventually(lambda: "event=reloaded" in self.daemon.log(), "the reload")
                hits = self.daemon.limit_hits("send_timeout")
                gone = self.open(SseClient(self.daemon.public, "/sub/" + self.channel, receive_buffer=4096)).opened()
                reads = self.sse(self.channel).opened()
                self.daemon.publish(self.channel, b"x" * 12_000)
                self.assertEqual(reads.next_event().data, "x" * 12_000)
                self.wait_subscribers(self.channel, 1)
                self.assertEqual(self.daemon.limit_hits("send_timeout"), hits)
                gone.close()
                reads.close()
                self.wait_subscribers(self.channel, 0)


class IdempotencyKeys(FanhornTest):
    LIMIT = 200_000

    def keys(self, first, count):
        lines = [{"channel": "x", "text": "", "store": 0, "idempotency_key": f"k{number}"}
                 for number in range(first, first + count)]
        return self.daemon.publish_lines(lines, 500)

    def test_idempotency_keys(self):
        first = self.keys(0, self.LIMIT)[0]
        again = self.keys(0, 1)[0]
        self.assertEqual((again["id"], again.get("replayed")), (first["id"], True))
        self.assert_limit("idempotency_keys", lambda: self.keys(self.LIMIT, 1))
        self.assertNotEqual(self.keys(0, 1)[0]["id"], first["id"])  # the oldest was forgotten


class MaxConnections(FanhornTest):
    config = config(server="max_connections = 12")

    def test_max_connections(self):
        def hit():
            crowd = [Wire(self.daemon.public) for _ in range(18)]
            refused = [wire for wire in crowd if not wire.is_quiet(0.5)]
            self.assertIn(len(refused), (6, 7))  # one may still be leaving
            for wire in refused:
                self.assert_problem(wire.read_response(), 503, "overloaded")
                self.assertTrue(wire.is_closed())
            self.leave(crowd)

        stream = self.sse("x").opened()
        self.daemon.publish("x", b"before")
        self.leave([stream])
        self.assert_limit("max_connections", hit)

    def leave(self, clients):
        for client in clients:
            client.close()
        eventually(lambda: answers(self.daemon), "recovery", 5)


class Descriptors(unittest.TestCase):
    def test_few_from_the_start(self):
        with Daemon(config(), nofile=90) as daemon:
            self.assertIn("event=max_connections_lowered", daemon.log())
            self.check_crowd(daemon, "max_connections")

    def test_none_left(self):
        """The limit is taken away from the running daemon, so that accept() fails."""
        with Daemon() as daemon:
            self.deliver_once(daemon)
            few = int(daemon.metrics()["process_open_fds"]) + 8
            resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (few, few))
            self.check_crowd(daemon, "descriptors")
            self.assertIn("event=descriptors_exhausted", daemon.log())

    def deliver_once(self, daemon):
        """UBSan opens a pipe when it meets an object of a type for the first time, and takes it for
        broken when there is no descriptor left."""
        stream = SseClient(daemon.public, "/sub/x").opened()
        daemon.publish("x", b"first")
        self.assertEqual(stream.next_event().data, "first")
        daemon.metrics()
        stream.close()
        eventually(lambda: answers(daemon), "an answer", 5)

    def check_crowd(self, daemon, limit):
        stream = SseClient(daemon.public, "/sub/x").opened()
        crowd = [Wire(daemon.public, timeout=2) for _ in range(150)]
        before, start = cpu_seconds(daemon.process.pid), time.monotonic()
        time.sleep(1)
        used = (cpu_seconds(daemon.process.pid) - before) / (time.monotonic() - start)
        self.assertLess(used, 0.3, "spinning")
        for wire in crowd:
            wire.close()
        start = time.monotonic()
        # Of every worker: one may still have the dead of the crowd to accept.
        eventually(lambda: all(answers(daemon) for _ in range(16)), "recovery", 10)
        self.assertLess(time.monotonic() - start, 5)
        daemon.publish("x", b"still here")
        self.assertEqual(stream.next_event().data, "still here")
        stream.close()
        eventually(lambda: hits(daemon, limit) > 0, "the metric", 5)
        self.assertGreater(daemon.limit_lines(limit), 0)


def hits(daemon, limit):
    try:
        return daemon.limit_hits(limit)
    except (OSError, AssertionError):
        return 0


def answers(daemon):
    try:
        return daemon.request("GET", "/healthz").status == 200
    except (OSError, AssertionError):
        return False


if __name__ == "__main__":
    unittest.main()
