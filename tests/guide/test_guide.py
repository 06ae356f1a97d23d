#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The files in conf/examples/ do what fanhorn-guide(7) says of them, and stand in it as they are: a publish in
each language, and each proxy in front of the daemon. What is not installed is skipped."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/blackbox"))

from certificates import Authority
from harness import Daemon, FanhornTest, config, eventually, free_ports
from sse import SseClient
from wire import Via, Wire
from ws import WsClient

EXAMPLES = ROOT / "conf" / "examples"
LANGUAGES = {"publish.php": ["php"], "publish.py": ["python3"], "publish.rb": ["ruby"], "publish.mjs": ["node"],
             "publish.go": ["go", "run"], "Publish.java": ["java"]}
CLIENT, STRANGER = "127.0.0.9", "127.0.0.8"  # for whom a proxy asks


def needs(program):
    return unittest.skipUnless(shutil.which(program), f"no {program} here")


def example(name, **replaced):
    """Its text, with what a test cannot have as it stands."""
    text = (EXAMPLES / name).read_text()
    for old, new in replaced.values():
        assert old in text, (name, old)
        text = text.replace(old, new)
    return text


class Publish(FanhornTest):
    """One test a language, made below."""

    def publish(self, name, command):
        suffix = Path(name).suffix
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, name)
            file.write_text(example(name, url=("http://127.0.0.1:8081", "http://127.0.0.1:%d" % self.daemon.private[1])))
            # None of it speaks to anybody but the daemon, and all of it may write into its folder.
            env = {**os.environ, "HOME": folder, "GOCACHE": folder + "/cache", "GOFLAGS": "-mod=mod", "GO111MODULE": "off"}
            done = subprocess.run([*command, str(file)], capture_output=True, text=True, timeout=120, env=env)
        self.assertEqual(done.returncode, 0, done.stderr)
        message = self.daemon.poll("chat:room1", since="-1", wait="0")["messages"][0]
        self.assertEqual(message["id"], done.stdout.strip())
        self.assertTrue(message["data"]["text"].startswith("from "), (suffix, message))


def add_language(name, command):
    setattr(Publish, "test_" + name.replace(".", "_").lower(),
            needs(command[0])(lambda self: self.publish(name, command)))


for each in LANGUAGES.items():
    add_language(*each)


class Proxied(unittest.TestCase):
    """What has to get through a proxy, and that the daemon knows for whom it asks."""

    MORE = ""

    def daemon(self):
        public = f"trusted_proxies = 127.0.0.1\nallow = {CLIENT}\n{self.MORE}"
        daemon = Daemon(config(public=public))
        daemon.start()
        self.addCleanup(daemon.kill)
        return daemon

    def start(self, command, text, name="proxy.conf"):
        """Runs a proxy with that configuration, in a folder of its own."""
        folder = Path(tempfile.mkdtemp(prefix="fanhorn-guide-"))
        folder.chmod(0o777)  # nginx's workers are another user
        self.addCleanup(shutil.rmtree, folder, True)
        (folder / name).write_text(text.replace("@DIR@", str(folder)))
        env = {**os.environ, "HOME": str(folder)}
        with open(folder / "log", "wb") as log:
            process = subprocess.Popen([part.replace("@DIR@", str(folder)) for part in command], env=env,
                                       stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        self.log = folder / "log"

    def start_nginx(self, daemon, name, port, **replaced):
        site = example(name, listen=("listen 80;", f"listen 127.0.0.1:{port};"),
                       relay=("127.0.0.1:8080", "127.0.0.1:%d" % daemon.public[1]), **replaced)
        paths = "".join(f"{kind}_temp_path @DIR@/{kind};\n" for kind in
                        ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        self.start(["nginx", "-p", "@DIR@", "-c", "@DIR@/proxy.conf", "-e", "@DIR@/error"],
                   f"daemon off;\npid @DIR@/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{paths}{site}}}\n")

    def answer(self, port, path="/sub/x?wait=0&since=-1", source=CLIENT, headers=None):
        with Wire(Via(("127.0.0.1", port), source=source)) as wire:
            return wire.request("GET", path, headers=headers)

    def is_up(self, port):
        try:
            return self.answer(port).status == 200
        except OSError:
            return False

    def check(self, daemon, port):
        try:
            eventually(lambda: self.is_up(port), "the proxy")
        except AssertionError:
            print(self.log.read_text(), daemon.log())
            raise
        for lies in ({}, {"X-Forwarded-For": CLIENT, "Forwarded": f"for={CLIENT}"}):
            self.assertEqual(self.answer(port, "/sub/x?transport=sse", STRANGER, lies).status, 403)
        there = Via(("127.0.0.1", port), source=CLIENT)
        self.check_live(daemon, SseClient(there, "/sub/sse").opened(), lambda client: client.next_event().data, "sse")
        ws = WsClient(there, "/sub/ws")
        eventually(lambda: daemon.subscribers("ws") == 1, "the WebSocket")
        self.check_live(daemon, ws, lambda client: client.next_text(), "ws")
        with Wire(there) as wire:
            wire.send(b"GET /sub/poll?wait=25 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % port)
            eventually(lambda: daemon.subscribers("poll") == 1, "the poll")
            daemon.publish("poll", b"held")
            self.assertEqual(wire.read_response().json()["messages"][0]["data"], "held")

    def check_live(self, daemon, client, read, channel):
        """What is published comes at once: nothing on the way collects it."""
        with client.wire:
            for text in ("one", "two"):
                daemon.publish(channel, text.encode())
                self.assertEqual(read(client), text)

    @needs("nginx")
    def test_nginx(self):
        daemon, (port,) = self.daemon(), free_ports(1)
        self.start_nginx(daemon, "nginx.conf", port)
        self.check(daemon, port)

    @needs("haproxy")
    def test_haproxy(self):
        self.MORE = "proxy_protocol = on\n"
        daemon, (port,) = self.daemon(), free_ports(1)
        self.start(["haproxy", "-db", "-f", "@DIR@/proxy.conf"],
                   example("haproxy.cfg", bind=("bind :80", f"bind 127.0.0.1:{port}"),
                           relay=("127.0.0.1:8080", "127.0.0.1:%d" % daemon.public[1])))
        self.check(daemon, port)

    @needs("caddy")
    def test_caddy(self):
        daemon, (port,) = self.daemon(), free_ports(1)
        self.start(["caddy", "run", "--config", "@DIR@/Caddyfile", "--adapter", "caddyfile"],
                   "{\n\tadmin off\n}\n" + example("Caddyfile", site=("relay.example.com {", f"http://:{port} {{"),
                                                   relay=("127.0.0.1:8080", "127.0.0.1:%d" % daemon.public[1])),
                   "Caddyfile")
        self.check(daemon, port)

    @needs("nginx")
    def test_a_cdn(self):
        daemon, (port,) = self.daemon(), free_ports(1)
        self.start_nginx(daemon, "cdn.conf", port, cache=("/var/cache/nginx/fanhorn", "@DIR@/cache"))
        self.check(daemon, port)
        daemon.publish("shared", b"for all")
        path = "/sub/shared?wait=0&since=-1"
        asked = daemon.metrics()["fanhorn_requests_total"]
        answers = [self.answer(port, path) for _ in range(20)]
        self.assertEqual({answer.json()["messages"][0]["data"] for answer in answers}, {"for all"})
        self.assertIn("HIT", [answer.headers["X-Cache"] for answer in answers])
        self.assertLess(daemon.metrics()["fanhorn_requests_total"] - asked, 20)
        fresh = self.answer(port, path, headers={"If-None-Match": answers[-1].headers["ETag"]})
        self.assertEqual(fresh.status, 304)
        # What may be somebody's own is nobody else's.
        for more in ({"Authorization": "Bearer x"}, {"Cookie": "session=x"}):
            self.assertEqual(self.answer(port, path, headers=more).headers["X-Cache"], "BYPASS")
        daemon.publish("shared", b"newer")
        eventually(lambda: self.answer(port, path).json()["messages"][-1]["data"] == "newer", "the next second")


class Texts(unittest.TestCase):
    def test_the_guide_shows_the_examples_as_they_are(self):
        guide = subprocess.run(["mandoc", "-T", "utf8", "-O", "width=140", str(ROOT / "man/fanhorn-guide.7")],
                               capture_output=True, text=True, check=True).stdout
        guide = re.sub(".\b", "", guide)
        lines = [line.strip() for line in guide.splitlines()]
        for file in sorted(EXAMPLES.iterdir()):
            if file.name == "alerts.yml":
                continue
            for line in file.read_text().splitlines():
                if "SPDX" not in line:
                    self.assertIn(line.replace("\t", " ").strip(), [text.replace("\t", " ") for text in lines], file.name)

    def test_alerts_are_about_metrics_that_there_are(self):
        authority = Authority()
        self.addCleanup(authority.remove)
        certificate, key = authority.sign("relay", "127.0.0.1")
        more = (f"[tls main]\ncertificate = {certificate}\nkey = {key}\n"
                "[hooks app]\nurl = http://127.0.0.1:9/\nsecret = 0123456789abcdef0123456789abcdef\n"
                "[broker disk]\npath = @DIR@/log\n")
        with Daemon(config(more=more)) as daemon:
            text = daemon.request("GET", "/metrics").body.decode()
        names = set(re.findall(r"fanhorn_[a-z_]+", (EXAMPLES / "alerts.yml").read_text()))
        self.assertGreater(len(names), 8)
        for name in names:
            self.assertRegex(text, rf"(?m)^{name}[ {{]")
        limits = re.findall(r'limit=~"([^"]*)"', (EXAMPLES / "alerts.yml").read_text())
        for limit in limits[0].split("|"):
            self.assertIn(f'limit="{limit}"', text)


if __name__ == "__main__":
    result = unittest.main(exit=False, verbosity=1).result
    failed = len(result.failures) + len(result.errors)
    print(f"guide: {result.testsRun - failed - len(result.skipped)} passed, {failed} failed, {len(result.skipped)} skipped")
    sys.exit(bool(failed))
