# SPDX-License-Identifier: Apache-2.0
"""PROTOCOL section 5: which request gets which transport; CORS."""

import unittest

from harness import FanhornTest, config
from wire import Wire, build_request
from ws import upgrade_headers

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
STREAM, JSON, ANY = "text/event-stream", "application/json", "*/*"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def answer(address, path, query=None, headers=None, method="GET"):
    """(transport or status, head): what that request is answered with, without its body's end."""
    with Wire(address) as wire:
        wire.send(build_request(method, path, address, query=query, headers=headers))
        response = wire.start_response(method)
    if response.status == 101:
        return "websocket", response
    if response.status != 200:
        return response.status, response
    if response.headers["Content-Type"].startswith(STREAM):
        return "sse", response
    return ("poll" if "ETag" in response.headers else "longpoll"), response


class Negotiate(FanhornTest):
    def asked(self, query=None, accept=None, upgrade=False, **headers):
        fields = upgrade_headers(KEY) if upgrade else {}
        fields.update({"Accept": accept} if accept else {}, **headers)
        return answer(self.daemon.public, "/sub/" + self.channel, query, fields)

    def test_the_table(self):
        self.daemon.publish(self.channel)  # so that a long poll from `earliest` answers at once
        early = {"since": "earliest"}
        rows = [
            ({"transport": "sse"}, JSON, False, "sse"),
            ({"transport": "poll"}, STREAM, False, "poll"),
            ({"transport": "longpoll", **early}, STREAM, False, "longpoll"),
            ({"transport": "sse"}, None, True, "sse"),
            ({"transport": "websocket"}, STREAM, True, "websocket"),
            ({}, STREAM, True, "websocket"),
            ({"wait": "5", **early}, None, True, "websocket"),
            ({}, STREAM, False, "sse"),
            ({}, "text/html, text/event-stream;q=0.5", False, "sse"),
            ({"wait": "5", **early}, STREAM, False, "sse"),
            ({"wait": "5", **early}, JSON, False, "longpoll"),
            ({"wait": "5", **early}, None, False, "longpoll"),
            ({"wait": "true", **early}, ANY, False, "longpoll"),
            ({"wait": "0"}, ANY, False, "poll"),
            ({"wait": "0"}, None, False, "poll"),
            (early, ANY, False, "poll"),
            (early, None, False, "poll"),
            ({}, JSON, False, "poll"),
            ({}, "application/json, */*", False, "poll"),
            ({}, ANY, False, "sse"),
            ({}, BROWSER, False, "sse"),
            ({}, None, False, "sse"),
            ({}, "text/html", False, 406),
            ({}, "image/*", False, 406),
        ]
        for query, accept, upgrade, wanted in rows:
            with self.subTest(query=query, accept=accept, upgrade=upgrade):
                self.assertEqual(self.asked(query, accept, upgrade)[0], wanted)

    def test_unknown_transport_in_the_query(self):
        self.assertIn(self.asked({"transport": "pigeon"}, ANY)[0], (400, 406))

    def test_every_answer_names_connection_and_position(self):
        newest = self.daemon.publish(self.channel)["id"]
        for query, accept, upgrade in (({}, STREAM, False), ({}, None, True), ({"wait": "0"}, JSON, False),
                                       ({"wait": "5", "since": "earliest"}, JSON, False)):
            with self.subTest(query=query, accept=accept, upgrade=upgrade):
                headers = self.asked(query, accept, upgrade)[1].headers
                self.assertRegex(headers["Fanhorn-Connection"], r"^[0-9A-Za-z_-]{22,64}$")
                self.assertRegex(headers["Fanhorn-Id"], r"^[0-9a-z]{1,12}\.[0-9]{1,20}$")
        self.assertEqual(self.asked({"since": newest}, STREAM)[1].headers["Fanhorn-Id"], newest)

    def test_any_origin_reads_without_credentials(self):
        for query in ({"transport": "sse"}, {"wait": "0"}):
            headers = self.asked(query, Origin="https://anybody.example")[1].headers
            self.assertEqual(headers["Access-Control-Allow-Origin"], "*")
            self.assertNotIn("Access-Control-Allow-Credentials", headers)
            exposed = headers.tokens("Access-Control-Expose-Headers")
            self.assertIn("fanhorn-id", exposed)
            self.assertIn("fanhorn-connection", exposed)
        self.assertEqual(self.asked(upgrade=True, Origin="https://anybody.example")[0], "websocket")

    def test_errors_are_readable_across_origins(self):
        _, response = self.asked({"since": "x"}, JSON, Origin="https://anybody.example")
        self.assertEqual((response.status, response.headers["Access-Control-Allow-Origin"]), (400, "*"))

    def test_preflight(self):
        response = self.daemon.request("OPTIONS", "/sub/" + self.channel, "public", headers={
            "Origin": "https://anybody.example", "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "last-event-id"})
        self.assertIn(response.status, (200, 204))
        self.assertEqual(response.headers["Access-Control-Allow-Origin"], "*")
        self.assertIn("get", response.headers.tokens("Access-Control-Allow-Methods"))
        self.assertIn("last-event-id", response.headers.tokens("Access-Control-Allow-Headers"))

    def test_plain_options(self):
        response = self.daemon.request("OPTIONS", "/sub/" + self.channel, "public")
        self.assertIn(response.status, (200, 204))
        self.assertIn("GET", response.headers["Allow"])


class ListedOrigins(FanhornTest):
    config = config(public="origins = https://app.example.com, https://two.example:8443")
    GOOD, SECOND, BAD = "https://app.example.com", "https://two.example:8443", "https://evil.example"

    def head(self, origin, **query):
        return answer(self.daemon.public, "/sub/" + self.channel, query, {"Origin": origin, "Accept": ANY})[1]

    def test_listed(self):
        for origin in (self.GOOD, self.SECOND):
            for query in ({"transport": "sse"}, {"wait": "0"}):
                headers = self.head(origin, **query).headers
                self.assertEqual(headers["Access-Control-Allow-Origin"], origin)
                self.assertEqual(headers["Access-Control-Allow-Credentials"], "true")
                self.assertIn("origin", headers.tokens("Vary"))

    def test_not_listed(self):
        for origin in (self.BAD, "null", "http://app.example.com", self.GOOD + ".evil.example",
                       self.GOOD + ":444", "https://evil.example/" + self.GOOD):
            with self.subTest(origin=origin):
                headers = self.head(origin, transport="sse").headers
                self.assertNotIn("Access-Control-Allow-Origin", headers)
                self.assertNotIn("Access-Control-Allow-Credentials", headers)

    def test_preflight(self):
        for origin, allowed in ((self.GOOD, True), (self.BAD, False)):
            response = self.daemon.request("OPTIONS", "/sub/" + self.channel, "public", headers={
                "Origin": origin, "Access-Control-Request-Method": "GET"})
            self.assertEqual("Access-Control-Allow-Origin" in response.headers, allowed)

    def test_websocket_upgrades_are_checked(self):
        self.ws(self.channel, headers={"Origin": self.GOOD})
        self.ws(self.channel)  # no browser, no Origin
        for origin in (self.BAD, "null"):
            self.assert_problem(self.refused(self.channel, 403, headers={"Origin": origin}), 403, "forbidden")


if __name__ == "__main__":
    unittest.main()
