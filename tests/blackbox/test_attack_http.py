# SPDX-License-Identifier: Apache-2.0
"""Attacks by requests, by the numbers of the table in README.md."""

import base64
import json
import re
import subprocess
import unittest

from harness import FANHORN, ROOT, FanhornTest, config, eventually
from process import SANITIZED, cpu_seconds, descriptors, resident
from sse import SseClient
from wire import Wire, build_request
from ws import PING, TEXT, frame_bytes, upgrade_headers

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
FOLLOW_UP = "POST /sub/{channel} HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nsmuggled"


class Requests(FanhornTest):
    config = config(channels="[channel **]\nclient_publish = public\n[channel closed:*]\nsubscribe = deny\n")

    def raw(self, text, listener="public"):
        """The first answer to these bytes, and the connection."""
        wire = self.wire(listener)
        wire.try_send(text.encode("latin-1") if isinstance(text, str) else text)
        return wire.read_response(), wire

    def test_03_a_refused_upgrade_opens_no_tunnel(self):
        """A proxy that took it for a WebSocket would pass on all that follows: nothing of that is run."""
        follow = FOLLOW_UP.format(channel=self.channel)
        for changes in ({"Sec-WebSocket-Version": "777"}, {"Sec-WebSocket-Key": "short"}, {"Sec-WebSocket-Version": None}):
            headers = {**upgrade_headers(KEY), **changes}
            with self.subTest(changes):
                request = build_request("GET", "/sub/" + self.channel, self.daemon.public, headers=headers)
                response, wire = self.raw(request + follow.encode())
                self.assertIn(response.status, (400, 426))
                self.assertIn("close", response.headers.tokens("Connection"))
                self.assertTrue(wire.is_closed(), bytes(wire.buffer))
        self.assertIsNone(self.daemon.facts(self.channel))

    def test_03_h2c_is_not_upgraded_to(self):
        settings = base64.urlsafe_b64encode(b"\x00\x03\x00\x00\x00d").decode()
        for connection in ("Upgrade, HTTP2-Settings", "Upgrade", "HTTP2-Settings"):
            response, _ = self.raw(f"GET /sub/{self.channel}?wait=0 HTTP/1.1\r\nHost: x\r\nConnection: {connection}\r\n"
                                   f"Upgrade: h2c\r\nHTTP2-Settings: {settings}\r\n\r\n")
            self.assertEqual(response.status, 200)
            self.assertNotIn("Upgrade", response.headers)

    def test_12_nothing_splits_an_answer(self):
        """Names, ids and everything else of a request that could come back in a header."""
        for byte in (*range(0x20), 0x7f, 0x85, 0x9b):
            escaped = f"%{byte:02X}" if byte < 0x80 else f"%C2%{byte:02X}"
            for target in (f"/sub/a{escaped}X-Forged:%201?wait=0", f"/sub/x?wait=0&since=a{escaped}X-Forged:1",
                           f"/sub/x?wait=0&last_event_id={escaped}", f"/sub/x{escaped}?transport=sse"):
                with self.subTest(target):
                    response, _ = self.raw(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")
                    self.assertEqual(response.status, 400)
                    self.assertNotIn("X-Forged", response.headers)
        for value in ("\u202e1", "\u2028", "a\u0085b", "k.1\u200b"):
            response, _ = self.raw(f"GET /sub/x?wait=0 HTTP/1.1\r\nHost: x\r\nLast-Event-ID: {value}\r\n\r\n".encode())
            self.assertEqual(response.status, 400)
        allowed = f"GET /sub/x?wait=0 HTTP/1.1\r\nHost: x\r\nOrigin: https://a.example/{'%0D%0A'}X-Forged:1\r\n\r\n"
        self.assertNotIn("X-Forged", self.raw(allowed)[0].headers)

    def test_14_sizes_at_the_edge(self):
        for size, status in ((1, 200), (254, 200), (255, 200), (256, 400), (257, 400), (6000, 400)):
            with self.subTest(size=size):
                self.assertEqual(self.daemon.request("POST", "/pub/" + "n" * size, body=b"x").status, status)
                self.assertEqual(self.raw(f"GET /sub/{'n' * size}?wait=0 HTTP/1.1\r\nHost: x\r\n\r\n")[0].status, status)
        for count, status in ((1, 200), (127, 200), (128, 200), (129, 400), (255, 400), (256, 400), (1000, 400)):
            with self.subTest(count=count):
                channels = ",".join(f"c{number}" for number in range(count))
                request = f"GET /sub/{channels}?wait=0 HTTP/1.1\r\nHost: x\r\n\r\n"
                self.assertEqual(self.raw(request)[0].status, status)
        for channels in ("", ",", ",,", "a,", ",a", "a,,b", "%2C", "%", "%4", "%zz", "%00", "a%2Cb", "%C0%80", "%ED%A0%80"):
            with self.subTest(channels=channels):
                response, _ = self.raw(f"GET /sub/{channels}?wait=0 HTTP/1.1\r\nHost: x\r\n\r\n")
                self.assertIn(response.status, (400, 404))
        for wait in ("-1", "61", "1e1", "0x1", "99999999999999999999", " ", "true1", "%00"):
            response, _ = self.raw(f"GET /sub/x?wait={wait} HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertEqual(response.status, 400, wait)

    def test_18_what_is_shipped_has_no_secret_and_no_open_door(self):
        shown = subprocess.run([FANHORN, "-T", "-c", str(ROOT / "conf/fanhorn.conf")], capture_output=True, text=True)
        self.assertEqual(shown.returncode, 0)
        sections = re.split(r"\n(?=\[)", shown.stdout)
        listeners = [each for each in sections if each.startswith("[listener ")]
        self.assertEqual(len(listeners), 2)
        for listener in listeners:
            if re.search(r"serve += .*(publish|control|metrics)", listener):
                self.assertRegex(listener, r"address += 127\.0\.0\.1:")
        self.assertFalse([each for each in sections if each.startswith("[auth ")])
        self.assertFalse(re.search(r"client_publish += (?!off)", shown.stdout))

    def test_22_nobody_publishes_where_clients_come(self):
        for path in ("/pub/x", "/pub", "/pub/", "//pub/x", "/PUB/x", "/%70ub/x", "/pub%2Fx", "/users/x",
                     "/channels/x/history", "/metrics", "/channels", "/dashboard"):
            for method in ("POST", "PUT", "DELETE", "GET", "PATCH"):
                with self.subTest(method=method, path=path):
                    body = b"forged" if method in ("POST", "PUT", "PATCH") else None
                    response = self.daemon.request(method, path, "public", body=body)
                    self.assertIn(response.status, (404, 405, 400))
        self.assertIsNone(self.daemon.facts("x"))

    def test_35_no_path_leads_to_files(self):
        for path in ("/../../etc/passwd", "/..%2f..%2fetc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/fanhorn.js/../../etc/passwd",
                     "//etc/passwd", "/fanhorn.js%00.html", "/fanhorn.js/", "/..\\..\\etc\\passwd", "/./fanhorn.js",
                     "/%252e%252e/etc/passwd", "/demo/../fanhorn.conf", "/fanhorn.js/..%00/"):
            with self.subTest(path):
                response, _ = self.raw(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
                self.assertIn(response.status, (400, 404))
                self.assertNotIn(b"root:", response.body)

    def test_37_errors_tell_nothing_of_the_inside(self):
        """No path of a file, no address of memory, no name of a library."""
        targets = ["/nothing", "/sub/closed:x", "/sub/%ff", "/sub/x?since=q", "/sub/x?wait=q", "/sub/x?filter==",
                   "/sub/x?transport=q", "/sub/" + ",".join("abcdefgh") * 40]
        answers = [self.raw(f"GET {target} HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n\r\n")[0]
                   for target in targets]
        answers += [self.raw(text)[0] for text in ("\x00\r\n\r\n", "GET / HTTP/9.9\r\nHost: x\r\n\r\n",
                                                   "GET /x HTTP/1.1\r\n\r\n", "X: y\r\n\r\n")]
        answers += [self.daemon.request("POST", "/pub", body=body, headers={"Content-Type": "application/json"})
                    for body in ("{", "[]", '{"messages":[{}]}', '{"messages":1}', "\xff")]
        for response in answers:
            text = json.dumps(dict(response.headers.fields)) + response.body.decode()
            self.assertNotRegex(text, r"0x[0-9a-f]{6,}|/tmp/|/etc/|/usr/|\.cc\b|std::|OpenSSL|libevent|errno")
            self.assertNotRegex(text, r"fanhorn[ /][0-9]")

    def scenarios(self):
        """What a client may say, as bytes on one connection."""
        host = f"{self.daemon.private[0]}:{self.daemon.private[1]}"
        upgrade = build_request("GET", "/sub/rst", self.daemon.public, headers=upgrade_headers(KEY))
        posted = b'{"channels":["rst"],"since":"earliest"}'
        return {
            "publish": ("private", f"POST /pub/rst HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\n\r\nhello".encode()),
            "chunks": ("private", f"POST /pub/rst HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n"
                                  "5\r\nhello\r\n0\r\n\r\n".encode()),
            "lines": ("private", f"POST /pub HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/x-ndjson\r\n"
                                 'Content-Length: 31\r\n\r\n{"channel":"rst","text":"one"}\n'.encode()),
            "sse": ("public", b"GET /sub/rst?since=earliest HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n"),
            "longpoll": ("public", b"GET /sub/rst?wait=5 HTTP/1.1\r\nHost: x\r\n\r\n"),
            "list": ("public", b"POST /sub HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                               b"Accept: text/event-stream\r\nContent-Length: %d\r\n\r\n%s" % (len(posted), posted)),
            "websocket": ("public", upgrade + frame_bytes(TEXT, b"hello") + frame_bytes(PING, b"x")),
        }

    def test_38_a_reset_at_every_byte(self):
        """A client that is gone after each byte of each scenario leaves nothing behind."""
        pid = self.daemon.process.pid
        self.daemon.publish("rst", b"x" * 1000)
        self.reset_everywhere(7)  # what is made once is made
        before, memory = self.settled(), resident(pid)
        self.reset_everywhere(1)
        eventually(lambda: self.settled() <= before, "descriptors back where they were")
        if not SANITIZED:
            self.assertLess(resident(pid) - memory, 2 << 20)
        self.assertEqual(self.daemon.subscribers("rst"), 0)

    def settled(self):
        return len(descriptors(self.daemon.process.pid))

    def reset_everywhere(self, step):
        for listener, text in self.scenarios().values():
            for cut in range(1, len(text) + 1, step):
                wire = Wire(self.daemon.address(listener))
                wire.send(text[:cut])
                wire.abort()
        self.assertEqual(self.daemon.request("GET", "/healthz").status, 200)


if __name__ == "__main__":
    unittest.main()
