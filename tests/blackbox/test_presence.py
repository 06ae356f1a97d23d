# SPDX-License-Identifier: Apache-2.0
"""Users: who is on a channel, who comes and goes, and what is sent to one of them."""

import json
import os
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

from harness import FanhornTest, config, eventually
from session import Session
from tokens import claims_of, secret_token
from wire import build_request

SECRET = "a secret of more than 32 bytes, for HS256"
SECTIONS = f"""
[auth users]
type = jwt
secret = {SECRET}
"""
CHANNELS = """
[channel **]
subscribe = users
client_publish = users
presence = on
presence_grace = 700ms
joins = on
[channel quiet:**]
presence = on
[channel open:**]
subscribe = public
[channel small:**]
presence = on
presence_users = 2
"""


def token(user, info=None, lasts=600):
    more = {"info": info} if info is not None else {}
    return secret_token(SECRET, claims_of(user, ("**",), ("**",), lasts, **more))


def bearer(user, **options):
    return {"Authorization": f"Bearer {token(user, **options)}"}


class UsersTest(FanhornTest):
    config = config(more=SECTIONS, channels=CHANNELS)

    def session(self, user, channels="", **options):
        return self.open(Session(self.daemon.public, channels, headers=bearer(user), **options))

    def presence(self, channel):
        response = self.daemon.request("GET", f"/channels/{channel}/presence")
        self.assertEqual(response.status, 200, response)
        answer = response.json()
        self.assertEqual(answer["count"], len(answer["users"]))
        return {each["user"]: each["connections"] for each in answer["users"]}

    def wait_presence(self, channel, wanted):
        eventually(lambda: self.presence(channel) == wanted, f"{wanted} on {channel}")

    def next_of(self, client, key, channel):
        """The next envelope of that channel with that member."""
        while key not in (envelope := client.push()) or envelope["channel"] != channel:
            pass
        return envelope[key]


class Presence(UsersTest):
    def test_several_connections_count_once(self):
        first = self.session("alice", self.channel)
        second = self.session("alice", self.channel)
        self.session("bob", self.channel)
        self.wait_presence(self.channel, {"alice": 2, "bob": 1})
        first.close()
        self.wait_presence(self.channel, {"alice": 1, "bob": 1})
        second.close()
        self.wait_presence(self.channel, {"alice": 0, "bob": 1})
        self.wait_presence(self.channel, {"bob": 1})

    def test_every_transport(self):
        self.open(self.sse(self.channel, bearer("sse")))
        self.ws(self.channel, headers=bearer("ws"))
        self.ws(self.channel, headers=bearer("enveloped"), query={"envelope": "1"})
        self.session("session", self.channel)
        wire = self.wire("public")
        wire.send(build_request("GET", "/sub/" + self.channel, self.daemon.public, query={"wait": "20"},
                                headers=bearer("poll")))
        self.wait_presence(self.channel, {"sse": 1, "ws": 1, "enveloped": 1, "session": 1, "poll": 1})

    def test_joins_and_leaves(self):
        watcher = self.session("watcher", self.channel)
        alice = self.session("alice", self.channel)
        self.assertEqual(self.next_of(watcher, "join", self.channel), {"user": "alice"})
        again = self.session("alice", self.channel)
        with_info = self.open(Session(self.daemon.public, self.channel, headers=bearer("bob", info={"name": "Bob"})))
        self.assertEqual(self.next_of(watcher, "join", self.channel), {"user": "bob", "info": {"name": "Bob"}})
        for client in (again, alice, with_info):
            client.close()
        left = {self.next_of(watcher, "leave", self.channel)["user"] for _ in range(2)}
        self.assertEqual(left, {"alice", "bob"})

    def test_another_info_is_told_as_a_join(self):
        watcher = self.session("watcher", self.channel)
        for name in ("Bob", "Bob", "Bobby"):
            self.open(Session(self.daemon.public, self.channel, headers=bearer("bob", info={"name": name})))
        for name in ("Bob", "Bobby"):
            self.assertEqual(self.next_of(watcher, "join", self.channel), {"user": "bob", "info": {"name": name}})

    def test_who_reconnects_has_not_left(self):
        watcher = self.session("watcher", self.channel)
        for _ in range(5):
            self.session("alice", self.channel).close()
            time.sleep(0.05)
        stays = self.session("alice", self.channel)
        self.assertEqual(self.next_of(watcher, "join", self.channel), {"user": "alice"})
        time.sleep(1.8)
        stays.ask(publish={"channel": self.channel, "text": "still here"})
        envelope = watcher.push()
        while "caught_up" in envelope:
            envelope = watcher.push()
        self.assertEqual(envelope["data"], "still here")

    def test_by_command(self):
        client = self.session("alice")
        client.ask(subscribe={"channel": self.channel})
        ok = client.ask(presence={"channel": self.channel})
        self.assertEqual(ok, {"users": [{"user": "alice", "connections": 1}], "count": 1})
        client.ask(unsubscribe={"channel": self.channel})
        self.wait_presence(self.channel, {})

    def test_a_token_in_the_command(self):
        client = self.open(Session(self.daemon.public))
        client.ask(subscribe={"channel": self.channel, "token": token("late")})
        self.wait_presence(self.channel, {"late": 1})
        self.daemon.request("POST", "/users/late", body=b"to you")
        self.assertEqual(self.next_of(client, "data", "$user:late"), "to you")

    def test_a_token_by_refresh(self):
        client = self.open(Session(self.daemon.public))
        client.ask(refresh={"token": token("fresh")})
        client.ask(subscribe={"channel": self.channel})
        self.wait_presence(self.channel, {"fresh": 1})

    def test_silent_without_joins(self):
        name = "quiet:" + self.channel
        watcher = self.session("watcher", name)
        self.session("alice", name)
        self.wait_presence(name, {"watcher": 1, "alice": 1})
        self.daemon.publish(name, b"end")
        while "id" not in (envelope := watcher.push()):
            self.assertNotIn("join", envelope)

    def test_where_it_is_off(self):
        self.assert_problem(self.daemon.request("GET", "/channels/open:x/presence"), 404, "not_found")
        client = self.session("alice")
        self.assertEqual(client.fault(presence={"channel": "open:x"}), "forbidden")

    def test_most_users(self):
        name = "small:" + self.channel
        kept = [self.session(f"u{i}", name) for i in range(2)]
        self.assert_limit("presence_users", lambda: self.session("too-many", name))
        self.assertEqual(set(self.presence(name)), {"u0", "u1"})
        self.assertEqual(len(kept), 2)

    def test_who_was_too_many_does_not_take_another_away(self):
        name = "small:" + self.channel
        first = [self.session(f"u{i}", name) for i in range(2)]
        too_many = self.session("late", name)
        first[0].close()
        self.wait_presence(name, {"u1": 1})
        self.session("late", name)
        self.wait_presence(name, {"u1": 1, "late": 1})
        too_many.close()
        self.wait_subscribers(name, 2)
        self.assertEqual(self.presence(name), {"u1": 1, "late": 1})

    def test_killed_clients_leave(self):
        """A process with 20 connections is killed: its users leave when the grace time is over."""
        program = ("import json, sys; sys.path.insert(0, sys.argv[1])\n"
                   "from test_presence import Session, bearer\n"
                   "kept = [Session(tuple(json.loads(sys.argv[2])), sys.argv[3], headers=bearer(f'u{i}')) for i in range(20)]\n"
                   "print('ready', flush=True)\nsys.stdin.read()\n")
        process = subprocess.Popen([sys.executable, "-c", program, str(Path(__file__).parent), json.dumps(self.daemon.public),
                                    self.channel], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(process.communicate)
        process.stdout.readline()
        self.wait_presence(self.channel, {f"u{i}": 1 for i in range(20)})
        began = time.monotonic()
        os.kill(process.pid, signal.SIGKILL)
        self.wait_presence(self.channel, {})
        self.assertGreater(time.monotonic() - began, 0.6)


class NobodysOwn(UsersTest):
    """A section can say that users have no channel of their own."""

    config = config(more=SECTIONS, channels=CHANNELS + "[channel $user:*]\nsubscribe = deny\n")

    def test_it_is_not_subscribed_to(self):
        client = self.session("alice", self.channel)
        late = self.open(Session(self.daemon.public))
        late.ask(subscribe={"channel": self.channel, "token": token("alice")})
        self.assertEqual(self.daemon.request("POST", "/users/alice", body=b"x").json()["subscribers"], 0)
        client.ask(ping={})


class ToUsers(UsersTest):
    def test_to_every_connection(self):
        first = self.session("alice", self.channel)
        second = self.open(Session(self.daemon.public, headers=bearer("alice")))
        stranger = self.session("mallory", self.channel)
        answer = self.daemon.request("POST", "/users/alice", body=b'{"text":"psst"}',
                                     headers={"Content-Type": "application/json"}).json()
        self.assertEqual(answer["subscribers"], 2)
        for client in (first, second):
            self.assertEqual(self.next_of(client, "data", "$user:alice"), {"text": "psst"})
        self.daemon.publish(self.channel, b"all")
        while "data" not in (envelope := stranger.push()):
            pass
        self.assertEqual(envelope["channel"], self.channel)

    def test_polls_have_it_too(self):
        at = self.daemon.request("POST", "/users/paul", body=b"one").json()["id"]
        answer = self.daemon.poll(self.channel, since="earliest", headers=bearer("paul"))
        self.assertEqual([(each["channel"], each["id"]) for each in answer["messages"]], [("$user:paul", at)])

    def test_resume(self):
        client = self.session("rose", self.channel)
        first = self.daemon.request("POST", "/users/rose", body=b"one").json()["id"]
        self.assertEqual(self.next_of(client, "data", "$user:rose"), "one")
        client.close()
        self.daemon.request("POST", "/users/rose", body=b"two")
        again = self.session("rose", self.channel, query={"since": first})
        self.assertEqual(self.next_of(again, "data", "$user:rose"), "two")

    def test_nobody_else_reads_it(self):
        client = self.session("mallory")
        self.assertEqual(client.fault(subscribe={"channel": "$user:alice"}), "bad_channel")
        self.assertEqual(client.fault(publish={"channel": "$user:alice", "text": "x"}), "bad_channel")

    def test_ending_a_user(self):
        clients = [self.session("eve", self.channel) for _ in range(6)]
        stream = self.sse(self.channel, bearer("eve"))
        other = self.session("adam", self.channel)
        answer = self.daemon.request("DELETE", "/users/eve")
        self.assertEqual((answer.status, answer.json()), (200, {"connections": 7}))
        for client in clients:
            self.assertEqual(client.expect_close().code, 4003)
        stream.wire.read_to_end()
        self.wait_presence(self.channel, {"adam": 1})
        other.ask(ping={})
        self.assertEqual(self.daemon.request("DELETE", "/users/eve").json(), {"connections": 0})

    def test_bad_names(self):
        for name in ("a%2Cb", "%2A", "a%00", "x" * 250):
            with self.subTest(name):
                self.assert_problem(self.daemon.request("POST", "/users/" + name, body=b"x"), 400, "bad_request")
        self.assert_problem(self.daemon.request("GET", "/users/alice"), 405, "method_not_allowed")
        self.assert_problem(self.daemon.request("POST", "/users/alice", "public", body=b"x"), 404, "not_found")


if __name__ == "__main__":
    unittest.main()
