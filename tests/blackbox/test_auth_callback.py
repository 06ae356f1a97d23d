# SPDX-License-Identifier: Apache-2.0
"""[auth] of type callback: the application is asked about tokens. It is a real HTTP server here."""

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

from certificates import Authority
from harness import FANHORN, Daemon, FanhornTest, config, eventually
from session import PostSession, Session
from ws import Refused, WsClient

CHANNELS = """
[channel open:*]
[channel chat:*]
subscribe = users
client_publish = users
[channel read:*]
subscribe = users
"""
ALICE = {"sub": "alice", "channels": ["chat:*", "read:*"], "publish": ["chat:*"]}


class Application:
    """Knows what `answers` says of a credential (the Authorization or the Cookie field): a body, a
    status, or a function of the handler. Remembers who was asked about."""

    def __init__(self, server=ThreadingHTTPServer, address=("127.0.0.1", 0), tls=None):
        self.answers, self.asked, self.connections, application = {}, [], set(), self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                credential = self.headers.get("Authorization") or self.headers.get("Cookie")
                application.asked.append((self.path, credential, dict(self.headers)))
                application.connections.add(self.client_address)
                answer = application.answers.get(credential, 401)
                if callable(answer):
                    return answer(self)
                return self.say(answer)

            def say(self, answer):
                status, body = (answer, b"") if isinstance(answer, int) else (200, json.dumps(answer).encode())
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def handle(self):
                try:
                    super().handle()
                except ConnectionError:
                    pass  # the relay goes

            def log_message(self, *_):
                pass

        self.server = server(address, Handler)
        self.server.daemon_threads = True
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def know(self, token, answer):
        self.answers[f"Bearer {token}"] = answer

    def hold(self, token, answer):
        """Answers only once what this returns is set."""
        held = threading.Event()
        self.know(token, lambda handler: held.wait(10) and handler.say(answer))
        return held

    def times(self, credential):
        return sum(each[1] == credential for each in self.asked)

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def section(port, more=""):
    return f"[auth users]\ntype = callback\nurl = http://127.0.0.1:{port}/who?x=1\ncookie = sid\n{more}\n"


class OwnDaemon(FanhornTest):
    """One for each test, beside an application of its own."""

    @classmethod
    def setUpClass(cls):
        pass

    @classmethod
    def tearDownClass(cls):
        pass

    def _check_alive(self):
        pass  # as its stop() does, which comes first

    def start(self, more="", limits=""):
        application = Application()
        self.addCleanup(application.stop)
        application.know("alice", ALICE)
        self.run_daemon(section(application.port, more), limits)
        return application

    def run_daemon(self, auth, limits=""):
        self.daemon = Daemon(config(channels=auth + CHANNELS, limits=limits))
        self.daemon.start()
        self.addCleanup(self.daemon.stop)

    def reload(self, port):
        before = self.daemon.metrics()["fanhorn_reloads_total"]
        self.daemon.write_config(config(channels=section(port) + CHANNELS))
        self.daemon.send_signal(signal.SIGHUP)
        eventually(lambda: self.daemon.metrics()["fanhorn_reloads_total"] > before, "the reload")


class Callback(OwnDaemon):
    workers = 2

    def begin(self, token, path="chat:x"):
        """A stream whose answer has not come yet."""
        wire = self.wire("public")
        wire.send(f"GET /sub/{path} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        return wire

    def poll(self, path, headers=None, **query):
        return self.daemon.request("GET", "/sub/" + path, "public", headers=headers, query={"transport": "poll", **query})

    def test_what_it_is_asked(self):
        app = self.start()
        self.assertEqual(self.poll("chat:a", bearer("alice")).status, 200)
        path, credential, headers = app.asked[0]
        self.assertEqual((path, credential, headers["Host"]), ("/who?x=1", "Bearer alice", f"127.0.0.1:{app.port}"))
        self.assertNotIn("Cookie", headers)

    def test_by_cookie_and_by_query(self):
        app = self.start()
        app.answers["sid=s1"] = ALICE
        self.assertEqual(self.poll("chat:a", {"Cookie": "x=1; sid=s1; y=2"}).status, 200)
        self.assertEqual(self.poll("chat:a", access_token="alice").status, 200)
        self.assertEqual([each[1] for each in app.asked], ["sid=s1", "Bearer alice"])
        response = self.poll("chat:a", {"Cookie": "sid=s1", "Origin": "https://evil.example"})
        self.assert_problem(response, 401, "unauthorized")

    def test_a_deny_is_a_deny(self):
        app = self.start()
        app.know("mallory", 403)
        for token, status, code in (("nobody", 401, "unauthorized"), ("mallory", 403, "forbidden")):
            for _ in range(3):
                self.assert_problem(self.poll("chat:a", bearer(token)), status, code)
            with self.assertRaises(Refused) as caught:
                WsClient(self.daemon.public, "/sub/chat:a", headers=bearer(token))
            self.assert_problem(caught.exception.response, status, code)
            self.assertEqual(app.times(f"Bearer {token}"), 1)

    def test_what_it_allows(self):
        self.start()
        self.assertEqual(self.poll("chat:a,read:b", bearer("alice")).status, 200)
        publish = self.daemon.request("POST", "/sub/chat:a", "public", headers=bearer("alice"), body=b"hi")
        self.assertEqual(publish.status, 200)
        self.assert_problem(self.daemon.request("POST", "/sub/read:a", "public", headers=bearer("alice"), body=b"hi"), 403, "forbidden")

    def test_each_transport(self):
        self.start()
        opened = [self.sse("chat:t", headers=bearer("alice")).opened(), self.ws("chat:t", headers=bearer("alice"))]
        self.wait_subscribers("chat:t", len(opened))
        self.daemon.publish("chat:t", "hello")
        self.assertEqual(opened[0].next_event().data, "hello")
        self.assertEqual(opened[1].next_text(), "hello")

    def test_without_a_token_nobody_is_asked(self):
        app = self.start()
        self.assert_problem(self.poll("chat:a"), 401, "unauthorized")
        self.assertEqual(self.poll("open:a").status, 200)
        self.assertEqual(self.poll("open:a", bearer("alice")).status, 200)
        self.assertEqual(app.asked, [])

    def test_tokens_that_are_not_sent_on(self):
        app = self.start("token_size = 64b")
        for token in ("a\r\nX-Evil: 1", "a b", "ü", "x" * 65, "\0"):
            self.assert_problem(self.poll("chat:a", access_token=token), 401, "unauthorized")
        self.assertEqual(app.asked, [])

    def test_what_it_said_holds_for_a_while(self):
        app = self.start("cache = 1s")
        for _ in range(5):
            self.poll("chat:a", bearer("alice"))
        self.assertEqual(app.times("Bearer alice"), 1)
        app.know("alice", 403)
        eventually(lambda: self.poll("chat:a", bearer("alice")).status == 403)
        self.assertEqual(app.times("Bearer alice"), 2)

    def test_many_at_once_ask_once(self):
        app = self.start("timeout = 5s")
        held = app.hold("slow", ALICE)
        wires = [self.begin("slow") for _ in range(20)]
        eventually(lambda: app.asked, "a question")
        self.assertTrue(wires[0].is_quiet(0.2))
        held.set()
        self.assertEqual({wire.start_response().status for wire in wires}, {200})
        self.assertLessEqual(app.times("Bearer slow"), self.workers)

    def test_while_it_is_asked_others_go_on(self):
        app = self.start("timeout = 5s")
        held = app.hold("slow", ALICE)
        wires = [self.begin("slow") for _ in range(8)]  # on both workers
        eventually(lambda: app.times("Bearer slow") >= 1, "a question")
        for _ in range(8):
            self.assertEqual(self.poll("open:a").status, 200)
            self.assertEqual(self.poll("chat:a", bearer("alice")).status, 200)
        self.assertTrue(all(wire.is_quiet(0.01) for wire in wires))
        held.set()
        self.assertEqual({wire.start_response().status for wire in wires}, {200})

    def test_too_many_questions(self):
        app = self.start("timeout = 5s", "auth_requests = 2")
        held = [app.hold(f"slow{number}", ALICE) for number in range(8)]
        wires = [self.begin(f"slow{number}") for number in range(8)]
        eventually(lambda: self.daemon.limit_hits("auth_requests") >= 4, "what is beyond it")
        self.assertLessEqual(len(app.asked), 2 * self.workers)
        self.assertEqual(self.poll("open:a").status, 200)
        for each in held:
            each.set()
        types = [wire.start_response().headers["Content-Type"] for wire in wires]
        self.assertEqual(len(types), 8)

    def test_too_many_answers(self):
        app = self.start("cache = 1h\ncache_answers = 3")
        for token in ("a", "b", "c", "c", "b", "a"):
            app.know(token, ALICE)
            self.assertEqual(self.poll("chat:a", bearer(token)).status, 200)
        self.assertEqual((len(app.asked), self.daemon.limit_hits("cache_answers")), (3, 0))
        self.assertEqual(self.poll("chat:a", bearer("stranger")).status, 401)
        self.assertEqual(self.daemon.limit_hits("cache_answers"), 1)
        self.assertEqual(self.poll("chat:a", bearer("a")).status, 200)
        self.assertEqual([app.times("Bearer " + token) for token in "abc"], [2, 1, 1])

    def test_a_unix_socket(self):
        class UnixServer(ThreadingHTTPServer):
            address_family = socket.AF_UNIX

            def server_bind(self):
                self.socket.bind(self.server_address)

        with tempfile.TemporaryDirectory() as folder:
            app = Application(UnixServer, folder + "/app.sock")
            self.addCleanup(app.stop)
            app.know("alice", ALICE)
            self.run_daemon(f"[auth users]\ntype = callback\nurl = http://unix:{folder}/app.sock:/who\n")
            self.assertEqual(self.poll("chat:a", bearer("alice")).status, 200)
            self.assertEqual(app.asked[0][0], "/who")

    def test_faults(self):
        def broken(handler):
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{")
            handler.close_connection = True

        def no_http(handler):
            handler.wfile.write(b"SSH-2.0-x\r\n\r\n")
            handler.close_connection = True
        for name, answer in (("500", 500), ("404", 404), ("302", 302), ("broken", broken), ("no-http", no_http), ("late", lambda _: time.sleep(2)),
                             ("list", ["chat:*"]), ("user", {"sub": "a*b"}), ("pattern", {"channels": ["**:x"]}), ("exp", {"exp": "soon"})):
            with self.subTest(name):
                app = self.start("timeout = 500ms")
                app.know(name, answer)
                response = self.poll("chat:a", bearer(name))
                self.assert_problem(response, 503, "overloaded")
                self.assertIn("Retry-After", response.headers)
                self.assertEqual(self.poll("chat:a", bearer("alice")).status, 200)

    def test_a_long_answer_is_refused(self):
        app = self.start()
        app.know("long", {"info": "x" * 100_000})
        self.assert_problem(self.poll("chat:a", bearer("long")), 503, "overloaded")

    def test_the_breaker(self):
        app = self.start("timeout = 500ms")
        for number in range(40):
            app.know(f"bad{number}", 500)
        statuses = [self.poll("chat:a", bearer(f"bad{number}")).status for number in range(40)]
        self.assertEqual(set(statuses), {503})
        self.assertLess(len(app.asked), 40, "it is left alone")
        eventually(lambda: self.poll("chat:a", bearer("alice")).status == 200, timeout=10)

    def test_it_is_away_and_comes_back(self):
        app = self.start()
        port = app.port
        app.stop()
        self.assert_problem(self.poll("chat:a", bearer("alice")), 503, "overloaded")
        self.assertIn("cannot be reached", self.daemon.log())
        again = Application()
        self.addCleanup(again.stop)
        again.know("alice", ALICE)
        self.reload(again.port)
        self.assertNotEqual(port, again.port)
        eventually(lambda: self.poll("chat:a", bearer("alice")).status == 200, timeout=10)

    def test_its_connections_are_kept(self):
        app = self.start()
        for number in range(12):
            app.know(f"one{number}", ALICE)
            self.assertEqual(self.poll("chat:a", bearer(f"one{number}")).status, 200)
        self.assertEqual(len(app.asked), 12)
        self.assertLessEqual(len(app.connections), self.workers)

    def test_its_connections_may_end(self):
        app = self.start()

        def last(handler):
            handler.say(ALICE)
            handler.close_connection = True
        for number in range(12):
            app.know(f"one{number}", last)
            self.assertEqual(self.poll("chat:a", bearer(f"one{number}")).status, 200)
        self.assertEqual(len(app.asked), 12)

    def test_a_host_with_several_addresses(self):
        """localhost may be ::1 first, where nobody listens."""
        app = Application()
        self.addCleanup(app.stop)
        app.know("alice", ALICE)
        self.run_daemon(section(app.port).replace("127.0.0.1", "localhost"))
        self.assertEqual(self.poll("chat:a", bearer("alice")).status, 200)

    def test_when_what_it_allowed_ends(self):
        app = self.start()
        app.know("brief", {**ALICE, "exp": time.time() + 2})
        client = self.ws("chat:a", headers=bearer("brief"))
        self.assertEqual(client.expect_close().code, 4001)

    def test_pipelined_behind_a_question(self):
        self.start()
        wire = self.wire("public")
        wire.send(b"GET /sub/chat:p?transport=poll HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice\r\n\r\n"
                  b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual(wire.read_response().status, 200)
        self.assertEqual(wire.read_response().body, b"ok\n")

    def test_a_body_behind_a_question(self):
        app = self.start()
        body = json.dumps({"id": 1, "history": {"channel": "chat:h"}}).encode()
        reply = self.daemon.request("POST", "/sub", "public", headers=bearer("alice"), body=body).json()
        self.assertIn("ok", reply)
        self.assertEqual(app.times("Bearer alice"), 1)

    def test_commands_wait_in_their_order(self):
        app = self.start()
        session = Session(self.daemon.public)
        self.addCleanup(session.close)
        numbers = [session.command(subscribe={"channel": "chat:a", "token": "alice"}), session.command(subscribe={"channel": "read:a"}),
                   session.command(publish={"channel": "chat:a", "data": 1}), session.command(refresh={"token": "nobody"}),
                   session.command(ping={})]
        replies = [session.reply(number) for number in numbers]
        self.assertEqual([next(iter(set(each) - {"reply"})) for each in replies], ["ok", "ok", "ok", "error", "ok"])
        self.assertEqual([each[1] for each in app.asked], ["Bearer alice", "Bearer nobody"])

    def test_a_session_that_opens_with_a_token(self):
        self.start()
        session = Session(self.daemon.public, "chat:b", {"access_token": "alice"})
        self.addCleanup(session.close)
        self.assertEqual(session.ask(subscribe={"channel": "read:b"})["channel"], "read:b")

    def test_a_posted_command(self):
        self.start()
        session = PostSession(self.daemon)
        self.addCleanup(session.close)
        self.assertEqual(session.ask(subscribe={"channel": "chat:c", "token": "alice"})["channel"], "chat:c")

    def test_a_client_that_goes_while_it_is_asked(self):
        app = self.start("timeout = 5s")
        held = app.hold("slow", ALICE)
        self.begin("slow").close()
        session = Session(self.daemon.public)
        for channel in ("chat:a", "chat:b"):
            session.command(subscribe={"channel": channel, "token": "slow"})
        eventually(lambda: app.times("Bearer slow") >= 1, "a question")
        session.close()
        held.set()
        eventually(lambda: self.poll("chat:a", bearer("slow")).status == 200, "the answer")
        self.wait_subscribers("chat:a", 0)

    def test_a_user_who_is_sent_away_while_his_command_waits(self):
        app = self.start("timeout = 5s")
        held = app.hold("next", ALICE)
        session = self.open(Session(self.daemon.public, "chat:a", {"access_token": "alice"}))
        session.command(refresh={"token": "next"})
        session.command(subscribe={"channel": "read:a"})
        eventually(lambda: app.times("Bearer next") == 1, "a question")
        self.assertEqual(self.daemon.request("DELETE", "/users/alice").json(), {"connections": 1})
        held.set()
        self.assertEqual(session.expect_close().code, 4003)
        self.wait_subscribers("read:a", 0)

    def test_a_reload_while_it_is_asked(self):
        app = self.start("timeout = 5s")
        held = app.hold("slow", 403)
        wire = self.begin("slow")
        eventually(lambda: app.times("Bearer slow") == 1, "a question")
        app.know("slow", ALICE)
        self.reload(app.port)
        self.assertTrue(wire.is_quiet(0.05))
        held.set()
        self.assertEqual(wire.start_response().status, 200)  # of the section that is in effect
        self.assertEqual(app.times("Bearer slow"), 2)


class Https(OwnDaemon):
    """The application speaks TLS."""

    def setUp(self):
        super().setUp()
        self.authority = Authority()
        self.addCleanup(self.authority.remove)

    def serve(self, *hosts, asks=False):
        app = Application(tls=self.authority.server(self.authority.sign("app", *hosts), asks))
        self.addCleanup(app.stop)
        app.know("alice", ALICE)
        return app

    def ask(self, app, host="127.0.0.1", more="", trusting=None):
        """What a client with a good token is answered."""
        ca = (trusting or self.authority).folder / "ca.pem"
        self.run_daemon(f"[auth users]\ntype = callback\nurl = https://{host}:{app.port}/who\ntls_ca = {ca}\n{more}\n")
        return self.daemon.request("GET", "/sub/chat:a", "public", headers=bearer("alice"), query={"transport": "poll"})

    def test_by_address_and_by_name(self):
        app = self.serve("127.0.0.1", "localhost")
        for host in ("127.0.0.1", "localhost"):
            self.assertEqual(self.ask(app, host).status, 200)
        self.assertEqual([each[2]["Host"] for each in app.asked], [f"127.0.0.1:{app.port}", f"localhost:{app.port}"])

    def test_its_connections_are_kept(self):
        app = self.serve("127.0.0.1")
        self.assertEqual(self.ask(app).status, 200)
        for number in range(5):
            app.know(f"one{number}", ALICE)
            response = self.daemon.request("GET", "/sub/chat:a", "public", headers=bearer(f"one{number}"), query={"transport": "poll"})
            self.assertEqual(response.status, 200)
        self.assertLessEqual(len(app.connections), 2)

    def test_a_certificate_that_is_wrong(self):
        stranger = Authority()
        self.addCleanup(stranger.remove)
        for hosts, trusting, words in ((("127.0.0.2",), None, "IP address mismatch"), (("127.0.0.1",), stranger, "unable to get local issuer certificate")):
            app = self.serve(*hosts)
            self.assert_problem(self.ask(app, trusting=trusting), 503, "overloaded")
            self.assertEqual(app.asked, [])
            log = self.daemon.log()
            self.assertIn("cannot be trusted", log)
            self.assertIn(f"its certificate is not trusted: {words}", log)

    def test_it_speaks_no_tls(self):
        app = Application()
        self.addCleanup(app.stop)
        self.assert_problem(self.ask(app), 503, "overloaded")
        self.assertIn("no TLS: ", self.daemon.log())

    def test_it_never_shakes_hands(self):
        listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listening.close)
        app = type("Silent", (), {"port": listening.getsockname()[1]})
        self.assert_problem(self.ask(app, more="timeout = 300ms"), 503, "overloaded")
        self.assertIn("did not answer in time", self.daemon.log())

    def test_it_asks_for_a_certificate(self):
        app = self.serve("127.0.0.1", asks=True)
        certificate, key = self.authority.sign("fanhorn")
        self.assertEqual(self.ask(app, more=f"tls_certificate = {certificate}\ntls_key = {key}").status, 200)
        self.assert_problem(self.ask(app), 503, "overloaded")
        self.assertIn("alert", self.daemon.log())


class Configuration(unittest.TestCase):
    def errors(self, text, private=""):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "fanhorn.conf"
            file.write_text(config(channels=text + CHANNELS, private=private).replace("@PUBLIC@", "127.0.0.1:1").replace("@PRIVATE@", "127.0.0.1:2"))
            done = subprocess.run([FANHORN, "-t", "-c", file], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 78, done)
        return done.stdout + done.stderr

    def test_what_is_refused(self):
        for more, words in (("", "callback needs 'url'"), ("url = ftp://x/", "'ftp://x/' is not http"), ("url = http://127.0.0.1:1/\ntls_ca = /ca.pem", "tls_ca: '/ca.pem' is for an https 'url'"),
                            ("url = https://127.0.0.1:1/\ntls_ca = /no.pem", "tls_ca: '/no.pem' cannot be read"),
                            ("url = https://127.0.0.1:1/\ntls_ca = /etc/passwd", "has no BEGIN CERTIFICATE"),
                            ("url = https://127.0.0.1:1/\ntls_key = /x", "tls_key: '/x' needs 'tls_certificate'"),
                            ("url = https://127.0.0.1:1/\ntls_certificate = /x", "tls_certificate: '/x' needs 'tls_key'"),
                            ("url = http://unix:relative:/x", "is not http://HOST"), ("url = http://x.invalid/", "x.invalid"),
                            ("url = http://127.0.0.1:1/\nsecret = 0123456789012345678901234567890123", "'secret' is not a key of type = callback")):
            with self.subTest(more):
                self.assertIn(words, self.errors(f"[auth users]\ntype = callback\n{more}\n"))

    def test_it_is_not_for_backends(self):
        self.assertIn("is of type callback, which is for clients", self.errors(section(1), "auth = users\n"))


if __name__ == "__main__":
    unittest.main()
