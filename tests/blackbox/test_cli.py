# SPDX-License-Identifier: Apache-2.0
"""The command line: checks, overrides, signals by pid file, exit codes."""

import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from harness import FANHORN, ROOT, TIMEOUT, Daemon, config, eventually, free_ports

GOOD = """[listener public]
address = 127.0.0.1:1
serve = subscribe
[channel **]
[channel chat:*]
history = 7
"""


def run(*args, binary=FANHORN, env=None):
    done = subprocess.run([binary, *args], capture_output=True, text=True, timeout=TIMEOUT,
                          stdin=subprocess.DEVNULL, env={**os.environ, **(env or {})}, check=False)
    return done.returncode, done.stdout + done.stderr


class Check(unittest.TestCase):
    def setUp(self):
        self.dir = Path(tempfile.mkdtemp(prefix="fanhorn-cli-"))
        self.addCleanup(shutil.rmtree, self.dir)

    def file(self, text, name="fanhorn.conf"):
        path = self.dir / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return str(path)

    def check(self, text, *args, **options):
        return run("-t", "-c", self.file(text), *args, **options)

    def assert_errors(self, text, *wanted, **options):
        """Exactly one line for each (line number, pattern)."""
        code, output = self.check(text, **options)
        self.assertEqual(code, 78, output)
        lines = [line for line in output.splitlines() if re.match(r"\S+:[0-9]+: ", line)]
        for number, pattern in wanted:
            self.assertTrue(any(re.search(rf"fanhorn\.conf:{number}: .*{pattern}", line) for line in lines),
                            f"no {number}: {pattern} in {output}")
        self.assertEqual(len(lines), len(wanted), output)

    def test_good(self):
        self.assertEqual(self.check(GOOD)[0], 0)

    def test_all_errors_in_one_run(self):
        text = GOOD + "histroy = 3\nmessage_size = 5\nheartbeat = 25\n[chanel x]\n[limits]\nbody_size = lots\n"
        self.assert_errors(text, (7, "did you mean 'history'"), (8, "message_size"), (9, "heartbeat"), (10, "did you mean 'channel'"),
                           (12, "body_size"))

    def test_did_you_mean_a_value(self):
        self.assert_errors(GOOD + "slow_consumer = discnnect\n", (7, "did you mean 'disconnect'"))

    def test_single_errors(self):
        rows = ["history = -1", "history = 5s", "history_ttl = 10", "history_ttl = 10x", "message_size = 64kb",
                "message_size = 1.5k", "heartbeat = 0s", "transports = pigeon", "subscribe = maybe", "history =",
                "history = 7\nhistory = 8", "[channel chat:*]", "[channel a*b]", "[channel **:x]", "[channel]",
                "[limits]\nheader_size = 1", "no equals sign", "= 5", "[listener public]",
                "[listener other]\naddress = 127.0.0.1:99999\nserve = subscribe",
                "[listener other]\naddress = 127.0.0.1:2\nserve = everything",
                "[listener other]\naddress = 127.0.0.1:2", "heartbeat = ${NOT_DEFINED_ANYWHERE}",
                "heartbeat = ${file:/no/such/file}", "heartbeat = ${open"]
        for row in rows:
            with self.subTest(row=row):
                code, output = self.check(GOOD.replace("history = 7\n", "") + row + "\n")
                self.assertEqual(code, 78, output)
                self.assertRegex(output, r"fanhorn\.conf:[0-9]+: ")

    def test_the_same_pattern_twice_names_both(self):
        code, output = self.check(GOOD + "[channel chat:*]\n")
        self.assertEqual(code, 78)
        self.assertIn("fanhorn.conf:7:", output)
        self.assertIn(":5", output.split("fanhorn.conf:7:")[1])

    def test_include(self):
        self.file("[channel one:*]\nhistory = 1\n", "conf.d/1.conf")
        self.file("[channel two:*]\nhistory = x\n", "conf.d/2.conf")
        code, output = self.check("include = conf.d/*.conf\n" + GOOD)
        self.assertEqual(code, 78)
        self.assertRegex(output, r"conf\.d/2\.conf:2: ")

    def test_expansion(self):
        self.file("33k", "size")
        text = GOOD + f"heartbeat = ${{BEAT}}\nhistory_bytes = ${{SIZE:-5}}k\nmessage_size = ${{file:{self.dir}/size}}\n"
        code, output = run("-T", "-c", self.file(text), env={"BEAT": "17s"})
        self.assertEqual(code, 0, output)
        self.assertRegex(output, r"heartbeat\s*=\s*17s")

    def test_no_such_file(self):
        code, output = run("-t", "-c", str(self.dir / "missing.conf"))
        self.assertEqual(code, 78)
        self.assertIn("missing.conf", output)

    def test_syslog_has_no_place_in_own_tables(self):
        code, output = self.check(GOOD + "[server]\ndescriptors = worker\n[log]\ntarget = syslog\n")
        self.assertEqual(code, 78, output)
        self.assertIn("syslog cannot be with descriptors = worker", output)

    def test_effective_configuration(self):
        code, output = run("-T", "-c", self.file(GOOD))
        self.assertEqual(code, 0, output)
        self.assertRegex(output, r"history\s*=\s*7\b.*fanhorn\.conf:6")
        for key in ("max_connections", "drain", "header_size", "body_timeout", "slow_consumer_limit", "heartbeat"):
            self.assertRegex(output, rf"(?m)^\s*{key}\s*=")
        self.assertRegex(output, r"default")

    def test_effective_configuration_parses_again(self):
        output = subprocess.run([FANHORN, "-T", "-c", self.file(GOOD)], capture_output=True, text=True, check=True).stdout
        code, errors = run("-t", "-c", self.file(output, "again.conf"))
        self.assertEqual(code, 0, errors)

    def test_which_section(self):
        path = self.file(GOOD)
        for channel, section, history in (("chat:x", "chat:*", 7), ("other", "**", 100)):
            code, output = run("-M", channel, "-c", path)
            self.assertEqual(code, 0, output)
            self.assertIn(section, output)
            self.assertRegex(output, rf"history\s*=\s*{history}\b")
        code, output = run("-M", "other", "-c", self.file(GOOD.replace("[channel **]\n", "")))
        self.assertNotEqual(code, 0)
        self.assertIn("other", output)

    def test_override(self):
        path = self.file(GOOD)
        code, output = run("-T", "-c", path, "-g", "server.workers=3", "-g", "channel chat:*.history=9",
                           "-g", "listener public.address=127.0.0.1:7")
        self.assertEqual(code, 0, output)
        self.assertRegex(output, r"workers\s*=\s*3\b")
        self.assertRegex(output, r"history\s*=\s*9\b")
        self.assertRegex(output, r"address\s*=\s*127\.0\.0\.1:7\b")
        for bad in ("server.wrokers=3", "workers=3", "server.workers", "nothing.x=1", "server.workers=many"):
            with self.subTest(bad=bad):
                self.assertIn(run("-t", "-c", path, "-g", bad)[0], (2, 78))

    def test_version(self):
        code, output = run("-v")
        self.assertEqual(code, 0)
        self.assertRegex(output, r"fanhorn.*[0-9]+\.[0-9]+\.[0-9]+")
        code, output = run("-V")
        self.assertEqual(code, 0)
        for word in ("libevent", "zlib", "websocket", "sse", "local"):
            self.assertRegex(output.lower(), word)

    def test_usage_errors(self):
        path = self.file(GOOD)
        for args in (["-x"], ["-c"], ["-s", "dance", "-c", path], ["extra"], ["-M"]):
            with self.subTest(args=args):
                code, output = run(*args)
                self.assertEqual(code, 2, output)
                self.assertTrue(output)

    def test_a_broken_file_does_not_start(self):
        code, output = run("-c", self.file(GOOD + "histroy = 1\n"))
        self.assertEqual(code, 78)
        self.assertIn("histroy", output)

    def test_the_shipped_file(self):
        shipped = ROOT / "conf" / "fanhorn.conf"
        code, output = run("-t", "-c", str(shipped))
        self.assertEqual(code, 0, output)
        code, output = run("-M", "any:thing", "-c", str(shipped))
        self.assertEqual(code, 0, output)

    def test_an_address_that_is_taken(self):
        with Daemon() as daemon:
            text = f"[listener a]\naddress = 127.0.0.1:{daemon.public[1]}\nserve = subscribe\n[channel **]\n"
            code, output = run("-c", self.file(text))
            self.assertEqual(code, 1, output)
            self.assertIn(str(daemon.public[1]), output)


class Signals(unittest.TestCase):
    def test_by_pid_file(self):
        daemon = Daemon(config(server="pid_file = @DIR@/fanhorn.pid")).start()
        self.addCleanup(daemon.kill)
        pid = daemon.dir / "fanhorn.pid"
        self.assertEqual(int(pid.read_text()), daemon.process.pid)
        self.assertEqual(run("-c", str(daemon.file), "-s", "reopen")[0], 0)
        text = daemon.file.read_text()
        daemon.file.write_text(text + "message_size = 10b\n")
        self.assertEqual(run("-c", str(daemon.file), "-s", "reload")[0], 0)
        eventually(lambda: daemon.request("POST", "/pub/x", body=b"x" * 11).status == 413, "the reload")
        self.assertEqual(run("-c", str(daemon.file), "-s", "quit")[0], 0)
        self.assertEqual(daemon.wait(), 0)
        self.assertFalse(pid.exists())
        daemon.dir.mkdir(exist_ok=True)
        self.assertEqual(run("-c", str(daemon.file), "-s", "stop")[0], 1)

    def test_override_of_a_running_daemon(self):
        port = free_ports(1)[0]
        with Daemon(args=["-g", f"listener public.address=127.0.0.1:{port}"]) as daemon:
            daemon.public = ("127.0.0.1", port)
            self.assertEqual(daemon.poll("x", wait=0)["messages"], [])


if __name__ == "__main__":
    unittest.main()
