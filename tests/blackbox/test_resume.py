# SPDX-License-Identifier: Apache-2.0
"""PROTOCOL section 3 on all four transports: where delivery begins, and gaps that are told."""

import unittest

from harness import FanhornTest, config, eventually, position, shifted
from readers import READERS, LongPollReader, PollReader, SseReader, WsReader, on_each


class ResumeTest(FanhornTest):
    def read(self, reader_class, since=None, channels=None, **options):
        reader = reader_class(self.daemon, channels or self.channel, since, **options)
        self.addCleanup(reader.close)
        return reader

    def fill(self, count, channel=None):
        channel = channel or self.channel
        results = self.daemon.publish_lines([{"channel": channel, "text": f"m{number}"} for number in range(count)])
        return [result["id"] for result in results]

    def ids(self, reader, count):
        return [message["id"] for message in reader.messages(count)]

    def goes_on(self, reader):
        """What is published now comes next, with nothing before it."""
        identity = self.daemon.publish(self.channel, b"and on")["id"]
        self.assertEqual(reader.next_message()["id"], identity)

    def check_gap(self, gap, after, next_, why):
        self.assertEqual(gap, {"channel": self.channel, "after": after, "next": next_, "why": why})


class Resume(ResumeTest):
    config = config(channels="""
[channel **]
[channel t:**]
history = 10
""")

    @on_each(*READERS)
    def test_since_an_id(self, reader_class):
        ids = self.fill(5)
        reader = self.read(reader_class, ids[1])
        self.assertEqual(self.ids(reader, 3), ids[2:])
        self.goes_on(reader)

    @on_each(*READERS)
    def test_since_the_last_id(self, reader_class):
        ids = self.fill(3)
        self.goes_on(self.read(reader_class, ids[2]))

    @on_each(*READERS)
    def test_since_an_id_of_another_channel(self, reader_class):
        first = self.fill(2)
        other = self.fill(1, self.channel + ":other")
        rest = self.fill(2)
        reader = self.read(reader_class, other[0])
        self.assertEqual(self.ids(reader, 2), rest)
        self.assertNotIn(first[0], rest)

    @on_each(*READERS)
    def test_earliest(self, reader_class):
        base = self.channel
        for word in ("earliest", "0"):
            self.channel = base + word
            ids = self.fill(15)
            reader = self.read(reader_class, word)
            self.assertEqual(self.ids(reader, 10), ids[5:])
            self.goes_on(reader)

    @on_each(*READERS)
    def test_earliest_of_nothing(self, reader_class):
        self.goes_on(self.read(reader_class, "earliest"))

    @on_each(*READERS)
    def test_newest_of_each_channel(self, reader_class):
        names = [f"{self.channel}:a", f"{self.channel}:b"]
        a, b = self.fill(3, names[0]), self.fill(3, names[1])
        reader = self.read(reader_class, "-2", ",".join(names))
        self.assertEqual(self.ids(reader, 4), a[1:] + b[1:])

    @on_each(SseReader, WsReader)
    def test_latest(self, reader_class):
        self.fill(3)
        self.goes_on(self.read(reader_class, "latest"))

    @on_each(*READERS)
    def test_the_header(self, reader_class):
        ids = self.fill(4)
        self.assertEqual(self.ids(self.read(reader_class, ids[1], header=True), 2), ids[2:])

    def test_the_header_wins(self):
        ids = self.fill(4)
        stream = self.sse(self.channel, {"Last-Event-ID": ids[2]}, since=ids[0])
        self.assertEqual(stream.next_event().id, ids[3])

    def test_position_comes_first(self):
        ids = self.fill(3)
        for reader_class in (SseReader, WsReader):
            reader = self.read(reader_class, ids[0])
            first = reader.next()
            while first.kind != "position":
                first = reader.next()
            self.assertEqual(first.body, ids[0])

    def test_ids_are_the_same_everywhere(self):
        ids = self.fill(5)
        for reader_class in READERS:
            messages = self.read(reader_class, "earliest").messages(5)
            self.assertEqual([(m["id"], m["n"], m["data"]) for m in messages],
                             [(identity, n + 1, f"m{n}") for n, identity in enumerate(ids)])

    def test_change_of_transport(self):
        since, got = self.read(PollReader).position, []
        for turn in range(3):
            for reader_class in READERS:
                identity = self.daemon.publish(self.channel)["id"]
                reader = self.read(reader_class, since)
                got.append(reader.next_message()["id"])
                self.assertEqual(got[-1], identity, f"turn {turn}, {reader_class.name}")
                since = reader.position
        self.assertEqual(sorted(set(got), key=position), got)

    @on_each(*READERS)
    def test_a_cut_reader_comes_back(self, reader_class):
        reader = self.read(reader_class, "earliest")
        self.fill(2)
        last = self.ids(reader, 2)[-1]
        reader.abort()
        missed = self.fill(4)
        self.assertEqual(reader.position, last)
        reader = self.read(reader_class, reader.position)
        self.assertEqual(self.ids(reader, 4), missed)
        self.goes_on(reader)

    @on_each(*READERS)
    def test_an_idle_newcomer_resumes_from_its_position(self, reader_class):
        reader = self.read(reader_class)
        while not reader.position:
            reader.next()
        reader.abort()
        missed = self.fill(3)
        self.assertEqual(self.ids(self.read(reader_class, reader.position), 3), missed)


class Gaps(ResumeTest):
    config = config(channels="""
[channel **]
history = 5
[channel none:**]
history = 0
[channel aged:**]
history_ttl = 1s
[channel heavy:**]
history_bytes = 10k
""")

    @on_each(*READERS)
    def test_trimmed(self, reader_class):
        ids = self.fill(10)
        reader = self.read(reader_class, ids[1])
        self.check_gap(reader.next_gap(), ids[1], ids[5], "trimmed")
        self.assertEqual(self.ids(reader, 5), ids[5:])
        self.goes_on(reader)

    @on_each(*READERS)
    def test_the_edge_is_exact(self, reader_class):
        ids = self.fill(10)
        reader = self.read(reader_class, ids[4])
        self.assertEqual(self.ids(reader, 5), ids[5:])
        reader = self.read(reader_class, ids[3])
        self.check_gap(reader.next_gap(), ids[3], ids[5], "trimmed")

    @on_each(*READERS)
    def test_earliest_is_never_a_gap(self, reader_class):
        ids = self.fill(10)
        for since in ("earliest", "-3", "-100"):
            reader = self.read(reader_class, since)
            self.assertIn(reader.next_message()["id"], (ids[5], ids[7]))

    @on_each(*READERS)
    def test_no_gap_where_only_others_were_trimmed(self, reader_class):
        mine = self.fill(2)
        self.fill(20, self.channel + ":other")
        mine += self.fill(2)
        self.assertEqual(self.ids(self.read(reader_class, mine[0]), 3), mine[1:])

    @on_each(*READERS)
    def test_one_channel_of_two(self, reader_class):
        quiet, busy = self.channel + ":quiet", self.channel
        start = self.fill(1, quiet)[0]
        ids = self.fill(10)
        last = self.fill(1, quiet)
        reader = self.read(reader_class, start, f"{quiet},{busy}")
        self.check_gap(reader.next_gap(), start, ids[5], "trimmed")
        self.assertEqual(self.ids(reader, 6), ids[5:] + last)

    @on_each(*READERS)
    def test_told_again_when_cut_right_after_the_gap(self, reader_class):
        ids = self.fill(10)
        reader = self.read(reader_class, ids[0])
        reader.next_gap()
        since = ids[0] if reader_class in (PollReader, LongPollReader) else reader.position
        reader.abort()
        self.assertEqual(since, ids[0])
        again = self.read(reader_class, since)
        self.check_gap(again.next_gap(), ids[0], ids[5], "trimmed")

    @on_each(*READERS)
    def test_nothing_kept(self, reader_class):
        self.channel = "none:" + self.channel
        ids = self.fill(3)
        reader = self.read(reader_class, ids[0])
        self.check_gap(reader.next_gap(), ids[0], None, "trimmed")
        item = reader.next()
        self.assertEqual(item.kind, "position")
        self.assertGreaterEqual(position(item.body), position(ids[2]))
        reader.abort()
        if reader_class.holds and reader_class is not LongPollReader:
            self.goes_on(self.read(reader_class, item.body))

    @on_each(*READERS)
    def test_trimmed_by_age(self, reader_class):
        self.channel = "aged:" + self.channel
        ids = self.fill(3)
        eventually(lambda: self.daemon.facts(self.channel) is None
                   or self.daemon.facts(self.channel)["messages"] == 0, "expiry")
        new = self.fill(1)
        reader = self.read(reader_class, ids[0])
        self.check_gap(reader.next_gap(), ids[0], new[0], "trimmed")
        self.assertEqual(self.ids(reader, 1), new)
        self.assertEqual(self.ids(self.read(reader_class, ids[2]), 1), new)

    @on_each(*READERS)
    def test_trimmed_by_bytes(self, reader_class):
        self.channel = "heavy:" + self.channel
        ids = [self.daemon.publish(self.channel, b"x" * 4000)["id"] for _ in range(5)]
        kept = [m["id"] for m in self.daemon.poll(self.channel, since="earliest")["messages"]]
        self.assertTrue(1 <= len(kept) <= 3, kept)
        reader = self.read(reader_class, ids[0])
        self.check_gap(reader.next_gap(), ids[0], kept[0], "trimmed")
        self.assertEqual(self.ids(reader, len(kept)), kept)

    @on_each(*READERS)
    def test_another_epoch(self, reader_class):
        ids = self.fill(3)
        for foreign in ("zzzzzzzz.5", "0.0", "a.18446744073709551615"):
            reader = self.read(reader_class, foreign)
            self.check_gap(reader.next_gap(), foreign, ids[0], "epoch")
            self.assertEqual(self.ids(reader, 3), ids)

    @on_each(*READERS)
    def test_another_epoch_with_nothing_kept(self, reader_class):
        reader = self.read(reader_class, "zzzzzzzz.5")
        self.check_gap(reader.next_gap(), "zzzzzzzz.5", None, "epoch")
        item = reader.next()
        self.assertEqual(item.kind, "position")
        self.assertNotEqual(position(item.body)[0], "zzzzzzzz")

    @on_each(*READERS)
    def test_ahead(self, reader_class):
        ids = self.fill(3)
        future = shifted(ids[2], 1_000_000)
        reader = self.read(reader_class, future)
        self.check_gap(reader.next_gap(), future, ids[0], "ahead")
        self.assertEqual(self.ids(reader, 3), ids)
        self.goes_on(reader)

    def test_one_ahead(self):
        ids = self.fill(1)
        newest = self.read(PollReader).position
        self.check_gap(self.read(PollReader, shifted(newest, 1)).next_gap(), shifted(newest, 1), ids[0], "ahead")

    def test_the_metric(self):
        ids = self.fill(10)
        name = 'fanhorn_gaps_total{why="trimmed"}'
        before = self.daemon.metrics().get(name, 0)
        self.read(SseReader, ids[0]).next_gap()
        eventually(lambda: self.daemon.metrics().get(name, 0) == before + 1, "the gap in the metrics")

    def test_plain_sse_tells_gaps_as_well(self):
        ids = self.fill(10)
        stream = self.sse(self.channel, since=ids[0])
        event = stream.next_event()
        self.assertEqual((event.event, event.id), ("gap", None))
        told = [block.id for block in stream.all_blocks if block.id is not None]
        self.assertEqual(told, [ids[0]], "the gap has no id, so that it is told again")
        self.assertEqual(stream.next_event().id, ids[5])

    def test_a_freed_channel_is_remembered(self):
        self.channel = "aged:" + self.channel
        ids = self.fill(2)
        eventually(lambda: self.daemon.facts(self.channel) is None, "the channel's end")
        gap = self.read(PollReader, ids[0]).next_gap()
        self.check_gap(gap, ids[0], None, "trimmed")

    def test_a_deleted_channel_is_remembered(self):
        ids = self.fill(3)
        self.daemon.request("DELETE", "/pub/" + self.channel)
        new = self.fill(1)
        answer = self.daemon.poll(self.channel, since=ids[2])
        self.assertEqual([message["id"] for message in answer["messages"]], new)


class Restart(ResumeTest):
    def test_a_cold_start_is_a_new_epoch(self):
        old = self.fill(3)
        self.daemon.send_signal(15)
        self.assertEqual(self.daemon.wait(), 0)
        self.daemon.launch()
        eventually(self.daemon._is_ready, "readiness")
        new = self.fill(1)
        self.assertNotEqual(position(new[0])[0], position(old[0])[0])
        reader = self.read(SseReader, old[2])
        self.check_gap(reader.next_gap(), old[2], new[0], "epoch")
        self.assertEqual(self.ids(reader, 1), new)


if __name__ == "__main__":
    unittest.main()
