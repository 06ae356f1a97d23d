# SPDX-License-Identifier: Apache-2.0
"""Real nats-servers of a test's own, with JetStream: one, or a cluster of three. They can be stopped, killed, emptied."""

import json
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

    @property
    def name(self):
        return self.options[self.options.index("--name") + 1]

    def is_alive(self):
        return self.process and self.process.poll() is None

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

    def stream(self, name="fanhorn"):
        return json.loads(self.ask(f"$JS.API.STREAM.INFO.{name}"))

    def delete_stream(self, name="fanhorn"):
        assert b'"success":true' in self.ask(f"$JS.API.STREAM.DELETE.{name}")

    def pause(self):
        pause(self.process)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        if self.is_alive():
            self.process.kill()
            self.process.wait()

    def empty(self):
        """What it had is gone; while it is not running."""
        shutil.rmtree(self.dir / "jetstream", ignore_errors=True)

    def close(self):
        self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)


class NatsCluster:
    """Three servers: what two of them have is stored."""

    def __init__(self):
        ports = free_ports(3)
        routes = ",".join(f"nats://127.0.0.1:{port}" for port in ports)
        self.servers = [NatsServer("--name", f"n{number}", "--cluster_name", "c", "--cluster", f"nats://127.0.0.1:{port}",
                                   "--routes", routes) for number, port in enumerate(ports)]

    @property
    def url(self):
        return "nats://" + ",".join(f"127.0.0.1:{server.port}" for server in self.servers)

    def start(self):
        for server in self.servers:
            server.start()
        return self

    def info(self, name="fanhorn"):
        """What a server that lives says of the stream; None where it has no leader."""
        for server in self.servers:
            try:
                info = server.stream(name) if server.is_alive() else {}
            except (OSError, AssertionError):  # it is beginning, or ending
                continue
            if "leader" in info.get("cluster", {}):
                return info
        return None

    def leader(self):
        info = eventually(self.info, "a leader of the stream", 40)
        return next(server for server in self.servers if server.name == info["cluster"]["leader"])

    def is_whole(self):
        """All three have all of the stream."""
        info = self.info()
        replicas = info["cluster"].get("replicas", []) if info else []
        return len(replicas) == 2 and all(each["current"] and not each.get("offline") for each in replicas)

    def close(self):
        for server in self.servers:
            server.close()
