# SPDX-License-Identifier: Apache-2.0
"""fanhornctl publish --from-sse and --from-ndjson: republishing another stream."""

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from harness import FANHORNCTL, TIMEOUT, Daemon, FanhornTest, config, eventually, free_ports

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
NO_MORE = b"HTTP/1.1 204 No Content\r\n\r\n"


def answer(status, *fields, body=b""):
    head = "".join(f"{field}\r\n" for field in fields)
    return b"HTTP/1.1 %d X\r\n%sContent-Length: %d\r\n\r\n%s" % (status, head.encode(), len(body), body)


def stream(*events):
    return STREAM + b"\r\n" + b"".join(events)


def chunked(*pieces):
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return STREAM + b"Transfer-Encoding: chunked\r\n\r\n" + body


def event(data, more=""):
    return f"{more}data: {data if isinstance(data, str) else json.dumps(data)}\n\n".encode()


class Upstream:
    """A server that gives each connection the next of these answers, a pause (a number) or bytes at a
    time, and keeps the requests with their times. `hold`: the last connection stays open."""

    def __init__(self, *answers, context=None, hold=False):
        self.socket, self.requests, self.times, self.held = socket.create_server(("127.0.0.1", 0)), [], [], []
        self.port = self.socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/stream?a=b"
        self.context, self.hold, self.sent = context, hold, 0
        threading.Thread(target=self._serve, args=(answers,), daemon=True).start()

    def _serve(self, answers):
        for number, parts in enumerate(answers):
            connection, _ = self.socket.accept()
            try:
                if self.context:
                    connection = self.context.wrap_socket(connection, server_side=True)
                self._answer(connection, parts if isinstance(parts, list) else [parts])
            except OSError:
                pass
            if self.hold and number == len(answers) - 1:
                self.held.append(connection)
            else:
                connection.close()
        self.socket.close()

    def _answer(self, connection, parts):
        request = b""
        while b"\r\n\r\n" not in request:
            piece = connection.recv(65536)
            if not piece:
                return
            request += piece
        self.requests.append(request.decode())
        self.times.append(time.monotonic())
        for part in parts:
            if isinstance(part, (int, float)):
                time.sleep(part)
            else:
                connection.sendall(part)
                self.sent += len(part)


class Starter(FanhornTest):
    config = config(defaults="history = 20000\nhistory_bytes = 64m\n",
                    channels="[channel t:**]\n")

    def start(self, *args, url=None, env=None, stdin=subprocess.DEVNULL):
        host, port = self.daemon.private
        process = subprocess.Popen([FANHORNCTL, "publish", "--url", url or f"http://{host}:{port}", *args], text=True,
                                   stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env={**os.environ, **(env or {})})
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def end(self, process, code=0, counts=None, number=None, text=None):
        """Its standard error, once it has ended as it should."""
        if number:
            process.send_signal(number)
        output, errors = process.communicate(text, timeout=TIMEOUT)
        self.assertEqual(process.returncode, code, output + errors)
        if counts:
            names = ("read", "filtered out", "published", "failed")
            self.assertEqual(output.strip(), ", ".join(f"{n} {c}" for n, c in zip(names, counts)), errors)
        return errors


class Bridge(Starter):
    def bridge(self, upstream, *args, code=0, counts=None, env=None, channel=None):
        url = upstream if isinstance(upstream, str) else upstream.url
        return self.end(self.start("--from-sse", url, *args, channel or self.channel, env=env), code, counts)

    def lines(self, text, *args, code=0, counts=None, channel=None):
        process = self.start("--from-ndjson", "-", *args, channel or self.channel, stdin=subprocess.PIPE)
        return self.end(process, code, counts, text=text)

    def kept(self, channel=None):
        messages, since = [], "earliest"
        while True:
            answered = self.daemon.poll(channel or self.channel, since=since)
            messages += answered["messages"]
            if not answered["messages"]:
                return messages
            since = answered["next"]

    def data(self, channel=None):
        return [message["data"] for message in self.kept(channel)]

    def test_events(self):
        upstream = Upstream(stream(b"\xef\xbb\xbf: hello\r\n\r\n", event({"a": 1}, "event: edit\nid: 1\n"),
                                   b'data: {"b":\rdata: [2]}\r\r', event("plain text", "event: message\n")), NO_MORE)
        self.bridge(upstream, counts=(3, 0, 3, 0))
        self.assertEqual([(m["data"], m.get("event")) for m in self.kept()],
                         [({"a": 1}, "edit"), ({"b": [2]}, None), ("plain text", None)])
        self.assertIn("GET /stream?a=b HTTP/1.1\r\n", upstream.requests[0])
        self.assertIn("Accept: text/event-stream\r\n", upstream.requests[0])
        self.assertNotIn("Last-Event-ID", upstream.requests[0])

    def test_chunked(self):
        whole = event({"a": "x" * 100}, "id: 1\n") + event({"a": 2})
        pieces = [whole[at:at + 7] for at in range(0, len(whole), 7)]
        self.bridge(Upstream(chunked(*pieces, b""), NO_MORE), counts=(2, 0, 2, 0))
        self.assertEqual(self.data(), [{"a": "x" * 100}, {"a": 2}])

    def test_resumes_after_a_cut(self):
        first = '[{"topic":"t","offset":7}]'
        upstream = Upstream(chunked(event(1, f"id: {first}\n") + b"id: 9\ndata: ha"), stream(event(2)), NO_MORE)
        errors = self.bridge(upstream, counts=(2, 0, 2, 0))
        self.assertEqual(self.data(), [1, 2])
        self.assertIn(f"Last-Event-ID: {first}\r\n", upstream.requests[1])
        self.assertIn(f"Last-Event-ID: {first}\r\n", upstream.requests[2])
        self.assertIn("the stream ended; coming back", errors)

    def test_waits_as_long_as_it_is_asked_to(self):
        upstream = Upstream(stream(b"retry: 1500\n\n"), answer(503, "Retry-After: 2"), NO_MORE)
        self.bridge(upstream, counts=(0, 0, 0, 0))
        self.assertGreaterEqual(upstream.times[1] - upstream.times[0], 1.4)
        self.assertGreaterEqual(upstream.times[2] - upstream.times[1], 1.9)

    def test_redirects(self):
        target = Upstream(stream(event("there")), NO_MORE)
        upstream = Upstream(answer(302, "Location: /next?x=1"), answer(307, "Location: last"),
                            answer(301, f"Location: {target.url}"), NO_MORE)
        self.bridge(upstream, counts=(1, 0, 1, 0))
        self.assertEqual([request.split()[1] for request in upstream.requests],
                         ["/stream?a=b", "/next?x=1", "/last", "/stream?a=b"])  # it comes back to where it began
        errors = self.bridge(Upstream(*[answer(308, "Location: /again")] * 6), code=1)
        self.assertIn("more than 5 redirects", errors)

    def test_an_upstream_that_is_away_is_not_taken_for_the_daemon(self):
        process = self.start("--from-sse", f"http://127.0.0.1:{free_ports(1)[0]}/x", self.channel)
        told = process.stderr.readline()
        self.assertIn("upstream: cannot connect to 127.0.0.1:", told)
        self.assertNotIn("daemon", told)
        self.end(process, 0, (0, 0, 0, 0), signal.SIGTERM)

    def test_what_ends_it(self):
        for reply, words in [(answer(404), "answered 404"), (answer(200, "Content-Type: text/html"), "text/html"),
                             (b"SSH-2.0-x\r\n\r\n", "HTTP/1.1"),
                             (STREAM + b"Content-Encoding: gzip\r\n\r\n", "compresses")]:
            with self.subTest(words):
                self.assertIn(words, self.bridge(Upstream(reply), code=1, counts=(0, 0, 0, 0)))

    def test_filter_and_route(self):
        rows = [{"wiki": "enwiki", "bot": False, "n": 10}, {"wiki": "dewiki", "bot": False, "n": 2.5},
                {"wiki": "frwiki", "bot": False, "n": 9}, {"wiki": "enwiki", "bot": True, "n": 9},
                {"wiki": "enwiki", "bot": False, "n": 1}, [1], {"wiki": "a,b|c", "bot": False, "n": 9}]
        upstream = Upstream(stream(*map(event, rows)), NO_MORE)
        self.bridge(upstream, "--filter", "wiki=enwiki|dewiki,bot!=true,n>=2.5", counts=(7, 5, 2, 0),
                    channel=self.channel + ":{wiki}")
        self.assertEqual(self.data(self.channel + ":enwiki"), [rows[0]])
        self.assertEqual(self.data(self.channel + ":dewiki"), [rows[1]])

    def test_what_cannot_be_published_is_told(self):
        rows = ['{"c":"ok"}', '{"c":"a,b"}', '{"c":null}', '{"d":1}', "no json", '{"c":"*"}', "", '{"c":"ok"}']
        errors = self.lines("\n".join(rows), channel=self.channel + ":{c}", code=1, counts=(7, 0, 2, 5))
        for words in ["not published: 400 bad_channel: ", "not published: no field 'c'",
                      "not published: a line is not JSON", "5 of 7 messages were not published"]:
            self.assertIn(words, errors)
        self.assertIn("404 channel_unknown", self.lines("{}", channel="elsewhere", code=1, counts=(1, 0, 0, 1)))

    def test_many_lines_in_order(self):
        numbers = [{"n": number, "pad": "x" * 100} for number in range(10_000)]
        self.lines("".join(json.dumps(each) + "\n" for each in numbers), counts=(10_000, 0, 10_000, 0))
        self.assertEqual([each["n"] for each in self.data()], list(range(10_000)))

    def test_a_file_and_options(self):
        file = Path(tempfile.mkdtemp()) / "lines"
        self.addCleanup(shutil.rmtree, file.parent)
        file.write_text('{"a":12345678901234567890.10}\r\n[1]')
        process = self.start("--from-ndjson", str(file), "--event", "e", "--ttl", "1h", "--json", self.channel)
        output, _ = process.communicate(timeout=TIMEOUT)
        self.assertEqual(json.loads(output), {"read": 2, "filtered_out": 0, "published": 2, "failed": 0})
        self.assertEqual({message["event"] for message in self.kept()}, {"e"})
        gone = self.end(self.start("--from-ndjson", str(file) + "x", self.channel), 1, (0, 0, 0, 0))
        self.assertIn("cannot open", gone)

    def test_lines_as_they_come_on_one_connection(self):
        process = self.start("--from-ndjson", "-", self.channel, stdin=subprocess.PIPE)
        for number, pause in enumerate([0, 0.1, 3]):  # a silence ends the request, not the connection
            time.sleep(pause)
            process.stdin.write(f"{number}\n")
            process.stdin.flush()
            eventually(lambda: len(self.kept()) == number + 1, "the line")
        self.assertEqual(self.end(process, 0, (3, 0, 3, 0)), "")

    def test_signals(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(number):
                upstream = Upstream(chunked(event(int(number))), hold=True)
                process = self.start("--from-sse", upstream.url, self.channel)
                eventually(lambda: int(number) in self.data(), "the message")
                self.assertEqual(self.end(process, 0, (1, 0, 1, 0), number), "")

    def test_usage(self):
        for args in (["--from-sse", "ftp://x", "c"], ["--from-sse", "http://x/ y", "c"],
                     ["--from-sse", "http://x", "--from-ndjson", "-", "c"], ["--from-ndjson", "-", "--lines", "c"],
                     ["--from-ndjson", "-", "c", "data"], ["--from-ndjson", "-", "--filter", "x", "c"],
                     ["--from-ndjson", "-", "c{"], ["--from-ndjson", "-", "{}"], ["--filter", "a=b", "c", "data"]):
            with self.subTest(args):
                self.assertTrue(self.end(self.start(*args), 2))

    def certificate(self, folder, name, authority):
        """A certificate of `authority` for that name, as a context."""
        (folder / "ext").write_text(f"subjectAltName={name}\n")
        commands = [f"req -newkey rsa:2048 -nodes -keyout {name}.key -out r.csr -subj /CN=x",
                    f"x509 -req -in r.csr -CA {authority}.pem -CAkey {authority}.key -CAcreateserial -days 1 "
                    f"-extfile ext -out {name}.pem"]
        for command in commands:
            subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
        return context

    def test_tls(self):
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        subprocess.run("openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 1 -subj /CN=ca".split(),
                       cwd=folder, check=True, capture_output=True)
        trust = {"SSL_CERT_FILE": str(folder / "ca.pem")}
        by_name, by_address = (self.certificate(folder, name, "ca") for name in ("DNS:localhost", "IP:127.0.0.1"))

        def secure(context, host):
            upstream = Upstream(chunked(event(host) * 500, event("last")), NO_MORE, context=context)
            return f"https://{host}:{upstream.port}/s"
        self.bridge(secure(by_name, "localhost"), env=trust, counts=(501, 0, 501, 0))
        self.bridge(secure(by_address, "127.0.0.1"), env=trust, counts=(501, 0, 501, 0))
        for context, host, env, words in [(by_name, "127.0.0.1", trust, "not trusted: IP address mismatch"),
                                          (by_address, "localhost", trust, "not trusted: hostname mismatch"),
                                          (by_name, "localhost", {}, "not trusted: ")]:
            errors = self.bridge(secure(context, host), env=env, code=1, counts=(0, 0, 0, 0))
            self.assertIn(words, errors)
        down = Upstream(answer(302, "Location: http://127.0.0.1/"), context=by_name)
        errors = self.bridge(f"https://localhost:{down.port}/", env=trust, code=1)
        self.assertIn("from https to http is not followed", errors)


class FakeRelay:
    """Takes POST /pub streams and answers as `respond(line number, line)` says; a number of seconds
    before it reads at all, `refusals` first."""

    def __init__(self, respond=None, refusals=()):
        self.socket, self.lines, self.connections = socket.create_server(("127.0.0.1", 0)), [], 0
        self.url = "http://127.0.0.1:%d" % self.socket.getsockname()[1]
        self.respond, self.refusals = respond or (lambda *_: {"id": "a.1"}), list(refusals)
        self.reads = threading.Event()
        self.reads.set()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            connection, _ = self.socket.accept()
            self.connections += 1
            if self.refusals:
                connection.recv(65536)
                connection.sendall(self.refusals.pop(0))
                connection.close()
                continue
            self._connection(connection, connection.makefile("rb"))
            connection.close()

    def _connection(self, connection, file):
        while file.readline():
            while file.readline().strip():
                pass
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while size := int(file.readline(), 16):
                self.reads.wait()
                for line in file.read(size).splitlines():
                    result = self.respond(len(self.lines), json.loads(line))
                    if result is None:
                        return
                    self.lines.append(json.loads(line))
                    text = json.dumps(result).encode() + b"\n"
                    connection.sendall(b"%x\r\n%s\r\n" % (len(text), text))
                file.readline()
            file.readline()
            connection.sendall(b"0\r\n\r\n")


class Relay(Starter):
    """What the bridge does when the relay is not well."""

    def test_relay_away_at_first(self):
        port = free_ports(1)[0]
        process = self.start("--from-ndjson", "-", "t:a", url=f"http://127.0.0.1:{port}", stdin=subprocess.PIPE)
        process.stdin.write("1\n2\n")
        process.stdin.flush()
        time.sleep(0.5)
        text = config().replace("@PRIVATE@", f"127.0.0.1:{port}")
        with Daemon(text.replace("[listener private]", "[listener other]\naddress = @PRIVATE@\nserve = publish, "
                                 "control, metrics\n[listener private]", 1)) as late:
            self.assertIn("relay: cannot connect", self.end(process, 0, (2, 0, 2, 0)))
            self.assertEqual([m["data"] for m in late.poll("t:a", since="earliest")["messages"]], [1, 2])

    def test_a_cut_loses_nothing(self):
        cut = iter([True])
        relay = FakeRelay(lambda number, _: None if number == 50 and next(cut, False) else {"id": "a.1"})
        process = self.start("--from-ndjson", "-", "t:a", url=relay.url, stdin=subprocess.PIPE)
        self.end(process, 0, (100, 0, 100, 0), text="".join(f"{n}\n" for n in range(100)))
        self.assertEqual([line["data"] for line in relay.lines], list(range(100)))
        self.assertEqual(relay.connections, 2)

    def test_a_refusal_for_now(self):
        busy = answer(503, "Retry-After: 1", body=b'{"status":503,"code":"overloaded","detail":"later"}')
        relay = FakeRelay(refusals=[busy])
        begun = time.monotonic()
        process = self.start("--from-ndjson", "-", "t:a", url=relay.url, stdin=subprocess.PIPE)
        self.assertIn("503 overloaded: later; trying again", self.end(process, 0, (1, 0, 1, 0), text="7\n"))
        self.assertGreaterEqual(time.monotonic() - begun, 1)
        self.assertEqual([line["data"] for line in relay.lines], [7])

    def test_a_line_refused_for_now_comes_again(self):
        problem = {"status": 503, "code": "store_down", "detail": "no disk"}
        relay = FakeRelay(lambda number, _: problem if number in (3, 4) else {"id": "a.1"})
        process = self.start("--from-ndjson", "-", "t:a", url=relay.url, stdin=subprocess.PIPE)
        errors = self.end(process, 0, (10, 0, 10, 0), text="".join(f"{n}\n" for n in range(10)))
        self.assertEqual([line["data"] for line in relay.lines], [*range(10), 3, 4])
        self.assertIn("503 store_down: no disk; trying again", errors)

    def test_a_refusal_for_good(self):
        body = b'{"status":401,"code":"unauthorized","detail":"who are you"}'
        relay = FakeRelay(refusals=[answer(401, body=body)])
        process = self.start("--from-ndjson", "-", "t:a", url=relay.url, stdin=subprocess.PIPE)
        errors = self.end(process, 1, (1, 0, 0, 1), text="7\n")
        self.assertIn("the relay refuses: 401 unauthorized: who are you", errors)

    def test_backpressure(self):
        relay = FakeRelay()
        relay.reads.clear()
        events = event({"x": "y" * 1000}) * 1000
        upstream = Upstream([STREAM + b"\r\n", *[events] * 40], NO_MORE)
        process = self.start("--from-sse", upstream.url, "t:a", url=relay.url)
        eventually(lambda: upstream.sent > len(events), "the beginning")
        eventually(lambda: self.is_still(lambda: upstream.sent), "a standstill")
        self.assertLess(upstream.sent, 20 * len(events))  # the window, and what the kernel's buffers hold
        status = Path(f"/proc/{process.pid}/status").read_text()
        resident = int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))
        self.assertLess(resident, 60_000)
        relay.reads.set()
        self.end(process, 0, (40_000, 0, 40_000, 0))
        self.assertEqual(len(relay.lines), 40_000)

    @staticmethod
    def is_still(probe):
        before = probe()
        time.sleep(0.5)
        return probe() == before

    def test_what_waits_at_the_end_is_told(self):
        relay = FakeRelay()
        relay.reads.clear()
        process = self.start("--from-sse", Upstream(chunked(event(1), event(2)), hold=True).url, "t:a", url=relay.url)
        eventually(lambda: relay.connections, "a connection")
        time.sleep(0.3)
        errors = self.end(process, 1, (2, 0, 0, 2), signal.SIGTERM)
        self.assertIn("2 of them still waited for the relay's answer", errors)
