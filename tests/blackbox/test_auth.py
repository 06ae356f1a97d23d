# SPDX-License-Identifier: Apache-2.0
"""Tokens: who is let in to what, over every transport, and for how long."""

import json
import signal
import time
import unittest

from harness import ANY_CHANNEL, TIMEOUT, Daemon, FanhornTest, Stream, config, eventually
from session import Session
from tokens import KeyPair, claims_of, secret_token
from ws import Refused, WsClient

SECRET = "a secret of more than 32 bytes, for HS256"
OTHER = "another secret of more than 32 bytes, too"
BEARER = "0123456789abcdef-backend"
ORIGIN = "https://app.example.com"
SECTIONS = f"""
[auth users]
type = jwt
secret = {SECRET}
leeway = 0
cookie = session
token_size = 2k
[auth others]
type = jwt
secret = {OTHER}
[auth programs]
type = bearer
tokens = {BEARER}
"""
CHANNELS = """
[channel open:*]
[channel closed:*]
subscribe = deny
[channel chat:*]
subscribe = users
client_publish = users
[channel read:*]
subscribe = users
[channel other:*]
subscribe = others
[channel write:*]
client_publish = users
[channel room:{room}]
subscribe = users, claim:rooms contains {room}
client_publish = users, claim:speaks contains {room}
[channel inbox:{id}]
subscribe = users, claim:sub equals {id}
wildcard = on
[channel program:*]
subscribe = programs
client_publish = programs
"""
POLLS = {"poll": {"wait": "0"}, "longpoll": {"transport": "longpoll", "wait": "0"}}


def alice(channels=("chat:*", "read:*"), publish=("chat:*",), lasts=60, secret=SECRET, **more):
    return secret_token(secret, claims_of("alice", channels, publish, lasts, **more))


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


class Tokens(FanhornTest):
    config = config(more=SECTIONS, channels=CHANNELS, public=f"origins = {ORIGIN}")

    def refusals(self, why):
        return self.daemon.metrics()['fanhorn_auth_refused_total{why="%s"}' % why]

    def opened(self, transport, channel, headers=None, query=None):
        """The answer to a subscription; what it opens is closed again."""
        headers, query = headers or {}, query or {}
        if transport == "websocket":
            try:
                return self.ws(channel, headers=headers, query=query).response
            except Refused as refused:
                return refused.response
        if transport == "sse":
            return self.sse(channel, headers, **query).response
        return self.daemon.request("GET", "/sub/" + channel, "public", headers=headers,
                                   query={**POLLS[transport], **query})

    def each_transport(self, channel, status, code=None, headers=None, query=None):
        for transport in ("websocket", "sse", "longpoll", "poll"):
            with self.subTest(transport=transport, channel=channel):
                response = self.opened(transport, channel, headers, query)
                if code:
                    self.assert_problem(response, status, code)
                    self.assertEqual(response.headers.get("WWW-Authenticate"), "Bearer" if status == 401 else None)
                else:
                    self.assertEqual(response.status, 101 if transport == "websocket" else 200, response)

    def test_rules_of_claims(self):
        alice_in = alice([], rooms=["red", "blue"])
        self.each_transport("room:red", 200, headers=bearer(alice_in))
        self.each_transport("room:green", 403, "forbidden", bearer(alice_in))
        self.each_transport("room:red", 403, "forbidden", bearer(alice(["room:*"])))
        self.each_transport("room:red", 401, "unauthorized")

    def test_in_the_header(self):
        self.each_transport("chat:a", 200, headers=bearer(alice()))
        self.each_transport("chat:a", 200, headers={"Authorization": f"bearer   {alice()}"})

    def test_in_the_query(self):
        self.each_transport("chat:a,read:b", 200, query={"access_token": alice(), "envelope": "1"})

    def test_in_a_cookie(self):
        self.each_transport("chat:a", 200, headers={"Cookie": f"a=b; session={alice()};c=d"})
        for origin in (ORIGIN, ORIGIN.upper(), "http://{}:{}".format(*self.daemon.public)):
            self.each_transport("chat:a", 200, headers={"Cookie": f"session={alice()}", "Origin": origin})
        self.each_transport("chat:a", 401, "unauthorized", {"Cookie": f"sessions={alice()}; session=x"})
        cookie = {"Cookie": f"session={alice()}", "Sec-Fetch-Site": "cross-site"}
        self.each_transport("chat:a", 401, "unauthorized", cookie)

    def test_in_a_foreign_page(self):
        for origin in ("null", "https://app.example.com.evil.example", "http://app.example.com",
                       "https://app.example.com:444", "https://evil.example"):
            self.each_transport("chat:a", 403, "forbidden", {"Cookie": f"session={alice()}", "Origin": origin})

    def test_without(self):
        before = self.refusals("missing")
        self.each_transport("chat:a", 401, "unauthorized")
        for headers in ({"Authorization": f"Basic {alice()}"}, {"Authorization": alice()},
                        {"Cookie": f"token={alice()}"}):
            self.each_transport("chat:a", 401, "unauthorized", headers)
        self.each_transport("open:a", 200)
        self.each_transport("closed:a", 403, "forbidden")
        self.assertEqual(self.refusals("missing") - before, 16)

    def test_a_public_channel_asks_for_none(self):
        self.each_transport("open:a", 200, headers=bearer("nonsense"))
        self.each_transport("closed:a", 403, "forbidden", bearer(alice(["closed:*"])))

    def test_not_enough(self):
        before = self.refusals("forbidden")
        self.each_transport("chat:a", 403, "forbidden", bearer(alice(["read:*"])))
        self.each_transport("read:a,chat:a", 403, "forbidden", bearer(alice(["read:*"])), {"envelope": "1"})
        self.each_transport("chat:a", 403, "forbidden", bearer(alice([])))
        self.each_transport("chat:a", 403, "forbidden", bearer(alice(["chat:b", "chat", "*"])))
        self.assertEqual(self.refusals("forbidden") - before, 16)

    def test_refused(self):
        rows = {
            "signature": (alice(secret=OTHER), "the token's signature is wrong"),
            "expired": (alice(lasts=-12.5), "the token expired 12 s ago"),
            "early": (alice(nbf=time.time() + 90.5), "the token is not valid for another 90 s"),
            "claims": (alice(aud="x"), "the token's 'aud' names none of 'audience'"),
            "malformed": ("a.b.c", "part 1 of the token is not base64url"),
            "key": (secret_token(SECRET, claims_of(), "HS512"), "the token's algorithm is not one of 'algorithms'"),
        }
        for why, (token, detail) in rows.items():
            with self.subTest(why=why):
                before = self.refusals(why)
                self.each_transport("chat:a", 401, "unauthorized", bearer(token))
                self.assertEqual(self.refusals(why) - before, 4)
                problem = self.opened("poll", "chat:a", bearer(token)).json()
                self.assertRegex(problem["detail"], detail.replace("12 s", "1[23] s").replace("90 s", "(89|90) s"))
                self.assertNotIn(token, json.dumps(problem))
        self.assertNotIn("eyJ", self.daemon.log())

    def test_too_large(self):
        token = alice(more="x" * 2048)
        self.assert_limit("token_size", lambda: self.each_transport("chat:a", 401, "unauthorized", bearer(token)))

    def test_given_twice(self):
        token = alice()
        self.each_transport("chat:a", 401, "unauthorized", bearer(token), {"access_token": token})
        request = (f"GET /sub/chat:a?wait=0 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
                   f"Authorization: Bearer {token}\r\n\r\n")
        wire = self.wire("public")
        wire.send(request.encode())
        self.assert_problem(wire.read_response(), 401, "unauthorized")

    def test_of_another_section(self):
        self.each_transport("other:a", 401, "unauthorized", bearer(alice(["other:*"])))
        self.each_transport("other:a", 200, headers=bearer(alice(["other:*"], secret=OTHER)))
        self.each_transport("chat:a,other:a", 401, "unauthorized", bearer(alice(["**"])), {"envelope": "1"})
        self.each_transport("program:a", 200, headers=bearer(BEARER))
        self.each_transport("program:a", 401, "unauthorized", bearer(alice(["**"])))
        self.each_transport("chat:a", 401, "unauthorized", bearer(BEARER))

    def test_answers_are_private(self):
        for headers in (bearer(alice()), {"Cookie": f"session={alice()}"}):
            response = self.opened("poll", "chat:a", headers)
            self.assertEqual(response.headers["Cache-Control"], "private, no-cache")
            tag = response.headers["ETag"]
            again = self.opened("poll", "chat:a", {**headers, "If-None-Match": tag})
            self.assertEqual((again.status, again.headers["Cache-Control"]), (304, "private, no-cache"))
        query = self.opened("poll", "chat:a", query={"access_token": alice()})
        self.assertEqual(query.headers["Cache-Control"], "private, no-cache")
        self.assertEqual(self.opened("poll", "open:a").headers["Cache-Control"], "no-cache")
        for response in (self.opened("sse", "chat:a", bearer(alice())), self.opened("longpoll", "chat:a", bearer(alice()))):
            self.assertEqual(response.headers["Cache-Control"], "no-store")
            self.assertIn("Authorization", response.headers["Vary"])

    def test_a_page_may_read_the_refusal(self):
        response = self.opened("poll", "chat:a", {"Origin": ORIGIN})
        self.assertEqual((response.status, response.headers["Access-Control-Allow-Origin"]), (401, ORIGIN))

    def test_delivery(self):
        headers = bearer(alice())
        sse = self.sse("chat:d", headers).opened()
        ws = self.ws("chat:d", headers=headers)
        self.daemon.publish("chat:d", b"hello")
        self.assertEqual(sse.next_event().data, "hello")
        self.assertEqual(ws.next_text(), "hello")

    def post(self, channel, headers=None, **query):
        return self.daemon.request("POST", "/sub/" + channel, "public", headers=headers, query=query, body=b"x")

    def test_publishing_by_request(self):
        self.assertEqual(self.post("chat:p", bearer(alice())).status, 200)
        self.assertEqual(self.post("chat:p", access_token=alice()).status, 200)
        self.assertEqual(self.post("write:p", bearer(alice([], ["write:*"]))).status, 200)
        self.assertEqual(self.post("program:p", bearer(BEARER)).status, 200)
        self.assert_problem(self.post("chat:p"), 401, "unauthorized")
        self.assert_problem(self.post("chat:p", bearer(alice(lasts=-1))), 401, "unauthorized")
        self.assert_problem(self.post("chat:p", bearer(alice(publish=[]))), 403, "forbidden")
        self.assert_problem(self.post("chat:p,write:p", bearer(alice())), 403, "forbidden")
        self.assert_problem(self.post("read:p", bearer(alice(publish=["**"]))), 403, "forbidden")
        self.assert_problem(self.post("write:p", bearer(BEARER)), 401, "unauthorized")
        self.assertEqual(self.daemon.facts("chat:p")["n"], 2)

    def test_a_form_of_another_page_publishes_nothing(self):
        cookie = {"Cookie": f"session={alice()}"}
        self.assertEqual(self.post("chat:f", {**cookie, "Origin": ORIGIN}).status, 200)
        self.assert_problem(self.post("chat:f", {**cookie, "Origin": "https://evil.example"}), 403, "forbidden")
        self.assert_problem(self.post("chat:f", {**cookie, "Sec-Fetch-Site": "cross-site"}), 401, "unauthorized")

    def test_publishing_by_websocket(self):
        ws = self.ws("chat:w", headers=bearer(alice()))
        ws.send_text("mine")
        self.assertEqual(ws.next_text(), "mine")
        writer = self.ws("write:w", headers=bearer(alice([], ["write:*"])))
        writer.send_text("one")
        self.assertEqual(writer.next_text(), "one")
        for channel, headers in (("chat:w", bearer(alice(publish=[]))), ("write:w", None), ("write:w", bearer("x")),
                                 ("write:w", bearer(alice(lasts=-1))), ("read:w", bearer(alice(publish=["**"])))):
            with self.subTest(channel=channel, headers=headers):
                client = self.ws(channel, headers=headers)
                client.send_text("no")
                self.assertEqual(client.expect_close().code, 1008)
        self.assertEqual(self.daemon.facts("write:w")["n"], 1)


class Sessions(FanhornTest):
    """fanhorn.v1: the URL's token is that of every command."""

    config = config(more=SECTIONS, channels=CHANNELS)

    def session(self, channels="", token=None):
        return self.open(Session(self.daemon.public, channels, {"access_token": token}))

    def replies(self, session, rows):
        for verb, arguments, code in rows:
            with self.subTest(verb=verb, arguments=arguments):
                reply = session.reply(session.command(**{verb: arguments}))
                self.assertEqual(reply.get("error", {}).get("code"), code, reply)

    def test_with_a_token(self):
        self.replies(self.session(token=alice()), [
            ("subscribe", {"channel": "chat:a"}, None), ("subscribe", {"channels": ["read:a", "chat:b"]}, None),
            ("subscribe", {"channel": "open:a"}, None), ("subscribe", {"channel": "closed:a"}, "forbidden"),
            ("subscribe", {"channel": "write:a"}, None), ("subscribe", {"channel": "chat:a:b"}, "channel_unknown"),
            ("subscribe", {"channel": "other:a"}, "unauthorized"),
            ("publish", {"channel": "chat:a", "data": {}}, None), ("publish", {"channel": "write:a", "data": {}}, "forbidden"),
            ("publish", {"channel": "open:a", "data": {}}, "forbidden"), ("history", {"channel": "read:a"}, None),
            ("history", {"channel": "other:a"}, "unauthorized")])

    def test_without(self):
        self.replies(self.session(), [
            ("subscribe", {"channel": "open:a"}, None), ("subscribe", {"channel": "chat:a"}, "unauthorized"),
            ("subscribe", {"channels": ["open:b", "chat:a"]}, "unauthorized"),
            ("publish", {"channel": "chat:a", "data": {}}, "unauthorized"), ("history", {"channel": "chat:a"}, "unauthorized")])
        self.assertEqual(self.daemon.subscribers("open:b"), 0)

    def test_a_token_that_does_not_hold(self):
        for channels in ("", "open:a", "chat:a"):
            for token in (alice(lasts=-1), alice(secret=OTHER + "x"), "x"):
                with self.assertRaises(Refused) as caught:
                    self.session(channels, token)
                self.assert_problem(caught.exception.response, 401, "unauthorized")

    def test_by_post(self):
        def ask(verb, headers=None, **arguments):
            body = json.dumps({"id": 1, verb: arguments}).encode()
            return self.daemon.request("POST", "/sub", "public", headers=headers, body=body).json()
        self.assertIn("ok", ask("publish", bearer(alice()), channel="chat:p", data={}))
        self.assertIn("ok", ask("history", bearer(alice()), channel="chat:p"))
        for headers, code in ((None, "unauthorized"), (bearer(alice(publish=[])), "forbidden"), (bearer("x"), "unauthorized")):
            self.assertEqual(ask("publish", headers, channel="chat:p", data={})["error"]["code"], code)
        self.assertEqual(self.daemon.facts("chat:p")["n"], 1)

    def test_a_token_in_a_command(self):
        session = self.session()
        self.replies(session, [
            ("subscribe", {"channel": "chat:a", "token": alice(lasts=-1)}, "unauthorized"),
            ("subscribe", {"channel": "chat:a", "token": 7}, "bad_option"),
            ("subscribe", {"channel": "chat:a", "token": alice(["read:*"])}, "forbidden"),
            ("subscribe", {"channel": "chat:a", "token": alice()}, None), ("subscribe", {"channel": "read:a"}, None),
            ("publish", {"channel": "chat:a", "data": {}}, None),
            ("subscribe", {"channel": "chat:b", "token": secret_token(SECRET, claims_of("bob", ["**"]))}, "forbidden"),
            ("subscribe", {"channel": "other:a", "token": alice(["other:*"], secret=OTHER)}, None),
            ("subscribe", {"channel": "open:a", "token": "whatever"}, None)])

    def test_rules_of_claims(self):
        alice_in = alice([], publish=[], rooms=["red", "blue"], speaks=["blue"])
        session = self.session(token=alice_in)
        self.replies(session, [
            ("subscribe", {"channel": "room:red"}, None), ("subscribe", {"channel": "room:green"}, "forbidden"),
            ("subscribe", {"channel": "inbox:alice"}, None), ("subscribe", {"channel": "inbox:bob"}, "forbidden"),
            ("subscribe", {"channel": "inbox:*"}, "forbidden"),
            ("publish", {"channel": "room:blue", "data": 1}, None), ("publish", {"channel": "room:red", "data": 1}, "forbidden"),
            ("history", {"channel": "room:blue"}, None), ("history", {"channel": "room:green"}, "forbidden"),
            ("refresh", {"token": alice([], rooms=["blue"])}, None), ("subscribe", {"channel": "room:green"}, "forbidden")])
        ended = [each["channel"] for each in session.pushed if "end" in each]
        self.assertEqual(ended, ["room:red"])

    def test_refresh(self):
        session = self.session("chat:a", alice(lasts=2))
        self.replies(session, [
            ("refresh", {"token": alice(lasts=-1)}, "unauthorized"), ("refresh", {"token": BEARER}, "unauthorized"),
            ("refresh", {"token": secret_token(SECRET, claims_of("bob", ["**"]))}, "forbidden"),
            ("refresh", {}, "bad_option"), ("refresh", {"token": alice(), "x": 1}, "bad_option"),
            ("refresh", {"token": alice(lasts=5)}, None), ("subscribe", {"channel": "read:a"}, None)])
        until = time.time() + 4
        self.assertEqual(session.expect_close().code, 4001)
        self.assertGreater(time.time(), until)

    def test_a_refresh_that_covers_less(self):
        session = self.session(token=alice())
        session.ask(subscribe={"channels": ["chat:less", "read:less"]})
        session.ask(subscribe={"channel": "open:less"})
        self.assertEqual(session.ask(refresh={"token": alice(["chat:*"])}), {})
        for channel in ("read:less", "chat:less", "open:less"):
            self.daemon.publish(channel, channel)
        pushed = [each for each in (session.push() for _ in range(6)) if "caught_up" not in each]
        self.assertEqual(pushed[0], {"channel": "read:less", "end": {"code": "forbidden"}})
        self.assertEqual([each["channel"] for each in pushed[1:]], ["chat:less", "open:less"])
        self.assertEqual(session.fault(unsubscribe={"channel": "read:less"}), "not_found")

    def test_a_subscribe_whose_token_covers_less(self):
        session = self.session(token=alice())
        session.ask(subscribe={"channel": "read:few"})
        session.until_caught_up("read:few")
        session.ask(subscribe={"channel": "chat:few", "token": alice(["chat:*"])})
        self.assertEqual(session.push(), {"channel": "read:few", "end": {"code": "forbidden"}})

    def test_its_end(self):
        session = self.session(token=alice(lasts=2))
        session.ask(subscribe={"channel": "chat:a"})
        closed = session.expect_close()
        self.assertEqual((closed.code, closed.reason), (4001, "token expired"))


class Expiry(FanhornTest):
    config = config(more=SECTIONS, channels=CHANNELS)

    def setUp(self):
        super().setUp()
        self.until = time.time() + 2
        self.token = {"access_token": secret_token(SECRET, {"exp": self.until, "channels": ["**"], "publish": ["**"]})}

    def expired(self):
        return self.daemon.metrics()["fanhorn_tokens_expired_total"]

    def assert_on_time(self):
        late = time.time() - self.until
        self.assertTrue(0 <= late < TIMEOUT / 2, f"{late:.1f} s after the token's end")

    def test_websocket(self):
        before = self.expired()
        clients = [self.ws("chat:x", query=self.token), self.ws("chat:x", query={**self.token, "envelope": "1"}),
                   self.ws("chat:x,read:x", query=self.token), self.ws("write:x", query=self.token)]
        for client in clients:
            closed = client.expect_close()
            self.assertEqual((closed.code, closed.reason), (4001, "token expired"))
            self.assert_on_time()
        self.assertEqual(self.expired() - before, len(clients))
        self.refused("chat:x", 401, query=self.token)

    def test_sse(self):
        client = self.sse("chat:x", **self.token).opened()
        event = client.next_event()
        self.assertEqual(event.event, "error")
        self.assertEqual(json.loads(event.data)["code"], "unauthorized")
        self.assertIsNone(client.next_block())
        self.assert_on_time()

    def test_long_poll(self):
        response = self.daemon.request("GET", "/sub/chat:x", "public", query={**self.token, "wait": "30"})
        self.assertEqual((response.status, response.json()["messages"]), (200, []))
        self.assert_on_time()

    def test_a_connection_that_goes_on(self):
        """A poll's token is the poll's, not the connection's."""
        wire = self.wire("public")
        for _ in range(2):
            self.assertEqual(wire.request("GET", "/sub/chat:x", query={**self.token, "wait": "0"}).status, 200)
        waiting = wire.request("GET", "/sub/chat:x", query={**self.token, "wait": "30"})
        self.assertEqual(waiting.status, 200)
        self.assert_on_time()
        self.assertEqual(wire.request("GET", "/sub/chat:x", query={**self.token, "wait": "0"}).status, 401)
        self.assertEqual(wire.request("GET", "/sub/open:x", query={**self.token, "wait": "1"}).status, 200)

    def test_one_that_stopped_reading(self):
        client = self.sse("chat:x", receive_buffer=4096, **self.token)
        self.wait_subscribers("chat:x", 1)
        for _ in range(40):
            self.daemon.publish("chat:x", b"x" * 60_000)
        self.wait_subscribers("chat:x", 0)
        self.assert_on_time()
        eventually(lambda: self.daemon.metrics()['fanhorn_connections{transport="sse"}'] == 0, "its end")
        client.close()

    def test_others_stay(self):
        staying = [self.ws("chat:x", query={"access_token": alice()}), self.ws("open:x"),
                   self.ws("program:x", query={"access_token": BEARER})]
        self.ws("chat:x", query=self.token).expect_close()
        for client, channel in zip(staying, ("chat:x", "open:x", "program:x")):
            self.daemon.publish(channel, b"still here")
            self.assertEqual(client.next_text(), "still here")


class Backends(FanhornTest):
    config = config(more=SECTIONS, private="auth = programs", channels=ANY_CHANNEL)
    REQUESTS = (("POST", "/pub/x"), ("PUT", "/pub/x"), ("DELETE", "/pub/x"), ("GET", "/pub/x"), ("POST", "/pub"),
                ("GET", "/channels"), ("GET", "/channels/x/history"), ("POST", "/users/x"), ("DELETE", "/users/x"))

    def each(self, headers):
        for method, path in self.REQUESTS:
            body = {"/pub": b'{"messages":[{"channel":"x","text":"y"}]}'}.get(path, b"y") if method in ("POST", "PUT") else None
            with self.subTest(method=method, path=path, headers=headers):
                yield self.daemon.request(method, path, headers=headers, body=body)

    def test_with_a_token(self):
        for response in self.each(bearer(BEARER)):
            self.assertIn(response.status, (200, 204, 404), response)
        response = self.daemon.request("POST", "/pub/y", query={"access_token": BEARER}, body=b"y")
        self.assertEqual(response.status, 200)

    def test_without(self):
        for headers in (None, bearer(BEARER[:-1]), bearer(BEARER + "x"), bearer(alice()), bearer("")):
            for response in self.each(headers):
                self.assert_problem(response, 401, "unauthorized")
                self.assertEqual(response.headers["WWW-Authenticate"], "Bearer")

    def test_health_and_metrics_need_none(self):
        for path in ("/healthz", "/readyz", "/metrics"):
            self.assertEqual(self.daemon.request("GET", path).status, 200)

    def test_a_body_is_refused_before_it_comes(self):
        wire = self.wire()
        host = f"{self.daemon.private[0]}:{self.daemon.private[1]}"
        wire.send(f"POST /pub/x HTTP/1.1\r\nHost: {host}\r\nContent-Length: 100000\r\n\r\n".encode())
        self.assert_problem(wire.read_response(), 401, "unauthorized")


class SignedBackends(FanhornTest):
    """A publisher's token says to which channels."""

    config = config(more=SECTIONS, private="auth = users", channels=ANY_CHANNEL)

    def request(self, method, path, publish, body=None):
        return self.daemon.request(method, path, headers=bearer(alice([], publish)), body=body)

    def test_channels(self):
        self.assertEqual(self.request("POST", "/pub/a:1", ["a:*"], b"x").status, 200)
        self.assertEqual(self.request("GET", "/channels/a:1/history", ["a:*"]).status, 200)
        for method, path in (("POST", "/pub/b:1"), ("POST", "/pub/a:1,b:1"), ("PUT", "/pub/b:1"), ("DELETE", "/pub/b:1"),
                             ("GET", "/pub/b:1"), ("GET", "/channels/b:1/history"), ("GET", "/channels")):
            with self.subTest(method=method, path=path):
                self.assert_problem(self.request(method, path, ["a:*"], b"x" if method[0] == "P" else None), 403, "forbidden")
        self.assertEqual(self.request("GET", "/channels", ["**"]).status, 200)

    def test_users(self):
        for method in ("POST", "DELETE"):
            for publish, status in ((["**"], 200), (["$user:*"], 200), (["$user:bob"], 200), (["$user:eve"], 403),
                                    (["*"], 403), (["a:**"], 403)):
                with self.subTest(method=method, publish=publish):
                    self.assertEqual(self.request(method, "/users/bob", publish, b"x").status, status)

    def test_a_batch_is_judged_one_by_one(self):
        batch = json.dumps({"messages": [{"channel": name, "text": "x"} for name in ("a:1", "b:1", "a:2")]})
        results = self.request("POST", "/pub", ["a:*"], batch.encode()).json()["results"]
        self.assertEqual([result.get("code") for result in results], [None, "forbidden", None])

    def test_so_are_lines(self):
        with Stream(self.daemon.private, bearer(alice([], ["a:*"]))) as stream:
            stream.send("".join(json.dumps({"channel": name, "text": "x"}) + "\n" for name in ("a:1", "b:1", "a:2")))
            results = [stream.next_line() for _ in range(3)]
            stream.finish()
        self.assertEqual([result.get("code") for result in results], [None, "forbidden", None])


class Keys(unittest.TestCase):
    def test_each_kind_and_a_reload(self):
        section = "[auth users]\ntype = jwt\nkeys = {}\n"
        files = ", ".join(f"@DIR@/{name}.pem" for name in KeyPair.OPTIONS)
        channels = "[channel **]\nsubscribe = users\n"
        daemon = Daemon(config(more=section.format(files), channels=channels))
        pairs = [KeyPair(daemon.dir, name) for name in KeyPair.OPTIONS]
        tokens = {pair.algorithm: pair.token(claims_of(channels=["a"])) for pair in pairs}

        def status(algorithm):
            return daemon.request("GET", "/sub/a", "public", query={"wait": "0", "access_token": tokens[algorithm]}).status

        with daemon:
            self.assertEqual({name: status(name) for name in tokens}, dict.fromkeys(tokens, 200))
            foreign = KeyPair(daemon.dir, "ES256")  # in the place of the old one
            self.assertEqual(status("ES256"), 200)
            self.reload(daemon)
            self.assertEqual((status("ES256"), status("EdDSA")), (401, 200))
            tokens["ES256"] = foreign.token(claims_of(channels=["a"]))
            self.assertEqual(status("ES256"), 200)
            foreign.public.write_text("broken")
            daemon.send_signal(signal.SIGHUP)
            eventually(lambda: "reload_refused" in daemon.log(), "the refusal")
            self.assertRegex(daemon.log(), r"fanhorn\.conf:[0-9]+: keys: '[^']*/ES256\.pem' holds no PUBLIC KEY block")
            self.assertEqual(status("ES256"), 200)

    def test_a_subscription_outlives_a_reload(self):
        with Daemon(config(more=SECTIONS, channels=CHANNELS)) as daemon:
            client = WsClient(daemon.public, "/sub/chat:a", {"access_token": alice(lasts=4)})
            daemon.write_config(config(more=SECTIONS.replace(SECRET, OTHER), channels=CHANNELS))
            self.reload(daemon)
            daemon.publish("chat:a", b"after")
            client.send_text("mine")
            self.assertEqual([client.next_text(), client.next_text()], ["after", "mine"])
            self.assertEqual(client.expect_close().code, 4001)

    @staticmethod
    def reload(daemon):
        before = daemon.metrics()["fanhorn_reloads_total"]
        daemon.send_signal(signal.SIGHUP)
        eventually(lambda: daemon.metrics()["fanhorn_reloads_total"] > before, "the reload")
        time.sleep(0.1)  # each worker takes it over on its own


class OwnChannel(FanhornTest):
    """What is sent to a user needs no right of its own."""
    config = config(more=SECTIONS, channels=CHANNELS + "[channel $user:*]\nsubscribe = others\n")

    def test_it_outlives_a_refresh(self):
        session = self.open(Session(self.daemon.public, "", {"access_token": alice()}))
        session.ask(refresh={"token": alice(["chat:*"])})
        self.daemon.request("POST", "/users/alice", body=b"still")
        while "data" not in (envelope := session.push()):
            self.assertNotIn("end", envelope)
        self.assertEqual(envelope["data"], "still")


if __name__ == "__main__":
    unittest.main()
