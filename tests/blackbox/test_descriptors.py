# SPDX-License-Identifier: Apache-2.0
"""Where descriptors are few: tables of their own (descriptors = worker), with logs, reloads and new
listeners; and who is still answered when there are none left."""

import itertools
import os
import resource
import select
import signal
import threading
import time
import unittest
from pathlib import Path

from harness import PATIENCE, Daemon, FanhornTest, Wire, config, eventually, free_ports
from process import cpu_seconds
from sse import SseClient
from wire import Wire

LIMIT = 200  # of open files
WORKERS = 4
OWN_TABLES = f"workers = {WORKERS}\ndescriptors = worker"
LOG = "[log]\ntarget = @DIR@/fanhorn.log\nlevel = info\n"


class OwnTables(FanhornTest):
    config = config(server=OWN_TABLES, more=LOG)
    options = {"nofile": LIMIT}

    def setUp(self):
        super().setUp()
        self.log = self.daemon.dir / "fanhorn.log"

    def test_more_connections_than_one_table_holds(self):
        count = 2 * LIMIT
        streams = [self.sse(self.channel).opened() for _ in range(count)]
        self.wait_subscribers(self.channel, count)
        identity = self.daemon.publish(self.channel, b"to all")["id"]
        self.assertEqual({stream.next_event().id for stream in streams}, {identity})
        self.assertEqual(self.daemon.limit_hits("descriptors"), 0)
        open_files = self.daemon.metrics()["process_open_fds"]
        self.assertGreater(open_files, count)

    def test_connections_are_counted_over_all_tables(self):
        lowered = next(line for line in self.log.read_text().splitlines() if "max_connections_lowered" in line)
        allowed = int(lowered.split(" to=")[1].split()[0])
        self.assertGreater(allowed, LIMIT)
        self.assertLess(allowed, WORKERS * LIMIT)

    def test_the_log_is_reopened_in_every_table(self):
        moved = self.daemon.dir / "moved.log"
        eventually(self.log.exists, "the log")
        self.log.rename(moved)
        self.daemon.send_signal(signal.SIGUSR1)
        eventually(self.log.exists, "the new log")

        def workers_write_there():  # the worker that had the request tells the limit
            self.daemon.request("GET", "/healthz", headers={"X-Long": "x" * 20_000})
            return "limit=header_size" in self.log.read_text()

        eventually(workers_write_there, "a worker's line in the new log")

        def old_log_rests():  # a worker may have been about to write as the signal came
            size = moved.stat().st_size
            for _ in range(4 * WORKERS):
                workers_write_there()
            return moved.stat().st_size == size

        eventually(old_log_rests, "all workers' turning to the new log")


class OneTable(unittest.TestCase):
    def test_it_need_not_grow_while_threads_run(self):
        """The kernel would hold up who accepts for milliseconds, at each doubling."""
        with Daemon(nofile=3000) as daemon:
            status = Path(f"/proc/{daemon.process.pid}/status").read_text()
            size = int(status.split("FDSize:")[1].split()[0])
            self.assertGreater(size, daemon.metrics()["process_open_fds"] + 2000)


class Reload(unittest.TestCase):
    def test_a_new_listener_reaches_every_table(self):
        (port,) = free_ports(1)
        with Daemon(config(server=OWN_TABLES, more=LOG), nofile=LIMIT) as daemon:
            more = f"{LOG}[listener more]\naddress = 127.0.0.1:{port}\nserve = subscribe\n"
            daemon.write_config(config(server=OWN_TABLES, more=more))
            daemon.send_signal(signal.SIGHUP)
            eventually(lambda: "event=reloaded" in (daemon.dir / "fanhorn.log").read_text(), "the reload")
            streams = [SseClient(("127.0.0.1", port), "/sub/x").opened() for _ in range(5 * WORKERS)]
            identity = daemon.publish("x", b"x")["id"]
            self.assertEqual({stream.next_event().id for stream in streams}, {identity})
            for stream in streams:
                stream.close()

    def test_where_the_log_goes_stays(self):
        with Daemon(config(server=OWN_TABLES, more=LOG)) as daemon:
            log = daemon.dir / "fanhorn.log"
            daemon.write_config(config(server=OWN_TABLES, more=LOG.replace("fanhorn.log", "other.log")))
            daemon.send_signal(signal.SIGHUP)
            eventually(lambda: "setting=\"[log] target\"" in log.read_text(), "the warning")
            self.assertFalse((daemon.dir / "other.log").exists())


class Probe(threading.Thread):
    """Asks the private listener, all the time; `answers` are (path, status, seconds)."""

    REQUESTS = (("GET", "/healthz"), ("GET", "/metrics"), ("POST", "/pub/x"), ("GET", "/readyz"))

    def __init__(self, daemon):
        super().__init__(daemon=True)
        self.daemon_, self.ends, self.answers = daemon, threading.Event(), []

    def run(self):
        for method, path in itertools.cycle(self.REQUESTS):
            if self.ends.wait(0.05):
                return
            start, status = time.monotonic(), None
            try:
                status = self.daemon_.request(method, path, timeout=2 * PATIENCE).status
            except (OSError, AssertionError) as error:
                status = repr(error)
            self.answers.append((path, status, time.monotonic() - start))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ends.set()
        self.join()


class NoneLeft(unittest.TestCase):
    """500 clients, and 200 descriptors."""

    CROWD = 500

    def test_from_the_start(self):
        with Daemon(config(), nofile=LIMIT) as daemon:
            self.check(daemon, "max_connections")

    def test_taken_away(self):
        """From the running daemon, so that accept() fails."""
        with Daemon(config(), nofile=2 * self.CROWD) as daemon:
            self.check(daemon, "descriptors")
            self.assertIn("event=descriptors_exhausted", daemon.log())

    def test_taken_away_from_own_tables(self):
        with Daemon(config(server="workers = 2\ndescriptors = worker", more=LOG), nofile=2 * self.CROWD) as daemon:
            self.check(daemon, "descriptors")

    def check(self, daemon, limit):
        self.deliver_once(daemon)
        if limit == "descriptors":
            resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
        stream = SseClient(daemon.public, "/sub/x", {"since": "latest"}).opened()
        with Probe(daemon) as probe:
            crowd = [Wire(daemon.public, timeout=2) for _ in range(self.CROWD)]
            eventually(lambda: daemon.limit_hits(limit) > 0, "the limit")
            before, start = cpu_seconds(daemon.process.pid), time.monotonic()
            time.sleep(3)
            used = (cpu_seconds(daemon.process.pid) - before) / (time.monotonic() - start)
            refused = [wire for wire in crowd if select.select([wire.socket], [], [], 0)[0]]
            self.assertEqual({wire.read_response().status for wire in refused}, {503})
            for wire in crowd:
                wire.close()
            self.check_recovery(daemon)
        self.assertLess(used, 0.05 if not os.environ.get("FANHORN_SANITIZED") else 0.3, "spinning")
        self.assertEqual({status for _, status, _ in probe.answers}, {200}, probe.answers)
        self.assertLess(max(seconds for _, _, seconds in probe.answers), PATIENCE)
        self.assertGreater(len(probe.answers), 30)
        identity = daemon.publish("x", b"last")["id"]
        while stream.next_event().id != identity:
            pass
        stream.close()

    def deliver_once(self, daemon):
        """UBSan opens a pipe when it meets an object of a type for the first time."""
        stream = SseClient(daemon.public, "/sub/x").opened()
        daemon.publish("x", b"first")
        self.assertEqual(stream.next_event().data, "first")
        for method, path in Probe.REQUESTS:
            daemon.request(method, path)
        stream.close()

    def check_recovery(self, daemon):
        """Every worker, within a second."""
        start = time.monotonic()
        eventually(lambda: all(self.answers(daemon) for _ in range(16)), "recovery")
        self.assertLess(time.monotonic() - start, PATIENCE)

    def answers(self, daemon):
        try:
            return daemon.request("GET", "/healthz", "public", timeout=0.5).status == 200
        except (OSError, AssertionError):
            return False


if __name__ == "__main__":
    unittest.main()
