# SPDX-License-Identifier: Apache-2.0
"""fanhornctl bench: every delivery is counted, whatever the transport, and a server that cheats is caught."""

import json
import queue
import subprocess
import threading
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from harness import FANHORNCTL, TIMEOUT, FanhornTest, config

KEYS = {"connected", "failed", "closed", "connect_seconds", "connects_per_second", "published", "refused",
        "publish_seconds", "publishes_per_second", "deliveries", "expected", "lost", "doubled", "disordered",
        "seconds", "deliveries_per_second", "reads_per_delivery", "latency_us", "client"}
SERVER_KEYS = {"cpu_us_connect", "cpu_us_hold", "hold_seconds", "cpu_us_run", "cpu_us_per_connect",
               "cpu_us_per_delivery", "cpu_us_per_publish", "user_bytes_before", "user_bytes_connected", "user_bytes_after",
               "user_bytes_per_connection"}
KERNEL_KEYS = {"tcp_bytes_before", "tcp_bytes_connected", "tcp_bytes_after", "slab_bytes_before",
               "slab_bytes_connected", "server_tcp_bytes_connected", "server_tcp_bytes_after"}


def bench(subscribe, publish, *args):
    return subprocess.run([FANHORNCTL, "bench", "--subscribe-url", subscribe + "/sub/{channel}", "--publish-url",
                           publish + "/pub/{channel}", *args], capture_output=True, text=True,
                          timeout=2 * TIMEOUT, check=False)


class Bench(FanhornTest):
    config = config(defaults="history = 1000",
                    channels="[channel **]\n[channel large:*]\nslow_consumer_limit = 16m\n[channel beat:*]\nheartbeat = 1s\n[channel cut:*]\n"
                             "slow_consumer = disconnect\n")

    def bench(self, *args, code=0):
        urls = ("http://%s:%d" % self.daemon.address(listener) for listener in ("public", "private"))
        done = bench(*urls, "--json", *args)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return json.loads(done.stdout)

    def assert_all_came(self, report, subscribers, messages):
        self.assertEqual(set(report) - {"server", "kernel"}, KEYS)
        for key in ("failed", "closed", "refused", "lost", "doubled", "disordered"):
            self.assertEqual(report[key], 0, key)
        self.assertEqual(report["connected"], subscribers)
        self.assertEqual(report["published"], messages)
        self.assertEqual(report["deliveries"], report["expected"])
        self.assertGreater(report["latency_us"]["max"], 0)
        self.assertGreaterEqual(report["latency_us"]["p99"], report["latency_us"]["p50"])

    def test_each_transport(self):
        for transport in ("websocket", "sse", "longpoll"):
            with self.subTest(transport):
                report = self.bench("--transport", transport, "--subscribers", "50", "--channels", "4",
                                    "--messages", "202")
                self.assert_all_came(report, 50, 202)
                # Two channels have 13 readers and 51 messages, two 12 and 50.
                self.assertEqual(report["expected"], 2 * 13 * 51 + 2 * 12 * 50)

    def test_large_messages(self):  # the window is the mean reader's: one may be far behind
        for transport in ("websocket", "sse", "longpoll"):
            with self.subTest(transport):
                report = self.bench("--transport", transport, "--subscribers", "10", "--size", "60000",
                                    "--prefix", f"large:{transport}",
                                    "--messages", "40", "--window", "2")
                self.assert_all_came(report, 10, 40)

    def test_processes_and_sources(self):
        report = self.bench("--subscribers", "50", "--processes", "3", "--sources", "2", "--messages", "100",
                            "--connect-rate", "1000", "--publishers", "4", "--channels", "5")
        self.assert_all_came(report, 50, 100)
        self.assertEqual(report["deliveries"], 1000)
        self.assertGreater(report["connect_seconds"], 0.04)

    def test_ndjson(self):
        report = self.bench("--publish-format", "ndjson", "--subscribers", "10", "--channels", "3", "--messages",
                            "3000")
        self.assert_all_came(report, 10, 3000)

    def test_rate(self):
        report = self.bench("--rate", "200", "--messages", "100", "--subscribers", "2")
        self.assert_all_came(report, 2, 100)
        self.assertGreater(report["publish_seconds"], 0.45)

    def test_accounts(self):
        report = self.bench("--pid", str(self.daemon.process.pid), "--subscribers", "50", "--hold", "1", "--messages",
                            "500")
        self.assert_all_came(report, 50, 500)
        self.assertEqual(set(report["server"]), SERVER_KEYS)
        self.assertLessEqual(KERNEL_KEYS, set(report["kernel"]))
        self.assertGreater(report["server"]["cpu_us_per_delivery"], 0)
        self.assertGreater(report["server"]["user_bytes_before"], 100_000)

    def test_stopped_readers_are_not_awaited(self):
        report = self.bench("--subscribers", "10", "--stopped", "3", "--messages", "100")
        self.assert_all_came(report, 10, 100)
        self.assertEqual(report["deliveries"], 700)

    def test_what_the_server_holds_for_a_stopped_reader(self):
        report = self.bench("--subscribers", "5", "--stopped", "2", "--messages", "600", "--size", "16000",
                            "--window", "4", "--pid", str(self.daemon.process.pid))  # as below
        kernel = report["kernel"]
        self.assertLess(kernel["server_tcp_bytes_connected"], kernel["server_tcp_bytes_after"])
        self.assertLess(kernel["server_tcp_bytes_after"], 2 * 256 * 1024)  # 600 messages are 9.6 MB a reader

    def test_stopped_readers_that_are_closed(self):
        report = self.bench("--subscribers", "5", "--stopped", "2", "--messages", "600", "--size", "16000",
                            "--prefix", "cut:", "--window", "4", code=1)  # no reader is behind by the limit
        self.assertEqual((report["closed"], report["lost"]), (2, 0))

    def test_for_a_time(self):
        for lanes in ("1", "3"):
            with self.subTest(lanes=lanes):
                report = self.bench("--seconds", "1", "--subscribers", "6", "--channels", "3", "--publishers", lanes)
                self.assertGreater(report["published"], 100)
                self.assert_all_came(report, 6, report["published"])
                self.assertEqual(report["deliveries"], 2 * report["published"])
                self.assertLess(report["publish_seconds"], 6)  # the slower lanes follow the fastest
        self.assertEqual(self.bench("--seconds", "9", "--messages", "7", "--subscribers", "1")["published"], 7)

    def test_heartbeats_are_answered(self):
        for transport in ("websocket", "sse"):
            with self.subTest(transport):
                report = self.bench("--transport", transport, "--subscribers", "5", "--hold", "4", "--messages", "5",
                                    "--channels", "1", "--prefix", "beat:")
                self.assert_all_came(report, 5, 5)

    def test_no_subscribers(self):
        self.assertEqual(self.bench("--subscribers", "0", "--messages", "100")["published"], 100)

    def test_refused(self):
        report = self.bench("--subscribers", "1", "--messages", "3", "--size", "100000", "--patience", "1", code=1)
        self.assertEqual((report["refused"], report["lost"]), (3, 3))


class Cheat(BaseHTTPRequestHandler):
    """Sends message 2 twice and 3 never, and 5 after 6."""

    protocol_version = "HTTP/1.1"
    readers, sent = [], 0

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.flush()
        events = queue.Queue()
        Cheat.readers.append(events)
        while (event := events.get(timeout=TIMEOUT)) is not None:
            self.wfile.write(event)
        self.close_connection = True

    def do_POST(self):
        event = b"data: " + self.rfile.read(int(self.headers["Content-Length"])) + b"\n\n"
        number, Cheat.sent = Cheat.sent, Cheat.sent + 1
        if number == 5:
            Cheat.late = event
        times = {2: 2, 3: 0, 5: 0}.get(number, 1)
        for reader in Cheat.readers:
            reader.put(event * times + (Cheat.late if number == 6 else b""))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *args):
        pass


class SocketIo(BaseHTTPRequestHandler):
    """Engine.IO 4 over WebSocket: one subscriber, joined by its URL, that has to answer a ping."""

    protocol_version = "HTTP/1.1"
    events = queue.Queue()

    def frame(self, text):
        head = bytes([0x81, len(text)]) if len(text) < 126 else b"\x81\x7e" + len(text).to_bytes(2, "big")
        self.wfile.write(head + text)

    def read_frame(self):
        head = self.rfile.read(6)
        return self.rfile.read(head[1] & 0x7F)

    def do_GET(self):
        self.send_response(101)
        self.end_headers()
        self.wfile.flush()
        self.frame(b'0{"sid":"x","pingInterval":25000}')
        assert self.read_frame() == b"40"
        self.frame(b'40{"sid":"y"}')
        self.frame(b"2")
        assert self.read_frame() == b"3"
        while (event := self.events.get(timeout=TIMEOUT)) is not None:
            self.frame(b'42["message","' + event + b'"]')
        self.close_connection = True

    def do_POST(self):
        self.events.put(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    log_message = Cheat.log_message


class OtherServers(unittest.TestCase):
    def serve(self, handler, end):
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.addCleanup(end)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return "http://127.0.0.1:%d" % server.server_port

    def test_socket_io(self):
        url = self.serve(SocketIo, lambda: SocketIo.events.put(None))
        done = bench(url, url, "--json", "--transport", "socket.io", "--subscribers", "1", "--messages", "50")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout)["deliveries"], 50)

    def test_a_server_that_cheats(self):
        url = self.serve(Cheat, lambda: [reader.put(None) for reader in Cheat.readers])
        done = bench(url, url, "--json", "--transport", "sse", "--subscribers", "2", "--messages", "10", "--patience",
                     "1")
        self.assertEqual(done.returncode, 1, done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual(report["expected"], 20)
        self.assertEqual(report["deliveries"], 18)
        self.assertEqual((report["lost"], report["doubled"], report["disordered"]), (2, 2, 2))

    def test_nobody_there(self):
        done = bench("http://127.0.0.1:1", "http://127.0.0.1:1", "--subscribers", "3", "--json")
        self.assertEqual(done.returncode, 1)
        self.assertIn("Connection refused", done.stderr)
        self.assertEqual(json.loads(done.stdout)["failed"], 3)

    def test_wrong_usage(self):
        for args in (["--subscribers", "x"], ["--transport", "smoke"], ["--size", "8"], ["--stopped", "200"],
                     ["--subscribers", "4000000"], ["--url", "http://x"], ["--pid", "me"], ["more"]):
            with self.subTest(args):
                done = bench("http://127.0.0.1:1", "http://127.0.0.1:1", *args)
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertTrue(done.stderr.startswith("fanhornctl: "), done.stderr)

    def test_table(self):
        done = bench("http://127.0.0.1:1", "http://127.0.0.1:1", "--subscribers", "3")
        rows = dict(line.rsplit(None, 1) for line in done.stdout.splitlines())
        self.assertEqual((rows["failed"], rows["connects_per_second"]), ("3", "0.00"))


if __name__ == "__main__":
    unittest.main()
