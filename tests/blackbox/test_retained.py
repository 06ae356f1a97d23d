# SPDX-License-Identifier: Apache-2.0
"""Retained values (PUT): state for newcomers, outside the rules of the stream."""

import unittest

from harness import FanhornTest, config, eventually, shifted
from readers import READERS, LongPollReader, PollReader, SseReader, WsReader, on_each

STREAMS = (SseReader, WsReader)


class Retained(FanhornTest):
    config = config(channels="[channel **]\nhistory = 5\n")

    def read(self, reader_class, since=None):
        reader = reader_class(self.daemon, self.channel, since)
        self.addCleanup(reader.close)
        return reader

    def put(self, body=b"state", **options):
        return self.daemon.publish(self.channel, body, method="PUT", **options)["id"]

    def fill(self, count):
        return [self.daemon.publish(self.channel, f"m{number}")["id"] for number in range(count)]

    def next_is(self, reader, identity, retained):
        message = reader.next_message()
        self.assertEqual((message["id"], message.get("retained", False)), (identity, retained), message)

    @on_each(*READERS)
    def test_a_newcomer_gets_it(self, reader_class):
        identity = self.put()
        reader = self.read(reader_class)
        self.next_is(reader, identity, True)
        if reader_class in STREAMS:
            new = self.fill(1)
            self.next_is(reader, new[0], False)

    def test_right_after_the_position(self):
        self.put()
        for reader_class in STREAMS:
            reader = self.read(reader_class)
            kinds = [reader.next().kind for _ in range(2)]
            self.assertEqual(kinds, ["position", "message"])

    def test_it_has_no_sse_id(self):
        self.put()
        stream = self.sse(self.channel)
        event = stream.next_event()
        self.assertEqual(event.fields, [("data", "state")])

    def test_plain_websocket(self):
        self.put()
        self.assertEqual(self.ws(self.channel).next_text(), "state")

    @on_each(*READERS)
    def test_not_twice_when_the_replay_brings_it(self, reader_class):
        first, identity = self.fill(1)[0], self.put()
        rest = self.fill(1)
        for since in ("earliest", "0", "-9", first):
            reader = self.read(reader_class, since)
            wanted = [identity] + rest if since == first else [first, identity] + rest
            for one in wanted:
                self.next_is(reader, one, False)

    @on_each(*READERS)
    def test_replay_of_few_does_not_bring_it(self, reader_class):
        identity = self.put()
        rest = self.fill(3)
        reader = self.read(reader_class, "-2")
        self.next_is(reader, identity, True)
        for one in rest[1:]:
            self.next_is(reader, one, False)

    @on_each(*READERS)
    def test_not_for_whoever_has_it(self, reader_class):
        identity = self.put()
        new = self.fill(1)
        self.next_is(self.read(reader_class, identity), new[0], False)

    @on_each(*STREAMS)
    def test_a_stream_behind_a_gap_gets_it(self, reader_class):
        first = self.fill(1)[0]
        identity = self.put()
        ids = self.fill(8)
        reader = self.read(reader_class, first)
        kinds = [reader.next_of("gap", "message") for _ in range(2)]
        retained = next(item.body for item in kinds if item.kind == "message")
        self.assertEqual((retained["id"], retained.get("retained")), (identity, True))
        self.next_is(reader, ids[3], False)

    @on_each(PollReader, LongPollReader)
    def test_polls_with_an_id_do_not_get_it(self, reader_class):
        first = self.fill(1)[0]
        self.put()
        ids = self.fill(8)
        reader = self.read(reader_class, first)
        self.assertEqual(reader.next_gap()["next"], ids[3])
        self.next_is(reader, ids[3], False)

    @on_each(*READERS)
    def test_it_outlives_the_history(self, reader_class):
        identity = self.put()
        self.fill(20)
        self.next_is(self.read(reader_class, "latest" if reader_class in STREAMS else None), identity, True)

    def test_the_newest_put_counts(self):
        self.put(b"old")
        identity = self.put(b"new")
        reader = self.read(SseReader)
        self.next_is(reader, identity, True)
        self.next_is(reader, self.fill(1)[0], False)

    def test_ttl_ends_it(self):
        self.put(ttl="1s")
        eventually(lambda: self.daemon.poll(self.channel, since="latest")["messages"] == [], "the value's end")
        new = None
        reader = self.read(SseReader)
        new = self.fill(1)[0]
        self.next_is(reader, new, False)

    def test_delete_ends_it(self):
        self.put()
        self.daemon.request("DELETE", "/pub/" + self.channel)
        self.assertEqual(self.daemon.poll(self.channel, since="latest")["messages"], [])

    @on_each(*STREAMS)
    def test_live_subscribers_get_it_as_a_message(self, reader_class):
        reader = self.read(reader_class)
        reader.next()
        self.wait_subscribers(self.channel, 1)
        self.next_is(reader, self.put(), False)

    def test_it_moves_no_position(self):
        identity = self.put()
        self.fill(3)
        stream = self.sse(self.channel)
        stream.next_event()
        self.assertGreater(stream.last_event_id, "")
        self.assertNotEqual(stream.last_event_id, identity)
        answer = self.daemon.poll(self.channel, since="latest")
        self.assertEqual([message["id"] for message in answer["messages"]], [identity])
        self.assertNotEqual(answer["next"], identity)
        self.assertNotEqual(answer["next"], shifted(identity, -1))


if __name__ == "__main__":
    unittest.main()
