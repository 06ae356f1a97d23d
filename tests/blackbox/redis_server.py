# SPDX-License-Identifier: Apache-2.0
"""A real redis-server of a test's own, on a unix socket; it can be stopped, killed, and asked."""

import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from harness import eventually


class RedisServer:
    def __init__(self, *options):
        self.dir = Path(tempfile.mkdtemp(prefix="fanhorn-redis-"))
        self.socket, self.options, self.process = self.dir / "socket", options, None

    @property
    def url(self):
        return f"unix:{self.socket}"

    def start(self):
        self.process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.dir), "--save", "",
             "--logfile", str(self.dir / "log"), *self.options], stdin=subprocess.DEVNULL)
        eventually(self._answers, "an answer of redis-server")
        return self

    def _answers(self):
        assert self.process.poll() is None, (self.dir / "log").read_text()
        try:
            return self.ask("PING") == "PONG"
        except OSError:
            return False

    def ask(self, *words):
        """One command on a connection of its own: a line, a text, a number, or a list of them."""
        with socket.socket(socket.AF_UNIX) as wire:
            wire.settimeout(30)
            wire.connect(str(self.socket))
            command = b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in (str(word).encode() for word in words))
            wire.sendall(b"*%d\r\n" % len(words) + command)
            with wire.makefile("rb") as replies:
                return self._reply(replies)

    def _reply(self, replies):
        line = replies.readline().rstrip(b"\r\n")
        if not line:
            raise OSError("the server has closed the connection")
        kind, rest = line[:1], line[1:]
        if kind == b"$":
            return None if rest == b"-1" else replies.read(int(rest) + 2)[:-2].decode(errors="replace")
        if kind == b"*":
            return [self._reply(replies) for _ in range(int(rest))]
        return int(rest) if kind == b":" else rest.decode()

    def clients(self, kind):
        """How many connections of that kind (normal, pubsub) others have."""
        lines = self.ask("CLIENT", "LIST", "TYPE", kind).splitlines()
        return sum(1 for line in lines if "cmd=client" not in line)

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def close(self):
        self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)
