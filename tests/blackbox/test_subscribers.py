# SPDX-License-Identifier: Apache-2.0
"""How many may subscribe: to one channel (subscribers), and one user (connections_per_user, channels_per_user)."""

import json
import unittest

from harness import FanhornTest, config, eventually
from session import Session
from tokens import claims_of, secret_token

SECRET = "a secret of more than 32 bytes, for HS256"
MOST = 3


class CrowdTest(FanhornTest):
    def session(self, channels="", **options):
        return self.open(Session(self.daemon.public, channels, **options))

    def refused_stream(self, channels, code, status, **query):
        """An EventSource is refused in a way that it comes back from."""
        stream = self.sse(channels, **query)
        self.assertEqual(stream.response.status, 200)
        block = stream.next_event()
        problem = json.loads(block.data)
        self.assertEqual((block.event, problem["code"], problem["status"]), ("error", code, status))
        self.assertIsNone(stream.next_block())
        self.assertRegex(stream.raw.decode(), r"^retry: ?[0-9]{4,5}\n")


class Subscribers(CrowdTest):
    config = config(channels=f"""
[channel t:**]
subscribers = {MOST}
wildcard = on
[channel free:**]
""")

    def test_subscribers(self):
        streams = [self.sse(self.channel).opened() for _ in range(MOST - 1)]
        socket = self.ws(self.channel)
        self.wait_subscribers(self.channel, MOST)
        poll = {"wait": "20"}

        def hit():
            self.refused_stream(self.channel, "overloaded", 503)
            self.assert_problem(self.refused(self.channel, 503), 503, "overloaded")
            response = self.daemon.request("GET", "/sub/" + self.channel, "public", query=poll)
            self.assert_problem(response, 503, "overloaded")
        self.assert_limit("subscribers", hit)
        self.assertEqual(self.daemon.poll(self.channel, wait="0")["messages"], [])
        self.sse("t:another").opened()
        self.daemon.publish(self.channel, b"hello")
        self.assertEqual({stream.next_event().data for stream in streams} | {socket.next_text()}, {"hello"})
        socket.close()
        self.wait_subscribers(self.channel, MOST - 1)
        self.sse(self.channel).opened()

    def test_all_or_none(self):
        for _ in range(MOST):
            self.sse(self.channel).opened()
        self.refused_stream(f"{self.channel}:other,{self.channel}", "overloaded", 503)
        self.assertEqual(self.daemon.subscribers(self.channel + ":other"), 0)
        self.sse(self.channel + ":other").opened()

    def test_sections_without_it_are_free(self):
        for _ in range(2 * MOST):
            self.sse("free:x").opened()

    def test_a_command(self):
        sessions = [self.session() for _ in range(MOST + 1)]
        for session in sessions[:MOST]:
            session.ask(subscribe={"channel": self.channel})
        self.assertEqual(sessions[MOST].fault(subscribe={"channels": [self.channel, "t:more"]}), "overloaded")
        self.assertEqual(sessions[MOST].ask(subscribe={"channel": "t:more"})["channel"], "t:more")
        sessions[0].ask(unsubscribe={"channel": self.channel})
        eventually(lambda: self.daemon.subscribers(self.channel) == MOST - 1, "room")
        sessions[MOST].ask(subscribe={"channel": self.channel})

    def test_a_wildcard_is_one_of_its_own(self):
        name = self.channel + ":*"
        for _ in range(MOST):
            self.session().ask(subscribe={"channel": name})
        self.assertEqual(self.session().fault(subscribe={"channel": name}), "overloaded")
        self.sse(self.channel + ":x").opened()


class PerUser(CrowdTest):
    config = config(limits=f"connections_per_user = {MOST}", more=f"[auth users]\ntype = jwt\nsecret = {SECRET}\n",
                    channels="[channel chat:*]\nsubscribe = users\n[channel open:*]\n")

    def token(self, user):
        return secret_token(SECRET, claims_of(user, ["chat:*"]))

    def streams(self, user, count):
        return [self.sse("chat:x", access_token=self.token(user)).opened() for _ in range(count)]

    def test_connections_per_user(self):
        streams = self.streams("alice", MOST)
        query = {"access_token": self.token("alice")}

        def hit():
            self.refused_stream("chat:x", "rate_limited", 429, **query)
            self.assert_problem(self.refused("chat:y", 429, query=query), 429, "rate_limited")
            response = self.daemon.request("GET", "/sub/chat:x", "public", query={"wait": "20", **query})
            self.assert_problem(response, 429, "rate_limited")
        self.assert_limit("connections_per_user", hit)
        self.assertEqual(self.daemon.poll("chat:x", wait="0", **query)["messages"], [])
        self.streams("bob", MOST)
        for _ in range(MOST + 1):
            self.sse("open:x").opened()
        streams[0].close()
        eventually(lambda: self.opens("chat:x", query), "room for one")

    def opens(self, channel, query):
        return b"event: error" not in self.sse(channel, **query).wire.read_body()

    def test_those_that_go_are_not_counted(self):
        query = {"access_token": self.token("carol")}
        for _ in range(3 * MOST):
            response = self.daemon.request("GET", "/sub/chat:x", "public", query={"wait": "0", **query})
            self.assertEqual(response.status, 200)
        self.streams("carol", MOST)

    def test_a_token_in_a_command(self):
        self.streams("dave", MOST - 1)
        second, third = self.session(), self.session()
        second.ask(subscribe={"channel": "chat:x", "token": self.token("dave")})

        def hit():
            third.command(subscribe={"channel": "chat:x", "token": self.token("dave")})
            close = third.expect_close()
            self.assertEqual(close.code, 1001)
            self.assertRegex(close.reason, r"^retry=[0-9]+$")
        self.assert_limit("connections_per_user", hit)
        second.ask(ping={})


class ChannelsPerUser(CrowdTest):
    config = config(limits=f"channels_per_user = {MOST}", more=f"[auth users]\ntype = jwt\nsecret = {SECRET}\n",
                    channels="[channel chat:*]\nsubscribe = users\n[channel open:*]\n")

    def query(self, user):
        return {"access_token": secret_token(SECRET, claims_of(user, ["chat:*"]))}

    def token(self, user):
        return self.query(user)["access_token"]

    def test_channels_per_user(self):
        first = self.sse("chat:a,chat:b", **self.query("alice")).opened()
        self.ws("chat:a", query=self.query("alice"))  # the same once more is one more
        query = self.query("alice")

        def hit():
            self.refused_stream("chat:c", "rate_limited", 429, **query)
            self.assert_problem(self.refused("chat:c", 429, query=query), 429, "rate_limited")
            response = self.daemon.request("GET", "/sub/chat:c", "public", query={"wait": "20", **query})
            self.assert_problem(response, 429, "rate_limited")
        self.assert_limit("channels_per_user", hit)
        self.assertEqual(self.daemon.poll("chat:a,chat:b,chat:c", wait="0", **query)["messages"], [])
        self.sse("chat:a,chat:b,chat:c", **self.query("bob")).opened()
        self.sse("open:a,open:b,open:c,open:d").opened()
        self.daemon.publish("chat:a", b"hello")
        self.assertEqual(json.loads(first.next_event().data)["data"], "hello")
        first.close()
        self.wait_subscribers("chat:b", 1)  # bob
        self.sse("chat:b,chat:c", **query).opened()

    def test_commands(self):
        one, other = (self.session(query=self.query("carol")) for _ in range(2))
        one.ask(subscribe={"channels": ["chat:a", "chat:b"]})

        def hit():
            self.assertEqual(other.fault(subscribe={"channels": ["chat:c", "chat:d"]}), "rate_limited")
        self.assert_limit("channels_per_user", hit)
        other.ask(subscribe={"channel": "chat:c"})
        self.assertEqual(other.fault(subscribe={"channel": "chat:d"}), "rate_limited")
        one.ask(unsubscribe={"channel": "chat:a"})
        other.ask(subscribe={"channel": "chat:d"})

    def test_what_the_backend_ends_makes_room(self):
        one, other = (self.session(query=self.query("dave")) for _ in range(2))
        one.ask(subscribe={"channels": ["chat:e", "chat:f", "chat:g"]})
        self.assertEqual(self.daemon.request("DELETE", "/pub/chat:f").status, 204)
        while "end" not in one.push():
            pass
        one.ask(ping={})
        other.ask(subscribe={"channel": "chat:h"})
        self.assertEqual(other.fault(subscribe={"channel": "chat:i"}), "rate_limited")

    def test_a_token_in_a_command(self):
        session = self.session("open:a,open:b,open:c,open:d")
        session.ask(unsubscribe={"channel": "open:d"})
        token = self.token("erin")
        self.assertEqual(session.fault(subscribe={"channel": "chat:x", "token": token}), "rate_limited")
        session.ask(unsubscribe={"channel": "open:c"})
        session.ask(subscribe={"channel": "chat:x"})

    def test_whose_channels_are_too_many_when_he_says_who_he_is(self):
        self.sse("chat:a", **self.query("frank")).opened()
        session = self.session("open:a,open:b,open:c")

        def hit():
            session.command(refresh={"token": self.token("frank")})
            close = session.expect_close()
            self.assertEqual(close.code, 1001)
            self.assertRegex(close.reason, r"^retry=[0-9]+$")
        self.assert_limit("channels_per_user", hit)


if __name__ == "__main__":
    unittest.main()
