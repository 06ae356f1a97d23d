# SPDX-License-Identifier: Apache-2.0
"""Heartbeats carry the position; who does not answer is let go."""

import unittest

from harness import FanhornTest, config, position
from readers import SseReader, WsReader


class Heartbeat(FanhornTest):
    config = config(defaults="heartbeat = 1s", more="[log]\nlevel = info\n")

    def elsewhere(self):
        """A message on another channel: the sequencer moves, this channel does not."""
        return self.daemon.publish(self.channel + ":elsewhere")["id"]

    def test_sse(self):
        stream = self.sse(self.channel).opened()
        first, moved = stream.last_event_id, self.elsewhere()
        block = stream.next_block()
        while not block.is_position:
            block = stream.next_block()
        self.assertTrue(block.comments or stream.all_blocks[-2].comments, stream.all_blocks)
        while position(stream.last_event_id) < position(moved):
            stream.next_position()
        self.assertNotEqual(first, stream.last_event_id)

    def test_sse_position_resumes(self):
        stream = self.sse(self.channel).opened()
        moved = self.elsewhere()
        while position(stream.last_event_id) < position(moved):
            stream.next_position()
        stream.wire.abort()
        missed = [self.daemon.publish(self.channel)["id"] for _ in range(3)]
        again = self.sse(self.channel, {"Last-Event-ID": stream.last_event_id})
        self.assertEqual([again.next_event().id for _ in missed], missed)

    def test_websocket_envelopes(self):
        client = self.envelopes(self.channel)
        self.assertEqual(client.hello["heartbeat"], 1)
        moved = self.elsewhere()
        while True:
            envelope = client.next_json()
            self.assertEqual(set(envelope), {"position"})
            if position(envelope["position"]) >= position(moved):
                break
        self.assertTrue(client.pings)

    def test_plain_websocket_pings_carry_the_position(self):
        client = self.ws(self.channel)
        moved = self.elsewhere()
        told = []
        while not told or position(told[-1]) < position(moved):
            message = client.next_any()
            self.assertEqual(message.kind, "ping")
            told.append(message.payload.decode())
            client.send_frame(10, message.payload)
        self.assertEqual(sorted(told, key=position), told)

    def test_a_position_is_never_ahead_of_what_was_sent(self):
        for reader_class in (SseReader, WsReader):
            reader = reader_class(self.daemon, self.channel)
            self.addCleanup(reader.close)
            seen, beats = None, 0
            while beats < 3:
                identity = self.daemon.publish(self.channel)["id"]
                item = reader.next()
                while item.kind != "message":
                    if seen:
                        self.assertGreaterEqual(position(item.body), position(seen))
                    self.assertLess(position(item.body), position(identity))
                    beats += 1
                    item = reader.next()
                seen = item.body["id"]
                self.assertEqual(seen, identity)
                beats += self.wait_for_beat(reader)

    @staticmethod
    def wait_for_beat(reader):
        return int(reader.next().kind == "position")

    def test_no_pong_and_the_connection_ends(self):
        def hit():
            client = self.ws(self.channel, answer_pings=False)
            self.wait_subscribers(self.channel, 1)
            self.assertEqual(client.next_any().kind, "ping")
            while (message := client.next_any()) is not None and message.kind != "close":
                self.assertEqual(message.kind, "ping")
                self.assertLessEqual(len(client.pings), 3)
            self.wait_subscribers(self.channel, 0)
        self.assert_limit("heartbeat", hit)

    def test_pongs_keep_it(self):
        client = self.ws(self.channel)
        while len(client.pings) < 4:
            try:
                client.next(0.5)
            except TimeoutError:
                pass
        self.daemon.publish(self.channel, b"still here")
        self.assertEqual(client.next_text(), "still here")

    def test_one_heartbeat_for_each_of_many(self):
        streams = [self.sse(self.channel).opened() for _ in range(40)]
        for stream in streams:
            self.assertTrue(stream.next_position())
            self.assertTrue(stream.next_position())


if __name__ == "__main__":
    unittest.main()
