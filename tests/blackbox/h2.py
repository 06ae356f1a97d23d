# SPDX-License-Identifier: Apache-2.0
"""RFC 9113 from the client's side, frame by frame: able to send what is wrong. It keeps no table of
HPACK (RFC 7541), and reads of an answer's head the status alone."""

import struct
import time

from wire import TIMEOUT, Closed, Wire

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED = 1, 1, 4, 8
NO_ERROR, PROTOCOL_ERROR, REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM = 0, 1, 7, 8, 11
TABLE_SIZE, MAX_STREAMS, INITIAL_WINDOW, CONNECT_PROTOCOL = 1, 3, 4, 8

FRAME_SIZE = 16384  # the most that every peer takes
STATUSES = {8: 200, 9: 204, 10: 206, 11: 304, 12: 400, 13: 404, 14: 500}  # of the static table
DIGITS = {f"{value:0{bits}b}": digit for digit, (value, bits) in enumerate(
    [(0, 5), (1, 5), (2, 5)] + [(value, 6) for value in range(0x19, 0x20)])}  # Huffman, RFC 7541 appendix B


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack("!IBI", len(payload) << 8 | kind, flags, stream)[:9] + payload


def integer(value, prefix, first=0):
    """RFC 7541 section 5.1."""
    most = (1 << prefix) - 1
    if value < most:
        return bytes([first | value])
    out, value = [first | most], value - most
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + [value])


def literal(name, value):
    """A field that enters no table."""
    def text(part):
        part = part.encode() if isinstance(part, str) else part
        return integer(len(part), 7) + part
    return b"\x00" + text(name) + text(value)


def fields(method="GET", path="/", authority="localhost", more=(), scheme="http"):
    return b"".join(literal(name, value) for name, value in [
        (":method", method), (":scheme", scheme), (":authority", authority), (":path", path), *more])


def status_of(block):
    """The first field of a head that went through no table."""
    while block and block[0] & 0xe0 == 0x20:  # the table's new size
        block = block[1:]
    if block[0] & 0x80:
        return STATUSES[block[0] & 0x7f]
    if not block[1] & 0x80:
        return int(block[2:2 + block[1]])
    bits = "".join(f"{byte:08b}" for byte in block[2:2 + (block[1] & 0x7f)])
    number = ""
    while len(number) < 3:
        size = 5 if bits[:5] in DIGITS else 6
        number, bits = number + str(DIGITS[bits[:size]]), bits[size:]
    return int(number)


class Answer:
    """What has come of one stream."""

    def __init__(self):
        self.status, self.body, self.is_ended, self.error = None, b"", False, None


class H2Client:
    """One connection. `wire` may be over TLS; the settings are sent and read at once."""

    def __init__(self, address, settings=(), preface=PREFACE, **options):
        self.wire = Wire(address, **options)
        self.buffer, self.next_id, self.goaway, self.settings = b"", 1, None, {}
        self.answers, self.pongs = {}, 0
        self.authority = f"{address[0]}:{address[1]}"
        pairs = {TABLE_SIZE: 0, **dict(settings)}
        self.wire.send(preface + frame(SETTINGS, payload=b"".join(struct.pack("!HI", *pair) for pair in pairs.items())))

    def send(self, kind, flags=0, stream=0, payload=b""):
        self.wire.send(frame(kind, flags, stream, payload))

    def open(self, method="GET", path="/", headers=(), ends=True, block=None):
        """Begins a stream; its number."""
        stream, self.next_id = self.next_id, self.next_id + 2
        block = block or fields(method, path, self.authority, list(dict(headers).items()))
        first, rest = block[:FRAME_SIZE], block[FRAME_SIZE:]
        self.send(HEADERS, (0 if rest else END_HEADERS) | (END_STREAM if ends else 0), stream, first)
        while rest:
            first, rest = rest[:FRAME_SIZE], rest[FRAME_SIZE:]
            self.send(CONTINUATION, 0 if rest else END_HEADERS, stream, first)
        self.answers[stream] = Answer()
        return stream

    def request(self, method="GET", path="/", headers=(), body=None):
        """One request and its whole answer."""
        stream = self.open(method, path, headers, ends=body is None)
        if body is not None:
            self.send(DATA, END_STREAM, stream, body)
        return self.whole(stream)

    def whole(self, stream, timeout=TIMEOUT):
        answer = self.answers[stream]
        self.until(lambda: answer.is_ended or answer.error is not None, timeout)
        return answer

    def until(self, probe, timeout=TIMEOUT):
        """Reads frames until probe() is true."""
        deadline = time.monotonic() + timeout
        while not probe():
            self._take(deadline)

    def until_gone(self, timeout=TIMEOUT):
        """Reads to the end of the connection; the code of its GOAWAY, None where there was none."""
        try:
            self.until(lambda: False, timeout)
        except Closed:
            return self.goaway

    def body(self, stream, wanted, timeout=TIMEOUT):
        """Reads until those bytes have come."""
        self.until(lambda: wanted in self.answers[stream].body, timeout)

    def drain(self, seconds):
        """Takes what comes in that time."""
        try:
            self.until(lambda: False, seconds)
        except TimeoutError:
            pass

    def _take(self, deadline):
        while len(self.buffer) < 9 or len(self.buffer) < 9 + int.from_bytes(self.buffer[:3], "big"):
            piece = self.wire.receive(deadline)
            if not piece:
                raise Closed("the connection ended")
            self.buffer += piece
            self.wire.buffer.clear()
        size, kind, flags = int.from_bytes(self.buffer[:3], "big"), self.buffer[3], self.buffer[4]
        stream = int.from_bytes(self.buffer[5:9], "big")
        payload, self.buffer = self.buffer[9:9 + size], self.buffer[9 + size:]
        self._on_frame(kind, flags, stream, payload)

    def _on_frame(self, kind, flags, stream, payload):
        answer = self.answers.get(stream, Answer())
        if kind == HEADERS:
            answer.status = status_of(payload)
        elif kind == DATA:
            answer.body += payload
        elif kind == RST_STREAM:
            answer.error = int.from_bytes(payload, "big")
        elif kind == GOAWAY:
            self.goaway = int.from_bytes(payload[4:8], "big")
        elif kind == PING and flags & ACK:
            self.pongs += 1
        elif kind == SETTINGS and not flags & ACK:
            self.settings |= dict(struct.iter_unpack("!HI", payload))
            self.wire.try_send(frame(SETTINGS, ACK))
        if kind in (HEADERS, DATA) and flags & END_STREAM:
            answer.is_ended = True

    def close(self):
        self.wire.close()


__all__ = ["ACK", "Answer", "CANCEL", "CONNECT_PROTOCOL", "CONTINUATION", "DATA", "ENHANCE_YOUR_CALM", "END_HEADERS",
           "END_STREAM", "GOAWAY", "H2Client", "HEADERS", "INITIAL_WINDOW", "MAX_STREAMS", "NO_ERROR", "PING",
           "PREFACE", "PRIORITY", "PROTOCOL_ERROR", "REFUSED_STREAM", "RST_STREAM", "SETTINGS", "WINDOW_UPDATE",
           "fields", "frame", "literal"]
