# SPDX-License-Identifier: Apache-2.0
"""What a service manager gives and is told: the watchdog, the time that a stop takes, sockets, secrets.
Here it is the test that plays systemd."""

import ctypes
import os
import signal
import socket
import tempfile
import unittest
from pathlib import Path

from harness import Daemon, config, eventually
from test_listeners import Handed, ask

PTRACE_CONT, PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 7, 0x4206, 0x4207, 17
WAIT_ALL = 0x40000000  # __WALL: threads as well
TOKEN = "0123456789abcdef-backend"
WATCHDOG_MS = 400


class NotifySocket:
    """Where the daemon tells how it is (sd_notify(3))."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)

    def close(self):
        self.socket.close()
        self.folder.cleanup()

    def next(self, word, timeout=15):
        """The next state in which that line stands."""
        self.socket.settimeout(timeout)
        while True:
            state = self.socket.recv(4096).decode()
            if word in state.split("\n"):
                return state

    def count(self, word, seconds):
        """How many such states come until none has come for so long."""
        count = 0
        try:
            while True:
                self.next(word, seconds)
                count += 1
        except TimeoutError:
            return count


class StoppedThread:
    """One thread of a process stands still, and the others go on."""

    def __init__(self, tid):
        self.tid, self.libc = tid, ctypes.CDLL(None, use_errno=True)
        self.libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
        self.libc.ptrace.restype = ctypes.c_long

    def trace(self, request):
        if self.libc.ptrace(request, self.tid, None, None) != 0:
            raise OSError(ctypes.get_errno(), f"ptrace {request:#x}")

    def __enter__(self):
        self.trace(PTRACE_SEIZE)
        self.trace(PTRACE_INTERRUPT)
        os.waitpid(self.tid, WAIT_ALL)
        return self

    def __exit__(self, *_):
        self.trace(PTRACE_DETACH)


def thread_of(pid, name):
    for task in Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text().strip() == name:
            return int(task.name)
    return None


class Service(unittest.TestCase):
    def notified(self, text=None, **env):
        """A daemon, and the socket that it tells."""
        notify = NotifySocket()
        self.addCleanup(notify.close)
        daemon = Daemon(text or config(), env={"NOTIFY_SOCKET": notify.path, **env})
        daemon.start()
        self.addCleanup(daemon.kill)
        return daemon, notify

    def test_the_watchdog_is_fed_while_every_worker_turns(self):
        daemon, notify = self.notified(config(server="workers = 2\ncore_dumps = on"),
                                       WATCHDOG_USEC=str(WATCHDOG_MS * 1000))
        for _ in range(3):
            notify.next("WATCHDOG=1")
        tid = eventually(lambda: thread_of(daemon.process.pid, "fanhorn/w1"), "the second worker")
        with StoppedThread(tid):
            # What it had answered before may still be told, and nothing after that.
            self.assertLessEqual(notify.count("WATCHDOG=1", 3 * WATCHDOG_MS / 1000), 1)
            daemon.send_signal(signal.SIGHUP)  # the main thread is not what stands still
            notify.next("READY=1")
        notify.next("WATCHDOG=1")
        daemon.stop()

    def test_a_drain_asks_for_the_time_that_it_takes(self):
        daemon, notify = self.notified(config(server="workers = 1\ndrain = 7m"))
        notify.next("READY=1")
        daemon.send_signal(signal.SIGQUIT)
        state = dict(line.split("=", 1) for line in notify.next("STOPPING=1").split("\n"))
        self.assertGreater(int(state["EXTEND_TIMEOUT_USEC"]), 7 * 60 * 1_000_000)
        self.assertEqual(daemon.wait(), 0)

    def test_secrets_are_credentials(self):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "publish-token").write_text(TOKEN + "\n")
            text = config(private="auth = backends",
                          more="[auth backends]\ntype = bearer\ntokens = ${cred:publish-token}\n")
            with Daemon(text, env={"CREDENTIALS_DIRECTORY": folder}) as daemon:
                bearer = {"Authorization": f"Bearer {TOKEN}"}
                self.assertEqual(daemon.request("POST", "/pub/x", body=b"x").status, 401)
                self.assertEqual(daemon.request("POST", "/pub/x", body=b"x", headers=bearer).status, 200)

    def test_sockets_by_name_and_over_a_reload(self):
        with tempfile.TemporaryDirectory() as folder, socket.socket() as first, \
                socket.socket(socket.AF_UNIX) as second:
            path = os.path.join(folder, "s")
            first.bind(("127.0.0.1", 0))
            second.bind(path)
            for each in (first, second):
                each.listen()
            text = config(more="[listener one]\naddress = fd:web\nserve = control\n"
                               "[listener two]\naddress = fd:local\nserve = control\n")
            daemon = Handed(text)
            daemon.handed = {"web": first, "local": second}
            with daemon:
                ports = [(socket.AF_INET, first.getsockname()), (socket.AF_UNIX, path)]
                self.assertEqual([ask(*port) for port in ports], [200, 200])
                daemon.send_signal(signal.SIGHUP)
                eventually(lambda: "event=reloaded" in daemon.log(), "the reload")
                self.assertEqual([ask(*port) for port in ports], [200, 200])

    def test_a_socket_that_was_not_passed_is_named(self):
        daemon = Handed(config(more="[listener one]\naddress = fd:other\nserve = control\n"))
        with socket.socket() as web:
            web.bind(("127.0.0.1", 0))
            web.listen()
            daemon.handed = {"web": web}
            with self.assertRaisesRegex(AssertionError, "fd:other.*no socket of that name"):
                daemon.start()


if __name__ == "__main__":
    unittest.main()
