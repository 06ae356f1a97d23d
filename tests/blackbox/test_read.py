# SPDX-License-Identifier: Apache-2.0
"""Read markers: how far a user has read, the same on all connections of his."""

import json
import unittest

from harness import config, eventually, position, shifted
from session import Session, PostSession
from test_presence import SECTIONS, UsersTest, bearer, token

CHANNELS = """
[channel **]
subscribe = users
[channel open:**]
subscribe = public
[channel closed:**]
subscribe = deny
"""
BACKEND = """
[auth backend]
type = bearer
tokens = a-secret-of-the-backend-0123456789
[channel backend:**]
subscribe = backend
"""


def next_read(client):
    """What the next envelope but those of its start tells of a marker."""
    while "caught_up" in (envelope := client.push()):
        pass
    return read_event(envelope)


def read_event(envelope):
    assert set(envelope) == {"channel", "id", "event", "data"} and envelope["event"] == "read", envelope
    return envelope["data"]


class ReadTest(UsersTest):
    config = config(more=SECTIONS, channels=CHANNELS + BACKEND)

    def ids(self, count=4):
        return [self.daemon.publish(self.channel, b"%d" % number)["id"] for number in range(count)]

    def post(self, user, connection=None, **verb):
        """One command on a request of its own; its reply."""
        headers = {"Content-Type": "application/json", **(bearer(user) if user else {})}
        if connection:
            headers["Fanhorn-Connection"] = connection
        response = self.daemon.request("POST", "/sub", listener="public", headers=headers,
                                       body=json.dumps({"id": 1, **verb}).encode())
        self.assertEqual(response.status, 200, response)
        return response.json()

    def mark(self, client, at, channel=None):
        return client.ask(read={"channel": channel or self.channel, "position": at})["position"]

    def assert_quiet(self, client, user):
        """Nothing has come to it until a message to its user does."""
        self.daemon.request("POST", "/users/" + user, body=b"the end")
        while "caught_up" in (envelope := client.push()):
            pass
        self.assertEqual((envelope["channel"], envelope.get("data")), ("$user:" + user, "the end"))


class Markers(ReadTest):
    def test_it_is_kept_and_asked_for(self):
        ids, client = self.ids(), self.session("anna")
        self.assertEqual(client.ask(read={"channel": self.channel}), {"channel": self.channel, "position": None})
        ok = client.ask(read={"channel": self.channel, "position": ids[1]})
        self.assertEqual(ok, {"channel": self.channel, "position": ids[1]})
        self.assertEqual(client.ask(read={"channel": self.channel}), ok)

    def test_it_moves_forward_only(self):
        ids, client = self.ids(), self.session("ben")
        held = [self.mark(client, ids[number]) for number in (1, 0, 1, 3, 2)]
        self.assertEqual(held, [ids[number] for number in (1, 1, 1, 3, 3)])

    def test_each_user_and_channel_has_its_own(self):
        ids, other = self.ids(), "other" + self.channel
        cora, dan = self.session("cora"), self.session("dan")
        self.mark(cora, ids[0])
        self.mark(cora, ids[1], other)
        self.mark(dan, ids[2])
        for client, channel, wanted in ((cora, self.channel, ids[0]), (cora, other, ids[1]), (dan, self.channel, ids[2]),
                                        (dan, other, None)):
            self.assertEqual(client.ask(read={"channel": channel})["position"], wanted)

    def test_what_is_no_position(self):
        ids, client = self.ids(1), self.session("ed")
        epoch, seq = position(ids[0])
        for wrong in ("", "latest", "0", "-1", "a.b", f"{epoch}.", f"{epoch}.{seq}x", 5, None, [], f"{epoch}.{seq + 1000}",
                      f"{epoch}.99999999999999999999", f"zz{epoch}.{seq}"[:12], "a.1", "0.0"):
            with self.subTest(wrong):
                self.assertEqual(client.fault(read={"channel": self.channel, "position": wrong}), "bad_position")
        self.assertIsNone(client.ask(read={"channel": self.channel})["position"])
        self.assertEqual(self.mark(client, f"{epoch}.0"), f"{epoch}.0")

    def test_refusals(self):
        ids, client = self.ids(1), self.session("fay")
        for arguments, code in (({"channel": "closed:x"}, "forbidden"), ({"channel": "a,b"}, "bad_channel"),
                                ({"channel": "$user:fay"}, "bad_channel"), ({"channel": "a:*"}, "bad_channel"),
                                ({"channel": 1}, "bad_channel"), ({}, "bad_channel"),
                                ({"channel": "a", "since": ids[0]}, "bad_option"), ({"channel": "backend:x"}, "unauthorized")):
            for more in ({}, {"position": ids[0]}):
                with self.subTest(arguments, more=more):
                    self.assertEqual(client.fault(read={**arguments, **more}), code)
        self.assertEqual(client.fault(read=5), "bad_request")
        self.assertEqual(client.ask(ping={}), {})

    def test_needs_a_user(self):
        ids = self.ids(1)
        nobody = self.open(Session(self.daemon.public))
        backend = self.open(Session(self.daemon.public, "backend:x",
                                    headers={"Authorization": "Bearer a-secret-of-the-backend-0123456789"}))
        for client, channel, code in ((nobody, self.channel, "unauthorized"), (nobody, "open:x", "unauthorized"),
                                      (backend, "open:x", "forbidden"), (backend, "backend:x", "forbidden")):
            for more in ({}, {"position": ids[0]}):
                with self.subTest(channel=channel, code=code):
                    self.assertEqual(client.fault(read={"channel": channel, **more}), code)
        nobody.ask(refresh={"token": token("gil")})
        self.assertEqual(self.mark(nobody, ids[0]), ids[0])

    def test_of_a_channel_that_all_may_read(self):
        ids, client = self.ids(1), self.session("hal")
        self.assertEqual(self.mark(client, ids[0], "open:x"), ids[0])


class Told(ReadTest):
    def test_to_the_other_connections_of_the_user(self):
        ids = self.ids()
        sender = self.session("ida", self.channel)
        others = [self.session("ida", self.channel), self.session("ida")]
        stranger = self.session("jim", self.channel)
        self.mark(sender, ids[1])
        self.mark(sender, ids[0])  # does not move
        self.mark(sender, ids[3])
        for other in others:
            got = [next_read(other) for _ in range(2)]
            self.assertEqual(got, [{"channel": self.channel, "position": at} for at in (ids[1], ids[3])])
            self.assert_quiet(other, "ida")
        for client, user in ((sender, "ida"), (stranger, "jim")):
            self.assert_quiet(client, user)

    def test_by_stream(self):
        ids, sender = self.ids(), self.session("kim")
        stream = self.sse(self.channel, bearer("kim"), envelope="1").opened()
        self.mark(sender, ids[2])
        self.assertEqual(read_event(json.loads(stream.next_event().data)), {"channel": self.channel, "position": ids[2]})

    def test_it_is_in_no_history(self):
        ids, sender = self.ids(), self.session("lea")
        self.mark(sender, ids[1])
        answer = self.daemon.poll(self.channel, since="earliest", headers=bearer("lea"))
        self.assertEqual([each["channel"] for each in answer["messages"]], [self.channel] * 4)

    def test_it_does_not_stand_in_a_resume(self):
        ids, sender = self.ids(), self.session("mia")
        again = self.session("mia", self.channel, query={"since": ids[-1]})
        again.close()
        self.mark(sender, ids[1])
        again = self.session("mia", self.channel, query={"since": ids[-1]})
        self.assert_quiet(again, "mia")


class InTheReply(ReadTest):
    def test_after_coming_back(self):
        ids, client = self.ids(), self.session("nora", self.channel)
        self.mark(client, ids[2])
        client.close()
        again = self.session("nora")
        ok = again.ask(subscribe={"channel": self.channel, "since": ids[0]})
        self.assertEqual(ok, {"channel": self.channel, "position": ids[0], "read": ids[2]})
        replayed, _ = again.until_caught_up(self.channel)
        self.assertEqual([each["id"] for each in replayed if "id" in each], ids[1:])

    def test_of_a_list(self):
        names, client = [f"{self.channel}-{number}" for number in range(4)], self.session("otto")
        ids = self.ids()
        self.mark(client, ids[1], names[0])
        self.mark(client, ids[3], names[2])
        again = self.session("otto")
        ok = again.ask(subscribe={"channels": names[:3], "since": ids[0]})
        self.assertEqual(ok, {"channels": names[:3], "position": ids[0], "read": {names[0]: ids[1], names[2]: ids[3]}})
        self.assertNotIn("read", again.ask(subscribe={"channels": names[3:]}))
        again.ask(unsubscribe={"channels": names})
        self.assertEqual(again.ask(subscribe={"channels": names[:1]})["read"], {names[0]: ids[1]})

    def test_where_there_is_none(self):
        client = self.session("pia")
        self.assertEqual(set(client.ask(subscribe={"channel": self.channel})), {"channel", "position"})
        nobody = self.open(Session(self.daemon.public))
        self.assertEqual(set(nobody.ask(subscribe={"channel": "open:x"})), {"channel", "position"})

    def test_a_token_in_the_command(self):
        ids, client = self.ids(), self.session("quin")
        self.mark(client, ids[1])
        late = self.open(Session(self.daemon.public))
        ok = late.ask(subscribe={"channel": self.channel, "token": token("quin")})
        self.assertEqual(ok["read"], ids[1])

    def test_after_a_reload(self):
        ids, client = self.ids(), self.session("rob")
        self.mark(client, ids[1])
        before = self.daemon.metrics()["fanhorn_reloads_total"]
        self.daemon.send_signal(1)
        eventually(lambda: self.daemon.metrics()["fanhorn_reloads_total"] > before, "a reload")
        self.assertEqual(client.ask(read={"channel": self.channel})["position"], ids[1])


class ByPost(ReadTest):
    def test_moved_and_asked(self):
        ids = self.ids()
        other = self.session("sue")
        ok = {"channel": self.channel, "position": ids[1]}
        self.assertEqual(self.post("sue", read=ok), {"reply": 1, "ok": ok})
        self.assertEqual(next_read(other), ok)
        self.assertEqual(self.post("sue", read={"channel": self.channel}), {"reply": 1, "ok": ok})
        self.assertEqual(other.ask(read={"channel": self.channel}), ok)

    def test_beside_a_stream_of_commands(self):
        ids, other = self.ids(), self.session("wes")
        stream = self.open(PostSession(self.daemon, headers=bearer("wes")))
        self.mark(other, ids[1])
        told = stream.until(lambda envelope: "event" in envelope)[-1]
        self.assertEqual(read_event(told), {"channel": self.channel, "position": ids[1]})
        self.assertEqual(stream.ask(subscribe={"channel": self.channel, "since": ids[0]})["read"], ids[1])
        self.assertEqual(self.mark(stream, ids[2]), ids[2])
        self.assertEqual(next_read(other), {"channel": self.channel, "position": ids[2]})

    def test_the_connection_of_the_header_is_not_told(self):
        ids, mine, other = self.ids(), self.session("tom"), self.session("tom")
        ok = {"channel": self.channel, "position": ids[1]}
        self.post("tom", connection=mine.hello["connection"], read=ok)
        self.assertEqual(next_read(other), ok)
        self.assert_quiet(mine, "tom")

    def test_of_a_channel_that_all_may_read(self):
        at = self.ids()[0]
        self.assertEqual(self.post("una", read={"channel": "open:x", "position": at})["ok"]["position"], at)

    def test_needs_a_user(self):
        at = self.ids()[0]
        for channel in (self.channel, "open:x"):
            for more in ({}, {"position": at}):
                reply = self.post(None, read={"channel": channel, **more})
                self.assertEqual(reply["error"]["code"], "unauthorized", reply)

    def test_what_is_no_position(self):
        reply = self.post("vic", read={"channel": self.channel, "position": shifted(self.ids()[0], 100_000)})
        self.assertEqual(reply["error"]["code"], "bad_position", reply)


class WithoutUsersChannels(ReadTest):
    """Nothing is told, and nothing is wrong."""

    config = config(more=SECTIONS, channels=CHANNELS + "[channel $user:*]\nsubscribe = deny\n")

    def test_it_moves_all_the_same(self):
        ids, client, other = self.ids(), self.session("anna", self.channel), self.session("anna", self.channel)
        self.assertEqual(self.mark(client, ids[1]), ids[1])
        self.assertEqual(other.ask(read={"channel": self.channel})["position"], ids[1])
        self.daemon.publish(self.channel, b"the end")
        while "data" not in (envelope := other.push()):
            pass
        self.assertEqual(envelope["data"], "the end")


class WithoutASection(WithoutUsersChannels):
    config = config(more=SECTIONS, channels="[channel t:*]\nsubscribe = users\n")


class Bounded(ReadTest):
    config = config(more=SECTIONS, channels=CHANNELS, limits="read_markers = 3")

    def test_the_least_recently_moved_is_forgotten(self):
        ids, client = self.ids(), self.session("anna")
        for name in ("a", "b", "c"):
            self.mark(client, ids[0], name)
        self.mark(client, ids[1], "a")
        self.assert_limit("read_markers", lambda: self.mark(self.session("ben"), ids[0], "d"))
        held = {name: client.ask(read={"channel": name})["position"] for name in "abcd"}
        self.assertEqual(held, {"a": ids[1], "b": None, "c": ids[0], "d": None})
        self.assertEqual(client.ask(subscribe={"channels": ["a", "b"]})["read"], {"a": ids[1]})


class BoundedUser(ReadTest):
    config = config(more=SECTIONS, channels=CHANNELS, limits="user_read_markers = 2")

    def test_his_own_oldest_is_forgotten(self):
        first, anna, ben = self.ids(1)[0], self.session("anna"), self.session("ben")
        self.mark(ben, first, "a")
        for name in ("a", "b"):
            self.mark(anna, first, name)
        self.assert_limit("user_read_markers", lambda: self.mark(anna, first, "c"))
        held = {name: anna.ask(read={"channel": name})["position"] for name in "abc"}
        self.assertEqual(held, {"a": None, "b": first, "c": first})
        self.assertEqual(ben.ask(read={"channel": "a"})["position"], first)


if __name__ == "__main__":
    unittest.main()
