# SPDX-License-Identifier: Apache-2.0
"""Attacks by what is published, asked for and named, by the numbers of the table in README.md."""

import json
import random
import unittest

from collisions import colliding_names, std_hash
from harness import FanhornTest, config, eventually, position
from process import SANITIZED, cpu_seconds, resident
from wire import build_request


class Injection(FanhornTest):
    def test_11_a_payload_forges_no_field(self):
        """Every byte in front of, in and behind what looks like fields; the strict parser knows ours alone."""
        stream, lines, wanted = self.sse(self.channel).opened(), [], []
        for byte in range(256):
            character = chr(byte).encode()
            for text in (b"a%sid: k.1" % character, b"%sevent: forged%sdata: x" % (character, character),
                         b"%s%sretry: 1%s" % (character * 2, character, character * 2)):
                lines.append({"channel": self.channel, "text": text.decode()})
                wanted.append(text.decode().replace("\r\n", "\n").replace("\r", "\n"))
        results = self.daemon.publish_lines(lines)
        for result, text in zip(results, wanted, strict=True):
            event = stream.next_event()
            self.assertEqual((event.id, event.event, event.data, event.retry), (result["id"], "message", text, None))

    def test_11_names_of_events_forge_none_either(self):
        for byte in (*range(0x20), 0x7f, *range(0x80, 0xa0)):
            event = f"a{chr(byte)}data: forged"
            for options in ({"event": event}, {"event": chr(byte)}):
                with self.subTest(byte=byte, options=options):
                    response = self.daemon.request("POST", "/pub/" + self.channel, body=b"x", query=options)
                    self.assert_problem(response, 400, "bad_option")
            result = self.daemon.publish_lines([{"channel": self.channel, "text": "x", "event": event}])[0]
            self.assertEqual(result.get("code"), "bad_option")
        for event in ("gap", "end", "error", "position", "binary"):
            self.assertEqual(self.daemon.request("POST", "/pub/x", body=b"x", query={"event": event}).status, 400)
        self.assertIsNone(self.daemon.facts(self.channel))

    def test_12_types_split_no_answer(self):
        response = self.daemon.request("POST", "/pub/" + self.channel, body=b"x",
                                       headers={"Content-Type": "text/plain\u0085X-Forged: 1"})
        self.assertNotIn("X-Forged", response.headers)


class Positions(FanhornTest):
    MANY = 30_000
    config = config(channels="[channel **]\nhistory = 100k\nhistory_bytes = 64m\n[channel closed:*]\nsubscribe = deny\n")

    def ask(self, wire, since):
        wire.send(build_request("GET", "/sub/long?wait=0", self.daemon.public, headers={"Last-Event-ID": since}))
        return wire.read_response()

    def test_13_positions_that_nobody_has(self):
        """Random and ancient ones, beside a long history: answered alike fast, and with nobody else's ids."""
        hidden = {result["id"] for result in
                  self.daemon.publish_lines([{"channel": "closed:x", "text": "secret"}] * 100)}
        lines = [{"channel": "long", "text": "x"}] * self.MANY
        ids = [result["id"] for result in self.daemon.publish_lines(lines, 2000)]
        chance, wire = random.Random(13), self.wire("public")
        epoch, newest = position(ids[-1])
        before = cpu_seconds(self.daemon.process.pid)
        for _ in range(300):
            since = chance.choice((f"{epoch}.{newest}", f"{epoch}.{newest + chance.randrange(1, 1 << 62)}", ids[-1],
                                   ids[-chance.randrange(1, 10)]))
            response = self.ask(wire, since)
            self.assertEqual(response.status, 200)
            self.assertFalse(hidden & set(response.body.decode().replace('"', " ").split()))
        near = cpu_seconds(self.daemon.process.pid) - before
        for since in (f"{epoch}.0", f"{epoch}.1", f"zzzz.{newest}", f"{epoch}.{2 ** 64 - 1}", min(hidden), max(hidden)):
            answer = self.ask(wire, since).json()
            self.assertLessEqual(len(answer["messages"]), 1000)
            told = {message["id"] for message in answer["messages"]} | {answer["next"]}
            self.assertFalse(told & (hidden - {since}))
        self.assertLess(near / 300, 0.02, "seconds of CPU a question")
        for since in (f"{epoch}.{2 ** 64}", f"{epoch}.{10 ** 19 * 9}", f"{epoch}.-1"):
            self.assertIn(self.ask(self.wire("public"), since).status, (200, 400))

    def test_13_random_ids_are_refused_or_told_as_gaps(self):
        chance = random.Random(14)
        wire = self.wire("public")
        for _ in range(1000):
            letters = "".join(chance.choices("0123456789abcdefghijklmnopqrstuvwxyz", k=chance.randrange(1, 13)))
            response = self.ask(wire, f"{letters}.{chance.randrange(10 ** 12)}")
            self.assertEqual(response.status, 200)
            answer = response.json()
            self.assertEqual([gap["why"] for gap in answer["gaps"]], ["epoch"])


class Names(FanhornTest):
    config = config(channels="""
[channel public:*]
[channel public:**]
[channel secret:**]
subscribe = deny
[channel secret]
subscribe = deny
""")

    def test_20_names_that_look_alike(self):
        """What is not the very name is another channel, or none; none of them reads the closed one."""
        self.daemon.publish("secret:x", b"for nobody")
        for name in ("Secret:x", "SECRET:x", "secret:x.", "secret%3ax", "secret%3Ax", "secret%253Ax", "secret:%78", "secret:x ",
                     "secret:x%20", "%20secret:x", "secret:x/", "/secret:x", "//secret:x", "secret:/x", "public:..:secret:x",
                     "public:/../secret:x", "s%D0%B5cret:x", "%EF%BD%93ecret:x", "secret%EF%BC%9Ax", "secret:x%E2%80%8B",
                     "public:a,secret:x", "secret:x?", "secret:x%00", "secret:*", "secret:**", "**", "*", "{any}:x", "$secret:x",
                     "public:%2e%2e/secret:x", "secret:x;public:a", "secret.x", "secret/x"):
            with self.subTest(name=name):
                response = self.daemon.request("GET", "/sub/" + name, "public", query={"since": "earliest"},
                                               headers={"Accept": "application/json"})
                self.assertNotIn(b"for nobody", response.body)
                if response.status == 200:
                    self.assertEqual(response.json()["messages"], [])

    def test_20_what_looks_alike_is_not_the_same(self):
        """Composed and decomposed, for one: the bytes are compared, no more."""
        self.daemon.publish("public:caf%C3%A9", b"composed")
        answer = self.daemon.poll("public:cafe%CC%81", since="earliest")
        self.assertEqual(answer["messages"], [])
        answer = self.daemon.poll("public:caf%C3%A9", since="earliest")
        self.assertEqual([message["data"] for message in answer["messages"]], ["composed"])

    def test_20_reserved_names(self):
        for name in ("$user:alice", "$user:", "$", "$dashboard", "%24user:alice"):
            response = self.daemon.request("GET", "/sub/" + name, "public", query={"wait": "0"})
            self.assertIn(response.status, (400, 403, 404), name)
            self.assertIn(self.daemon.request("POST", "/pub/" + name, body=b"x").status, (400, 403, 404), name)


class Hashes(FanhornTest):
    COUNT = 16_384
    config = config(channels="[channel **]\nhistory = 5\n")

    def cost(self, names):
        """Seconds of CPU to make channels of these names, and to find them again."""
        lines = [{"channel": name, "text": "x"} for name in names]
        before = cpu_seconds(self.daemon.process.pid)
        for _ in range(2):
            results = self.daemon.publish_lines(lines, 2048)
            self.assertTrue(all("id" in result for result in results))
        cost = cpu_seconds(self.daemon.process.pid) - before
        for name in names[::4]:  # and the table is not left longer than it was
            self.daemon.request("DELETE", "/pub/" + name)
        return cost

    def test_23_names_of_one_hash(self):
        """Channels whose names all have one std::hash are at most twice as slow as any others."""
        hostile = [name.decode() for name in colliding_names(self.COUNT)]
        self.assertEqual(len({std_hash(name.encode()) for name in hostile}), 1)
        size = len(hostile[0].encode())
        chance = random.Random(23)
        harmless = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=size)) for _ in hostile]
        self.cost([name[1:] for name in harmless])  # what is made once is made
        times = {"hostile": self.cost(hostile), "harmless": self.cost(harmless)}
        print(f"CPU for {2 * self.COUNT} messages: {times['hostile']:.3f} s hostile, {times['harmless']:.3f} s harmless")
        self.assertLess(times["hostile"], 2 * times["harmless"])


class Channels(FanhornTest):
    LIMIT = 5000
    config = config(server="workers = 1", limits="channels = 5k", channels="[channel **]\n[channel brief:*]\nhistory_ttl = 6s\n")

    def test_24_more_channels_than_there_may_be(self):
        """By publishing and by subscribing; nothing grows beyond the limit, and what is empty goes."""
        names = [f"brief:{number}" for number in range(self.LIMIT + 500)]
        for _ in range(3):
            results = self.daemon.publish_lines([{"channel": name, "text": "x"} for name in names], 2000)
            refused = [result for result in results if "id" not in result]
            self.assertGreaterEqual(len(refused), 400)
            self.assertEqual({result["code"] for result in refused}, {"overloaded"})
            response = self.daemon.request("GET", "/sub/one-more", "public", headers={"Accept": "text/event-stream"})
            self.assertIn(b"overloaded", response.body)
            eventually(lambda: self.daemon.metrics()["fanhorn_channels"] == 0, "empty channels to go", 60)
            if not SANITIZED:
                memory = resident(self.daemon.process.pid)
                self.most = min(getattr(self, "most", memory), memory)
                self.assertLess(memory, self.most + (4 << 20))


class Identities(FanhornTest):
    def test_39_connections_cannot_be_guessed(self):
        """128 bits each, of which every one is as often set as not."""
        names = set()
        wire = self.wire("public")
        for _ in range(2000):
            names.add(wire.request("GET", "/sub/x", query={"wait": "0"}).headers["Fanhorn-Connection"])
        self.assertEqual(len(names), 2000)
        self.assertEqual({len(name) for name in names}, {len(next(iter(names)))})
        used = [len({name[at] for name in names}) for at in range(len(next(iter(names))))]
        alphabet = len(set("".join(names)))
        self.assertTrue(all(count == alphabet for count in used[:-1]), used)
        self.assertGreaterEqual(alphabet ** len(used), 1 << 128)


if __name__ == "__main__":
    unittest.main()
