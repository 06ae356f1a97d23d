# SPDX-License-Identifier: Apache-2.0
"""Calls of the system fail, one at a time, while clients do what they do: the daemon lives, serves the next client, and
keeps no descriptor and no memory. FANHORN_SOAK=1 lets every single call of every scenario fail, with every error."""

import errno
import json
import os
import signal
import socket
import ssl
import subprocess
import time
import unittest

from certificates import Authority
from faults import CALLS, Faults
from harness import config, eventually, free_ports
from process import SANITIZED, descriptors, resident
from test_auth_callback import Application
from tokens import claims_of, secret_token
from wire import PATIENCE, Wire, build_request
from ws import BINARY, CLOSE, PING, TEXT, close_payload, deflate, frame_bytes, upgrade_headers

SOAK = bool(os.environ.get("FANHORN_SOAK"))
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
SECRET = "a secret of more than 32 bytes, for HS256"
BEARER = "bearer-of-a-program-0123456789"
SECTIONS = """
[log]
target = @DIR@/fanhorn.log
[tls main]
certificate = {certificate}
key = {key}
[listener secured]
address = {secured}
serve = subscribe, client
tls = main
[auth users]
type = jwt
secret = {secret}
[auth programs]
type = bearer
tokens = {bearer}
[auth app]
type = callback
url = http://127.0.0.1:{application}/who
cache = 1s
"""
CHANNELS = """
[channel **]
client_publish = public
delta = json-patch
wildcard = on
[channel signed:*]
subscribe = users
client_publish = users
presence = on
joins = on
[channel programs:*]
subscribe = programs
[channel app:*]
subscribe = app
"""


class Silence(Exception):
    """Not heard, for whatever reason."""


class Talk:
    """A connection that says bytes and listens for words."""

    def __init__(self, scene, listener="public"):
        self.heard, self.socket, self.address = b"", None, scene.addresses[listener]
        try:
            self.socket = socket.create_connection(self.address, scene.patience)
            self.socket.settimeout(scene.patience)
            if listener == "secured":
                self.socket = scene.context.wrap_socket(self.socket, server_hostname="relay.example")
        except OSError as error:
            self.close()
            raise Silence from error

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def say(self, data):
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise Silence from error
        return self

    def ask(self, method, path, **parts):
        return self.say(build_request(method, path, self.address, **parts))

    def hear(self, word):
        """Until that was said; what comes behind it is kept."""
        while word not in self.heard:
            try:
                data = self.socket.recv(1 << 16)
            except OSError as error:
                raise Silence from error
            if not data:
                raise Silence
            self.heard += data
        self.heard = self.heard.partition(word)[2]
        return self

    def close(self):
        if self.socket:
            self.socket.close()


def drain(notified):
    """A service manager that reads nothing would hold the daemon up."""
    notified.setblocking(False)
    try:
        while notified.recv(4096):
            pass
    except BlockingIOError:
        pass


def stream(**headers):
    return {"headers": {"Accept": "text/event-stream", **headers}}


def upgrade(protocol=None, offer=None):
    return {"headers": upgrade_headers(KEY, offer, protocol)}


class Scenes:
    """What clients do; each ends when what should be heard was heard."""

    patience = 1.5 * PATIENCE

    def __init__(self, daemon, addresses, context):
        self.daemon, self.addresses, self.context = daemon, addresses, context
        self.token = secret_token(SECRET, claims_of("alice", ["**"], ["**"], 3600))

    def all(self):
        return {name.removeprefix("on_"): getattr(self, name) for name in dir(self) if name.startswith("on_")}

    def private(self, method, path, word, **parts):
        with Talk(self, "private") as talk:
            talk.ask(method, path, **parts).hear(word)

    def public(self, path, word, method="GET", listener="public", **parts):
        with Talk(self, listener) as talk:
            talk.ask(method, path, **parts).hear(word)

    def published(self, channel, word=b"hello", method="POST"):
        self.private(method, "/pub/" + channel, b'"id":', body=word)

    def delivered(self, channel, parts, word=b"hello", listener="public", opened=b"\r\n\r\n"):
        """Somebody subscribes, and is sent what is published then."""
        with Talk(self, listener) as talk:
            talk.ask("GET", "/sub/" + channel, **parts).hear(opened)
            self.published(channel.partition("?")[0].partition(",")[0], word)
            talk.hear(word)

    def on_publish(self):
        self.published("a:publish")

    def on_publish_in_chunks(self):
        with Talk(self, "private") as talk:
            host = "{}:{}".format(*talk.address)
            talk.say(f"POST /pub/a:chunks HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
            talk.say(b"5\r\nhello\r\n").say(b"0\r\n\r\n").hear(b'"id":')

    def on_publish_much(self):
        self.private("POST", "/pub/a:much", b'"id":', body=b"x" * 60_000)

    def on_publish_to_several(self):
        self.private("POST", "/pub/a:1,a:2,a:3", b'"results"', body=b"hello")

    def on_retain(self):
        self.published("a:retained", method="PUT")

    def on_batch(self):
        messages = [{"channel": f"a:{number}", "text": "hello"} for number in range(20)]
        self.private("POST", "/pub", b'"results"', body=json.dumps({"messages": messages}),
                     headers={"Content-Type": "application/json"})

    def on_lines(self):
        lines = '{"channel":"a:lines","text":"hello"}\n' * 100
        self.private("POST", "/pub", b"\n", body=lines, headers={"Content-Type": "application/x-ndjson"})

    def on_facts(self):
        self.private("GET", "/pub/a:publish", b"HTTP/1.1 ")

    def on_list(self):
        self.private("GET", "/channels?limit=50", b'"channels"')

    def on_history(self):
        self.private("GET", "/channels/a:publish/history", b"HTTP/1.1 ")

    def on_delete(self):
        self.private("DELETE", "/pub/a:retained", b"HTTP/1.1 ")

    def on_metrics(self):
        self.private("GET", "/metrics", b"fanhorn_connections")

    def on_page(self):
        self.public("/fanhorn.js", b"text/javascript")

    def on_stream(self):
        self.delivered("b:stream", stream(), opened=b"id:")

    def on_stream_with_envelopes(self):
        self.delivered("b:x,b:y", stream(), opened=b"id:")

    def on_stream_that_resumes(self):
        self.published("b:resume", b"before")
        with Talk(self) as talk:
            talk.ask("GET", "/sub/b:resume?since=earliest", **stream()).hear(b"before")

    def on_stream_with_filter(self):
        self.delivered("b:filter?filter=k!%3Dv", stream(), opened=b"id:")

    def on_many_streams(self):
        talks = []
        try:
            for _ in range(12):
                talks.append(Talk(self))
                talks[-1].ask("GET", "/sub/b:many", **stream()).hear(b"id:")
            self.published("b:many")
            for talk in talks:
                talk.hear(b"hello")
        finally:
            for talk in talks:
                talk.close()

    def on_websocket(self):
        self.delivered("c:plain", upgrade())

    def on_websocket_that_publishes(self):
        with Talk(self) as talk:
            talk.ask("GET", "/sub/c:publish", **upgrade()).hear(b"\r\n\r\n")
            talk.say(frame_bytes(TEXT, b"from a client")).hear(b"from a client")
            talk.say(frame_bytes(PING, b"ping-pong")).hear(b"ping-pong")
            talk.say(frame_bytes(CLOSE, close_payload(1000))).hear(b"\x03\xe8")

    def on_websocket_in_fragments(self):
        with Talk(self) as talk:
            talk.ask("GET", "/sub/c:fragments", **upgrade()).hear(b"\r\n\r\n")
            for number in range(8):
                talk.say(frame_bytes(BINARY if number == 0 else 0, b"x" * 500, fin=number == 7))
            talk.hear(b"x" * 4000)

    def on_websocket_that_deflates(self):
        with Talk(self) as talk:
            talk.ask("GET", "/sub/c:deflate", **upgrade(offer="permessage-deflate")).hear(b"\r\n\r\n")
            talk.say(frame_bytes(TEXT, deflate(b"hello " * 500), rsv1=True)).hear(b"\xc1")

    def on_websocket_with_envelopes(self):
        self.delivered("c:envelope?envelope=1", upgrade(), opened=b"heartbeat")

    def on_session(self):
        with Talk(self) as talk:
            talk.ask("GET", "/sub/", **upgrade("fanhorn.v1")).hear(b"heartbeat")
            for number, verb in enumerate((
                    {"subscribe": {"channel": "d:one", "since": "earliest"}}, {"subscribe": {"channel": "d:*"}},
                    {"publish": {"channel": "d:one", "data": {"text": "hi"}}}, {"history": {"channel": "d:one"}},
                    {"unsubscribe": {"channel": "d:one"}}, {"ping": {}})):
                talk.say(frame_bytes(TEXT, json.dumps({"id": number, **verb}).encode())).hear(b'"reply":%d' % number)

    def on_session_with_deltas(self):
        with Talk(self) as talk:
            talk.ask("GET", "/sub/", **upgrade("fanhorn.v1")).hear(b"heartbeat")
            command = {"id": 1, "subscribe": {"channel": "d:delta", "delta": "json-patch"}}
            talk.say(frame_bytes(TEXT, json.dumps(command).encode())).hear(b'"reply":1')
            for number in range(3):
                self.published("d:delta", json.dumps({"n": number, "same": "x" * 200}).encode())
            talk.hear(b'"patch"')

    def on_long_poll(self):
        with Talk(self) as talk:
            talk.ask("GET", "/sub/e:held?wait=5")
            self.published("e:held")
            self.published("e:held")  # the first may have come before the poll
            talk.hear(b"hello")

    def on_short_polls(self):
        with Talk(self) as talk:
            for _ in range(3):
                talk.ask("GET", "/sub/e:short?wait=0").hear(b'"gaps"')

    def on_list_of_channels(self):
        body = json.dumps({"channels": [f"e:{number}" for number in range(100)]})
        self.public("/sub", b"id:", "POST", body=body,
                    headers={"Accept": "text/event-stream", "Content-Type": "application/json"})

    def on_client_publish(self):
        self.public("/sub/e:post", b'"id":', "POST", body=b"hello")

    def on_token(self):
        self.delivered("signed:x", stream(Authorization="Bearer " + self.token), opened=b"id:")

    def on_token_that_is_refused(self):
        self.public("/sub/signed:x?wait=0", b"401", headers={"Authorization": "Bearer " + self.token[:-4]})

    def on_bearer(self):
        self.public("/sub/programs:x?wait=0", b'"gaps"', headers={"Authorization": "Bearer " + BEARER})

    def on_application(self):
        token = f"alice-{time.monotonic_ns()}"  # one that it was not asked about
        self.application.know(token, {"sub": "alice", "channels": ["app:*"]})
        self.public("/sub/app:x?wait=0", b'"gaps"', headers={"Authorization": "Bearer " + token})

    def on_end_of_a_user(self):
        with Talk(self) as talk:
            talk.ask("GET", "/sub/signed:x", **stream(Authorization="Bearer " + self.token)).hear(b"id:")
            self.private("DELETE", "/users/alice", b"HTTP/1.1 ")

    def on_tls_stream(self):
        self.delivered("f:tls", stream(), listener="secured", opened=b"id:")

    def on_tls_websocket(self):
        self.delivered("f:tls", upgrade(), listener="secured")

    def on_malformed(self):
        with Talk(self) as talk:
            talk.say(b"GET / HTTP/1.1\r\nHost : x\r\n\r\n").hear(b"400")

    def on_much_pipelined(self):
        with Talk(self) as talk:
            talk.say(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
            for _ in range(20):
                talk.hear(b"HTTP/1.1 ")

    def on_a_client_that_resets(self):
        with Wire(self.addresses["public"]) as wire:
            wire.try_send(build_request("GET", "/sub/g:gone", wire.address, **stream()))
            wire.abort()

    def on_reload(self):
        self.reload()

    def on_listeners_that_come_and_go(self):
        for more in ("[listener more]\naddress = unix:@DIR@/more\nserve = subscribe\n", ""):
            self.daemon.write_config(self.daemon.text + more)
            self.reload()

    def on_another_log(self):
        self.daemon.send_signal(signal.SIGUSR1)

    def reload(self):
        """Until the service manager is told that it is over, well or not."""
        drain(self.notified)
        self.notified.settimeout(2 * self.patience)
        self.daemon.send_signal(signal.SIGHUP)
        try:
            while b"READY=1" not in self.notified.recv(4096):
                pass
        except TimeoutError as error:
            raise Silence from error


class FaultTest(unittest.TestCase):
    server = "workers = 1\nio_uring = off"

    @classmethod
    def setUpClass(cls):
        cls.authority = Authority()
        cls.certificate, cls.key = cls.authority.sign("site", "relay.example")
        cls.application = Application()
        cls.faults = Faults()
        cls.notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        cls.notified.bind(os.path.join(cls.faults.folder.name, "notify"))

    @classmethod
    def tearDownClass(cls):
        cls.notified.close()
        cls.faults.close()
        cls.application.stop()
        cls.authority.remove()

    def start(self):
        self.faults.reset()
        drain(self.notified)
        (secured,) = free_ports(1)
        more = SECTIONS.format(certificate=self.certificate, key=self.key, secured=f"127.0.0.1:{secured}", secret=SECRET,
                               bearer=BEARER, application=self.application.port)
        self.daemon = self.faults.daemon(config(server=self.server, more=more, channels=CHANNELS))
        self.daemon.start()
        self.addCleanup(self.daemon.kill)
        addresses = {"public": self.daemon.public, "private": self.daemon.private, "secured": ("127.0.0.1", secured)}
        self.scenes = Scenes(self.daemon, addresses, self.authority.client())
        self.scenes.application, self.scenes.notified = self.application, self.notified
        return self.scenes.all()

    def play(self, scene):
        """Whether it went as it should."""
        try:
            scene()
        except (Silence, OSError, ssl.SSLError):
            return False
        return True


class Calls(FaultTest):
    def test_each_call_fails(self):
        scenes = self.start()
        self.assertGreaterEqual(len(scenes), 30)
        for name, scene in scenes.items():  # without faults each is heard to its end; and what is made once is made
            self.assertTrue(self.play(scene), name)
        self.files = self.settled()
        memory = resident(self.daemon.process.pid)
        self.tried = self.silent = 0
        for name, scene in scenes.items():
            for call in CALLS:
                if call != "allocate":
                    self.fail_each(name, scene, call)
        if not SANITIZED:
            self.assertLess(resident(self.daemon.process.pid) - memory, 4 << 20)
        self.faults.reset()
        for name, scene in scenes.items():
            self.assertTrue(self.play(scene), f"{name}, afterwards")
        print(f"{len(scenes)} scenarios, {self.tried} failures of {len(CALLS) - 1} calls, {self.silent} of them noticed")
        self.daemon.stop()

    def fail_each(self, name, scene, call):
        self.faults.reset()
        self.play(scene)
        count, errors = self.faults.calls(call), CALLS[call]
        numbers = range(1, count + 1) if SOAK else sorted({1, count // 3 + 1, 2 * count // 3 + 1, count})
        for number in numbers if count else ():
            for error in errors if SOAK else (errors[number % len(errors)],):
                with self.subTest(scene=name, call=call, number=number, error=errno.errorcode[error]):
                    self.faults.order(call, number, error)
                    self.silent += not self.play(scene)
                    self.tried += self.faults.failed(call)
                    self.faults.reset()
                    if "listeners" in name:  # that go with the next reload
                        self.play(scene)
                    self.check_health()

    def check_health(self):
        self.faults.reset()
        self.assertTrue(self.daemon.is_alive(), self.daemon.log()[-4000:])
        self.assertTrue(self.play(lambda: self.scenes.private("GET", "/healthz", b"200")), "/healthz is silent")
        deadline = time.monotonic() + 8 * PATIENCE
        # One more is the link to the application, which is kept for a while.
        while len(now := descriptors(self.daemon.process.pid)) > self.files + 1:
            self.assertLess(time.monotonic(), deadline, f"descriptors left: {now}, were {self.files}")
            time.sleep(0.005)

    def settled(self):
        """The number of descriptors when all clients are gone."""
        self.play(lambda: self.scenes.private("GET", "/healthz", b"200"))
        time.sleep(0.5)
        return len(descriptors(self.daemon.process.pid))

    def test_many_calls_fail_all_the_time(self):
        """One of seven, for each call in turn, while all scenarios run."""
        scenes = self.start()
        for scene in scenes.values():
            self.play(scene)
        self.files = self.settled()
        for call, errors in CALLS.items():
            if call == "allocate":
                continue
            for error in errors if SOAK else errors[:1]:
                self.scenes.patience = 0.5 * PATIENCE
                self.faults.order(call, 3, error, every=7)
                for scene in scenes.values():
                    self.play(scene)
                self.scenes.patience = 1.5 * PATIENCE
                self.faults.reset()
                self.play(scenes["listeners_that_come_and_go"])  # those that stayed go
                self.check_health()
        self.daemon.stop()


class Memory(FaultTest):
    """Where there is none the daemon ends, says so, and leaves it to the service manager to start another."""

    def test_it_ends_and_says_so(self):
        self.start()
        self.daemon.stop()
        ends = lives = 0
        for number in (1, 4, 11, 30) if not SOAK else range(1, 60):
            for name in ("publish", "stream", "websocket_that_deflates", "session", "tls_stream", "application", "reload"):
                with self.subTest(name, number=number):
                    if self.survives(name, number):
                        lives += 1
                    else:
                        ends += 1
        self.assertGreater(ends, 10)
        print(f"memory failed {ends + lives} times: {ends} ends in words, {lives} times it was borne")

    def survives(self, name, number):
        scenes = self.start()
        self.play(scenes[name])
        self.faults.order("allocate", number, errno.ENOMEM)
        self.play(scenes[name])
        self.faults.reset()
        try:
            self.daemon.process.wait(0.1)
        except subprocess.TimeoutExpired:
            self.assertTrue(self.play(lambda: self.scenes.private("GET", "/healthz", b"200")), "/healthz is silent")
            self.daemon.stop()
            return True
        self.assertEqual(self.daemon.process.returncode, -signal.SIGABRT, self.daemon.log())
        said = self.daemon.log() + (self.daemon.dir / "fanhorn.log").read_text()
        self.assertRegex(said, "out of memory|check failed")
        self.daemon.kill()
        return False


if SANITIZED:  # which keep memory for themselves
    del Memory


class Drain(FaultTest):
    server = FaultTest.server + "\ndrain = 1s"

    def test_a_drain_in_which_calls_fail(self):
        for call in CALLS:
            if call == "allocate":
                continue
            with self.subTest(call):
                scenes = self.start()
                self.play(scenes["stream"])
                with Talk(self.scenes) as stream_, Talk(self.scenes) as socket_:
                    stream_.ask("GET", "/sub/b:drain", **stream()).hear(b"id:")
                    socket_.ask("GET", "/sub/b:drain", **upgrade()).hear(b"\r\n\r\n")
                    self.faults.order(call, 1, CALLS[call][0], every=3)
                    self.daemon.send_signal(signal.SIGQUIT)
                    time.sleep(1.5)
                self.assertEqual(self.daemon.wait(60), 0)
                self.daemon.kill()


if __name__ == "__main__":
    unittest.main()
