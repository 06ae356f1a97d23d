# SPDX-License-Identifier: Apache-2.0
"""RFC 6455 from the client's side: strict about what comes, able to send what is wrong."""

import base64
import hashlib
import json
import os
import struct
import time
import zlib

from wire import TIMEOUT, Closed, ProtocolError, Wire, build_request

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TAIL = b"\x00\x00\xff\xff"  # RFC 7692 section 7.2.1


class Refused(AssertionError):
    """The upgrade was answered with something else than 101; see `response`."""

    def __init__(self, response):
        super().__init__(repr(response))
        self.response = response


class Frame:
    def __init__(self, first, payload):
        self.fin, self.rsv1, self.opcode = bool(first & 0x80), bool(first & 0x40), first & 0x0f
        self.payload = payload
        if first & 0x30:
            raise ProtocolError(f"reserved bits: {first:#x}")
        if self.opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            raise ProtocolError(f"opcode {self.opcode}")
        if self.opcode >= CLOSE and (not self.fin or self.rsv1 or len(payload) > 125):
            raise ProtocolError("control frame fragmented, compressed or too long")


class FrameParser:
    """Bytes in, frames out. No sockets."""

    def __init__(self):
        self.buffer = bytearray()

    def feed(self, data):
        self.buffer += data
        frames, at = [], 0
        while (parsed := self._one(at)) is not None:
            frame, at = parsed
            frames.append(frame)
        del self.buffer[:at]
        return frames

    def _one(self, at):
        have = len(self.buffer) - at
        if have < 2:
            return None
        first, length = self.buffer[at], self.buffer[at + 1]
        if length & 0x80:
            raise ProtocolError("a server must not mask")
        head = 2 + {126: 2, 127: 8}.get(length, 0)
        if have < head:
            return None
        if head > 2:
            length = int.from_bytes(self.buffer[at + 2:at + head], "big")
            if length < (126 if head == 4 else 65536):
                raise ProtocolError("length not in its shortest form")
        if have < head + length:
            return None
        end = at + head + length
        return Frame(first, bytes(self.buffer[at + head:end])), end


class Message:
    """kind: text, binary, ping, pong or close."""

    def __init__(self, kind, payload, compressed=False):
        self.kind, self.payload, self.compressed = kind, payload, compressed

    def json(self):
        return json.loads(self.payload.decode("utf-8"))

    @property
    def code(self):
        return struct.unpack(">H", self.payload[:2])[0] if len(self.payload) >= 2 else 1005

    @property
    def reason(self):
        return self.payload[2:].decode("utf-8")

    def __repr__(self):
        return f"<{self.kind} {self.payload[:200]!r}>"


class MessageParser:
    """Frames put together to messages, inflated, text checked. No sockets."""

    def __init__(self, deflate=False):
        self.frames, self.deflate, self.parts, self.start = FrameParser(), deflate, None, None

    def feed(self, data):
        return [message for frame in self.frames.feed(data) if (message := self._frame(frame))]

    def _frame(self, frame):
        if frame.opcode >= CLOSE:
            kind = {CLOSE: "close", PING: "ping", PONG: "pong"}[frame.opcode]
            return Message(kind, frame.payload)
        if (frame.opcode == CONTINUATION) == (self.parts is None):
            raise ProtocolError("fragments out of order")
        if frame.opcode != CONTINUATION:
            self.parts, self.start = [], frame
            if frame.rsv1 and not self.deflate:
                raise ProtocolError("compressed without an agreement")
        self.parts.append(frame.payload)
        if not frame.fin:
            return None
        payload, self.parts = b"".join(self.parts), None
        if self.start.rsv1:
            payload = inflate(payload)
        if self.start.opcode == TEXT:
            payload.decode("utf-8")
        return Message("text" if self.start.opcode == TEXT else "binary", payload, self.start.rsv1)


def inflate(payload):
    """Without context takeover every message inflates on its own."""
    return zlib.decompressobj(-15).decompress(payload + TAIL)


def deflate(payload):
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    data = packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH)
    return data[:-len(TAIL)]


def frame_bytes(opcode, payload=b"", fin=True, rsv1=False, mask=True, reserved=0):
    first = (0x80 if fin else 0) | (0x40 if rsv1 else 0) | reserved | opcode
    size = len(payload)
    bit = 0x80 if mask else 0
    if size < 126:
        head = struct.pack(">BB", first, bit | size)
    elif size < 65536:
        head = struct.pack(">BBH", first, bit | 126, size)
    else:
        head = struct.pack(">BBQ", first, bit | 127, size)
    if not mask:
        return head + payload
    key = os.urandom(4)
    stretched = (key * (size // 4 + 1))[:size]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(stretched, "big")
    return head + key + masked.to_bytes(size, "big")


def close_payload(code, reason=""):
    return struct.pack(">H", code) + reason.encode()


def upgrade_headers(key, deflate_offer=None, protocols=None):
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
               "Sec-WebSocket-Key": key}
    if deflate_offer:
        headers["Sec-WebSocket-Extensions"] = deflate_offer
    if protocols:
        headers["Sec-WebSocket-Protocol"] = protocols
    return headers


class WsClient:
    """An open WebSocket; raises Refused where the daemon does not upgrade."""

    BROWSER_OFFER = "permessage-deflate; client_max_window_bits"

    def __init__(self, address, path, query=None, headers=None, compress=False, protocols=None,
                 answer_pings=True, receive_buffer=None):
        self.wire, self.answer_pings = Wire(address, receive_buffer), answer_pings
        key = base64.b64encode(os.urandom(16)).decode()
        offer = self.BROWSER_OFFER if compress is True else compress
        fields = {**upgrade_headers(key, offer, protocols), **(headers or {})}
        self.wire.send(build_request("GET", path, address, query=query, headers=fields))
        self.response = self.wire.start_response()
        if self.response.status != 101:
            while piece := self.wire.read_body():
                self.response.body += piece
            self.wire.close()
            raise Refused(self.response)
        self._check_accept(key)
        self.extensions = self.response.headers.get("Sec-WebSocket-Extensions", "")
        if self.extensions and not offer:
            raise ProtocolError("an extension nobody offered")
        self.deflates = "permessage-deflate" in self.extensions
        self.parser, self.messages, self.pings = MessageParser(self.deflates), [], []

    def _check_accept(self, key):
        headers = self.response.headers
        wanted = base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()
        if headers["Sec-WebSocket-Accept"] != wanted:
            raise ProtocolError("Sec-WebSocket-Accept is wrong")
        if headers["Upgrade"].lower() != "websocket" or "upgrade" not in headers.tokens("Connection"):
            raise ProtocolError(f"upgrade answer {headers.fields}")

    @property
    def connection(self):
        return self.response.headers["Fanhorn-Connection"]

    def next_any(self, timeout=TIMEOUT):
        """The next message of any kind; None when the daemon just closed."""
        deadline = time.monotonic() + timeout
        while not self.messages:
            if self.wire.eof and not self.wire.buffer:
                return None
            if not self.wire.buffer:
                self.wire.receive(deadline)
            data = bytes(self.wire.buffer)
            self.wire.buffer.clear()
            self.messages += self.parser.feed(data)
        return self.messages.pop(0)

    def next(self, timeout=TIMEOUT):
        """The next data message or close; pings are answered on the way."""
        deadline = time.monotonic() + timeout
        while True:
            message = self.next_any(max(deadline - time.monotonic(), 0.001))
            if message is None or message.kind not in ("ping", "pong"):
                return message
            if message.kind == "ping":
                self.pings.append(message.payload)
                if self.answer_pings:
                    self.wire.try_send(frame_bytes(PONG, message.payload))

    def next_text(self, timeout=TIMEOUT):
        message = self.next(timeout)
        if message is None or message.kind != "text":
            raise Closed(f"wanted text, got {message}")
        return message.payload.decode("utf-8")

    def next_json(self, timeout=TIMEOUT):
        return json.loads(self.next_text(timeout))

    def expect_close(self, timeout=TIMEOUT):
        """The close frame, whatever data comes before it; the connection must end after it."""
        while True:
            message = self.next(timeout)
            if message is None:
                raise Closed("closed without a close frame")
            if message.kind == "close":
                self.wire.try_send(frame_bytes(CLOSE, message.payload[:2]))
                self.wire.read_to_end(timeout)
                return message

    def send_frame(self, opcode, payload=b"", **bits):
        self.wire.try_send(frame_bytes(opcode, payload, **bits))

    def send_text(self, text):
        self.send_frame(TEXT, text.encode())

    def send_binary(self, payload):
        self.send_frame(BINARY, payload)

    def send_close(self, code=1000, reason=""):
        self.send_frame(CLOSE, close_payload(code, reason))

    def close(self):
        self.wire.close()
