# SPDX-License-Identifier: Apache-2.0
"""An application that is told who comes and goes: a real HTTP server, which checks each signature."""

import hashlib
import hmac
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = "0123456789abcdef0123456789abcdef"
NAMES = ("event", "channel", "user", "info", "message")


class Application:
    """Remembers the batches that it has said 204 to, and those that it has not. `verdict`: what it answers, a status,
    or None to cut the connection instead."""

    def __init__(self, server=ThreadingHTTPServer, address=("127.0.0.1", 0), tls=None):
        self.taken, self.refused, self.verdict, self.signatures = [], [], lambda batch: 204, []
        self.connections = []
        application = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                application.connections.append(self.request)
                super().setup()

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                application.signatures.append(self.headers["Fanhorn-Signature"])
                assert self.headers["Content-Type"] == "application/json", self.headers
                batch = json.loads(body)
                status = application.verdict(batch) if application.is_signed(body) else 400
                (application.taken if status == 204 else application.refused).append(batch)
                if status is None:
                    self.close_connection = True
                    return
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def handle(self):
                try:
                    super().handle()
                except ConnectionError:
                    pass

            def log_message(self, *_):
                pass

        self.server = server(address, Handler)
        self.server.daemon_threads = True
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def is_signed(self, body):
        """As an application would look at it."""
        seconds, *codes = (part.split("=")[1] for part in self.signatures[-1].split(","))
        code = hmac.new(SECRET.encode(), seconds.encode() + b"." + body, hashlib.sha256).hexdigest()
        return abs(time.time() - int(seconds)) < 300 and code in codes

    def events(self):
        return [event for batch in self.taken for event in batch["events"]]

    def told(self):
        """The events without ids and times."""
        return [tuple(event[name] for name in NAMES if name in event) for event in self.events()]

    def numbers(self):
        """Of the ids, in their order; they must be of one daemon."""
        ids = [event["id"].split(".") for event in self.events()]
        assert len({start for start, _ in ids}) <= 1, ids
        return [int(number) for _, number in ids]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it has gone already
