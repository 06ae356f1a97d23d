# SPDX-License-Identifier: Apache-2.0
"""descriptors = worker: more connections than one table holds, with logs, reloads and new listeners."""

import signal
import unittest
from pathlib import Path

from harness import Daemon, FanhornTest, config, eventually, free_ports
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


if __name__ == "__main__":
    unittest.main()
