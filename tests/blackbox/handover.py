# SPDX-License-Identifier: Apache-2.0
"""FANHORN_HANDOVER=1: each daemon is upgraded in place again and again while a test runs, which is not to notice
(`make test-handover`)."""

import os
import re
import signal
import socket
import threading
import time

from heirs import Heir, inherit
from wire import TIMEOUT

PAUSE = 0.2  # seconds between two upgrades
ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)
totals = {"upgraded": 0, "refused": 0}  # of this process

# Tests that cannot, by how their names begin, and why.
BY_PID = "it asks the system about one process"
RATES = "how many have come lately is known to one process"
CANNOT = {
    "test_upgrade": "it makes its own upgrades",
    "test_durable": "a durable broker has no upgrade in place",
    "test_descriptors": "descriptors = worker has no upgrade in place",
    "test_faults": "calls fail that an upgrade makes",
    "test_tls": "what it is about is not handed over, and drains",
    "test_http2": "what it is about is not handed over, and drains",
    "test_ctl.Secure": "TLS is not handed over, and drains",
    "test_ctl.Certified": "TLS is not handed over, and drains",
    "test_bridge.Bridge.test_tls": "TLS is not handed over, and drains",
    "test_attack_slow.Tls": "TLS is not handed over, and drains",
    "test_age.Age": "HTTP/2 is not handed over, and drains",
    "test_service": "it plays the service manager",
    "test_memory": BY_PID,
    "test_io_uring": BY_PID,
    "test_ctl_bench": BY_PID,
    "test_dashboard": "rates, and averages since it was looked at last, are of one process",
    "test_attack_messages.Hashes": BY_PID,
    "test_attack_slow.Slow.test_25_who_reads_slowly_or_not_holds_nobody_up": "it bounds waits more tightly than an upgrade does",
    "test_heartbeat.Heartbeat.test_no_pong_and_the_connection_ends": "pings without a pong are counted anew by each process",
    "test_limits.Descriptors": BY_PID,
    "test_addresses.AcceptRate": RATES,
    "test_addresses.Rate": RATES,
    "test_addresses.SlowRate": RATES,
    "test_limits.Requests.test_empty_lines_hold_no_connection": "an empty line before a request is forgotten",
    "test_filter.Filters.test_a_held_poll_moves_past_what_came_meanwhile": "a poll's place is where the last process was by then",
    "test_session.SlowReader.test_goes_on_with_the_latest": "where a slow reader is moved on to is another message then",
    "test_presence.ToUsers.test_ending_a_user": "who is left behind leaves when the process he was left to has ended, and "
                                                "nobody hands over again",
    "test_poll.Together": "135 MB of answers that wait are more than is handed over",
}


def reason_against(test):
    """Why that test, test_file.Class.test_name, is not run so; None where it is."""
    return next((why for name, why in CANNOT.items() if test == name or test.startswith((name + ".", name + "_"))), None)


class Lineage:
    """The processes of one daemon, to be used as a Popen is: it is always the one that serves."""

    def __init__(self, launch, env, log):
        self.log, self.fault, self.is_over, self.is_paused, self.draining = log, None, False, False, []
        self.lock = threading.RLock()
        inherit()
        self.notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notified.bind("")
        self.notified.settimeout(0.02)
        self.process = launch({**env, "NOTIFY_SOCKET": "@" + self.notified.getsockname()[1:].decode()})
        threading.Thread(target=self.run, daemon=True).start()

    # -- as a Popen

    pid = property(lambda self: self.process.pid)
    returncode = property(lambda self: self.process.returncode)

    def poll(self):
        with self.lock:
            return self.process.poll()

    def send_signal(self, number):
        with self.lock:
            if number in ENDS:
                self.end()
            self.is_paused = number == signal.SIGSTOP or self.is_paused and number != signal.SIGCONT
            self.process.send_signal(number)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout=2 * TIMEOUT):
        code = self.process.wait(timeout)
        self.end()
        self.notified.close()
        assert not self.fault, f"{self.fault}\n{self.log()[-8000:]}"
        return code

    def end(self):
        """No upgrade follows, and those before have ended."""
        self.is_over = True
        for old in self.draining:
            old.terminate()  # which may come when it has nothing to do any more but to end
            if (code := old.wait()) not in (0, -signal.SIGTERM):
                self.fault = self.fault or f"exit code {code} of a process that was followed"
        self.draining = []

    # -- upgrades

    def told(self, pattern):
        """What one of the messages to the service manager has that matches; None when no more come for now."""
        try:
            while not (found := re.search(pattern, self.notified.recv(4096).decode(), re.M)):
                pass
            return found
        except OSError:
            return None

    def run(self):
        while not self.told("^READY=1$"):
            if self.is_over or self.process.poll() is not None:
                return
        while not self.is_over and not self.fault:
            time.sleep(PAUSE)
            with self.lock:
                if self.is_over or self.process.poll() is not None:
                    return
                if not self.is_paused:
                    self.upgrade()

    def upgrade(self):
        log, deadline = self.log(), time.monotonic() + TIMEOUT
        old = self.process
        old.send_signal(signal.SIGUSR2)
        while not (found := self.told("^MAINPID=([0-9]+)$")):
            said = re.findall(r"event=(upgrade_(?:refused|failed).*)", self.log()[len(log):])
            if said and said[0].startswith("upgrade_refused"):
                totals["refused"] += 1
                return
            has_ended = old.poll() is not None
            if has_ended and (found := self.told("^MAINPID=([0-9]+)$")):  # its last words
                break
            if said or has_ended or time.monotonic() > deadline:
                self.fault = f"an upgrade failed: {said or 'no word of it'}, exit code {old.returncode}"
                return
        self.process = Heir(int(found[1]))
        self.draining = [each for each in self.draining + [old] if each.poll() is None]
        totals["upgraded"] += 1


def is_wanted(env):
    return bool(os.environ.get("FANHORN_HANDOVER")) and "NOTIFY_SOCKET" not in env
