# SPDX-License-Identifier: Apache-2.0
"""A program under measurement: its own folder, free loopback ports, one CPU, and an end."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BENCH = Path(__file__).resolve().parent
PATIENCE = 20.0  # seconds, until a program is ready or has ended

CPUS = sorted(os.sched_getaffinity(0))
SERVER_CPU = CPUS[0]
CLIENT_CPU = CPUS[1 % len(CPUS)]


class Unavailable(Exception):
    """The program is not installed here."""


class Failed(Exception):
    """The program did not start."""


def pin(cpu):
    """For preexec_fn. None: to no one CPU."""
    return lambda: os.sched_setaffinity(0, set(CPUS) if cpu is None else {cpu})


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def first_line(*command):
    """The first line that a command prints, on either stream."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    except OSError as error:
        raise Unavailable(str(error)) from error
    return (done.stdout.splitlines() or ["?"])[0]


def debian_version(package):
    return first_line("dpkg-query", "-W", "-f", "${Version}\n", package)


def descendants(pid):
    """`pid` and all that it started, and so on."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
    except FileNotFoundError:
        return []
    children = " ".join((task / "children").read_text() for task in tasks if task.exists())
    return [pid, *(found for child in children.split() for found in descendants(int(child)))]


class Program:
    """Used as a context manager; `subscribe_url` and `publish_url` hold {channel}."""

    name = ""  # as on the command line and in the tables
    transports = {}  # of the bench's names: the command line's value
    publish_formats = {"raw"}
    ports = 1
    max_connects = 0  # a second; 0: as fast as it goes
    settle = 0  # seconds from listening to ready
    own_processes = 1  # that it starts, itself included

    def __init__(self, options=None, is_spread=False):
        self.options = options or {}
        self.is_spread = is_spread  # over all CPUs
        self.processes = []

    # What each program says about itself.

    def version(self):
        raise NotImplementedError

    def start(self):
        """Writes the configuration into self.dir and calls launch() with each command."""
        raise NotImplementedError

    def subscribe_url(self, transport):
        return f"http://127.0.0.1:{self.port[0]}/sub/{{channel}}"

    def publish_url(self, publish_format):
        return f"http://127.0.0.1:{self.port[-1]}/pub/{{channel}}"

    # What they share.

    def __enter__(self):
        self.dir = Path(tempfile.mkdtemp(prefix="fanhorn-bench-"))
        self.port = free_ports(self.ports)
        try:
            self.start()
            self.wait_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in reversed(self.processes):
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes.clear()
        shutil.rmtree(self.dir, ignore_errors=True)

    def launch(self, *command, cpu=SERVER_CPU):
        if self.is_spread:
            cpu = None
        log = open(self.dir / "log", "ab")
        with log:
            self.processes.append(subprocess.Popen(
                [str(word) for word in command], cwd=self.dir, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, preexec_fn=pin(cpu)))

    def log(self):
        return (self.dir / "log").read_text(errors="replace")[-2000:]

    def wait_ready(self):
        """Until all its processes are there and it listens on all of its ports."""
        deadline = time.monotonic() + PATIENCE
        while not (all(map(self.listens_on, self.port)) and len(self.pids()) >= self.own_processes):
            if time.monotonic() > deadline:
                raise Failed(f"{self.name} is not ready after {PATIENCE:.0f} s:\n{self.log()}")
            time.sleep(0.02)
        time.sleep(self.settle)

    def listens_on(self, port):
        if any(process.poll() is not None for process in self.processes):
            raise Failed(f"{self.name} ended at once:\n{self.log()}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return True
        except OSError:
            return False

    def pids(self):
        """All processes that do this program's work."""
        return descendants(self.processes[0].pid)
