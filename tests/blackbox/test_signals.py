# SPDX-License-Identifier: Apache-2.0
"""Signals: stop, drain, reload in place, reopened logs, and what systemd is told."""

import os
import re
import signal
import socket
import tempfile
import threading
import time
import unittest

from harness import Daemon, Wire, config, eventually, free_ports
from sse import SseClient
from wire import build_request
from ws import WsClient


class SignalTest(unittest.TestCase):
    def daemon(self, text=None, **options):
        daemon = Daemon(text, **options).start()
        self.addCleanup(daemon.kill)
        return daemon

    def sse(self, daemon, channels="x", **query):
        client = SseClient(daemon.public, "/sub/" + channels, query)
        self.addCleanup(client.close)
        return client.opened()

    def ws(self, daemon, channels="x", **query):
        client = WsClient(daemon.public, "/sub/" + channels, query)
        self.addCleanup(client.close)
        return client

    def held(self, daemon, channel="x", wait=30):
        wire = Wire(daemon.public)
        self.addCleanup(wire.close)
        wire.send(build_request("GET", "/sub/" + channel, daemon.public, query={"wait": wait}))
        return wire

    def crowd(self, daemon, count):
        streams = [self.sse(daemon) for _ in range(count)]
        sockets = [self.ws(daemon) for _ in range(count)]
        polls = [self.held(daemon) for _ in range(count)]
        eventually(lambda: daemon.subscribers("x") == 3 * count, "the crowd")
        return streams, sockets, polls

    def gone(self, daemon):
        self.assertEqual(daemon.wait(), 0, daemon.log())
        for address in (daemon.public, daemon.private):
            with self.assertRaises(OSError):
                Wire(address)


class Stop(SignalTest):
    def test_term_and_int(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number=number):
                daemon = self.daemon()
                self.crowd(daemon, 3)
                start = time.monotonic()
                daemon.send_signal(number)
                self.gone(daemon)
                self.assertLess(time.monotonic() - start, 10)

    def test_stop_in_the_middle_of_a_request(self):
        daemon = self.daemon()
        wire = Wire(daemon.private)
        wire.send(b"POST /pub/x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
        daemon.send_signal(signal.SIGTERM)
        self.gone(daemon)
        wire.close()


class Drain(SignalTest):
    text = config(server="drain = 2s")

    def test_everybody_is_told_when_to_come_back(self):
        daemon = self.daemon(self.text)
        streams, sockets, polls = self.crowd(daemon, 6)
        daemon.publish("y")
        daemon.send_signal(signal.SIGQUIT)
        retries = set()
        for client in sockets:
            close = client.expect_close()
            self.assertEqual(close.code, 1001)
            retries.add(int(re.fullmatch(r"retry=([0-9]+)", close.reason)[1]))
        for stream in streams:
            last = None
            while (block := stream.next_block()) is not None:
                last = block.retry or last
            retries.add(int(last))
        for wire in polls:
            response = wire.read_response()
            self.assertIn(response.status, (200, 503), response)
            self.assertRegex(response.headers["Retry-After"], r"^[0-9]+$")
        self.assertGreater(len(retries), 4, "the pauses are not jittered")
        self.gone(daemon)

    def test_the_closes_are_spread(self):
        daemon = self.daemon(self.text)
        sockets = [self.ws(daemon) for _ in range(20)]
        ends = []

        def wait(client):
            client.expect_close()
            ends.append(time.monotonic())

        threads = [threading.Thread(target=wait, args=(client,)) for client in sockets]
        for thread in threads:
            thread.start()
        start = time.monotonic()
        daemon.send_signal(signal.SIGQUIT)
        for thread in threads:
            thread.join()
        self.gone(daemon)
        self.assertEqual(len(ends), 20)
        self.assertGreater(max(ends) - min(ends), 0.5)
        self.assertLess(time.monotonic() - start, 10)

    def test_nothing_kept_open_means_no_wait(self):
        daemon = self.daemon(config(server="drain = 30s"))
        start = time.monotonic()
        daemon.send_signal(signal.SIGQUIT)
        self.gone(daemon)
        self.assertLess(time.monotonic() - start, 15)

    def test_term_cuts_a_drain_short(self):
        daemon = self.daemon(config(server="drain = 60s"))
        self.crowd(daemon, 10)
        daemon.send_signal(signal.SIGQUIT)
        time.sleep(0.2)
        self.assertTrue(daemon.is_alive())
        daemon.send_signal(signal.SIGTERM)
        self.gone(daemon)


class Reload(SignalTest):
    def reload(self, daemon, text):
        daemon.write_config(text)
        daemon.send_signal(signal.SIGHUP)

    def governed_by(self, daemon, channel, section):
        return section in (daemon.facts(channel) or {}).get("section", "")

    def test_connections_and_history_stay(self):
        daemon = self.daemon()
        ids = [daemon.publish("x", f"m{number}")["id"] for number in range(3)]
        streams, sockets, polls = self.crowd(daemon, 2)
        pid = daemon.process.pid
        self.reload(daemon, config(channels="[channel **]\n[channel x]\nhistory = 50\n"))
        eventually(lambda: self.governed_by(daemon, "x", "x") and "**" not in daemon.facts("x")["section"], "the new file")
        new = daemon.publish("x", b"after")["id"]
        self.assertEqual([stream.next_event().id for stream in streams], [new] * 2)
        self.assertEqual([client.next_text() for client in sockets], ["after"] * 2)
        self.assertEqual([wire.read_response().json()["next"] for wire in polls], [new] * 2)
        self.assertEqual([m["id"] for m in daemon.poll("x", since="earliest")["messages"]], ids + [new])
        self.assertEqual(daemon.process.pid, pid)
        daemon.stop()

    def test_new_limits_count(self):
        daemon = self.daemon()
        for number in range(20):
            daemon.publish("x", str(number))
        self.reload(daemon, config(defaults="history = 5\nmessage_size = 100b"))
        eventually(lambda: daemon.request("POST", "/pub/x", body=b"x" * 101).status == 413, "the new limit")
        daemon.publish("x")
        self.assertEqual(daemon.facts("x")["messages"], 5)
        daemon.stop()

    def test_a_broken_file_is_refused(self):
        daemon = self.daemon()
        stream = self.sse(daemon)
        self.reload(daemon, config(defaults="histroy = 5") + "\n[nonsense]\n")
        eventually(lambda: "histroy" in daemon.log(), "the error in the log")
        self.assertRegex(daemon.log(), r"fanhorn\.conf:[0-9]+: .*histroy.*did you mean 'history'\?")
        daemon.publish("x", b"hello")
        self.assertEqual(stream.next_event().data, "hello")
        self.reload(daemon, config(defaults="message_size = 10b"))
        eventually(lambda: daemon.request("POST", "/pub/x", body=b"x" * 11).status == 413, "the repaired file")
        daemon.stop()

    def test_listeners_come_and_go(self):
        daemon = self.daemon()
        stream = self.sse(daemon)
        port = free_ports(1)[0]  # at the last moment: nobody else may take it meanwhile
        more = f"[listener more]\naddress = 127.0.0.1:{port}\nserve = subscribe"
        self.reload(daemon, config(more=more))
        eventually(lambda: re.search("event=(reloaded|reload_refused)", daemon.log()), "a reload")
        self.assertNotIn("level=error", daemon.log())
        eventually(lambda: self.reaches(("127.0.0.1", port)), "the new listener")
        newcomer = SseClient(("127.0.0.1", port), "/sub/x").opened()
        daemon.publish("x", b"to both")
        self.assertEqual((stream.next_event().data, newcomer.next_event().data), ("to both", "to both"))
        newcomer.close()
        self.reload(daemon, config())
        eventually(lambda: not self.reaches(("127.0.0.1", port)), "its end")
        daemon.publish("x", b"still")
        self.assertEqual(stream.next_event().data, "still")
        daemon.stop()

    @staticmethod
    def reaches(address):
        try:
            Wire(address).close()
            return True
        except OSError:
            return False

    def test_reloads_under_load_lose_nothing(self):
        daemon = self.daemon(config(server="workers = 4"))
        clients = [self.sse(daemon) for _ in range(8)]
        ids, stop = [], threading.Event()

        def publish():
            with Wire(daemon.private) as wire:
                while not stop.wait(0.001):  # nobody reads yet: what waits must fit
                    ids.append(wire.request("POST", "/pub/x", body=b"x").json()["id"])

        thread = threading.Thread(target=publish)
        thread.start()
        for turn in range(6):
            self.reload(daemon, config(server="workers = 4", defaults=f"history = {100 + turn}"))
            time.sleep(0.1)
        stop.set()
        thread.join()
        self.assertGreater(len(ids), 20)
        for client in clients:
            self.assertEqual([client.next_event().id for _ in ids], ids)
        daemon.stop()


class Logs(SignalTest):
    def test_usr1_reopens(self):
        daemon = self.daemon(config(more="[log]\ntarget = @DIR@/fanhorn.log\nlevel = info\n"))
        log, moved = daemon.dir / "fanhorn.log", daemon.dir / "moved.log"
        eventually(log.exists, "the log")
        log.rename(moved)
        daemon.send_signal(signal.SIGUSR1)
        eventually(log.exists, "the new log")
        before = moved.read_text()
        daemon.write_config("broken")
        daemon.send_signal(signal.SIGHUP)
        eventually(lambda: "reload_refused" in log.read_text(), "a line in the new log")
        self.assertNotIn("reload_refused", moved.read_text()[len(before):])
        daemon.stop()

    def test_control_bytes_are_escaped(self):
        daemon = self.daemon(config(more="[log]\nlevel = debug\n"))
        daemon.request("POST", "/pub/nobody%0Afake=line", body=b"x")
        daemon.request("GET", "/sub/x%1B%5B31m", "public", headers={"User-Agent": "a\tb", "Referer": "\u202e"})
        for line in daemon.log().splitlines():
            self.assertFalse(line.startswith("fake=line"))
            self.assertNotRegex(line, r"[\x00-\x08\x0a-\x1f\x7f]")
        daemon.stop()


class Notify(SignalTest):
    def test_what_systemd_is_told(self):
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            path = os.path.join(folder, "notify")
            notify.bind(path)
            notify.settimeout(15)
            daemon = self.daemon(env={"NOTIFY_SOCKET": path})
            self.assertIn("READY=1", self.told(notify, "READY=1"))
            daemon.send_signal(signal.SIGHUP)
            reloading = self.told(notify, "RELOADING=1")
            self.assertRegex(reloading, r"MONOTONIC_USEC=[0-9]+")
            self.told(notify, "READY=1")
            daemon.send_signal(signal.SIGQUIT)
            self.told(notify, "STOPPING=1")
            self.gone(daemon)

    @staticmethod
    def told(notify, word):
        while True:
            text = notify.recv(4096).decode()
            if word in text.split("\n"):
                return text


if __name__ == "__main__":
    unittest.main()
