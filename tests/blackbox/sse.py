# SPDX-License-Identifier: Apache-2.0
"""Server-sent events as WHATWG HTML section 9.2 parses them, but with nothing ignored silently."""

import re
import time

from wire import TIMEOUT, ProtocolError, Wire, build_request

KNOWN_FIELDS = ("id", "event", "data", "retry")


class Block:
    """What stood between two empty lines. With data it is an event, else it only moves the id."""

    def __init__(self, fields, comments):
        self.fields, self.comments = fields, comments

    def _last(self, name):
        return next((value for key, value in reversed(self.fields) if key == name), None)

    @property
    def id(self):
        return self._last("id")

    @property
    def event(self):
        return self._last("event") or "message"

    @property
    def retry(self):
        return self._last("retry")

    @property
    def data(self):
        lines = [value for key, value in self.fields if key == "data"]
        return "\n".join(lines) if lines else None

    @property
    def is_position(self):
        return [key for key, _ in self.fields] == ["id"]

    def __repr__(self):
        return f"<Block {self.fields} {self.comments}>"


class SseParser:
    """Bytes in, blocks out. No sockets."""

    def __init__(self):
        self.rest, self.fields, self.comments, self.last_event_id = b"", [], [], ""

    def feed(self, data):
        data = self.rest + data
        keep = b""
        if data.endswith(b"\r"):  # may be half of a CRLF
            data, keep = data[:-1], b"\r"
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, last = data.split(b"\n")
        self.rest = last + keep
        blocks = []
        for line in lines:
            self._line(line.decode("utf-8"), blocks)
        return blocks

    def _line(self, line, blocks):
        if line.startswith(":"):
            self.comments.append(line[1:])
        elif line:
            name, _, value = line.partition(":")
            value = value[1:] if value.startswith(" ") else value
            self._check(name, value)
            self.fields.append((name, value))
        elif self.fields or self.comments:
            block = Block(self.fields, self.comments)
            self.fields, self.comments = [], []
            if block.id is not None:
                self.last_event_id = block.id
            blocks.append(block)

    @staticmethod
    def _check(name, value):
        if name not in KNOWN_FIELDS:
            raise ProtocolError(f"SSE field {name!r}")
        if name == "retry" and not re.fullmatch("[0-9]+", value):
            raise ProtocolError(f"retry {value!r}")
        if name == "id" and not re.fullmatch(r"[0-9a-z]{1,12}\.[0-9]{1,20}", value):
            raise ProtocolError(f"id {value!r}")


class SseClient:
    """An open stream. `response` is the answer's head; a refusal has its body read."""

    def __init__(self, address, path, query=None, headers=None, receive_buffer=None, version="1.1"):
        self.wire = Wire(address, receive_buffer)
        fields = {"Accept": "text/event-stream", **(headers or {})}
        request = build_request("GET", path, address, query=query, headers=fields)
        self.wire.send(request.replace(b" HTTP/1.1\r\n", f" HTTP/{version}\r\n".encode(), 1))
        self.response = self.wire.start_response()
        self.parser, self.blocks, self.all_blocks, self.raw = SseParser(), [], [], b""
        self.is_open = self.response.headers.get("Content-Type", "").startswith("text/event-stream")
        if not self.is_open:
            while piece := self.wire.read_body():
                self.response.body += piece

    @property
    def last_event_id(self):
        return self.parser.last_event_id

    @property
    def connection(self):
        return self.response.headers["Fanhorn-Connection"]

    def next_block(self, timeout=TIMEOUT):
        """The next block of any kind, or None at the stream's end."""
        deadline = time.monotonic() + timeout
        while not self.blocks:
            piece = self.wire.read_body(max(deadline - time.monotonic(), 0.001))
            if not piece:
                return None
            self.raw += piece
            self.blocks += self.parser.feed(piece)
        block = self.blocks.pop(0)
        self.all_blocks.append(block)
        return block

    def next_event(self, timeout=TIMEOUT):
        """The next block with data, or None at the stream's end."""
        deadline = time.monotonic() + timeout
        while True:
            block = self.next_block(max(deadline - time.monotonic(), 0.001))
            if block is None or block.data is not None:
                return block

    def next_position(self, timeout=TIMEOUT):
        """The next id-only block's id (a comment may share the block)."""
        deadline = time.monotonic() + timeout
        while True:
            block = self.next_block(max(deadline - time.monotonic(), 0.001))
            if block is None or block.is_position:
                return block and block.id

    def opened(self):
        """Reads past the greeting, so that what is published from now on is live."""
        self.next_position()
        return self

    def close(self):
        self.wire.close()
