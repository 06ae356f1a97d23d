# SPDX-License-Identifier: Apache-2.0
"""The dashboard of the private listener: the page, and the stream of figures that feeds it."""

import json
import signal
import time
import unittest

from harness import Daemon, FanhornTest, config, eventually, position
from session import Session
from sse import SseClient
from test_auth import BEARER, SECTIONS, bearer

PATHS = ("/dashboard", "/dashboard/events")
CHANNEL = "$dashboard"
GROUPS = {"connections": {"websocket", "sse", "longpoll", "poll", "http"},
          "deliveries": {"websocket", "sse", "longpoll", "poll"},
          "gaps": {"trimmed", "epoch", "ahead", "overflow", "broker"},
          "slow": {"gap", "latest", "disconnect"}, "handshakes": {"full", "resumed"}}
NUMBERS = {"time", "uptime", "workers", "draining", "channels", "memory", "descriptors", "subscriptions", "stalled",
           "accepted", "requests", "sent", "received", "published", "client_published", "commands", "command_errors",
           "tokens_expired"}


class Watching(FanhornTest):
    def watch(self, headers=None, path=PATHS[1], **query):
        return self.open(SseClient(self.daemon.private, path, query, headers))

    def figures(self, stream):
        event = stream.next_event()
        self.assertEqual(event.event, "message")
        return json.loads(event.data)

    def eventually_figures(self, stream, wanted):
        """The first snapshot that has what is wanted."""
        return eventually(lambda: (lambda each: each if wanted(each) else None)(self.figures(stream)), "the figures")

    def assert_unwatched(self):
        eventually(lambda: self.daemon.metrics()["fanhorn_subscriptions"] == 0, "the streams' end")


class Dashboard(Watching):
    config = config(channels="[channel **]\nclient_publish = public\nwildcard = on\n[channel short:*]\nhistory = 1\n",
                    private="hosts = fanhorn.internal")

    def test_page(self):
        response = self.daemon.request("GET", PATHS[0])
        self.assertEqual((response.status, response.headers["Content-Type"]), (200, "text/html; charset=utf-8"))
        self.assertIn("default-src 'none'", response.headers["Content-Security-Policy"])
        self.assertNotIn("Access-Control-Allow-Origin", response.headers)
        self.assertIn(b"<title>Dashboard", response.body)
        for address in (b"http://", b"https://", b"//cdn"):  # all that it needs is in it
            outside = response.body.replace(b"http://www.w3.org/2000/svg", b"")
            self.assertNotIn(address, outside)
        again = self.daemon.request("GET", PATHS[0], headers={"If-None-Match": response.headers["ETag"]})
        self.assertEqual((again.status, again.body), (304, b""))
        head = self.daemon.request("HEAD", PATHS[0])
        self.assertEqual((head.status, head.headers["ETag"]), (200, response.headers["ETag"]))

    def test_figures(self):
        stream = self.watch()
        headers = stream.response.headers
        self.assertEqual((headers["Content-Type"], headers["Cache-Control"]), ("text/event-stream; charset=utf-8", "no-store"))
        self.assertNotIn("Access-Control-Allow-Origin", headers)
        first = self.figures(stream)
        self.assertEqual({key for key, value in first.items() if isinstance(value, int)}, NUMBERS)
        for group, names in GROUPS.items():
            self.assertEqual(set(first[group]), names, group)
        self.assertEqual((first["workers"], first["draining"], first["connections"]["sse"]), (2, 0, 1))
        self.assertAlmostEqual(first["time"] / 1000, time.time(), delta=10)
        self.assertGreater(first["memory"], 1 << 20)
        self.assertGreater(first["descriptors"], 10)

    def test_the_limits_and_refusals_are_those_of_the_metrics(self):
        metrics, figures = self.daemon.metrics(), self.figures(self.watch())
        for group, family in (("limits", 'fanhorn_limit_hits_total{limit="'), ("refused", 'fanhorn_auth_refused_total{why="'),
                              ("handshake_failures", 'fanhorn_tls_handshake_failures_total{why="')):
            names = {name.removeprefix(family).removesuffix('"}') for name in metrics if name.startswith(family)}
            self.assertEqual(set(figures[group]), names)

    def test_each_second(self):
        stream = self.watch()
        self.figures(stream)
        begin = self.figures(stream)
        uptimes = [self.figures(stream)["uptime"] - begin["uptime"] for _ in range(4)]
        for number, uptime in enumerate(uptimes, 1):
            self.assertAlmostEqual(uptime, number * 1000, delta=900)

    def test_a_newcomer_sees_something_at_once(self):
        self.assert_unwatched()
        start = time.monotonic()
        self.figures(self.watch())
        self.assertLess(time.monotonic() - start, 1.5)

    def test_what_happens_is_seen(self):
        stream = self.watch()
        before = self.figures(stream)
        self.sse(self.channel).opened(), self.ws(self.channel)
        self.wait_subscribers(self.channel, 2)
        for number in range(5):
            self.daemon.publish(self.channel, str(number))
        response = self.daemon.request("POST", "/pub/" + self.channel, body=b"x" * ((64 << 10) + 1))
        self.assert_problem(response, 413, "too_large")
        after = self.eventually_figures(stream, lambda figures: figures["deliveries"]["websocket"] >= before["deliveries"]["websocket"] + 5
                                        and figures["published"] >= before["published"] + 5)
        self.assertEqual(after["published"], before["published"] + 5)  # the stream's own are not counted
        self.assertEqual(after["connections"]["websocket"], before["connections"]["websocket"] + 1)
        self.assertEqual(after["connections"]["sse"], before["connections"]["sse"] + 1)
        self.assertEqual(after["subscriptions"], before["subscriptions"] + 2)
        self.assertEqual(after["limits"]["message_size"], before["limits"]["message_size"] + 1)
        self.assertGreater(after["sent"], before["sent"])

    def test_a_gap_is_seen(self):
        ids = [self.daemon.publish("short:x", str(number))["id"] for number in range(3)]
        stream = self.watch()
        before = self.figures(stream)
        self.assertEqual(len(self.daemon.poll("short:x", since=ids[0])["gaps"]), 1)
        self.eventually_figures(stream, lambda figures: figures["gaps"]["trimmed"] == before["gaps"]["trimmed"] + 1)

    def test_a_slow_reader_is_seen(self):
        stream = self.watch()
        before = self.figures(stream)
        reader = self.sse(self.channel, receive_buffer=4096).opened()
        for _ in range(20):
            self.daemon.publish(self.channel, b"x" * 60_000)
        self.eventually_figures(stream, lambda figures: figures["stalled"] == 1)
        self.eventually_figures(stream, lambda figures: figures["slow"]["gap"] == before["slow"]["gap"] + 1)
        self.assertEqual(self.daemon.metrics()["fanhorn_stalled"], 1)
        reader.close()
        self.eventually_figures(stream, lambda figures: figures["stalled"] == 0)

    def seq(self):
        return position(self.daemon.publish(self.channel, store=0)["id"])[1]

    def test_nothing_is_published_when_nobody_looks(self):
        stream = self.watch()
        first = self.seq()
        for _ in range(4):
            self.figures(stream)
        self.assertGreaterEqual(self.seq(), first + 3)
        stream.close()
        self.assert_unwatched()
        last = self.seq()
        time.sleep(2.5)
        self.assertEqual(self.seq(), last + 1)
        channels = self.daemon.request("GET", "/channels").json()["channels"]
        self.assertNotIn(CHANNEL, [each["channel"] for each in channels])

    def test_several_look(self):
        streams = [self.watch() for _ in range(6)]  # of both workers
        times = [[self.figures(stream)["time"] for _ in range(3)] for stream in streams]
        self.assertTrue(set.intersection(*map(set, times)), times)  # the same snapshots

    def test_options_of_a_subscriber_change_nothing(self):
        for query in ({"protocol": "fanhorn.v1"}, {"envelope": "1"}, {"since": "rubbish"}, {"filter": "a=b"}, {"transport": "websocket"}):
            with self.subTest(query=query):
                self.assertIn("uptime", self.figures(self.watch(**query)))

    def test_head(self):
        response = self.daemon.request("HEAD", PATHS[1])
        self.assertEqual((response.status, response.headers["Content-Type"]), (200, "text/event-stream"))

    def test_other_methods(self):
        for path in PATHS:
            for method in ("POST", "PUT", "DELETE"):
                self.assert_problem(self.daemon.request(method, path, body=b""), 405, "method_not_allowed")

    def test_not_on_the_public_listener(self):
        for path in PATHS:
            self.assert_problem(self.daemon.request("GET", path, "public"), 404, "not_found")

    def test_web_pages_are_kept_out(self):
        port = self.daemon.private[1]
        for path in PATHS:
            for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Host": f"evil.example:{port}"},
                            {"Host": f"evil.example:{port}", "Origin": f"http://evil.example:{port}"}):
                with self.subTest(path=path, headers=headers):
                    response = self.daemon.request("GET", path, headers=headers)
                    self.assert_problem(response, 403, "forbidden")
                    self.assertNotIn("Access-Control-Allow-Origin", response.headers)
        self.figures(self.watch({"Host": f"fanhorn.internal:{port}", "Origin": f"http://fanhorn.internal:{port}"}))

    def test_the_channel_is_reserved(self):
        self.figures(self.watch())
        for name in (CHANNEL, "%24dashboard"):
            for method, path, listener in (("GET", "/sub/", "public"), ("POST", "/sub/", "public"), ("POST", "/pub/", "private"),
                                           ("PUT", "/pub/", "private"), ("GET", "/pub/", "private"), ("DELETE", "/pub/", "private")):
                with self.subTest(name=name, method=method, path=path):
                    body = b"x" if method in ("POST", "PUT") else None
                    response = self.daemon.request(method, path + name, listener, body=body)
                    self.assert_problem(response, 400, "bad_channel")
        batch = {"messages": [{"channel": CHANNEL, "text": "x"}]}
        response = self.daemon.request("POST", "/pub", headers={"Content-Type": "application/json"}, body=json.dumps(batch).encode())
        self.assertEqual(response.json()["results"][0]["code"], "bad_channel")

    def test_the_channel_is_not_listed(self):
        self.figures(self.watch())
        self.daemon.publish(self.channel)
        for prefix in ("", "$"):
            listed = self.daemon.request("GET", "/channels", query={"prefix": prefix}).json()["channels"]
            self.assertEqual([each["channel"] for each in listed if each["channel"].startswith("$")], [])

    def session(self):
        return self.open(Session(self.daemon.public))

    def test_no_command_reaches_the_channel(self):
        session = self.session()
        for command in ({"subscribe": {"channel": CHANNEL}}, {"publish": {"channel": CHANNEL, "data": 1}},
                        {"history": {"channel": CHANNEL}}, {"presence": {"channel": CHANNEL}}):
            with self.subTest(command=command):
                self.assertEqual(session.fault(**command), "bad_channel")

    def test_no_wildcard_matches_the_channel(self):
        session = self.session()
        session.ask(subscribe={"channel": "**"})
        session.until_caught_up("**")
        stream = self.watch()
        self.figures(stream), self.figures(stream)
        self.daemon.publish(self.channel, "mine")
        self.assertEqual(session.push()["channel"], self.channel)

    def test_a_reload_leaves_the_stream_alone(self):
        with Daemon(config()) as daemon:
            stream = self.open(SseClient(daemon.private, PATHS[1]))
            self.figures(stream)
            daemon.write_config(config(channels="[channel other:*]"))
            daemon.send_signal(signal.SIGHUP)
            eventually(lambda: daemon.metrics()["fanhorn_reloads_total"] == 1, "the reload")
            for _ in range(3):
                self.figures(stream)

    def test_a_drain_tells_when_to_come_back(self):
        with Daemon(config(server="drain = 3s")) as daemon:
            stream = self.open(SseClient(daemon.private, PATHS[1]))
            self.figures(stream)
            daemon.send_signal(signal.SIGQUIT)
            blocks = list(iter(stream.next_block, None))
            self.assertTrue(blocks[-1].retry, blocks)
            self.assertEqual(daemon.wait(), 0)
            daemon.launch()  # which the `with` ends
            eventually(daemon._is_ready, "readiness")


class WithTokens(Watching):
    """A listener with `auth`, which a browser can only tell in the query."""

    config = config(more=SECTIONS, private="auth = programs")

    def test_without(self):
        for path in PATHS:
            for headers in (None, bearer(BEARER + "x")):
                self.assert_problem(self.daemon.request("GET", path, headers=headers), 401, "unauthorized")

    def test_header_and_query(self):
        self.assertIn("uptime", self.figures(self.watch(bearer(BEARER))))
        self.assertIn("uptime", self.figures(self.watch(access_token=BEARER)))
        for parts in ({"headers": bearer(BEARER)}, {"query": {"access_token": BEARER}}):
            self.assertEqual(self.daemon.request("GET", PATHS[0], **parts).status, 200)


if __name__ == "__main__":
    unittest.main()
