# SPDX-License-Identifier: Apache-2.0
"""Live upgrades: a daemon whose process is followed by others, which nobody but it has started."""

import os
import re
import shutil
import signal
import socket
from pathlib import Path

from harness import FANHORN, TIMEOUT, Daemon, eventually
from heirs import Heir, inherit, processes_with

# Programs that are not fanhorn, by their interpreter: one that says nothing,
SLEEPS = "/usr/bin/env python3\nimport time\ntime.sleep(600)"
# what they begin with who say something,
TALKS = "/usr/bin/env python3\nimport os, socket, time\nother = socket.socket(fileno=int(os.environ['FANHORN_UPGRADE_FD']))\n"
# and one that carries letters between the old process and a real one, until it comes to one: then it kills that, or waits.
CARRIES = TALKS + """
import select, subprocess, sys
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
real = subprocess.Popen([{fanhorn!r}, *sys.argv[1:]], pass_fds=[theirs.fileno()],
                        env={{**os.environ, 'FANHORN_UPGRADE_FD': str(theirs.fileno())}})
theirs.close()

def end():
    {waits} and time.sleep(600)
    real.kill()
    real.wait()
    os._exit(1)

is_ready = False
while True:
    for source in select.select([other, ours], [], [])[0]:
        text, sockets, _, _ = socket.recv_fds(source, 1 << 20, 253)
        if not text:
            end()
        step = text[0] + (16 if is_ready and text[0] == 3 else 0)
        is_ready = is_ready or step == 4
        if (step, 'before') == {at}:
            end()
        to = ours if source is other else other
        socket.send_fds(to, [text], sockets) if sockets else to.send(text)
        for each in sockets:
            os.close(each)
        if (step, 'after') == {at}:
            end()
"""
# The letters, see server/upgrade_words.h; `batch` is Sockets that are connections.
STEPS = {"hello": 1, "welcome": 2, "listeners": 3, "ready": 4, "state": 5, "batch": 19, "got": 6, "complete": 7, "adopted": 8,
         "commit": 9, "taken": 10}


class Succession(Daemon):
    """`binary` is a file of its own, which replace() makes another program."""

    def launch(self):
        inherit()
        self.binary = str(self.dir / "fanhorn")
        if not os.path.lexists(self.binary):
            self.replace()
        super().launch()

    def replace(self, script=None, target=FANHORN):
        """The next process is `target`, or that script, in whose first line is what runs it."""
        made = Path(self.binary + ".new")
        if script is None:
            shutil.copy(target, made)
        else:
            made.write_text(f"#!{script}\n")
            made.chmod(0o755)
        made.rename(self.binary)

    def ends_at(self, step, when, waits=False):
        """The next process is killed before or after it has got, or sent, that letter; or it stands still there."""
        self.replace(CARRIES.format(fanhorn=FANHORN, at=(STEPS[step], when), waits=waits))

    def heirs(self):
        """The processes that it has besides the one that is known."""
        return [pid for pid in processes_with(str(self.file)) if pid != self.process.pid]

    def events(self, name):
        """The fields of each line about that event, in order."""
        lines = re.findall(rf"^\S+ level=\w+ event={name}\b(.*)$", self.log(), re.M)
        return [dict(re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|\S+)', line)) for line in lines]

    def begin_upgrade(self):
        """The next process has taken over; the one before, which is returned, may still drain."""
        count, failures = len(self.events("took_over")), self.failures()
        self.send_signal(signal.SIGUSR2)
        eventually(lambda: len(self.events("took_over")) > count or self.failures() > failures, "an upgrade")
        assert len(self.events("took_over")) > count, f"no upgrade:\n{self.log()[-4000:]}"
        return self.follow()

    def follow(self):
        """The process that has taken over is the one that is known from here on; the one before."""
        eventually(lambda: len(self.heirs()) == 1, "one process beside it")  # a sanitizer has one for its last look
        old, self.process = self.process, Heir(self.heirs()[0])
        return old

    def upgrade(self):
        """The next process has taken over, the one before has ended well."""
        old = self.begin_upgrade()
        code = old.wait(2 * TIMEOUT)
        assert code == 0, f"exit code {code}:\n{self.log()[-4000:]}"
        return {name: float(value) for name, value in self.events("upgraded")[-1].items() if name != "reason"}

    def failures(self):
        """How many came to nothing. The log tells ten of them in ten seconds."""
        return sum(count for name, count in self.metrics().items()
                   if name.startswith("fanhorn_upgrades_total") and 'result="done"' not in name)

    def fail_upgrade(self, timeout=TIMEOUT):
        """An upgrade that must come to nothing; what is said of it."""
        count = self.failures()
        self.send_signal(signal.SIGUSR2)
        eventually(lambda: self.failures() > count, "a failure", timeout)
        eventually(lambda: not self.heirs(), "an end of the process that was to follow", timeout)
        assert self.is_alive(), f"the old process has ended\n{self.log()[-4000:]}"
        return (self.events("upgrade_failed") + self.events("upgrade_refused"))[-1]

    def kill(self):
        for pid in processes_with(str(self.file)):
            os.kill(pid, signal.SIGKILL)
        if self.process is not None:
            self.process.wait()
        super().kill()

    def unread(self):
        """How many bytes it has not read yet, of all its connections."""
        ports, total = {self.public[1], self.private[1]}, 0
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            _, local, _, state, queues = line.split()[:5]
            if state != "0A" and int(local.split(":")[1], 16) in ports:
                total += int(queues.split(":")[1], 16)
        return total

    def wait_read(self):
        eventually(lambda: self.unread() == 0, "a read of all that was sent")


class Notified:
    """What a service manager is told."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("")  # an abstract name of the kernel's choice
        self.socket.settimeout(TIMEOUT)
        self.path = "@" + self.socket.getsockname()[1:].decode()

    def until(self, word):
        """The lines of the next message that has that line."""
        while True:
            lines = self.socket.recv(4096).decode().split("\n")
            if any(re.fullmatch(word, line) for line in lines):
                return lines

    def close(self):
        self.socket.close()
