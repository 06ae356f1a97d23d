# SPDX-License-Identifier: Apache-2.0
"""WebSocket: RFC 6455 and 7692, plain and with envelopes."""

import random
import unittest

from harness import FanhornTest, config
from wire import build_request
from ws import (BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close_payload, deflate, frame_bytes,
                upgrade_headers)

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


class WebSocketTest(FanhornTest):
    def echo(self, client, text="still there"):
        """Whether the connection publishes and delivers."""
        client.send_text(text)
        message = client.next()
        self.assertEqual((message.kind, message.payload.decode()), ("text", text))

    def closes_with(self, code, *frames, **options):
        client = self.ws(self.channel, **options)
        for frame in frames:
            client.wire.try_send(frame)
        message = client.expect_close()
        self.assertEqual(message.code, code, message)


class Handshake(WebSocketTest):
    def upgrade(self, method="GET", **changes):
        headers = {**upgrade_headers(KEY), **{name.replace("_", "-"): value for name, value in changes.items()}}
        wire = self.wire("public")
        wire.send(build_request(method, "/sub/" + self.channel, self.daemon.public, headers=headers))
        return wire.start_response(), wire

    def test_the_example_of_the_rfc(self):
        response, _ = self.upgrade()
        self.assertEqual(response.status, 101)
        self.assertEqual(response.headers["Sec-WebSocket-Accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")

    def test_header_forms(self):
        for changes in ({"Connection": "keep-alive, Upgrade"}, {"Upgrade": "WebSocket"}, {"Connection": "upgrade"}):
            with self.subTest(changes):
                self.assertEqual(self.upgrade(**changes)[0].status, 101)

    def test_bad_keys(self):
        for key in (None, "", "short", "x" * 24, KEY + "x", "AAAAAAAAAAAAAAAAAAAAAAAAAAA="):
            with self.subTest(key=key):
                self.assertEqual(self.upgrade(Sec_WebSocket_Key=key)[0].status, 400)

    def test_bad_versions(self):
        for version in ("8", "14", None):
            with self.subTest(version=version):
                response, _ = self.upgrade(Sec_WebSocket_Version=version)
                self.assertEqual(response.status, 426)
                self.assertEqual(response.headers["Sec-WebSocket-Version"], "13")

    def test_other_methods(self):
        for method in ("PUT", "DELETE"):
            self.assertEqual(self.upgrade(method)[0].status, 405)

    def test_unknown_subprotocols_are_not_selected(self):
        client = self.ws(self.channel, protocols="chat, superchat")
        self.assertNotIn("Sec-WebSocket-Protocol", client.response.headers)
        self.echo(client)

    def test_frames_sent_with_the_handshake(self):
        wire = self.wire("public")
        request = build_request("GET", "/sub/" + self.channel, self.daemon.public, headers=upgrade_headers(KEY))
        wire.send(request + frame_bytes(TEXT, b"early"))
        self.assertEqual(wire.start_response().status, 101)
        self.assertEqual(wire.read_exactly(7), b"\x81\x05early")

    def test_sse_key_in_http_1_0_does_not_upgrade(self):
        wire = self.wire("public")
        request = build_request("GET", "/sub/" + self.channel, self.daemon.public, headers=upgrade_headers(KEY))
        wire.send(request.replace(b"HTTP/1.1", b"HTTP/1.0", 1))
        self.assertNotEqual(wire.start_response().status, 101)


class Plain(WebSocketTest):
    def test_payload_alone(self):
        client = self.ws(self.channel)
        self.daemon.publish(self.channel, b"hello", event="ignored")
        message = client.next()
        self.assertEqual((message.kind, message.payload), ("text", b"hello"))

    def test_text_or_binary(self):
        client = self.ws(self.channel)
        rows = [(b"text", None, "text"), (b"text", "application/octet-stream", "binary"), (b"\xff", "text/plain", "binary"),
                ("grüße".encode(), "text/plain", "text"), (b"\xed\xa0\x80", None, "binary"), (b"{}", "application/json", "text")]
        for body, kind, wanted in rows:
            with self.subTest(body=body, kind=kind):
                self.daemon.publish(self.channel, body, headers={"Content-Type": kind} if kind else None)
                message = client.next()
                self.assertEqual((message.kind, message.payload), (wanted, body))

    def test_lengths(self):
        client = self.ws(self.channel)
        for size in (0, 1, 125, 126, 127, 65535, 65536):
            self.daemon.publish(self.channel, b"x" * size)
            self.assertEqual(len(client.next().payload), size)

    def test_client_publish(self):
        one, two = self.ws(self.channel), self.ws(self.channel)
        self.wait_subscribers(self.channel, 2)
        one.send_text("grüße")
        one.send_binary(b"text as bytes")
        for client in (one, two):
            first, second = client.next(), client.next()
            self.assertEqual((first.kind, first.payload.decode()), ("text", "grüße"))
            self.assertEqual((second.kind, second.payload), ("binary", b"text as bytes"))
        self.assertEqual(self.daemon.facts(self.channel)["messages"], 2)

    def test_ping_and_pong(self):
        client = self.ws(self.channel)
        for payload in (b"", b"x" * 125):
            client.send_frame(PING, payload)
            message = client.next_any()
            self.assertEqual((message.kind, message.payload), ("pong", payload))
        client.send_frame(PONG, b"unasked")
        self.echo(client)

    def test_close_handshake(self):
        for payload, code in ((close_payload(1000, "bye"), 1000), (close_payload(3999), 3999), (b"", 1005)):
            with self.subTest(payload=payload):
                client = self.ws(self.channel)
                client.send_frame(CLOSE, payload)
                message = client.next()
                self.assertEqual((message.kind, message.code), ("close", code))
                self.assertTrue(client.wire.is_closed())
        self.wait_subscribers(self.channel, 0)

    def test_nothing_counts_after_a_close(self):
        client = self.ws(self.channel)
        client.wire.try_send(frame_bytes(CLOSE, close_payload(1000)) + frame_bytes(TEXT, b"late"))
        self.assertEqual(client.expect_close().code, 1000)
        self.wait_subscribers(self.channel, 0)
        self.assertIsNone(self.daemon.facts(self.channel))

    def test_bad_closes(self):
        for payload in (b"\x03", close_payload(1005), close_payload(1006), close_payload(999), close_payload(5000),
                        close_payload(1015), close_payload(0)):
            with self.subTest(payload=payload):
                self.closes_with(1002, frame_bytes(CLOSE, payload))
        self.closes_with(1007, frame_bytes(CLOSE, close_payload(1000) + b"\xff"))

    def test_protocol_errors(self):
        rows = {
            "unmasked": [frame_bytes(TEXT, b"x", mask=False)],
            "reserved bit 1": [frame_bytes(TEXT, b"x", rsv1=True)],
            "reserved bit 2": [frame_bytes(TEXT, b"x", reserved=0x20)],
            "reserved bit 3": [frame_bytes(TEXT, b"x", reserved=0x10)],
            "opcode 3": [frame_bytes(3, b"x")],
            "opcode 11": [frame_bytes(11, b"x")],
            "continuation first": [frame_bytes(CONTINUATION, b"x")],
            "text inside a message": [frame_bytes(TEXT, b"a", fin=False), frame_bytes(TEXT, b"b")],
            "fragmented ping": [frame_bytes(PING, b"", fin=False)],
            "ping of 126 bytes": [frame_bytes(PING, b"x" * 126)],
            "length not shortest, 16 bits": [b"\x81\xfe\x00\x05\x00\x00\x00\x00hello"],
            "length not shortest, 64 bits": [b"\x81\xff" + (5).to_bytes(8, "big") + b"\x00\x00\x00\x00hello"],
            "length over 63 bits": [b"\x81\xff" + (1 << 63).to_bytes(8, "big") + b"\x00\x00\x00\x00"],
        }
        for name, frames in rows.items():
            with self.subTest(name):
                self.closes_with(1002, *frames)

    def test_utf8_is_checked_across_fragments(self):
        euro = "€".encode()
        client = self.ws(self.channel)
        client.send_frame(TEXT, euro[:1], fin=False)
        client.send_frame(CONTINUATION, euro[1:2], fin=False)
        client.send_frame(CONTINUATION, euro[2:])
        self.assertEqual(client.next().payload, euro)
        for bad in (b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", euro[:2]):
            with self.subTest(bad=bad):
                self.closes_with(1007, frame_bytes(TEXT, bad))
                self.closes_with(1007, frame_bytes(TEXT, bad[:1], fin=False), frame_bytes(CONTINUATION, bad[1:]))

    def test_control_frames_between_fragments(self):
        client = self.ws(self.channel)
        client.send_frame(TEXT, b"one ", fin=False)
        client.send_frame(PING, b"between")
        self.assertEqual(client.next_any().payload, b"between")
        client.send_frame(CONTINUATION, b"", fin=False)
        client.send_frame(CONTINUATION, b"two")
        self.assertEqual(client.next().payload, b"one two")

    def test_many_small_fragments_byte_by_byte(self):
        client = self.ws(self.channel)
        data = frame_bytes(TEXT, b"0", fin=False) + b"".join(
            frame_bytes(CONTINUATION, b"%d" % (number % 10), fin=number == 199) for number in range(1, 200))
        for byte in data:
            client.wire.send(bytes([byte]))
        self.assertEqual(client.next().payload, b"0123456789" * 20)

    def test_sizes(self):
        client = self.ws(self.channel)
        client.send_binary(b"x" * 65536)
        self.assertEqual(len(client.next().payload), 65536)
        self.closes_with(1009, frame_bytes(BINARY, b"x" * 65537))
        half = frame_bytes(BINARY, b"x" * 40000, fin=False)
        self.closes_with(1009, half, frame_bytes(CONTINUATION, b"x" * 40000))
        self.closes_with(1009, b"\x82\xff" + (1 << 40).to_bytes(8, "big") + b"\x00\x00\x00\x00")

    def test_resume_in_plain_mode(self):
        ids = [self.daemon.publish(self.channel, f"m{number}")["id"] for number in range(5)]
        client = self.ws(self.channel, query={"since": ids[2]})
        self.assertEqual([client.next_text() for _ in range(2)], ["m3", "m4"])
        client = self.ws(self.channel, headers={"Last-Event-ID": ids[3]})
        self.assertEqual(client.next_text(), "m4")

    def test_a_vanished_client_is_freed(self):
        client = self.ws(self.channel)
        client.send_frame(TEXT, b"half", fin=False)
        client.wire.abort()
        self.wait_subscribers(self.channel, 0)

    def test_half_close_ends_it(self):
        client = self.ws(self.channel)
        client.wire.socket.shutdown(1)
        client.wire.read_to_end()
        self.wait_subscribers(self.channel, 0)


class Envelopes(WebSocketTest):
    def test_hello(self):
        newest = self.daemon.publish(self.channel)["id"]
        client = self.envelopes(self.channel)
        self.assertEqual(set(client.hello), {"connection", "position", "heartbeat"})
        self.assertEqual(client.hello["heartbeat"], 25)
        self.assertEqual(client.hello["connection"], client.connection)
        self.assertEqual(client.hello["position"], client.response.headers["Fanhorn-Id"])
        self.assertEqual(self.envelopes(self.channel, since=newest).hello["position"], newest)

    def test_messages(self):
        client = self.envelopes(self.channel)
        first = self.daemon.publish(self.channel, b'{"text":"hi"}', event="msg")["id"]
        self.daemon.publish(self.channel, b"\xff\x00")
        self.assertEqual(client.next_json(), {"channel": self.channel, "id": first, "n": 1, "event": "msg",
                                              "data": {"text": "hi"}})
        self.assertEqual(client.next_json()["base64"], "/wA=")

    def test_several_channels_are_always_envelopes(self):
        names = f"{self.channel}:a,{self.channel}:b"
        client = self.ws(names)
        self.assertIn("position", client.next_json())
        ids = [self.daemon.publish(f"{self.channel}:{letter}")["id"] for letter in "abab"]
        self.assertEqual([client.next_json()["id"] for _ in ids], ids)

    def test_strings_survive(self):
        client = self.envelopes(self.channel)
        for text in ('"\\\n\r\t\x00\x1f\x7f', "\u2028\u2029</script>", "\U0001f600", ""):
            self.daemon.publish(self.channel, text.encode(), headers={"Content-Type": "text/plain"})
            self.assertEqual(client.next_json()["data"], text)


class ClientPublishOff(WebSocketTest):
    config = config(channels="[channel **]\n[channel open:*]\nclient_publish = public\n")

    def test_policy(self):
        for frame in (frame_bytes(TEXT, b"x"), frame_bytes(BINARY, b"x")):
            self.closes_with(1008, frame)
        self.wait_subscribers(self.channel, 0)
        self.assertIsNone(self.daemon.facts(self.channel))

    def test_control_frames_are_fine(self):
        client = self.ws(self.channel)
        client.send_frame(PING, b"x")
        self.assertEqual(client.next_any().kind, "pong")
        self.daemon.publish(self.channel, b"hello")
        self.assertEqual(client.next_text(), "hello")

    def test_open_channel(self):
        client = self.ws("open:x")
        self.echo(client)


class Deflate(WebSocketTest):
    config = config(channels="[channel **]\nclient_publish = public\n[channel plain:*]\ncompress = off\n")

    def test_negotiation(self):
        extensions = self.ws(self.channel, compress=True).extensions
        self.assertIn("permessage-deflate", extensions)
        self.assertIn("server_no_context_takeover", extensions)
        self.assertFalse(self.ws(self.channel).extensions)
        self.assertFalse(self.ws(self.channel, compress="x-webkit-deflate-frame").extensions)
        self.assertFalse(self.ws("plain:x", compress=True).extensions)
        declined = "permessage-deflate; server_max_window_bits=9"
        self.assertNotIn("server_max_window_bits=15", self.ws(self.channel, compress=declined).extensions)
        second = "permessage-deflate; unknown=1, permessage-deflate; client_no_context_takeover"
        self.assertIn("permessage-deflate", self.ws(self.channel, compress=second).extensions)

    def test_server_to_client(self):
        client, plain = self.ws(self.channel, compress=True), self.ws(self.channel)
        bodies = [b"", b"x", b"hello " * 5000, random.Random(1).randbytes(5000)] * 2
        for body in bodies:
            self.daemon.publish(self.channel, body)
            self.assertEqual(client.next().payload, body)
            self.assertEqual(plain.next().payload, body)
        self.daemon.publish(self.channel, b"hello " * 5000)
        self.assertTrue(client.next().compressed)

    def test_envelopes_are_compressed_too(self):
        client = self.ws(self.channel, compress=True, query={"envelope": "1"})
        client.next_json()
        self.daemon.publish(self.channel, b"hello " * 1000)
        message = client.next()
        self.assertTrue(message.compressed)
        self.assertEqual(message.json()["data"], "hello " * 1000)

    def test_client_to_server(self):
        client, plain = self.ws(self.channel, compress=True), self.ws(self.channel)
        self.wait_subscribers(self.channel, 2)
        packed = deflate(b"hello " * 1000)
        client.send_frame(TEXT, packed, rsv1=True)
        client.send_frame(TEXT, packed[:9], rsv1=True, fin=False)
        client.send_frame(PING, b"between")
        client.send_frame(CONTINUATION, packed[9:])
        client.send_frame(TEXT, b"not compressed")
        for _ in range(2):
            self.assertEqual(plain.next().payload, b"hello " * 1000)
        self.assertEqual(plain.next().payload, b"not compressed")

    def test_inflation_is_bounded(self):
        bomb = deflate(b"\x00" * 50_000_000)
        self.assertLess(len(bomb), 65536)
        self.closes_with(1009, frame_bytes(BINARY, bomb, rsv1=True), compress=True)

    def test_what_does_not_inflate(self):
        for data in (b"\xff\xff\xff", b"\x07garbage"):
            client = self.ws(self.channel, compress=True)
            client.send_frame(BINARY, data, rsv1=True)
            self.assertIn(client.expect_close().code, (1002, 1007))

    def test_inflated_text_is_checked(self):
        self.closes_with(1007, frame_bytes(TEXT, deflate(b"\xff\xfe"), rsv1=True), compress=True)

    def test_first_frame_only_carries_the_bit(self):
        packed = deflate(b"hello")
        self.closes_with(1002, frame_bytes(TEXT, packed[:2], rsv1=True, fin=False),
                         frame_bytes(CONTINUATION, packed[2:], rsv1=True), compress=True)
        self.closes_with(1002, frame_bytes(PING, b"", rsv1=True), compress=True)


if __name__ == "__main__":
    unittest.main()
