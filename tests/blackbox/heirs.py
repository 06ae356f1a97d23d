# SPDX-License-Identifier: Apache-2.0
"""Processes that a live upgrade has started: nobody's but the one before them."""

import ctypes
import os
import signal
import subprocess
import time
from pathlib import Path

from wire import TIMEOUT

PR_SET_CHILD_SUBREAPER = 36


def inherit():
    """The next process is the last one's child, and from here on ours when that has ended."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Heir:
    """Such a process, to be used as a Popen is."""

    def __init__(self, pid):
        self.pid, self.returncode = pid, None

    def poll(self):
        if self.returncode is None:
            try:
                found, status = os.waitpid(self.pid, os.WNOHANG)
                self.returncode = os.waitstatus_to_exitcode(status) if found else None
            except ChildProcessError:  # the one before lives, and is its parent
                self.returncode = None if is_running(self.pid) else -1
        return self.returncode

    def wait(self, timeout=2 * TIMEOUT):
        deadline = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(0.005)
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def processes_with(word):
    """Those that have that argument; one that is about to execute another program has none."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and is_running(int(folder.name)):
            try:
                if word.encode() in (folder / "cmdline").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
            except OSError:
                pass  # it has ended
    return found
