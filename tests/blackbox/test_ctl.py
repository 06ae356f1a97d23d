# SPDX-License-Identifier: Apache-2.0
"""fanhornctl, the operator's client, as its manual page has it."""

import json
import queue
import signal
import subprocess
import threading
import time
import unittest

from harness import FANHORNCTL, TIMEOUT, FanhornTest, free_ports


class Ctl(FanhornTest):
    def url(self, listener="private"):
        host, port = self.daemon.address(listener)
        return f"http://{host}:{port}"

    def ctl(self, command, *args, code=0, stdin=None, url=None):
        done = subprocess.run([FANHORNCTL, command, "--url", url or self.url(), *args], input=stdin, text=True,
                              capture_output=True, timeout=TIMEOUT, check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout if code == 0 else done.stderr

    def follow(self, *args):
        process = subprocess.Popen([FANHORNCTL, "subscribe", "--url", self.url("public"), *args], text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        process.lines = queue.Queue()
        threading.Thread(target=self.read_lines, args=(process,), daemon=True).start()
        return process

    @staticmethod
    def read_lines(process):
        for line in process.stdout:
            process.lines.put(line.rstrip("\n"))

    def line(self, process):
        return process.lines.get(timeout=TIMEOUT)

    def kept(self):
        return self.daemon.poll(self.channel, since="earliest")["messages"]

    def test_publish(self):
        output = self.ctl("publish", self.channel, "hello")
        message = self.kept()[0]
        self.assertEqual(message["data"], "hello")
        self.assertIn(message["id"], output)

    def test_publish_options(self):
        self.ctl("publish", "--event", "msg", "--ttl", "1h", "--retain", self.channel, '{"a":1}')
        answer = self.daemon.poll(self.channel, since="latest")["messages"]
        self.assertEqual([(m["data"], m["event"], m["retained"]) for m in answer], [({"a": 1}, "msg", True)])

    def test_publish_from_standard_input(self):
        self.ctl("publish", self.channel, stdin="one\ntwo\n")
        self.ctl("publish", self.channel, "-", stdin="three")
        self.assertEqual([message["data"].rstrip("\n") for message in self.kept()], ["one\ntwo", "three"])

    def test_publish_as_json(self):
        answer = json.loads(self.ctl("publish", "--json", self.channel, "x"))
        self.assertEqual(answer, {"id": self.kept()[0]["id"], "n": 1, "subscribers": 0})

    def test_publish_refused(self):
        self.assertIn("gap", self.ctl("publish", "--event", "gap", self.channel, "x", code=1))

    def test_subscribe(self):
        process = self.follow(self.channel)
        self.wait_subscribers(self.channel, 1)
        self.daemon.publish(self.channel, b"one")
        self.assertIn("one", self.line(process))
        self.daemon.publish(self.channel, b"two")
        self.assertIn("two", self.line(process))
        process.send_signal(signal.SIGINT)
        process.wait(TIMEOUT)

    def test_subscribe_since(self):
        for number in range(5):
            self.daemon.publish(self.channel, f"m{number}")
        process = self.follow("--since=-2", self.channel)
        self.assertIn("m3", self.line(process))
        self.assertIn("m4", self.line(process))

    def test_subscribe_json_and_gap(self):
        ids = [self.daemon.publish(self.channel, str(number))["id"] for number in range(150)]
        process = self.follow("--json", "--since", ids[0], self.channel)
        gap = json.loads(self.line(process))
        self.assertIn("trimmed", json.dumps(gap))
        message = json.loads(self.line(process))
        self.assertEqual((message["id"], message["channel"]), (ids[50], self.channel))

    def test_subscribe_comes_back(self):
        process = self.follow(self.channel)
        self.wait_subscribers(self.channel, 1)
        self.daemon.publish(self.channel, b"before")
        self.assertIn("before", self.line(process))
        self.daemon.request("DELETE", "/pub/" + self.channel)
        deadline = time.monotonic() + TIMEOUT
        while process.poll() is None and not self.daemon.subscribers(self.channel):
            self.assertLess(time.monotonic(), deadline, "neither ends nor comes back")
            time.sleep(0.05)

    def test_channels(self):
        self.daemon.publish(self.channel + "/a"), self.daemon.publish(self.channel + "/b")
        output = self.ctl("channels", "--prefix", self.channel + "/")
        self.assertIn(self.channel + "/a", output)
        self.assertIn(self.channel + "/b", output)
        answer = json.loads(self.ctl("channels", "--json", "--prefix", self.channel + "/"))
        self.assertEqual([facts["channel"] for facts in answer["channels"]],
                         [self.channel + "/a", self.channel + "/b"])

    def test_channel(self):
        identity = self.daemon.publish(self.channel)["id"]
        self.assertIn(identity, self.ctl("channel", self.channel))
        self.assertEqual(json.loads(self.ctl("channel", "--json", self.channel)), self.daemon.facts(self.channel))
        self.assertIn(self.channel, self.ctl("channel", self.channel + ":none", code=1))

    def test_names_are_escaped(self):
        self.ctl("publish", "t:a b/ü?x=1#y%", "hello")
        facts = json.loads(self.ctl("channel", "--json", "t:a b/ü?x=1#y%"))
        self.assertEqual(facts["channel"], "t:a b/ü?x=1#y%")

    def test_stats(self):
        self.daemon.publish(self.channel)
        output = self.ctl("stats").lower()
        self.assertRegex(output, r"published\D+[1-9]")

    def test_unreachable(self):
        url = f"http://127.0.0.1:{free_ports(1)[0]}"
        self.assertTrue(self.ctl("stats", url=url, code=1))

    def test_usage(self):
        for args in ([], ["dance"], ["publish"], ["publish", "--nothing", "x", "y"], ["channel"]):
            with self.subTest(args=args):
                done = subprocess.run([FANHORNCTL, *args], capture_output=True, stdin=subprocess.DEVNULL,
                                      timeout=TIMEOUT, check=False)
                self.assertEqual(done.returncode, 2, done.stderr)


if __name__ == "__main__":
    unittest.main()
