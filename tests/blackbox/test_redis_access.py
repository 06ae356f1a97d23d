# SPDX-License-Identifier: Apache-2.0
"""Redis over TLS, a Redis user who may little, and a server that would forget what it was given."""

import unittest

from certificates import Authority
from harness import Daemon, FanhornTest, Wire, eventually, free_ports
from redis_nodes import NodesTest, configuration
from redis_server import RedisServer
from session import Session
from wire import build_request


class Secure(NodesTest):
    def start_server(self):
        self.authority = Authority()
        self.addCleanup(self.authority.remove)
        certificate, key = self.authority.sign("redis", "127.0.0.1")
        self.ours = self.authority.sign("ours", "relay.example")
        self.port, = free_ports(1)
        self.redis = RedisServer("--tls-port", str(self.port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key),
                                 "--tls-ca-cert-file", str(self.authority.folder / "ca.pem")).start()
        self.addCleanup(self.redis.close)
        return self.lines()

    def lines(self, authority=None, user="", more=True):
        own = f"tls_certificate = {self.ours[0]}\ntls_key = {self.ours[1]}\n" if more else ""
        return f"url = rediss://{user}127.0.0.1:{self.port}\ntls_ca = {(authority or self.authority).folder}/ca.pem\n{own}"

    def test_over_tls(self):
        client = self.sse(1)
        body = b"x" * 4_000
        ids = [self.publish(0, body)["id"] for _ in range(50)]
        self.assertEqual([client.next_event().id for _ in ids], ids)

    def refused(self, lines, word):
        with Daemon(configuration(lines)) as daemon:
            eventually(lambda: word in daemon.log(), "a word: " + daemon.log())
            self.assertEqual(daemon.request("POST", "/pub/a", body=b"x").status, 503)

    def test_others_are_not_trusted(self):
        other = Authority()
        self.addCleanup(other.remove)
        self.refused(self.lines(other), "no TLS with the server")
        self.refused(self.lines(more=False), "certificate required")

    def test_a_user_who_may_what_the_relay_needs(self):
        self.redis.ask("ACL", "SETUSER", "relay", "on", ">p@ss", "~fanhorn:*", "&*", "+@all", "-@dangerous", "-@admin", "+info")
        lines = self.lines(user="relay:p%40ss@")
        with Daemon(configuration(lines)) as daemon:
            eventually(lambda: daemon.request("POST", "/pub/t:x", body=b"x").status == 200, "the broker")
            client = Session(daemon.public, "")
            self.addCleanup(client.close)
            client.ask(subscribe={"channel": "t:**", "since": "earliest"})
            self.assertEqual(client.push()["data"], "x")
            self.assertEqual(daemon.request("DELETE", "/pub/t:x").status, 204)
        self.refused(lines.replace("p%40ss", "wrong"), "WRONGPASS")
        self.refused(lines + "prefix = other:\n", "NOPERM")


class Bounded(NodesTest):
    def start_server(self):
        return super().start_server() + "\ncommands = 16"

    def test_what_is_not_answered_has_a_bound(self):
        self.daemon = self.nodes[0]
        wires = [Wire(self.daemon.private) for _ in range(24)]
        for wire in wires:
            self.addCleanup(wire.close)

        def hit():
            self.redis.pause()
            for wire in wires:
                wire.send(build_request("POST", "/pub/" + self.channel, wire.address, body=b"x"))
            eventually(lambda: self.daemon.limit_hits("commands"), "a refusal while the server says nothing")
            self.redis.go_on()
            return [wire.read_response() for wire in wires]
        responses = FanhornTest.assert_limit(self, "commands", hit)
        self.assertEqual({response.status for response in responses}, {200, 503})
        FanhornTest.assert_problem(self, next(each for each in responses if each.status == 503), 503, "broker_down")


class Nowhere(unittest.TestCase):
    def test_a_server_whose_name_is_not_known_is_one_that_is_away(self):
        with Daemon(configuration(f"url = redis://{'n' * 64}.example")) as daemon:  # longer than a label of DNS may be
            eventually(lambda: "event=broker_down" in daemon.log(), "a word: " + daemon.log())
            self.assertIn("n.example", daemon.log())
            self.assertEqual(daemon.request("POST", "/pub/a", body=b"x").status, 503)


class AServerThatForgets(NodesTest):
    def test_is_refused(self):
        self.publish(0, b"x")
        self.redis.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru", "maxmemory", "1gb")
        self.wait_refusal()
        eventually(lambda: "maxmemory-policy allkeys-lru forgets silently what it was given: set noeviction" in self.nodes[0].log(), "a word")
        self.redis.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
        self.wait_until_up()
        eventually(lambda: self.nodes[0].request("POST", "/pub/" + self.channel, body=b"x").status == 200, "the broker")


if __name__ == "__main__":
    unittest.main()
