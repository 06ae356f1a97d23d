# SPDX-License-Identifier: Apache-2.0
"""conflate = TAG: who reads too slowly gets the newest of each value, not a gap."""

import unittest

from harness import FanhornTest, config, position
from readers import SseReader, WsReader, on_each
from session import Session
from test_slow import SmallBuffer

SENSORS, COUNT, BYTES = 10, 200, 16_000


class Conflate(SmallBuffer, FanhornTest):
    config = config(defaults="conflate = sensor\nslow_consumer_limit = 64k\nhistory_bytes = 64m\n", channels="""
[channel long:**]
history = 1000
[channel short:**]
history = 15
""")

    def flood(self, channel):
        """Many readings of a few sensors, and one message that is of none, early on."""
        lines = [{"channel": channel, "text": "x" * BYTES, "tags": f"unit=ms,sensor={number % SENSORS}"}
                 for number in range(COUNT)]
        del lines[30]["tags"]
        return [result["id"] for result in self.daemon.publish_lines(lines, 5)]

    def drain(self, next_envelope, last):
        """Ids and gaps, up to that id."""
        found, gaps = [], []
        while not found or found[-1] != last:
            envelope = next_envelope()
            if "id" in envelope:
                found.append(envelope["id"])
            else:
                gaps.append((len(found), envelope))
        seqs = [position(each)[1] for each in found]
        self.assertEqual(seqs, sorted(set(seqs)))
        return found, gaps

    def expect_conflated(self, found, ids):
        self.assertEqual(found[-SENSORS:], ids[-SENSORS:])
        self.assertIn(ids[30], found)
        self.assertLess(len(found), COUNT / 2)  # a few were on their way before

    @on_each(SseReader, WsReader)
    def test_the_newest_of_each(self, reader_class):
        channel = "long:" + self.channel
        reader = self.stalled(reader_class, channel)
        ids = self.flood(channel)
        found, gaps = self.drain(lambda: reader.next_of("message", "gap").body, ids[-1])
        self.assertEqual(gaps, [])
        self.expect_conflated(found, ids)
        live = self.daemon.publish(channel, b"live", tags="sensor=1")["id"]
        self.assertEqual(reader.next_message()["id"], live)

    def test_a_session(self):
        channel = "long:" + self.channel
        client = self.open(Session(self.daemon.public, receive_buffer=4096))
        client.ask(subscribe={"channel": channel})
        client.until_caught_up(channel)
        ids = self.flood(channel)
        found, gaps = self.drain(client.push, ids[-1])
        self.assertEqual(gaps, [])
        self.expect_conflated(found, ids)
        self.assertEqual(client.push(), {"channel": channel, "caught_up": ids[-1]})
        live = self.daemon.publish(channel, b"live", tags="sensor=1")["id"]
        self.assertEqual(client.push()["id"], live)

    @on_each(SseReader, WsReader)
    def test_what_the_history_lost_is_a_gap(self, reader_class):
        channel = "short:" + self.channel
        reader = self.stalled(reader_class, channel)
        ids = self.flood(channel)
        found, gaps = self.drain(lambda: reader.next_of("message", "gap").body, ids[-1])
        self.assertEqual([gap["why"] for _, gap in gaps], ["overflow"])
        at, gap = gaps[0]
        self.assertEqual(gap["after"], found[at - 1] if at else gap["after"])
        self.assertEqual(gap["next"], ids[-15])
        self.assertEqual(found[at:], ids[-SENSORS:])

    def test_who_keeps_up_gets_all(self):
        channel = "long:" + self.channel
        reader = SseReader(self.daemon, channel)
        self.addCleanup(reader.close)
        self.wait_subscribers(channel, 1)
        ids = [self.daemon.publish(channel, b"x", tags="sensor=1")["id"] for _ in range(20)]
        self.assertEqual([message["id"] for message in reader.messages(20)], ids)


if __name__ == "__main__":
    unittest.main()
