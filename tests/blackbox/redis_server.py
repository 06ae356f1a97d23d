# SPDX-License-Identifier: Apache-2.0
"""Real redis-servers of a test's own: one, one with a replica and sentinels, a cluster. They can be stopped, killed, and
asked."""

import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from harness import eventually, free_ports, pause


class RedisServer:
    """On a unix socket; with a port of its own there too."""

    def __init__(self, *options, port=0):
        self.dir = Path(tempfile.mkdtemp(prefix="fanhorn-redis-"))
        self.socket, self.options, self.process, self.port, self.file = self.dir / "socket", options, None, port, []

    @property
    def url(self):
        return f"unix:{self.socket}"

    def start(self):
        self.process = subprocess.Popen(
            ["redis-server", *self.file, "--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket", str(self.socket), "--dir",
             str(self.dir), "--save", "", "--logfile", str(self.dir / "log"), *self.options], stdin=subprocess.DEVNULL)
        eventually(self._answers, "an answer of redis-server")
        return self

    def _answers(self):
        assert self.process.poll() is None, (self.dir / "log").read_text()
        try:
            return self.ask("PING") == "PONG"
        except (OSError, RuntimeError):  # RuntimeError: it is loading
            return False

    def info(self, name, section="default"):
        return next(line.partition(":")[2] for line in self.ask("INFO", section).splitlines() if line.startswith(name + ":"))

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
        if kind == b"-":
            raise RuntimeError(rest.decode())
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
        pause(self.process)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def close(self):
        self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)


class Guarded:
    """A master with a replica, and three sentinels that may put the one in the other's place."""

    def __init__(self, *options):
        self.ports = free_ports(5)
        self.servers = [RedisServer(*options, port=self.ports[0]),
                        RedisServer(*options, "--replicaof", "127.0.0.1", str(self.ports[0]), port=self.ports[1])]
        self.sentinels = []

    def start(self):
        for server in self.servers:
            server.start()
        eventually(lambda: self.servers[1].info("master_link_status") == "up", "the replica")
        for port in self.ports[2:]:
            sentinel = RedisServer("--sentinel", port=port)
            sentinel.file = [str(sentinel.dir / "sentinel.conf")]  # which it writes into
            Path(sentinel.file[0]).write_text(
                f"sentinel monitor relay 127.0.0.1 {self.ports[0]} 2\nsentinel down-after-milliseconds relay 500\n"
                "sentinel failover-timeout relay 3000\n")
            self.sentinels.append(sentinel)
        for sentinel in self.sentinels:
            sentinel.start()
        eventually(lambda: all(self._state(each, "num-other-sentinels") == "2" and self._state(each, "num-slaves") == "1"
                               for each in self.sentinels), "sentinels that know each other", 30)
        return self

    @staticmethod
    def _state(sentinel, name):
        words = sentinel.ask("SENTINEL", "MASTER", "relay")
        return dict(zip(words[::2], words[1::2])).get(name)

    def master(self):
        """The server that they name, if it has that place already."""
        named = {self.sentinels[i].ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "relay")[1] for i in range(3)
                 if self.sentinels[i].process.poll() is None}
        for server in self.servers:
            if named == {str(server.port)} and server.process.poll() is None and server.info("role") == "master":
                return server
        return None

    def close(self):
        for each in self.sentinels + self.servers:
            each.close()


class Cluster:
    """Three masters and a replica of the first, which has all slots up to 5460; then come those of the others."""
    SLOTS = ((0, 5460), (5461, 10922), (10923, 16383))

    def __init__(self):
        ports = free_ports(8)
        self.servers = [RedisServer("--cluster-enabled", "yes", "--cluster-port", str(bus), "--cluster-node-timeout", "1000",
                                    "--cluster-replica-validity-factor", "0", port=port)
                        for port, bus in zip(ports[:4], ports[4:])]
        self.buses = ports[4:]

    def start(self):
        for server in self.servers:
            server.start()
        first = self.servers[0]
        for server, slots in zip(self.servers, self.SLOTS):
            server.ask("CLUSTER", "ADDSLOTSRANGE", *slots)
        for server, bus in zip(self.servers[1:], self.buses[1:]):
            first.ask("CLUSTER", "MEET", "127.0.0.1", server.port, bus)
        eventually(lambda: all(len(each.ask("CLUSTER", "NODES").splitlines()) == 4 and
                               "cluster_state:ok" in each.ask("CLUSTER", "INFO") for each in self.servers[:3]), "a cluster", 30)
        eventually(lambda: self.id_of(first) in self.servers[3].ask("CLUSTER", "NODES"), "that the replica knows its master")
        self.servers[3].ask("CLUSTER", "REPLICATE", self.id_of(first))
        eventually(lambda: self.servers[3].info("master_link_status") == "up", "the replica", 30)
        eventually(lambda: all("slave " in each.ask("CLUSTER", "NODES") for each in self.servers), "that all know of it", 30)
        return self

    @staticmethod
    def id_of(server):
        return server.ask("CLUSTER", "MYID")

    def owner(self, key):
        slot = self.servers[1].ask("CLUSTER", "KEYSLOT", key)
        return next(server for server, (first, last) in zip(self.servers, self.SLOTS) if first <= slot <= last)

    def move(self, key, source, target):
        """The key's slot, with all that is in it."""
        slot, masters = source.ask("CLUSTER", "KEYSLOT", key), self.servers[:3]
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", self.id_of(source))
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", self.id_of(target))
        while keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, 100):
            source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
        for server in [target, source] + masters:
            server.ask("CLUSTER", "SETSLOT", slot, "NODE", self.id_of(target))

    def close(self):
        for each in self.servers:
            each.close()
