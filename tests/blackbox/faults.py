# SPDX-License-Identifier: Apache-2.0
"""A daemon whose calls of the system fail when a test says so: tests/faults/faults.c is preloaded into it."""

import errno
import mmap
import os
import struct
import subprocess
import tempfile
from pathlib import Path

from harness import ROOT, Daemon
from process import SANITIZED

# In the order of faults.c, each with what the kernel may answer.
CALLS = {
    "read": (errno.ECONNRESET, errno.EINTR, errno.ENOMEM),
    "write": (errno.EPIPE, errno.EINTR, errno.ECONNRESET),
    "accept": (errno.EMFILE, errno.ECONNABORTED, errno.ENOMEM, errno.EINTR),
    "epoll_ctl": (errno.ENOMEM, errno.ENOSPC),
    "epoll_wait": (errno.EINTR,),
    "socket": (errno.EMFILE, errno.ENOBUFS),
    "open": (errno.EMFILE, errno.EIO),
    "allocate": (errno.ENOMEM,),
}
ORDER = struct.Struct("5I")  # calls, first, every, error, failed
FIRST = struct.Struct("I")


class Faults:
    """The library, and the file by which it is told."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="fanhorn-faults-")
        self.library = Path(self.folder.name) / "faults.so"
        options = ["-DNO_ALLOCATIONS"] if SANITIZED else []
        subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-O1", "-fno-builtin", *options, "-o", self.library,
                        ROOT / "tests/faults/faults.c", "-ldl"], check=True)
        self.path = Path(self.folder.name) / "orders"
        self.path.write_bytes(bytes(ORDER.size * len(CALLS)))
        with open(self.path, "r+b") as file:
            self.orders = mmap.mmap(file.fileno(), 0)

    def environment(self):
        env = {"LD_PRELOAD": str(self.library), "FANHORN_FAULTS": str(self.path),
               "NOTIFY_SOCKET": os.path.join(self.folder.name, "notify")}
        if SANITIZED:  # which insist on being first
            env["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        return env

    def daemon(self, text, **options):
        return Daemon(text, env=self.environment(), **options)

    def order(self, call, first, error, every=0):
        """The first, counted from now, of those calls fails, and each `every` behind it."""
        ORDER.pack_into(self.orders, self._at(call), 0, 0, every, error, 0)
        FIRST.pack_into(self.orders, self._at(call) + FIRST.size, first)  # last: the daemon calls meanwhile

    def reset(self):
        for call, errors in CALLS.items():  # one that is just failing still takes its error from there
            self.order(call, 0, errors[0])

    def calls(self, call):
        return ORDER.unpack_from(self.orders, self._at(call))[0]

    def failed(self, call):
        return ORDER.unpack_from(self.orders, self._at(call))[4]

    @staticmethod
    def _at(call):
        return ORDER.size * list(CALLS).index(call)

    def close(self):
        self.orders.close()
        self.folder.cleanup()
