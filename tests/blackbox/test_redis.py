# SPDX-License-Identifier: Apache-2.0
"""Two nodes and one real Redis between them: one relay, whatever happens to the server."""

import contextlib
import random
import signal
import socket
import tempfile
import threading
import time
import unittest

from harness import Daemon, Wire, eventually, pause
from redis_nodes import NodesTest, configuration
from redis_server import RedisServer
from session import Session
from wire import build_request
from ws import upgrade_headers

class Between:
    """A way to the server that ends, while it `is_cutting`, when a node asks for something."""

    def __init__(self, server, word):
        self.server, self.word, self.is_cutting = server, word, False
        self.dir = tempfile.TemporaryDirectory(prefix="fanhorn-between-")
        self.path = self.dir.name + "/socket"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        self.sockets = [self.listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                node, _ = self.listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(str(self.server))
                self.sockets += [node, server]
                for source, sink in ((node, server), (server, node)):
                    threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source, sink):
        with contextlib.suppress(OSError):
            while (data := source.recv(65536)) and not (self.is_cutting and self.word in data):
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self):
        for each in self.sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self.dir.cleanup()


class TwoNodes(NodesTest):
    def test_what_one_publishes_the_other_delivers(self):
        clients = [self.sse(0), self.sse(1)]
        ids = [self.publish(number % 2, f"m{number}".encode())["id"] for number in range(20)]
        for client in clients:
            events = [client.next_event() for _ in range(20)]
            self.assertEqual([event.data for event in events], [f"m{number}" for number in range(20)])
            self.assertEqual([event.id for event in events], ids)
        self.assertEqual(len(set(i.split(".")[0] for i in ids)), 1)

    def test_a_reader_goes_on_at_the_other_node(self):
        first = self.sse(0)
        self.publish(1, b"one")
        last = first.next_event().id
        first.close()
        self.publish(0, b"two")
        second = self.sse(1, since=last)
        self.publish(1, b"three")
        self.assertEqual([second.next_event().data for _ in range(2)], ["two", "three"])
        poll = self.nodes[0].poll(self.channel, transport="poll", since=last)
        self.assertEqual([message["data"] for message in poll["messages"]], ["two", "three"])
        self.assertEqual(poll["gaps"], [])

    def test_what_was_trimmed_is_told_at_both(self):
        ids = [self.publish(0, b"%d" % number, "few:x")["id"] for number in range(5)]
        for node in self.nodes:
            poll = node.poll("few:x", transport="poll", since=ids[0])
            self.assertEqual([message["id"] for message in poll["messages"]], ids[3:])
            self.assertEqual([(gap["why"], gap["next"]) for gap in poll["gaps"]], [("trimmed", ids[3])])

    def test_more_than_one_reply_may_carry(self):
        """Of many channels, each in the order of all: none is passed over, none comes first."""
        channels = [f"big:{number}" for number in range(8)]
        random.Random(1).shuffle(channels)
        body, ids = b"x" * 900_000, []
        for number in range(len(channels) + 1):
            ids.append(self.publish(number % 2, body, channels[number % len(channels)])["id"])
        reader = self.sse(1, ",".join(sorted(channels)), since="earliest")
        self.assertEqual([reader.next_event().id for _ in ids], ids)
        poll = self.nodes[0].poll(",".join(sorted(channels)), transport="poll", since=ids[5])
        self.assertEqual(poll["messages"][0]["id"], ids[6])

    def test_state_facts_and_ends_are_shared(self):
        self.publish(0, b"state", method="PUT")
        poll = self.nodes[1].poll(self.channel, transport="poll", since="latest")
        self.assertEqual([(message["data"], message["retained"]) for message in poll["messages"]], [("state", True)])
        self.assertEqual(self.nodes[1].facts(self.channel)["messages"], 1)
        names = [facts["channel"] for facts in self.nodes[1].request("GET", "/channels").json()["channels"]]
        self.assertIn(self.channel, names)
        repeat = [self.nodes[node].request("POST", "/pub/" + self.channel, body=b"once",
                                           headers={"Idempotency-Key": "k"}).json() for node in (0, 1)]
        self.assertEqual(repeat[0]["id"], repeat[1]["id"])
        clients = [self.sse(0), self.sse(1)]
        self.assertEqual(self.nodes[0].request("DELETE", "/pub/" + self.channel).status, 204)
        for client in clients:
            self.assertEqual([client.next_event().event for _ in range(2)], ["message", "end"])  # the state first
        self.assertIsNone(self.nodes[1].facts(self.channel))

    def test_a_node_hears_only_of_what_it_wants_and_once(self):
        clients = [self.sse(0) for _ in range(20)]
        counts = self.redis.ask("PUBSUB", "NUMSUB", "fanhorn:m:" + self.channel, "fanhorn:m:other")
        self.assertEqual(counts[1::2], [1, 0])
        for client in clients:
            client.close()
        eventually(lambda: self.redis.ask("PUBSUB", "NUMSUB", "fanhorn:m:" + self.channel)[1] == 0, "its end")
        self.assertEqual((self.redis.clients("pubsub"), self.redis.clients("normal")), (2, 2))

    def test_wildcards_and_several_channels(self):
        self.publish(0, b"old", "t:one:old")
        client = Session(self.nodes[1].public, "")
        self.addCleanup(client.close)
        client.ask(subscribe={"channel": "t:**", "since": "earliest"})
        self.assertEqual(client.push()["data"], "old")
        client.until_caught_up("t:**")
        client.ask(subscribe={"channels": ["t:one:two", "other"]})
        wanted = [self.publish(number % 2, b"%d" % number, channel)["id"]
                  for number, channel in enumerate(["t:one:two", "other", "t:new", "t:one:two"])]
        pushed = []
        while len(pushed) < len(wanted):
            push = client.push()
            pushed += [push["id"]] if "id" in push else []  # else it has caught up with a channel
        self.assertEqual(pushed, wanted)

    def test_away_publishers_are_told_at_once_and_subscribers_stay(self):
        client = self.sse(1)
        before = self.publish(0, b"before")["id"]
        self.assertEqual(client.next_event().data, "before")
        self.redis.kill()
        response = self.wait_refusal()
        self.assertEqual(response.json()["code"], "broker_down")
        self.assertRegex(response.headers["Retry-After"], "^[0-9]+$")
        for _ in range(5):
            response, took = self.refusal()
            self.assertEqual(response.status, 503)
            self.assertLess(took, 1)
        self.assertEqual(self.nodes[0].request("GET", "/sub/" + self.channel, "public",
                                                 query={"transport": "longpoll"}).status, 503)
        self.assertEqual(self.nodes[0].request("GET", "/pub/" + self.channel).status, 503)
        self.assertEqual(self.nodes[0].metrics()['fanhorn_broker_up{broker="shared"}'], 0)
        self.redis.start()  # empty: what it knew is gone
        self.wait_until_up()
        after = eventually(lambda: self.refusal()[0].json().get("id"), "a publish")
        self.assertEqual(self.nodes[0].metrics()['fanhorn_broker_up{broker="shared"}'], 1)
        self.assertNotEqual(before.split(".")[0], after.split(".")[0])
        self.assertGreater(int(after.split(".")[1]), int(before.split(".")[1]))
        gap = client.next_event()
        self.assertEqual(gap.event, "gap")
        self.assertIn('"why":"broker"', gap.data)
        self.assertEqual(client.next_event().id, after)
        poll = self.nodes[0].poll(self.channel, transport="poll", since=before)
        self.assertEqual([gap["why"] for gap in poll["gaps"]], ["epoch"])

    def test_who_has_no_place_yet_is_told_by_an_answer(self):
        """The node ends while its server is silent: of a stream that has not begun there is no end to tell."""
        self.redis.pause()
        node, wires = self.nodes[0], []
        for headers in ({"Accept": "text/event-stream"}, upgrade_headers("dGhlIHNhbXBsZSBub25jZQ==")):
            wires.append(Wire(node.public))
            self.addCleanup(wires[-1].close)
            wires[-1].send(build_request("GET", "/sub/" + self.channel, node.public, headers=headers))
        for transport in ("sse", "websocket"):
            eventually(lambda: node.metrics()['fanhorn_connections{transport="%s"}' % transport] == 1, transport)
        node.send_signal(signal.SIGTERM)
        stream, socket = (wire.read_response() for wire in wires)
        self.assertEqual((stream.status, socket.status), (200, 503))  # an EventSource takes 503 for the last word
        self.assertIn(b"event: error", stream.body)
        self.assertEqual(node.wait(), 0)

    def test_paused_it_is_away_and_nothing_is_lost(self):
        client = self.sse(1)
        self.publish(0, b"before")
        self.redis.pause()
        self.wait_refusal()
        self.redis.go_on()
        self.wait_until_up()
        self.publish(0, b"after")
        seen = []
        while "after" not in seen:  # what was refused may have come through
            event = client.next_event()
            self.assertEqual(event.event, "message", event)
            seen.append(event.data)
        self.assertEqual(seen[0], "before")

    def test_what_has_ended_is_looked_for_now_and_then(self):
        """And not by each publish, though each brings one that ends at once."""
        def looked():
            line = self.redis.info("cmdstat_xrange", "commandstats")
            return int(line.partition("calls=")[2].partition(",")[0])
        self.publish(0, b"stays")
        before = looked()
        for _ in range(30):
            self.publish(0, b"x", ttl="1ms")
            time.sleep(0.01)  # the clock goes in steps
        self.assertLess(looked() - before, 45)  # each publish looks for the oldest message, too
        eventually(lambda: self.nodes[1].facts(self.channel)["messages"] == 1, "their end")

    def test_what_breaks_under_a_question_is_no_answer_to_it(self):
        self.publish(0, b"there")
        self.redis.pause()
        wires = []
        for path in ("/pub/" + self.channel, "/channels"):
            wires.append(Wire(self.nodes[0].private))
            self.addCleanup(wires[-1].close)
            wires[-1].send(build_request("GET", path, wires[-1].address))
        self.redis.kill()
        for wire in wires:
            response = wire.read_response()
            self.assertEqual((response.status, response.json()["code"]), (503, "broker_down"))

    def test_what_breaks_under_a_read_is_no_answer_to_it(self):
        """Its place is known by then, and the server goes away before there is anything from there."""
        between = Between(self.redis.socket, b"\r\nread\r\n")
        self.addCleanup(between.close)
        node = Daemon(self.configuration(f"url = unix:{between.path}")).start()
        self.addCleanup(self.end, node)
        eventually(lambda: node.request("GET", "/pub/none:such").status == 404, "the broker")
        self.publish(0, b"there")
        path = "/sub/" + self.channel
        between.is_cutting = True
        answer = node.request("GET", path, "public", query={"transport": "poll", "since": "earliest"})
        self.assertEqual((answer.status, answer.json()["code"]), (503, "broker_down"))
        between.is_cutting = False
        read = lambda: node.request("GET", path, "public", query={"transport": "longpoll", "since": "earliest"})
        eventually(lambda: read().status == 200, "the broker")
        between.is_cutting = True
        self.assertEqual(read().status, 503)
        between.is_cutting = False
        answer = eventually(lambda: next(iter([answer for answer in [read()] if answer.status == 200]), None), "the broker")
        self.assertEqual([message["data"] for message in answer.json()["messages"]], ["there"])

    def test_the_oldest_of_too_many_idempotency_keys_goes(self):
        first = self.publish(0, b"x", headers={"Idempotency-Key": "first"})
        for begin in range(1, 200_000, 5000):  # in one call it were away for a while
            self.redis.ask("EVAL", """
                for number = ARGV[2], math.min(ARGV[2] + 4999, 199999) do
                    redis.call('ZADD', KEYS[1], ARGV[1] + 1000, 'c,' .. number)
                end""", 1, "fanhorn:keys", int(time.time() * 1000), begin)
        self.assertEqual(self.publish(1, b"x", headers={"Idempotency-Key": "first"})["id"], first["id"])
        self.publish(0, b"x", headers={"Idempotency-Key": "one more"})
        self.assertEqual(self.redis.ask("ZCARD", "fanhorn:keys"), 200_000)
        self.assertNotEqual(self.publish(1, b"x", headers={"Idempotency-Key": "first"})["id"], first["id"])
        for node in self.nodes:
            self.assertEqual(node.metrics()['fanhorn_limit_hits_total{limit="idempotency_keys"}'], 1)

    def test_lost_connections_lose_nothing(self):
        clients = [self.sse(number % 2, since="earliest") for number in range(6)]
        stop = threading.Event()

        def disturb():
            while not stop.wait(0.15):
                self.redis.ask("CLIENT", "KILL", "TYPE", "pubsub")
                self.redis.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        thread = threading.Thread(target=disturb)
        thread.start()
        acknowledged = []
        try:
            for number in range(60):
                response = eventually(lambda: self.answered(number), "a publish")
                acknowledged.append(response.json()["id"])
                time.sleep(0.02)
        finally:
            stop.set()
            thread.join()
        self.wait_until_up()
        last = self.publish(0, b"last")["id"]
        for client in clients:
            ids, events = [], []
            while not ids or ids[-1] != last:
                event = client.next_event()
                self.assertEqual(event.event, "message", event)
                ids.append(event.id)
            numbers = [int(each.split(".")[1]) for each in ids]
            self.assertEqual(numbers, sorted(set(numbers)))
            self.assertLessEqual(set(acknowledged), set(ids))

    def test_more_channels_than_are_asked_for_at_once(self):
        clients = [Session(self.nodes[0].public, "") for _ in range(6)]
        for number, client in enumerate(clients):
            self.addCleanup(client.close)
            for part in range(4):
                names = [f"many:{number}:{part * 500 + each}" for each in range(500)]
                client.ask(subscribe={"channels": names})
        self.assertEqual(len(self.redis.ask("PUBSUB", "CHANNELS", "fanhorn:m:*")), 12_000)
        self.redis.ask("CLIENT", "KILL", "TYPE", "pubsub")
        eventually(lambda: len(self.redis.ask("PUBSUB", "CHANNELS", "fanhorn:m:*")) == 12_000, "all of them again")
        self.wait_until_up()
        for number, client in enumerate(clients):
            for name in (f"many:{number}:0", f"many:{number}:1999"):
                wanted = self.publish(1, b"x", name)["id"]
                while client.push().get("id") != wanted:
                    pass

    def answered(self, number):
        response = self.nodes[number % 2].request("POST", "/pub/" + self.channel, body=b"%d" % number)
        return response if response.status == 200 else None

    def test_emptied_under_us(self):
        client = self.sse(1)
        self.publish(0, b"before")
        self.assertEqual(client.next_event().data, "before")
        self.redis.ask("FLUSHALL")
        after = self.publish(0, b"after")["id"]
        events = [client.next_event() for _ in range(2)]
        self.assertEqual([event.event for event in events], ["gap", "message"])
        self.assertIn('"why":"broker"', events[0].data)
        self.assertEqual(events[1].id, after)

    def test_a_wildcard_is_told_that_all_was_lost(self):
        client = Session(self.nodes[1].public, "")
        self.addCleanup(client.close)
        client.ask(subscribe={"channel": "t:**"})
        client.until_caught_up("t:**")
        self.publish(0, b"before", "t:gone")
        self.assertEqual(client.push()["data"], "before")
        self.redis.ask("FLUSHALL")
        after = self.publish(0, b"after", "t:new")["id"]
        pushed = [client.push()]
        while pushed[-1].get("id") != after:
            pushed.append(client.push())
        self.assertIn("broker", [push["gap"]["why"] for push in pushed if "gap" in push])

    def test_what_others_write_is_told_and_not_delivered(self):
        client = self.sse(0)
        first = self.publish(0, b"one")["id"]
        epoch, number = first.split(".")
        self.assertEqual(client.next_event().data, "one")
        number = int(number) + 1
        self.redis.ask("XADD", "fanhorn:h:" + self.channel, f"{number}-0", "n", 2, "b", 5, "t", 9 << 40, "x", 0, "d", "junk")
        self.redis.ask("HSET", "fanhorn:meta", "head", number)
        for kind, text in (("", "junk"), (f"m {int(epoch, 36)} {1 << 53} 2 ", "junk"), (f"m {int(epoch, 36)} {(1 << 64) - 1} 2 ", "junk"),
                           (f"m {int(epoch, 36)} {number} 2 ", "junk")):
            self.redis.ask("PUBLISH", "fanhorn:m:" + self.channel, kind + text)
        gap = client.next_event()
        self.assertEqual(gap.event, "gap")
        self.assertIn('"why":"broker"', gap.data)
        self.publish(1, b"two")
        self.assertEqual(client.next_event().data, "two")
        self.assertIn("event=broker_record", self.nodes[0].log())

    def test_those_who_come_while_it_is_emptied(self):
        """None of them is left without an answer."""
        for number in range(20):
            self.redis.ask("FLUSHALL")
            self.publish(number % 2, b"x", f"t:{number}")  # it is noticed
            clients = [self.sse(number % 2, f"t:{number}", since="earliest") for _ in range(5)]
            self.publish(0, b"last", f"t:{number}")
            for client in clients:
                while client.next_event().data != "last":
                    pass
                client.close()

    def test_out_of_memory_is_a_refusal(self):
        self.publish(0, b"before")
        self.redis.ask("CONFIG", "SET", "maxmemory", "1")
        response, _ = self.refusal()
        self.assertEqual((response.status, response.json()["code"]), (503, "broker_down"))
        self.redis.ask("CONFIG", "SET", "maxmemory", "0")
        self.assertTrue(self.publish(0, b"after")["id"])


class FromItsFile(NodesTest):
    """A server that comes back with what it had: old positions mean nothing any more, and all that it has is there."""
    options = ("--appendonly", "yes")

    def test_restarted(self):
        live = self.sse(1)
        texts = [f"{number}" + "." * 8000 for number in range(30)]  # several pages
        ids = [self.publish(0, text.encode())["id"] for text in texts]
        for text in texts:
            self.assertEqual(live.next_event().data, text)
        self.redis.kill()
        self.wait_refusal()
        self.redis.start()
        self.wait_until_up()
        eventually(lambda: self.nodes[0].facts(self.channel), "the channel")
        new = self.publish(0, b"new")["id"]
        self.assertNotEqual(new.split(".")[0], ids[0].split(".")[0])
        gap, message = live.next_event(), live.next_event()
        self.assertEqual((gap.event, message.id), ("gap", new))
        self.assertIn('"why":"broker"', gap.data)
        for since, gaps in (("earliest", 0), (ids[0], 1)):
            reader = self.sse(0, since=since)
            events = [reader.next_event() for _ in range(gaps + 31)]
            self.assertEqual([event.event for event in events[:gaps]], ["gap"] * gaps)
            self.assertEqual([event.data for event in events[gaps:]], texts + ["new"])
        poll = self.nodes[1].poll(self.channel, transport="poll", since="-2")
        self.assertEqual([message["data"] for message in poll["messages"]], [texts[-1], "new"])


    def test_a_node_that_knows_nothing_begins_the_epoch(self):
        """Above all seqs there are, which epochs have moved ahead of the clock."""
        for _ in range(20):
            self.redis.ask("FLUSHALL")
            self.publish(0, b"x")
        live = self.sse(0)
        before = self.publish(0, b"before")["id"]
        self.assertEqual(live.next_event().id, before)
        pause(self.nodes[0].process)
        self.redis.kill()
        self.nodes[1].process.kill()
        self.nodes[1].process.wait()
        self.redis.start()
        self.nodes[1].launch()
        after = eventually(lambda: self.id_from(1), "a publish")
        self.nodes[0].send_signal(signal.SIGCONT)
        gap, message = live.next_event(), live.next_event()
        self.assertEqual((gap.event, message.id), ("gap", after))
        self.assertGreater(int(after.split(".")[1]), int(before.split(".")[1]) + 1)

    def id_from(self, node):
        try:
            response = self.nodes[node].request("POST", "/pub/" + self.channel, body=b"after")
        except OSError:  # it is beginning
            return None
        return response.json().get("id")


class Configuration(unittest.TestCase):
    def test_a_daemon_starts_without_its_server(self):
        redis = RedisServer()
        self.addCleanup(redis.close)
        with Daemon(configuration(f"url = {redis.url}")) as daemon:
            response = daemon.request("POST", "/pub/a", body=b"x")
            self.assertEqual((response.status, response.json()["code"]), (503, "broker_down"))
            self.assertIn("event=broker_down", daemon.log())
            redis.start()
            eventually(lambda: daemon.request("POST", "/pub/a", body=b"x").status == 200, "the broker")
            self.assertIn("event=broker_up", daemon.log())


if __name__ == "__main__":
    unittest.main()
