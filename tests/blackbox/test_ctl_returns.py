# SPDX-License-Identifier: Apache-2.0
"""How `fanhornctl subscribe` comes back, against a server whose every byte is the test's."""

import socket
import subprocess
import threading
import unittest

from harness import FANHORNCTL, TIMEOUT

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nretry: 10\n\n"


def message(number):
    return b'id: e.%d\ndata: {"channel":"a","id":"e.%d","data":"m%d"}\n\n' % (number, number, number)


def refusal(status):
    return b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status


class Server:
    """Gives one answer a connection, closes it, and keeps the requests."""

    def __init__(self, answers):
        self.requests, self.answers = [], answers
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        with self.listener:
            for answer in self.answers:
                peer, _ = self.listener.accept()
                with peer:
                    request = b""
                    while not request.endswith(b"\r\n\r\n"):
                        request += peer.recv(4096)
                    self.requests.append(request.decode())
                    peer.sendall(answer)


class CtlReturns(unittest.TestCase):
    def follow(self, *answers):
        """Until an answer of 404, or the first refusal: (exit code, lines, requests, stderr)."""
        server = Server([*answers, refusal(404)])
        done = subprocess.run([FANHORNCTL, "subscribe", "--since=-3", "--url", server.url, "a"], text=True,
                              capture_output=True, timeout=2 * TIMEOUT, check=False)
        return done.returncode, done.stdout.splitlines(), server.requests, done.stderr

    def test_half_a_message_is_asked_for_again(self):
        code, lines, requests, _ = self.follow(STREAM + message(1) + message(2)[:-12], STREAM + message(2))
        self.assertEqual((code, lines), (1, ["m1", "m2"]))
        self.assertIn("since=-3", requests[0])
        self.assertNotIn("Last-Event-ID", requests[0])
        self.assertIn("\r\nLast-Event-ID: e.1\r\n", requests[1])
        self.assertNotIn("since", requests[1])
        self.assertIn("\r\nLast-Event-ID: e.2\r\n", requests[2])

    def test_a_proxy_without_its_daemon(self):
        for status in (429, 502, 503, 504):
            with self.subTest(status=status):
                code, lines, requests, errors = self.follow(STREAM + message(1), refusal(status), STREAM + message(2))
                self.assertEqual((code, lines, len(requests)), (1, ["m1", "m2"], 4))
                self.assertIn("404", errors)

    def test_refused_at_once(self):
        code, lines, requests, errors = self.follow(refusal(503))
        self.assertEqual((code, lines, len(requests)), (1, [], 1))
        self.assertIn("503", errors)

    def test_a_message_is_a_line(self):
        code, lines, _, _ = self.follow(STREAM + b'data: {"data":"a\\nb\\n"}\n\ndata: {"data":{"c":[1,2]}}\n\n')
        self.assertEqual((code, lines), (1, ["a\\nb", '{"c":[1,2]}']))

    def test_a_message_nested_too_deeply_to_take_apart(self):
        deep = "[" * 1000000 + "]" * 1000000
        envelope = '{"channel":"a","data":' + deep + "}"
        code, lines, _, _ = self.follow(STREAM + f"data: {envelope}\n\n".encode() + message(2))
        self.assertEqual((code, lines), (1, [deep, "m2"]))


if __name__ == "__main__":
    unittest.main()
