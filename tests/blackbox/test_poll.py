# SPDX-License-Identifier: Apache-2.0
"""Long and short polling."""

import signal
import threading
import time
import unittest

from harness import FanhornTest, config, eventually, pause, position
from wire import Wire, build_request, target


class PollTest(FanhornTest):
    def fill(self, *bodies, channel=None):
        return [self.daemon.publish(channel or self.channel, body)["id"] for body in bodies]

    def held(self, channels=None, wire=None, **query):
        """A long poll that waits; counts as a subscriber when this returns."""
        channels = channels or self.channel
        wire = wire or self.wire("public")
        first = channels.split(",")[0]
        before = self.daemon.subscribers(first)
        path = target("/sub/" + channels, {"wait": 30, **query})
        wire.send(f"GET {path} HTTP/1.1\r\nHost: {wire.address[0]}:{wire.address[1]}\r\n\r\n".encode())
        self.wait_subscribers(first, before + 1)
        return wire

    def short(self, channels=None, headers=None, **query):
        return self.daemon.request("GET", "/sub/" + (channels or self.channel), "public",
                                   query={"wait": 0, **query}, headers=headers)


class Short(PollTest):
    def test_answer(self):
        ids = self.fill("a", "b")
        response = self.short(since="earliest")
        self.assertEqual(response.headers["Content-Type"].split(";")[0], "application/json")
        self.assertEqual(response.json(), {"gaps": [], "next": ids[1], "messages": [
            {"channel": self.channel, "id": ids[0], "n": 1, "data": "a"},
            {"channel": self.channel, "id": ids[1], "n": 2, "data": "b"}]})
        self.assertEqual(response.headers["Fanhorn-Id"], ids[1])

    def test_since(self):
        ids = self.fill("a", "b", "c")
        for since, wanted in ((ids[0], "bc"), (ids[2], ""), ("0", "abc"), ("earliest", "abc"), ("-1", "c"),
                              ("-2", "bc"), ("-9", "abc"), ("latest", ""), (None, "")):
            with self.subTest(since=since):
                answer = self.short(since=since).json()
                self.assertEqual("".join(message["data"] for message in answer["messages"]), wanted)
                self.assertEqual(answer["gaps"], [])

    def test_names_of_since(self):
        ids = self.fill("a", "b", "c")
        for name in ("since", "last_event_id", "lastEventId", "lastEventID"):
            with self.subTest(name=name):
                self.assertEqual(len(self.short(**{name: ids[1]}).json()["messages"]), 1)
        header = {"Last-Event-ID": ids[1]}
        self.assertEqual(len(self.short(headers=header).json()["messages"]), 1)
        self.assertEqual(len(self.short(headers=header, since=ids[0]).json()["messages"]), 1)

    def test_next_stays_when_nothing_came(self):
        ids = self.fill("a")
        self.fill("elsewhere", channel=self.channel + ":other")
        self.assertEqual(self.short(since=ids[0]).json()["next"], ids[0])

    def test_next_of_a_newcomer_is_where_it_goes_on(self):
        start = self.short().json()["next"]
        ids = self.fill("a")
        self.assertGreater(position(ids[0])[1], position(start)[1])
        self.assertEqual([message["id"] for message in self.short(since=start).json()["messages"]], ids)

    def test_etag(self):
        ids = self.fill("a")
        first = self.short(since=ids[0])
        etag = first.headers["ETag"]
        self.assertRegex(etag, r'^(W/)?"[\x21\x23-\x7e]+"$')
        for tags in (etag, f'"other", {etag}', "*"):
            again = self.short(since=ids[0], headers={"If-None-Match": tags})
            self.assertEqual((again.status, again.body), (304, b""))
            self.assertEqual(again.headers["ETag"], etag)
        self.assertEqual(self.short(since=ids[0], headers={"If-None-Match": '"other"'}).status, 200)
        self.fill("b")
        changed = self.short(since=ids[0], headers={"If-None-Match": etag})
        self.assertEqual((changed.status, len(changed.json()["messages"])), (200, 1))
        self.assertNotEqual(changed.headers["ETag"], etag)

    def test_etag_is_of_these_channels(self):
        ids = self.fill("a")
        other = self.short(self.channel + ":other", since=ids[0]).headers["ETag"]
        self.assertNotEqual(self.short(since=ids[0]).headers["ETag"], other)

    def test_a_304_keeps_the_connection(self):
        ids, wire = self.fill("a"), self.wire("public")
        path = target("/sub/" + self.channel, {"since": ids[0]})
        etag = wire.request("GET", path).headers["ETag"]
        for _ in range(3):
            self.assertEqual(wire.request("GET", path, headers={"If-None-Match": etag}).status, 304)

    def test_caching_headers(self):
        headers = self.short().headers
        self.assertEqual(headers["Cache-Control"], "no-cache")
        self.assertEqual(set(headers.tokens("Vary")), {"accept", "origin", "last-event-id", "authorization"})

    def test_head(self):
        self.fill("a")
        wire = self.wire("public")
        path = target("/sub/" + self.channel, {"since": "earliest"})
        response = wire.request("HEAD", path)
        self.assertEqual((response.status, response.body), (200, b""))
        self.assertEqual(wire.request("GET", path).status, 200)

    def test_several_channels_in_order(self):
        names = [f"{self.channel}:{letter}" for letter in "ab"]
        ids = [self.fill("x", channel=name)[0] for name in names * 3]
        messages = self.short(",".join(names), since="earliest").json()["messages"]
        self.assertEqual([message["id"] for message in messages], ids)
        messages = self.short(",".join(names), since="-1").json()["messages"]
        self.assertEqual([message["id"] for message in messages], ids[-2:])


class Long(PollTest):
    def test_answers_at_once_when_there_is_something(self):
        ids = self.fill("a", "b")
        answer = self.daemon.poll(self.channel, since=ids[0], wait=30, timeout=10)
        self.assertEqual([message["id"] for message in answer["messages"]], ids[1:])

    def test_holds_until_something_comes(self):
        ids = self.fill("a")
        wire = self.held(since=ids[0])
        self.assertTrue(wire.is_quiet(0.2))
        ids += self.fill("b")
        answer = wire.read_response().json()
        self.assertEqual([message["id"] for message in answer["messages"]], ids[1:])
        self.assertEqual((answer["next"], answer["gaps"]), (ids[1], []))

    def test_no_etag(self):
        self.fill("a")
        response = self.daemon.request("GET", "/sub/" + self.channel, "public", query={"wait": 1, "since": "0"})
        self.assertEqual(response.status, 200)
        self.assertNotIn("ETag", response.headers)

    def test_an_empty_list_when_the_wait_ran_out(self):
        ids = self.fill("a")
        start = time.monotonic()
        answer = self.daemon.poll(self.channel, since=ids[0], wait=1)
        self.assertEqual(answer, {"messages": [], "next": ids[0], "gaps": []})
        self.assertGreaterEqual(time.monotonic() - start, 0.9)
        self.wait_subscribers(self.channel, 0)

    def test_latest_waits(self):
        self.fill("old")
        wire = self.held()
        new = self.fill("new")
        self.assertEqual([message["id"] for message in wire.read_response().json()["messages"]], new)

    def test_chain_loses_nothing(self):
        ids, got = [], []
        since = self.daemon.poll(self.channel, wait=0)["next"]
        publisher = threading.Thread(target=lambda: ids.extend(self.fill(*map(str, range(200)))))
        publisher.start()
        wire = self.wire("public")
        while len(got) < 200:
            answer = wire.request("GET", "/sub/" + self.channel, query={"since": since, "wait": 10}).json()
            self.assertEqual(answer["gaps"], [])
            got += [message["id"] for message in answer["messages"]]
            since = answer["next"]
        publisher.join()
        self.assertEqual(got, ids)

    def test_keep_alive(self):
        ids, wire = self.fill("a"), self.wire("public")
        for since in ("0", "0", ids[0]):
            response = wire.request("GET", "/sub/" + self.channel, query={"since": since, "wait": 1})
            self.assertEqual(response.status, 200)

    def test_several_channels(self):
        names = f"{self.channel}:a,{self.channel}:b"
        wire = self.held(names)
        identity = self.fill("x", channel=self.channel + ":b")
        self.assertEqual([message["id"] for message in wire.read_response().json()["messages"]], identity)

    def test_unstored_messages_do_not_answer(self):
        ids = self.fill("a")
        wire = self.held(since=ids[0])
        self.daemon.publish(self.channel, b"typing", store="0")
        self.assertTrue(wire.is_quiet(0.3))
        ids += self.fill("b")
        self.assertEqual([message["data"] for message in wire.read_response().json()["messages"]], ["b"])

    def test_a_gone_waiter_is_freed(self):
        self.held().abort()
        self.wait_subscribers(self.channel, 0)

    def test_a_waiter_that_resets_right_behind_its_request_is_freed(self):
        wire = self.wire("public")
        self.assertEqual(wire.request("GET", "/sub/" + self.channel, query={"wait": 0}).status, 200)
        padding = "x" * 8000
        received = lambda: self.daemon.metrics()["fanhorn_received_bytes_total"]
        before = received()
        pause(self.daemon.process)  # it finds the request and the reset together
        try:
            wire.send(build_request("GET", "/sub/" + self.channel, wire.address, query={"wait": 30},
                                    headers={"X-Padding": padding}))
            wire.abort()
        finally:
            self.daemon.send_signal(signal.SIGCONT)
        eventually(lambda: received() > before + len(padding), "the request")
        self.wait_subscribers(self.channel, 0)

    def test_many_waiters(self):
        ids = self.fill("a")
        wires = [self.held(since=ids[0]) for _ in range(20)]
        ids += self.fill("b")
        for wire in wires:
            self.assertEqual(wire.read_response().json()["messages"][0]["id"], ids[1])
        eventually(lambda: self.daemon.subscribers(self.channel) == 0)

    def test_bad_waits(self):
        for wait in ("soon", "-1", "1.5s", "99999999999999999999"):
            with self.subTest(wait=wait):
                response = self.daemon.request("GET", "/sub/" + self.channel, "public", query={"wait": wait})
                self.assert_problem(response, 400, "bad_option")


class Together(PollTest):
    """What one message ends is answered by one call of the system."""
    config = config(server="workers = 1", defaults="message_size = 1m\nhistory_bytes = 8m")
    COUNT = 150  # more than one call takes

    def test_answers_that_no_socket_takes_at_once(self):
        ids = self.fill("a")
        wires = [self.held(since=ids[0], wire=Wire(self.daemon.public, receive_buffer=4096))
                 for _ in range(self.COUNT)]
        big = "b" * 900_000
        ids += self.fill(big)
        for wire in wires:
            answer = wire.read_response().json()
            self.assertEqual((answer["next"], answer["messages"][0]["data"] == big), (ids[1], True))
            self.assertEqual(wire.request("GET", "/sub/" + self.channel, query={"since": ids[0]}).status, 200)
            wire.close()

    def test_the_next_request_came_already(self):
        ids = self.fill("a")
        wires = [self.held(since=ids[0]) for _ in range(self.COUNT)]
        for wire in wires:
            wire.send(build_request("GET", "/sub/" + self.channel, wire.address, query={"since": "-1"}))
        ids += self.fill("b")
        for wire in wires:
            for _ in range(2):
                self.assertEqual(wire.read_response().json()["next"], ids[1])

    def test_those_that_went_disturb_nobody(self):
        ids = self.fill("a")
        wires = [self.held(since=ids[0]) for _ in range(self.COUNT)]
        pause(self.daemon.process)  # it finds the message and the resets together
        try:
            for wire in wires[::3]:
                wire.abort()
            sender = self.wire("private")
            sender.send(build_request("POST", "/pub/" + self.channel, sender.address, body=b"b"))
        finally:
            self.daemon.send_signal(signal.SIGCONT)
        self.assertEqual(sender.read_response().status, 200)
        for i, wire in enumerate(wires):
            if i % 3:
                self.assertEqual(wire.read_response().json()["messages"][0]["data"], "b")
        self.wait_subscribers(self.channel, 0)


class Caps(PollTest):
    config = config(defaults="history = 5000\nhistory_bytes = 20m")

    def pages(self):
        """The pages of the whole history, each a list of ids and its answer's size."""
        pages, since = [], "earliest"
        while not pages or pages[-1][0]:
            response = self.short(since=since)
            answer = response.json()
            self.assertEqual(answer["gaps"], [])
            pages.append(([message["id"] for message in answer["messages"]], len(response.body)))
            since = answer["next"]
        return pages

    def check(self, results):
        pages = self.pages()
        self.assertEqual([identity for ids, _ in pages for identity in ids], [result["id"] for result in results])
        return pages

    def test_a_thousand_messages(self):
        results = self.daemon.publish_lines([{"channel": self.channel, "text": "x"}] * 2500)
        self.assertEqual([len(ids) for ids, _ in self.check(results)], [1000, 1000, 500, 0])

    def test_a_megabyte(self):
        results = self.daemon.publish_lines([{"channel": self.channel, "text": "x" * 60000}] * 50, 10)
        pages = self.check(results)
        self.assertGreaterEqual(len(pages), 4)
        for _, size in pages:
            self.assertLess(size, (1 << 20) + 65536)


if __name__ == "__main__":
    unittest.main()
