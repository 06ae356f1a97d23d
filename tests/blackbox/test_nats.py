# SPDX-License-Identifier: Apache-2.0
"""Two nodes and one real nats-server between them: one relay, whatever happens to the server."""

import random
import time
import unittest

from certificates import Authority
from harness import Daemon, config, eventually
from nats_server import NatsServer
from redis_nodes import CHANNELS, NodesTest
from session import Session
from tokens import claims_of, secret_token

SECRET = "a secret of more than 32 bytes, for HS256"


def configuration(lines, channels=CHANNELS, more=""):
    return config(limits="subscriptions = 5000\nbody_size = 4m", more=f"[broker shared]\ntype = nats\n{lines}\n{more}", channels=channels)


class NatsTest(NodesTest):
    configuration = staticmethod(configuration)

    def start_server(self):
        self.server = NatsServer().start()
        self.addCleanup(self.server.close)
        return f"url = {self.server.url}"

    def publish_when_up(self, body, node=0):
        def try_once():
            try:
                response = self.nodes[node].request("POST", "/pub/" + self.channel, body=body)
            except OSError:  # it is beginning
                return None
            return response.json().get("id") if response.status == 200 else None
        return eventually(try_once, "a publish", 30)

    def wait_up(self):
        """A node may carry what others published before it is sure of all that went before."""
        for node in self.nodes:
            eventually(lambda its=node: its.metrics()['fanhorn_broker_up{broker="shared"}'] == 1, "the broker", 30)

    def poll(self, node, since, channel=None):
        return self.nodes[node].poll(channel or self.channel, transport="poll", since=since)

    def assert_new_epoch(self, before, after):
        self.assertNotEqual(before.split(".")[0], after.split(".")[0])
        self.assertGreater(int(after.split(".")[1]), int(before.split(".")[1]))

    def assert_told(self, client, after):
        """A gap is next, then what there is up to `after`."""
        gap = client.next_event()
        self.assertEqual(gap.event, "gap", gap)
        self.assertIn('"why":"broker"', gap.data)
        while (event := client.next_event()).id != after:
            self.assertEqual(event.event, "message", event)


class TwoNodes(NatsTest):
    def test_one_order_at_both(self):
        clients = [self.sse(0), self.sse(1), self.sse(1, "t:other")]
        ids = [self.publish(number % 2, f"m{number}".encode())["id"] for number in range(40)]
        other = self.publish(0, b"x", "t:other")["id"]
        for client in clients[:2]:
            events = [client.next_event() for _ in ids]
            self.assertEqual([event.data for event in events], [f"m{number}" for number in range(40)])
            self.assertEqual([event.id for event in events], ids)
        self.assertEqual(clients[2].next_event().id, other)
        numbers = [int(each.split(".")[1]) for each in ids + [other]]
        self.assertEqual(numbers, sorted(set(numbers)))

    def test_a_reader_goes_on_at_the_other_node(self):
        first = self.sse(0)
        self.publish(1, b"one")
        last = first.next_event().id
        first.close()
        self.publish(0, b"two")
        second = self.sse(1, since=last)
        self.publish(1, b"three")
        self.assertEqual([second.next_event().data for _ in range(2)], ["two", "three"])
        ids = [self.publish(0, b"%d" % number, "few:x")["id"] for number in range(5)]
        for node in range(2):
            eventually(lambda its=node: self.nodes[its].facts("few:x")["last"] == ids[-1], "all of them")
            polled = self.poll(node, ids[0], "few:x")
            self.assertEqual([message["id"] for message in polled["messages"]], ids[3:])
            self.assertEqual([(gap["why"], gap["next"]) for gap in polled["gaps"]], [("trimmed", ids[3])])

    def test_state_keys_facts_and_ends_are_shared(self):
        self.publish(0, b"state", method="PUT")
        eventually(lambda: self.nodes[1].facts(self.channel), "the channel at the other node")
        polled = self.poll(1, "latest")
        self.assertEqual([(message["data"], message["retained"]) for message in polled["messages"]], [("state", True)])
        self.assertEqual(self.nodes[1].facts(self.channel)["messages"], 1)
        repeat = [self.nodes[node].request("POST", "/pub/" + self.channel, body=b"once",
                                           headers={"Idempotency-Key": "k"}).json() for node in (0, 1)]
        self.assertEqual(repeat[0]["id"], repeat[1]["id"])
        clients = [self.sse(0), self.sse(1)]
        self.assertEqual(self.nodes[0].request("DELETE", "/pub/" + self.channel).status, 204)
        for client in clients:
            self.assertEqual([client.next_event().event for _ in range(2)], ["message", "end"])  # the state first
        eventually(lambda: self.nodes[1].facts(self.channel) is None, "its end at the other node")

    def test_a_node_that_starts_again_has_all(self):
        ids = [self.publish(number % 2, b"%d" % number)["id"] for number in range(20)]
        self.publish(0, b"state", "t:state", method="PUT")
        self.nodes[1].process.kill()
        self.nodes[1].process.wait()
        ids.append(self.publish(0, b"20")["id"])
        self.nodes[1].launch()
        eventually(lambda: self.poll_of_who_begins(1, ids[4]) == ids[5:], "what it missed")
        self.assertEqual(self.poll(1, "latest", "t:state")["messages"][0]["data"], "state")
        for node in (1, 0):
            ids.append(self.publish(node, b"after")["id"])
        for node in range(2):
            eventually(lambda its=node: [message["n"] for message in self.poll(its, ids[-3])["messages"]] == [22, 23], "their counts")

    def poll_of_who_begins(self, node, since):
        try:
            response = self.nodes[node].request("GET", "/sub/" + self.channel, "public", query={"transport": "poll", "since": since})
        except OSError:
            return None
        return response.status == 200 and [message["id"] for message in response.json()["messages"]]

    def test_wildcards(self):
        self.publish(0, b"old", "t:one:old")
        eventually(lambda: self.nodes[1].facts("t:one:old"), "it at the other node")
        client = Session(self.nodes[1].public, "")
        self.addCleanup(client.close)
        client.ask(subscribe={"channel": "t:**", "since": "earliest"})
        self.assertEqual(client.push()["data"], "old")
        client.until_caught_up("t:**")
        wanted = [self.publish(number % 2, b"%d" % number, channel)["id"]
                  for number, channel in enumerate(["t:one:two", "t:new", "t:one:two"])]
        self.assertEqual([client.push()["id"] for _ in wanted], wanted)

    def test_stopped_it_is_away_and_nothing_is_lost(self):
        client = self.sse(1)
        before = self.publish(0, b"before")["id"]
        self.server.pause()
        response = self.wait_refusal()
        self.assertEqual(response.json()["code"], "broker_down")
        self.assertRegex(response.headers["Retry-After"], "^[0-9]+$")
        self.assertLess(self.refusal()[1], 1)
        self.assertEqual(self.nodes[0].metrics()['fanhorn_broker_up{broker="shared"}'], 0)
        self.assertEqual(self.poll(0, before)["messages"], [])  # readers are served with what is here
        self.server.go_on()
        after = self.publish_when_up(b"after")
        self.assertEqual(self.nodes[0].metrics()['fanhorn_broker_up{broker="shared"}'], 1)
        self.assertEqual(before.split(".")[0], after.split(".")[0])
        seen = []
        while "after" not in seen:  # what was refused may have come through
            event = client.next_event()
            self.assertEqual(event.event, "message", event)
            seen.append(event.data)
        self.assertEqual(seen[0], "before")

    def test_killed_it_may_have_lost_something(self):
        clients = [self.sse(0), self.sse(1)]
        ids = [self.publish(number % 2, b"%d" % number)["id"] for number in range(5)]
        for client in clients:
            self.assertEqual([client.next_event().id for _ in ids], ids)
        self.server.kill()
        self.wait_refusal()
        self.server.start()
        after = self.publish_when_up(b"after", 1)
        self.assert_new_epoch(ids[-1], after)
        for client in clients:
            self.assert_told(client, after)
        self.wait_up()
        for node in range(2):
            eventually(lambda its=node: self.nodes[its].facts(self.channel)["last"] == after, "it at both")
            polled = self.poll(node, ids[1])
            self.assertEqual([gap["why"] for gap in polled["gaps"]], ["epoch"])
            self.assertEqual([message["data"] for message in polled["messages"]], ["0", "1", "2", "3", "4", "after"])

    def test_emptied_all_is_told(self):
        clients = [self.sse(0), self.sse(1)]
        before = self.publish(0, b"before")["id"]
        for client in clients:
            self.assertEqual(client.next_event().id, before)
        self.server.kill()
        self.server.empty()
        self.server.start()
        after = self.publish_when_up(b"after", 1)
        self.assert_new_epoch(before, after)
        for client in clients:
            self.assert_told(client, after)
        self.wait_up()
        eventually(lambda: [gap["why"] for gap in self.poll(0, before)["gaps"]] == ["epoch"], "the gap")

    def test_its_stream_deleted_under_us(self):
        client = self.sse(1)
        before = self.publish(0, b"before")["id"]
        self.assertEqual(client.next_event().id, before)
        self.server.delete_stream()
        after = self.publish_when_up(b"after", 1)
        self.assert_new_epoch(before, after)
        self.assert_told(client, after)

    def test_an_entry_deleted_by_others(self):
        """Who was there has it; who comes later cannot tell what it was: all are told."""
        client = self.sse(0)
        before = [self.publish(0, b"%d" % number)["id"] for number in range(10)]
        self.assertEqual([client.next_event().id for _ in before], before)
        last = self.server.stream()["state"]["last_seq"]
        self.nodes[1].process.kill()
        self.nodes[1].process.wait()
        self.server.ask("$JS.API.STREAM.MSG.DELETE.fanhorn", b'{"seq":%d}' % (last - 4))
        self.nodes[1].launch()
        gap = client.next_event()
        self.assertEqual((gap.event, '"why":"broker"' in gap.data), ("gap", True))
        after = self.publish_when_up(b"after", 1)
        self.assert_new_epoch(before[-1], after)
        self.assertEqual(client.next_event().id, after)

    def test_faults_at_random(self):
        """What was acknowledged comes, in one order, or a gap is told: at both nodes, and to who comes later."""
        seed = random.randrange(1 << 32)
        chance = random.Random(seed)
        clients = [self.sse(number % 2, since="earliest") for number in range(4)]
        acknowledged = []
        for number in range(60):
            response, _ = self.refusal(chance.randrange(2))
            if response.status == 200:
                acknowledged.append(response.json()["id"])
            if chance.random() < 0.05:
                self.server.pause()
                time.sleep(chance.random() * 0.2)
                self.server.go_on()
            if number == 30:
                self.server.kill()
                self.server.start()
        acknowledged.append(self.publish_when_up(b"last"))
        self.wait_up()
        for client in clients + [self.sse(number, since="earliest") for number in range(2)]:
            ids = []
            while not ids or ids[-1] != acknowledged[-1]:
                event = client.next_event()
                self.assertIn(event.event, ("message", "gap"), f"seed {seed}")
                ids += [event.id] if event.event == "message" else []
            numbers = [int(each.split(".")[1]) for each in ids]
            self.assertEqual(numbers, sorted(set(numbers)), f"seed {seed}")
            self.assertLessEqual(set(acknowledged), set(ids), f"seed {seed}")


class People(NatsTest):
    @staticmethod
    def configuration(lines):
        channels = ("[channel **]\nbroker = shared\nsubscribe = users\npresence = on\njoins = on\npresence_grace = 300ms\n")
        return configuration(lines, channels, f"[auth users]\ntype = jwt\nsecret = {SECRET}\n")

    def session(self, node, user):
        token = secret_token(SECRET, claims_of(user, ("**",)))
        client = Session(self.nodes[node].public, self.channel, headers={"Authorization": f"Bearer {token}"})
        self.addCleanup(client.close)
        return client

    def presence(self, node):
        answer = self.nodes[node].request("GET", f"/channels/{self.channel}/presence")
        return {each["user"]: each["connections"] for each in answer.json()["users"]} if answer.status == 200 else None

    def wait_presence(self, wanted, *nodes):
        for node in nodes or (0, 1):
            eventually(lambda its=node: self.presence(its) == wanted, f"{wanted}, not {self.presence(node)}")

    def told(self, client):
        """The next join or leave."""
        while True:
            push = client.push()
            for kind in ("join", "leave"):
                if kind in push:
                    return kind, push[kind]["user"]

    def test_users_of_both_nodes_are_one_list(self):
        alice = self.session(0, "alice")
        self.wait_presence({"alice": 1})
        bob = self.session(1, "bob")
        self.assertEqual(self.told(alice), ("join", "bob"))
        second = self.session(1, "alice")
        self.wait_presence({"alice": 2, "bob": 1})
        second.close()
        self.wait_presence({"alice": 1, "bob": 1})
        alice.close()
        self.assertEqual(self.told(bob), ("leave", "alice"))
        self.wait_presence({"bob": 1})

    def test_a_user_is_sent_away_at_all_nodes(self):
        first, second, other = self.session(0, "alice"), self.session(1, "alice"), self.session(1, "bob")
        self.wait_presence({"alice": 2, "bob": 1})
        self.assertEqual(self.nodes[0].request("DELETE", "/users/alice").status, 200)
        for client in (first, second):
            self.assertEqual(client.expect_close().code, 4003)
        self.wait_presence({"bob": 1})
        self.session(1, "alice")  # who comes later stays
        self.wait_presence({"alice": 1, "bob": 1})
        other.ask(presence={"channel": self.channel})


class Secure(NatsTest):
    """Over TLS, as a user who may what the manual says that he must."""

    def start_server(self):
        self.authority = Authority()
        self.addCleanup(self.authority.remove)
        certificate, key = self.authority.sign("nats", "127.0.0.1")
        self.ours = self.authority.sign("ours", "relay.example")
        self.server = NatsServer("--tlsverify", "--tlscert", str(certificate), "--tlskey", str(key), "--tlscacert",
                                 str(self.authority.folder / "ca.pem"))
        (self.server.dir / "users").write_text(
            'authorization { users = [{ user: relay, password: "p@ss", permissions: { '
            'publish: ["fanhorn.>", "$JS.API.>", "$JS.FC.>"], subscribe: ["_INBOX.>"] } }] }')
        self.server.options += ("-c", str(self.server.dir / "users"))
        self.addCleanup(self.server.close)
        self.server.start()
        return self.lines()

    def lines(self, authority=None, password="p%40ss"):
        return (f"url = tls://relay:{password}@127.0.0.1:{self.server.port}\ntls_ca = {(authority or self.authority).folder}/ca.pem\n"
                f"tls_certificate = {self.ours[0]}\ntls_key = {self.ours[1]}\n")

    def refused(self, lines, word):
        with Daemon(configuration(lines)) as daemon:
            eventually(lambda: word in daemon.log(), "a word: " + daemon.log())
            self.assertEqual(daemon.request("POST", "/pub/a", body=b"x").status, 503)

    def test_over_tls(self):
        client = self.sse(1)
        ids = [self.publish(0, b"x" * 4000)["id"] for _ in range(20)]
        self.assertEqual([client.next_event().id for _ in ids], ids)
        other = Authority()
        self.addCleanup(other.remove)
        self.refused(self.lines(other), "SSL Error")
        self.refused(self.lines(password="wrong"), "Authorization Violation")


class Configuration(unittest.TestCase):
    def test_a_daemon_starts_without_its_server(self):
        server = NatsServer()
        self.addCleanup(server.close)
        with Daemon(configuration(f"url = {server.url}")) as daemon:
            response = daemon.request("POST", "/pub/a", body=b"x")
            self.assertEqual((response.status, response.json()["code"]), (503, "broker_down"))
            eventually(lambda: "event=broker_down" in daemon.log(), "a word of it")
            server.start()
            eventually(lambda: daemon.request("POST", "/pub/a", body=b"x").status == 200, "the broker")
            self.assertIn("event=broker_up", daemon.log())


if __name__ == "__main__":
    unittest.main()
