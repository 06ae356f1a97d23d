# SPDX-License-Identifier: Apache-2.0
"""A strict HTTP/1.1 client over a raw socket, which looks at every byte the daemon sends."""

import json
import os
import re
import socket
import struct
import time
import urllib.parse

PATIENCE = 4 if os.environ.get("FANHORN_SANITIZED") else 1  # those builds are slower
TIMEOUT = 15 * PATIENCE

TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9]) ([\t\x20-\x7e]*)\Z")


class ProtocolError(AssertionError):
    """The daemon sent what no RFC allows."""


class Closed(AssertionError):
    """The daemon closed the connection before the answer was whole."""


class Headers:
    """Header fields in order; names compare without case."""

    def __init__(self, fields=()):
        self.fields = list(fields)

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def get(self, name, default=None):
        return next(iter(self.all(name)), default)

    def __contains__(self, name):
        return bool(self.all(name))

    def __getitem__(self, name):
        if name not in self:
            raise AssertionError(f"no header {name} in {self.fields}")
        return self.get(name)

    def tokens(self, name):
        """The members of a comma-separated list header, lower case."""
        return [part.strip().lower() for value in self.all(name) for part in value.split(",")]


class Response:
    def __init__(self, status, reason, headers):
        self.status, self.reason, self.headers, self.body = status, reason, headers, b""

    def json(self):
        return json.loads(self.body.decode("utf-8"))

    def __iter__(self):  # status, headers, body = response
        return iter((self.status, self.headers, self.body))

    def __repr__(self):
        return f"<{self.status} {self.reason} {self.headers.fields} {self.body[:300]!r}>"


class ResponseParser:
    """Bytes in, one final response out: `response` once its head is there, decoded bytes in
    `body`, `done` at its end, what came behind it in `buffer`. No sockets."""

    def __init__(self, method="GET"):
        self.method, self.buffer, self.body = method, bytearray(), bytearray()
        self.response, self.interim, self.done = None, [], False
        self.step, self.left = self._head, 0

    def feed(self, data):
        self.buffer += data
        while not self.done and self.step():
            pass

    def end(self):
        """The peer closed."""
        if self.step == self._until_close:
            self.done = True
        if not self.done:
            raise Closed(f"closed early, {self.response}, rest {bytes(self.buffer)[:200]!r}")

    def _line(self):
        end = self.buffer.find(b"\n")
        if end < 0:
            return None
        line = bytes(self.buffer[:end + 1])
        del self.buffer[:end + 1]
        if not line.endswith(b"\r\n"):
            raise ProtocolError(f"line without CRLF: {line!r}")
        return line[:-2]

    def _head(self):
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        lines = bytes(self.buffer[:end]).split(b"\r\n")
        del self.buffer[:end + 4]
        match = STATUS_LINE.match(lines[0])
        if not match:
            raise ProtocolError(f"status line {lines[0]!r}")
        response = Response(int(match[1]), match[2].decode(), Headers(map(self._field, lines[1:])))
        if 100 <= response.status < 200 and response.status != 101:
            self.interim.append(response)
            return True
        self.response = response
        self._choose_body()
        return True

    @staticmethod
    def _field(line):
        name, colon, value = line.partition(b":")
        if not colon or not TOKEN.match(name) or re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", value):
            raise ProtocolError(f"header line {line!r}")
        return name.decode(), value.strip(b" \t").decode("utf-8")

    def _choose_body(self):
        status, headers = self.response.status, self.response.headers
        lengths, codings = headers.all("Content-Length"), headers.tokens("Transfer-Encoding")
        if len(lengths) > 1 or lengths and codings:
            raise ProtocolError(f"ambiguous length: {headers.fields}")
        if status == 101 or status in (204, 304) or self.method == "HEAD":
            if codings and status in (101, 204):
                raise ProtocolError(f"{status} with Transfer-Encoding")
            self.done = True
        elif codings:
            if codings != ["chunked"]:
                raise ProtocolError(f"Transfer-Encoding {codings}")
            self.step = self._chunk_size
        elif lengths:
            self.left, self.step = int(lengths[0]), self._length
        else:
            self.step = self._until_close

    def _take(self):
        piece = self.buffer[:self.left]
        del self.buffer[:len(piece)]
        self.body += piece
        self.left -= len(piece)
        return self.left == 0

    def _length(self):
        self.done = self._take()
        return False

    def _until_close(self):
        self.body += self.buffer
        self.buffer.clear()
        return False

    def _chunk_size(self):
        line = self._line()
        if line is None:
            return False
        if not re.fullmatch(rb"[0-9a-fA-F]{1,8}", line):
            raise ProtocolError(f"chunk size {line!r}")
        self.left = int(line, 16)
        self.step = self._chunk if self.left else self._trailers
        return True

    def _chunk(self):
        if self._take():
            self.step = self._chunk_end
            return True
        return False

    def _chunk_end(self):
        line = self._line()
        if line is None:
            return False
        if line:
            raise ProtocolError(f"after a chunk: {line!r}")
        self.step = self._chunk_size
        return True

    def _trailers(self):
        line = self._line()
        self.done = line == b""
        return bool(line)


class Via(tuple):
    """An address, and how to get there: from `source`, to the unix socket `path` instead, and with `preface` sent
    before all else."""

    source, path, preface = None, None, b""

    def __new__(cls, address, **how):
        self = super().__new__(cls, address)
        self.__dict__.update(how)
        return self

    def connect(self, timeout):
        one = socket.socket(socket.AF_UNIX if self.path else socket.AF_INET6 if ":" in self[0] else socket.AF_INET)
        one.settimeout(timeout)
        if self.source:
            one.bind((self.source, 0))
        one.connect(self.path or tuple(self))
        one.sendall(self.preface)
        return one


class Wire:
    """One TCP connection; every wait has a deadline and ends in TimeoutError."""

    tls = {}  # by address: what makes a connected socket one of TLS

    def __init__(self, address, receive_buffer=None, timeout=TIMEOUT):
        self.address, self.timeout = address, timeout
        self.socket = address.connect(timeout) if isinstance(address, Via) else self._connect(receive_buffer)
        if self.socket.family != socket.AF_UNIX:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if address in self.tls:
            self.socket = self.tls[address](self.socket)
        self.buffer, self.eof, self.parser = bytearray(), False, None

    def _connect(self, receive_buffer):
        one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        one.settimeout(self.timeout)
        one.connect(self.address)
        return one

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def local_port(self):
        return self.socket.getsockname()[1]

    def send(self, data):
        self.socket.settimeout(self.timeout)
        self.socket.sendall(data)

    def try_send(self, data):
        """For what the daemon may refuse half-way."""
        try:
            self.send(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def receive(self, deadline):
        """More bytes in the buffer, or `eof`; a reset counts as the end."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("nothing came in time")
        self.socket.settimeout(left)
        try:
            data = self.socket.recv(1 << 18)
        except ConnectionResetError:
            data = b""
        self.eof = not data
        self.buffer += data
        return data

    def read_exactly(self, count, timeout=None):
        deadline = time.monotonic() + (timeout or self.timeout)
        while len(self.buffer) < count:
            if not self.receive(deadline):
                raise Closed(f"wanted {count} bytes, have {bytes(self.buffer)!r}")
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def read_to_end(self, timeout=None):
        deadline = time.monotonic() + (timeout or self.timeout)
        while self.receive(deadline):
            pass
        return bytes(self.buffer)

    def is_closed(self, timeout=None):
        """Whether the daemon closes within that time, having sent nothing more."""
        try:
            return self.read_to_end(timeout) == b""
        except TimeoutError:
            return False

    def is_quiet(self, seconds):
        """Whether nothing comes, and the connection stays, for that long."""
        if self.buffer:
            return False
        try:
            self.receive(time.monotonic() + seconds)
        except TimeoutError:
            return True
        return False

    def start_response(self, method="GET", timeout=None):
        """Reads a response's head; its body follows from read_body()."""
        deadline = time.monotonic() + (timeout or self.timeout)
        self.parser = ResponseParser(method)
        self._feed_parser()
        while self.parser.response is None:
            self.receive(deadline)
            self._feed_parser()
        return self.parser.response

    def _feed_parser(self):
        self.parser.feed(bytes(self.buffer))
        self.buffer.clear()
        if self.eof and not self.parser.done:
            self.parser.end()
        if self.parser.done:
            self.buffer += self.parser.buffer
            self.parser.buffer.clear()

    def read_body(self, timeout=None):
        """The next decoded bytes of the body; b"" at its end."""
        deadline = time.monotonic() + (timeout or self.timeout)
        while not self.parser.body and not self.parser.done:
            self.receive(deadline)
            self._feed_parser()
        data = bytes(self.parser.body)
        self.parser.body.clear()
        return data

    def read_response(self, method="GET", timeout=None):
        response = self.start_response(method, timeout)
        pieces = []
        while piece := self.read_body(timeout):
            pieces.append(piece)
        response.body = b"".join(pieces)
        response.interim = self.parser.interim
        return response

    def request(self, method, target, timeout=None, **parts):
        self.send(build_request(method, target, self.address, **parts))
        return self.read_response(method, timeout)

    def close(self):
        self.socket.close()

    def abort(self):
        """Closes with a reset, as a peer that vanishes."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def quote(channel):
    return urllib.parse.quote(channel, safe="/:$@.~-_{}")


def target(path, query=None):
    """`path` with the query parameters that are not None."""
    pairs = [(name, value) for name, value in (query or {}).items() if value is not None]
    return path + ("?" + urllib.parse.urlencode(pairs) if pairs else "")


def build_request(method, path, address, query=None, headers=None, body=None):
    """A well-formed request; a header of None is left out, also Host."""
    if isinstance(body, str):
        body = body.encode()
    fields = {"Host": f"{address[0]}:{address[1]}"}
    if body is not None or method in ("POST", "PUT"):
        fields["Content-Length"] = str(len(body or b""))
    fields.update(headers or {})
    lines = [f"{method} {target(path, query)} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)
