# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 as RFC 9110 and 9112 have it: what is malformed is refused, and nothing behind it runs."""

import unittest

from harness import FanhornTest

# Each line ends in CRLF unless the row says otherwise; HOST stands for the listener's own name.
HEAD = "POST /pub/{channel} HTTP/1.1\r\nHost: HOST\r\n"
SMUGGLED = "POST /pub/{channel}:smuggled HTTP/1.1\r\nHost: HOST\r\nContent-Length: 1\r\n\r\nx"

# What must be answered by 400 and a close.
MALFORMED = {
    "length and chunked": HEAD + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and length": HEAD + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    "two lengths": HEAD + "Content-Length: 0\r\nContent-Length: 3\r\n\r\n",
    "a list of lengths": HEAD + "Content-Length: 0, 3\r\n\r\n",
    "length +3": HEAD + "Content-Length: +3\r\n\r\nabc",
    "length -1": HEAD + "Content-Length: -1\r\n\r\n",
    "length 0x3": HEAD + "Content-Length: 0x3\r\n\r\nabc",
    "length 1e1": HEAD + "Content-Length: 1e1\r\n\r\nabc",
    "length 3 abc": HEAD + "Content-Length: 3 abc\r\n\r\nabc",
    "empty length": HEAD + "Content-Length:\r\n\r\n",
    "length over 64 bits": HEAD + "Content-Length: 18446744073709551619\r\n\r\nabc",
    "blank before the colon": HEAD + "Content-Length : 3\r\n\r\nabc",
    "tab before the colon": HEAD + "Content-Length\t: 3\r\n\r\nabc",
    "TE xchunked": HEAD + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "TE identity, chunked": HEAD + "Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
    "TE chunked, identity": HEAD + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "TE chunked, chunked": HEAD + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "TE twice": HEAD + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE quoted": HEAD + "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
    "TE with a vertical tab": HEAD + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "TE empty": HEAD + "Transfer-Encoding:\r\n\r\n",
    "TE in HTTP/1.0": HEAD.replace("/1.1", "/1.0") + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunk size 0x1": HEAD + "Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
    "chunk size +1": HEAD + "Transfer-Encoding: chunked\r\n\r\n+1\r\na\r\n0\r\n\r\n",
    "chunk size -1": HEAD + "Transfer-Encoding: chunked\r\n\r\n-1\r\na\r\n0\r\n\r\n",
    "blank before a chunk size": HEAD + "Transfer-Encoding: chunked\r\n\r\n 1\r\na\r\n0\r\n\r\n",
    "empty chunk size": HEAD + "Transfer-Encoding: chunked\r\n\r\n\r\na\r\n0\r\n\r\n",
    "chunk size 1z": HEAD + "Transfer-Encoding: chunked\r\n\r\n1z\r\na\r\n0\r\n\r\n",
    "chunk size over 64 bits": HEAD + "Transfer-Encoding: chunked\r\n\r\n10000000000000001\r\na\r\n0\r\n\r\n",
    "bare LF behind a chunk size": HEAD + "Transfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n",
    "no CRLF behind a chunk": HEAD + "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
    "bare LF behind a chunk": HEAD + "Transfer-Encoding: chunked\r\n\r\n1\r\na\n0\r\n\r\n",
    "bare LF in the request line": "GET /healthz HTTP/1.1\nHost: HOST\r\n\r\n",
    "bare LF behind a header": "GET /healthz HTTP/1.1\r\nHost: HOST\nX: y\r\n\r\n",
    "bare LF as the end": "GET /healthz HTTP/1.1\r\nHost: HOST\r\n\n",
    "bare CR in a value": HEAD + "X: a\rb\r\nContent-Length: 0\r\n\r\n",
    "NUL in a value": HEAD + "X: a\x00b\r\nContent-Length: 0\r\n\r\n",
    "control byte in a value": HEAD + "X: a\x01b\r\nContent-Length: 0\r\n\r\n",
    "obs-fold": HEAD + "X: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "fold of the first header": "GET /healthz HTTP/1.1\r\n Host: HOST\r\n\r\n",
    "empty header name": HEAD + ": x\r\nContent-Length: 0\r\n\r\n",
    "no colon": HEAD + "Header\r\nContent-Length: 0\r\n\r\n",
    "blank in a name": HEAD + "He ader: x\r\nContent-Length: 0\r\n\r\n",
    "high byte in a name": HEAD + "H\xe9ader: x\r\nContent-Length: 0\r\n\r\n",
    "no Host": "POST /pub/{channel} HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    "two Hosts": HEAD + "Host: HOST\r\nContent-Length: 0\r\n\r\n",
    "a list of Hosts": "GET /healthz HTTP/1.1\r\nHost: HOST, other\r\n\r\n",
    "Host with a path": "GET /healthz HTTP/1.1\r\nHost: HOST/x\r\n\r\n",
    "Host with a user": "GET /healthz HTTP/1.1\r\nHost: me@HOST\r\n\r\n",
    "blank in the target": "GET /health z HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "two blanks": "GET  /healthz HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "tab for a blank": "GET\t/healthz HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "fragment in the target": "GET /healthz#x HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "control byte in the target": "GET /health\x01z HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "high byte in the target": "GET /health\xe9z HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "relative target": "GET healthz HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "no version": "GET /healthz\r\nHost: HOST\r\n\r\n",
    "lower-case version": "GET /healthz http/1.1\r\nHost: HOST\r\n\r\n",
    "version 1.10": "GET /healthz HTTP/1.10\r\nHost: HOST\r\n\r\n",
    "text behind the version": "GET /healthz HTTP/1.1 x\r\nHost: HOST\r\n\r\n",
    "not a token as method": "G(T /healthz HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "blank as method": " GET /healthz HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "TLS hello": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "garbage": "\x00\x00\x00\x00\r\n\r\n",
}


class Http(FanhornTest):
    def raw(self, text, wire):
        host = f"{wire.address[0]}:{wire.address[1]}"
        return text.replace("{channel}", self.channel).replace("HOST", host).encode("latin-1")

    def test_malformed_is_400_and_nothing_behind_it_runs(self):
        for name, text in MALFORMED.items():
            with self.subTest(name):
                wire = self.wire()
                wire.try_send(self.raw(text + SMUGGLED, wire))
                response = wire.read_response()
                self.assert_problem(response, 400, "bad_request")
                self.assertIn("close", response.headers.tokens("Connection"))
                self.assertTrue(wire.is_closed(), bytes(wire.buffer))
        self.assertIsNone(self.daemon.facts(self.channel + ":smuggled"))
        self.assertIsNone(self.daemon.facts(self.channel))

    def test_every_split_of_a_request(self):
        text = HEAD + "Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\n\r\n"
        wire = self.wire()
        whole = self.raw(text, wire)
        for cut in range(1, len(whole)):
            wire.send(whole[:cut])
            wire.send(whole[cut:])
            self.assertEqual(wire.read_response().json()["n"], cut)

    def test_byte_by_byte(self):
        wire = self.wire()
        for byte in self.raw(HEAD + "Content-Length: 3\r\n\r\nabc", wire):
            wire.send(bytes([byte]))
        self.assertEqual(wire.read_response().status, 200)

    def test_pipelined_requests_are_answered_in_order(self):
        wire = self.wire()
        one = HEAD + "Content-Length: 1\r\n\r\nx"
        wire.send(self.raw(one * 50 + "GET /healthz HTTP/1.1\r\nHost: HOST\r\n\r\n", wire))
        self.assertEqual([wire.read_response().json()["n"] for _ in range(50)], list(range(1, 51)))
        self.assertEqual(wire.read_response().status, 200)

    def test_keep_alive_and_close(self):
        wire = self.wire()
        for _ in range(3):
            self.assertEqual(wire.request("GET", "/healthz").status, 200)
        response = wire.request("GET", "/healthz", headers={"Connection": "close"})
        self.assertIn("close", response.headers.tokens("Connection"))
        self.assertTrue(wire.is_closed())

    def test_http_1_0(self):
        wire = self.wire()
        wire.send(self.raw("GET /healthz HTTP/1.0\r\n\r\n", wire))
        self.assertEqual(wire.read_response().status, 200)
        self.assertTrue(wire.is_closed())

    def test_http_1_0_keep_alive(self):
        wire = self.wire()
        wire.send(self.raw("GET /healthz HTTP/1.0\r\nHost: HOST\r\nConnection: keep-alive\r\n\r\n", wire))
        response = wire.read_response()
        self.assertEqual(response.status, 200)
        if "keep-alive" in response.headers.tokens("Connection"):
            self.assertEqual(wire.request("GET", "/healthz").status, 200)
        else:
            self.assertTrue(wire.is_closed())

    def test_other_versions(self):
        for version in ("HTTP/2.0", "HTTP/3.0", "HTTP/0.9"):
            with self.subTest(version):
                wire = self.wire()
                wire.send(self.raw(f"GET /healthz {version}\r\nHost: HOST\r\n\r\n", wire))
                self.assert_problem(wire.read_response(), 505, "version")
                self.assertTrue(wire.is_closed())

    def test_head(self):
        wire = self.wire()
        full, head = wire.request("GET", "/healthz"), wire.request("HEAD", "/healthz")
        self.assertEqual(head.status, 200)
        self.assertEqual(head.headers.get("Content-Type"), full.headers.get("Content-Type"))
        self.assertEqual(head.headers.get("Content-Length", str(len(full.body))), str(len(full.body)))
        self.assertEqual(wire.request("GET", "/healthz").status, 200)

    def test_absolute_form(self):
        wire = self.wire()
        wire.send(self.raw("GET http://HOST/healthz HTTP/1.1\r\nHost: HOST\r\n\r\n", wire))
        self.assertEqual(wire.read_response().status, 200)

    def test_empty_lines_before_a_request(self):
        wire = self.wire()
        wire.send(self.raw("\r\nGET /healthz HTTP/1.1\r\nHost: HOST\r\n\r\n", wire))
        self.assertEqual(wire.read_response().status, 200)

    def test_optional_blanks_and_case(self):
        wire = self.wire()
        wire.send(self.raw("POST /pub/{channel} HTTP/1.1\r\nhOST:\t HOST \t\r\nCONTENT-LENGTH:3\r\n\r\nabc", wire))
        self.assertEqual(wire.read_response().status, 200)

    def test_chunked_in_any_case(self):
        wire = self.wire()
        wire.send(self.raw(HEAD + "Transfer-Encoding: Chunked\r\n\r\nA\r\n0123456789\r\n000\r\n\r\n", wire))
        self.assertEqual(wire.read_response().status, 200)

    def test_expect_continue(self):
        wire = self.wire()
        wire.send(self.raw(HEAD + "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n", wire))
        self.assertEqual(wire.read_exactly(25), b"HTTP/1.1 100 Continue\r\n\r\n")
        wire.send(b"abc")
        self.assertEqual(wire.read_response().status, 200)

    def test_expect_continue_of_what_is_refused(self):
        wire = self.wire()
        wire.send(self.raw("POST /pub/a*b HTTP/1.1\r\nHost: HOST\r\nContent-Length: 3\r\n"
                           "Expect: 100-continue\r\n\r\n", wire))
        response = wire.read_response()
        self.assertEqual((response.status, response.interim), (400, []))

    def test_a_body_that_is_refused_does_not_become_a_request(self):
        wire = self.wire()
        body = SMUGGLED
        wire.send(self.raw("POST /pub/a*b HTTP/1.1\r\nHost: HOST\r\n"
                           f"Content-Length: {len(self.raw(body, wire))}\r\n\r\n" + body, wire))
        self.assertEqual(wire.read_response().status, 400)
        try:
            self.assertEqual(wire.request("GET", "/healthz").status, 200)
        except (AssertionError, OSError):
            self.assertTrue(wire.eof)
        self.assertIsNone(self.daemon.facts(self.channel + ":smuggled"))

    def test_half_a_request_and_gone(self):
        for cut in (5, 30, 60):
            wire = self.wire()
            wire.send(self.raw(HEAD + "Content-Length: 3\r\n\r\nab", wire)[:cut])
            wire.abort()
        self.assertEqual(self.daemon.request("GET", "/healthz").status, 200)
        self.assertIsNone(self.daemon.facts(self.channel))

    def test_closing_the_sending_side_still_gets_the_answer(self):
        wire = self.wire()
        wire.send(self.raw(HEAD + "Content-Length: 3\r\n\r\nabc", wire))
        wire.socket.shutdown(1)
        self.assertEqual(wire.read_response().status, 200)
        self.assertTrue(wire.is_closed())


if __name__ == "__main__":
    unittest.main()
