# SPDX-License-Identifier: Apache-2.0
"""Starts the real fanhorn on free ports and gives the tests their base class."""

import functools
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import handover
from sse import SseClient
from wire import PATIENCE, TIMEOUT, Closed, Wire, target
from ws import Refused, WsClient

ROOT = Path(__file__).resolve().parents[2]
FANHORN = Path(os.environ.get("FANHORN", "build/fanhorn"))
FANHORN = str(FANHORN if FANHORN.is_absolute() else ROOT / FANHORN)
FANHORNCTL = str(Path(FANHORN).parent / "fanhornctl")
SANITIZER = re.compile(r"(Address|Leak|Thread|Memory|UndefinedBehavior)Sanitizer|runtime error:|check failed:")
ID = re.compile(r"([0-9a-z]{1,12})\.([0-9]{1,20})\Z")

# @PUBLIC@ and @PRIVATE@ become free addresses, @DIR@ the daemon's temporary folder.
CONFIG = """
[server]
workers = 2
{server}
[limits]
{limits}
[listener public]
address = @PUBLIC@
serve = subscribe, client
{public}
[listener private]
address = @PRIVATE@
serve = publish, control, metrics
{private}
{more}
[defaults channel]
{defaults}
{channels}
"""
ANY_CHANNEL = "[channel **]\nclient_publish = public\n"


@functools.cache
def has_part(word):
    """Whether the build has that part, which it may leave out: `fanhorn -V` tells."""
    said = subprocess.run([FANHORN, "-V"], capture_output=True, text=True, check=True).stdout
    return word in said.split()


def config(server="", limits="", public="", private="", more="", defaults="", channels=ANY_CHANNEL):
    """A whole configuration; each argument is more lines for that section. `server` may name
    `workers` itself."""
    text = CONFIG if "workers" not in server else CONFIG.replace("workers = 2\n", "")
    return text.format(**locals())


def position(text):
    """'k3f9q2.1042' as ('k3f9q2', 1042)."""
    match = ID.match(text)
    assert match, f"not a position: {text!r}"
    return match[1], int(match[2])


def shifted(text, by):
    """That position with its seq moved."""
    epoch, seq = position(text)
    return f"{epoch}.{seq + by}"


def eventually(probe, what="it", timeout=TIMEOUT):
    """Polls until probe() is true and returns that; fails when it never is."""
    deadline = time.monotonic() + timeout
    while not (value := probe()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not happen within {timeout:.0f} s")
        time.sleep(0.02)
    return value


def pause(process):
    """Stops it, all its threads: the signal's sender returns before they stand still. SIGCONT lets it go on."""
    process.send_signal(signal.SIGSTOP)
    found = os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    assert found.si_code == os.CLD_STOPPED, "it has ended"
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)


PORTS = range(10_000, 32_000)  # below those that the kernel gives to clients, and to who asks for any
PORTS_AT_ONCE = 200
claims = []  # the sockets that hold this process's ports


def own_ports():
    """Ports of which no other process of these tests tries any, until this one ends."""
    blocks = len(PORTS) // PORTS_AT_ONCE
    for number in range(blocks):
        block = (os.getpid() + number) % blocks
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0fanhorn-test-ports-{block}")
        except OSError:
            claim.close()
            continue
        claims.append(claim)
        yield from PORTS[block * PORTS_AT_ONCE:][:PORTS_AT_ONCE]
    raise AssertionError("other tests have all ports")


tried_ports = own_ports()


def free_ports(count):
    """Nobody listens there, and no other test's daemon can begin to before ours does."""
    ports = []
    while len(ports) < count:
        port = next(tried_ports)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        ports.append(port)
    return ports


class PortTaken(Exception):
    pass


class Daemon:
    """A running fanhorn. Leaving the `with` stops it and checks that it went well."""

    binary = FANHORN

    def __init__(self, text=None, args=(), env=None, nofile=None):
        self.text, self.args, self.nofile = text or config(), list(args), nofile
        self.env = {**os.environ, **(env or {})}
        self.dir = Path(tempfile.mkdtemp(prefix="fanhorn-test-"))
        self.file = self.dir / "fanhorn.conf"
        self.process, self.errors = None, self.dir / "stderr"

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        if kind is None:
            self.stop()
        else:
            print(f"--- the daemon's stderr:\n{self.log()[-4000:]}")
            self.kill()

    def start(self):
        for _ in range(5):
            try:
                return self._start_once()
            except PortTaken:
                continue
            except BaseException:
                self.kill()
                raise
        raise AssertionError(f"no free port in five tries:\n{self.log()}")

    def _start_once(self):
        public, private = free_ports(2)
        self.public, self.private = ("127.0.0.1", public), ("127.0.0.1", private)
        self.write_config(self.text)
        self.launch()
        eventually(self._is_ready, "readiness")
        return self

    def write_config(self, text):
        addresses = {"@PUBLIC@": self.public, "@PRIVATE@": self.private}
        for mark, (host, port) in addresses.items():
            text = text.replace(mark, f"{host}:{port}")
        self.file.write_text(text.replace("@DIR@", str(self.dir)))

    def launch(self):
        limits = None
        if self.nofile:
            limits = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (self.nofile, self.nofile))

        def launch(env):
            with open(self.errors, "ab") as errors:
                return subprocess.Popen([self.binary, "-c", str(self.file), *self.args], env=env, preexec_fn=limits,
                                        stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
        self.process = handover.Lineage(launch, self.env, self.log) if handover.is_wanted(self.env) else launch(self.env)

    def _is_ready(self):
        if self.process.poll() is not None:
            if re.search(r"in use|EADDRINUSE", self.log()):
                raise PortTaken
            raise AssertionError(f"the daemon ended with {self.process.returncode}:\n{self.log()}")
        try:
            return self.request("GET", "/readyz", timeout=2 * PATIENCE).status == 200
        except (OSError, Closed):
            return False

    def log(self):
        return self.errors.read_text(errors="replace") if self.errors.exists() else ""

    def is_alive(self):
        return self.process is not None and self.process.poll() is None

    def send_signal(self, number):
        self.process.send_signal(number)

    def wait(self, timeout=2 * TIMEOUT):
        """The exit code, once it ends by itself; its last words are checked."""
        code = self.process.wait(timeout)
        report = SANITIZER.search(self.log())
        assert not report, f"sanitizer or check report:\n{self.log()[-8000:]}"
        return code

    def stop(self, number=signal.SIGTERM):
        try:
            assert self.is_alive(), f"ended early with {self.process.returncode}:\n{self.log()[-4000:]}"
            self.send_signal(number)
            code = self.wait()
            assert code == 0, f"exit code {code}:\n{self.log()[-4000:]}"
        finally:
            self.kill()

    def kill(self):
        if self.is_alive():
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def address(self, listener):
        return self.public if listener == "public" else self.private

    def request(self, method, path, listener="private", timeout=TIMEOUT, **parts):
        """One request on a connection of its own; parts: query, headers, body."""
        with Wire(self.address(listener), timeout=timeout) as wire:
            return wire.request(method, path, timeout=timeout, **parts)

    def publish(self, channel, body=b"hello", method="POST", headers=None, **options):
        """Publishes and returns the answer's object; the options go into the query."""
        response = self.request(method, "/pub/" + channel, body=body, headers=headers, query=options)
        assert response.status == 200, repr(response)
        return response.json()

    def publish_lines(self, lines, size=200):
        """Many messages (batch objects) as one NDJSON stream; the result lines, in order."""
        results = []
        with Stream(self.private) as stream:
            for at in range(0, len(lines), size):
                part = lines[at:at + size]
                stream.send("".join(json.dumps(line) + "\n" for line in part))
                results += [stream.next_line() for _ in part]
            stream.finish()
        return results

    def poll(self, channels, timeout=TIMEOUT, headers=None, **query):
        """One poll, its answer as an object."""
        response = self.request("GET", "/sub/" + channels, "public", timeout, query=query,
                                headers={"Accept": "application/json", **(headers or {})})
        assert response.status == 200, repr(response)
        return response.json()

    def facts(self, channel):
        """The channel's facts, or None where there is no such channel."""
        response = self.request("GET", "/pub/" + channel)
        assert response.status in (200, 404), repr(response)
        return response.json() if response.status == 200 else None

    def subscribers(self, channel):
        facts = self.facts(channel)
        return sum(facts["subscribers"].values()) if facts else 0

    def metrics(self):
        """name{labels}, as written, to value."""
        response = self.request("GET", "/metrics")
        lines = response.body.decode().splitlines()
        pairs = [line.rsplit(" ", 1) for line in lines if line and not line.startswith("#")]
        return {name: float(value) for name, value in pairs}

    def limit_lines(self, name):
        """Log lines about that limit; a storm of them is held back (10 in 10 s)."""
        return len(re.findall(rf"^\S+ level=(?:notice|info) event={name}_reached limit={name} who=", self.log(), re.M))

    def limit_hits(self, name):
        return self.metrics().get('fanhorn_limit_hits_total{limit="%s"}' % name, 0)


class Stream:
    """POST /pub with NDJSON, line by line, on an open connection."""

    def __init__(self, address, headers=None):
        self.wire, self.rest, self.lines = Wire(address), b"", []
        self.response = None
        fields = {"Host": f"{address[0]}:{address[1]}", "Content-Type": "application/x-ndjson",
                  "Transfer-Encoding": "chunked", **(headers or {})}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self.wire.send(f"POST /pub HTTP/1.1\r\n{head}\r\n".encode())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.wire.close()

    def send(self, text):
        data = text.encode() if isinstance(text, str) else text
        self.wire.send(b"%x\r\n%s\r\n" % (len(data), data))

    def next_line(self, timeout=TIMEOUT):
        """The next result object; None at the end of the answer."""
        if self.response is None:
            self.response = self.wire.start_response("POST", timeout)
        while not self.lines:
            piece = self.wire.read_body(timeout)
            if not piece:
                assert not self.rest, f"half a line: {self.rest!r}"
                return None
            *whole, self.rest = (self.rest + piece).split(b"\n")
            self.lines += [json.loads(line) for line in whole]
        return self.lines.pop(0)

    def finish(self):
        """Ends the request; the result lines that still come."""
        self.wire.send(b"0\r\n\r\n")
        return list(iter(self.next_line, None))


class FanhornTest(unittest.TestCase):
    """One daemon for the class, from `config` and `options`; a channel of its own for each test."""

    config = None
    options = {}
    starts = Daemon
    maxDiff = 4000

    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.starts(cls.config, **cls.options).start()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()

    def setUp(self):
        self.channel = "t:" + self._testMethodName.removeprefix("test_")
        self.addCleanup(self._check_alive)

    def _check_alive(self):
        self.assertTrue(self.daemon.is_alive(), f"the daemon died:\n{self.daemon.log()[-8000:]}")

    def open(self, client):
        self.addCleanup(client.close)
        return client

    def wire(self, listener="private", **options):
        return self.open(Wire(self.daemon.address(listener), **options))

    def sse(self, channels, headers=None, receive_buffer=None, version="1.1", **query):
        return self.open(SseClient(self.daemon.public, "/sub/" + channels, query, headers,
                                   receive_buffer, version))

    def ws(self, channels, headers=None, query=None, **options):
        return self.open(WsClient(self.daemon.public, "/sub/" + channels, query, headers, **options))

    def envelopes(self, channels, since=None, **options):
        """A WebSocket in envelope mode; the hello is read and kept as `hello`."""
        client = self.ws(channels, query={"envelope": "1", "since": since}, **options)
        client.hello = client.next_json()
        return client

    def refused(self, channels, status, **options):
        """The answer to a WebSocket upgrade that must not succeed."""
        with self.assertRaises(Refused) as caught:
            self.ws(channels, **options)
        self.assertEqual(caught.exception.response.status, status, caught.exception.response)
        return caught.exception.response

    def wait_subscribers(self, channel, count):
        eventually(lambda: self.daemon.subscribers(channel) == count, f"{count} subscribers of {channel}")

    def assert_problem(self, response, status, code):
        """RFC 9457, as PROTOCOL section 4 settles it."""
        self.assertEqual(response.status, status, response)
        self.assertEqual(response.headers["Content-Type"].split(";")[0], "application/problem+json")
        problem = response.json()
        self.assertEqual((problem["status"], problem["code"]), (status, code), problem)
        self.assertTrue(problem["title"], problem)
        self.assertIsInstance(problem.get("detail", ""), str)
        if status in (429, 503):
            self.assertRegex(response.headers["Retry-After"], r"^[0-9]+$")
        return problem

    def assert_limit(self, name, hit):
        """hit() must raise the limit's metric and leave a log line of its own."""
        before, lines = self.daemon.limit_hits(name), self.daemon.limit_lines(name)
        result = hit()
        eventually(lambda: self.daemon.limit_hits(name) > before, f"a hit of limit {name}")
        eventually(lambda: self.daemon.limit_lines(name) > lines, f"a log line about {name}")
        return result


__all__ = ["ANY_CHANNEL", "Daemon", "FANHORN", "FANHORNCTL", "FanhornTest", "PATIENCE", "ROOT",
           "Stream", "TIMEOUT", "Wire", "config", "eventually", "free_ports", "position", "shifted",
           "target"]
