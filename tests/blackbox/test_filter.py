# SPDX-License-Identifier: Apache-2.0
"""filter=: a subscriber's part of the messages, by their tags."""

import json
import unittest

from harness import FanhornTest, config, eventually, position
from session import Session
from readers import READERS, LongPollReader, SseReader, WsReader, on_each
from wire import target


class FilterTest(FanhornTest):
    def read(self, reader_class, filter, since=None, channels=None):
        reader = reader_class(self.daemon, channels or self.channel, since, filter=filter)
        self.addCleanup(reader.close)
        return reader

    def say(self, text, tags=None, channel=None, **options):
        if tags is not None:
            options["tags"] = tags
        return self.daemon.publish(channel or self.channel, text, **options)["id"]


class Filters(FilterTest):
    config = config(channels="""
[channel **]
client_publish = public
[channel small:**]
history = 3
[channel plain:**]
filter = off
""")

    @on_each(*READERS)
    def test_live_and_replayed(self, reader_class):
        start = self.say("before", "kind=goal")
        replayed = [self.say("r1", "kind=goal"), self.say("r2", "kind=foul"), self.say("r3", "kind=card,minute=9")]
        reader = self.read(reader_class, "kind=goal|card", start)
        self.assertEqual(reader.texts(2), ["r1", "r3"])
        self.assertEqual(reader.position, replayed[2])
        if reader.holds:
            self.wait_subscribers(self.channel, 0 if reader_class is LongPollReader else 1)
        for text, tags in (("l1", None), ("l2", "kind=goal"), ("l3", "kind=goals"), ("l4", "kind=foul,kind=card")):
            self.say(text, tags)
        self.assertEqual(reader.texts(2), ["l2", "l4"])

    @on_each(*READERS)
    def test_all_terms_and_numbers(self, reader_class):
        reader = self.read(reader_class, "kind=goal,minute>=45,minute<90.5", "earliest")
        for text, tags in (("a", "kind=goal"), ("b", "kind=goal,minute=44"), ("c", "minute=45,kind=goal"),
                           ("d", "kind=card,minute=50"), ("e", "kind=goal,minute=100"), ("f", "kind=goal,minute=90")):
            self.say(text, tags)
        self.assertEqual(reader.texts(2), ["c", "f"])

    @on_each(*READERS)
    def test_not(self, reader_class):
        reader = self.read(reader_class, "kind!=typing|seen", "earliest")
        for text, tags in (("a", "kind=typing"), ("b", None), ("c", "kind=seen"), ("d", "kind=text")):
            self.say(text, tags)
        self.assertEqual(reader.texts(2), ["b", "d"])

    @on_each(*READERS)
    def test_several_channels(self, reader_class):
        other = self.channel + ":other"
        start = self.say("before")
        reader = self.read(reader_class, "k=v", start, f"{self.channel},{other}")
        self.say("a", "k=v")
        self.say("b", "k=w", other)
        self.say("c", "k=v", other)
        self.say("d", "k=v")
        self.assertEqual(reader.texts(3), ["a", "c", "d"])

    def test_a_plain_websocket(self):
        client = self.ws(self.channel, query={"filter": "k=v"})
        self.wait_subscribers(self.channel, 1)
        self.say("a", "k=w")
        self.say("b", "k=v")
        self.assertEqual(client.next_text(), "b")

    def test_a_plain_stream(self):
        stream = self.sse(self.channel, filter="k=v")
        self.wait_subscribers(self.channel, 1)
        self.say("a")
        identity = self.say("b", "k=v")
        event = stream.next_event()
        self.assertEqual((event.data, event.id), ("b", identity))

    def test_streams_side_by_side(self):
        """Each kind of reader with each filter, and without: nobody gets what is another's."""
        filters = {None: "abc", "k=a": "a", "k=b": "b", "k=b|a": "ab", "k=a|b": "ab", "k!=a": "bc", "x=y": ""}
        readers = [(self.read(kind, filter), text) for kind in (SseReader, WsReader)
                   for filter, text in filters.items() for _ in range(2)]
        self.wait_subscribers(self.channel, len(readers))
        for text in "abc":
            self.say(text, "k=" + text)
        self.say("end", "k=a,k=b,x=y")
        for reader, wanted in readers:
            got = []
            last = "c" if reader.fixed.get("filter") == "k!=a" else "end"
            while not got or got[-1] != last:
                got.append(reader.next_message()["data"])
            self.assertEqual("".join(got).removesuffix("end"), wanted, (reader.name, reader.fixed))

    @on_each(SseReader, WsReader)
    def test_unstored_messages(self, reader_class):
        reader = self.read(reader_class, "k=v")
        self.wait_subscribers(self.channel, 1)
        self.say("a", "k=w", store=0)
        self.say("b", "k=v", store=0)
        self.assertEqual(reader.texts(1), ["b"])

    @on_each(*READERS)
    def test_a_retained_value(self, reader_class):
        self.daemon.publish(self.channel, "state", method="PUT", tags="k=v")
        other = self.read(reader_class, "k=w")
        reader = self.read(reader_class, "k=v")
        self.assertTrue(reader.next_message()["retained"])
        if reader_class in (SseReader, WsReader):
            self.say("a", "k=w")
            self.assertEqual(other.next_message()["data"], "a")
        else:
            self.assertEqual([item.kind for item in other.items], ["position"])

    def test_a_position_moves_past_what_is_not_for_it(self):
        start = self.say("before", "k=v")
        last = [self.say(str(number), "k=w") for number in range(5)][-1]
        answer = self.daemon.poll(self.channel, since=start, wait=0, filter="k=v")
        self.assertEqual((answer["messages"], answer["next"]), ([], last))
        held = self.daemon.poll(self.channel, since=start, wait=1, filter="k=v")
        self.assertEqual((held["messages"], held["next"], held["gaps"]), ([], last, []))

    def test_a_held_poll_moves_past_what_came_meanwhile(self):
        start = self.say("before", "k=v")
        for several in ("", "," + self.channel + ":other"):
            wire = self.wire("public")
            path = target("/sub/" + self.channel + several, {"wait": 1, "since": start, "filter": "k=v"})
            wire.send(f"GET {path} HTTP/1.1\r\nHost: {wire.address[0]}:{wire.address[1]}\r\n\r\n".encode())
            self.wait_subscribers(self.channel, 1)
            last = self.say("not for it", "k=w")
            self.say("elsewhere", channel=self.channel + ":elsewhere")
            answer = wire.read_response().json()
            self.assertEqual((answer["messages"], answer["next"]), ([], last))

    def test_a_long_history_in_short_polls(self):
        channel = "long:" + self.channel
        lines = [{"channel": channel, "text": str(number), "tags": f"k={number % 20}"} for number in range(90)]
        first = self.daemon.publish_lines(lines)[0]["id"]
        answer = self.daemon.poll(channel, since=first, filter="k=7", wait=0)
        self.assertEqual([message["data"] for message in answer["messages"]], ["7", "27", "47", "67", "87"])

    def test_what_is_left_out_is_no_gap(self):
        channel = "small:" + self.channel
        reader = SseReader(self.daemon, channel, filter="k=v")
        self.addCleanup(reader.close)
        self.wait_subscribers(channel, 1)
        for number in range(20):
            self.say(str(number), "k=w", channel)
        self.say("mine", "k=v", channel)
        self.assertEqual(reader.next_message()["data"], "mine")

    def test_history(self):
        ids = [self.say(str(number), f"k={number % 20}") for number in range(50)]
        for limit, since, wanted in ((9, "0", [7, 27, 47]), (2, "0", [7, 27]), (1, ids[7], [27]), (1, ids[47], [])):
            query = {"filter": "k=7", "limit": limit, "since": since}
            answer = self.daemon.request("GET", f"/channels/{self.channel}/history", query=query).json()
            self.assertEqual([message["id"] for message in answer["messages"]], [ids[number] for number in wanted])

    def test_the_etag_is_of_the_filter(self):
        start = self.say("before")
        tags = {filter: self.daemon.request("GET", "/sub/" + self.channel, "public",
                                            query={"wait": 0, "since": start, **({"filter": filter} if filter else {})},
                                            ).headers["ETag"]
                for filter in (None, "k=v", "k=a|b", "k=b|a")}
        self.assertEqual(tags["k=a|b"], tags["k=b|a"])
        self.assertEqual(len(set(tags.values())), 3, tags)

    def test_a_session(self):
        """fanhorn.v1: each subscription has a filter of its own, or none."""
        other = self.channel + ":other"
        start = self.say("r1", "k=v")
        last = self.say("r2", "k=w")
        client = self.open(Session(self.daemon.public))
        client.ask(subscribe={"channel": self.channel, "since": "earliest", "filter": "k=v"})
        self.assertEqual(client.until_caught_up(self.channel)[0][0]["id"], start)
        client.ask(subscribe={"channel": other})
        client.until_caught_up(other)
        for channel in (self.channel, other):
            for tags in ("k=w", "k=v"):
                self.say(tags, tags, channel)
        self.assertEqual([(push["channel"], push["data"]) for push in (client.push() for _ in range(3))],
                         [(self.channel, "k=v"), (other, "k=w"), (other, "k=v")])
        answer = client.ask(history={"channel": self.channel, "filter": "k=w"})
        self.assertEqual([message["data"] for message in answer["messages"]], ["r2", "k=w"])
        for filter in ("k", "", 5):
            self.assertEqual(client.fault(subscribe={"channel": "new", "filter": filter}), "bad_option")
            self.assertEqual(client.fault(history={"channel": "new", "filter": filter}), "bad_option")
        self.assertEqual(client.fault(subscribe={"channel": "plain:x", "filter": "k=v"}), "bad_option")
        self.assertGreater(position(self.say("later", "k=w"))[1], position(last)[1])
        client.ask(unsubscribe={"channel": self.channel})
        client.ask(subscribe={"channel": self.channel, "since": "-1", "filter": "k=w"})
        self.assertEqual(client.push()["data"], "later")

    def test_a_session_with_channels_in_the_url(self):
        ids = [self.say("a", "k=v"), self.say("b", "k=w"), self.say("c", "k=v")]
        client = self.open(Session(self.daemon.public, self.channel, query={"since": "earliest", "filter": "k=v"}))
        found, at = client.until_caught_up(self.channel)
        self.assertEqual([message["id"] for message in found], [ids[0], ids[2]])
        self.assertEqual(at, ids[2])

    def test_a_long_list(self):
        self.say("a", "k=w")
        self.say("b", "k=v")
        answer = self.daemon.request("POST", "/sub", "public", query={"filter": "k=v", "wait": 0},
                                     headers={"Content-Type": "application/json"},
                                     body=json.dumps({"channels": [self.channel], "since": "earliest"}).encode())
        self.assertEqual([message["data"] for message in answer.json()["messages"]], ["b"])

    def test_refused(self):
        for filter in ("", "k", "=v", "k=v,", "k>=x", "k=" + "v" * 1023, ",".join(["k=v"] * 17), "k=\x01"):
            for query in ({"wait": 0}, {"wait": 1}, {"transport": "sse"}):
                with self.subTest(filter=filter, query=query):
                    response = self.daemon.request("GET", "/sub/" + self.channel, "public",
                                                   query={"filter": filter, **query})
                    self.assert_problem(response, 400, "bad_option")
        self.assert_problem(self.refused(self.channel, 400, query={"filter": "k"}), 400, "bad_option")
        response = self.daemon.request("GET", f"/channels/{self.channel}/history", query={"filter": "k"})
        self.assert_problem(response, 400, "bad_option")
        problem = self.assert_problem(self.daemon.request("GET", "/sub/" + self.channel, "public",
                                                          query={"filter": "minute>=late"}), 400, "bad_option")
        self.assertIn("'late' is no decimal number", problem["detail"])

    def test_off(self):
        for channels in ("plain:x", self.channel + ",plain:x"):
            for query in ({"wait": 0}, {"wait": 1}, {"transport": "sse"}):
                response = self.daemon.request("GET", "/sub/" + channels, "public", query={"filter": "k=v", **query})
                self.assertIn("plain:x", self.assert_problem(response, 400, "bad_option")["detail"])


class Limit(FilterTest):
    config = config(server="workers = 1\n", limits="filters = 2\n")

    def test_different_filters_of_a_channel(self):
        readers = [self.read(SseReader, filter) for filter in ("k=1", "k=2", "k=2", "k=1,k=1")]
        self.wait_subscribers(self.channel, 4)
        query = {"filter": "k=3", "wait": 1}
        refuse = lambda: self.daemon.request("GET", "/sub/" + self.channel, "public", query=query)
        self.assert_problem(self.assert_limit("filters", refuse), 503, "overloaded")
        stream = self.sse(self.channel, filter="k=3")  # 200, or an EventSource gives up for good
        self.assertEqual(stream.next_event().event, "error")
        self.assert_problem(self.refused(self.channel, 503, query={"filter": "k=3"}), 503, "overloaded")
        session = self.open(Session(self.daemon.public))
        for filter in ("k=3", "k=4"):
            self.assertEqual(session.fault(subscribe={"channel": self.channel, "filter": filter}), "overloaded")
        # Not without one, not of another channel, not by a poll that does not stay.
        self.read(SseReader, None)
        self.read(SseReader, "k=3", channels=self.channel + ":other")
        self.assertEqual(self.daemon.poll(self.channel, filter="k=3", wait=0)["messages"], [])
        readers[0].close()
        readers[3].close()
        eventually(lambda: self.sse(self.channel, filter="k=3").next_block().event != "error",
                   "room for another filter")


class Reload(FilterTest):
    config = config(channels="[channel **]\nfilter = on\n")

    def test_those_that_are_there_stay(self):
        reader = self.read(SseReader, "k=v")
        self.wait_subscribers(self.channel, 1)
        self.daemon.write_config(config(channels="[channel **]\nfilter = off\n"))
        self.daemon.process.send_signal(1)
        refuse = lambda: self.daemon.request("GET", "/sub/" + self.channel, "public", query={"filter": "k=v", "wait": 0})
        eventually(lambda: refuse().status == 400, "the reload")
        self.say("a", "k=w")
        self.say("b", "k=v")
        self.assertEqual(reader.next_message()["data"], "b")


if __name__ == "__main__":
    unittest.main()
