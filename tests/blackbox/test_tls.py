# SPDX-License-Identifier: Apache-2.0
"""TLS from outside: every transport over it, certificates, tickets, reload, and who does not play along."""

import contextlib
import json
import re
import selectors
import signal
import os
import socket
import ssl
import statistics
import subprocess
import time
import unittest

from certificates import Authority, connect
from harness import FANHORN, Daemon, FanhornTest, PATIENCE, Wire, config, eventually, free_ports, has_part
from session import Session
from sse import SseClient
from wire import build_request

AUTHORITY = Authority()
MAIN = AUTHORITY.sign("main", "relay.example", "*.wild.example")
OTHER = AUTHORITY.sign("other", "other.example")
RSA = AUTHORITY.sign("rsa", "relay.example", kind="rsa:2048")
CLIENT = AUTHORITY.sign("client")
VERSIONS = ("1.2", "1.3")


def tearDownModule():
    AUTHORITY.remove()


def pairs(*certified):
    return "".join(f"certificate = {certificate}\nkey = {key}\n" for certificate, key in certified)


def section(*certified, more="", name="main"):
    return f"[tls {name}]\n{pairs(*certified)}{more}\n"


class TlsTest(FanhornTest):
    def secure(self, version=None, address=None, **options):
        """Connections to that address are TLS from here on."""
        context = AUTHORITY.client(version, **options)

        def wrap(plain):
            return context.wrap_socket(plain, server_hostname="relay.example", suppress_ragged_eofs=False)
        Wire.tls[address or self.daemon.public] = wrap
        self.addCleanup(Wire.tls.clear)

    @contextlib.contextmanager
    def running(self, text, ends=False):
        """Another daemon in the place of the class's; with `ends` it has ended by itself."""
        self.daemon = Daemon(text).start()
        try:
            yield
            if not ends:
                self.daemon.stop()
        finally:
            self.daemon.kill()
            del self.daemon

    def connect(self, context=None, **options):
        return self.open(connect(self.daemon.public, context or AUTHORITY.client(), **options))

    def handshakes(self, name, daemon=None):
        metrics = (daemon or self.daemon).metrics()
        return sum(value for key, value in metrics.items()
                   if re.fullmatch(r'fanhorn_tls_handshake(s|_failures)_total\{\w+="%s"\}' % name, key))

    def assert_counted(self, name, hit):
        before = self.handshakes(name)
        result = hit()
        eventually(lambda: self.handshakes(name) > before, f"a handshake that is counted as {name}")
        return result


class Transports(TlsTest):
    backend_port = free_ports(1)[0]
    config = config(public="tls = main", limits="header_timeout = 1s", channels="""
[channel **]
client_publish = public
message_size = 300k
[channel slow:*]
history = 10
slow_consumer_limit = 64k
[channel user:*]
""", more=section(MAIN) + f"""
[listener backend]
address = 127.0.0.1:{backend_port}
serve = publish, control
tls = main
[log]
level = info
""")

    def test_streams(self):
        for version in VERSIONS:
            with self.subTest(version):
                self.secure(version)
                channel = self.channel + version.replace(".", "")
                clients = {"sse": self.sse(channel).opened(), "ws": self.ws(channel),
                           "envelopes": self.envelopes(channel)}
                self.wait_subscribers(channel, 3)
                self.assertEqual(clients["ws"].wire.socket.version(), "TLSv" + version)
                for text in ("hello", "x" * 200_000, "bye"):
                    self.daemon.publish(channel, text.encode())
                    self.assertEqual(clients["sse"].next_event().data, text)
                    self.assertEqual(clients["ws"].next_text(), text)
                    self.assertEqual(clients["envelopes"].next_json()["data"], text)
                clients["ws"].send_text("from a client")
                self.assertEqual(clients["sse"].next_event().data, "from a client")

    def test_polls(self):
        for version in VERSIONS:
            with self.subTest(version):
                self.secure(version)
                channel = self.channel + version.replace(".", "")
                wire = self.wire("public")
                wire.send(build_request("GET", f"/sub/{channel}", self.daemon.public, query={"wait": "20"}))
                self.wait_subscribers(channel, 1)
                self.daemon.publish(channel, b"held")
                answer = wire.read_response().json()
                self.assertEqual([each["data"] for each in answer["messages"]], ["held"])
                self.daemon.publish(channel, b"y" * 100_000)
                answer = wire.request("GET", f"/sub/{channel}", query={"since": answer["next"]}).json()
                self.assertEqual([len(each["data"]) for each in answer["messages"]], [100_000])
                ended = [self.wire("public") for _ in range(5)]
                for each in ended:
                    each.send(build_request("GET", f"/sub/{channel}", self.daemon.public, query={"wait": "20"}))
                self.wait_subscribers(channel, 5)
                self.daemon.publish(channel, b"for all")
                for each in ended:
                    self.assertEqual(each.read_response().json()["messages"][0]["data"], "for all")

    def test_sessions(self):
        for version in VERSIONS:
            with self.subTest(version):
                self.secure(version)
                channel = self.channel + version.replace(".", "")
                session = self.open(Session(self.daemon.public))
                session.ask(subscribe={"channel": channel})
                session.ask(publish={"channel": channel, "data": {"text": "hi"}, "echo": True})
                self.assertEqual(session.until_caught_up(channel)[0], [])
                self.assertEqual(session.push()["data"], {"text": "hi"})

    def test_publishing(self):
        address = ("127.0.0.1", self.backend_port)
        for version in VERSIONS:
            with self.subTest(version):
                self.secure(version, address)
                with Wire(address) as wire:
                    for body in (b"one", b"z" * 250_000):
                        response = wire.request("POST", "/pub/" + self.channel, body=body)
                        self.assertEqual(response.status, 200, response)
                    lines = "".join(json.dumps({"channel": self.channel, "text": str(i)}) + "\n" for i in range(500))
                    response = wire.request("POST", "/pub", body=lines.encode(),
                                            headers={"Content-Type": "application/x-ndjson"})
                    self.assertEqual(len(response.body.splitlines()), 500)

    def test_many_subscribers(self):
        self.secure()
        clients = [self.ws(self.channel) for _ in range(20)]
        Wire.tls.clear()
        self.wait_subscribers(self.channel, 20)
        for number in range(50):
            self.daemon.publish(self.channel, str(number).encode())
        for client in clients:
            self.assertEqual([client.next_text() for _ in range(50)], [str(number) for number in range(50)])

    def test_answers_end_with_close_notify(self):
        self.secure()
        wire = self.wire("public")
        response = wire.request("GET", "/nothing", headers={"Connection": "close"})
        self.assertEqual(response.status, 404)
        self.assertTrue(wire.is_closed())  # suppress_ragged_eofs=False: else an SSLEOFError

    def test_pipelined_requests(self):
        self.secure()
        wire = self.wire("public")
        request = build_request("GET", f"/sub/{self.channel}", self.daemon.public, query={"since": "0"})
        wire.send(request * 50)
        for _ in range(50):
            self.assertEqual(wire.read_response().status, 200)

    @unittest.skipUnless(has_part("http2"), "built without HTTP/2")
    def test_alpn(self):
        for offered, chosen in ((["http/1.1"], "http/1.1"), (["http/1.1", "h2"], "h2"), (["h2"], "h2"), (None, None)):
            connection = self.connect(AUTHORITY.client(alpn=offered))
            self.assertEqual(connection.selected_alpn_protocol(), chosen)
        with self.assertRaises(ssl.SSLError):
            self.assert_counted("protocol", lambda: self.connect(AUTHORITY.client(alpn=["h3"])))

    def test_plain_http_is_told(self):
        def ask():
            wire = self.wire("public")
            wire.send(b"GET /sub/a HTTP/1.1\r\nHost: a\r\n\r\n")
            response = wire.read_response()
            self.assert_problem(response, 400, "bad_request")
            self.assertIn("https", response.json()["detail"])
            self.assertTrue(wire.is_closed())
        self.assert_counted("plain_http", ask)
        eventually(lambda: "event=tls_handshake_failed listener=public why=plain_http" in self.daemon.log(), "a log line")

    def test_garbage_is_closed(self):
        def throw():
            wire = self.wire("public")
            wire.try_send(b"\x00\x01garbage\xff" * 1000)
            wire.read_to_end()
        self.assert_counted("not_tls", throw)
        self.assert_counted("closed", lambda: self.wire("public").close())

    def test_a_stalled_handshake_is_cut(self):
        def stall(hello):
            wire = self.wire("public")
            wire.send(hello)
            start = time.monotonic()
            wire.read_to_end(10 * PATIENCE)
            self.assertLess(abs(time.monotonic() - start - 1), 0.8 * PATIENCE)
        hello = client_hello()
        for part in (b"", hello[:50], hello):
            self.assert_counted("timeout", lambda: stall(part))

    def test_an_untrusting_client_is_counted(self):
        stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        with self.assertRaises(ssl.SSLError):
            self.assert_counted("refused", lambda: self.connect(stranger))

    def test_slow_reader(self):
        """What one who stops reading costs is bounded, and he is told what he missed."""
        self.secure()
        reader = self.open(SseClient(self.daemon.public, f"/sub/slow:{self._testMethodName}", receive_buffer=4096))
        reader.opened()
        before = self.daemon.metrics()["process_resident_memory_bytes"]
        for number in range(400):
            self.daemon.publish(f"slow:{self._testMethodName}", b"%d " % number + b"s" * 50_000)
        if not os.environ.get("FANHORN_SANITIZED"):  # their allocators keep what was freed
            self.assertLess(self.daemon.metrics()["process_resident_memory_bytes"] - before, 8 << 20)
        gaps, last = 0, None
        while last != "399":
            event = reader.next_event()
            gaps += event.event == "gap"
            last = event.data.split(" ")[0] if event.event != "gap" else last
        self.assertGreater(gaps, 0)

    def test_certificate_metric(self):
        found = [(name, value) for name, value in self.daemon.metrics().items()
                 if name.startswith("fanhorn_tls_certificate_expiry_seconds")]
        self.assertEqual([name for name, _ in found],
                         ['fanhorn_tls_certificate_expiry_seconds{tls="main",file="%s",subject="CN=main"}' % MAIN[0]])
        self.assertLess(abs(found[0][1] - 86400), 600 * PATIENCE)


def client_hello():
    """The first bytes that a client of TLS sends."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        AUTHORITY.client().wrap_bio(incoming, outgoing, server_hostname="relay.example").do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


class Certificates(TlsTest):
    config = config(public="tls = main", more=section(MAIN, OTHER, more="protocols = TLSv1.3\n"))

    def subject(self, host):
        return dict(pair for (pair,) in self.connect(host=host).getpeercert()["subject"])["commonName"]

    def test_sni(self):
        for host, subject in (("relay.example", "main"), ("OTHER.example", "other"), ("a.wild.example", "main")):
            self.assertEqual(self.subject(host), subject)
        context = AUTHORITY.client()
        context.check_hostname = False
        for host in (None, "unknown.example", "127.0.0.1"):
            names = self.connect(context, host=host).getpeercert()["subjectAltName"]
            self.assertIn(("DNS", "relay.example"), names)

    def test_protocols(self):
        with self.assertRaises(ssl.SSLError):
            self.assert_counted("version", lambda: self.connect(AUTHORITY.client("1.2")))
        self.assertEqual(self.connect().version(), "TLSv1.3")


class ClientCertificates(TlsTest):
    config = config(public="tls = main", more=section(MAIN, more=f"client_ca = {AUTHORITY.folder}/ca.pem\n"))

    def test_client_certificate(self):
        for version in VERSIONS:
            with self.subTest(version):
                def refused():
                    with self.assertRaises((ssl.SSLError, ConnectionError)):
                        self.connect(AUTHORITY.client(version)).recv(1)
                self.assert_counted("client_certificate", refused)
                self.secure(version, certificate=CLIENT)
                response = self.wire("public").request("GET", f"/sub/{self.channel}", query={"since": "0"})
                self.assertEqual(response.status, 200)
                Wire.tls.clear()


class Proxied(TlsTest):
    """The proxy's header comes before the handshake, in a piece of its own or with its first bytes."""
    config = config(public="tls = main\nproxy_protocol = on\ntrusted_proxies = 127.0.0.1\n", more=section(MAIN))
    HEADER = b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 443\r\n"

    def test_header_first(self):
        context = AUTHORITY.client()

        def wrap(plain):
            plain.sendall(self.HEADER)
            return context.wrap_socket(plain, server_hostname="relay.example")
        Wire.tls[self.daemon.public] = wrap
        self.addCleanup(Wire.tls.clear)
        client = self.ws(self.channel)
        self.wait_subscribers(self.channel, 1)
        self.daemon.publish(self.channel, b"behind a proxy")
        self.assertEqual(client.next_text(), "behind a proxy")

    def test_both_at_once(self):
        wire = self.wire("public")
        wire.send(self.HEADER + client_hello())
        self.assertEqual(wire.read_exactly(1), b"\x16")

    def test_no_header(self):
        wire = self.wire("public")
        wire.try_send(client_hello())
        self.assertTrue(wire.is_closed())


class Tickets(TlsTest):
    config = config(public="tls = main", more=section(MAIN))

    def session(self, context):
        connection = self.connect(context)
        connection.sendall(build_request("GET", "/nothing", self.daemon.public))
        connection.recv(1000)  # the ticket comes with TLS 1.3's first bytes
        return connection.session

    def test_resumed_on_all_workers_and_across_a_reload(self):
        for version in VERSIONS:
            context = AUTHORITY.client(version)
            session = self.session(context)
            before = self.handshakes("resumed")
            self.assertTrue(all(self.connect(context, session=session).session_reused for _ in range(10)))
            reloads = self.daemon.metrics()["fanhorn_reloads_total"]
            self.daemon.send_signal(signal.SIGHUP)
            eventually(lambda: self.daemon.metrics()["fanhorn_reloads_total"] > reloads, "the reload")
            self.assertTrue(all(self.connect(context, session=session).session_reused for _ in range(10)))
            eventually(lambda: self.handshakes("resumed") == before + 20, "as many counted")

    def test_keys_in_files(self):
        """The same keys in another daemon; a new one in front of them; then without the old one."""
        keys = [AUTHORITY.folder / name for name in ("a.ticket", "b.ticket")]
        keys[0].write_bytes(b"a" * 80)
        keys[1].write_bytes(b"b" * 48)

        def with_keys(*names):
            lines = "".join(f"ticket_key = {name}\n" for name in names)
            return config(public="tls = main", more=section(MAIN, more=lines))

        def reused(daemon, session):
            connection = self.open(connect(daemon.public, context, session=session))
            connection.sendall(build_request("GET", "/nothing", daemon.public))
            connection.recv(1000)
            return connection.session_reused, connection.session
        context = AUTHORITY.client("1.3")
        with Daemon(with_keys(keys[0])) as first, Daemon(with_keys(keys[0])) as second:
            _, old = reused(first, None)
            self.assertTrue(reused(second, old)[0])
            for names, expected in (([keys[1], keys[0]], True), ([keys[1]], False)):
                second.write_config(with_keys(*names))
                reloads = second.metrics()["fanhorn_reloads_total"]
                second.send_signal(signal.SIGHUP)
                eventually(lambda: second.metrics()["fanhorn_reloads_total"] > reloads, "the reload")
                eventually(lambda: reused(second, old)[0] == expected, f"resumption: {expected}")


class Reload(TlsTest):
    def test_certificates_change(self):
        text = config(public="tls = main", more=section(MAIN))
        with self.running(text):
            self.secure()
            stream = self.ws(self.channel)
            Wire.tls.clear()
            self.wait_subscribers(self.channel, 1)
            self.daemon.write_config(text.replace(pairs(MAIN), pairs(RSA)))
            self.daemon.send_signal(signal.SIGHUP)
            old = MAIN[0].read_text()
            eventually(lambda: self.shown() != ssl.PEM_cert_to_DER_cert(old), "the new certificate")
            self.daemon.write_config(text.replace(pairs(MAIN), pairs((OTHER[0], MAIN[1]))))
            self.daemon.send_signal(signal.SIGHUP)
            eventually(lambda: "event=reload_refused" in self.daemon.log(), "a refusal")
            self.assertEqual(self.shown(), ssl.PEM_cert_to_DER_cert(RSA[0].read_text()))
            self.daemon.publish(self.channel, b"still there")
            self.assertEqual(stream.next_text(), "still there")

    def shown(self):
        return self.connect().getpeercert(binary_form=True)

    def test_tls_is_turned_on_and_off(self):
        """An open connection stays what it was."""
        plain = config()
        secure = config(public="tls = main", more=section(MAIN))
        with self.running(plain):
            first = self.ws(self.channel)
            self.daemon.write_config(secure)
            self.daemon.send_signal(signal.SIGHUP)

            def is_secure():
                try:
                    return bool(self.connect())
                except ssl.SSLError:
                    return False
            eventually(is_secure, "TLS")
            self.secure()
            second = self.ws(self.channel)
            Wire.tls.clear()
            self.daemon.write_config(plain)
            self.daemon.send_signal(signal.SIGHUP)
            eventually(lambda: not is_secure(), "no TLS")
            third = self.ws(self.channel)
            self.wait_subscribers(self.channel, 3)
            self.daemon.publish(self.channel, b"for all")
            for client in (first, second, third):
                self.assertEqual(client.next_text(), "for all")


class Drain(TlsTest):
    def test_quit(self):
        """Who reads hears the end to its last byte; who does not is left behind in time."""
        with self.running(config(server="drain = 1s", public="tls = main", more=section(MAIN)), ends=True):
            self.secure()
            reader = self.ws(self.channel)
            stuck = self.ws(self.channel, receive_buffer=4096)
            idle = self.wire("public")
            self.assertEqual(idle.request("GET", "/nothing").status, 404)
            Wire.tls.clear()
            self.wait_subscribers(self.channel, 2)
            for number in range(100):
                self.daemon.publish(self.channel, b"%d " % number + b"d" * 30_000)
                self.assertEqual(int(reader.next_text().split()[0]), number)
            self.daemon.send_signal(signal.SIGQUIT)
            self.assertEqual(reader.expect_close().payload[:2], (1001).to_bytes(2, "big"))
            self.assertTrue(idle.is_closed())
            self.assertEqual(self.daemon.wait(), 0)
            stuck.close()


class Mistakes(unittest.TestCase):
    def check(self, tls, place, words):
        """`fanhorn -t` says so, with file and line."""
        folder = AUTHORITY.folder
        file = folder / "wrong.conf"
        file.write_text("[listener a]\naddress = 127.0.0.1:0\nserve = subscribe\ntls = main\n" + tls)
        checked = subprocess.run([FANHORN, "-t", "-c", str(file)], capture_output=True, text=True)
        self.assertEqual(checked.returncode, 78, checked)
        lines = (checked.stdout + checked.stderr).splitlines()
        self.assertTrue(any(line.startswith(f"{file}:{place}: ") and words in line for line in lines), lines)

    def test_mistakes(self):
        folder = AUTHORITY.folder
        (folder / "short.ticket").write_bytes(b"x" * 20)
        for tls, place, words in [
                ("", 4, "tls: there is no [tls main]"),
                ("[tls mian]\n" + pairs(MAIN), 4, "did you mean 'mian'?"),
                (section((MAIN[0], OTHER[1])), 7, f"key: '{OTHER[1]}' is not the key of the certificate"),
                (section((folder / "none.pem", MAIN[1])), 6, "cannot be read: No such file or directory"),
                (section((MAIN[1], MAIN[1])), 6, "has no BEGIN CERTIFICATE"),
                (section((MAIN[0], MAIN[0])), 7, "has no BEGIN PRIVATE KEY"),
                (section(MAIN) + f"certificate = {OTHER[0]}\n", 9, "has no key; give a 'key' for each certificate"),
                ("[tls main]\n" + f"certificate = {MAIN[0]}\n", 5, "[tls main] needs 'key'"),
                (section(MAIN, more=f"client_ca = {folder}/none.pem"), 8, "client_ca: "),
                (section(MAIN, more=f"ticket_key = {folder}/short.ticket"), 8, "has 20 bytes instead of 48 or 80"),
                (section(MAIN, more="ciphers = ECDHE-RSA-AES128-GCM-SHA256, NO-SUCH"), 8, "ciphers: 'NO-SUCH' is no cipher"),
                (section(MAIN, more="groups = P-1"), 8, "groups: 'P-1' is no group"),
                (section(MAIN, more="protocols = TLSv1.1"), 8, "protocols: 'TLSv1.1'")]:
            with self.subTest(words):
                self.check(tls, place, words)


class Storm(TlsTest):
    """Handshakes storm in: live traffic goes on between them."""
    COUNT = 2000

    @classmethod
    def setUpClass(cls):
        pass

    @classmethod
    def tearDownClass(cls):
        pass

    def _check_alive(self):
        pass  # each storm has a daemon of its own

    def test_live_deliveries_go_on(self):
        with self.storming(4):
            latencies, waiting = self.assert_limit("handshakes", self.storm)
            self.assertGreater(waiting, self.COUNT / 10)
            self.assertGreater(len(latencies), 5)
            self.assertLess(statistics.median(latencies), 0.1 * PATIENCE)
        with self.storming(1000):  # as good as no limit
            unlimited, _ = self.storm()
        print(f"{len(latencies)} and {len(unlimited)} deliveries while {self.COUNT} shake hands, by 4 and by 1000 a turn: "
              f"median {statistics.median(latencies):.4f} and {statistics.median(unlimited):.4f} s, "
              f"longest {max(latencies):.4f} and {max(unlimited):.4f} s")
        self.assertGreater(len(latencies), 2 * len(unlimited))

    @contextlib.contextmanager
    def storming(self, limit):
        """A daemon with a reader and a crowd that is to shake hands."""
        text = config(server="workers = 1", limits=f"handshakes = {limit}\nheader_timeout = 60s", public="tls = main",
                      more=section(RSA, more="ciphers = ECDHE-RSA-AES128-GCM-SHA256\n"))
        with self.running(text), contextlib.ExitStack() as crowd:
            self.secure()
            self.reader = self.ws(self.channel)
            Wire.tls.clear()
            self.wait_subscribers(self.channel, 1)
            self.publisher = self.wire()
            self.crowd = [crowd.enter_context(socket.create_connection(self.daemon.public)) for _ in range(self.COUNT)]
            yield
            crowd.close()
            eventually(lambda: self.daemon.metrics()["fanhorn_tls_handshakes_waiting"] == 0, "an empty queue")

    def storm(self):
        """How long deliveries take until all of the crowd have been answered, and how many of it waited at once."""
        hello, answered = client_hello(), selectors.DefaultSelector()
        for each in self.crowd:
            answered.register(each, selectors.EVENT_READ)
            each.sendall(hello)
        latencies, waiting = [], 0
        while answered.get_map():
            start = time.monotonic()
            self.assertEqual(self.publisher.request("POST", "/pub/" + self.channel, body=b"live").status, 200)
            self.assertEqual(self.reader.next_text(), "live")
            latencies.append(time.monotonic() - start)
            waiting = max(waiting, self.daemon.metrics()["fanhorn_tls_handshakes_waiting"])
            for key, _ in answered.select(0.001):
                self.assertEqual(key.fileobj.recv(1), b"\x16")  # a handshake's record
                answered.unregister(key.fileobj)
        return latencies, waiting


if __name__ == "__main__":
    unittest.main()
