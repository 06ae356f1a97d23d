# SPDX-License-Identifier: Apache-2.0
"""Two nodes, and a Redis cluster of which one server has all their keys."""

import unittest

from harness import eventually, free_ports
from redis_nodes import GroupTest
from redis_server import Cluster
from session import Session


class InACluster(GroupTest):
    def start_server(self):
        self.group = Cluster()
        self.addCleanup(self.group.close)
        self.group.start()
        # Its prefix has its slot on the first, which has a replica; not all that are named are there.
        self.prefix = next(name for name in map("relay{}:".format, range(100))
                           if self.group.owner("{" + name + "}") is self.group.servers[0])
        hosts = ",".join(f"127.0.0.1:{port}" for port in free_ports(1) + [each.port for each in self.group.servers[1:]])
        return f"mode = cluster\nurl = redis://{hosts}\nprefix = {self.prefix}"

    def wait_until_up(self):
        for node in self.nodes:
            eventually(lambda its=node: its.request("POST", "/pub/some", body=b"x").status == 200, "the broker", 30)

    def test_one_node_has_all_keys_and_carries_to_no_other(self):
        clients = [self.sse(0), self.sse(1)]
        ids = [self.publish(number % 2, b"%d" % number)["id"] for number in range(20)]
        for client in clients:
            self.assertEqual([client.next_event().id for _ in ids], ids)
        self.assertEqual([len(server.ask("KEYS", "*")) > 0 for server in self.group.servers[:3]], [True, False, False])
        first = self.group.servers[0]
        self.assertEqual(first.ask("PUBSUB", "SHARDNUMSUB", "{%s}m:%s" % (self.prefix, self.channel))[1], 2)
        self.assertNotIn("cmdstat_publish:", first.ask("INFO", "commandstats"))
        self.assertEqual(self.nodes[0].request("DELETE", "/pub/" + self.channel).status, 204)
        self.assertEqual([client.next_event().event for client in clients], ["end"] * 2)
        for client in clients:
            client.close()
        eventually(lambda: first.ask("PUBSUB", "SHARDNUMSUB", "{%s}m:%s" % (self.prefix, self.channel))[1] == 0, "its end")

    def test_wildcards_beside_channels_hear_each_message_once(self):
        client = Session(self.nodes[1].public, "")
        self.addCleanup(client.close)
        client.ask(subscribe={"channel": "t:**"})
        client.until_caught_up("t:**")
        client.ask(subscribe={"channels": ["t:one", "other"]})
        wanted = [self.publish(number % 2, b"x", channel)["id"] for number, channel in enumerate(["t:one", "t:two", "other"] * 5)]
        pushed = []
        while len(pushed) < len(wanted):
            push = client.push()
            pushed += [push["id"]] if "id" in push else []  # else it has caught up with a channel
        self.assertEqual(pushed, wanted)

    def test_a_replica_takes_its_master_s_place(self):
        client, (first, _, _, replica) = self.sse(1), self.group.servers
        before = self.publish(0, b"before")["id"]
        self.assertEqual(client.next_event().id, before)
        eventually(lambda: replica.info("slave_repl_offset") == first.info("master_repl_offset"), "replication")
        first.kill()
        after = self.publish_when_up(b"after")
        self.assert_told_and_goes_on(client, before, after)
        poll = self.nodes[1].poll(self.channel, transport="poll", since="earliest")
        self.assertEqual([message["data"] for message in poll["messages"]], ["before", "after"])

    def test_the_slot_moves_to_another_node(self):
        client, (first, second, _, _) = self.sse(1), self.group.servers
        before = self.publish(0, b"before")["id"]
        self.assertEqual(client.next_event().id, before)
        self.group.move("{%s}" % self.prefix, first, second)
        after = self.publish_when_up(b"after")
        self.assert_told_and_goes_on(client, before, after)
        self.assertEqual([len(server.ask("KEYS", "*")) > 0 for server in self.group.servers[:3]], [False, True, False])


if __name__ == "__main__":
    unittest.main()
