# SPDX-License-Identifier: Apache-2.0
"""Two nodes, and a Redis server whose place another one takes when sentinels say so."""

import unittest

from harness import Daemon, eventually
from redis_nodes import GroupTest, configuration
from redis_server import Guarded


class Sentinels(GroupTest):
    def start_server(self):
        self.group = Guarded()
        self.addCleanup(self.group.close)
        self.group.start()
        return "mode = sentinel\nmaster = relay\nsentinels = " + self.where()

    def where(self):
        return ", ".join(f"127.0.0.1:{port}" for port in self.group.ports[2:])

    def test_a_place_taken_in_order_loses_nothing(self):
        client, old = self.sse(1), self.group.master()
        before = [self.publish(0, b"%d" % number)["id"] for number in range(5)]
        eventually(lambda: old.info("slave0").endswith("lag=0") and
                   self.group.servers[1].info("master_repl_offset") == old.info("master_repl_offset"), "replication")
        self.group.sentinels[0].ask("SENTINEL", "FAILOVER", "relay")
        eventually(lambda: self.group.master() not in (None, old), "another master", 30)
        for node in (0, 1):  # each in its time: for a moment there are two
            eventually(lambda: self.publish_when_up(b"after", node).split(".")[0] != before[0].split(".")[0], "the other one", 30)
        after = self.publish(1, b"last")["id"]
        events = []
        while not events or events[-1].id != after:
            events.append(client.next_event())
        self.assertEqual([event.id for event in events[:5]], before)
        self.assertIn("gap", [event.event for event in events])
        poll = self.nodes[1].poll(self.channel, transport="poll", since="earliest")
        self.assertEqual([message["data"] for message in poll["messages"]][:5], [f"{number}" for number in range(5)])
        self.assertEqual(poll["messages"][-1]["id"], after)

    def test_writes_that_a_replica_has_not_are_told_as_lost(self):
        client, old, replica = self.sse(1), self.group.master(), self.group.servers[1]
        kept = self.publish(0, b"kept")["id"]
        eventually(lambda: replica.info("slave_repl_offset") == old.info("master_repl_offset"), "replication")
        replica.pause()
        old.ask("CLIENT", "KILL", "TYPE", "replica")  # what follows is not on its way
        lost = [self.publish(number % 2, b"lost %d" % number)["id"] for number in range(20)]
        for wanted in [kept] + lost:
            self.assertEqual(client.next_event().id, wanted)
        old.kill()
        replica.go_on()
        after = self.publish_when_up(b"after")
        self.assert_told_and_goes_on(client, lost[-1], after)
        for since in (kept, lost[3], lost[-1]):
            poll = self.nodes[1].poll(self.channel, transport="poll", since=since)
            self.assertEqual([gap["why"] for gap in poll["gaps"]], ["epoch"])
            self.assertEqual([message["data"] for message in poll["messages"]], ["kept", "after"])
        self.assertIn("event=broker_epoch", self.nodes[1].log())

    def test_a_sentinel_that_is_gone_is_done_without(self):
        self.group.sentinels[0].kill()
        self.group.sentinels[1].kill()
        lines = "mode = sentinel\nmaster = relay\nsentinels = " + self.where()
        with Daemon(configuration(lines)) as daemon:
            eventually(lambda: daemon.request("POST", "/pub/a", body=b"x").status == 200, "the broker", 30)
        self.assertTrue(self.publish(0, b"x")["id"])  # who has a server keeps it
        with Daemon(configuration(lines.replace("master = relay", "master = other"))) as daemon:
            eventually(lambda: "it knows no master other" in daemon.log(), "a word", 30)
            self.assertEqual(daemon.request("POST", "/pub/a", body=b"x").status, 503)


if __name__ == "__main__":
    unittest.main()
