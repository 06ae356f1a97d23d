# SPDX-License-Identifier: Apache-2.0
"""Live upgrades as the one who runs the daemon sees them: signals, files, listeners, what stays behind, and what is
refused."""

import os
import re
import signal
import subprocess
import threading
import unittest

from certificates import Authority
from h2 import H2Client
from harness import FANHORN, ROOT, Wire, config, eventually, free_ports, has_part
from heirs import is_running
from session import Session
from sse import SseClient
from succession import SLEEPS, TALKS, Notified, Succession
from swarm import Oracle, Publisher, Swarm
from test_upgrade import bearer, USERS, CHANNELS
from wire import PATIENCE
from ws import WsClient

AUTHORITY = Authority()
CERTIFICATE, KEY = AUTHORITY.sign("main", "relay.example")


def tearDownModule():
    AUTHORITY.remove()


class ProcessTest(unittest.TestCase):
    def start(self, text=None, **options):
        daemon = Succession(text, **options).start()
        self.addCleanup(daemon.kill)
        return daemon

    def keep(self, client):
        self.addCleanup(client.close)
        return client

    def sse(self, daemon, channels="x", headers=None):
        return self.keep(SseClient(daemon.public, "/sub/" + channels, headers=headers)).opened()


class Succeeds(ProcessTest):
    def test_what_is_said(self):
        daemon = self.start()
        stream, old = self.sse(daemon), daemon.process.pid
        facts = daemon.upgrade()
        self.assertNotEqual(daemon.process.pid, old)
        self.assertFalse(is_running(old))
        self.assertEqual((facts["connections"], facts["left"]), (1, 0))
        self.assertGreaterEqual(facts["freeze_ms"], 0)
        for event in ("upgrade_begun", "upgraded", "took_over"):
            self.assertEqual(len(daemon.events(event)), 1, daemon.log())
        metrics = daemon.metrics()
        self.assertEqual(sum(value for name, value in metrics.items() if name.startswith("fanhorn_handed_connections")), 1)
        self.assertTrue(any(name.startswith("fanhorn_upgrades_total") for name in metrics), metrics)
        daemon.publish("x", "hello")
        self.assertEqual(stream.next_event().data, "hello")
        daemon.stop()

    def test_the_pid_file_and_its_command(self):
        daemon = self.start(config(server="pid_file = @DIR@/pid"))
        stream, file = self.sse(daemon), daemon.dir / "pid"
        for _ in range(2):
            old = daemon.process
            self.assertEqual(int(file.read_text()), old.pid)
            subprocess.run([FANHORN, "-c", daemon.file, "-s", "upgrade"], check=True)
            self.assertEqual(old.wait(), 0, daemon.log())
            eventually(file.exists, "a pid file")
            daemon.follow()
            self.assertEqual(int(file.read_text()), daemon.process.pid)
        daemon.publish("x", "hello")
        self.assertEqual(stream.next_event().data, "hello")
        daemon.stop()
        self.assertFalse(file.exists())

    def test_what_the_service_manager_is_told(self):
        notified = self.keep(Notified())
        daemon = self.start(env={"NOTIFY_SOCKET": notified.path})
        notified.until("READY=1")
        old = daemon.process.pid
        daemon.upgrade()
        self.assertIn(f"MAINPID={daemon.process.pid}", notified.until("MAINPID=[0-9]+"))
        self.assertNotEqual(daemon.process.pid, old)
        daemon.send_signal(signal.SIGHUP)
        notified.until("RELOADING=1")
        notified.until("READY=1")
        daemon.stop(signal.SIGQUIT)
        notified.until("STOPPING=1")

    def test_the_next_one_does_all_that_the_first_did(self):
        """It reloads, opens its log anew, upgrades, drains."""
        text = config(server="drain = 1s", more="[log]\ntarget = @DIR@/log\n")
        daemon = self.start(text)
        daemon.errors = daemon.dir / "log"
        daemon.upgrade()
        daemon.write_config(text + "\n[channel small]\nmessage_size = 1b\n")
        daemon.send_signal(signal.SIGHUP)
        eventually(lambda: daemon.request("POST", "/pub/small", body=b"xx").status == 413, "the new configuration")
        moved = daemon.dir / "moved"
        daemon.errors.rename(moved)
        daemon.send_signal(signal.SIGUSR1)
        eventually(daemon.errors.exists, "the new log")
        daemon.upgrade()
        self.assertEqual(daemon.request("POST", "/pub/small", body=b"xx").status, 413)
        client = self.keep(WsClient(daemon.public, "/sub/x"))
        daemon.send_signal(signal.SIGQUIT)
        self.assertEqual(client.expect_close().code, 1001)
        self.assertEqual(daemon.wait(), 0)

    def test_another_configuration(self):
        """The next process has what the file says by then: listeners that come and go, other numbers of workers."""
        daemon = self.start(config(server="workers = 2\ndrain = 1s"))
        port = free_ports(1)[0]
        streams = [self.sse(daemon) for _ in range(8)]
        more = f"[listener more]\naddress = 127.0.0.1:{port}\nserve = subscribe\n"
        for workers in (3, 1, 2):
            daemon.write_config(config(server=f"workers = {workers}\ndrain = 1s", more=more))
            daemon.upgrade()
            streams.append(self.keep(SseClient(("127.0.0.1", port), "/sub/x")).opened())
            daemon.publish("x", str(workers))
            for stream in streams:
                self.assertEqual(stream.next_event().data, str(workers))
        daemon.write_config(config(server="workers = 2\ndrain = 1s"))
        daemon.begin_upgrade()
        with self.assertRaises(OSError):
            while True:  # until the old process has let go of it
                Wire(("127.0.0.1", port)).close()
        daemon.publish("x", "last")
        for stream in streams[:8]:
            self.assertEqual(stream.next_event().data, "last")

    def test_who_connects_meanwhile(self):
        """No connection is refused or reset, whenever it comes."""
        daemon, stop, failures, served = self.start(), threading.Event(), [], []

        def ask():
            try:
                while not stop.is_set():
                    served.append(daemon.request("GET", "/healthz", "public").status)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(10):
            daemon.upgrade()
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual((failures, set(served)), ([], {200}))
        daemon.stop()

    def test_own_tables_of_descriptors(self):
        """With descriptors = worker it is done as well, or refused with a reason."""
        daemon = self.start(config(server="descriptors = worker"))
        streams = [self.sse(daemon) for _ in range(8)]
        daemon.send_signal(signal.SIGUSR2)
        eventually(lambda: daemon.events("took_over") or daemon.events("upgrade_refused"), "an end of it")
        if daemon.events("took_over"):
            daemon.process.wait()
            daemon.follow()
        daemon.publish("x", "hello")
        for stream in streams:
            self.assertEqual(stream.next_event().data, "hello")
        daemon.stop()


class Package(ProcessTest):
    """The .deb's script behind an upgrade of it, with a service manager that knows the daemon by its pid file."""

    def configure(self, daemon):
        """What it says."""
        folder = daemon.dir / "bin"
        folder.mkdir(exist_ok=True)
        manager = folder / "systemctl"
        manager.write_text(f"#!/bin/sh\ncat {daemon.dir}/pid\n")
        manager.chmod(0o755)
        script = (ROOT / "packaging/debian/postinst").read_text().replace("/run/systemd/system", str(daemon.dir))
        return subprocess.run(["sh", "-c", script, "postinst", "configure", "0.0.9"], check=True, capture_output=True, text=True,
                              env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}).stdout

    def test_it_upgrades_in_place(self):
        text = config(server="pid_file = @DIR@/pid")
        daemon = self.start(text)
        stream, old = self.sse(daemon), daemon.process
        self.assertIn("upgraded in place", self.configure(daemon))
        self.assertEqual(old.wait(), 0)
        daemon.follow()
        daemon.write_config(text + "[nonsense]\n")
        self.assertIn("still version 0.0.9", self.configure(daemon))
        daemon.publish("x", "hello")
        self.assertEqual(stream.next_event().data, "hello")
        daemon.stop()


class UnderLoad(ProcessTest):
    CHANNELS = [f"room:{number}" for number in range(20)]

    def test_nobody_is_cut_and_nothing_lost_or_doubled(self):
        daemon = self.start(config(defaults="history = 10k\nhistory_bytes = 64m"))
        swarm = Swarm(daemon.public, 7)
        self.addCleanup(swarm.close)
        for number in range(120):
            for transport in ("sse", "websocket", "longpoll"):
                swarm.add(transport, (self.CHANNELS[number % len(self.CHANNELS)],))
            swarm.step(0)
        self.assertTrue(swarm.run(lambda: all(member.start is not None for member in swarm.members), 60 * PATIENCE))
        publishers = [Publisher(daemon.private, f"p{number}", self.CHANNELS, 3000, number, 0.002) for number in range(2)]
        for publisher in publishers:
            publisher.start()
        upgrades, failures = [], []

        def upgrade():
            try:
                while any(publisher.is_alive() for publisher in publishers) and not failures:
                    upgrades.append(daemon.upgrade())
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=upgrade)
        thread.start()
        self.assertTrue(swarm.run(lambda: not thread.is_alive(), 120 * PATIENCE), "publishing hangs")
        self.assertEqual(failures, [])
        oracle = Oracle(publishers)
        self.assertTrue(swarm.run(lambda: all(map(oracle.is_complete, swarm.members)), 60 * PATIENCE), "some have not all")
        for member in swarm.members:
            oracle.check(member)
        self.assertEqual({member.connections for member in swarm.members}, {1})
        self.assertEqual(swarm.gaps, 0)
        self.assertGreaterEqual(len(upgrades), 3)
        self.assertEqual({facts["left"] for facts in upgrades} - {0}, set(), upgrades)
        daemon.stop()


# Says Hello in another format, takes no listeners, and then whatever comes; see server/upgrade_words.h.
OTHER_VERSION = TALKS + """
def get(word):
    text, sockets, _, _ = socket.recv_fds(other, 1 << 16, 253)
    assert text[0] == word, text
    return text
other.send(bytes([1, 0]))
count = get(2)[-1]
for _ in range(count):
    get(3)
other.send(bytes([4, 0]))
get(5)
get(7)
other.send(bytes([8]))
get(9)
other.send(bytes([10]))
time.sleep(600)"""


class LeftBehind(ProcessTest):
    def test_another_version(self):
        """One that would not understand our connections: they drain."""
        daemon = self.start(config(server="drain = 2s"))
        stream, clients = self.sse(daemon), [self.keep(WsClient(daemon.public, "/sub/x")) for _ in range(8)]
        daemon.replace(OTHER_VERSION)
        daemon.send_signal(signal.SIGUSR2)
        retries = {client.expect_close().reason for client in clients}
        self.assertGreater(len(retries), 4, "no jitter")
        while stream.next_block() is not None:
            pass
        self.assertEqual(daemon.wait(), 0, daemon.log())
        self.assertEqual(len(daemon.events("upgrade_cold")), 1, daemon.log())

    def test_tls_drains(self):
        """Each is told when to come back, and misses nothing; new ones are the next process's."""
        tls = "tls = main\n"
        text = config(server="drain = 2s", public=tls, more=f"[tls main]\ncertificate = {CERTIFICATE}\nkey = {KEY}\n")
        context = AUTHORITY.client()
        daemon = self.start(text)
        Wire.tls[daemon.public] = lambda plain: context.wrap_socket(plain, server_hostname="relay.example")
        self.addCleanup(Wire.tls.clear)
        stream, clients = self.sse(daemon), [self.keep(WsClient(daemon.public, "/sub/x")) for _ in range(8)]
        daemon.publish("x", "before")
        old = daemon.begin_upgrade()
        self.assertEqual(self.keep(WsClient(daemon.public, "/sub/x", {"since": "earliest"})).next_text(), "before")
        missed = daemon.publish("x", "after")["id"]
        retries = set()
        for client in clients:
            close = client.expect_close()
            self.assertEqual(close.code, 1001)
            retries.add(re.fullmatch(r"retry=([0-9]+)", close.reason)[1])
        self.assertGreater(len(retries), 4, "no jitter")
        while stream.next_block() is not None:
            pass
        again = self.keep(SseClient(daemon.public, "/sub/x", headers={"Last-Event-ID": stream.last_event_id}))
        if stream.last_event_id != missed:
            self.assertEqual(again.next_event().id, missed)
        self.assertEqual(old.wait(), 0, daemon.log())
        facts = daemon.events("upgraded")[-1]
        self.assertEqual((int(facts["connections"]), int(facts["left"])), (0, 9))
        daemon.stop(signal.SIGTERM)

    @unittest.skipUnless(has_part("http2"), "built without HTTP/2")
    def test_http2_drains(self):
        daemon = self.start(config(server="drain = 1s", public="http2 = cleartext\n"))
        client = self.keep(H2Client(daemon.public))
        stream = client.open("GET", "/sub/x", {"accept": "text/event-stream"})
        client.body(stream, b"\n\n")
        old = daemon.begin_upgrade()
        client.until_gone()
        self.assertEqual(old.wait(), 0, daemon.log())
        daemon.stop()

    def test_seats_of_those_left_behind(self):
        """Who was on a channel by a connection that was not handed over leaves when the old process has ended."""
        tls = f"[listener tls]\naddress = @TLS@\nserve = subscribe\ntls = main\n[tls main]\ncertificate = {CERTIFICATE}\nkey = {KEY}\n"
        port = free_ports(1)[0]
        address = ("127.0.0.1", port)
        context = AUTHORITY.client()
        daemon = self.start(config(server="drain = 2s", channels=CHANNELS, more=USERS + tls.replace("@TLS@", f"127.0.0.1:{port}")))
        Wire.tls[address] = lambda plain: context.wrap_socket(plain, server_hostname="relay.example")
        self.addCleanup(Wire.tls.clear)
        self.keep(SseClient(address, "/sub/members:a", headers=bearer("left"))).opened()
        kept = self.keep(Session(daemon.public, "members:a", headers=bearer("kept")))

        def users():
            answer = daemon.request("GET", "/channels/members:a/presence").json()
            return [user["user"] for user in answer["users"]]

        self.assertEqual(users(), ["kept", "left"])
        old = daemon.begin_upgrade()
        self.assertEqual(old.wait(), 0, daemon.log())
        eventually(lambda: users() == ["kept"], "his leave")
        told = []
        while ("leave", "left") not in told:
            envelope = kept.push()
            told += [(key, envelope[key]["user"]) for key in ("join", "leave") if key in envelope]
        self.assertLessEqual(set(told), {("leave", "left"), ("join", "kept")})
        daemon.stop()


class Refused(ProcessTest):
    def check_serves(self, daemon, stream):
        daemon.publish("x", "still")
        self.assertEqual(stream.next_event().data, "still")

    def test_a_broken_configuration(self):
        daemon = self.start()
        stream, pid = self.sse(daemon), daemon.process.pid
        daemon.write_config(config(defaults="histroy = 5"))
        daemon.fail_upgrade()
        self.assertEqual(len(daemon.events("upgrade_refused")), 1)
        self.assertRegex(daemon.log(), r"histroy")
        self.check_serves(daemon, stream)
        self.assertEqual(daemon.process.pid, pid)
        daemon.write_config(config())
        daemon.upgrade()
        self.check_serves(daemon, stream)
        daemon.stop()

    def test_a_durable_broker(self):
        daemon = self.start(config(more="[broker disk]\npath = @DIR@/disk\n", channels="[channel **]\nbroker = disk\n"))
        stream = self.sse(daemon)
        daemon.fail_upgrade()
        self.assertEqual(len(daemon.events("upgrade_refused")), 1)
        self.check_serves(daemon, stream)
        daemon.stop()

    def test_one_at_a_time(self):
        daemon = self.start()
        stream = self.sse(daemon)
        daemon.replace(SLEEPS)
        daemon.send_signal(signal.SIGUSR2)
        eventually(lambda: daemon.events("upgrade_begun"), "its beginning")
        daemon.send_signal(signal.SIGUSR2)
        eventually(lambda: daemon.events("upgrade_refused"), "a refusal")
        self.check_serves(daemon, stream)
        daemon.stop()  # in the middle of an upgrade


if __name__ == "__main__":
    unittest.main()
