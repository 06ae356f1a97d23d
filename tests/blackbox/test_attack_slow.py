# SPDX-License-Identifier: Apache-2.0
"""Attacks by taking one's time and by handshakes, by the numbers of the table in README.md.
FANHORN_SOAK=1 makes the dribblers 5,000."""

import os
import selectors
import socket
import ssl
import subprocess
import threading
import time
import unittest

from certificates import Authority, connect
from harness import PATIENCE, Daemon, FanhornTest, config, eventually
from process import SANITIZED, connections, descriptors, resident
from sse import SseClient
from wire import Wire

SOAK = bool(os.environ.get("FANHORN_SOAK"))
DRIBBLERS = 5000 if SOAK else 500
DEADLINE = 10 if SOAK else 4


class Dribblers:
    """Connections that send one byte of a request at a time, `pause` apart, for as long as they may."""

    HEADS = (b"GET /sub/x HTTP/1.1\r\nHost: x\r\nX-Endless: " + b"y" * 2000,
             b"POST /sub/x HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n" + b"y" * 2000,
             b"GET /sub/x?wait=0 HTTP/1.1\r\nHost: x\r\nOrigin: http://" + b"z" * 2000)

    def __init__(self, address, count, pause=1.0):
        self.pause, self.selector, self.lives = pause, selectors.DefaultSelector(), []
        self.open = {}
        for number in range(count):
            one = socket.create_connection(address, 15)
            one.setblocking(False)
            head = self.HEADS[number % len(self.HEADS)]
            self.open[one] = [memoryview(head), 0, time.monotonic()]
            self.selector.register(one, selectors.EVENT_READ)
        self.step()

    def step(self):
        """A byte more from everybody whose turn it is; who was cut is noted with the time that it had."""
        now = time.monotonic()
        for one, state in list(self.open.items()):
            head, sent, began = state
            if sent <= (now - began) / self.pause:
                try:
                    one.send(head[sent:sent + 1])
                    state[1] += 1
                except OSError:
                    self.cut(one)
        for key, _ in self.selector.select(0.02):
            if key.fileobj in self.open:
                try:
                    if not key.fileobj.recv(4096):
                        self.cut(key.fileobj)
                except OSError:
                    self.cut(key.fileobj)

    def cut(self, one):
        self.lives.append(time.monotonic() - self.open.pop(one)[2])
        self.selector.unregister(one)
        one.close()

    def run(self, seconds):
        deadline = time.monotonic() + seconds
        while self.open and time.monotonic() < deadline:
            self.step()

    def close(self):
        for one in self.open:
            one.close()
        self.selector.close()


class Latency(threading.Thread):
    """What others notice: the times from a publish to its delivery, until stop()."""

    def __init__(self, daemon):
        super().__init__(daemon=True)
        self.daemon_, self.times, self.going = daemon, [], True
        self.stream = SseClient(daemon.public, "/sub/others").opened()
        self.failure = None

    def run(self):
        try:
            with Wire(self.daemon_.private) as wire:
                while self.going:
                    start = time.monotonic()
                    assert wire.request("POST", "/pub/others", body=b"x").status == 200
                    assert self.stream.next_event().data == "x"
                    self.times.append(time.monotonic() - start)
                    time.sleep(0.002)
        except Exception as error:  # told by the test's thread
            self.failure = error

    def stop(self):
        self.going = False
        self.join(15)
        self.stream.close()
        if self.failure:
            raise self.failure
        return sorted(self.times)


def p99(times):
    return times[len(times) * 99 // 100]


class Slow(FanhornTest):
    config = config(limits=f"header_timeout = {DEADLINE}s\nbody_timeout = {DEADLINE}s\n",
                    channels="[channel **]\nclient_publish = public\n")

    def latency(self, during):
        measured = Latency(self.daemon)
        measured.start()
        during()
        return measured.stop()

    def test_25_dribblers_are_cut_and_nobody_notices(self):
        self.latency(lambda: time.sleep(1))  # what is made once is made
        for _ in range(3):  # what else the machine does may come into one of the two
            busy, calm = self.among_dribblers(), self.among_idlers()
            if SANITIZED or self.is_alike(busy, calm):
                return
        self.fail("others wait for dribblers")

    @staticmethod
    def is_alike(busy, calm):
        """Within 20 %: the slowest of a hundred where there are enough of them to tell, the median else."""
        if SOAK:
            return p99(busy) < 1.2 * p99(calm)
        return busy[len(busy) // 2] < 1.2 * calm[len(calm) // 2] + 0.0002 and p99(busy) < 2 * p99(calm) + 0.02

    def among_dribblers(self):
        dribblers = Dribblers(self.daemon.public, DRIBBLERS)
        self.addCleanup(dribblers.close)
        busy = self.latency(lambda: dribblers.run(DEADLINE + 20 * PATIENCE))
        self.assertEqual(len(dribblers.lives), DRIBBLERS, f"{len(dribblers.open)} were not cut")
        self.assertGreater(min(dribblers.lives), DEADLINE - 1.5)
        self.assertLess(max(dribblers.lives), DEADLINE + 2 + 3 * PATIENCE)
        eventually(lambda: connections(self.daemon) <= 1, "all connections gone")
        print(f"{DRIBBLERS} dribblers cut after {min(dribblers.lives):.1f} to {max(dribblers.lives):.1f} s; "
              f"others' median {busy[len(busy) // 2] * 1000:.2f} ms, p99 {p99(busy) * 1000:.2f} ms")
        return busy

    def among_idlers(self):
        """The same client side, but the daemon has nobody to wait for: what the test itself costs is in both."""
        idlers = Idlers(DRIBBLERS)
        calm = self.latency(lambda: idlers.run(DEADLINE))
        idlers.close()
        print(f"without them: median {calm[len(calm) // 2] * 1000:.2f} ms, p99 {p99(calm) * 1000:.2f} ms")
        return calm

    def test_25_who_reads_slowly_or_not_holds_nobody_up(self):
        """Requests in a row whose answers nobody reads."""
        stalled = [Wire(self.daemon.public, receive_buffer=4096) for _ in range(50)]
        for wire in stalled:
            wire.socket.setblocking(False)
            try:
                for _ in range(2000):
                    wire.socket.send(b"GET /fanhorn.js HTTP/1.1\r\nHost: x\r\n\r\n")
            except BlockingIOError:
                pass
        before = resident(self.daemon.process.pid)
        times = self.latency(lambda: time.sleep(2))
        self.assertLess(p99(times), 0.1 * PATIENCE)
        if not SANITIZED:
            self.assertLess(resident(self.daemon.process.pid) - before, 8 << 20)
        for wire in stalled:
            wire.abort()


class Idlers:
    """As many sockets as dribblers, and the same work with them, but to somebody who takes everything."""

    def __init__(self, count):
        self.server = socket.create_server(("127.0.0.1", 0), backlog=count)
        self.accepted, self.going = [], True
        thread = threading.Thread(target=self.accept, args=(count,), daemon=True)
        thread.start()
        self.dribblers = Dribblers(self.server.getsockname(), count)
        thread.join(15)

    def accept(self, count):
        while len(self.accepted) < count:
            self.accepted.append(self.server.accept()[0])

    def run(self, seconds):
        self.dribblers.run(seconds)

    def close(self):
        self.dribblers.close()
        for one in (*self.accepted, self.server):
            one.close()


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.authority = Authority()
        certificate, key = cls.authority.sign("site", "relay.example")
        more = f"[tls main]\ncertificate = {certificate}\nkey = {key}\n"
        cls.daemon = Daemon(config(public="tls = main", more=more, limits="header_timeout = 2s")).start()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()
        cls.authority.remove()

    def s_client(self, *options, say=b""):
        command = ["openssl", "s_client", "-connect", "{}:{}".format(*self.daemon.public), "-CAfile",
                   str(self.authority.folder / "ca.pem"), "-servername", "relay.example", *options]
        done = subprocess.run(command, input=say, capture_output=True, timeout=60)
        return (done.stdout + done.stderr).decode(errors="replace")

    def test_30_no_renegotiation(self):
        """A client that asks for it again and again costs a handshake each time, where it is let."""
        text = self.s_client("-tls1_2", "-legacy_renegotiation", say=b"R\nR\nR\n")
        self.assertIn("RENEGOTIATING", text)
        self.assertRegex(text, "no renegotiation|handshake failure|no_renegotiation")
        self.assertEqual(self.daemon.request("GET", "/healthz").status, 200)

    def test_30_old_versions_and_weak_ciphers(self):
        for options in (["-tls1_1"], ["-tls1"], ["-tls1_2", "-cipher", "AES128-SHA@SECLEVEL=0"],
                        ["-tls1_2", "-cipher", "NULL:eNULL@SECLEVEL=0"], ["-tls1_2", "-cipher", "aNULL@SECLEVEL=0"]):
            with self.subTest(options):
                self.assertNotIn("Verify return code: 0 (ok)\n---\nDONE", self.s_client(*options))
                self.assertIn("Cipher is (NONE)", self.s_client(*options))

    def handshakes(self, count):
        contexts = [self.authority.client(version) for version in ("1.2", "1.3")]
        for number in range(count):
            with connect(self.daemon.public, contexts[number % 2]) as secured:
                secured.sendall(b"GET /sub/x?wait=0 HTTP/1.1\r\nHost: relay.example\r\nConnection: close\r\n\r\n")
                self.assertTrue(secured.recv(12).startswith(b"HTTP/1.1 200"))

    def test_30_handshakes_leave_nothing(self):
        pid = self.daemon.process.pid
        self.handshakes(100)
        before, files = resident(pid), len(descriptors(pid))
        self.handshakes(1000 if not SANITIZED else 200)
        eventually(lambda: len(descriptors(pid)) <= files, "descriptors back where they were")
        if not SANITIZED:
            self.assertLess(resident(pid) - before, 1 << 20)

    def test_25_half_a_handshake_and_none(self):
        """Who says nothing, or half of a hello, is cut at the deadline too."""
        hello = ssl.MemoryBIO(), ssl.MemoryBIO()
        try:
            self.authority.client().wrap_bio(*hello, server_hostname="relay.example").do_handshake()
        except ssl.SSLWantReadError:
            pass
        first = hello[1].read()
        start = time.monotonic()
        silent = [Wire(self.daemon.public) for _ in range(20)]
        halves = [Wire(self.daemon.public) for _ in range(20)]
        for wire in halves:
            wire.send(first[:len(first) // 2])
        for wire in halves:
            self.assertTrue(wire.is_closed(10 * PATIENCE))
        self.assertLess(time.monotonic() - start, 2 + 3 * PATIENCE)
        for wire in silent:
            wire.close()


if __name__ == "__main__":
    unittest.main()
