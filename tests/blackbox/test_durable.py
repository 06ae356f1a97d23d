# SPDX-License-Identifier: Apache-2.0
"""A broker with a log on the disk: ends of every kind, and what is there afterwards."""

import os
import random
import resource
import shutil
import struct
import subprocess
import tempfile
import threading
import unittest
import zlib
from pathlib import Path

from harness import FANHORN, Daemon, FanhornTest, config, eventually, position, shifted
from readers import READERS, SseReader, on_each
from wire import TIMEOUT, Wire, build_request

SOAK = bool(os.environ.get("FANHORN_SOAK"))
CHANNELS = """
[channel **]
broker = disk
history = 100k
history_bytes = 64m
slow_consumer_limit = 16m
[channel short:**]
broker = disk
history = 3
"""


def durable(sync="always", path="@DIR@/log", more="", **parts):
    return config(more=f"[broker disk]\npath = {path}\nsync = {sync}\n{more}", channels=CHANNELS, **parts)


def begin_again(daemon):
    daemon.launch()
    eventually(daemon._is_ready, "readiness")


def crash(daemon):
    daemon.process.kill()
    daemon.process.wait()


def restart(daemon):
    daemon.process.terminate()
    assert daemon.wait() == 0
    begin_again(daemon)


def history(daemon, channel):
    """All that is kept, in pages."""
    messages, since = [], "earliest"
    while True:
        page = daemon.poll(channel, since=since, wait="0")
        if not page["messages"]:
            return messages
        messages += page["messages"]
        since = page["next"]


def last_segment(daemon):
    return max((daemon.dir / "log").glob("log.*"))


class Restart(FanhornTest):
    config = durable()

    @on_each(*READERS)
    def test_a_reader_goes_on(self, reader_class):
        ids = [self.daemon.publish(self.channel, f"m{number}".encode())["id"] for number in range(4)]
        restart(self.daemon)
        reader = reader_class(self.daemon, self.channel, ids[1])
        self.addCleanup(reader.close)
        self.assertEqual([message["id"] for message in reader.messages(2)], ids[2:])
        next_id = self.daemon.publish(self.channel, b"and on")["id"]
        self.assertEqual(reader.next_message()["id"], next_id)
        self.assertEqual(position(next_id), position(shifted(ids[-1], 1)))  # nothing skipped

    def test_what_is_kept(self):
        first = self.daemon.publish(self.channel, b"hello", idempotency_key="k")
        self.daemon.publish("state", b"on", method="PUT")
        for _ in range(5):
            self.daemon.publish("short:x")
        crash(self.daemon)
        begin_again(self.daemon)
        again = self.daemon.request("POST", f"/pub/{self.channel}", body=b"hello", query={"idempotency_key": "k"})
        self.assertEqual(again.headers["Fanhorn-Replayed"], "1")
        self.assertEqual(again.json()["id"], first["id"])
        stream = self.sse("state")
        self.assertEqual(stream.next_event().data, "on")
        self.assertEqual(self.daemon.facts("short:x")["messages"], 3)
        self.assertEqual(self.daemon.facts("short:x")["n"], 5)
        self.assertEqual(self.daemon.request("DELETE", "/pub/state").status, 204)
        crash(self.daemon)
        begin_again(self.daemon)
        self.assertIsNone(self.daemon.facts("state"))

    def test_an_event_source_over_a_crash(self):
        stream = self.sse(self.channel).opened()
        for number in range(3):
            self.daemon.publish(self.channel, f"m{number}".encode())
        events = [stream.next_event() for _ in range(2)]
        self.assertEqual([event.data for event in events], ["m0", "m1"])
        seen = events[1].id
        crash(self.daemon)
        begin_again(self.daemon)
        later = self.daemon.publish(self.channel, b"m3")["id"]
        stream = self.sse(self.channel, headers={"Last-Event-ID": seen})
        events = [stream.next_event() for _ in range(2)]
        self.assertEqual([event.data for event in events], ["m2", "m3"])
        self.assertEqual(events[1].id, later)
        self.assertEqual(position(later)[0], position(seen)[0])

    def test_a_trimmed_stretch_is_told(self):
        ids = [self.daemon.publish("short:gap", b"x")["id"] for _ in range(6)]
        restart(self.daemon)
        reader = SseReader(self.daemon, "short:gap", ids[0])
        self.addCleanup(reader.close)
        self.assertEqual(reader.next_gap(), {"channel": "short:gap", "after": ids[0], "next": ids[3], "why": "trimmed"})

    def test_metrics(self):
        before = self.daemon.metrics()
        self.daemon.publish(self.channel)
        after = self.daemon.metrics()
        self.assertGreater(after["fanhorn_log_commit_seconds_count"], before["fanhorn_log_commit_seconds_count"])
        self.assertGreater(after["fanhorn_log_bytes"], 0)
        self.assertEqual(after["fanhorn_log_errors_total"], 0)


class Start(unittest.TestCase):
    def refuses(self, daemon):
        """What a second daemon, of another configuration file on the same folder, says."""
        second = Daemon(daemon.text.replace("@DIR@", str(daemon.dir)))
        second.public, second.private = ("127.0.0.1", 0), ("127.0.0.1", 0)
        second.write_config(second.text)
        ended = subprocess.run([FANHORN, "-c", second.file], capture_output=True, text=True, timeout=TIMEOUT)
        shutil.rmtree(second.dir)
        self.assertEqual(ended.returncode, 1)
        return ended.stderr

    def test_one_daemon_a_folder(self):
        with Daemon(durable()) as daemon:
            self.assertIn("[broker disk]", self.refuses(daemon))
            self.assertIn("is held by another daemon", self.refuses(daemon))
            crash(daemon)
            begin_again(daemon)  # nothing is left of the lock

    def test_damage_is_refused(self):
        with Daemon(durable()) as daemon:
            for number in range(50):
                daemon.publish("c", f"message {number}".encode())
            crash(daemon)
            whole = last_segment(daemon).read_bytes()
            damaged = whole.replace(b"message 20", b"message 2O")
            self.assertNotEqual(whole, damaged)
            last_segment(daemon).write_bytes(damaged)
            self.assertRegex(self.refuses(daemon), "log.00000001: damaged at byte [0-9]+")
            last_segment(daemon).write_bytes(whole)
            begin_again(daemon)
            self.assertEqual(len(history(daemon, "c")), 50)

    def test_a_torn_end_is_cut(self):
        with Daemon(durable()) as daemon:
            for number in range(10):
                daemon.publish("c", f"message {number}".encode())
            crash(daemon)
            os.truncate(last_segment(daemon), last_segment(daemon).stat().st_size - 5)
            begin_again(daemon)
            self.assertEqual([each["data"] for each in history(daemon, "c")], [f"message {n}" for n in range(9)])
            self.assertIn("event=broker_log_cut", daemon.log())


class EverySecond(unittest.TestCase):
    def test_a_crash_of_the_daemon_loses_nothing(self):
        with Daemon(durable("1s")) as daemon:
            ids = [daemon.publish("c", b"x")["id"] for _ in range(50)]
            crash(daemon)
            begin_again(daemon)
            self.assertEqual([each["id"] for each in history(daemon, "c")], ids)
            reader = SseReader(daemon, "c", ids[40])
            self.addCleanup(reader.close)
            self.assertEqual([each["id"] for each in reader.messages(9)], ids[41:])

    @staticmethod
    def lose_system(daemon, groups):
        """As if the system had gone down before it wrote the last groups: they are cut off, and the
        header names another run of the system."""
        crash(daemon)
        file = last_segment(daemon)
        data = bytearray(file.read_bytes())
        salt = bytes(data[16:32])
        end = len(data)
        for _ in range(groups):
            end = data.rindex(salt, 0, end)
        header = 16 + 16 + 16 + 9 * 8
        data[32:48] = bytes(16)
        data[header:header + 4] = struct.pack("<I", zlib.crc32(data[:header]))
        file.write_bytes(data[:end])

    def test_what_the_system_lost_is_told(self):
        with Daemon(durable("1s")) as daemon:
            ids = [daemon.publish("c", f"m{number}".encode())["id"] for number in range(8)]
            self.lose_system(daemon, 3)
            begin_again(daemon)
            self.assertIn("event=broker_log_lost", daemon.log())
            later = daemon.publish("c", b"later")["id"]
            self.assertGreater(position(later)[1], position(ids[-1])[1])
            for reader_class in READERS:
                for since, first in ((ids[2], ids[3:5]), (ids[4], []), (ids[6], [])):
                    with self.subTest(reader_class.name, since=since):
                        reader = reader_class(daemon, "c", since)
                        self.addCleanup(reader.close)
                        self.assertEqual([each["id"] for each in reader.messages(len(first))], first)
                        after = ids[4] if first else since
                        self.assertEqual(reader.next_gap(), {"channel": "c", "after": after, "next": later, "why": "broker"})
                        self.assertEqual(reader.next_message()["id"], later)


class Queue(FanhornTest):
    config = durable(more="log_queue = 1k\n")

    def test_publishes_that_wait_have_a_bound(self):
        wires = [self.wire() for _ in range(8)]

        def hit():
            responses = []
            while 503 not in [response.status for response in responses]:
                for wire in wires:
                    wire.send(build_request("POST", "/pub/" + self.channel, wire.address, body=b"x" * 900))
                responses = [wire.read_response() for wire in wires]
            self.assertIn(200, [response.status for response in responses])
            refused = next(response for response in responses if response.status == 503)
            self.assert_problem(refused, 503, "broker_down")
            self.assertIn("Retry-After", refused.headers)
        self.assert_limit("log_queue", hit)


class Publisher(threading.Thread):
    """Numbers, one after the other, until the daemon is gone; remembers what was acknowledged."""

    def __init__(self, daemon, channel, number):
        super().__init__()
        self.daemon, self.channel, self.number, self.acknowledged = daemon, channel, number, []

    def run(self):
        try:
            with Wire(self.daemon.private) as wire:
                while True:
                    self.number += 1
                    response = wire.request("POST", "/pub/" + self.channel, body=b"n%d" % self.number)
                    if response.status == 200:
                        self.acknowledged.append((response.json()["id"], f"n{self.number}"))
        except (OSError, AssertionError):
            pass  # killed


class Kill(unittest.TestCase):
    """kill -9 again and again, under publishers: what was acknowledged is there, once, in order."""

    def kill_often(self, sync, rounds, seed):
        rng = random.Random(seed)
        with Daemon(durable(sync)) as daemon:
            acknowledged, numbers = {f"c{n}": [] for n in range(4)}, {f"c{n}": 0 for n in range(4)}
            epochs = set()
            for _ in range(rounds):
                publishers = [Publisher(daemon, channel, number) for channel, number in numbers.items()]
                for publisher in publishers:
                    publisher.start()
                wanted = sum(map(len, acknowledged.values())) + rng.randrange(1, 60)
                eventually(lambda: sum(len(p.acknowledged) for p in publishers) +
                           sum(map(len, acknowledged.values())) >= wanted, "publishing")
                crash(daemon)
                for publisher in publishers:
                    publisher.join()
                    acknowledged[publisher.channel] += publisher.acknowledged
                    numbers[publisher.channel] = publisher.number
                begin_again(daemon)
                for channel, expected in acknowledged.items():
                    stored = [(each["id"], each["data"]) for each in history(daemon, channel)]
                    self.assertEqual([data for _, data in stored], sorted((data for _, data in stored), key=lambda data: int(data[1:])))
                    seqs = [position(identity)[1] for identity, _ in stored]
                    self.assertEqual(seqs, sorted(set(seqs)))
                    self.assertLessEqual(set(expected), set(stored), "acknowledged and gone")
                    epochs |= {position(identity)[0] for identity, _ in stored}
            self.assertEqual(len(epochs), 1)

    def test_always(self):
        self.kill_often("always", 200 if SOAK else 5, seed=6)

    def test_every_second(self):
        self.kill_often("1s", 200 if SOAK else 5, seed=7)


class FullDisk(unittest.TestCase):
    """Publishers get 503 and lose nothing; subscribers stay; it recovers by itself."""

    def publish(self, daemon, size):
        return daemon.request("POST", "/pub/c", body=b"x" * size)

    def check(self, daemon, fill, make_room):
        stream = SseReader(daemon, "c")
        self.addCleanup(stream.close)
        ids = [self.publish(daemon, 1000).json()["id"]]
        fill(daemon)
        refused = None
        while refused is None:
            answer = self.publish(daemon, 50_000)
            if answer.status == 200:
                ids.append(answer.json()["id"])
            else:
                refused = answer
        self.assertEqual((refused.status, refused.json()["code"]), (503, "broker_down"))
        self.assertIn("Retry-After", refused.headers)
        self.assertIn("event=broker_log_failed", daemon.log())
        make_room(daemon)
        ids.append(eventually(lambda: (lambda answer: answer.json()["id"] if answer.status == 200 else None)(
            self.publish(daemon, 1000)), "recovery"))
        self.assertIn("event=broker_log_recovered", daemon.log())
        self.assertGreater(daemon.metrics()["fanhorn_log_refused_total"], 0)
        self.assertEqual([each["id"] for each in stream.messages(len(ids))], ids)
        crash(daemon)
        begin_again(daemon)
        self.assertEqual([each["id"] for each in history(daemon, "c")], ids)

    def test_no_room(self):
        folder = tempfile.mkdtemp(prefix="fanhorn-full-")
        self.addCleanup(shutil.rmtree, folder)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True)
        if mounted.returncode:  # who may not mount has the next test
            print("NOT RUN: a file system of 4 MB needs root:", mounted.stderr.decode().strip())
            return
        self.addCleanup(subprocess.run, ["umount", "-l", folder], check=True)
        ballast = Path(folder) / "ballast"
        with Daemon(durable(path=folder + "/log")) as daemon:
            self.check(daemon, lambda _: ballast.write_bytes(bytes(3_500_000)), lambda _: ballast.unlink())

    def test_a_file_that_may_not_grow(self):
        with Daemon(durable()) as daemon:
            limit = lambda size: lambda daemon: resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE,
                                                                 (size, resource.RLIM_INFINITY))
            # A new segment has a header at most.
            self.check(daemon, limit(20_000), limit(resource.RLIM_INFINITY))
