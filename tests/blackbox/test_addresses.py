# SPDX-License-Identifier: Apache-2.0
"""What one address may have: connections_per_address and connection_rate, also behind proxies and over TLS; and how
fast a worker accepts: accept_rate."""

import select
import signal
import time
import unittest

from certificates import Authority
from harness import PATIENCE, FanhornTest, Wire, config, eventually
from wire import Via, build_request

PROXY, OTHERS = "127.0.0.2", ("127.0.0.3", "127.0.0.4")
TRUSTED = f"trusted_proxies = {PROXY}\n"
MOST = 5
RATE = 20


class AddressTest(FanhornTest):
    def wire_from(self, source, preface=b""):
        return self.open(Wire(Via(self.daemon.public, source=source, preface=preface)))

    def refusals(self, wires):
        """Those that were refused at the door, and are closed."""
        time.sleep(0.3 * PATIENCE)
        spoken = select.select([wire.socket for wire in wires], [], [], 0)[0]
        refused = [wire for wire in wires if wire.socket in spoken]
        for wire in refused:
            self.assert_problem(wire.read_response(), 503, "overloaded")
            self.assertTrue(wire.is_closed())
        return refused

    def check_works(self, wire):
        self.assertEqual(wire.request("GET", "/healthz").status, 200)

    def ask(self, wire, client):
        """A request that a proxy sends on."""
        response = wire.request("GET", "/sub/x?wait=0", headers={"X-Forwarded-For": client})
        if response.status != 200:
            self.assert_problem(response, 503, "overloaded")
        return response.status


class PerAddress(AddressTest):
    config = config(limits=f"connections_per_address = {MOST}")

    def tearDown(self):
        self.doCleanups()
        eventually(lambda: self.daemon.metrics()['fanhorn_connections{transport="http"}'] == 1, "all gone")

    def test_one_has_so_many_and_others_as_well(self):
        def hit():
            wires = [self.wire_from(OTHERS[0]) for _ in range(MOST + 3)]
            refused = self.refusals(wires)
            self.assertEqual(len(refused), 3)
            for wire in set(wires) - set(refused):
                self.check_works(wire)
        self.assert_limit("connections_per_address", hit)
        self.assertIn(f"limit=connections_per_address who={OTHERS[0]}:", self.daemon.log())
        self.assertEqual(self.refusals([self.wire_from(OTHERS[1]) for _ in range(MOST)]), [])

    def test_who_goes_makes_room(self):
        wires = [self.wire_from(OTHERS[0]) for _ in range(MOST)]
        for wire in wires[:2]:
            self.check_works(wire)
            wire.close()
        eventually(lambda: self.daemon.metrics()['fanhorn_connections{transport="http"}'] == MOST - 1, "both gone")
        self.assertEqual(len(self.refusals([self.wire_from(OTHERS[0]) for _ in range(3)])), 1)

    def test_subscribers_count(self):
        streams = [self.sse(self.channel).opened() for _ in range(MOST)]
        self.assertEqual(len(self.refusals([self.wire("public")])), 1)
        self.daemon.publish(self.channel, b"hello")
        self.assertEqual({stream.next_event().data for stream in streams}, {"hello"})

    def test_private_listeners_do_not_count(self):
        for wire in [self.wire("private") for _ in range(2 * MOST)]:
            self.check_works(wire)

    def test_a_reload_changes_it(self):
        first = [self.wire_from(OTHERS[0]) for _ in range(MOST)]
        for wire in first:
            self.check_works(wire)
        self.set_limit(f"connections_per_address = {MOST + 2}")
        self.assertEqual(len(self.refusals([self.wire_from(OTHERS[0]) for _ in range(3)])), 1)
        self.set_limit("")
        self.assertEqual(self.refusals([self.wire_from(OTHERS[0]) for _ in range(10)]), [])
        self.set_limit(f"connections_per_address = {MOST}")

    def set_limit(self, line):
        before = self.daemon.metrics()["fanhorn_reloads_total"]
        self.daemon.write_config(config(limits=line))
        self.daemon.send_signal(signal.SIGHUP)
        eventually(lambda: self.daemon.metrics()["fanhorn_reloads_total"] > before, "the reload")
        time.sleep(0.2)  # each worker takes it over in a turn of its own


class BehindAProxy(AddressTest):
    config = config(limits=f"connections_per_address = {MOST}", public=TRUSTED)

    def test_a_proxy_has_as_many_as_it_likes(self):
        for number, wire in enumerate([self.wire_from(PROXY) for _ in range(4 * MOST)]):
            self.assertEqual(self.ask(wire, f"192.0.2.{number}"), 200)

    def test_its_clients_have_so_many(self):
        wires = [self.wire_from(PROXY) for _ in range(MOST + 1)]
        self.assertEqual([self.ask(wire, "192.0.2.100") for wire in wires[:MOST]], [200] * MOST)
        def hit():
            self.assertEqual(self.ask(wires[MOST], "192.0.2.100"), 503)
        self.assert_limit("connections_per_address", hit)
        self.assertIn("limit=connections_per_address who=192.0.2.100\n", self.daemon.log())
        # The connection is the proxy's, and serves others.
        self.assertEqual(self.ask(wires[MOST], "192.0.2.101"), 200)
        # Whom it named first it counts for.
        self.assertEqual(self.ask(wires[MOST], "192.0.2.100"), 200)

    def test_a_network_is_one(self):
        wires = [self.wire_from(PROXY) for _ in range(MOST + 2)]
        hosts = [f"2001:db8:0:1::{number}" for number in range(1, MOST + 2)] + ["2001:db8:0:2::1"]
        self.assertEqual([self.ask(*pair) for pair in zip(wires, hosts)], [200] * MOST + [503, 200])

    def test_who_says_so_without_being_one(self):
        wires = [self.wire_from(OTHERS[0]) for _ in range(MOST + 1)]
        self.assertEqual(len(self.refusals(wires)), 1)


class BehindTheProxyProtocol(AddressTest):
    config = config(limits=f"connections_per_address = {MOST}", public=TRUSTED + "proxy_protocol = on\n")

    def test_its_clients_have_so_many(self):
        def statuses(host, count):
            line = f"PROXY TCP4 {host} 198.51.100.2 12345 443\r\n".encode()
            return [self.wire_from(PROXY, line).request("GET", "/healthz").status for _ in range(count)]
        self.assertEqual(statuses("192.0.2.1", MOST + 1), [200] * MOST + [503])
        self.assertEqual(statuses("192.0.2.2", MOST), [200] * MOST)


class Rate(AddressTest):
    config = config(limits=f"connection_rate = {RATE}/h")

    def test_connection_rate(self):
        def hit():
            wires = [self.wire_from(OTHERS[0]) for _ in range(RATE + 3)]
            self.assertEqual(len(self.refusals(wires)), 3)
            for wire in wires:
                wire.close()
        self.assert_limit("connection_rate", hit)
        self.assertIn(f"limit=connection_rate who={OTHERS[0]}:", self.daemon.log())
        self.assertEqual(self.refusals([self.wire_from(OTHERS[1]) for _ in range(RATE)]), [])
        self.assertEqual(len(self.refusals([self.wire_from(OTHERS[0])])), 1)  # that they have gone is no excuse


class SlowRate(AddressTest):
    config = config(limits=f"connection_rate = {RATE}/m")

    def test_it_comes_back(self):
        self.assertEqual(self.refusals([self.wire_from("127.0.0.5") for _ in range(RATE)]), [])
        self.assertEqual(len(self.refusals([self.wire_from("127.0.0.5") for _ in range(2)])), 2)
        time.sleep(60 / RATE)
        self.assertEqual(len(self.refusals([self.wire_from("127.0.0.5") for _ in range(2)])), 1)


class AcceptRate(AddressTest):
    config = config(server="workers = 1", limits="accept_rate = 20/m")  # 5 at once, then one in 3 s

    def test_accept_rate(self):
        def hit():
            wires = [self.wire("public") for _ in range(6)]
            for wire in wires:
                wire.send(build_request("GET", "/healthz", wire.address))
            for _ in range(20):  # the private listener knows no such limit
                self.assertEqual(self.daemon.request("GET", "/healthz").status, 200)
            self.assertEqual([wire.read_response().status for wire in wires], [200] * 6)
        self.assert_limit("accept_rate", hit)


class OverTls(AddressTest):
    @classmethod
    def setUpClass(cls):
        cls.authority = Authority()
        certificate, key = cls.authority.sign("main", "relay.example")
        cls.config = config(limits="connections_per_address = 2", public="tls = main\n",
                            more=f"[tls main]\ncertificate = {certificate}\nkey = {key}\n")
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.authority.remove()

    def test_one_more_is_closed(self):
        kept = [self.wire_from(OTHERS[0]) for _ in range(2)]
        self.assertTrue(all(wire.is_quiet(0.1) for wire in kept))
        self.assertTrue(self.wire_from(OTHERS[0]).is_closed())  # without a word that is not TLS


if __name__ == "__main__":
    unittest.main()
