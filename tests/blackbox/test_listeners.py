# SPDX-License-Identifier: Apache-2.0
"""Addresses a listener may have: several, IPv6, unix sockets, sockets handed in."""

import os
import socket
import stat
import subprocess
import unittest

from harness import FANHORN, Daemon, config, eventually, free_ports
from wire import ResponseParser, Wire


def ask(family, address):
    """The status of GET /healthz there."""
    with socket.socket(family, socket.SOCK_STREAM) as one:
        one.settimeout(10)
        one.connect(address)
        one.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        parser = ResponseParser()
        while data := one.recv(65536):
            parser.feed(data)
    return parser.response.status


class Listeners(unittest.TestCase):
    def test_several_addresses(self):
        first, second = free_ports(2)
        more = (f"[listener more]\naddress = 127.0.0.1:{first}\naddress = 127.0.0.1:{second}\n"
                "serve = control")
        with Daemon(config(more=more)):
            for port in (first, second):
                self.assertEqual(ask(socket.AF_INET, ("127.0.0.1", port)), 200)

    def test_ipv6(self):
        try:
            with socket.socket(socket.AF_INET6) as probe:
                probe.bind(("::1", 0))
                port = probe.getsockname()[1]
        except OSError:
            self.skipTest("no IPv6 here")
        with Daemon(config(more=f"[listener six]\naddress = [::1]:{port}\nserve = control")):
            self.assertEqual(ask(socket.AF_INET6, ("::1", port)), 200)

    def test_unix_socket(self):
        with Daemon(config(more="[listener local]\naddress = unix:@DIR@/s\nserve = control")) as daemon:
            path = daemon.dir / "s"
            self.assertTrue(stat.S_ISSOCK(os.stat(path).st_mode))
            self.assertEqual(ask(socket.AF_UNIX, str(path)), 200)

    def test_a_stale_unix_socket_is_replaced(self):
        daemon = Daemon(config(more="[listener local]\naddress = unix:@DIR@/s\nserve = control"))
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(daemon.dir / "s"))
        with daemon:
            self.assertEqual(ask(socket.AF_UNIX, str(daemon.dir / "s")), 200)

    def test_a_socket_handed_in(self):
        with socket.socket() as handed:
            handed.bind(("127.0.0.1", 0))
            handed.listen()
            daemon = Handed(config(more="[listener given]\naddress = fd:web\nserve = control"))
            daemon.handed = {"web": handed}
            with daemon:
                self.assertEqual(ask(socket.AF_INET, handed.getsockname()), 200)

    def test_every_worker_serves(self):
        with Daemon(config(server="workers = 8")) as daemon:
            wires = [Wire(daemon.public) for _ in range(64)]
            for wire in wires:
                wire.send(b"GET /sub/x HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n")
            eventually(lambda: daemon.subscribers("x") == 64, "64 subscribers")
            daemon.publish("x", b"to everybody")
            for wire in wires:
                wire.start_response()
                text = b""
                while b"to everybody" not in text:
                    text += wire.read_body()
                wire.close()


class Handed(Daemon):
    """Started with listening sockets as descriptors from 3 on, as systemd does; `handed` has them by
    their names."""

    def launch(self):
        count = len(self.handed)
        taken = range(3, 3 + count)

        def hand():
            copies = [os.dup(each.fileno()) for each in self.handed.values()]  # none of them among `taken`
            for fd, copy in zip(taken, copies):
                os.dup2(copy, fd)
            os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(count),
                              LISTEN_FDNAMES=":".join(self.handed))

        with open(self.errors, "ab") as errors:
            self.process = subprocess.Popen([FANHORN, "-c", str(self.file)], stdin=subprocess.DEVNULL,
                                            stdout=errors, stderr=errors, preexec_fn=hand, pass_fds=taken)


if __name__ == "__main__":
    unittest.main()
