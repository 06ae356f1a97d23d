# SPDX-License-Identifier: Apache-2.0
"""Users of two nodes with one Redis: who is on a channel, who comes and goes, who is sent away."""

import signal
import threading
import time
import unittest

from application import SECRET as HOOKS_SECRET
from application import Application
from harness import Daemon, config, eventually, pause
from redis_nodes import NodesTest
from session import Session
from tokens import claims_of, secret_token

SECRET = "a secret of more than 32 bytes, for HS256"
CHANNELS = """[defaults channel]
broker = shared
subscribe = users
presence = on
joins = on
presence_grace = 300ms
[channel **]
[channel quiet:**]
joins = off
[channel small:**]
presence_users = 2
"""
LEASE = 15  # seconds that a node's word is good for


class PeopleTest(NodesTest):
    more = ""

    def configuration(self, lines):
        return config(channels=CHANNELS, more=f"[broker shared]\ntype = redis\n{lines}\n[auth users]\ntype = jwt\n"
                                              f"secret = {SECRET}\n{self.more}")

    def session(self, node, user, channel=None, info=None):
        more = {"info": info} if info is not None else {}
        token = secret_token(SECRET, claims_of(user, ("**",), **more))
        client = Session(self.nodes[node].public, channel or self.channel, headers={"Authorization": f"Bearer {token}"})
        self.addCleanup(client.close)
        return client

    def presence(self, node=0, channel=None):
        answer = self.nodes[node].request("GET", f"/channels/{channel or self.channel}/presence")
        if answer.status != 200:
            return None
        return {each["user"]: each["connections"] for each in answer.json()["users"]}

    def wait_presence(self, wanted, channel=None):
        for node in range(2):
            eventually(lambda its=node: self.presence(its, channel) == wanted, f"{wanted}, not {self.presence(node, channel)}", 30)

    def told(self, client, wanted):
        """What comes next, of joins, leaves and messages."""
        found = []
        while len(found) < len(wanted):
            push = client.push()
            if push.get("data") == "x" or push["channel"].startswith("$"):
                continue  # what only tried the server; his own channel
            for kind in ("join", "leave", "data", "gap"):
                if kind in push:
                    found.append((kind, push[kind] if kind == "data" else push[kind].get("user", push[kind].get("why"))))
        self.assertEqual(found, wanted)


class OnTwoNodes(PeopleTest):
    def test_users_of_both_nodes_are_one_list(self):
        alice = self.session(0, "alice", info={"name": "A"})
        self.wait_presence({"alice": 1})
        bob = self.session(1, "bob")
        self.told(alice, [("join", "bob")])
        self.session(1, "alice", info={"name": "A"})
        self.wait_presence({"alice": 2, "bob": 1})
        users = self.nodes[1].request("GET", f"/channels/{self.channel}/presence").json()["users"]
        self.assertEqual(users[0], {"user": "alice", "info": {"name": "A"}, "connections": 2})
        self.assertEqual(bob.ask(presence={"channel": self.channel})["count"], 2)
        alice.close()
        self.wait_presence({"alice": 1, "bob": 1})
        time.sleep(0.5)  # longer than the grace: she is still at the other node
        self.publish(0, b"hello")
        self.told(bob, [("data", "hello")])

    def test_who_goes_from_both_has_left(self):
        watcher = self.session(0, "watcher")
        first, second = self.session(0, "alice"), self.session(1, "alice")
        self.wait_presence({"watcher": 1, "alice": 2})
        first.close()
        second.close()
        self.told(watcher, [("join", "alice"), ("leave", "alice")])
        self.wait_presence({"watcher": 1})

    def test_who_moves_within_the_grace_has_not_left(self):
        watcher = self.session(0, "watcher")
        for number in range(6):
            client = self.session(number % 2, "alice")
            eventually(lambda: "alice" in self.presence(), "her")
            client.close()
        last = self.session(1, "alice")
        self.wait_presence({"watcher": 1, "alice": 1})
        self.publish(1, b"hello")
        self.told(watcher, [("join", "alice"), ("data", "hello")])
        last.close()
        self.told(watcher, [("leave", "alice")])

    def test_another_info_is_told(self):
        watcher = self.session(0, "watcher")
        self.session(1, "alice", info=1)
        self.session(0, "alice", info=2)
        self.told(watcher, [("join", "alice"), ("join", "alice")])

    def test_a_channel_has_as_many_as_it_may(self):
        for number in range(4):
            self.session(number % 2, f"u{number}", "small:room")
        eventually(lambda: any(node.metrics().get('fanhorn_limit_hits_total{limit="presence_users"}') for node in self.nodes), "a count")
        self.assertEqual(len(self.presence(0, "small:room")), 2)

    def test_lost_connections_are_neither_leave_nor_join(self):
        watcher = self.session(0, "watcher")
        self.session(1, "alice")
        self.told(watcher, [("join", "alice")])
        for _ in range(5):
            self.redis.ask("CLIENT", "KILL", "TYPE", "pubsub")
            self.redis.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            self.wait_until_up()
            self.wait_presence({"watcher": 1, "alice": 1})
        time.sleep(1.5)  # what a node said under its old name has gone
        self.assertEqual(self.presence(), {"watcher": 1, "alice": 1})
        self.publish(1, b"hello")
        self.told(watcher, [("data", "hello")])

    def test_who_comes_and_goes_while_it_is_away(self):
        watcher, alice = self.session(0, "watcher"), self.session(1, "alice")
        bob = self.session(1, "bob", "elsewhere")
        self.told(watcher, [("join", "alice")])
        self.redis.pause()
        self.wait_refusal()
        self.assertEqual(self.presence(), None)
        alice.close()
        time.sleep(0.5)
        self.redis.go_on()
        self.told(watcher, [("leave", "alice")])
        self.wait_presence({"watcher": 1})
        self.wait_presence({"bob": 1}, "elsewhere")
        bob.close()

    def test_to_an_emptied_server_all_is_said_again(self):
        watcher = self.session(0, "watcher")
        self.session(1, "alice")
        self.told(watcher, [("join", "alice")])
        self.redis.ask("FLUSHALL")
        for node in (0, 1):  # each notices
            self.publish(node, b"after", "t:other")
        self.wait_presence({"watcher": 1, "alice": 1})
        self.publish(1, b"hello")
        found = [watcher.push()]
        while found[-1].get("data") != "hello":
            found.append(watcher.push())
        of_channel = [push for push in found if push["channel"] == self.channel and "caught_up" not in push]
        self.assertEqual(of_channel[0]["gap"]["why"], "broker")
        # Who joined before that word is on the list, who joined behind it is told.
        self.assertFalse([push for push in of_channel if "leave" in push])

    def test_longer_away_than_a_lease_nobody_has_left(self):
        """Whether no node could renew its own, or one alone stood still."""
        watcher = self.session(0, "watcher")
        self.session(1, "alice")
        self.told(watcher, [("join", "alice")])
        self.redis.ask("CONFIG", "SET", "maxmemory", "1")
        time.sleep(LEASE + 2)
        self.redis.ask("CONFIG", "SET", "maxmemory", "0")
        self.wait_until_up()
        time.sleep(1)
        self.publish(1, b"hello")
        self.told(watcher, [("data", "hello")])
        self.assertEqual(self.presence(), {"watcher": 1, "alice": 1})
        pause(self.nodes[1].process)
        self.assertEqual(watcher.push(timeout=LEASE + 15)["leave"]["user"], "alice")
        self.nodes[1].send_signal(signal.SIGCONT)
        self.told(watcher, [("join", "alice")])
        self.wait_presence({"watcher": 1, "alice": 1})

    def test_a_node_that_is_gone_lets_its_users_go(self):
        watcher = self.session(0, "watcher")
        users = {f"u{number}": 1 for number in range(100)}
        for user in users:
            self.session(1, user, "quiet:many")
        self.session(1, "alice")
        self.told(watcher, [("join", "alice")])
        self.wait_presence(users, "quiet:many")
        self.nodes[1].kill()
        start = time.monotonic()
        self.assertEqual(self.presence(), {"watcher": 1, "alice": 1})
        push = watcher.push(timeout=LEASE + 15)
        self.assertEqual(push["leave"]["user"], "alice")
        self.assertGreater(time.monotonic() - start, LEASE - 3)
        self.assertEqual(self.presence(), {"watcher": 1})
        eventually(lambda: self.presence(0, "quiet:many") == {}, "an empty list", 30)
        eventually(lambda: not self.redis.ask("KEYS", "fanhorn:on:*")[1:], "one node's list")

    def test_also_where_they_are_many(self):
        """As a node of 5,000 users that has been gone for long leaves them behind."""
        self.redis.ask("EVAL", """
            for number = 1, 5000 do
                local user = 'u' .. number
                redis.call('HSET', KEYS[1] .. 'p:quiet:many', 'u' .. user, '{}', 'c' .. user, 1, 'n0123456789abcdef' .. user, 1)
                redis.call('SADD', KEYS[1] .. 'on:0123456789abcdef', 'quiet:many\\0' .. user)
            end
            redis.call('HSET', KEYS[1] .. 'p:quiet:many', '#', 5000)
            redis.call('ZADD', KEYS[1] .. 'nodes', 1, '0123456789abcdef')""", 1, "fanhorn:")
        eventually(lambda: self.presence(0, "quiet:many") == {}, "an empty list", 20)
        eventually(lambda: not self.redis.ask("KEYS", "fanhorn:on:*"), "no node's list")


class SentAway(PeopleTest):
    def test_from_all_nodes(self):
        here, there, other = self.session(0, "alice"), self.session(1, "alice"), self.session(1, "bob")
        self.wait_presence({"alice": 2, "bob": 1})
        eventually(lambda: self.redis.ask("ZCARD", "fanhorn:nodes") == 2, "both to look")
        time.sleep(1.2)  # each has looked once
        self.assertEqual(self.nodes[0].request("DELETE", "/users/alice").json(), {"connections": 1})
        self.assertEqual(here.expect_close().code, 4003)
        self.assertEqual(there.expect_close().code, 4003)
        self.wait_presence({"bob": 1})
        again = self.session(1, "alice")
        time.sleep(1.5)
        self.publish(0, b"hello")
        for client in (other, again):
            while client.push().get("data") != "hello":
                pass

    def test_also_by_one_that_was_away(self):
        there = self.session(1, "alice")
        eventually(lambda: self.presence() == {"alice": 1}, "her")
        time.sleep(1.2)
        pause(self.nodes[1].process)
        self.redis.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        eventually(lambda: self.nodes[0].request("DELETE", "/users/alice").status == 200, "an answer")
        self.nodes[1].send_signal(signal.SIGCONT)
        self.assertEqual(there.expect_close().code, 4003)

    def test_but_not_who_came_after_that(self):
        there = self.session(1, "alice")
        eventually(lambda: self.presence() == {"alice": 1}, "her")
        time.sleep(1.2)
        pause(self.nodes[1].process)
        self.assertEqual(self.nodes[0].request("DELETE", "/users/alice").status, 200)
        came = []  # the kernel takes the connection, and the node has it before it hears of the other one's end
        later = threading.Thread(target=lambda: came.append(self.session(1, "alice")))
        later.start()
        time.sleep(0.5)
        self.nodes[1].send_signal(signal.SIGCONT)
        later.join()
        self.assertEqual(there.expect_close().code, 4003)
        time.sleep(0.5)
        self.publish(0, b"hello")
        while came[0].push().get("data") != "hello":
            pass

    def test_while_redis_is_away_it_is_refused(self):
        here = self.session(0, "alice")
        self.redis.kill()
        self.wait_refusal()
        response = self.nodes[0].request("DELETE", "/users/alice")
        self.assertEqual((response.status, response.json()["code"]), (503, "broker_down"))
        self.assertEqual(here.expect_close().code, 4003)


class Unheard(PeopleTest):
    def start_server(self):
        self.app = Application()
        self.addCleanup(self.app.stop)
        self.more = (f"[hooks app]\nurl = http://127.0.0.1:{self.app.port}/\nsecret = {HOOKS_SECRET}\nevents = offline\n"
                     "grace = 100ms\ndelay = 0s\n")
        return super().start_server()

    def test_a_user_of_another_node_is_not_offline(self):
        self.session(1, "alice")
        eventually(lambda: self.nodes[1].request("POST", "/users/alice", body=b"x").json()["subscribers"] == 1, "her connection")
        heard = self.nodes[0].request("POST", "/users/alice", body=b"hi").json()["id"]
        answer = self.nodes[0].request("POST", "/users/bob", body=b"hi").json()
        eventually(lambda: ("offline", "bob", answer["id"]) in self.app.told(), "an event")
        self.assertNotIn(("offline", "alice", heard), self.app.told())  # it would stand before bob's


if __name__ == "__main__":
    unittest.main()
