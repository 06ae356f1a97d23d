# SPDX-License-Identifier: Apache-2.0
"""Two nodes and a cluster of three nats-servers between them: one epoch, whichever of these goes."""

import contextlib
import json
import unittest

from harness import Daemon, eventually
from nats_server import NatsCluster
from test_nats import NatsTest, configuration


class Cluster(NatsTest):
    def start_server(self):
        self.cluster = NatsCluster().start()
        self.addCleanup(self.cluster.close)
        return f"url = {self.cluster.url}"

    def wait_until_up(self):
        for node in range(2):
            self.publish_when_up(b"first", node)

    def received(self, client, last):
        ids = []
        while not ids or ids[-1] != last:
            event = client.next_event(timeout=40)
            self.assertEqual(event.event, "message", event)
            ids.append(event.id)
        return ids

    def test_it_goes_on_without_its_leader(self):
        clients = [self.sse(0), self.sse(1)]
        acknowledged = [self.publish(0, b"x")["id"]]
        eventually(self.cluster.is_whole, "three replicas", 40)
        leader = self.cluster.leader()
        leader.kill()
        acknowledged += [self.publish_when_up(b"without", node) for node in range(2)]
        leader.start()
        eventually(self.cluster.is_whole, "three replicas", 40)
        self.cluster.leader().kill()
        acknowledged += [self.publish_when_up(b"without another", node) for node in range(2)]
        self.assertEqual(len({each.split(".")[0] for each in acknowledged}), 1)
        for client in clients:
            self.assertLessEqual(set(acknowledged), set(self.received(client, acknowledged[-1])))
        late = self.sse(1, since=acknowledged[0])
        self.assertLessEqual(set(acknowledged[1:]), set(self.received(late, acknowledged[-1])))

    def test_without_two_of_them_it_is_away(self):
        client = self.sse(1)
        before = self.publish(0, b"before")["id"]
        eventually(self.cluster.is_whole, "three replicas", 40)
        for server in self.cluster.servers[:2]:
            server.kill()
        self.assertEqual(self.wait_refusal().json()["code"], "broker_down")
        for server in self.cluster.servers[:2]:
            server.start()
        after = self.publish_when_up(b"after")
        self.assertEqual(before.split(".")[0], after.split(".")[0])
        self.assertEqual(self.received(client, after)[0], before)


class OneReplica(unittest.TestCase):
    def test_is_refused(self):
        """It would be gone with its server, whatever the others have."""
        cluster = NatsCluster().start()
        self.addCleanup(cluster.close)
        ask = {"name": "fanhorn", "subjects": ["fanhorn.>"], "num_replicas": 1, "storage": "file", "retention": "limits",
               "discard": "new", "max_consumers": -1, "max_msgs": -1, "max_bytes": -1, "max_age": 0}

        def is_made():
            with contextlib.suppress(OSError):  # there is nobody yet to answer
                answer = cluster.servers[0].ask("$JS.API.STREAM.CREATE.fanhorn", json.dumps(ask).encode())
                return "config" in json.loads(answer)
        eventually(is_made, "a stream", 40)
        with Daemon(configuration(f"url = {cluster.url}")) as daemon:
            eventually(lambda: "replica" in daemon.log(), "a word: " + daemon.log())
            self.assertEqual(daemon.request("POST", "/pub/a", body=b"x").status, 503)


if __name__ == "__main__":
    unittest.main()
