# SPDX-License-Identifier: Apache-2.0
"""Live upgrades that come to nothing, at each step: the old process goes on, and nobody notices."""

import os
import random
import signal
import time
import unittest

from harness import TIMEOUT, config, eventually
from readers import LongPollReader, SseReader, WsReader
from session import Session
from succession import SLEEPS, STEPS, TALKS, Succession
from test_upgrade import CHANNELS, USERS, bearer
from wire import Wire, build_request
from ws import TEXT, WsClient, frame_bytes

class Clients:
    """One of each kind, in the middle of something; check() shows that they go on, and that nothing is lost or comes
    twice."""

    def __init__(self, daemon):
        self.daemon, self.turn = daemon, 0
        self.readers = [reader_class(daemon, "x") for reader_class in (SseReader, WsReader, LongPollReader)]
        self.session = Session(daemon.public)
        self.session.ask(subscribe={"channel": "x"})
        self.session.until_caught_up("x")
        self.member = Session(daemon.public, "members:x", headers=bearer())
        self.member.until_caught_up("members:x")
        self.half = Wire(daemon.private)
        self.sender = WsClient(daemon.public, "/sub/sent")
        self.request = build_request("POST", "/pub/half", daemon.private, body=b"a half")
        self.frame = frame_bytes(TEXT, b"a half frame")

    def begin(self):
        self.half.send(self.request[:-3])
        self.sender.wire.send(self.frame[:-3])
        self.daemon.publish("x", f"{self.turn} before")
        self.daemon.wait_read()

    def check(self):
        self.daemon.publish("x", f"{self.turn} after")
        wanted = [f"{self.turn} before", f"{self.turn} after"]
        for reader in self.readers:
            assert (texts := reader.texts(2)) == wanted, (reader.name, texts)
        pushed = [self.session.push()["data"] for _ in wanted]
        assert pushed == wanted, pushed
        self.half.send(self.request[-3:])
        assert self.half.read_response().status == 200
        self.sender.wire.send(self.frame[-3:])
        assert self.sender.next_text() == "a half frame"
        assert self.session.ask(ping={}) == {}
        assert self.member.ask(presence={"channel": "members:x"})["count"] == 1
        self.turn += 1

    def close(self):
        for client in (*self.readers, self.session, self.member, self.half, self.sender):
            client.close()


class FailureTest(unittest.TestCase):
    def setUp(self):
        self.daemon = Succession(config(server="drain = 2s", channels=CHANNELS, more=USERS)).start()
        self.addCleanup(self.daemon.kill)
        self.clients = Clients(self.daemon)
        self.addCleanup(self.clients.close)

    def fail(self, timeout=TIMEOUT):
        """An upgrade fails; what is said of it."""
        self.clients.begin()
        pid = self.daemon.process.pid
        facts = self.daemon.fail_upgrade(timeout)
        self.assertEqual(self.daemon.process.pid, pid)
        self.clients.check()
        return facts

    def succeed(self):
        self.daemon.replace()
        self.clients.begin()
        self.assertEqual(self.daemon.upgrade()["left"], 0)
        self.clients.check()


class Steps(FailureTest):
    def test_the_next_process_is_killed_at_each_step(self):
        for step in STEPS:
            # Behind `commit` it has the connections as soon as it has said `taken`, which nobody sees from outside.
            for when in ("before", "after") if step not in ("commit", "taken") else ("before",) if step == "commit" else ():
                with self.subTest(step=step, when=when):
                    self.daemon.ends_at(step, when)
                    self.fail()
        self.succeed()
        self.daemon.stop()

    def test_it_stands_still_while_all_is_frozen(self):
        for step in ("state", "adopted"):
            with self.subTest(step=step):
                self.daemon.ends_at(step, "before", waits=True)
                self.assertIn("reason", self.fail(2 * TIMEOUT))
        self.succeed()
        self.daemon.stop()


class OtherPrograms(FailureTest):
    def test_one_that_ends(self):
        for target in ("/bin/true", "/bin/false"):
            with self.subTest(target=target):
                self.daemon.replace(target=target)
                self.fail()
        self.succeed()

    def test_none_that_can_be_run(self):
        os.unlink(self.daemon.binary)
        self.fail()
        with open(self.daemon.binary, "w") as file:
            file.write("no program")
        os.chmod(self.daemon.binary, 0o755)
        self.fail()
        os.unlink(self.daemon.binary)
        self.succeed()

    def test_one_that_says_nothing(self):
        self.daemon.replace(SLEEPS)
        start = time.monotonic()
        self.fail(6 * TIMEOUT)
        print(f"its deadline came after {time.monotonic() - start:.0f} s")
        self.succeed()

    def test_one_that_says_what_nobody_understands(self):
        self.daemon.replace(TALKS + "other.send(b'\\xff' * 64)\ntime.sleep(600)")
        self.fail()
        self.succeed()

    def test_one_that_only_listens(self):
        self.daemon.replace(TALKS + "while other.recv(1 << 16): pass")
        self.fail(6 * TIMEOUT)
        self.succeed()


class Killed(FailureTest):
    ROUNDS, upgraded = 30, 0

    def test_at_random_moments(self):
        """kill -9, until an upgrade was faster than the signal: then that process serves."""
        chance, failed, done = random.Random(7), 0, 0
        for _ in range(self.ROUNDS):
            self.clients.begin()
            took, count = len(self.daemon.events("took_over")), self.daemon.failures()
            self.daemon.send_signal(signal.SIGUSR2)
            if self.strike(chance.uniform(0, 0.06)):
                eventually(lambda: self.daemon.failures() > count, "the failure")
                failed += 1
            else:
                eventually(lambda: len(self.daemon.events("took_over")) > took, "the upgrade")
                self.assertEqual(self.daemon.process.wait(), 0, self.daemon.log())
                self.daemon.follow()
                done += 1
            self.clients.check()
        print(f"{failed} killed in time, {done} faster")
        self.assertGreater(failed, 3)
        self.succeed()
        self.daemon.stop()

    def strike(self, seconds):
        """Kills the next process so long after it has begun, unless it is told to serve by then: from there on it has
        the connections, and nobody else. Whether it was killed."""
        heir = eventually(self.daemon.heirs, "the next process")[0]
        time.sleep(seconds)
        os.kill(heir, signal.SIGSTOP)
        time.sleep(0.1)  # for the old process to hear what was said before
        log = self.daemon.log()
        is_late = not self.daemon.is_alive() or log.count("event=upgraded") > self.upgraded
        os.kill(heir, signal.SIGCONT if is_late else signal.SIGKILL)
        self.upgraded += is_late
        return not is_late


if __name__ == "__main__":
    unittest.main()
