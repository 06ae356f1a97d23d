# SPDX-License-Identifier: Apache-2.0
"""Behind proxies: the PROXY protocol, Forwarded and X-Forwarded-For, and who is let in then.

The proxy is 127.0.0.2, everybody else a stranger."""

import json
import re
import signal
import socket
import struct
import time
import unittest

from harness import Daemon, FanhornTest, TIMEOUT, Wire, config, eventually, free_ports
from sse import SseClient
from wire import Via, build_request
from ws import WsClient

PROXY, STRANGER = "127.0.0.2", "127.0.0.3"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOCAL, PROXIED = 0x20, 0x21
INET, INET6, UNIX = 0x11, 0x21, 0x31
TRUSTED = f"trusted_proxies = {PROXY}, 10.0.0.0/8\n"
CHANNELS = "[channel **]\n[channel slow:**]\nclient_publish = public\npublish_rate = 1/h\n"
ALLOWED = "allow = 192.0.2.0/24, 2001:db8::/32\n"


def line(source="192.0.2.1", family="TCP4", target="198.51.100.2"):
    return f"PROXY {family} {source} {target} 12345 443\r\n".encode()


def binary(block=b"", command=PROXIED, family=INET):
    return SIGNATURE + struct.pack(">BBH", command, family, len(block)) + block


def inet(source="192.0.2.1", extensions=b""):
    ends = socket.inet_aton(source) + socket.inet_aton("198.51.100.2")
    return binary(ends + struct.pack(">HH", 12345, 443) + extensions)


def inet6(source="2001:db8::1"):
    ends = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, "::1")
    return binary(ends + struct.pack(">HH", 12345, 443), family=INET6)


def extension(kind, value):
    return struct.pack(">BH", kind, len(value)) + value


class Proxied(FanhornTest):
    """What tests of either way share."""

    def peer(self, source=PROXY, preface=b""):
        return self.open(Wire(Via(self.daemon.public, source=source, preface=preface)))

    def ask(self, wire, **headers):
        """The status of a poll."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        response = wire.request("GET", "/sub/" + self.channel + "?wait=0", headers=named)
        if response.status != 200:
            self.assert_problem(response, 403, "forbidden")
        return response.status

    def check_stream(self, via, who, headers=None):
        """It is sent messages, and what it sends is its client's."""
        channel = "slow:" + self.channel
        client = self.open(WsClient(via, "/sub/" + channel, headers=headers))
        self.wait_subscribers(channel, 1)
        self.daemon.publish(channel, b"hello")
        self.assertEqual(client.next_text(), "hello")
        client.send_text("1")
        self.assertEqual(client.next_text(), "1")

        def over():
            client.send_text("2")
            self.assertEqual(client.expect_close().code, 1008)
        self.assert_limit("publish_rate", over)
        self.assertIn(f"limit=publish_rate who={who}\n", self.daemon.log())
        self.wait_subscribers(channel, 0)

    def refused_peers(self, why):
        return self.daemon.metrics()['fanhorn_peers_refused_total{why="%s"}' % why]

    def assert_refused(self, why, run):
        """run() must raise that counter by one."""
        before = self.refused_peers(why)
        run()
        eventually(lambda: self.refused_peers(why) > before, f"a peer refused as {why}")
        self.assertEqual(self.refused_peers(why), before + 1)


class Header(Proxied):
    config = config(public="proxy_protocol = on\n" + TRUSTED + ALLOWED, channels=CHANNELS)

    def test_version_1(self):
        self.assertEqual(self.ask(self.peer(preface=line())), 200)
        self.assertEqual(self.ask(self.peer(preface=line("198.51.100.1"))), 403)
        self.assertEqual(self.ask(self.peer(preface=line("2001:db8::1", "TCP6", "::1"))), 200)
        self.assertEqual(self.ask(self.peer(preface=line("2001:db9::1", "TCP6", "::1"))), 403)
        self.assertEqual(self.ask(self.peer(preface=line("::ffff:192.0.2.1", "TCP6", "::1"))), 200)

    def test_version_2(self):
        self.assertEqual(self.ask(self.peer(preface=inet())), 200)
        self.assertEqual(self.ask(self.peer(preface=inet("198.51.100.1"))), 403)
        self.assertEqual(self.ask(self.peer(preface=inet6())), 200)
        self.assertEqual(self.ask(self.peer(preface=inet6("2001:db9::1"))), 403)
        self.assertEqual(self.ask(self.peer(preface=binary(b"/a".ljust(216, b"\0"), family=UNIX))), 403)

    def test_a_proxy_that_does_not_say(self):
        for preface in (b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ::1 ::1 1 2\r\n", binary(command=LOCAL, family=0),
                        binary(b"\xc0\0\2\1" * 3, command=LOCAL), binary(family=0)):
            with self.subTest(preface=preface):
                self.assertEqual(self.ask(self.peer(preface=preface)), 403)  # it is not in `allow` itself

    def test_dribbled(self):
        request = build_request("GET", "/sub/" + self.channel + "?wait=0", self.daemon.public)
        for preface in (line(), inet(extensions=extension(3, b"abcd"))):
            wire = self.peer()
            for byte in preface + request:
                wire.send(bytes([byte]))
                time.sleep(0.001)
            self.assertEqual(wire.read_response().status, 200)

    def test_with_requests_in_the_same_segment(self):
        requests = build_request("GET", "/sub/" + self.channel + "?wait=0", self.daemon.public) * 3
        for preface in (line(), inet()):
            wire = self.peer(preface=preface + requests)
            self.assertEqual([wire.read_response().status for _ in range(3)], [200] * 3)
            self.assertEqual(self.ask(wire), 200)

    def test_the_longest(self):
        preface = inet(extensions=extension(4, b"x" * (4096 - 16 - 12 - 3)))
        self.assertEqual(len(preface), 4096)
        self.assertEqual(self.ask(self.peer(preface=preface)), 200)

    def test_behind_it_everything_is_the_clients(self):
        wire = self.peer(preface=line() + line())
        self.assert_problem(wire.read_response(), 400, "bad_request")
        self.assertTrue(wire.is_closed())

    def test_a_peer_that_is_no_proxy(self):
        def run():
            wire = self.peer(STRANGER)
            wire.try_send(line())
            self.assertTrue(wire.is_closed())
        self.assert_refused("untrusted", run)
        self.assertRegex(self.daemon.log(), rf"event=peer_untrusted who={STRANGER}:[0-9]+\n")

    def test_malformed(self):
        via = Via(self.daemon.public, source=PROXY, preface=line())
        stream = self.open(SseClient(via, "/sub/" + self.channel)).opened()
        rows = [b"GET / HTTP/1.1\r\n\r\n", b"PROXY TCP4 192.0.2.1 198.51.100.2 1\r\n", line()[:-2] + b"\n",
                line("192.0.2.01"), line("2001:db8::1"), b"PROXY UNKNOWN " + b"x" * 200, SIGNATURE + b"\x11",
                binary(b"\xc0\0\2\1" * 2), binary(b"x" * 36, family=0x41), binary(command=0x22),
                SIGNATURE + b"\x21\x11\xff\xff", inet(extensions=b"\3\0\5abcd"), b"\x16\x03\x01\x02\0\1\0\1\xfc"]
        for row in rows:
            with self.subTest(row=row):
                def run():
                    wire = self.peer()
                    wire.try_send(row)
                    self.assertTrue(wire.is_closed())
                self.assert_refused("malformed", run)
        self.assertRegex(self.daemon.log(), rf"event=proxy_header_malformed who={PROXY}:[0-9]+ reason=")
        self.daemon.publish(self.channel, b"still here")
        self.assertEqual(stream.next_event().data, "still here")

    def test_an_early_end(self):
        def run():
            wire = self.peer(preface=line()[:-1])
            wire.socket.shutdown(socket.SHUT_WR)
            self.assertTrue(wire.is_closed())
        self.assert_refused("malformed", run)

    def test_an_end_in_the_same_moment(self):
        wire = self.peer(preface=line() + build_request("GET", "/sub/x?wait=0", self.daemon.public))
        wire.socket.shutdown(socket.SHUT_WR)
        self.assertEqual(wire.read_response().status, 200)

    def test_who_only_looks_is_no_fault(self):
        before = self.refused_peers("malformed")
        for _ in range(5):
            wire = self.peer()
            wire.socket.shutdown(socket.SHUT_WR)
            self.assertTrue(wire.is_closed())
            self.peer().abort()
        self.assertEqual(self.refused_peers("malformed"), before)

    def test_streams(self):
        for preface, who in ((line(), "192.0.2.1:12345"), (inet6(), "[2001:db8::1]:12345")):
            self.check_stream(Via(self.daemon.public, source=PROXY, preface=preface), who)

    def test_trusted_clients_are_proxies_themselves(self):
        wire = self.peer(preface=line("10.0.0.9"))
        self.assertEqual(self.ask(wire, X_Forwarded_For="198.51.100.1, 192.0.2.1"), 200)
        self.assertEqual(self.ask(wire, X_Forwarded_For="192.0.2.1, 198.51.100.1"), 403)
        self.assertEqual(self.ask(wire), 403)
        wire = self.peer(preface=line("192.0.2.1"))
        self.assertEqual(self.ask(wire, X_Forwarded_For="198.51.100.1"), 200)
        self.assertEqual(self.ask(self.peer(preface=line("198.51.100.1")), X_Forwarded_For="192.0.2.1"), 403)


class Late(Proxied):
    config = config(public="proxy_protocol = on\n" + TRUSTED, limits="header_timeout = 1s")

    def test_it_comes_in_time(self):
        for preface in (b"", line()[:20], inet()[:20]):
            wire = self.peer(preface=preface)
            self.assert_limit("header_timeout", lambda: self.assertTrue(wire.is_closed()))

    def test_the_time_is_absolute(self):
        wire, start = self.peer(preface=b"PROXY UNKNOWN "), time.monotonic()
        while time.monotonic() - start < 4 and not wire.eof:
            wire.try_send(b"x")
            try:
                wire.receive(time.monotonic() + 0.2)
            except TimeoutError:
                pass
        self.assertTrue(wire.eof, "dribbling keeps it open")


class Forwarded(Proxied):
    config = config(public=TRUSTED + "trusted_proxies = unix\n" + ALLOWED,
                    more="[listener local]\naddress = unix:@DIR@/s\nserve = subscribe\n"
                         "trusted_proxies = unix\n" + ALLOWED, channels=CHANNELS)

    def test_the_nearest_that_is_not_trusted(self):
        wire = self.peer()
        for value, status in (("192.0.2.1", 200), ("198.51.100.1", 403), ("198.51.100.1, 192.0.2.1", 200),
                              ("192.0.2.1, 198.51.100.1", 403), ("198.51.100.1, 192.0.2.1, 10.0.0.5", 200),
                              ("192.0.2.1, 198.51.100.1, 10.0.0.5", 403), ("192.0.2.1, unknown", 403),
                              ("192.0.2.1:80", 200), ("2001:db8::7", 200), ("[2001:db8::7]:80", 200),
                              ("2001:db9::7", 403), ("", 403), ("nonsense", 403)):
            with self.subTest(value=value):
                self.assertEqual(self.ask(wire, X_Forwarded_For=value), status)

    def test_forwarded(self):
        wire = self.peer()
        for value, status in (("for=192.0.2.1", 200), ("for=198.51.100.1", 403), ('for="[2001:db8::7]:80"', 200),
                              ("for=198.51.100.1, for=192.0.2.1;proto=https;by=10.0.0.1", 200),
                              ('for="192.0.2.1, for=198.51.100.1', 403), ('for="198.51.100.1, for=192.0.2.1', 200),
                              ("for=_hidden", 403), ("for=192.0.2.1;for=192.0.2.1", 403)):
            with self.subTest(value=value):
                self.assertEqual(self.ask(wire, Forwarded=value), status)

    def test_forwarded_counts_where_both_are(self):
        wire = self.peer()
        self.assertEqual(self.ask(wire, Forwarded="for=192.0.2.1", X_Forwarded_For="198.51.100.1"), 200)
        self.assertEqual(self.ask(wire, X_Forwarded_For="192.0.2.1", Forwarded="for=198.51.100.1"), 403)
        self.assertEqual(self.ask(wire, X_Forwarded_For="192.0.2.1", Forwarded="nonsense"), 403)

    def test_each_request_has_its_own(self):
        wire = self.peer()
        for value, status in (("192.0.2.1", 200), ("198.51.100.1", 403), ("192.0.2.1", 200), (None, 403)):
            self.assertEqual(self.ask(wire, X_Forwarded_For=value), status)

    def test_a_peer_that_may_not_come(self):
        def run():
            wire = self.peer(STRANGER)
            wire.try_send(build_request("GET", "/sub/x", self.daemon.public, headers={"X-Forwarded-For": "192.0.2.1"}))
            self.assertTrue(wire.is_closed())
        self.assert_refused("not_allowed", run)

    def test_everything_is_refused(self):
        for method, path in (("GET", "/healthz"), ("OPTIONS", "*"), ("OPTIONS", "/sub/x"), ("POST", "/sub/x"),
                             ("GET", "/nowhere"), ("GET", "/")):
            with self.subTest(path=path):
                response = self.peer().request(method, path, headers={"X-Forwarded-For": "198.51.100.1"})
                self.assert_problem(response, 403, "forbidden")

    def test_unix_sockets(self):
        via = Via(("localhost", 0), path=str(self.daemon.dir / "s"))
        wire = self.open(Wire(via))
        self.assertEqual(self.ask(wire, X_Forwarded_For="192.0.2.1"), 200)
        self.assertEqual(self.ask(wire, X_Forwarded_For="198.51.100.1"), 403)
        self.assertEqual(self.ask(wire), 403)

    def test_streams(self):
        self.check_stream(Via(self.daemon.public, source=PROXY), "192.0.2.33", {"X-Forwarded-For": "192.0.2.33"})


class Refusals(Proxied):
    config = config(public=TRUSTED + ALLOWED)

    def test_they_are_counted_and_logged(self):
        wire = self.peer()
        self.assert_refused("not_allowed", lambda: self.ask(wire, X_Forwarded_For="198.51.100.77"))
        self.assertIn("event=peer_not_allowed who=198.51.100.77\n", self.daemon.log())


class Rates(Proxied):
    """Limits by address are those of whom proxies speak for."""

    config = config(server="workers = 1", public=TRUSTED,
                    channels="[channel **]\nclient_publish = public\npublish_rate = 2/h\n")

    def publish(self, wire, client):
        response = wire.request("POST", "/sub/x", body=b"x", headers={"X-Forwarded-For": client})
        return response.status

    def test_clients_of_a_proxy(self):
        wire = self.peer()
        for client in ("192.0.2.1", "192.0.2.2", "2001:db8::1"):
            self.assertEqual([self.publish(wire, client) for _ in range(3)], [200, 200, 429])
        self.assertEqual(self.publish(wire, "2001:db8::2"), 429)  # of the same network
        self.assertEqual(self.publish(wire, "203.0.113.9, 192.0.2.1"), 429)
        self.assertIn("limit=publish_rate who=192.0.2.1\n", self.daemon.log())

    def test_who_is_no_proxy_speaks_for_himself(self):
        statuses = [self.publish(self.peer(STRANGER), f"192.0.2.{number}") for number in range(100, 103)]
        self.assertEqual(statuses, [200, 200, 429])

    def test_commands_by_post(self):
        wire = self.peer()

        def publish(client):
            command = json.dumps({"id": 1, "publish": {"channel": "x", "data": 1}})
            fields = {"X-Forwarded-For": client, "Content-Type": "application/json"}
            return "ok" in wire.request("POST", "/sub", body=command, headers=fields).json()
        self.assertEqual([publish("192.0.2.50") for _ in range(3)], [True, True, False])
        self.assertTrue(publish("192.0.2.51"))


class OtherFamilies(unittest.TestCase):
    def test_header_over_ipv6(self):
        try:
            with socket.socket(socket.AF_INET6) as probe:
                probe.bind(("::1", 0))
        except OSError:
            self.skipTest("no IPv6 here")
        port = free_ports(1)[0]
        more = (f"[listener six]\naddress = [::1]:{port}\nserve = subscribe\n"
                "proxy_protocol = on\ntrusted_proxies = ::1\n" + ALLOWED)
        with Daemon(config(more=more)):
            for preface, status in ((line(), 200), (inet6(), 200), (binary(command=LOCAL, family=0), 403)):
                with Wire(Via(("::1", port), preface=preface)) as wire:
                    response = wire.request("GET", "/sub/x?wait=0", headers={"Host": f"[::1]:{port}"})
                    self.assertEqual(response.status, status)

    def test_header_over_unix_sockets(self):
        more = ("[listener local]\naddress = unix:@DIR@/s\nserve = subscribe\n"
                "proxy_protocol = on\ntrusted_proxies = unix\n" + ALLOWED)
        with Daemon(config(more=more)) as daemon:
            for preface, status in ((line(), 200), (inet(), 200), (inet("198.51.100.1"), 403)):
                via = Via(("localhost", 0), path=str(daemon.dir / "s"), preface=preface)
                with Wire(via) as wire:
                    self.assertEqual(wire.request("GET", "/sub/x?wait=0").status, status)
            with Wire(Via(("localhost", 0), path=str(daemon.dir / "s"))) as wire:
                for byte in inet() + build_request("GET", "/sub/x?wait=0", ("localhost", 0)):
                    wire.send(bytes([byte]))
                self.assertEqual(wire.read_response().status, 200)


class Reload(unittest.TestCase):
    def test_settings_change_for_who_comes_then(self):
        plain, header = config(), config(public="proxy_protocol = on\n" + TRUSTED)
        with Daemon(header) as daemon:
            via = Via(daemon.public, source=PROXY, preface=line())
            stream = SseClient(via, "/sub/x").opened()
            waiting = Wire(Via(daemon.public, source=PROXY))
            # It is accepted: beside the connection that asks this, one waits.
            eventually(lambda: daemon.metrics()['fanhorn_connections{transport="http"}'] == 2, "the waiting one")
            daemon.write_config(plain)
            daemon.send_signal(signal.SIGHUP)
            eventually(lambda: "event=reloaded" in daemon.log(), "a reload")
            eventually(lambda: self.answers(daemon), "an answer without a header")
            waiting.send(line())  # it was accepted before
            self.assertEqual(waiting.request("GET", "/sub/x?wait=0").status, 200)
            daemon.publish("x", b"hello")
            self.assertEqual(stream.next_event().data, "hello")
            for each in (stream, waiting):
                each.close()

    def answers(self, daemon):
        with Wire(daemon.public) as wire:
            wire.try_send(build_request("GET", "/sub/x?wait=0", daemon.public))
            try:
                return wire.read_response().status == 200
            except AssertionError:
                return False

    def test_a_header_needs_proxies(self):
        daemon = Daemon(config(public="proxy_protocol = on\n"))
        with self.assertRaisesRegex(AssertionError, "(?s)ended with 78.*proxy_protocol: needs 'trusted_proxies'"):
            with daemon:
                pass


class Drain(unittest.TestCase):
    def test_who_sent_no_header_holds_nothing_up(self):
        with Daemon(config(server="drain = 1s", public="proxy_protocol = on\n" + TRUSTED)) as daemon:
            with Wire(Via(daemon.public, source=PROXY, preface=b"PROXY")) as wire:
                start = time.monotonic()
                daemon.send_signal(signal.SIGQUIT)
                self.assertTrue(wire.is_closed())
                self.assertEqual(daemon.wait(), 0)
                self.assertLess(time.monotonic() - start, 5)
            daemon.start()  # for the end of the `with`


if __name__ == "__main__":
    unittest.main()
