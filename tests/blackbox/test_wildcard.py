# SPDX-License-Identifier: Apache-2.0
"""Subscriptions to all the channels that a pattern matches."""

import random
import unittest

from harness import FanhornTest, config, shifted
from session import Session
from tokens import claims_of, secret_token

SECRET = "wildcards-are-signed-with-this-secret"


class WildcardTest(FanhornTest):
    def session(self, channels="", **options):
        return self.open(Session(self.daemon.public, channels, **options))

    def say(self, channel, text="x", **options):
        return self.daemon.publish(channel, text, **options)["id"]

    def end_of(self, client, channel):
        """All that was pushed up to a message of that channel, which is published now."""
        last, found = self.say(channel, "end"), []
        while not found or found[-1].get("id") != last:
            found.append(client.push())
        return found[:-1]


class Wildcards(WildcardTest):
    config = config(channels="""
[channel **]
client_publish = public
[channel scores:**]
wildcard = on
[channel scores:hidden]
wildcard = on
[channel states:**]
wildcard = on
delta = json-patch
[channel short:**]
wildcard = on
history = 2
""")

    def test_those_that_are_there_and_those_that_come(self):
        name = f"scores:{self.channel}"
        self.say(f"{name}:old")
        client = self.session()
        ok = client.ask(subscribe={"channel": f"{name}:*"})
        self.assertEqual(ok["channel"], f"{name}:*")
        client.until_caught_up(f"{name}:*")
        wanted = [self.say(f"{name}:{each}") for each in ("old", "new", "newer", "old")]
        for other in (name, f"{name}:new:deeper", "scores:other"):
            self.say(other)
        pushed = self.end_of(client, f"{name}:end")
        self.assertEqual([each["id"] for each in pushed], wanted)
        self.assertEqual([each["channel"] for each in pushed],
                         [f"{name}:{each}" for each in ("old", "new", "newer", "old")])
        self.assertEqual(self.daemon.publish(f"{name}:old", "x")["subscribers"], 1)
        self.assertEqual(client.ask(unsubscribe={"channel": f"{name}:*"}), {})
        self.assertEqual(self.daemon.publish(f"{name}:old", "x")["subscribers"], 0)

    def test_resumes_from_an_id_in_order(self):
        name = f"scores:{self.channel}"
        dice = random.Random(7)
        ids = [self.say(f"{name}:{dice.randrange(9)}", str(i)) for i in range(80)]
        client = self.session()
        ok = client.ask(subscribe={"channel": f"{name}:*", "since": ids[9]})
        self.assertEqual(ok["position"], ids[9])
        replayed, at = client.until_caught_up(f"{name}:*")
        self.assertEqual([each["id"] for each in replayed], ids[10:])
        self.assertEqual(at, ids[-1])
        for since, wanted in (("earliest", 80), ("-1", 9), (None, 0)):
            again = self.session()
            again.ask(subscribe={"channel": f"{name}:*", **({"since": since} if since else {})})
            self.assertEqual(len(again.until_caught_up(f"{name}:*")[0]), wanted, since)

    def test_what_several_match_comes_once(self):
        name = f"scores:{self.channel}"
        first = self.say(f"{name}:1")
        missed = [self.say(f"{name}:{i % 3}") for i in range(9)]
        client = self.session()
        wildcards = [f"{name}:1", f"{name}:*", f"{name}:**", "scores:**"]
        numbers = [client.command(subscribe={"channel": each, "since": first}) for each in wildcards]
        for number in numbers:
            self.assertIn("ok", client.reply(number))
        live = [self.say(f"{name}:{i % 4}") for i in range(12)]
        pushed = [each for each in self.end_of(client, f"{name}:2") if "id" in each]
        mine = [each["id"] for each in pushed if each["channel"].startswith(name)]
        self.assertEqual(sorted(mine, key=lambda id: int(id.split(".")[1])), missed + live)

    def test_another_section_is_not_opened(self):
        client = self.session()
        client.ask(subscribe={"channel": "scores:*"})
        self.say("scores:hidden")
        self.assertEqual([each for each in self.end_of(client, "scores:seen") if each["channel"] == "scores:hidden"], [])

    def test_refusals(self):
        client = self.session()
        for channel, code in (("other:*", "forbidden"), ("**", "forbidden"), ("*", "forbidden"),
                              ("scores*", "bad_channel"), ("scores:**:x", "bad_channel"),
                              ("$user:*", "bad_channel"), ("scores:***", "bad_channel"),
                              ("scores:*,a", "bad_channel")):
            with self.subTest(channel=channel):
                self.assertEqual(client.fault(subscribe={"channel": channel}), code)
        client.ask(subscribe={"channel": "scores:*"})
        self.assertEqual(client.fault(subscribe={"channel": "scores:*"}), "bad_request")
        self.assertEqual(client.fault(unsubscribe={"channel": "scores:**"}), "not_found")
        for verb in ({"publish": {"channel": "scores:*", "data": 1}}, {"history": {"channel": "scores:*"}},
                     {"presence": {"channel": "scores:*"}}):
            self.assertEqual(client.fault(**verb), "bad_channel")
        for path in ("/sub/scores:*", "/sub/a,scores:*"):
            self.assert_problem(self.daemon.request("GET", path, listener="public"), 400, "bad_channel")

    def test_no_deltas(self):
        client = self.session()
        self.assertEqual(client.fault(subscribe={"channel": "states:*", "delta": "json-patch"}), "bad_option")
        client.ask(subscribe={"channel": "states:1", "delta": "json-patch"})
        self.assertEqual(client.fault(subscribe={"channel": "states:*"}), "bad_option")
        client.ask(unsubscribe={"channel": "states:1"})
        client.ask(subscribe={"channel": "states:*"})
        self.assertEqual(client.fault(subscribe={"channel": "states:1", "delta": "json-patch"}), "bad_option")

    def test_filters(self):
        name = f"scores:{self.channel}"
        client = self.session()
        client.ask(subscribe={"channel": f"{name}:*", "filter": "kind=goal|end"})
        client.until_caught_up(f"{name}:*")
        self.say(f"{name}:1", tags="kind=card")
        goal = self.say(f"{name}:2", tags="kind=goal")
        self.say(f"{name}:3", tags="kind=end")
        self.assertEqual([client.push()["id"] for _ in range(2)][0], goal)

    def test_retained_values(self):
        name = f"short:{self.channel}"
        for each in ("1", "2"):
            self.daemon.request("PUT", f"/pub/{name}:{each}", body=each.encode())
            for _ in range(3):
                self.say(f"{name}:{each}")
        client = self.session()
        client.ask(subscribe={"channel": f"{name}:*"})
        kept, _ = client.until_caught_up(f"{name}:*")
        self.assertEqual([(each["channel"], each["data"], each["retained"]) for each in kept],
                         [(f"{name}:{each}", each, True) for each in ("1", "2")])

    def test_what_is_gone_is_told(self):
        name = f"short:{self.channel}"
        first = self.say(f"{name}:a")
        kept = [self.say(f"{name}:b", str(i)) for i in range(5)][-2:]
        client = self.session()
        client.ask(subscribe={"channel": f"{name}:*", "since": first})
        replayed, _ = client.until_caught_up(f"{name}:*")
        self.assertEqual(replayed[0], {"channel": f"{name}:b", "gap": {"after": first, "next": kept[0], "why": "trimmed"}})
        self.assertEqual([each["id"] for each in replayed[1:]], kept)
        for since, why in (("zzz.1", "epoch"), (shifted(first, 10**9), "ahead")):
            client = self.session()
            client.ask(subscribe={"channel": f"{name}:*", "since": since})
            told = client.push()
            self.assertEqual((told["channel"], told["gap"]["why"]), (f"{name}:*", why))

    def test_deleting_a_channel_does_not_end_it(self):
        name = f"scores:{self.channel}"
        client = self.session()
        client.ask(subscribe={"channel": f"{name}:*"})
        client.until_caught_up(f"{name}:*")
        self.say(f"{name}:1")
        self.daemon.request("DELETE", f"/pub/{name}:1")
        self.assertEqual(len(self.end_of(client, f"{name}:1")), 1)


class Reload(WildcardTest):
    config = config(channels="[channel **]\nwildcard = on\n")

    def test_closes_the_section(self):
        client = self.session()
        client.ask(subscribe={"channel": "a:*"})
        client.ask(subscribe={"channel": "a:1"})
        for channel in ("a:*", "a:1"):
            client.until_caught_up(channel)
        self.daemon.write_config(config(channels="[channel **]\nwildcard = off\n"))
        self.daemon.process.send_signal(1)
        self.assertEqual(client.push(), {"channel": "a:*", "end": {"code": "channel_unknown"}})
        self.assertEqual(client.fault(subscribe={"channel": "a:*"}), "forbidden")
        kept = self.say("a:1")
        self.assertEqual(client.push()["id"], kept)


class Rights(WildcardTest):
    config = config(more=f"[auth app]\ntype = jwt\nsecret = {SECRET}\n", channels="""
[channel **]
wildcard = on
subscribe = app
[channel open:**]
wildcard = on
subscribe = public
presence = on
joins = on
""")

    def test_claims(self):
        for claims, good, bad in ((["a:*"], ["a:*", "a:1"], ["a:**", "*", "b:*", "**"]),
                                  (["a:**"], ["a:*", "a:**", "a:*:b"], ["*", "a", "b:*"]),
                                  (["**"], ["**", "a:*"], ["$user:*"])):
            token = secret_token(SECRET, claims_of("alice", claims, lasts=600))
            client = self.session(query={"access_token": token})
            for channel in good:
                with self.subTest(claims=claims, channel=channel):
                    client.ask(subscribe={"channel": channel, "token": token})
            for channel in bad:
                with self.subTest(claims=claims, channel=channel):
                    self.assertIn(client.fault(subscribe={"channel": channel, "token": token}), ("forbidden", "bad_channel"))


    def test_sees_who_comes_and_is_not_there_itself(self):
        watcher, guest = (secret_token(SECRET, claims_of(user, ["open:**"], lasts=600)) for user in ("watcher", "guest"))
        client = self.session(query={"access_token": watcher})
        client.ask(subscribe={"channel": "open:*", "token": watcher})
        client.until_caught_up("open:*")
        self.session("open:1", query={"access_token": guest})
        self.assertEqual(client.push(), {"channel": "open:1", "join": {"user": "guest"}})
        users = self.daemon.request("GET", "/channels/open:1/presence").json()["users"]
        self.assertEqual([each["user"] for each in users], ["guest"])


class Limits(WildcardTest):
    config = config(limits="wildcards = 3\nwildcard_channels = 5\nsubscriptions = 10\n", channels="[channel **]\nwildcard = on\n")

    def test_different_wildcards(self):
        client = self.session()
        for i in range(3):
            client.ask(subscribe={"channel": f"{i}:*"})
        self.session().ask(subscribe={"channel": "0:*"})
        self.assertEqual(client.fault(subscribe={"channel": "3:*"}), "overloaded")
        self.assertEqual(self.daemon.limit_hits("wildcards"), 1)
        client.ask(unsubscribe={"channel": "1:*"})
        client.ask(subscribe={"channel": "3:*"})

    def test_too_many_channels_to_look_at(self):
        first = self.say("many:0")
        for i in range(1, 7):
            self.say(f"many:{i}")
        client = self.session()
        client.ask(subscribe={"channel": "many:*", "since": first})
        told, _ = client.until_caught_up("many:*")
        self.assertEqual([each["gap"] for each in told], [{"after": first, "next": None, "why": "trimmed"}])
        self.assertGreaterEqual(self.daemon.limit_hits("wildcard_channels"), 1)
        live = self.say("many:99")
        self.assertEqual(client.push()["id"], live)


if __name__ == "__main__":
    unittest.main()
