# SPDX-License-Identifier: Apache-2.0
"""Live upgrades: clients of every kind are served by the next process and notice nothing."""

import json
import unittest

from application import SECRET as HOOK_SECRET, Application
from harness import FanhornTest, config, eventually, position
from readers import LongPollReader, SseReader, WsReader, on_each
from session import PostSession, Session
from succession import Succession
from tokens import claims_of, secret_token
from wire import Via, build_request
from ws import PING, TEXT, WsClient, deflate

SECRET = "a secret of more than 32 bytes, for HS256"
USERS = f"[auth users]\ntype = jwt\nsecret = {SECRET}\nleeway = 0s\n"
CHANNELS = """
[channel **]
client_publish = public
[channel scores:**]
wildcard = on
[channel states:**]
delta = json-patch
[channel members:**]
subscribe = users
client_publish = users
presence = on
presence_grace = 0s
joins = on
"""


def bearer(user="alice", **more):
    return {"Authorization": "Bearer " + secret_token(SECRET, claims_of(user, ("**",), ("**",), **more))}


class UpgradeTest(FanhornTest):
    starts = Succession
    config = config(server="drain = 2s", channels=CHANNELS, more=USERS)

    def upgrade(self, left=0):
        """All connections but so many have been handed over."""
        facts = self.daemon.upgrade()
        self.assertEqual(facts["left"], left, facts)
        return facts

    def session(self, channels="", **options):
        return self.open(Session(self.daemon.public, channels, **options))

    def publish(self, *texts, channel=None, **options):
        """Their ids."""
        return [self.daemon.publish(channel or self.channel, text, **options)["id"] for text in texts]


class Streams(UpgradeTest):
    def test_sse(self):
        stream = self.sse(self.channel).opened()
        ids = self.publish("a", "b")
        self.upgrade()
        ids += self.publish("c")
        self.upgrade()
        ids += self.publish("d")
        events = [stream.next_event() for _ in ids]
        self.assertEqual([event.data for event in events], list("abcd"))
        self.assertEqual([event.id for event in events], ids)
        self.assertEqual(self.daemon.subscribers(self.channel), 1)
        stream.close()
        self.wait_subscribers(self.channel, 0)

    @on_each(SseReader, WsReader, LongPollReader)
    def test_several_channels(self, reader_class):
        names = [f"{self.channel}:{number}" for number in range(3)]
        reader = self.open(reader_class(self.daemon, ",".join(names)))
        for turn in range(3):
            self.upgrade()
            for name in names:
                self.daemon.publish(name, f"{turn} {name}")
        self.assertEqual(reader.texts(9), [f"{turn} {name}" for turn in range(3) for name in names])

    def test_plain_websocket(self):
        client, watcher = self.ws(self.channel), self.sse(self.channel).opened()
        self.publish("before")
        self.upgrade()
        self.publish("after")
        client.send_text("from a client")
        client.send_binary(b"\0")
        self.assertEqual([client.next_text() for _ in range(3)], ["before", "after", "from a client"])
        self.assertEqual(client.next().kind, "binary")
        self.assertEqual([watcher.next_event().data for _ in range(3)], ["before", "after", "from a client"])
        client.send_frame(PING, b"x")
        self.assertEqual(client.next_any().kind, "pong")
        client.send_close(1000)
        self.assertEqual(client.expect_close().code, 1000)

    def test_compressed_websocket(self):
        client = self.ws(self.channel, compress=True)
        self.assertTrue(client.deflates)
        self.upgrade()
        self.publish("abc" * 1000)
        message = client.next()
        self.assertEqual((message.payload, message.compressed), (b"abc" * 1000, True))
        client.send_frame(TEXT, deflate(b"xyz" * 1000), rsv1=True)
        self.assertEqual(client.next().payload, b"xyz" * 1000)

    def test_the_same_connection_is_excluded(self):
        client, stream = self.envelopes(self.channel), self.sse(self.channel).opened()
        self.upgrade()
        for connection in (client.connection, stream.connection):
            self.publish("not to " + connection, exclude=connection)
        self.assertEqual(client.next_json()["data"], "not to " + stream.connection)
        self.assertEqual(stream.next_event().data, "not to " + client.connection)

    @on_each(SseReader, WsReader)
    def test_filter(self, reader_class):
        reader = self.open(reader_class(self.daemon, self.channel, filter="team=red"))
        self.publish("red before", tags="team=red")
        self.upgrade()
        self.publish("blue", tags="team=blue")
        self.publish("red after", tags="team=red")
        self.assertEqual(reader.texts(2), ["red before", "red after"])

    def test_retained_and_history(self):
        self.daemon.publish(self.channel, "kept", method="PUT")
        ids = self.publish("one", "two")
        self.upgrade()
        self.assertEqual(self.envelopes(self.channel).next_json()["data"], "kept")
        self.assertEqual([message["id"] for message in self.daemon.poll(self.channel, since=ids[0])["messages"]], ids[1:])
        epoch, seq = position(self.publish("three")[0])
        self.assertEqual((epoch, seq > position(ids[-1])[1]), (position(ids[-1])[0], True))

    def test_what_is_retained_comes_once(self):
        self.daemon.publish(self.channel, "kept", method="PUT")
        stream, client, session = self.sse(self.channel), self.ws(self.channel), self.session(self.channel)
        self.assertEqual([stream.next_event().data, client.next_text(), session.push()["data"]], ["kept"] * 3)
        session.until_caught_up(self.channel)
        self.upgrade()
        self.publish("next")
        self.assertEqual([stream.next_event().data, client.next_text(), session.push()["data"]], ["next"] * 3)

    def test_a_repeat_is_still_one(self):
        first = self.publish("once", idempotency_key="k")
        self.upgrade()
        self.assertEqual(self.publish("once", idempotency_key="k"), first)
        self.assertEqual(self.daemon.facts(self.channel)["messages"], 1)

    def test_heartbeats_go_on(self):
        with Succession(config(defaults="heartbeat = 1s")) as daemon:
            stream, client = SseReader(daemon, "x"), WsReader(daemon, "x")
            daemon.upgrade()
            moved = position(daemon.publish("elsewhere")["id"])
            for reader in (stream, client):
                while position(reader.next().body) < moved:
                    pass
            for reader in (stream, client):
                reader.close()

    def test_the_channel_is_deleted(self):
        stream, client, session = self.sse(self.channel).opened(), self.ws(self.channel), self.session(self.channel)
        session.until_caught_up(self.channel)
        self.upgrade()
        self.assertEqual(self.daemon.request("DELETE", "/pub/" + self.channel).status, 204)
        self.assertEqual(client.expect_close().code, 4003)
        self.assertEqual(stream.next_event().event, "end")
        self.assertIn("end", session.push())


class Sessions(UpgradeTest):
    def test_over_websocket(self):
        session = self.session()
        session.ask(subscribe={"channel": self.channel})
        session.until_caught_up(self.channel)
        self.publish("before")
        self.upgrade()
        self.publish("after")
        self.assertEqual([session.push()["data"] for _ in range(2)], ["before", "after"])
        other = self.channel + ":other"
        session.ask(subscribe={"channel": other})
        session.until_caught_up(other)
        self.daemon.publish(other, "there")
        self.assertEqual(session.push()["channel"], other)
        session.ask(unsubscribe={"channel": self.channel})
        self.publish("not wanted any more")
        self.assertEqual(session.ask(ping={}), {})
        self.daemon.publish(other, "the last")
        self.assertEqual(session.push()["data"], "the last")

    def test_over_posts(self):
        session = self.open(PostSession(self.daemon))
        session.ask(subscribe={"channel": self.channel})
        session.until(lambda envelope: "caught_up" in envelope)
        for turn in range(2):
            self.upgrade()
            session.ask(publish={"channel": self.channel, "data": turn})
            self.assertEqual(session.until(lambda envelope: "data" in envelope)[-1]["data"], turn)
        session.ask(unsubscribe={"channel": self.channel})
        self.assertEqual(session.fault(unsubscribe={"channel": self.channel}), "not_found")

    def test_wildcard(self):
        session = self.session()
        session.ask(subscribe={"channel": "scores:*"})
        session.until_caught_up("scores:*")
        self.upgrade()
        self.publish("1:0", channel="scores:a")
        envelope = session.push()
        self.assertEqual((envelope["channel"], envelope["data"]), ("scores:a", "1:0"))

    def test_states(self):
        """Behind an upgrade the first state is whole, or the patch fits what the client has."""
        channel, session = "states:x", self.session()
        session.ask(subscribe={"channel": channel, "delta": "json-patch"})
        session.until_caught_up(channel)
        state, whole = None, {"list": list(range(50)), "turn": 0}
        for turn in range(6):
            whole["turn"] = turn
            self.publish(json.dumps(whole), channel=channel, headers={"Content-Type": "application/json"})
            envelope = session.push()
            state = envelope["data"] if "data" in envelope else {**state, "turn": turn}
            self.assertEqual(state, whole, envelope)
            if "data" not in envelope:
                self.assertEqual([(step["op"], step["path"], step["value"]) for step in envelope["patch"]],
                                 [("replace", "/turn", turn)])
            if turn % 2:
                self.upgrade()

    def test_many_channels(self):
        session, names = self.session(), [f"{self.channel}:{number}" for number in range(100)]
        session.ask(subscribe={"channels": names})
        self.upgrade()
        for name in names:
            self.daemon.publish(name, name)
        seen = []
        while len(seen) < len(names):
            envelope = session.push()
            if "data" in envelope:
                seen.append(envelope["data"])
        self.assertEqual(seen, names)


class Polls(UpgradeTest):
    def held(self, **query):
        wire = self.wire("public")
        wire.send(build_request("GET", "/sub/" + self.channel, wire.address, query={"wait": 30, **query}))
        self.wait_subscribers(self.channel, 1)
        return wire

    def test_it_waits_on(self):
        wire = self.held()
        self.upgrade()
        self.wait_subscribers(self.channel, 1)
        new = self.publish("here")
        answer = wire.read_response().json()
        self.assertEqual(([message["id"] for message in answer["messages"]], answer["next"]), (new, new[0]))
        self.assertEqual(wire.request("GET", "/sub/" + self.channel, query={"wait": 0, "since": "earliest"})
                         .json()["messages"][0]["data"], "here")

    def test_what_came_meanwhile_is_not_lost(self):
        """Of messages around upgrades each is in one answer."""
        reader = self.open(LongPollReader(self.daemon, self.channel))
        for turn in range(5):
            self.publish(f"{turn} before")
            self.upgrade()
            self.publish(f"{turn} after")
        self.assertEqual(reader.texts(10), [f"{turn} {when}" for turn in range(5) for when in ("before", "after")])

    def test_the_wait_ends_in_time(self):
        wire = self.held(wait=2)
        self.upgrade()
        answer = wire.read_response()
        self.assertEqual((answer.status, answer.json()["messages"]), (200, []))

    def test_one_that_goes(self):
        wire = self.held()
        self.upgrade()
        wire.close()
        self.wait_subscribers(self.channel, 0)

    def test_between_requests(self):
        wires = [self.wire(listener) for listener in ("public", "private") for _ in range(8)]
        for _ in range(3):
            for wire in wires:
                self.assertEqual(wire.request("GET", "/healthz").status, 200)
            self.upgrade()
        for wire in wires:
            self.assertEqual(wire.request("GET", "/healthz").status, 200)


class People(UpgradeTest):
    def member(self, user, **more):
        return self.session(self.channel, headers=bearer(user, **more))

    def setUp(self):
        super().setUp()
        self.channel = "members:" + self.channel

    def users(self):
        answer = self.daemon.request("GET", f"/channels/{self.channel}/presence").json()
        return [user["user"] for user in answer["users"]]

    @staticmethod
    def next_of(client, key):
        while key not in (envelope := client.push()):
            pass
        return envelope[key]

    def told(self, client):
        """What it is told of others until a message comes, which ends it."""
        self.publish("the end")
        told = []
        while (envelope := client.push()).get("data") != "the end":
            told += [(key, envelope[key]["user"]) for key in ("join", "leave") if key in envelope]
        return told

    def test_presence_is_silent(self):
        watcher, member = self.member("watcher"), self.member("alice")
        member.until_caught_up(self.channel)
        self.assertIn(("join", "alice"), self.told(watcher))
        self.upgrade()
        self.upgrade()
        self.assertEqual(self.users(), ["alice", "watcher"])
        self.assertEqual(self.told(watcher), [])
        member.close()
        self.assertEqual(self.next_of(watcher, "leave")["user"], "alice")
        self.assertEqual(self.users(), ["watcher"])

    def test_what_is_sent_to_a_user(self):
        member = self.member("bob")
        member.until_caught_up(self.channel)
        self.upgrade()
        self.daemon.request("POST", "/users/bob", body=b"to bob")
        self.assertEqual(self.next_of(member, "data"), "to bob")
        member.ask(publish={"channel": self.channel, "data": "his rights"})
        self.assertEqual(self.next_of(member, "data"), "his rights")

    def test_a_user_is_sent_away(self):
        member, stream = self.member("carol"), self.sse(self.channel, bearer("carol")).opened()
        self.upgrade()
        self.assertEqual(self.daemon.request("DELETE", "/users/carol").status, 200)
        self.assertEqual(member.expect_close().code, 4003)
        while stream.next_block() is not None:
            pass

    def test_tokens_expire_in_time(self):
        member, stream = self.member("dave", lasts=3), self.sse(self.channel, bearer("dave", lasts=3)).opened()
        self.upgrade()
        self.assertEqual(member.expect_close().code, 4001)
        while stream.next_block() is not None:
            pass

    def test_a_token_refreshed(self):
        member = self.member("erin", lasts=3)
        self.upgrade()
        member.ask(refresh={"token": secret_token(SECRET, claims_of("erin", ("**",), ("**",)))})
        self.upgrade()
        self.daemon.request("POST", "/users/erin", body=b"still here")
        self.assertEqual(self.next_of(member, "data"), "still here")

    def test_read_markers(self):
        member, at = self.member("frank"), self.publish("one")[0]
        self.assertEqual(member.ask(read={"channel": self.channel, "position": at})["position"], at)
        self.upgrade()
        self.assertEqual(member.ask(read={"channel": self.channel, "position": at})["position"], at)
        again = self.session(headers=bearer("frank"))
        self.assertEqual(again.ask(subscribe={"channel": self.channel})["read"], at)


class Hooks(unittest.TestCase):
    def test_nobody_has_come_or_gone(self):
        app = Application()
        self.addCleanup(app.stop)
        hooks = f"[hooks app]\nurl = http://127.0.0.1:{app.port}/\nsecret = {HOOK_SECRET}\ngrace = 100ms\ndelay = 0s\n"
        with Succession(config(server="drain = 2s", channels=CHANNELS, more=USERS + hooks)) as daemon:
            session = Session(daemon.public, "members:a", headers=bearer())
            wanted = {("connected", "alice"), ("occupied", "members:a"), ("joined", "members:a", "alice")}
            eventually(lambda: set(app.told()) == wanted, "three events")
            daemon.upgrade()
            session.ask(subscribe={"channel": "members:b"})
            eventually(lambda: ("joined", "members:b", "alice") in app.told(), "a fourth event")
            session.close()
            eventually(lambda: ("disconnected", "alice") in app.told(), "his end")
            told = app.told()
            self.assertEqual(len(told), len(set(told)), told)


class Addresses(unittest.TestCase):
    """Who is behind a proxy, and how many connections an address has."""

    PROXY = "127.0.0.2"

    def test_they_are_counted_on(self):
        with Succession(config(limits="connections_per_address = 2", public=f"trusted_proxies = {self.PROXY}\nproxy_protocol = on\n"
                               "allow = 192.0.2.0/24\n")) as daemon:
            def client(last):
                preface = f"PROXY TCP4 192.0.2.{last} 198.51.100.2 12345 443\r\n".encode()
                return WsClient(Via(daemon.public, source=self.PROXY, preface=preface), "/sub/x")

            held = [client(1), client(1)]
            daemon.upgrade()
            other = client(2)
            with self.assertRaises(AssertionError):  # a third one of that address
                client(1)
            daemon.publish("x", "hello")
            self.assertEqual([each.next_text() for each in held + [other]], ["hello"] * 3)
            held.pop().close()

            def again():
                try:
                    return client(1)
                except AssertionError:
                    return None
            eventually(again, "room for another one").close()


if __name__ == "__main__":
    unittest.main()
