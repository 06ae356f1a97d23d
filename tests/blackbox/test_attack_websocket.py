# SPDX-License-Identifier: Apache-2.0
"""Attacks on the WebSocket's framing and handshake, by the numbers of the table in README.md."""

import struct
import time
import unittest

from harness import PATIENCE, FanhornTest, config
from process import SANITIZED, cpu_seconds, resident
from wire import build_request
from ws import BINARY, CLOSE, CONTINUATION, PING, TEXT, close_payload, deflate, frame_bytes, upgrade_headers

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ATTACKERS = 100


class WebSocket(FanhornTest):
    config = config(channels="[channel **]\nclient_publish = public\n", limits="ws_fragments = 1k")

    def pid(self):
        return self.daemon.process.pid

    def attack(self, codes, *frames, **options):
        """Sends them on a connection of its own, which must be closed with one of these codes."""
        client = self.ws(self.channel, **options)
        for frame in frames:
            client.wire.try_send(frame)
        message = client.expect_close()
        self.assertIn(message.code, codes, message)
        client.close()

    def cost(self, attack):
        """Bytes that the daemon keeps of many such attacks, after the first ones, and at most during them."""
        for _ in range(10):
            attack()
        before = most = resident(self.pid())
        for _ in range(ATTACKERS):
            attack()
            most = max(most, resident(self.pid()))
        return most - before

    def assert_no_cost(self, attack, allowed=2 << 20):
        cost = self.cost(attack)
        if not SANITIZED:
            self.assertLess(cost, allowed)

    def test_05_compression_bomb(self):
        """64 kB that would be 64 MB, a thousand times as much; whole, in fragments, and as text."""
        bomb = deflate(b"\x00" * 64_000_000)
        self.assertLess(len(bomb), 66_000)
        whole = frame_bytes(BINARY, bomb, rsv1=True)
        pieces = [frame_bytes(BINARY, bomb[:100], rsv1=True, fin=False),
                  *(frame_bytes(CONTINUATION, bomb[at:at + 1000], fin=False) for at in range(100, 60_000, 1000)),
                  frame_bytes(CONTINUATION, bomb[60_100:])]
        for frames in ([whole], pieces, [frame_bytes(TEXT, bomb, rsv1=True)]):
            self.assert_no_cost(lambda frames=frames: self.attack([1009], *frames, compress=True))

    def test_05_bombs_side_by_side(self):
        """Each open connection holds no more than what its message may have."""
        bomb = deflate(b"x" * 60_000)
        before = resident(self.pid())
        clients = [self.ws(self.channel, compress=True) for _ in range(ATTACKERS)]
        for client in clients:
            client.send_frame(BINARY, bomb, rsv1=True, fin=False)
            client.send_frame(PING, b"seen?")
        for client in clients:
            self.assertEqual(client.next_any().kind, "pong")
        if not SANITIZED:
            self.assertLess(resident(self.pid()) - before, ATTACKERS * (128 << 10))
        for client in clients:
            client.wire.abort()

    def test_06_bad_deflate_parameters(self):
        """Declined, or refused: never an extension with parameters that nobody has."""
        for bits in ("0", "7", "16", "99", "-1", "1e1", "", '"15"x', "0x0f", "015"):
            for name in ("server_max_window_bits", "client_max_window_bits"):
                self.offer(f"permessage-deflate; {name}={bits}")
        for offer in ("permessage-deflate; client_max_window_bits; client_max_window_bits",
                      "permessage-deflate; server_no_context_takeover=1", "permessage-deflate; =", "permessage-deflate;;",
                      "permessage-deflate; server_no_context_takeover; server_no_context_takeover", ",;=,;", "\"", "a=\""):
            self.offer(offer)

    def offer(self, offer):
        with self.subTest(offer=offer):
            wire = self.wire("public")
            wire.send(build_request("GET", "/sub/" + self.channel, self.daemon.public,
                                    headers=upgrade_headers(KEY, offer)))
            response = wire.start_response()
            self.assertIn(response.status, (101, 400))
            self.assertNotIn("Sec-WebSocket-Extensions", response.headers)

    def test_06_many_offers_take_linear_time(self):
        """The longest header that is taken, of what makes backtracking expressions slow."""
        for piece in ("permessage-deflate; a=1,", "a ;", "a=\"\\\\\\", " ", ",", "permessage-deflate; client_max_window_bits;"):
            offers = {size: (piece * (size // len(piece) + 1))[:size] for size in (1500, 12_000)}
            times = {}
            for size, offer in offers.items():
                before = cpu_seconds(self.pid())
                for _ in range(20):
                    with self.wire("public") as wire:
                        wire.send(build_request("GET", "/sub/" + self.channel, self.daemon.public,
                                                headers=upgrade_headers(KEY, offer.strip() or "x")))
                        self.assertIn(wire.start_response().status, (101, 400))
                times[size] = cpu_seconds(self.pid()) - before
            self.assertLess(times[12_000], 16 * times[1500] + 0.02 * PATIENCE, (piece, times))

    def test_07_announced_lengths_cost_nothing(self):
        """A frame of 2^62 bytes, and all others that nobody could send, are refused by their length alone."""
        for size in (65_537, 1 << 20, 1 << 31, 1 << 32, (1 << 62), (1 << 63) - 1, 1 << 63, (1 << 64) - 1):
            head = struct.pack(">BBQ", 0x80 | BINARY, 0x80 | 127, size) + b"mask" + b"x" * 100
            with self.subTest(size=size):
                self.assert_no_cost(lambda head=head: self.attack([1009, 1002], head))

    def test_07_a_half_sent_message_costs_what_came(self):
        head = struct.pack(">BBQ", 0x80 | BINARY, 0x80 | 127, 65_536) + b"mask" + b"x" * 100
        clients = [self.ws(self.channel) for _ in range(ATTACKERS)]
        before = resident(self.pid())
        for client in clients:
            client.wire.send(head)
        time.sleep(0.5)
        if not SANITIZED:
            self.assertLess(resident(self.pid()) - before, ATTACKERS * (8 << 10))
        for client in clients:
            client.wire.abort()

    def test_07_what_no_frame_may_be(self):
        rows = [([1002], frame_bytes(TEXT, b"x", reserved=0x40)), ([1002], frame_bytes(TEXT, b"x", reserved=0x20)),
                ([1002], frame_bytes(TEXT, b"x", reserved=0x10)), ([1002], frame_bytes(PING, b"x" * 126)),
                ([1002], frame_bytes(PING, b"x", fin=False)), ([1002], frame_bytes(CLOSE, b"\x03")),
                ([1002], frame_bytes(CONTINUATION, b"x")), ([1007], frame_bytes(TEXT, b"\xff")),
                ([1007], frame_bytes(TEXT, b"\xed\xa0\x80")), ([1007, 1002], frame_bytes(CLOSE, b"\x03\xe8\xff"))]
        rows += [([1002], frame_bytes(opcode, b"x")) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)]
        rows += [([1002], frame_bytes(CLOSE, close_payload(code)))
                 for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)]
        for number, (codes, frame) in enumerate(rows):
            with self.subTest(number, frame=frame[:8]):
                self.attack(codes, frame)

    def test_07_endless_empty_fragments(self):
        fragments = frame_bytes(TEXT, b"", fin=False) + frame_bytes(CONTINUATION, b"", fin=False) * 1500
        self.assert_no_cost(lambda: self.attack([1008, 1009], fragments))

    def test_08_handshakes_of_all_sizes(self):
        """Long lists of protocols, many headers, nothing to upgrade from: an answer, in linear time."""
        rows = [({"Sec-WebSocket-Protocol": ",".join(f"p{n}" for n in range(2000))}, (101,)),
                ({"Sec-WebSocket-Protocol": "," * 12_000}, (101, 400)),
                ({"Sec-WebSocket-Protocol": " " * 12_000 + "x"}, (101, 400)),
                ({"Sec-WebSocket-Protocol": "x" * 20_000}, (431,)),
                ({f"X-{n}": "y" for n in range(150)}, (431,)),
                ({"Connection": "Upgrade," * 1500}, (101, 400)),
                ({"Upgrade": "websocket," * 1200}, (101, 200, 400, 426)),
                ({"Host": None}, (400,)), ({"Sec-WebSocket-Key": None}, (400,)), ({"Connection": None}, (200, 400, 426))]
        for headers, statuses in rows:
            with self.subTest(headers=str(headers)[:60]):
                before = cpu_seconds(self.pid())
                wire = self.wire("public")
                wire.send(build_request("GET", "/sub/" + self.channel, self.daemon.public,
                                        headers={**upgrade_headers(KEY), **headers}))
                self.assertIn(wire.start_response().status, statuses)
                self.assertLess(cpu_seconds(self.pid()) - before, 0.1 * PATIENCE)
        wire = self.wire("public")
        wire.send(b"\r\nUpgrade: websocket\r\n\r\n")
        self.assertEqual(wire.read_response().status, 400)

    def test_10_unmasked_data_of_a_client(self):
        """Bytes of its own choice on the wire could be taken for a request by a cache on the way."""
        request = b"GET /cached HTTP/1.1\r\nHost: victim.example\r\n\r\n"
        for opcode in (TEXT, BINARY, PING, CLOSE):
            self.attack([1002], frame_bytes(opcode, request, mask=False))
        self.assertEqual(self.daemon.facts(self.channel), None)


if __name__ == "__main__":
    unittest.main()
