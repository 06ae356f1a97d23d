# SPDX-License-Identifier: Apache-2.0
"""What the process may do, who may look into it, and what it keeps of secrets."""

import grp
import os
import pwd
import re
import signal
import subprocess
import unittest
from pathlib import Path

from certificates import Authority
from harness import FANHORN, Daemon, config, eventually
from tokens import claims_of, secret_token
from wire import Wire

ROOT = os.geteuid() == 0
NOBODY = pwd.getpwnam("nobody")
LOG = "[log]\ntarget = @DIR@/fanhorn.log\n"


def status(pid, thread=None):
    """/proc/PID/status as a dict, of one thread where it is named."""
    path = Path(f"/proc/{pid}/task/{thread}/status" if thread else f"/proc/{pid}/status")
    return dict(line.split(":\t", 1) for line in path.read_text().splitlines() if ":\t" in line)


def memory_regions(pid):
    """What the process has written or could write."""
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            span, modes, *_ = line.split(maxsplit=5)
            begin, end = (int(part, 16) for part in span.split("-"))
            if not modes.startswith("rw") or end - begin > 1 << 28:  # a sanitizer's shadow
                continue
            try:
                memory.seek(begin)
                yield memory.read(end - begin)
            except (OSError, OverflowError, ValueError):
                pass  # of the kernel


def times_in_memory(pid, *needles):
    counts = [0] * len(needles)
    for region in memory_regions(pid):
        for number, needle in enumerate(needles):
            counts[number] += region.count(needle)
    return counts


class Process(unittest.TestCase):
    def daemon(self, text, mode=0o755):
        daemon = Daemon(text)
        daemon.dir.chmod(mode)
        daemon.start()
        self.addCleanup(daemon.kill)
        return daemon

    def test_36_nothing_started_from_it_gets_more_rights(self):
        daemon = self.daemon(config())
        self.assertEqual(status(daemon.process.pid)["NoNewPrivs"], "1")
        daemon.stop()

    @unittest.skipUnless(ROOT, "needs root")
    def test_36_privileges_are_dropped(self):
        daemon = self.daemon(config(server="user = nobody\npid_file = @DIR@/pid", more=LOG))
        log = daemon.dir / "fanhorn.log"
        tasks = f"/proc/{daemon.process.pid}/task"
        eventually(lambda: len(os.listdir(tasks)) > 2, "the second worker")  # the first one has answered already
        threads = os.listdir(tasks)
        groups = {str(group) for group in os.getgrouplist("nobody", NOBODY.pw_gid)}
        for thread in threads:
            facts = status(daemon.process.pid, thread)
            self.assertEqual(set(facts["Uid"].split()), {str(NOBODY.pw_uid)})
            self.assertEqual(set(facts["Gid"].split()), {str(NOBODY.pw_gid)})
            self.assertEqual(set(facts["Groups"].split()), groups)
            for which in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
                self.assertEqual(int(facts[which], 16), 0, which)
        self.assertIn("event=privileges_dropped user=nobody", log.read_text())
        self.assertNotIn("event=running_as_root", log.read_text())
        self.assertEqual(log.stat().st_uid, NOBODY.pw_uid)
        self.assertEqual(int((daemon.dir / "pid").read_text()), daemon.process.pid)
        daemon.publish("x", b"it works")
        daemon.stop()

    @unittest.skipUnless(ROOT, "needs root")
    def test_36_another_group(self):
        group = next(each for each in grp.getgrall() if each.gr_gid not in (0, NOBODY.pw_gid))
        daemon = self.daemon(config(server=f"user = nobody\ngroup = {group.gr_name}"))
        self.assertEqual(set(status(daemon.process.pid)["Gid"].split()), {str(group.gr_gid)})
        daemon.stop()

    @unittest.skipUnless(ROOT, "needs root")
    def test_36_its_memory_is_nobodys(self):
        """What /proc shows of a process that cannot be dumped is root's."""
        for more, owner in (("", 0), ("\ncore_dumps = on", NOBODY.pw_uid)):
            with self.subTest(more):
                daemon = self.daemon(config(server="user = nobody" + more))
                self.assertEqual(os.stat(f"/proc/{daemon.process.pid}/mem").st_uid, owner)
                daemon.stop()

    @unittest.skipUnless(ROOT, "needs root")
    def test_36_a_reload_as_that_user(self):
        daemon = self.daemon(config(server="user = nobody"))
        self.assertNotIn("reload_would_fail", daemon.log())
        daemon.send_signal(signal.SIGHUP)
        eventually(lambda: "event=reloaded" in daemon.log(), "the reload")
        daemon.stop()

    @unittest.skipUnless(ROOT, "needs root")
    def test_36_a_reload_of_what_that_user_cannot_read(self):
        daemon = self.daemon(config(server="user = nobody"), mode=0o700)
        self.assertRegex(daemon.log(), r"event=reload_would_fail reason=.*fanhorn\.conf: Permission denied")
        daemon.send_signal(signal.SIGHUP)
        eventually(lambda: "event=reload_refused" in daemon.log(), "the refusal")
        daemon.publish("x", b"it goes on")
        daemon.stop()

    @unittest.skipUnless(ROOT, "needs root")
    def test_36_a_key_that_that_user_cannot_read(self):
        authority = Authority()
        self.addCleanup(authority.remove)
        certificate, key = authority.sign("site", "relay.example")
        authority.folder.chmod(0o755)
        key.chmod(0o600)
        tls = f"[tls main]\ncertificate = {certificate}\nkey = {key}\n"
        daemon = self.daemon(config(server="user = nobody", public="tls = main", more=tls))
        self.assertRegex(daemon.log(), rf"event=reload_would_fail reason=.*{key}.*Permission denied")
        daemon.stop()

    @unittest.skipUnless(ROOT, "needs root")
    def test_36_root_is_warned_of(self):
        for server, is_told in (("", True), ("user = root", False)):
            daemon = self.daemon(config(server=server))
            self.assertEqual("event=running_as_root" in daemon.log(), is_told)
            daemon.stop()

    @unittest.skipUnless(ROOT, "needs root")
    def test_36_who_is_not_root_becomes_nobody_else(self):
        daemon = Daemon(config(server="user = nobody"))
        daemon.dir.chmod(0o755)
        daemon.public, daemon.private = ("127.0.0.1", 0), ("127.0.0.1", 0)
        daemon.write_config(daemon.text)
        self.addCleanup(daemon.kill)
        me = next(each for each in pwd.getpwall() if each.pw_uid not in (0, NOBODY.pw_uid))
        started = subprocess.Popen([FANHORN, "-c", str(daemon.file)], stderr=subprocess.PIPE, text=True, user=me.pw_uid)
        self.assertIn("event=user_ignored", "".join(iter_until(started.stderr, "event=started")))
        started.terminate()
        self.assertEqual(started.wait(10), 0)
        started.stderr.close()

    def test_36_faults(self):
        folder = Daemon()
        self.addCleanup(folder.kill)
        folder.public, folder.private = ("127.0.0.1", 1), ("127.0.0.1", 2)
        rows = [("user = no-such-user", "user: 'no-such-user' is no user of this system"),
                ("user = nobody\ngroup = no-such-group", "group: 'no-such-group' is no group of this system"),
                ("group = nogroup", "group: needs 'user', whose group it is")]
        for server, told in rows:
            folder.write_config(config(server=server))
            checked = subprocess.run([FANHORN, "-t", "-c", str(folder.file)], capture_output=True, text=True)
            self.assertEqual(checked.returncode, 78)
            self.assertIn(told, checked.stderr)

    def test_34_a_log_that_is_a_link_is_not_followed(self):
        daemon = Daemon(config(more=LOG))
        self.addCleanup(daemon.kill)
        victim = daemon.dir / "victim"
        victim.write_text("untouched")
        (daemon.dir / "fanhorn.log").symlink_to(victim)
        daemon.public = daemon.private = ("127.0.0.1", 0)
        daemon.write_config(daemon.text)
        started = subprocess.run([FANHORN, "-c", str(daemon.file)], capture_output=True, text=True, timeout=30)
        self.assertEqual(started.returncode, 1)
        self.assertIn("[log] target", started.stderr)
        self.assertEqual(victim.read_text(), "untouched")

    @unittest.skipUnless(ROOT, "needs root")
    def test_34_a_file_with_another_name_is_not_given_away(self):
        daemon = Daemon(config(server="user = nobody", more=LOG))
        daemon.dir.chmod(0o755)
        victim = daemon.dir / "victim"
        victim.write_text("")
        os.link(victim, daemon.dir / "fanhorn.log")
        daemon.start()
        self.addCleanup(daemon.kill)
        self.assertEqual(victim.stat().st_uid, 0)
        self.assertIn("event=log_not_given", victim.read_text())
        daemon.stop()


def iter_until(lines, word):
    for line in lines:
        yield line
        if word in line:
            return


BEARER = "bearer-token-from-a-file-0123456789"
WRITTEN = "bearer-token-as-written-9876543210"
SECRET = "the secret that tokens are signed with, 43 bytes"
SET_SECRET = "c2VjcmV0LW9mLWEtc2V0LW9mLWtleXMtMzItYnl0ZXMtYW5kLW1vcmU"
SECTIONS = f"""
[tls main]
certificate = {{certificate}}
key = {{key}}
ticket_key = @DIR@/tickets
[auth programs]
type = bearer
tokens = ${{{{file:@DIR@/bearer}}}}, {WRITTEN}
[auth users]
type = jwt
secret = ${{{{file:@DIR@/secret}}}}
issuer = what-may-be-found-in-memory
cookie = session
[auth others]
type = jwt
keys = @DIR@/keys
"""
CHANNELS = "[channel programs:*]\nsubscribe = programs\n[channel users:*]\nsubscribe = users\n[channel **]\n"


class Secrets(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.authority = Authority()
        cls.certificate, cls.key = cls.authority.sign("site", "relay.example")

    @classmethod
    def tearDownClass(cls):
        cls.authority.remove()

    def daemon(self, more="[log]\nlevel = debug\n"):
        """With a secret of each kind, some in files and one as it is."""
        sections = SECTIONS.format(certificate=self.certificate, key=self.key) + more
        daemon = Daemon(config(server="core_dumps = on", private="auth = programs", more=sections, channels=CHANNELS))
        self.addCleanup(daemon.kill)
        self.tickets = os.urandom(80)
        files = {"bearer": BEARER + "\n", "secret": SECRET, "tickets": self.tickets,
                 "keys": '{"keys":[{"kty":"oct","k":"%s"}]}' % SET_SECRET}
        for name, text in files.items():
            (daemon.dir / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return daemon

    def needles(self):
        line = self.key.read_text().splitlines()[2]
        self.assertGreater(len(line), 40)
        return {"bearer": BEARER.encode(), "written": WRITTEN.encode(), "key in PEM": line.encode(),
                "ticket key": self.tickets, "key of a set": SET_SECRET.encode()}

    def test_36_memory_keeps_none_that_it_needs_no_more(self):
        daemon = self.daemon().start()
        for count in (1, 2):
            daemon.send_signal(signal.SIGHUP)
            eventually(lambda count=count: daemon.metrics()["fanhorn_reloads_total"] == count, "the reload")
        needles = self.needles()
        found = dict(zip(needles, times_in_memory(daemon.process.pid, *needles.values())))
        self.assertEqual({name: count for name, count in found.items() if count}, {})
        control, secret = times_in_memory(daemon.process.pid, b"what-may-be-found-in-memory", SECRET.encode())
        self.assertGreater(control, 0, "memory is not what was looked at")
        self.assertGreater(secret, 0, "it is needed, to check tokens")
        daemon.stop()

    def shown(self, daemon, *args):
        run = subprocess.run([FANHORN, *args, "-c", str(daemon.file)], capture_output=True, text=True)
        return run.returncode, run.stdout + run.stderr

    def test_36_the_effective_configuration_shows_none(self):
        daemon = self.daemon()
        daemon.public, daemon.private = ("127.0.0.1", 1), ("127.0.0.1", 2)
        daemon.write_config(daemon.text)
        override = "a-secret-on-the-command-line-32-bytes"
        for args in ((), ("-g", f"auth users.secret={override}"), ("-g", f"auth programs.tokens={override}")):
            code, text = self.shown(daemon, "-T", *args)
            self.assertEqual(code, 0, text)
            self.assertIn("********", text)
            for secret in (BEARER, WRITTEN, SECRET, SET_SECRET, override):
                self.assertNotIn(secret, text)

    def test_36_no_error_shows_one(self):
        rows = [f"[auth a]\ntype = bearer\ntokens = {WRITTEN}!\n", "[auth a]\ntype = jwt\nsecret = too-short-secret\n",
                "[auth a]\ntype = bearer\ntokens = {0}, {0}\n".format(WRITTEN),
                f"[auth a]\ntype = jwt\nsecret = {WRITTEN}{'x' * 180}\n",
                f"[auth a]\ntype = callback\ntokens = {WRITTEN}\n",
                "[auth a]\ntype = jwt\nsecret = ${file:@DIR@/short}\n"]
        daemon = self.daemon()
        daemon.public, daemon.private = ("127.0.0.1", 1), ("127.0.0.1", 2)
        (daemon.dir / "short").write_text("too-short-secret")
        for row in rows:
            with self.subTest(row):
                daemon.write_config(config(more=row))
                code, text = self.shown(daemon, "-t")
                self.assertEqual(code, 78, text)
                self.assertNotIn(WRITTEN, text)
                self.assertNotIn("too-short-secret", text)

    def test_33_the_log_has_no_token(self):
        """Not of those that are let in, nor of those that are not, nor in what is malformed."""
        daemon = self.daemon("[log]\nlevel = debug\n").start()
        good = secret_token(SECRET, claims_of("alice", ["users:*"], iss="what-may-be-found-in-memory"))
        bad = secret_token("x" * 32, claims_of("alice", ["users:*"]))
        for token in (good, bad, WRITTEN, BEARER, "T" * 9000):
            headers = {"Authorization": "Bearer " + token}
            for path, listener in (("/sub/users:a?wait=0", "public"), ("/sub/programs:a?wait=0", "public"),
                                   ("/channels", "private")):
                daemon.request("GET", path, listener, headers=headers)
                daemon.request("GET", f"{path}{'&' if '?' in path else '?'}access_token={token}", listener)
            daemon.request("GET", "/sub/users:a?wait=0", "public", headers={"Cookie": "session=" + token})
            for head in (f"Authorization: Bearer {token}\x01", f"Authorization : Bearer {token}", "Auth orization: " + token):
                with Wire(daemon.public) as wire:
                    wire.try_send(f"GET /sub/x HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode())
                    self.assertIn(wire.read_response().status, (400, 431))
        log = daemon.log()
        self.assertIn("event=token_size_reached", log)
        for token in (good, bad, WRITTEN, BEARER, "T" * 40):
            for part in token.split("."):
                self.assertNotIn(part[:40], log)
        self.assertIsNone(re.search(r"Bearer \S", log))
        daemon.stop()


if __name__ == "__main__":
    unittest.main()
