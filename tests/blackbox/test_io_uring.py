# SPDX-License-Identifier: Apache-2.0
"""Sends in batches, and each its own: the same messages, in the same order."""

import contextlib
import ctypes
import os
import unittest

from harness import FanhornTest, config

IO_URING_SETUP = 425  # the number of the system call on every architecture


def kernel_allows():
    parameters = ctypes.create_string_buffer(120)
    ring = ctypes.CDLL(None, use_errno=True).syscall(IO_URING_SETUP, 4, parameters)
    if ring >= 0:
        os.close(ring)
    return ring >= 0


class FanOut:
    def rings(self):
        folder = f"/proc/{self.daemon.process.pid}/fd"
        count = 0
        for name in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                count += "io_uring" in os.readlink(f"{folder}/{name}")
        return count

    def test_everybody_has_everything_in_order(self):
        streams = [self.sse(self.channel).opened() for _ in range(150)]
        sockets = [self.ws(self.channel) for _ in range(150)]
        self.wait_subscribers(self.channel, 300)
        ids = [self.daemon.publish(self.channel, f"m{number}")["id"] for number in range(30)]
        texts = [f"m{number}" for number in range(30)]
        for stream in streams:
            self.assertEqual([stream.next_event().id for _ in ids], ids)
        for client in sockets:
            self.assertEqual([client.next_text() for _ in texts], texts)
        deliveries = sum(value for name, value in self.daemon.metrics().items()
                         if name.startswith("fanhorn_deliveries_total"))
        self.assertGreaterEqual(deliveries, 300 * 30)

    def test_a_reader_that_goes_or_stops_disturbs_nobody(self):
        streams = [self.sse(self.channel).opened() for _ in range(20)]
        gone = [self.sse(self.channel).opened() for _ in range(5)]
        stopped = [self.sse(self.channel, receive_buffer=4096).opened() for _ in range(5)]
        self.wait_subscribers(self.channel, 30)
        for client in gone:
            client.close()
        ids = [self.daemon.publish(self.channel, b"x" * 20_000)["id"] for _ in range(10)]
        for stream in streams + stopped:
            self.assertEqual([stream.next_event().id for _ in ids], ids)


class Batched(FanOut, FanhornTest):
    config = config(server="workers = 1")

    def test_the_ring_is_there_where_the_kernel_allows_it(self):
        self.assertEqual(self.rings(), 1 if kernel_allows() else 0)


class Single(FanOut, FanhornTest):
    config = config(server="workers = 1\nio_uring = off")

    def test_there_is_no_ring(self):
        self.assertEqual(self.rings(), 0)


if __name__ == "__main__":
    unittest.main()
