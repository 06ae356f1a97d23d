# SPDX-License-Identifier: Apache-2.0
"""A real nats-server of a test's own, with JetStream. It can be stopped, killed, emptied."""

import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from harness import eventually, free_ports, pause


class NatsServer:
    def __init__(self, *options):
        self.dir = Path(tempfile.mkdtemp(prefix="fanhorn-nats-"))
        self.options, self.process, self.port = options, None, free_ports(1)[0]

    @property
    def url(self):
        return f"nats://127.0.0.1:{self.port}"

    def start(self):
        self.process = subprocess.Popen(
            ["nats-server", "-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(self.dir), "-l", str(self.dir / "log"),
             *self.options], stdin=subprocess.DEVNULL)
        eventually(self._answers, "an answer of nats-server")
        return self

    def _answers(self):
        assert self.process.poll() is None, (self.dir / "log").read_text()
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as wire:
                return wire.recv(4) == b"INFO"
        except OSError:
            return False

    def ask(self, subject, body=b""):
        """One request on a connection of its own; its answer's bytes."""
        with socket.create_connection(("127.0.0.1", self.port), 10) as wire, wire.makefile("rb") as lines:
            wire.sendall(b'CONNECT {"verbose":false}\r\nSUB answer 1\r\nPUB %s answer %d\r\n%s\r\n' % (subject.encode(), len(body), body))
            while not (line := lines.readline()).startswith(b"MSG "):
                assert line, "the server has closed the connection"
            return lines.read(int(line.split()[-1]))

    def delete_stream(self, name="fanhorn"):
        assert b'"success":true' in self.ask(f"$JS.API.STREAM.DELETE.{name}")

    def pause(self):
        pause(self.process)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def empty(self):
        """What it had is gone; while it is not running."""
        shutil.rmtree(self.dir / "jetstream", ignore_errors=True)

    def close(self):
        self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)
