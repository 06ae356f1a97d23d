# SPDX-License-Identifier: Apache-2.0
"""fanhornctl, the operator's client, as its manual page has it."""

import json
import os
import pty
import queue
import signal
import socket
import ssl
import subprocess
import threading
import time
import unittest
from unittest import mock

from certificates import Authority
from harness import FANHORNCTL, TIMEOUT, FanhornTest, config, eventually, free_ports

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


def run(*args, **options):
    return subprocess.run([FANHORNCTL, *args], capture_output=True, timeout=TIMEOUT, check=False, **options)


class Script:
    """A server that gives each connection the next of these answers, and keeps the requests."""

    def __init__(self, *answers):
        self.socket, self.requests = socket.create_server(("127.0.0.1", 0)), []
        self.url = "http://127.0.0.1:%d" % self.socket.getsockname()[1]
        threading.Thread(target=self._serve, args=(answers,), daemon=True).start()

    def _serve(self, answers):
        for answer in answers:
            connection, _ = self.socket.accept()
            request = b""
            while b"\r\n\r\n" not in request:
                request += connection.recv(65536)
            self.requests.append(request.decode())
            connection.sendall(answer)
            connection.close()
        self.socket.close()


class Ctl(FanhornTest):
    config = config(more="[listener local]\naddress = unix:@DIR@/private.sock\nserve = publish, control, metrics")

    def url(self, listener="private"):
        host, port = self.daemon.address(listener)
        return f"http://{host}:{port}"

    def ctl(self, command, *args, code=0, stdin=None, url=None):
        done = subprocess.run([FANHORNCTL, command, "--url", url or self.url(), *args], input=stdin, text=True,
                              capture_output=True, timeout=TIMEOUT, check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout if code == 0 else done.stderr

    def follow(self, *args):
        return self.start("subscribe", "--url", self.url("public"), *args)

    def start(self, *args, stdin=subprocess.DEVNULL):
        process = subprocess.Popen([FANHORNCTL, *args], text=True, stdin=stdin, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
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

    def test_publish_type(self):
        self.ctl("publish", "--type", "text/plain", self.channel, '{"a":1}')
        self.ctl("publish", "--type", "application/json", self.channel, "5")
        self.assertEqual([message["data"] for message in self.kept()], ['{"a":1}', 5])
        self.assertIn("content type", self.ctl("publish", "--type", "a\r\nX: b", self.channel, "x", code=2))

    def test_publish_once(self):
        first, again = (self.ctl("publish", "--idempotency-key", "a key&x=1", self.channel, "x") for _ in range(2))
        self.assertEqual(first.split()[0], again.split()[0])
        self.assertEqual(len(self.kept()), 1)
        self.assertRegex(self.ctl("publish", "--idempotency-key", "a key&x=1", self.channel, "y", code=1),
                         "^fanhornctl: 409 idempotency_mismatch: ")

    def test_publish_unstored(self):
        process = self.follow("--count", "1", self.channel)
        self.wait_subscribers(self.channel, 1)
        self.ctl("publish", "--no-store", self.channel, "now")
        self.assertEqual(self.line(process), "now")
        self.assertEqual(self.kept(), [])

    def test_publish_lines(self):
        lines = b'one\n{"a":1}\n\n[1]\r\n\xff\xfe\n"x"\nlast'
        done = run("publish", "--url", self.url(), "--lines", "--event", "e", self.channel, input=lines)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        kept = self.kept()
        self.assertEqual([message.get("data", message.get("base64")) for message in kept],
                         ["one", {"a": 1}, "", [1], "//4=", '"x"', "last"])
        self.assertEqual({message["event"] for message in kept}, {"e"})
        self.assertEqual([line.split()[0] for line in done.stdout.decode().splitlines()],
                         [message["id"] for message in kept])

    def test_publish_lines_as_they_come(self):
        process = self.start("publish", "--url", self.url(), "--lines", "--json", self.channel, stdin=subprocess.PIPE)
        for number, pause in enumerate([0, 0, 3]):  # a silence ends a request; the next line begins another
            time.sleep(pause)
            process.stdin.write(f"{number}\n")
            process.stdin.flush()
            self.assertEqual(json.loads(self.line(process))["n"], number + 1)
        process.stdin.close()
        self.assertEqual(process.wait(TIMEOUT), 0)

    def test_publish_many_lines(self):
        lines = "".join(f"{number}\n" for number in range(50_000))
        output = self.ctl("publish", "--lines", "--no-store", self.channel, stdin=lines).splitlines()
        sequence = [int(line.split()[0].split(".")[1]) for line in output]
        self.assertEqual(len(sequence), 50_000)
        self.assertEqual(sequence, sorted(set(sequence)))

    def test_publish_lines_refused(self):
        self.assertRegex(self.ctl("publish", "--lines", "--ttl", "x", self.channel, stdin="a\nb\n", code=1),
                         "line 1: 400 bad_option: .*\nfanhornctl: line 2: 400 bad_option: ")
        self.assertRegex(self.ctl("publish", "--lines", self.channel, stdin="ok\n" + "x" * 3_000_000, code=1),
                         "line 2: 413 too_large: ")
        self.assertEqual([message["data"] for message in self.kept()], ["ok"])
        self.ctl("publish", "--lines", self.channel, "data", code=2)
        self.ctl("publish", "--lines", "--type", "text/plain", self.channel, stdin="", code=2)

    def test_a_large_body_is_refused_in_words(self):
        done = run("publish", "--url", self.url(), self.channel, input=b"x" * 20_000_000)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, b"^fanhornctl: 413 too_large: ")

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

    def test_subscribe_count_and_ids(self):
        ids = [self.daemon.publish(self.channel, f"m{number}")["id"] for number in range(5)]
        output = self.ctl("subscribe", "--since", "earliest", "--count", "3", "--ids", self.channel,
                          url=self.url("public"))
        self.assertEqual(output, "".join(f"{ids[number]}\tm{number}\n" for number in range(3)))
        self.ctl("subscribe", "--count", "0", self.channel, code=2)

    def test_subscribe_to_several(self):
        names = [self.channel + "/a ü", self.channel + "/b"]
        for name in names:
            self.ctl("publish", name, "from " + name)
        output = self.ctl("subscribe", "--since", "earliest", "--count", "2", ",".join(names), url=self.url("public"))
        self.assertEqual(output, "".join(f"from {name}\n" for name in names))

    def test_payloads_come_out_as_they_went_in(self):
        payloads = ['{"x":12345678901234567890123, "y":[1.10,1e400]}', "[" * 5000 + "]" * 5000, '"x"', "plain", "a\nb\n"]
        for payload in payloads:
            self.ctl("publish", self.channel, payload)
        output = self.ctl("subscribe", "--since", "earliest", "--count", "5", self.channel, url=self.url("public"))
        self.assertEqual(output.split("\n"), payloads[:4] + ["a\\nb", ""])

    def test_a_terminal_gets_no_commands(self):
        self.daemon.publish(self.channel, "\x1b[2J\u009b2J\x07 ü\nnext")
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        subprocess.run([FANHORNCTL, "subscribe", "--url", self.url("public"), "--since", "earliest", "--count", "1",
                        self.channel], stdout=theirs, timeout=TIMEOUT, check=True)
        os.close(theirs)
        self.assertEqual(os.read(ours, 4096).decode(), "\\x1b[2J\\xc2\\x9b2J\\x07 ü\\nnext\r\n")

    def test_gap_in_words(self):
        ids = [self.daemon.publish(self.channel, str(number))["id"] for number in range(150)]
        done = run("subscribe", "--url", self.url("public"), "--since", ids[0], "--count", "1", self.channel, text=True)
        self.assertEqual(done.stdout, "50\n")
        self.assertEqual(done.stderr,
                         f"fanhornctl: gap in {self.channel} after {ids[0]}, on with {ids[50]}: trimmed\n")

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

    def test_a_broken_connection(self):
        """Half a block is asked for again, with the id of the last whole one; retry: is kept to."""
        server = Script(HEAD + b'retry: 700\n\nid: e.1\ndata: {"data":"one"}\n\nid: e.2\ndata: {"da',
                        b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n",
                        HEAD + b'id: e.2\r\ndata: {"data":"two"}\r\n\r\n')
        start = time.monotonic()
        self.assertEqual(self.ctl("subscribe", "--since=-1", "--count", "2", "a", url=server.url), "one\ntwo\n")
        self.assertGreater(time.monotonic() - start, 0.7)
        self.assertIn("since=-1", server.requests[0])
        for request in server.requests[1:]:
            self.assertIn("\r\nLast-Event-ID: e.1\r\n", request)
            self.assertNotIn("since", request)

    def test_retry_after(self):
        server = Script(HEAD + b'retry: 1\n\ndata: {"data":"one"}\n\n',
                        b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
                        HEAD + b'data: {"data":"two"}\n\n')
        start = time.monotonic()
        self.assertEqual(self.ctl("subscribe", "--count", "2", "a", url=server.url), "one\ntwo\n")
        self.assertGreater(time.monotonic() - start, 1)

    def test_when_not_to_come_back(self):
        never_again = Script(HEAD + b'retry: 1\n\ndata: {"data":"one"}\n\n', b"HTTP/1.1 204 No Content\r\n\r\n")
        self.assertEqual(self.ctl("subscribe", "a", url=never_again.url), "one\n")
        once = Script(HEAD + b'data: {"data":"one"}\n\n')
        self.assertIn("the stream ended", self.ctl("subscribe", "--no-reconnect", "a", url=once.url, code=1))
        problem = b'{"status":404,"code":"channel_unknown","detail":"why"}'
        gone = Script(HEAD + b"retry: 1\n\n",
                      b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n%s" % (len(problem), problem))
        self.assertIn("404 channel_unknown: why", self.ctl("subscribe", "a", url=gone.url, code=1))

    def test_a_restart_is_survived(self):
        """A real daemon goes and comes back: its epoch is another, and that is told."""
        process = self.follow("--count", "2", self.channel)
        self.wait_subscribers(self.channel, 1)
        self.daemon.publish(self.channel, "before")
        self.assertEqual(self.line(process), "before")
        self.daemon.send_signal(signal.SIGTERM)
        self.daemon.wait()
        self.daemon.launch()
        eventually(self.daemon._is_ready, "readiness")
        self.daemon.publish(self.channel, "after")
        self.assertEqual(self.line(process), "after")
        self.assertEqual(process.wait(TIMEOUT), 0)
        self.assertRegex(process.stderr.read(), "coming back\n(.*\n)*fanhornctl: gap in .*: epoch\n")

    def test_nobody_reads(self):
        self.daemon.publish(self.channel + "/a"), self.daemon.publish(self.channel + "/b")
        for command in (["stats"], ["channels"], ["channels", "--json"]):
            process = subprocess.Popen([FANHORNCTL, *command, "--url", self.url()], stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE)
            process.stdout.close()
            self.assertEqual((process.stderr.read(), process.wait(TIMEOUT)), (b"", 0), command)
            process.stderr.close()

    def test_listeners(self):
        socket_url = f"unix:{self.daemon.dir}/private.sock"
        self.ctl("publish", self.channel, "over a unix socket", url=socket_url)
        self.assertEqual(self.kept()[0]["data"], "over a unix socket")
        env = {**os.environ, "FANHORN_URL": socket_url, "FANHORN_SUB_URL": self.url("public")}
        self.assertEqual(run("channel", self.channel, env=env).returncode, 0)
        done = run("subscribe", "--since", "earliest", "--count", "1", self.channel, env=env)
        self.assertEqual(done.stdout, b"over a unix socket\n")
        self.assertIn("cannot connect", self.ctl("stats", url="https://127.0.0.1:1", code=1))
        self.assertIn("cannot connect", self.ctl("stats", url="http://[::1]:1", code=1))

    def test_channels(self):
        self.daemon.publish(self.channel + "/a"), self.daemon.publish(self.channel + "/b")
        output = self.ctl("channels", "--prefix", self.channel + "/")
        self.assertIn(self.channel + "/a", output)
        self.assertIn(self.channel + "/b", output)
        answer = json.loads(self.ctl("channels", "--json", "--prefix", self.channel + "/"))
        self.assertEqual([facts["channel"] for facts in answer["channels"]],
                         [self.channel + "/a", self.channel + "/b"])

    def test_channels_by_pages(self):
        names = [f"{self.channel}/{number:04}" for number in range(2300)]
        self.daemon.publish_lines([{"channel": name, "text": "x"} for name in names])
        prefix = ("channels", "--prefix", self.channel + "/")
        rows = self.ctl(*prefix).splitlines()
        self.assertEqual(rows[0].split(), ["channel", "websocket", "sse", "longpoll", "messages", "bytes", "last",
                                           "section"])
        self.assertEqual([row.split()[0] for row in rows[1:]], names)
        facts = self.daemon.facts(names[0])
        self.assertEqual(rows[1].split()[1:], ["0", "0", "0", "1", str(facts["bytes"]), facts["last"], "**"])
        self.assertEqual([one["channel"] for one in json.loads(self.ctl(*prefix, "--json"))["channels"]], names)

    def test_no_channels(self):
        prefix = ("channels", "--prefix", "none:")
        self.assertEqual(len(self.ctl(*prefix).splitlines()), 1)
        self.assertEqual(json.loads(self.ctl(*prefix, "--json")), {"channels": []})

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
        for part in ("version", "uptime", "subscriptions ", "stopped readers ", "connections, sse", "delivered, poll", "mailbox, p50", "flush, p99"):
            self.assertIn(part, output)
        self.assertNotIn("limit, message_size", output)
        self.daemon.request("POST", "/pub/" + self.channel, body=b"x" * 100_000)
        self.assertRegex(self.ctl("stats"), r"limit, message_size +1\n")

    def test_stats_times(self):
        process = self.follow("--count", "1", self.channel)
        self.wait_subscribers(self.channel, 1)
        self.daemon.publish(self.channel)
        self.line(process)
        self.assertRegex(self.ctl("stats"), r"mailbox, p50 +[0-9.]+ ms\n.*p99 +[0-9.]+ ms\n")

    def test_stats_as_json(self):
        self.daemon.publish(self.channel)
        values = json.loads(self.ctl("stats", "--json"))
        self.assertGreaterEqual(values["fanhorn_published_total"], 1)
        self.assertEqual(values["fanhorn_connections"]["websocket"], 0)
        self.assertEqual(values["fanhorn_mailbox_seconds_bucket"]["+Inf"], values["fanhorn_mailbox_seconds_count"])

    def test_unreachable(self):
        url = f"http://127.0.0.1:{free_ports(1)[0]}"
        self.assertIn("is the daemon running?", self.ctl("stats", url=url, code=1))

    def test_usage(self):
        for args in ([], ["dance"], ["publish"], ["publish", "--nothing", "x", "y"], ["channel"]):
            with self.subTest(args=args):
                done = subprocess.run([FANHORNCTL, *args], capture_output=True, stdin=subprocess.DEVNULL,
                                      timeout=TIMEOUT, check=False)
                self.assertEqual(done.returncode, 2, done.stderr)

    def test_help(self):
        for command in ("publish", "subscribe", "channels", "channel", "stats"):
            done = run(command, "--help")
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            self.assertIn(b"--url URL", done.stdout)
            self.assertIn(command.encode(), run("--help").stdout)
        self.assertRegex(run("--version").stdout, rb"^fanhornctl [0-9.]+\n$")


def secured(certificate, ports, more=""):
    """Lines of a private and a public listener with TLS."""
    return (f"[tls main]\ncertificate = {certificate[0]}\nkey = {certificate[1]}\n{more}"
            f"[listener secret]\naddress = 127.0.0.1:{ports[0]}\ntls = main\nserve = publish, control, metrics\n"
            f"[listener secured]\naddress = 127.0.0.1:{ports[1]}\ntls = main\nserve = subscribe\n")


class Secure(Ctl):
    """All of it again, to listeners with TLS; and what only these can do."""

    @classmethod
    def setUpClass(cls):
        cls.authority = Authority()
        certificate, key = cls.authority.sign("site", "localhost")
        (private, public) = free_ports(2)
        cls.ports = {"private": private, "public": public}
        cls.config = Ctl.config + "\n" + secured((certificate, key), (private, public))
        os.environ["SSL_CERT_FILE"] = str(cls.authority.folder / "ca.pem")
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        del os.environ["SSL_CERT_FILE"]
        cls.authority.remove()

    def url(self, listener="private"):
        return f"https://localhost:{self.ports[listener]}"

    def test_an_answer_of_many_records(self):
        self.ctl("publish", self.channel, stdin="x" * 60_000)
        process = self.follow("--since", "earliest", "--count", "1", self.channel)
        self.assertEqual(self.line(process), "x" * 60_000)

    def test_lines_in_great_number(self):
        lines = "".join(f'{{"n":{number}}}\n' for number in range(3000))
        self.ctl("publish", "--from-ndjson", "-", self.channel, stdin=lines)
        self.assertEqual(self.daemon.facts(self.channel)["n"], 3000)

    def test_who_is_not_trusted(self):
        port = self.ports["private"]
        self.assertIn("not trusted", self.ctl("stats", url=f"https://127.0.0.1:{port}", code=1))
        with mock.patch.dict(os.environ, SSL_CERT_FILE=os.devnull):
            self.assertIn("not trusted", self.ctl("stats", code=1))
            self.assertIn("not trusted", self.ctl("publish", "--from-ndjson", "-", self.channel, stdin="{}\n", code=1))
        self.assertIn("TLS", self.ctl("stats", url=super().url().replace("http:", "https:"), code=1))
        self.assertEqual(self.kept(), [])


class Certified(FanhornTest):
    """Listeners that ask for a client's certificate."""

    @classmethod
    def setUpClass(cls):
        cls.authority = Authority()
        cls.site = cls.authority.sign("site", "localhost")
        cls.certificate, cls.key = (str(path) for path in cls.authority.sign("operator"))
        cls.ports = free_ports(2)
        folder = cls.authority.folder
        cls.config = config(more=secured(cls.site, cls.ports, f"client_ca = {folder}/ca.pem\n"))
        cls.both = folder / "both.pem"
        cls.both.write_bytes(b"".join((folder / f"operator.{kind}").read_bytes() for kind in ("pem", "key")))
        os.environ["SSL_CERT_FILE"] = str(folder / "ca.pem")
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        del os.environ["SSL_CERT_FILE"]
        cls.authority.remove()

    def ctl(self, command, *args, port=0, code=0, own=None, **options):
        own = ["--cert", self.certificate, "--key", self.key] if own is None else own
        done = run(command, "--url", f"https://localhost:{self.ports[port]}", *own, *args, **options)
        self.assertEqual(done.returncode, code, done.stderr)
        return (done.stderr if code else done.stdout).decode()

    def refusals(self):
        return sum(value for name, value in self.daemon.metrics().items()
                   if name.startswith("fanhorn_tls_handshake_failures_total{") and '"client_certificate"' in name)

    def test_every_command_shows_it(self):
        self.ctl("publish", self.channel, "one")
        self.ctl("publish", "--lines", self.channel, input=b"two\n")
        self.ctl("publish", "--from-ndjson", "-", self.channel, input=b'{"n":3}\n')
        self.assertEqual(self.ctl("subscribe", "--since", "earliest", "--count", "3", self.channel, port=1),
                         'one\ntwo\n{"n":3}\n')
        self.assertIn(self.channel, self.ctl("channels"))
        self.assertIn(self.channel, self.ctl("channel", self.channel))
        self.assertIn("published", self.ctl("stats"))

    def test_one_file_has_both(self):
        self.assertIn("published", self.ctl("stats", own=["--cert", self.both]))

    def test_without_one(self):
        before = self.refusals()
        self.ctl("stats", own=[], code=1)
        self.ctl("subscribe", self.channel, port=1, own=[], code=1)
        eventually(lambda: self.refusals() == before + 2, "two refused handshakes")

    def test_one_that_is_nobodys(self):
        others = Authority()
        self.addCleanup(others.remove)
        before = self.refusals()
        certificate, key = others.sign("operator")
        self.ctl("stats", own=["--cert", certificate, "--key", key], code=1)
        eventually(lambda: self.refusals() == before + 1, "a refused handshake")

    def test_files_that_do_not_serve(self):
        for own, why in ((["--cert", "/no/such"], "certificate in /no/such: No such file"),
                         (["--cert", self.key], f"certificate in {self.key}: "),
                         (["--cert", self.certificate], f"key in {self.certificate}: "),
                         (["--cert", self.certificate, "--key", "/no/such"], "key in /no/such: No such file"),
                         (["--cert", self.certificate, "--key", self.site[1]], f"key in {self.site[1]}: ")):
            with self.subTest(own):
                self.assertIn(why, self.ctl("stats", own=own, code=1))

    def test_a_key_with_a_password(self):
        """Nobody is asked for it."""
        locked = self.authority.folder / "locked.key"
        subprocess.run(["openssl", "pkey", "-in", self.key, "-out", locked, "-aes256", "-passout", "pass:secret"],
                       check=True, capture_output=True)
        self.assertIn(f"key in {locked}: ", self.ctl("stats", own=["--cert", self.certificate, "--key", locked], code=1))

    def test_an_upstream_is_shown_none(self):
        context = self.authority.server(self.site)
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(self.authority.folder / "ca.pem")
        server, shown = socket.create_server(("127.0.0.1", 0)), []

        def serve():
            with context.wrap_socket(server.accept()[0], server_side=True) as upstream:
                upstream.recv(65536)
                shown.append(upstream.getpeercert())
                upstream.sendall(HEAD + b"data: {}\n\n")
                upstream.recv(1)
        threading.Thread(target=serve, daemon=True).start()
        self.addCleanup(server.close)
        bridge = subprocess.Popen(
            [FANHORNCTL, "publish", "--url", f"https://localhost:{self.ports[0]}", "--cert", self.certificate, "--key",
             self.key, "--from-sse", f"https://localhost:{server.getsockname()[1]}/", self.channel],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(bridge.wait)
        self.addCleanup(bridge.kill)
        eventually(lambda: self.daemon.facts(self.channel), "the message")
        self.assertEqual(shown, [None])


if __name__ == "__main__":
    unittest.main()
