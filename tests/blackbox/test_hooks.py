# SPDX-License-Identifier: Apache-2.0
"""[hooks]: the application is told who comes and goes. It is a real HTTP server here, which checks each signature."""

import hashlib
import hmac
import json
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from application import SECRET, Application
from certificates import Authority
from harness import FANHORN, Daemon, FanhornTest, config, eventually
from session import Session
from tokens import claims_of, secret_token

TOKEN_SECRET = "a secret of more than 32 bytes, for HS256"
OTHER_SECRET = "fedcba9876543210fedcba9876543210"
CHANNELS = """
[channel **]
subscribe = users
presence = on
presence_grace = 0s
[channel open:**]
subscribe = public
"""


def bearer(user, **more):
    return {"Authorization": "Bearer " + secret_token(TOKEN_SECRET, claims_of(user, ("**",), **more))}


class Hooks(FanhornTest):
    """A daemon for each test, beside an application of its own."""

    @classmethod
    def setUpClass(cls):
        pass

    @classmethod
    def tearDownClass(cls):
        pass

    def _check_alive(self):
        pass  # as its stop() does, which comes first

    def text(self, url, more="", secret=SECRET, grace="100ms", delay="0s"):
        return config(server="drain = 1s", channels=CHANNELS, more=f"[auth users]\ntype = jwt\nsecret = {TOKEN_SECRET}\n"
                                              f"[hooks app]\nurl = {url}\nsecret = {secret}\ngrace = {grace}\ndelay = {delay}\n{more}\n")

    def start(self, more="", app=None, url=None, **options):
        self.app = app or Application()
        self.addCleanup(lambda: self.app.stop())
        self.url = url or f"http://127.0.0.1:{self.app.port}/hooks?x=1"
        self.daemon = Daemon(self.text(self.url, more, **options)).start()
        self.addCleanup(lambda: self.daemon.is_alive() and self.daemon.stop())

    def session(self, user, channels=""):
        return self.open(Session(self.daemon.public, channels, headers=bearer(user)))

    def raise_some(self, *users):
        """An event each, in that order: a message that nobody hears."""
        for user in users:
            self.assertEqual(self.daemon.request("POST", f"/users/{user}", body=b"hi").status, 200)

    def figure(self, name, bound=None):
        return self.daemon.metrics()[f'fanhorn_hook_{name}{{hooks="app"' + (f',bound="{bound}"}}' if bound else "}")]

    def test_who_comes_and_goes(self):
        self.start()
        session = self.session("alice", "chat:a")
        eventually(lambda: len(self.app.told()) == 3, "three events")
        self.assertEqual(set(self.app.told()), {("connected", "alice"), ("occupied", "chat:a"), ("joined", "chat:a", "alice")})
        session.close()
        eventually(lambda: len(self.app.told()) == 6, "three more")
        self.assertEqual(set(self.app.told()[3:]), {("disconnected", "alice"), ("vacated", "chat:a"), ("left", "chat:a", "alice")})
        for event in self.app.events():
            self.assertLess(abs(event["time"] - time.time() * 1000), 300_000)
        self.assertEqual({batch["dropped"] for batch in self.app.taken}, {0})

    def test_the_first_and_the_last_count(self):
        """On two workers, over each transport."""
        self.start("events = occupied, vacated")
        clients = [self.ws("open:a"), self.sse("open:a").opened(), self.ws("open:a"), self.sse("open:a").opened()]
        self.wait_subscribers("open:a", 4)
        for client in clients[:3]:
            client.close()
        self.wait_subscribers("open:a", 1)
        self.ws("open:b")  # later than those would be told
        eventually(lambda: ("occupied", "open:b") in self.app.told(), "the other channel")
        self.assertEqual(self.app.told(), [("occupied", "open:a"), ("occupied", "open:b")])
        clients[3].close()
        eventually(lambda: ("vacated", "open:a") in self.app.told(), "the last one's end")

    def test_who_is_back_in_time(self):
        self.start(grace="30s")
        for _ in range(5):
            self.session("alice", "chat:a").close()
        last = self.session("bob", "chat:b")
        eventually(lambda: ("joined", "chat:b", "bob") in self.app.told(), "the last event")
        last.close()
        self.assertEqual(sorted(each[0] for each in self.app.told()), ["connected", "connected", "joined", "joined", "occupied", "occupied"])

    def test_patterns_of_channels(self):
        self.start("events = occupied, connected\nchannels = chat:*, open:x")
        for channel in ("chat:a", "news", "open:x"):
            self.session("alice", channel)
        eventually(lambda: len(self.app.told()) == 3, "three events")
        self.assertEqual(set(self.app.told()), {("connected", "alice"), ("occupied", "chat:a"), ("occupied", "open:x")})

    def test_offline_users(self):
        self.start("events = offline")
        self.session("alice", "chat:a")
        send = lambda user: self.daemon.request("POST", f"/users/{user}", body=b"hi").json()
        eventually(lambda: send("alice")["subscribers"] == 1, "her connection")
        answer = send("bob")
        eventually(lambda: self.app.told(), "an event")
        self.assertEqual(self.app.told(), [("offline", "bob", answer["id"])])

    def test_what_others_may_know(self):
        self.start("events = joined")
        self.open(Session(self.daemon.public, "chat:a", headers=bearer("alice", info={"name": "A}"})))
        eventually(lambda: self.app.told(), "an event")
        self.assertEqual(self.app.told(), [("joined", "chat:a", "alice", {"name": "A}"})])

    def test_batches_in_order(self):
        self.start("events = offline\nbatch_events = 20", delay="1s")
        users = [f"u{number}" for number in range(50)]
        self.raise_some(*users)
        eventually(lambda: len(self.app.events()) == 50, "all of them")
        self.assertEqual([event["user"] for event in self.app.events()], users)
        self.assertEqual(self.app.numbers(), list(range(1, 51)))
        self.assertLessEqual(max(len(batch["events"]) for batch in self.app.taken), 20)
        self.assertLess(len(self.app.taken), 50)
        self.assertEqual(self.figure("events_total"), 50)
        eventually(lambda: self.figure("events_delivered_total") == 50, "the count")
        self.assertEqual(self.figure("requests_total"), len(self.app.taken))

    def test_two_secrets(self):
        self.start("events = offline", secret=f"{OTHER_SECRET}, {SECRET}")
        self.raise_some("bob")
        eventually(lambda: self.app.taken, "a batch")
        self.assertRegex(self.app.signatures[-1], r"^t=[0-9]+,v1=[0-9a-f]{64},v1=[0-9a-f]{64}$")

    def test_what_is_refused_goes_again(self):
        """With the ids that it had, so that a duplicate is known."""
        for verdict in (500, 404, 302, None):
            with self.subTest(verdict):
                self.start("events = offline")
                self.app.verdict = lambda batch, verdict=verdict: 204 if len(self.app.refused) == 2 else verdict
                self.raise_some("a", "b")
                eventually(lambda: len(self.app.events()) == 2, "both")
                self.assertEqual(self.app.numbers(), [1, 2])
                again = [event["id"] for batch in self.app.refused for event in batch["events"]]
                self.assertLessEqual(set(again), {event["id"] for event in self.app.events()})
                self.assertEqual(self.figure("request_failures_total"), 2)
                self.assertIn("event=hook_failed hooks=app", self.daemon.log())
                self.daemon.stop()

    def test_it_is_away_and_comes_back(self):
        self.start("events = offline")
        self.raise_some("a")
        eventually(lambda: self.app.events(), "the first")
        self.app.stop()
        self.raise_some("b", "c")
        eventually(lambda: self.figure("request_failures_total") >= 1, "a failure")
        self.raise_some("d")
        self.assertEqual(self.figure("events_waiting"), 3)
        self.assertGreater(self.figure("bytes_waiting"), 100)
        self.app = Application(address=("127.0.0.1", self.app.port))
        eventually(lambda: len(self.app.events()) == 3, "those that it missed", timeout=40)
        self.assertEqual([event["user"] for event in self.app.events()], ["b", "c", "d"])
        self.assertEqual(self.app.numbers(), [2, 3, 4])
        eventually(lambda: self.figure("events_waiting") == 0, "an empty queue")
        self.assertIn("event=hook_answers hooks=app", self.daemon.log())

    def test_it_never_answers(self):
        self.start("events = offline\ntimeout = 200ms")
        self.app.verdict = lambda batch: time.sleep(1) or 204
        self.raise_some("a")
        eventually(lambda: self.figure("request_failures_total") >= 1, "a failure")
        self.assertIn("did not answer in time", self.daemon.log())

    def check_bound(self, bound, more, raised, dropped):
        """What is beyond is dropped, counted, logged, and told."""
        self.start("events = offline\n" + more)
        self.app.verdict = lambda batch: 503
        self.raise_some("first")
        eventually(lambda: self.app.refused, "the first attempt")
        self.raise_some(*(f"u{number}" for number in range(raised)))
        eventually(lambda: dropped(self.figure("events_dropped_total", bound)), "the drops")
        lost = int(self.figure("events_dropped_total", bound))
        eventually(lambda: f"event=hook_events_dropped hooks=app bound={bound}" in self.daemon.log(), "a line of the log")
        self.app.verdict = lambda batch: 204
        more = 0

        def is_back():  # until then some of these may be beyond the bound as well
            nonlocal more
            self.raise_some("more")
            more += 1
            time.sleep(0.1)
            return any(event["user"] == "more" for event in self.app.events())
        eventually(is_back, "the application's return", timeout=60)
        self.raise_some("last")
        eventually(lambda: self.app.events()[-1]["user"] == "last", "the last one")
        told = sum(batch["dropped"] for batch in self.app.taken)
        self.assertGreaterEqual(told, lost)
        self.assertEqual(told + len(self.app.events()), raised + more + 2)
        numbers = self.app.numbers()
        self.assertEqual(numbers, sorted(set(numbers)))

    def test_too_many_events(self):
        self.check_bound("events", "queue_events = 5", 20, lambda count: count >= 16)

    def test_too_many_bytes(self):
        self.check_bound("bytes", "queue_bytes = 64k", 1000, lambda count: count > 100)

    def test_too_old(self):
        self.check_bound("age", "queue_age = 1s", 5, lambda count: count >= 6)

    def test_what_waits_goes_before_the_end(self):
        for number in (signal.SIGTERM, signal.SIGQUIT):
            with self.subTest(number):
                self.start(delay="60s")
                self.session("alice", "chat:a")
                self.wait_subscribers("chat:a", 1)
                self.daemon.stop(number)
                self.assertEqual({each[0] for each in self.app.told()},
                                 {"connected", "occupied", "joined", "disconnected", "vacated", "left"})
                self.assertEqual(self.app.numbers(), list(range(1, 7)))

    def test_it_is_away_at_the_end(self):
        self.start("events = offline", delay="60s")
        self.app.stop()
        self.raise_some("a", "b")
        errors = self.daemon.errors
        self.daemon.send_signal(signal.SIGTERM)
        self.assertEqual(self.daemon.wait(), 0)
        self.assertIn("event=hook_events_dropped hooks=app bound=stop count=2", errors.read_text())
        self.daemon.kill()
        self.app = Application()

    def reload(self, text):
        before = self.daemon.metrics()["fanhorn_reloads_total"]
        self.daemon.write_config(text)
        self.daemon.send_signal(signal.SIGHUP)
        eventually(lambda: self.daemon.metrics()["fanhorn_reloads_total"] > before, "the reload")

    def test_a_reload_keeps_what_waits(self):
        self.start("events = offline")
        self.app.verdict = lambda batch: 503
        self.raise_some("a", "b")
        eventually(lambda: self.app.refused, "an attempt")
        other = Application()
        self.addCleanup(other.stop)
        self.reload(self.text(f"http://127.0.0.1:{other.port}/", "events = offline"))
        eventually(lambda: len(other.events()) == 2, "both", timeout=40)
        self.assertEqual(other.numbers(), [1, 2])

    def test_a_reload_cannot_bring_the_first(self):
        self.start()
        text = self.daemon.text
        self.daemon.stop()
        self.daemon = Daemon(config(channels="[channel **]\n")).start()
        self.reload(text)
        self.assertIn("event=needs_restart setting=[hooks]", self.daemon.log())
        self.assertNotIn("fanhorn_hook_", str(self.daemon.metrics()))

    def test_a_unix_socket(self):
        class UnixServer(ThreadingHTTPServer):
            address_family = socket.AF_UNIX

            def server_bind(self):
                self.socket.bind(self.server_address)

        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.start("events = offline", Application(UnixServer, folder.name + "/s"), f"http://unix:{folder.name}/s:/x")
        self.raise_some("a")
        eventually(lambda: self.app.events(), "it")

    def test_https(self):
        authority = Authority()
        self.addCleanup(authority.remove)
        app = Application(tls=authority.server(authority.sign("app", "127.0.0.1")))
        url = f"https://127.0.0.1:{app.port}/"
        self.start(f"events = offline\ntls_ca = {authority.folder}/ca.pem", app, url)
        self.raise_some("a")
        eventually(lambda: self.app.events(), "it")
        self.daemon.stop()
        self.daemon = Daemon(self.text(url, "events = offline")).start()  # the system's authorities
        self.raise_some("a")
        eventually(lambda: "its certificate is not trusted" in self.daemon.log(), "the reason")


class Configuration(unittest.TestCase):
    def test_what_is_refused(self):
        good = {"url": "http://127.0.0.1:1/", "secret": SECRET}
        for rows, words in (({"url": None}, "[hooks app] needs 'url'"), ({"secret": None}, "[hooks app] needs 'secret'"),
                            ({"secret": "short"}, "secret: '********'"), ({"url": "ftp://x"}, "is not http"),
                            ({"events": "conected"}, "did you mean 'connected'?"), ({"channels": "**:a"}, "channels: '**:a'"),
                            ({"tls_ca": "/x"}, "is for an https 'url'"), ({"batch_events": "0"}, "batch_events"),
                            ({"secret": ", ".join([SECRET] * 3)}, "secret: '********'")):
            with self.subTest(rows), tempfile.TemporaryDirectory() as folder:
                lines = "".join(f"{key} = {value}\n" for key, value in {**good, **rows}.items() if value)
                file = Path(folder) / "fanhorn.conf"
                file.write_text(config(more="[hooks app]\n" + lines).replace("@PUBLIC@", "127.0.0.1:1").replace("@PRIVATE@", "127.0.0.1:2"))
                done = subprocess.run([FANHORN, "-t", "-c", file], capture_output=True, text=True, timeout=60)
                self.assertEqual(done.returncode, 78, done)
                self.assertIn(words, done.stdout + done.stderr)
                self.assertNotIn(SECRET, done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
