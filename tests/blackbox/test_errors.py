# SPDX-License-Identifier: Apache-2.0
"""Every refusal is RFC 9457 with its settled code."""

import unittest

from harness import FanhornTest, config


class Errors(FanhornTest):
    config = config(channels="""
[channel t:**]
[channel closed:**]
subscribe = deny
[channel streams:**]
transports = sse, websocket
[channel polls:**]
transports = poll
""")

    def sub(self, channels, query=None, **headers):
        return self.daemon.request("GET", "/sub/" + channels, "public", query=query, headers=headers)

    def test_no_section(self):
        publish = self.daemon.request("POST", "/pub/nobody", body=b"x")
        problem = self.assert_problem(publish, 404, "channel_unknown")
        self.assertIn("nobody", problem["detail"])
        for accept in ("text/event-stream", "application/json"):
            self.assert_problem(self.sub("nobody", Accept=accept), 404, "channel_unknown")
        self.assert_problem(self.refused("nobody", 404), 404, "channel_unknown")

    def test_all_or_nothing(self):
        self.assert_problem(self.sub(self.channel + ",nobody"), 404, "channel_unknown")
        self.assertEqual(self.daemon.subscribers(self.channel), 0)

    def test_unknown_path(self):
        for listener in ("public", "private"):
            for path in ("/", "/nothing", "/pubx", "/channels/x/nothing"):
                with self.subTest(listener=listener, path=path):
                    response = self.daemon.request("GET", path, listener)
                    if response.status != 200:  # a page may live at /
                        self.assert_problem(response, 404, "not_found")
                    else:
                        self.assertEqual((path, listener), ("/", "public"))

    def test_what_a_listener_does_not_serve(self):
        rows = [("public", "POST", "/pub/x"), ("public", "GET", "/metrics"), ("public", "GET", "/channels"),
                ("public", "DELETE", "/pub/x"), ("private", "GET", "/sub/x")]
        for listener, method, path in rows:
            with self.subTest(listener=listener, method=method, path=path):
                body = b"x" if method == "POST" else None
                self.assert_problem(self.daemon.request(method, path, listener, body=body), 404, "not_found")

    def test_method_not_allowed(self):
        rows = [("private", "PATCH", "/pub/x", {"GET", "POST", "PUT", "DELETE"}),
                ("private", "GET", "/pub", {"POST"}), ("private", "POST", "/channels", {"GET"}),
                ("private", "DELETE", "/metrics", {"GET"}), ("private", "POST", "/healthz", {"GET"}),
                ("private", "BREW", "/pub/x", {"GET", "POST", "PUT", "DELETE"}),
                ("private", "PUT", "/channels/x/history", {"GET"}), ("public", "PUT", "/sub/t:x", {"GET"})]
        for listener, method, path, allowed in rows:
            with self.subTest(listener=listener, method=method, path=path):
                response = self.daemon.request(method, path, listener, body=b"")
                self.assert_problem(response, 405, "method_not_allowed")
                allow = set(response.headers["Allow"].replace(" ", "").split(","))
                self.assertLessEqual(allowed, allow)
                self.assertNotIn(method, allow)

    def test_not_acceptable_lists_the_transports(self):
        problem = self.assert_problem(self.sub(self.channel, Accept="text/html"), 406, "not_acceptable")
        self.assertEqual(problem["transports"], ["websocket", "sse", "longpoll", "poll"])
        rows = [("streams:x", {"wait": "5"}, "application/json", ["sse", "websocket"]),
                ("streams:x", {}, "application/json", ["sse", "websocket"]),
                ("streams:x", {"transport": "longpoll"}, "*/*", ["sse", "websocket"]),
                ("polls:x", {}, "text/event-stream", ["poll"])]
        for channel, query, accept, transports in rows:
            with self.subTest(channel=channel, query=query):
                problem = self.assert_problem(self.sub(channel, query, Accept=accept), 406, "not_acceptable")
                self.assertEqual(problem["transports"], transports)
        self.assertEqual(self.assert_problem(self.refused("polls:x", 406), 406, "not_acceptable")["transports"],
                         ["poll"])

    def test_mixed_channels_need_a_transport_of_all(self):
        response = self.sub("streams:x," + self.channel, {"wait": "0"}, Accept="application/json")
        self.assert_problem(response, 406, "not_acceptable")
        self.assertEqual(self.sse("streams:x," + self.channel).response.status, 200)

    def test_denied(self):
        for accept in ("text/event-stream", "application/json"):
            self.assert_problem(self.sub("closed:x", Accept=accept), 403, "forbidden")
        self.assert_problem(self.refused("closed:x", 403), 403, "forbidden")
        self.daemon.publish("closed:x")

    def test_unsupported_type(self):
        response = self.daemon.request("POST", "/pub", body=b"x", headers={"Content-Type": "text/plain"})
        self.assert_problem(response, 415, "unsupported_type")

    def test_upgrade_required(self):
        response = self.sub(self.channel, {"transport": "websocket"}, Accept="*/*")
        self.assert_problem(response, 426, "upgrade_required")
        self.assertIn("websocket", response.headers.tokens("Upgrade"))

    def test_bad_positions(self):
        for since in ("x", "a.", ".5", "a.b", "A.1", "a.1.2", "a.-1", "-", "-x", "--1", "a b.1", "1",
                      "a." + "9" * 21, "abcdefghijklm.1", "\u202e.1", "%00"):
            with self.subTest(since=since):
                for accept in ("text/event-stream", "application/json"):
                    response = self.sub(self.channel, {"since": since}, Accept=accept)
                    self.assert_problem(response, 400, "bad_position")
        self.assert_problem(self.sub(self.channel, **{"Last-Event-ID": "x y"}), 400, "bad_position")
        self.assert_problem(self.refused(self.channel, 400, query={"since": "x"}), 400, "bad_position")

    def test_bad_channels(self):
        for name in ("", "a,,b", "a*", "%0A", "%FF", "x" * 256, "$secret"):
            with self.subTest(name=name):
                response = self.sub(name, Accept="text/event-stream")
                self.assertIn((response.status, response.json()["code"]),
                              [(400, "bad_channel"), (400, "bad_request"), (404, "not_found")], response)
                self.assertEqual(response.headers["Content-Type"].split(";")[0], "application/problem+json")

    def test_nothing_of_a_stranger_is_echoed_raw(self):
        response = self.daemon.request("POST", "/pub/nobody%22%3Cb%3E", body=b"x")
        problem = self.assert_problem(response, 404, "channel_unknown")
        self.assertIn('nobody"<b>', problem["detail"])
        response = self.daemon.request("POST", "/pub/a%0D%0AX-Forged:%201", body=b"x")
        self.assertEqual(response.status, 400)
        self.assertNotIn("X-Forged", response.headers)

    def test_a_refusal_keeps_the_connection(self):
        wire = self.wire()
        self.assertEqual(wire.request("POST", "/pub/nobody", body=b"x").status, 404)
        self.assertEqual(wire.request("GET", "/nothing").status, 404)
        self.assertEqual(wire.request("POST", "/pub/" + self.channel, body=b"x").status, 200)


if __name__ == "__main__":
    unittest.main()
