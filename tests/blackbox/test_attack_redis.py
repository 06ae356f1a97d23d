# SPDX-License-Identifier: Apache-2.0
"""Attacks by way of a broker's server, by the numbers of the table in README.md: what it says, what is named and
published into it, and what others write there."""

import contextlib
import random
import socket
import threading
import unittest

from harness import PATIENCE, Daemon, config, eventually
from process import SANITIZED, resident
from redis_server import RedisServer
from sse import SseClient
from wire import quote

CHANNELS = "[channel **]\nbroker = shared\nhistory = 1000\nwildcard = on\n"
COMMAND = "\r\n*1\r\n$8\r\nFLUSHALL\r\n"
LIES = {
    "an array without end": b"*2147483647\r\n",
    "arrays in arrays": b"*1\r\n" * 1_000_000,
    "a string of 4 GB": b"$4294967295\r\n" + b"x" * 1000,
    "a string of -2 bytes": b"$-2\r\n",
    "half a reply": b"$500\r\nrun_id:1\r\n",
    "numbers": b":1\r\n" * 1000,
    "refusals": b"-ERR no\r\n" * 1000,
    "what nobody asked for": b"+OK\r\n" * 100_000,
    "messages that nobody wanted": b"*3\r\n$7\r\nmessage\r\n$11\r\nfanhorn:m:x\r\n$6\r\nm 1 2 \r\n" * 1000,
    "confirmations of nothing": b"*3\r\n$9\r\nsubscribe\r\n$11\r\nfanhorn:m:x\r\n:1\r\n" * 1000,
    "a run_id, and no more sense": b"$8\r\nrun_id:1\r\n$3\r\nsha\r\n" + b"*0\r\n$-1\r\n:7\r\n" * 1000,
    "another protocol": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "anything": random.Random(28).randbytes(100_000),
}


def configuration(redis):
    return config(server="workers = 1", more=f"[broker shared]\ntype = redis\nurl = {redis.url}\n", channels=CHANNELS)


class Liar:
    """A server that says these bytes to whoever comes, and hears nothing."""

    def __init__(self, path, words):
        self.path, self.words, self.told, self.open = path, words, 0, []
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        self.socket.listen(16)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                one, _ = self.socket.accept()
                self.open.append(one)
                with contextlib.suppress(OSError):
                    one.sendall(self.words)
                self.told += 1

    def close(self):
        with contextlib.suppress(OSError):  # closed before
            self.socket.shutdown(socket.SHUT_RDWR)
        for one in (*self.open, self.socket):
            one.close()
        self.path.unlink(missing_ok=True)


class Server(unittest.TestCase):
    def test_28_what_a_server_says(self):
        """Nothing of it is believed and little is kept; each is a broker's server, and asked again and again."""
        servers = {f"lie{number}": RedisServer() for number in range(len(LIES))}
        liars = [Liar(server.socket, words) for server, words in zip(servers.values(), LIES.values(), strict=True)]
        for each in (*liars, *servers.values()):
            self.addCleanup(each.close)
        brokers = "".join(f"[broker {name}]\ntype = redis\nurl = {server.url}\n" for name, server in servers.items())
        channels = "".join(f"[channel {name}:**]\nbroker = {name}\n" for name in servers)
        with Daemon(config(server="workers = 1", more=brokers, channels=channels + "[channel here:**]\n")) as daemon:
            before = resident(daemon.process.pid)
            for lie, liar in zip(LIES, liars):
                eventually(lambda its=liar: its.told >= 6, f"three tries, each with two connections: {lie}")
            for name, lie in zip(servers, LIES):
                response = daemon.request("POST", f"/pub/{name}:a", body=b"x")
                self.assertEqual((response.status, response.json()["code"]), (503, "broker_down"), lie)
            self.assertTrue(daemon.publish("here:a")["id"])
            self.assertLess(max(liar.told for liar in liars), 200)
            if not SANITIZED:
                self.assertLess(resident(daemon.process.pid) - before, 16 << 20)
            liars[0].close()
            servers["lie0"].start()
            eventually(lambda: daemon.request("POST", "/pub/lie0:a", body=b"x").status == 200, "the broker")
            self.assertEqual(len(daemon.poll("lie0:a", since="earliest")["messages"]), 1)


class Shared(unittest.TestCase):
    def setUp(self):
        self.redis = RedisServer().start()
        self.addCleanup(self.redis.close)
        self.daemon = Daemon(configuration(self.redis)).start()
        self.addCleanup(self.daemon.kill)
        eventually(lambda: self.daemon.request("GET", "/pub/none:such").status == 404, "the broker")

    def sse(self, channel):
        client = SseClient(self.daemon.public, "/sub/" + channel)
        self.addCleanup(client.close)
        return client.opened()

    def test_29_names_and_messages_are_no_commands(self):
        names = ["a b", "{a}", "a{b}c", "}{", "'", '"', "\\r\\n", "a'..redis.call('FLUSHALL')..'", "fanhorn:meta", "[a-z]", "?",
                 "h:a", "é", "a:" + "x" * 250, "%s%n", "-1", "(", "+OK"]
        self.daemon.publish("kept", b"kept")
        for name in names:
            with self.subTest(name=name):
                stream = self.sse(quote(name))
                text = name + COMMAND
                identity = self.daemon.publish(quote(name), text.encode(), event="e" + name[:20], idempotency_key=name,
                                               tags="k=v")["id"]
                event = stream.next_event()
                self.assertEqual((event.id, event.event), (identity, "e" + name[:20]))
                self.assertEqual(event.data, text.replace("\r\n", "\n"))
                again = self.daemon.publish(quote(name), text.encode(), event="e" + name[:20], idempotency_key=name, tags="k=v")
                self.assertEqual(again["id"], identity)
                kept = self.daemon.poll(quote(name), since="earliest")["messages"]
                self.assertEqual([message["data"] for message in kept], [text])
        for name in ("a\r\nFLUSHALL", "a\nb", "a\0b", "*", "a*"):
            with self.subTest(name=name):
                self.assertEqual(self.daemon.request("POST", "/pub/" + quote(name), body=b"x").status, 400)
        listed = [facts["channel"] for facts in self.daemon.request("GET", "/channels?limit=100").json()["channels"]]
        self.assertEqual(sorted(listed), sorted([*names, "kept"]))
        self.daemon.stop()

    def test_42_what_others_write(self):
        """Into our channels, as far as they can be written to: told in the log, delivered to nobody, and passed over."""
        stream, chance = self.sse("a"), random.Random(42)
        first = self.daemon.publish("a", b"first")["id"]
        self.assertEqual(stream.next_event().data, "first")
        epoch, number = first.split(".")
        channels = {"fanhorn:m:a", "fanhorn:m:", "fanhorn:m:*", *self.redis.ask("PUBSUB", "CHANNELS")}
        self.assertGreater(len(channels), 3)
        texts = ["", " ", "m", "m ", "e", "m 1", "e 1 2", "m 1 2 3 x", "m -1 -1 -1 x", f"m {epoch} {number} 1 x", f"e {epoch} {number} 1",
                 f"m {int(epoch, 36)} {number} 1 x", "m " + "9" * 400 + " 1 1 x", "x" * 100_000, COMMAND]
        texts += ["".join(chr(chance.randrange(1, 128)) for _ in range(chance.randrange(60))) for _ in range(100)]
        for channel in channels:
            for text in texts:
                self.redis.ask("PUBLISH", channel, text)

        def is_told():  # not while it takes what came before for the word of another server
            self.redis.ask("PUBLISH", "fanhorn:m:a", "m " + "9" * 400 + " 1 1 x")
            return "event=broker_record" in self.daemon.log()
        eventually(is_told, "a word in the log")
        last = self.daemon.publish("a", b"last")["id"]
        event = stream.next_event(60 * PATIENCE)
        while event.event == "gap":  # what was taken for the word of another server
            event = stream.next_event()
        self.assertEqual((event.id, event.data), (last, "last"))
        self.assertEqual([message["data"] for message in self.daemon.poll("a", since="earliest")["messages"]], ["first", "last"])
        self.daemon.stop()


if __name__ == "__main__":
    unittest.main()
