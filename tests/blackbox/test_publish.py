# SPDX-License-Identifier: Apache-2.0
"""PROTOCOL section 4: one message, its options, and what is refused."""

import unittest

from harness import FanhornTest, config, eventually, position

FORM = "application/x-www-form-urlencoded"
TOO_LONG = "x" * 256


class Publish(FanhornTest):
    config = config(limits="body_size = 200k", channels="""
        [channel **]
        [channel small:*]
        message_size = 100b
        """.replace("        ", ""))

    def publish(self, body=b"hello", **options):
        return self.daemon.publish(self.channel, body, **options)

    def envelope(self, since="earliest"):
        """The newest kept message of the test's channel."""
        return self.daemon.poll(self.channel, since=since)["messages"][-1]

    def refuse(self, code="bad_option", status=400, channel=None, method="POST", **parts):
        path = "/pub/" + (channel or self.channel)
        response = self.daemon.request(method, path, **{"body": b"x", **parts})
        return self.assert_problem(response, status, code)

    def test_answer(self):
        response = self.daemon.request("POST", "/pub/" + self.channel, body=b"hello",
                                       headers={"Content-Type": FORM})
        self.assertEqual(response.status, 200, response)
        self.assertEqual(response.headers["Content-Type"].split(";")[0], "application/json")
        answer = response.json()
        self.assertEqual(set(answer), {"id", "n", "subscribers"})
        self.assertEqual(response.headers["Fanhorn-Id"], answer["id"])
        self.assertEqual((answer["n"], answer["subscribers"]), (1, 0))
        position(answer["id"])

    def test_n_counts_the_channel_and_seq_the_daemon(self):
        first, other = self.publish(), self.daemon.publish(self.channel + ":other")
        second = self.publish()
        self.assertEqual([first["n"], other["n"], second["n"]], [1, 1, 2])
        seqs = [position(answer["id"]) for answer in (first, other, second)]
        self.assertEqual(len({epoch for epoch, _ in seqs}), 1)
        self.assertEqual(sorted(seqs), seqs)
        self.assertEqual(len(set(seqs)), 3)

    def test_subscribers_are_counted_over_all_workers(self):
        for _ in range(4):
            self.sse(self.channel).opened()
        self.ws(self.channel)
        eventually(lambda: self.publish()["subscribers"] == 5, "five subscribers in the answer")

    def test_payload_byte_for_byte(self):
        payload = bytes(range(256)) * 20
        client = self.ws(self.channel)
        self.publish(payload)
        message = client.next()
        self.assertEqual((message.kind, message.payload), ("binary", payload))

    def test_empty_payload(self):
        client = self.ws(self.channel)
        self.publish(b"")
        message = client.next()
        self.assertEqual((message.kind, message.payload), ("text", b""))

    def test_chunked_body(self):
        wire = self.wire()
        wire.send(b"POST /pub/" + self.channel.encode() + b" HTTP/1.1\r\nHost: %s:%d\r\n" %
                  (wire.address[0].encode(), wire.address[1]) +
                  b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=\"y\"\r\ndefg\r\n0\r\nX-T: 1\r\n\r\n")
        self.assertEqual(wire.read_response().status, 200)
        self.assertEqual(self.envelope()["data"], "abcdefg")

    def test_data_kinds(self):
        rows = [
            ("application/json", b'{"a":[1,2.50]}', {"data": {"a": [1, 2.5]}}),
            ("application/json", b'"text"', {"data": "text"}),
            ("application/json; charset=utf-8", b"17", {"data": 17}),
            ("application/merge-patch+json", b"null", {"data": None}),
            ("application/json", b'{"a":', {"data": '{"a":'}),
            ("text/plain", b'{"a":1}', {"data": '{"a":1}'}),
            (FORM, b'{"a":1}', {"data": {"a": 1}}),
            (FORM, b"[1]", {"data": [1]}),
            (FORM, b"17", {"data": "17"}),
            (None, b'{"a":1}', {"data": {"a": 1}}),
            (None, b'"quoted"', {"data": '"quoted"'}),
            ("text/plain", "grüße".encode(), {"data": "grüße"}),
            ("text/plain", b"\xff\xfe", {"base64": "//4="}),
            (None, b"\xc3", {"base64": "ww=="}),
        ]
        for kind, body, wanted in rows:
            with self.subTest(kind=kind, body=body):
                self.publish(body, headers={"Content-Type": kind} if kind else None)
                envelope = self.envelope()
                self.assertEqual({key: envelope[key] for key in ("data", "base64") if key in envelope}, wanted)

    def test_options_as_query_and_header(self):
        for options, headers in (({"event": "one"}, {}), ({}, {"Fanhorn-Event": "one"})):
            with self.subTest(options=options, headers=headers):
                self.publish(b"x", headers=headers, **options)
                self.assertEqual(self.envelope()["event"], "one")

    def test_event_is_left_out_without_one(self):
        self.publish()
        self.assertNotIn("event", self.envelope())

    def test_reserved_and_forged_events(self):
        for event in ("gap", "end", "error", "position", "binary", "a\nb", "a\rb", "a\x00b", "a\x7fb"):
            with self.subTest(event=event):
                self.refuse(query={"event": event})
        self.assertIsNone(self.daemon.facts(self.channel))

    def test_bad_options(self):
        for query in ({"ttl": "soon"}, {"ttl": "-1s"}, {"store": "2"}, {"store": "no"},
                      {"exclude": "me"}, {"tags": "novalue"}):
            with self.subTest(query=query):
                self.refuse(query=query)
        self.assertIsNone(self.daemon.facts(self.channel))

    def test_tags_are_taken(self):
        self.publish(tags="colour=red,size=9")
        self.publish(headers={"Fanhorn-Tags": "colour=red"})
        self.assertEqual(self.daemon.facts(self.channel)["messages"], 2)

    def test_ttl_ends_a_message_and_is_no_gap(self):
        first = self.publish(b"stays")
        self.publish(b"goes", ttl="1s")
        third = self.publish(b"stays too")
        eventually(lambda: self.daemon.facts(self.channel)["messages"] == 2, "expiry")
        answer = self.daemon.poll(self.channel, since=first["id"])
        self.assertEqual([message["id"] for message in answer["messages"]], [third["id"]])
        self.assertEqual(answer["gaps"], [])

    def test_unstored_reaches_only_the_connected(self):
        client = self.envelopes(self.channel)
        first = self.publish(b"kept")
        self.publish(b"typing", store="0")
        self.publish(b"kept too", headers={"Fanhorn-Store": "1"})
        self.assertEqual([client.next_json()["data"] for _ in range(3)], ["kept", "typing", "kept too"])
        answer = self.daemon.poll(self.channel, since=first["id"])
        self.assertEqual([message["data"] for message in answer["messages"]], ["kept too"])
        self.assertEqual(answer["gaps"], [])
        self.assertEqual(answer["messages"][0]["n"], 2)

    def test_exclude_skips_one_connection(self):
        mine, other = self.envelopes(self.channel), self.envelopes(self.channel)
        self.assertEqual(mine.hello["connection"], mine.connection)
        stream = self.sse(self.channel).opened()
        self.publish(b"not mine", exclude=mine.connection)
        self.publish(b"nor the stream's", headers={"Fanhorn-Exclude": stream.connection})
        self.publish(b"for all")
        self.assertEqual([mine.next_json()["data"] for _ in range(2)], ["nor the stream's", "for all"])
        self.assertEqual([stream.next_event().data for _ in range(2)], ["not mine", "for all"])
        self.assertEqual([other.next_json()["data"] for _ in range(3)],
                         ["not mine", "nor the stream's", "for all"])

    def test_connections_have_unlike_names(self):
        names = {self.sse(self.channel).connection for _ in range(8)}
        self.assertEqual(len(names), 8)
        for name in names:
            self.assertRegex(name, r"^[0-9A-Za-z_-]{22,64}$")

    def test_idempotency_replays(self):
        for how in ({"headers": {"Idempotency-Key": "k1"}}, {"query": {"idempotency_key": "k1"}}):
            first = self.daemon.request("POST", "/pub/" + self.channel, body=b"once", **how)
            again = self.daemon.request("POST", "/pub/" + self.channel, body=b"once", **how)
            self.assertEqual((first.status, again.status), (200, 200))
            self.assertEqual(again.json()["id"], first.json()["id"])
            self.assertEqual(again.json()["n"], first.json()["n"])
            self.assertEqual(again.headers["Fanhorn-Replayed"], "1")
        self.assertEqual(self.daemon.facts(self.channel)["messages"], 1)

    def test_idempotency_mismatch(self):
        key = {"Idempotency-Key": "k"}
        self.publish(b"once", headers={**key, "Content-Type": "text/plain"}, event="e")
        rows = [(b"else", "text/plain", "e"), (b"once", "application/json", "e"), (b"once", "text/plain", "f")]
        for body, kind, event in rows:
            with self.subTest(body=body, kind=kind, event=event):
                self.refuse("idempotency_mismatch", 409, body=body, query={"event": event},
                            headers={**key, "Content-Type": kind})
        self.assertEqual(self.daemon.facts(self.channel)["messages"], 1)

    def test_idempotency_is_per_channel(self):
        key = {"Idempotency-Key": "k"}
        first = self.publish(b"once", headers=key)
        other = self.daemon.publish(self.channel + ":other", b"else", headers=key)
        self.assertNotEqual(first["id"], other["id"])

    def test_several_channels(self):
        names = [f"{self.channel}:{letter}" for letter in "abc"]
        client = self.envelopes(",".join(names))
        results = self.daemon.publish(",".join(names), b"to all")["results"]
        self.assertEqual([result["channel"] for result in results], names)
        self.assertEqual([result["n"] for result in results], [1, 1, 1])
        got = [client.next_json() for _ in names]
        self.assertEqual([(item["channel"], item["id"]) for item in got],
                         [(result["channel"], result["id"]) for result in results])

    def test_one_bad_channel_of_several(self):
        results = self.daemon.publish(f"{self.channel},small:x", b"y" * 101)["results"]
        self.assertEqual(results[0]["channel"], self.channel)
        self.assertEqual(results[0]["n"], 1)
        self.assertEqual((results[1]["status"], results[1]["code"]), (413, "too_large"))

    def test_channel_names(self):
        good = ["a", "x" * 255, "a/b/c", "gr%C3%BC%C3%9Fe", "a%20b", "a%252Fb", "~.-_:"]
        for name in good:
            with self.subTest(good=name):
                self.daemon.publish(name)
        self.assertEqual(self.daemon.facts("a%252Fb")["channel"], "a%2Fb")
        bad = [TOO_LONG, "a*b", "a%2Ab", "%00", "a%0Ab", "a%7Fb", "a%C2%85b", "%FF", "%ED%A0%80", "a,,b", "a,", "%zz", "%4"]
        for name in bad:
            with self.subTest(bad=name):
                response = self.daemon.request("POST", "/pub/" + name, body=b"x")
                self.assertEqual(response.status, 400, response)
                self.assertIn(response.json()["code"], ("bad_channel", "bad_request"))

    def test_reserved_channels(self):
        for name in ("$user:alice", "$x", "%24x"):
            with self.subTest(name=name):
                self.refuse("bad_channel", 400, channel=name)

    def test_sizes(self):
        self.daemon.publish("small:a", b"x" * 100)
        self.refuse("too_large", 413, channel="small:a", body=b"x" * 101)
        self.publish(b"x" * 65536)
        self.refuse("too_large", 413, body=b"x" * 65537)
        self.refuse("too_large", 413, body=b"x" * 210000)

    def test_put_retains(self):
        answer = self.publish(b"state", method="PUT")
        self.assertEqual(set(answer), {"id", "n", "subscribers"})
        client = self.envelopes(self.channel)
        self.assertEqual(client.next_json(), {"channel": self.channel, "id": answer["id"], "n": 1,
                                              "data": "state", "retained": True})


if __name__ == "__main__":
    unittest.main()
