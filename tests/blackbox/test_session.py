# SPDX-License-Identifier: Apache-2.0
"""fanhorn.v1: channels that come and go on one connection, commands and their replies."""

import json
import random
import threading
import unittest

from harness import FanhornTest, config, eventually, position, shifted
from session import PROTOCOL, PostSession, Session
from tokens import claims_of, secret_token
from wire import build_request
from ws import BINARY, Refused, WsClient, frame_bytes

SECRET = "sessions-are-signed-with-this-secret"
CHANNELS = """
[channel **]
client_publish = public
[channel mute:*]
client_publish = off
[channel closed:*]
subscribe = deny
[channel polled:*]
transports = poll
"""


class SessionTest(FanhornTest):
    config = config(channels=CHANNELS)

    def session(self, channels="", **options):
        return self.open(Session(self.daemon.public, channels, **options))

    def post(self, body, connection=None, content_type="application/json", **parts):
        headers = {"Content-Type": content_type}
        if connection:
            headers["Fanhorn-Connection"] = connection
        return self.daemon.request("POST", "/sub", listener="public", headers={**headers, **parts},
                                   body=body if isinstance(body, bytes) else json.dumps(body).encode())


class Opening(SessionTest):
    def test_begins_without_channels(self):
        client = self.session()
        self.assertEqual(set(client.hello), {"connection", "position", "heartbeat"})
        self.assertEqual(client.ask(ping={}), {})

    def test_begins_with_channels(self):
        first = self.daemon.publish(self.channel, b"early")["id"]
        client = self.session(self.channel + ",other", query={"since": shifted(first, -1)})
        self.assertEqual(client.hello["position"], shifted(first, -1))
        self.assertEqual(client.push()["id"], first)
        ends = {client.push()["channel"] for _ in range(2)}
        self.assertEqual(ends, {self.channel, "other"})
        self.daemon.publish(self.channel, b"live")
        self.assertEqual(client.push()["data"], "live")

    def test_an_unknown_protocol_is_not_selected(self):
        client = self.open(WsClient(self.daemon.public, "/sub/" + self.channel, protocols="chat"))
        self.assertNotIn("Sec-WebSocket-Protocol", client.response.headers.fields)
        self.daemon.publish(self.channel, b"plain")
        self.assertEqual(client.next_text(), "plain")

    def test_one_of_several_protocols(self):
        client = self.open(WsClient(self.daemon.public, "/sub/", protocols="chat, " + PROTOCOL))
        self.assertEqual(client.response.headers["Sec-WebSocket-Protocol"], PROTOCOL)

    def test_no_channel_and_no_protocol(self):
        for path in ("/sub", "/sub/"):
            response = self.daemon.request("GET", path, listener="public",
                                           headers={"Accept": "text/event-stream"})
            self.assert_problem(response, 400, "bad_channel")
        with self.assertRaises(Refused) as caught:
            WsClient(self.daemon.public, "/sub/")
        self.assertEqual(caught.exception.response.status, 400)

    def test_binary_frames_are_refused(self):
        client = self.session()
        client.wire.send(frame_bytes(BINARY, b"{}"))
        self.assertEqual(client.expect_close().code, 1003)

    def test_with_compression(self):
        client = self.session(compress=True)
        self.assertTrue(client.deflates)
        client.ask(subscribe={"channel": self.channel})
        self.daemon.publish(self.channel, b"squeeze " * 100)
        client.until_caught_up(self.channel)
        self.assertEqual(client.push()["data"], "squeeze " * 100)


class Subscribing(SessionTest):
    def test_the_reply_comes_first_and_caught_up_ends_the_replay(self):
        ids = [self.daemon.publish(self.channel, b"%d" % i)["id"] for i in range(5)]
        client = self.session()
        ok = client.ask(subscribe={"channel": self.channel, "since": ids[1]})
        self.assertEqual(ok, {"channel": self.channel, "position": ids[1]})
        replayed, at = client.until_caught_up(self.channel)
        self.assertEqual([each["id"] for each in replayed], ids[2:])
        self.assertEqual(at, ids[-1])
        late = self.daemon.publish(self.channel, b"live")["id"]
        self.assertEqual(client.push()["id"], late)

    def test_since_forms(self):
        ids = [self.daemon.publish(self.channel, b"%d" % i)["id"] for i in range(5)]
        for since, wanted in (("latest", []), ("earliest", ids), ("0", ids), ("-2", ids[3:]),
                              (-2, ids[3:]), (0, ids), (None, [])):
            with self.subTest(since=since):
                client = self.session()
                client.ask(subscribe={"channel": self.channel,
                                      **({} if since is None else {"since": since})})
                replayed, _ = client.until_caught_up(self.channel)
                self.assertEqual([each["id"] for each in replayed], wanted)

    def test_several_placed_in_one_step_come_in_order(self):
        client = self.session()
        names = [f"{self.channel}-{i}" for i in range(5)]
        ids = [self.daemon.publish(random.Random(i).choice(names), b"x")["id"] for i in range(60)]
        ok = client.ask(subscribe={"channels": names, "since": shifted(ids[0], -1)})
        self.assertEqual(ok, {"channels": names, "position": shifted(ids[0], -1)})
        got, done = [], set()
        while len(done) < len(names):
            envelope = client.push()
            if "caught_up" in envelope:
                done.add(envelope["channel"])
            else:
                got.append(envelope["id"])
        self.assertEqual(got, ids)

    def test_an_older_channel_beside_live_ones(self):
        old = [self.daemon.publish("old" + self.channel, b"%d" % i)["id"] for i in range(50)]
        client = self.session(self.channel)
        client.until_caught_up(self.channel)
        client.ask(subscribe={"channel": "old" + self.channel, "since": "earliest"})
        live = [self.daemon.publish(self.channel, b"x")["id"] for _ in range(20)]
        got = {"old" + self.channel: [], self.channel: []}
        while len(got[self.channel]) < len(live) or len(got["old" + self.channel]) < len(old):
            envelope = client.push()
            if "id" in envelope:
                got[envelope["channel"]].append(envelope["id"])
        self.assertEqual(got, {"old" + self.channel: old, self.channel: live})

    def test_unsubscribe(self):
        client = self.session(self.channel + ",stays")
        self.assertEqual(client.ask(unsubscribe={"channel": self.channel}), {})
        self.wait_subscribers(self.channel, 0)
        self.daemon.publish(self.channel, b"not for us")
        self.daemon.publish("stays", b"for us")
        while "id" not in (envelope := client.push()):
            pass
        self.assertEqual(envelope["channel"], "stays")
        self.assertEqual(client.fault(unsubscribe={"channel": self.channel}), "not_found")

    def test_subscribe_again(self):
        client = self.session()
        for round_ in range(30):
            client.ask(subscribe={"channel": self.channel})
            sent = self.daemon.publish(self.channel, b"%d" % round_)["id"]
            while "id" not in (envelope := client.push()):
                pass
            self.assertEqual(envelope["id"], sent)
            client.ask(unsubscribe={"channel": self.channel})
        eventually(lambda: self.daemon.subscribers(self.channel) == 0, "left")

    def test_a_gap_is_told(self):
        client = self.session()
        client.ask(subscribe={"channel": self.channel, "since": "aaaaaa.5"})
        told, at = client.until_caught_up(self.channel)
        self.assertEqual([each["gap"]["why"] for each in told], ["epoch"])
        self.assertEqual(position(at)[0], position(client.hello["position"])[0])

    def test_retained_value_first(self):
        kept = self.daemon.publish(self.channel, b"state", method="PUT")["id"]
        for _ in range(100):
            self.daemon.publish(self.channel, b"x")
        client = self.session()
        client.ask(subscribe={"channel": self.channel})
        told, _ = client.until_caught_up(self.channel)
        self.assertEqual([(each["id"], each["retained"]) for each in told], [(kept, True)])

    def test_deleting_ends_one_channel(self):
        client = self.session(self.channel + ",stays2")
        self.daemon.request("DELETE", "/pub/" + self.channel)
        while "end" not in (envelope := client.push()):
            pass
        self.assertEqual(envelope, {"channel": self.channel, "end": {"code": "deleted"}})
        client.ask(subscribe={"channel": self.channel})
        self.daemon.publish(self.channel, b"again")
        while "id" not in (envelope := client.push()):
            pass
        self.assertEqual(envelope["channel"], self.channel)

    def test_refusals_leave_the_connection_alone(self):
        client = self.session()
        cases = (({"channel": "closed:x"}, "forbidden"),
                 ({"channel": "polled:x"}, "not_acceptable"),
                 ({"channel": ""}, "bad_channel"),
                 ({"channel": "a,b"}, "bad_channel"),
                 ({"channel": "$user:x"}, "bad_channel"),
                 ({"channel": 5}, "bad_channel"),
                 ({}, "bad_channel"),
                 ({"channels": []}, "bad_channel"),
                 ({"channels": ["a", "a"]}, "bad_channel"),
                 ({"channels": "a"}, "bad_channel"),
                 ({"channel": "a", "since": "nonsense!"}, "bad_position"),
                 ({"channel": "a", "since": []}, "bad_position"),
                 ({"channel": "a", "colour": 1}, "bad_option"))
        for arguments, code in cases:
            with self.subTest(arguments):
                self.assertEqual(client.fault(subscribe=arguments), code)
        client.ask(subscribe={"channel": self.channel})
        self.assertEqual(client.fault(subscribe={"channel": self.channel}), "bad_request")
        self.assertEqual(client.ask(ping={}), {})

    def test_all_or_nothing(self):
        client = self.session()
        self.assertEqual(client.fault(subscribe={"channels": [self.channel, "closed:x"]}), "forbidden")
        self.assertEqual(self.daemon.subscribers(self.channel), 0)
        client.ask(subscribe={"channel": self.channel})


class Commands(SessionTest):
    def test_publish(self):
        other = self.session(self.channel)
        client = self.session(self.channel)
        ok = client.ask(publish={"channel": self.channel, "event": "msg", "data": {"text": "hi"}})
        self.assertEqual(set(ok), {"id", "n"})
        for each in (other, client):
            while "id" not in (envelope := each.push()):
                pass
            self.assertEqual(envelope, {"channel": self.channel, "id": ok["id"], "n": ok["n"],
                                        "event": "msg", "data": {"text": "hi"}})

    def test_without_echo(self):
        other = self.session(self.channel)
        client = self.session(self.channel)
        client.ask(publish={"channel": self.channel, "text": "mine", "echo": False})
        second = client.ask(publish={"channel": self.channel, "text": "all", "echo": True})
        seen = []
        while not seen or seen[-1] != "all":
            envelope = client.push()
            seen += [envelope["data"]] if "id" in envelope else []
        self.assertEqual(seen, ["all"])
        while "id" not in (envelope := other.push()):
            pass
        self.assertEqual(envelope["data"], "mine")
        self.assertEqual(other.push()["id"], second["id"])

    def test_unstored(self):
        client = self.session(self.channel)
        client.ask(publish={"channel": self.channel, "data": {"typing": True}, "store": 0})
        while "id" not in (envelope := client.push()):
            pass
        self.assertEqual(envelope["data"], {"typing": True})
        self.assertEqual(self.daemon.poll(self.channel, since="earliest")["messages"], [])

    def test_publish_refusals(self):
        client = self.session()
        for arguments, code in (({"channel": "mute:x", "text": "a"}, "forbidden"),
                                ({"channel": "a"}, "bad_request"),
                                ({"channel": "a", "text": "a", "data": 1}, "bad_request"),
                                ({"channel": "a", "text": "a", "echo": 1}, "bad_option"),
                                ({"channel": "a", "text": "a", "retain": True}, "bad_option"),
                                ({"channel": "a", "text": "x" * 70000}, "too_large"),
                                ({"text": "a"}, "bad_channel")):
            with self.subTest(code=code, keys=sorted(arguments)):
                self.assertEqual(client.fault(publish=arguments), code)

    def test_history(self):
        ids = [self.daemon.publish(self.channel, b"%d" % i)["id"] for i in range(6)]
        client = self.session()
        ok = client.ask(history={"channel": self.channel, "since": "-3"})
        self.assertEqual([each["id"] for each in ok["messages"]], ids[3:])
        self.assertEqual(ok["next"], ids[-1])
        self.assertEqual(ok["gaps"], [])
        ok = client.ask(history={"channel": self.channel, "limit": 2})
        self.assertEqual([each["id"] for each in ok["messages"]], ids[:2])
        self.assertEqual(client.fault(history={"channel": "closed:x"}), "forbidden")
        self.assertEqual(client.fault(history={"channel": self.channel, "limit": 0}), "bad_option")

    def test_malformed(self):
        client = self.session()
        for text in ("", "[]", "nonsense", "{", "5", '{"id":1}', '{"ping":{}}', '{"id":"1","ping":{}}',
                     '{"id":1,"ping":{},"history":{}}', '{"id":1,"ping":5}', '{"id":1,"ping":{},"x":1}',
                     '{"id":1,"dance":{}}', "[" * 1000, '{"id":%s,"ping":{}}' % ("1" * 40)):
            with self.subTest(text=text[:40]):
                client.send_text(text)
                self.assertIn(client.next_json()["error"]["code"], ("bad_request", "bad_option"))
        self.assertEqual(client.ask(ping={}), {})

    def test_the_number_is_repeated_as_it_was(self):
        client = self.session()
        client.send_text('{"id":-1.50e3,"ping":{}}')
        self.assertIn('"reply":-1.50e3,', client.next_text())

    def test_many_at_once_are_answered_in_order(self):
        client = self.session()
        numbers = [client.command(ping={}) for _ in range(3000)]
        for number in numbers:
            client.reply(number)

    def test_a_flood_of_commands_is_answered_to_its_end(self):
        """More than is read at once, with more replies than are let wait: reading goes on by itself."""
        client = self.session(receive_buffer=4 << 20)
        count = 40_000
        flood = b"".join(frame_bytes(1, b'{"id":%d,"ping":{}}' % number) for number in range(1, count + 1))
        sender = threading.Thread(target=client.wire.try_send, args=(flood,))
        sender.start()
        for number in range(1, count + 1):
            client.reply(number)
        sender.join()

    def test_counted(self):
        client = self.session()
        before = self.daemon.metrics()
        client.ask(ping={})
        client.fault(publish={})
        after = self.daemon.metrics()
        for name, more in (("fanhorn_commands_total", 2), ("fanhorn_command_errors_total", 1)):
            self.assertEqual(after[name] - before[name], more, name)


class SseHeartbeat(SessionTest):
    config = config(defaults="heartbeat = 1s", channels=CHANNELS)

    def test_tells_the_position_of_the_whole(self):
        client = self.open(PostSession(self.daemon))
        client.ask(subscribe={"channel": self.channel})
        sent = self.daemon.publish(self.channel, b"x")["id"]
        client.until(lambda each: each.get("id") == sent)
        self.assertEqual(client.next_json()["position"], sent)
        self.assertEqual(client.stream.last_event_id, sent)  # where an EventSource would resume


class Heartbeat(SessionTest):
    config = config(channels=CHANNELS + "[channel quick]\nheartbeat = 1s\n", defaults="heartbeat = 7s")

    def test_is_the_default_while_there_is_no_channel(self):
        self.assertEqual(self.session().hello["heartbeat"], 7)
        self.assertEqual(self.session("quick").hello["heartbeat"], 1)
        self.assertEqual(self.session(self.channel).hello["heartbeat"], 7)


class Limits(SessionTest):
    config = config(channels=CHANNELS, limits="subscriptions = 3000")

    def test_thousands_of_channels(self):
        client = self.session()
        names = [f"many:{i}" for i in range(3000)]
        numbers = [client.command(subscribe={"channels": names[at:at + 100]})
                   for at in range(0, len(names), 100)]
        for number in numbers:
            client.reply(number)
        self.assert_limit("subscriptions",
                          lambda: self.assertEqual(client.fault(subscribe={"channel": "x"}), "bad_channel"))
        self.daemon.publish_lines([{"channel": name, "text": name} for name in names])
        seen = set()
        while len(seen) < len(names):
            envelope = client.push()
            if "id" in envelope:
                self.assertEqual(envelope["data"], envelope["channel"])
                seen.add(envelope["channel"])
        for name in names[::100]:
            client.ask(unsubscribe={"channel": name})
        client.ask(subscribe={"channel": "x"})

    def test_replies_that_are_not_read_stop_the_commands(self):
        for _ in range(90):
            self.daemon.publish(self.channel, b"x" * 9000)
        client = self.session(receive_buffer=4096)
        command = json.dumps({"id": 1, "history": {"channel": self.channel}}).encode()
        client.wire.try_send(frame_bytes(1, command) * 400)
        codes = []
        for _ in range(400):
            envelope = client.next_json()
            codes.append(envelope["error"]["code"] if "error" in envelope else "ok")
        self.assertIn("rate_limited", codes)
        self.assertEqual(client.ask(ping={}), {})


class ByPost(SessionTest):
    def test_long_list_for_sse(self):
        names = [f"{self.channel}-{i}" for i in range(100)]
        first = self.daemon.publish(names[3], b"early")["id"]
        body = json.dumps({"channels": names, "since": shifted(first, -1)}).encode()
        wire = self.wire("public")
        wire.send(build_request("POST", "/sub", self.daemon.public, body=body,
                                headers={"Accept": "text/event-stream", "Content-Type": "application/json"}))
        self.assertEqual(wire.start_response().status, 200)
        self.daemon.publish(names[99], b"live")
        seen = b""
        while b'"live"' not in seen:
            seen += wire.read_body()
        self.assertIn(b'"early"', seen)

    def test_long_list_for_polls(self):
        sent = self.daemon.publish(self.channel, b"x")["id"]
        response = self.post({"channels": [self.channel, "another"], "since": "earliest"},
                             Accept="application/json")
        self.assertEqual([each["id"] for each in response.json()["messages"] if each["channel"] == self.channel],
                         [sent])

    def test_bad_lists(self):
        for body, code in ((b"", "bad_request"), (b"[]", "bad_request"), (b"{", "bad_request"),
                           ({"channels": []}, "bad_channel"), ({"channels": [1]}, "bad_channel"),
                           ({"channels": ["a"], "since": "?"}, "bad_position")):
            with self.subTest(body):
                self.assert_problem(self.post(body), 400, code)
        self.assert_problem(self.post(b"{}", content_type="text/plain"), 415, "unsupported_type")

    def test_a_command(self):
        client = self.session(self.channel)
        answer = self.post({"id": 7, "publish": {"channel": self.channel, "text": "mine", "echo": False}},
                           client.hello["connection"]).json()
        self.assertEqual((answer["reply"], set(answer["ok"])), (7, {"id", "n"}))
        last = self.post({"id": 8, "publish": {"channel": self.channel, "text": "all"}}).json()["ok"]["id"]
        while "id" not in (envelope := client.push()):
            pass
        self.assertEqual(envelope["id"], last)
        self.assertEqual(len(self.post({"id": 9, "history": {"channel": self.channel}}).json()["ok"]["messages"]), 2)
        self.assertEqual(self.post({"id": 9, "subscribe": {"channel": "a"}}).json()["error"]["code"], "bad_request")
        self.assert_problem(self.post({"id": 9, "ping": {}}, "short"), 400, "bad_option")


class OverSse(SessionTest):
    """protocol=fanhorn.v1: who cannot have a WebSocket."""

    config = config(more=f"[auth app]\ntype = jwt\nsecret = {SECRET}\n", channels=CHANNELS + """
[channel wild:**]
wildcard = on
[channel delta:**]
delta = json-patch
[channel room:**]
subscribe = app
presence = on
joins = on
""")

    def stream(self, channels="", **options):
        return self.open(PostSession(self.daemon, channels, **options))

    def test_subscribe_and_unsubscribe_while_connected(self):
        client = self.stream()
        self.assertEqual(set(client.hello), {"connection", "position", "heartbeat"})
        for i in range(8):  # of which some come to another worker
            name = f"{self.channel}-{i}"
            early = self.daemon.publish(name, b"early")["id"]
            ok = client.ask(subscribe={"channel": name, "since": shifted(early, -1)})
            self.assertEqual(ok, {"channel": name, "position": shifted(early, -1)})
            reply, message, caught_up = client.until(lambda each: "caught_up" in each)
            self.assertEqual(reply, {"reply": client.last_id, "ok": ok})
            self.assertEqual((message["id"], message["data"]), (early, "early"))
            self.assertEqual(caught_up, {"channel": name, "caught_up": early})
            live = self.daemon.publish(name, b"live")["id"]
            self.assertEqual(client.until(lambda each: "id" in each)[-1]["id"], live)
        self.assertEqual(client.ask(unsubscribe={"channel": f"{self.channel}-3"}), {})
        self.daemon.publish(f"{self.channel}-3", b"not to it")
        last = self.daemon.publish(f"{self.channel}-4", b"x")["id"]
        self.assertEqual(client.until(lambda each: "id" in each)[-1]["id"], last)
        self.assertEqual(client.fault(unsubscribe={"channel": f"{self.channel}-3"}), "not_found")

    def test_with_first_channels_and_a_wildcard(self):
        client = self.stream(self.channel)
        client.until(lambda each: "caught_up" in each)
        client.ask(subscribe={"channel": "wild:*"})
        client.until(lambda each: "caught_up" in each)
        for name in (self.channel, "wild:1"):
            sent = self.daemon.publish(name, b"x")["id"]
            self.assertEqual(client.until(lambda each: "id" in each)[-1]["id"], sent)

    def test_deltas(self):
        client = self.stream()
        client.ask(subscribe={"channel": "delta:1", "delta": "json-patch"})
        client.until(lambda each: "caught_up" in each)
        state = {f"key{i}": i for i in range(100)}
        for value in (1, 2):
            sent = self.daemon.publish("delta:1", json.dumps({**state, "key1": value * 10}).encode(),
                                       headers={"Content-Type": "application/json"})["id"]
            told = client.until(lambda each: "id" in each)[-1]
            self.assertEqual(told["id"], sent)
        self.assertEqual(told["patch"], [{"op": "replace", "path": "/key1", "value": 20}])

    def test_refusals(self):
        client = self.stream(self.channel)
        for verb, code in (({"subscribe": {"channel": self.channel}}, "bad_request"),
                           ({"subscribe": {"channel": "closed:1"}}, "forbidden"),
                           ({"subscribe": {"channel": "polled:1"}}, "not_acceptable"),
                           ({"subscribe": {"channel": "room:1"}}, "unauthorized"),
                           ({"unsubscribe": {"channel": "none"}}, "not_found"),
                           ({"refresh": {"token": "x"}}, "unauthorized")):
            with self.subTest(verb):
                self.assertEqual(client.fault(**verb), code)
        response = self.daemon.request("GET", "/sub/a", "public", query={"protocol": "chat", "transport": "sse"})
        self.assert_problem(response, 400, "bad_option")
        response = self.daemon.request("GET", "/sub/", "public", headers={"Accept": "text/event-stream"})
        self.assert_problem(response, 400, "bad_channel")

    def test_a_stream_that_is_gone_or_no_session(self):
        client = self.stream(self.channel)
        client.close()
        eventually(lambda: client.command(subscribe={"channel": "b"}).get("error", {}).get("code") == "bad_request",
                   "the end of the stream")
        plain = self.sse(self.channel, envelope=1)
        answer = self.post({"id": 1, "subscribe": {"channel": "b"}}, plain.response.headers["Fanhorn-Connection"])
        self.assertEqual(answer.json()["error"]["code"], "bad_request")
        answer = self.post({"id": 1, "subscribe": {"channel": "b"}}, "f" * 32)
        self.assertEqual(answer.json()["error"]["code"], "bad_request")

    def test_in_the_name_of_its_user(self):
        token = {name: secret_token(SECRET, claims_of(name, ["room:*"], lasts=600)) for name in ("alice", "bob")}
        client = self.stream(query={"access_token": token["alice"]})
        client.ask(subscribe={"channel": "room:1"})
        client.until(lambda each: each.get("channel") == "room:1" and "caught_up" in each)
        users = self.daemon.request("GET", "/channels/room:1/presence").json()["users"]
        self.assertEqual([each["user"] for each in users], ["alice"])
        client.headers = {"Authorization": f"Bearer {token['bob']}"}
        self.assertEqual(client.fault(subscribe={"channel": "room:2"}), "forbidden")
        client.headers = {"Authorization": f"Bearer {token['alice']}"}
        client.ask(subscribe={"channel": "room:2"})
        client.headers = {"Authorization": "Bearer nonsense"}
        response = self.post({"id": 1, "subscribe": {"channel": "room:3"}}, client.hello["connection"], **client.headers)
        self.assert_problem(response, 401, "unauthorized")
        self.daemon.request("POST", "/users/alice", body=b"for her")
        self.assertEqual(client.until(lambda each: "id" in each)[-1]["data"], "for her")

    def test_every_command_is_in_its_name(self):
        token = secret_token(SECRET, claims_of("alice", ["room:*"], ["room:*"], lasts=600))
        client = self.stream(query={"access_token": token})
        client.ask(subscribe={"channel": "room:1"})
        for verb in ({"presence": {"channel": "room:1"}}, {"history": {"channel": "room:1"}},
                     {"read": {"channel": "room:1"}}, {"ping": {}}):
            client.ask(**verb)
        self.assertEqual(client.fault(publish={"channel": "room:1", "text": "x"}), "forbidden")
        sent = client.ask(publish={"channel": self.channel, "text": "x"})["id"]
        answer = self.post({"id": 1, "presence": {"channel": "room:1"}}).json()  # and no other is
        self.assertEqual(answer["error"]["code"], "unauthorized")
        self.assertEqual(self.daemon.publish(self.channel, b"y")["n"], 2, sent)

    def test_a_token_that_comes_later(self):
        client = self.stream()
        token = secret_token(SECRET, claims_of("carol", ["room:*"], lasts=600))
        client.ask(subscribe={"channel": "room:late", "token": token})
        users = self.daemon.request("GET", "/channels/room:late/presence").json()["users"]
        self.assertEqual([each["user"] for each in users], ["carol"])
        self.assertEqual(client.ask(refresh={"token": token}), {})


class SlowReader(SessionTest):
    config = config(channels=CHANNELS + "[channel slow:**]\nhistory = 5\nslow_consumer_limit = 64k\n"
                                      "[channel gone:**]\nslow_consumer = disconnect\n"
                                      "slow_consumer_limit = 64k\n[channel new:**]\n"
                                      "slow_consumer = latest\nslow_consumer_limit = 64k\n")

    def flood(self, channel, count=400):
        return [self.daemon.publish(channel, b"x" * 20000)["id"] for _ in range(count)]

    def read_all(self, client, last):
        """Ids and gaps of a channel until that id."""
        told = []
        while not told or told[-1] != last:
            envelope = client.push()
            if "gap" in envelope:
                self.assertEqual(envelope["gap"]["why"], "overflow")
                told.append("gap")
            elif "id" in envelope:
                told.append(envelope["id"])
        return told

    def test_is_told_the_gap(self):
        client = self.session("slow:" + self.channel, receive_buffer=4096)
        client.until_caught_up("slow:" + self.channel)
        ids = self.flood("slow:" + self.channel)
        told = self.read_all(client, ids[-1])
        self.assertIn("gap", told)
        self.assertLess(len(told), len(ids))
        got = [each for each in told if each != "gap"]
        self.assertEqual(got, sorted(got, key=lambda each: position(each)[1]))

    def test_goes_on_with_the_latest(self):
        name = "new:" + self.channel
        client = self.session(name, receive_buffer=4096)
        client.until_caught_up(name)
        self.flood(name)
        while "gap" not in (envelope := client.push()):
            pass
        self.assertIsNone(envelope["gap"]["next"])
        _, at = client.until_caught_up(name)  # a position follows
        last = self.daemon.publish(name, b"end")["id"]
        while (told := client.push()["id"]) != last:  # the flood's own last ones may have been on their way
            self.assertGreater(position(told), position(at))

    def test_is_closed(self):
        name = "gone:" + self.channel
        client = self.session(name, receive_buffer=4096)
        self.flood(name)
        self.assertEqual(client.expect_close().code, 1013)


class Chaos(SessionTest):
    def test_subscriptions_at_random(self):
        """Whatever is subscribed and left when: nothing twice, nothing lost, in order."""
        rng = random.Random(7)
        client = self.session()
        names = [f"{self.channel}/{i}" for i in range(8)]
        sent, got, last = {name: [] for name in names}, {name: [] for name in names}, {}
        here = set()

        def note(envelope):
            if "id" in envelope:
                got[envelope["channel"]].append(envelope["id"])
            self.assertNotIn("gap", envelope)

        for _ in range(400):
            name = rng.choice(names)
            for _ in range(rng.randrange(4)):
                each = rng.choice(names)
                sent[each].append(self.daemon.publish(each, b"m")["id"])
            if name in here:
                client.ask(unsubscribe={"channel": name})
                here.discard(name)
            else:
                since = got[name][-1] if got[name] else "earliest"
                client.ask(subscribe={"channel": name, "since": since})
                here.add(name)
            for envelope in client.pushed:
                note(envelope)
            client.pushed.clear()
        for name in set(names) - here:
            client.ask(subscribe={"channel": name, "since": got[name][-1] if got[name] else "earliest"})
            while client.pushed:
                note(client.pushed.pop(0))
        last = {name: self.daemon.publish(name, b"end")["id"] for name in names}
        while any(not got[name] or got[name][-1] != last[name] for name in names):
            note(client.push())
        for name in names:
            with self.subTest(name):
                self.assertEqual(got[name], sent[name] + [last[name]])


if __name__ == "__main__":
    unittest.main()
