# SPDX-License-Identifier: Apache-2.0
"""Attacks by tokens, by the numbers of the table in README.md."""

import base64
import hmac
import json
import select
import socket
import tempfile
import time
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from harness import Daemon, FanhornTest, config, eventually
from tokens import KeyPair, base64url, claims_of, secret_token, signed_part
from wire import Wire, build_request
from ws import Refused, WsClient

SECRET = "a secret of more than 32 bytes, for HS256"
SECTIONS = """
[auth signed]
type = jwt
secret = {secret}
[auth keys]
type = jwt
keys = {keys}
"""
CHANNELS = "[channel signed:*]\nsubscribe = signed\n[channel keys:*]\nsubscribe = keys\n"


def coded(key, text, digest="sha256"):
    return f"{text}.{base64url(hmac.new(key, text.encode(), digest).digest())}"


class Tokens(FanhornTest):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.keys = {name: KeyPair(Path(cls.folder.name), name) for name in ("RS256", "ES256")}
        cls.foreign = tempfile.TemporaryDirectory()
        cls.stranger = KeyPair(Path(cls.foreign.name), "ES256")
        files = " ".join(str(pair.public) for pair in cls.keys.values())
        cls.config = config(more=SECTIONS.format(secret=SECRET, keys=files), channels=CHANNELS)
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.folder.cleanup()
        cls.foreign.cleanup()

    def hostile(self, trap):
        """(section, token) by what is wrong with it; `trap` is an address of the attacker's."""
        good = secret_token(SECRET, self.claims())
        text, signature = good.rsplit(".", 1)
        head, payload = text.split(".")
        rsa, ec = self.keys["RS256"], self.keys["ES256"]
        ec_good = ec.token(self.claims())
        headed = lambda **header: secret_token(SECRET, self.claims(), **header)
        plain = lambda header, claims=None: signed_part(claims or self.claims(), header)
        at = f"http://{trap[0]}:{trap[1]}/keys"
        now = time.time()
        yield from {
            "empty": ("signed", ""), "dots": ("signed", ".."), "half": ("signed", text), "four parts": ("signed", good + ".x"),
            "alg none": ("signed", plain({"alg": "none"}) + "."), "alg None": ("signed", plain({"alg": "None"}) + "."),
            "alg nOnE, signed": ("signed", coded(SECRET.encode(), plain({"alg": "nOnE"}))),
            "alg none for keys": ("keys", plain({"alg": "none"}) + "."), "no alg": ("signed", coded(SECRET.encode(), plain({}))),
            "alg a list": ("signed", coded(SECRET.encode(), plain({"alg": ["HS256"]}))),
            "alg of no one": ("signed", coded(SECRET.encode(), plain({"alg": "HS257"}))),
            "another digest": ("signed", coded(SECRET.encode(), plain({"alg": "HS512"}), "sha512")),
            "public key as secret": ("keys", coded(rsa.public.read_bytes(), plain({"alg": "HS256"}))),
            "public key without its last line end": ("keys", coded(rsa.public.read_bytes().strip(), plain({"alg": "HS256"}))),
            "public key as secret, called RS256": ("keys", coded(rsa.public.read_bytes(), plain({"alg": "RS256"}))),
            "EC public key as secret": ("keys", coded(ec.public.read_bytes(), plain({"alg": "HS256"}))),
            "RSA signature called PS256": ("keys", plain({"alg": "PS256"}) + "." + base64url(rsa.sign(plain({"alg": "PS256"}).encode()))),
            "of a stranger's key": ("keys", self.stranger.token(self.claims())),
            "key of its own": ("keys", self.stranger.token(self.claims(), jwk={"kty": "EC", "crv": "P-256"})),
            "jku": ("keys", self.stranger.token(self.claims(), jku=at)), "x5u": ("keys", self.stranger.token(self.claims(), x5u=at)),
            "iss as an address": ("keys", self.stranger.token({**self.claims(), "iss": at}, kid=at)),
            "kid a path": ("signed", coded(b"", plain({"alg": "HS256", "kid": "/dev/null"}))),
            "kid as SQL": ("signed", coded(b"key", plain({"alg": "HS256", "kid": "x' UNION SELECT 'key"}))),
            "kid of 4 kB": ("signed", coded(b"", plain({"alg": "HS256", "kid": "k" * 4096}))),
            "crit": ("signed", headed(crit=["exp"])), "b64 false": ("signed", headed(b64=False, crit=["b64"])),
            "signature of zeros": ("keys", ec_good.rsplit(".", 1)[0] + "." + base64url(bytes(64))),
            "signature of r = 0, s = 1": ("keys", ec_good.rsplit(".", 1)[0] + "." + base64url(bytes(63) + b"\1")),
            "empty signature": ("signed", text + "."), "cut signature": ("signed", good[:-4]), "longer signature": ("signed", good + "AAAA"),
            "empty key": ("signed", coded(b"", text)), "another secret": ("signed", coded(b"x" * 32, text)),
            "padding": ("signed", good + "="), "another's payload": ("signed", f"{head}.{base64url(b'{}')}.{signature}"),
            "payload first": ("signed", f"{payload}.{head}.{signature}"),
            "expired": ("signed", secret_token(SECRET, {**self.claims(), "exp": now - 3600})),
            "no exp": ("signed", secret_token(SECRET, {"sub": "a", "channels": ["**"]})),
            "exp as text": ("signed", secret_token(SECRET, {**self.claims(), "exp": str(now + 60)})),
            "exp beyond all numbers": ("signed", self.raw_claims('{"exp":1e999,"channels":["**"]}')),
            "exp not a number": ("signed", self.raw_claims('{"exp":NaN,"channels":["**"]}')),
            "not yet": ("signed", secret_token(SECRET, {**self.claims(), "nbf": now + 3600})),
            "for others": ("signed", secret_token(SECRET, {**self.claims(), "aud": "others"})),
            "channels twice": ("signed", self.raw_claims('{"exp":9999999999,"channels":[],"channels":["**"]}')),
            "channels twice, escaped": ("signed", self.raw_claims('{"exp":9999999999,"channels":["**"],"chann\\u0065ls":["**"]}')),
            "30,000 claims": ("signed", self.raw_claims("{" + ",".join(f'"{n}":1' for n in range(30_000)) + "}")),
            "deep": ("signed", self.raw_claims('{"exp":9999999999,"x":' + "[" * 2000 + "]" * 2000 + "}")),
            "not UTF-8": ("signed", coded(SECRET.encode(), f"{head}.{base64url(bytes([0x7b, 0xff, 0x7d]))}")),
            "encrypted": ("signed", "a.b.c.d.e"),
        }.items()

    @staticmethod
    def claims():
        return claims_of("alice", ["**"])

    @staticmethod
    def raw_claims(text):
        head = base64url(json.dumps({"alg": "HS256"}).encode())
        return coded(SECRET.encode(), f"{head}.{base64url(text.encode())}")

    def statuses(self, section, token):
        """Over each way to bring it, and over each transport that it could open."""
        headers = {"Authorization": "Bearer " + token}
        path = f"/sub/{section}:x"
        yield self.daemon.request("GET", path, "public", query={"wait": "0"}, headers=headers).status
        yield self.daemon.request("GET", path, "public", query={"wait": "0", "access_token": token}).status
        with Wire(self.daemon.public) as wire:
            wire.send(build_request("GET", path, wire.address, headers={**headers, "Accept": "text/event-stream"}))
            yield wire.start_response().status
        try:
            WsClient(self.daemon.public, path, headers=headers).close()
            yield 101
        except Refused as refused:
            yield refused.response.status

    def test_15_and_16_hostile_tokens(self):
        """Not one is let in, and nobody is asked about it: the attacker's server hears nothing."""
        with socket.socket() as trap:
            trap.bind(("127.0.0.1", 0))
            trap.listen()
            tokens = dict(self.hostile(trap.getsockname()))
            self.assertGreaterEqual(len(tokens), 40)
            for name, (section, token) in tokens.items():
                with self.subTest(name):
                    for status in self.statuses(section, token):
                        self.assertIn(status, (401, 400, 414, 431))
            self.assertEqual(select.select([trap], [], [], 0.5)[0], [], "somebody was asked")
        for section, token in (("signed", secret_token(SECRET, self.claims())), ("keys", self.keys["ES256"].token(self.claims())),
                               ("keys", self.keys["RS256"].token(self.claims()))):
            self.assertEqual(list(self.statuses(section, token)), [200, 200, 200, 101])
        eventually(lambda: self.daemon.subscribers("signed:x") + self.daemon.subscribers("keys:x") == 0, "all gone")
        print(f"{len(tokens)} hostile tokens")


class Redirector(BaseHTTPRequestHandler):
    """An application that sends whoever asks it elsewhere."""

    def do_GET(self):
        self.server.asked.append(self.path)
        self.send_response(self.server.status)
        self.send_header("Location", self.server.target)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Callbacks(unittest.TestCase):
    def test_19_nobody_else_is_asked(self):
        """Neither where an answer points to nor where a request does: the address is the configuration's."""
        with ThreadingHTTPServer(("127.0.0.1", 0), Redirector) as server, socket.socket() as trap:
            trap.bind(("127.0.0.1", 0))
            trap.listen()
            at = "http://{}:{}/".format(*trap.getsockname())
            server.asked, server.target = [], at + "latest/meta-data"
            Thread(target=server.serve_forever, daemon=True).start()
            url = f"http://127.0.0.1:{server.server_address[1]}/auth"
            more = f"[auth app]\ntype = callback\nurl = {url}\n"
            with Daemon(config(more=more, channels="[channel **]\nsubscribe = app\n")) as daemon:
                for number, server.status in enumerate((301, 302, 303, 307, 308)):
                    token = f"token{number}{base64.urlsafe_b64encode(at.encode()).decode().strip('=')}"
                    headers = {"Authorization": "Bearer " + token, "X-Forwarded-Host": at[7:-1], "Referer": at,
                               "Forwarded": f"host={at[7:-1]}"}
                    response = daemon.request("GET", "/sub/x", "public", query={"wait": "0", "url": at}, headers=headers)
                    self.assertEqual(response.status, 503)
            server.shutdown()
            self.assertEqual(select.select([trap], [], [], 0.5)[0], [], "somebody else was asked")
            self.assertEqual(set(server.asked), {"/auth"})


if __name__ == "__main__":
    unittest.main()
