# SPDX-License-Identifier: Apache-2.0
"""connection_max_age: each client is told to come back in its own way, and misses nothing."""

import re
import unittest

from h2 import H2Client, NO_ERROR
from harness import FanhornTest, config, eventually, has_part
from wire import build_request


@unittest.skipUnless(has_part("http2"), "built without HTTP/2")
class Age(FanhornTest):
    config = config(limits="connection_max_age = 2s", public="http2 = cleartext\n", private="http2 = cleartext\n",
                    more="[log]\nlevel = info\n")  # that somebody has been here for long is no notice

    def idle(self, listener):
        wire = self.wire(listener)
        self.assertEqual(wire.request("GET", "/healthz").status, 200)
        return wire

    def held_poll(self):
        """Of a channel of its own: what ends it must not be what is published to see that others miss nothing."""
        wire = self.wire("public")
        wire.send(build_request("GET", "/sub/" + self.channel + "-polled", wire.address, query={"wait": "60"}))
        return wire

    def streams(self):
        """A connection of HTTP/2 and two streams of it, the second one begun later."""
        client = self.open(H2Client(self.daemon.public))
        streams = []
        for _ in range(2):
            streams.append(client.open("GET", "/sub/" + self.channel, {"accept": "text/event-stream"}))
            client.body(streams[-1], b"\n\n")
            client.request(path="/")
        return client, streams

    def check_socket(self, client):
        close = client.expect_close()
        self.assertEqual(close.code, 1001)
        self.assertLess(int(re.fullmatch(r"retry=([0-9]+)", close.reason)[1]), 1000)

    def check_stream(self, stream):
        """It ends behind a word on when to come back, and what is published meanwhile is not lost."""
        retry = None
        while (block := stream.next_block()) is not None:
            retry = block.retry or retry
        self.assertLess(int(retry), 1000)
        missed = self.daemon.publish(self.channel)["id"]
        again = self.sse(self.channel, {"Last-Event-ID": stream.last_event_id})
        self.assertEqual(again.next_event().id, missed)

    def check_poll(self, wire):
        response = wire.read_response()
        self.assertEqual((response.status, response.json()["messages"]), (200, []))
        self.assertEqual((response.headers["Connection"], response.headers["Retry-After"]), ("close", "1"))
        self.assertTrue(wire.is_closed())

    def check_streams(self, client, streams):
        for stream in streams:
            self.assertEqual(client.whole(stream).body.count(b"retry:"), 2)  # when it began, and now
        self.assertEqual(client.until_gone(), NO_ERROR)

    def test_each_is_told_in_its_way(self):
        client, streams = self.streams()
        socket, envelopes, stream = self.ws(self.channel), self.envelopes(self.channel), self.sse(self.channel).opened()
        poll, idle, private = self.held_poll(), self.idle("public"), self.idle("private")
        upload = self.wire("public")
        upload.send(b"POST /sub/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel")

        def hit():
            self.check_socket(socket)
            self.check_socket(envelopes)
            self.check_stream(stream)
            self.check_poll(poll)
            self.assertTrue(idle.is_closed())
            self.check_streams(client, streams)
        self.assert_limit("connection_max_age", hit)
        self.assertEqual(private.request("GET", "/healthz").status, 200)  # as old as it likes
        upload.send(b"lo")  # half a request was no reason to cut it off
        response = upload.read_response()
        self.assertEqual((response.status, response.headers["Connection"]), (200, "close"))

    def test_all_of_them_are_counted_and_gone(self):
        before = self.daemon.limit_hits("connection_max_age")
        sockets = [self.ws(self.channel) for _ in range(6)]  # the log tells of ten in ten seconds
        for client in sockets:
            self.check_socket(client)
        eventually(lambda: self.daemon.limit_hits("connection_max_age") == before + 6, "six hits")
        eventually(lambda: self.daemon.subscribers(self.channel) == 0, "an end of their subscriptions")


if __name__ == "__main__":
    unittest.main()
