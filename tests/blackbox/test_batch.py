# SPDX-License-Identifier: Apache-2.0
"""PROTOCOL section 4: JSON batches and streamed NDJSON."""

import base64
import json
import socket
import time
import unittest

from harness import FanhornTest, Stream, config, position


class Batch(FanhornTest):
    config = config(limits="body_size = 100k\nbody_timeout = 2s", channels="[channel t:**]\n")

    def batch(self, *messages, status=200):
        response = self.daemon.request("POST", "/pub", body=json.dumps({"messages": messages}),
                                       headers={"Content-Type": "application/json"})
        self.assertEqual(response.status, status, response)
        return response.json()["results"]

    def stream(self, **headers):
        return self.open_stream(Stream(self.daemon.private, headers))

    def open_stream(self, stream):
        self.addCleanup(stream.wire.close)
        return stream

    def kept(self):
        return self.daemon.poll(self.channel, since="earliest")["messages"]

    def line(self, **fields):
        return json.dumps({"channel": self.channel, **fields}) + "\n"

    def test_results_in_order(self):
        results = self.batch({"channel": self.channel, "text": "one"},
                             {"channel": self.channel + ":b", "text": "two"},
                             {"channel": self.channel, "text": "three"})
        self.assertEqual([result["channel"] for result in results],
                         [self.channel, self.channel + ":b", self.channel])
        self.assertEqual([result["n"] for result in results], [1, 1, 2])
        seqs = [position(result["id"]) for result in results]
        self.assertEqual(sorted(set(seqs)), seqs)

    def test_forms_of_payload(self):
        raw = bytes(range(256))
        self.batch({"channel": self.channel, "data": {"a": 1}}, {"channel": self.channel, "data": "text"},
                   {"channel": self.channel, "data": None}, {"channel": self.channel, "text": "[1]"},
                   {"channel": self.channel, "base64": base64.b64encode(raw).decode()},
                   {"channel": self.channel, "base64": base64.b64encode(b"words").decode()})
        bodies = [message.get("data", message.get("base64")) for message in self.kept()]
        self.assertEqual(bodies[:3], [{"a": 1}, "text", None])
        self.assertIn(bodies[3], ("[1]", [1]))
        self.assertEqual(bodies[4:], [base64.b64encode(raw).decode(), "words"])

    def test_data_byte_for_byte(self):
        written = ['{"a" : 1.0,\t"a":[12345678901234567890123]}', "1e400", "-0", "0.10", r'"\u00e9\/"', '"é"']
        stream, client = self.stream(), self.ws(self.channel)
        for data in written:
            stream.send(f'{{"data" : {data} ,"channel":"{self.channel}"}}\n')
        messages = [client.next() for _ in written]
        self.assertEqual([(message.kind, message.payload.decode()) for message in messages],
                         [("text", data) for data in written])

    def test_data_on_several_lines(self):
        clients = self.ws(self.channel), self.envelopes(self.channel), self.sse(self.channel)
        data = '{\r\n  "a": 1,\n  "b": 2.50\n}'
        body = f'{{"messages": [\n{{"channel": "{self.channel}", "data": {data}}}\n]}}'
        response = self.daemon.request("POST", "/pub", body=body, headers={"Content-Type": "application/json"})
        self.assertEqual(response.status, 200, response)
        self.assertEqual(clients[0].next().payload.decode(), data)
        self.assertEqual(clients[1].next_json()["data"], {"a": 1, "b": 2.5})
        self.assertEqual(clients[2].next_event().data, data.replace("\r\n", "\n"))  # its parser's line ends

    def test_options(self):
        client = self.envelopes(self.channel)
        self.batch({"channel": self.channel, "text": "kept", "event": "e", "tags": {"k": "v"}, "ttl": "1h"},
                   {"channel": self.channel, "text": "typing", "store": 0},
                   {"channel": self.channel, "text": "not mine", "exclude": client.connection})
        first, second = client.next_json(), client.next_json()
        self.assertEqual((first["data"], first["event"], second["data"]), ("kept", "e", "typing"))
        self.assertEqual([message["data"] for message in self.kept()], ["kept", "not mine"])

    def test_one_fault_leaves_the_others(self):
        rows = [
            ({"channel": "nobody:x", "text": "x"}, 404, "channel_unknown"),
            ({"channel": "a,b", "text": "x"}, 400, "bad_channel"),
            ({"text": "no channel"}, 400, None),
            ({"channel": self.channel}, 400, None),
            ({"channel": self.channel, "text": "x", "data": 1}, 400, None),
            ({"channel": self.channel, "base64": "***"}, 400, None),
            ({"channel": self.channel, "text": "x", "event": "gap"}, 400, "bad_option"),
            ({"channel": self.channel, "text": "x" * 70000}, 413, "too_large"),
            ({"channel": self.channel, "text": 5}, 400, None),
            ({"channel": self.channel, "text": "x", "coulour": "red"}, 400, None),
            ("not an object", 400, None),
        ]
        for bad, status, code in rows:
            with self.subTest(bad=str(bad)[:80]):
                good = {"channel": self.channel, "text": "good"}
                results = self.batch(good, bad, good)
                self.assertEqual(len(results), 3)
                self.assertEqual(results[1]["status"], status, results[1])
                self.assertEqual(results[1]["code"], code or results[1]["code"])
                self.assertEqual(results[2]["n"], results[0]["n"] + 1)

    def test_idempotency_in_a_batch(self):
        message = {"channel": self.channel, "text": "once", "idempotency_key": "k"}
        first, again, else_ = self.batch(message, message, {**message, "text": "else"})
        self.assertEqual(first["id"], again["id"])
        self.assertEqual(else_["code"], "idempotency_mismatch")
        self.assertEqual(len(self.kept()), 1)

    def test_not_a_batch(self):
        for body in (b"", b"[]", b"{", b'{"messages":{}}', b'{"messages":1}', b'{"other":[]}', b"\xff\xfe{}",
                     b"[" * 50000):
            with self.subTest(body=body[:40]):
                response = self.daemon.request("POST", "/pub", body=body,
                                               headers={"Content-Type": "application/json"})
                self.assert_problem(response, 400, "bad_request")

    def test_empty_batch(self):
        self.assertEqual(self.batch(), [])

    def test_type_of_a_batch(self):
        for kind in ("text/plain", "application/xml"):
            with self.subTest(kind=kind):
                response = self.daemon.request("POST", "/pub", body=b'{"messages":[]}',
                                               headers={"Content-Type": kind})
                self.assert_problem(response, 415, "unsupported_type")

    def test_no_type_is_json(self):
        body = json.dumps({"messages": [{"channel": self.channel, "text": "x"}]})
        for turn, headers in enumerate(({}, {"Content-Type": "application/x-www-form-urlencoded"})):
            response = self.daemon.request("POST", "/pub", body=body, headers=headers)
            self.assertEqual(response.status, 200, response)
            self.assertEqual(response.json()["results"][0]["n"], turn + 1)

    def test_batch_over_the_body_limit(self):
        response = self.daemon.request("POST", "/pub", body=b" " * 110000,
                                       headers={"Content-Type": "application/json"})
        self.assert_problem(response, 413, "too_large")

    def test_each_line_is_published_and_answered_as_it_comes(self):
        client, stream = self.envelopes(self.channel), self.stream()
        for turn in range(5):
            stream.send(self.line(text=f"line {turn}"))
            result = stream.next_line()
            self.assertEqual((result["channel"], result["n"]), (self.channel, turn + 1))
            envelope = client.next_json()
            self.assertEqual((envelope["id"], envelope["data"]), (result["id"], f"line {turn}"))
        self.assertEqual(stream.finish(), [])
        self.assertEqual(stream.response.status, 200)
        self.assertEqual(stream.response.headers["Content-Type"].split(";")[0], "application/x-ndjson")

    def test_lines_cut_anywhere(self):
        stream = self.stream()
        text = self.line(text="one") + "\r\n" + self.line(text="grüße").strip() + "\r\n" + self.line(text="three")
        for byte in text.encode():
            stream.send(bytes([byte]))
        results = [stream.next_line() for _ in range(3)] + stream.finish()
        self.assertEqual([result["n"] for result in results], [1, 2, 3])
        self.assertEqual([message["data"] for message in self.kept()], ["one", "grüße", "three"])

    def test_last_line_without_an_end(self):
        stream = self.stream()
        stream.send(self.line(text="one") + self.line(text="two").strip())
        self.assertEqual([result["n"] for result in stream.finish()], [1, 2])

    def test_a_bad_line_leaves_the_others(self):
        stream = self.stream()
        stream.send(self.line(text="one") + "{broken\n" + self.line(text="two", event="end")
                    + '{"channel":"nobody:x","text":"x"}\n' + self.line(text="three"))
        results = stream.finish()
        codes = [result.get("code") for result in results]
        self.assertEqual(codes, [None, "bad_request", "bad_option", "channel_unknown", None])
        self.assertEqual([message["data"] for message in self.kept()], ["one", "three"])

    def test_a_stream_is_longer_than_the_body_limit(self):
        lines = [{"channel": self.channel, "text": "x" * 5000} for _ in range(100)]
        results = self.daemon.publish_lines(lines, 10)
        self.assertEqual([result["n"] for result in results], list(range(1, 101)))

    def test_a_line_over_the_limit(self):
        stream = self.stream()
        stream.send(self.line(text="before"))
        self.assertEqual(stream.next_line()["n"], 1)
        stream.wire.try_send(b"%x\r\n%s\r\n" % (120000, b"x" * 120000))
        self.assertEqual(stream.next_line()["code"], "too_large")

    def test_a_stalled_stream_is_told_and_ends(self):
        def hit():
            stream = self.stream()
            stream.send(self.line(text="one"))
            self.assertEqual(stream.next_line()["n"], 1)
            stream.send('{"chan')
            self.assertEqual(stream.next_line()["code"], "timeout")
            self.assertIsNone(stream.next_line())
            self.assertTrue(stream.wire.is_closed())
        self.assert_limit("body_timeout", hit)

    def test_a_stalled_stream_without_an_answer(self):
        stream = self.stream()
        stream.send('{"chan')
        self.assert_problem(stream.wire.read_response("POST"), 408, "timeout")

    def test_a_dribbling_line_ends(self):
        stream, start = self.stream(), time.monotonic()
        while time.monotonic() - start < 4 and stream.wire.is_quiet(0.2):
            stream.send(" ")
        self.assert_problem(stream.wire.read_response("POST"), 408, "timeout")

    def test_a_stream_lasts_longer_than_a_line_may(self):
        stream = self.stream()
        for turn in range(4):
            stream.send(self.line(text=str(turn)))
            self.assertEqual(stream.next_line()["n"], turn + 1)
            time.sleep(0.7)
        self.assertEqual(stream.finish(), [])

    def test_broken_framing_is_told_and_ends_it(self):
        stream = self.stream()
        stream.send(self.line(text="one"))
        self.assertEqual(stream.next_line()["n"], 1)
        stream.wire.send(b"0x5\r\nhello\r\n")
        self.assertEqual(stream.next_line()["code"], "bad_request")
        self.assertIsNone(stream.next_line())
        self.assertEqual([message["data"] for message in self.kept()], ["one"])

    def test_a_cut_stream_keeps_what_came(self):
        stream = self.stream()
        stream.send(self.line(text="one") + self.line(text="two") + '{"channel":')
        stream.next_line(), stream.next_line()
        stream.wire.abort()
        self.assertEqual([message["data"] for message in self.kept()], ["one", "two"])

    def test_a_stream_whose_end_is_missing_ends_with_a_line_that_says_so(self):
        stream = self.stream()
        stream.send(self.line(text="one"))
        self.assertEqual(stream.next_line()["n"], 1)
        stream.wire.socket.shutdown(socket.SHUT_WR)
        self.assertEqual(stream.next_line()["code"], "bad_request")
        self.assertIsNone(stream.next_line())

    def test_expect_continue(self):
        wire = self.wire()
        body = self.line(text="x").encode()
        wire.send(b"POST /pub HTTP/1.1\r\nHost: %s:%d\r\nContent-Type: application/x-ndjson\r\n"
                  b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n"
                  % (wire.address[0].encode(), wire.address[1], len(body)))
        self.assertEqual(wire.read_exactly(25), b"HTTP/1.1 100 Continue\r\n\r\n")
        wire.send(body)
        self.assertEqual(json.loads(wire.read_response().body)["n"], 1)


if __name__ == "__main__":
    unittest.main()
