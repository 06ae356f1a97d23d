# SPDX-License-Identifier: Apache-2.0
"""The private listener keeps web pages out."""

import unittest

from harness import FanhornTest, config

REQUESTS = (("POST", "/pub/x"), ("PUT", "/pub/x"), ("DELETE", "/pub/x"), ("GET", "/pub/x"), ("POST", "/pub"),
            ("GET", "/channels"), ("GET", "/channels/x/history"))


class Security(FanhornTest):
    config = config(private="hosts = fanhorn.internal")

    def own(self):
        return f"{self.daemon.private[0]}:{self.daemon.private[1]}"

    def each_refused(self, headers):
        for method, path in REQUESTS:
            with self.subTest(method=method, path=path, headers=headers):
                body = b"x" if method in ("POST", "PUT") else None
                response = self.daemon.request(method, path, headers=headers, body=body)
                self.assert_problem(response, 403, "forbidden")
                self.assertNotIn("Access-Control-Allow-Origin", response.headers)
        self.assertIsNone(self.daemon.facts("x"))

    def test_foreign_origin(self):
        for origin in ("http://evil.example", "null", "http://127.0.0.1:1"):
            self.each_refused({"Origin": origin})

    def test_own_origin(self):
        for scheme in ("http", "https"):  # TLS may end in front of us
            self.daemon.publish(self.channel, headers={"Origin": f"{scheme}://{self.own()}"})

    def test_foreign_host(self):
        port = self.daemon.private[1]
        for host in ("evil.example", f"evil.example:{port}", f"127.0.0.1.evil.example:{port}"):
            self.each_refused({"Host": host})

    def test_dns_rebinding(self):
        host = f"evil.example:{self.daemon.private[1]}"
        self.each_refused({"Host": host, "Origin": f"http://{host}"})

    def test_foreign_authority_in_absolute_form(self):
        wire = self.wire()
        wire.send(b"POST http://evil.example/pub/x HTTP/1.1\r\nHost: %s\r\nContent-Length: 1\r\n\r\nx"
                  % self.own().encode())
        self.assertIn(wire.read_response().status, (400, 403))
        self.assertIsNone(self.daemon.facts("x"))

    def test_further_names(self):
        port = self.daemon.private[1]
        for host in ("fanhorn.internal", f"fanhorn.internal:{port}", "FANHORN.internal", f"localhost:{port}",
                     "127.0.0.1:1"):  # a proxy in front has another port
            with self.subTest(host=host):
                self.daemon.publish(self.channel, headers={"Host": host})

    def test_preflights_are_not_answered(self):
        response = self.daemon.request("OPTIONS", "/pub/x", headers={
            "Origin": "http://evil.example", "Access-Control-Request-Method": "POST"})
        self.assertNotIn("Access-Control-Allow-Origin", response.headers)

    def test_the_public_listener_takes_any_host(self):
        response = self.daemon.request("GET", "/sub/x", "public", query={"wait": 0}, headers={"Host": "any.example"})
        self.assertEqual(response.status, 200)


if __name__ == "__main__":
    unittest.main()
