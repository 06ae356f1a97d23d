# SPDX-License-Identifier: Apache-2.0
"""Thousands of subscribers on one thread, cut and resumed at random, each with its own record of
what it was told, and an oracle that compares the records with what was published."""

import errno
import heapq
import itertools
import json
import random
import selectors
import socket
import struct
import threading
import time

from sse import SseParser
from wire import ResponseParser, Wire, build_request
from ws import PONG, MessageParser, frame_bytes, upgrade_headers

TRANSPORTS = ("sse", "websocket", "longpoll", "poll")
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
POLL_PAUSE = 0.1


def seq_of(identity):
    return int(identity.partition(".")[2])


class Member:
    """One subscriber over all its connections. Every rule that one reader can check, it checks."""

    def __init__(self, swarm, transport, channels, since):
        self.swarm, self.transport, self.channels = swarm, transport, channels
        self.position = since  # what the next connection starts from
        self.since = since
        self.start = None      # the first position told
        self.last = -1         # the highest seq had or told
        self.received = {channel: [] for channel in channels}
        self.gaps = {channel: [] for channel in channels}
        self.socket, self.connections, self.failure = None, 0, None
        self.round = 0  # of the connection; what a timer meant for an older one is void

    # -- what was told

    def on_message(self, envelope):
        seq = seq_of(envelope["id"])
        if seq <= self.last:
            raise AssertionError(f"id {seq} after {self.last}")
        self.received[envelope["channel"]].append((seq, envelope["data"]) if self.swarm.keeps_text else seq)
        self.last, self.position = seq, envelope["id"]
        if self.start is None:
            raise AssertionError("a message before the position")

    def on_position(self, identity):
        seq = seq_of(identity)
        if self.start is None:
            if self.since and self.since != identity:
                raise AssertionError(f"asked from {self.since}, placed at {identity}")
            self.start = self.last = seq
        if seq < self.last:
            raise AssertionError(f"position {seq} behind {self.last}")
        self.last, self.position = seq, identity
        for gaps in self.gaps.values():  # a gap without `next` reaches to the position
            gaps[:] = [(after, next_ if next_ is not None else seq + 1) for after, next_ in gaps]

    def on_gap(self, gap):
        next_ = seq_of(gap["next"]) if gap["next"] else None
        if next_ is not None and next_ <= self.last:
            raise AssertionError(f"gap to {next_}, which is not behind {self.last}")
        self.gaps[gap["channel"]].append((seq_of(gap["after"]), next_))
        self.swarm.gaps += 1

    # -- connections

    def connect(self):
        self.round += 1
        self.connections += 1
        self.socket = socket.socket()
        self.socket.setblocking(False)
        code = self.socket.connect_ex(self.swarm.address)
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, "connect")
        self.swarm.selector.register(self.socket, selectors.EVENT_WRITE, self)
        self.parser = None

    def on_connected(self):
        code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, "connect")
        self.swarm.selector.modify(self.socket, selectors.EVENT_READ, self)
        self.ask()

    def ask(self):
        query = {"since": self.position, "envelope": "1"}
        headers = {}
        if self.transport == "sse":
            headers["Accept"] = "text/event-stream"
        elif self.transport == "websocket":
            headers = upgrade_headers(KEY)
        else:
            # A newcomer's first poll must answer, or it has no position to resume from.
            query["wait"] = "20" if self.transport == "longpoll" and self.start is not None else "0"
        self.http, self.parser = ResponseParser(), None
        path = "/sub/" + ",".join(self.channels)
        self.socket.sendall(build_request("GET", path, self.swarm.address, query=query, headers=headers))

    def disconnect(self, reset=False):
        self.swarm.selector.unregister(self.socket)
        if reset:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
        self.socket = None
        self.round += 1

    def on_readable(self):
        try:
            data = self.socket.recv(1 << 17)
        except BlockingIOError:
            return
        if not data:
            raise AssertionError("the daemon closed")
        if self.transport == "websocket" and self.parser:
            self.read_socket(data)
            return
        self.http.feed(data)
        if self.http.response is None:
            return
        if self.transport == "websocket":
            self.open_socket()
        elif self.http.response.status != 200:
            raise AssertionError(repr(self.http.response))
        elif self.transport == "sse":
            self.read_stream()
        elif self.http.done:
            self.read_poll()

    def open_socket(self):
        if self.http.response.status != 101:
            raise AssertionError(repr(self.http.response))
        self.parser = MessageParser()
        self.read_socket(bytes(self.http.buffer))

    def read_socket(self, data):
        for message in self.parser.feed(data):
            if message.kind == "ping":
                self.socket.sendall(frame_bytes(PONG, message.payload))
            elif message.kind != "text":
                raise AssertionError(repr(message))
            else:
                envelope = json.loads(message.payload)
                if "id" in envelope:
                    self.on_message(envelope)
                elif "gap" in envelope:
                    self.on_gap({"channel": envelope["channel"], **envelope["gap"]})
                else:
                    self.on_position(envelope["position"])

    def read_stream(self):
        if self.parser is None:
            self.parser = SseParser()
        body = bytes(self.http.body)
        self.http.body.clear()
        for block in self.parser.feed(body):
            if block.data is None:
                if block.id is not None:
                    self.on_position(block.id)
            elif block.event == "gap":
                self.on_gap(json.loads(block.data))
            else:
                self.on_message(json.loads(block.data))

    def read_poll(self):
        answer = json.loads(self.http.body)
        if self.start is None:
            if answer["messages"] and self.position is None:
                raise AssertionError("a newcomer's poll from `latest` brought messages")
            self.start = self.last = seq_of(self.position or answer["next"])
        for gap in answer["gaps"]:
            self.on_gap(gap)
        for envelope in answer["messages"]:
            self.on_message(envelope)
        self.on_position(answer["next"])
        if self.transport == "longpoll":
            self.ask()
        else:
            self.swarm.later(POLL_PAUSE, self, self.ask)


class Swarm:
    """The event loop of the members."""

    def __init__(self, address, seed, keeps_text=True, pauses=(0, 0.01, 0.3)):
        self.pauses = pauses  # seconds, one of which a cut member stays away
        self.address, self.chance, self.keeps_text = address, random.Random(seed), keeps_text
        self.selector, self.members, self.timers = selectors.DefaultSelector(), [], []
        self.order, self.gaps, self.cuts = itertools.count(), 0, 0

    def add(self, transport, channels, since=None):
        member = Member(self, transport, channels, since)
        self.members.append(member)
        member.connect()
        return member

    def later(self, seconds, member, action):
        heapq.heappush(self.timers, (time.monotonic() + seconds, next(self.order), member, member.round, action))

    def cut(self, member):
        """Ends its connection somehow; it comes back soon, from its own position."""
        if member.socket is None:
            return
        if member.start is None and member.position is None:
            return  # it has no position yet: nothing is promised to it
        member.disconnect(reset=self.chance.random() < 0.5)
        self.cuts += 1
        self.later(self.chance.choice(self.pauses), member, member.connect)

    def step(self, seconds=0.02):
        for key, _ in self.selector.select(seconds):
            member = key.data
            if member.socket is not key.fileobj:
                continue
            if key.events & selectors.EVENT_WRITE:
                self.guard(member, member.on_connected)
            else:
                self.guard(member, member.on_readable)
        now = time.monotonic()
        while self.timers and self.timers[0][0] <= now:
            _, _, member, round_, action = heapq.heappop(self.timers)
            if member.round == round_:
                self.guard(member, action)

    def guard(self, member, action):
        try:
            action()
        except (AssertionError, OSError, KeyError, ValueError) as error:
            what = f"{member.transport} {member.channels} after {member.connections} connections: {error!r}"
            raise AssertionError(what) from error

    def run(self, until, timeout, every=None):
        """Steps until until() holds; every() runs in each step."""
        deadline = time.monotonic() + timeout
        while not until():
            if time.monotonic() > deadline:
                return False
            self.step()
            if every:
                every()
        return True

    def close(self):
        for member in self.members:
            if member.socket:
                member.disconnect()
        self.selector.close()


class Publisher(threading.Thread):
    """Publishes `count` messages in changing ways; `log` is what got its 2xx: (channel, seq, text)."""

    def __init__(self, address, name, channels, count, seed, pause=0):
        super().__init__(daemon=True)
        self.address, self.label, self.channels, self.count = address, name, channels, count
        self.chance, self.pause, self.log, self.failure = random.Random(seed), pause, [], None

    def run(self):
        try:
            with Wire(self.address) as wire:
                while len(self.log) < self.count:
                    self.chance.choice((self.single, self.several, self.batch, self.lines))(wire)
                    time.sleep(self.pause)
        except Exception as error:  # told by the test's thread
            self.failure = error

    def text(self, offset=0):
        return f"{self.label}-{len(self.log) + offset}"

    def note(self, results, texts):
        for result, text in zip(results, texts, strict=True):
            self.log.append((result["channel"], seq_of(result["id"]), text))

    def answer(self, wire, path, body, kind="text/plain"):
        response = wire.request("POST", path, body=body, headers={"Content-Type": kind})
        assert response.status == 200, response
        return response

    def single(self, wire):
        channel, text = self.chance.choice(self.channels), self.text()
        self.note([{"channel": channel, **self.answer(wire, "/pub/" + channel, text).json()}], [text])

    def several(self, wire):
        channels, text = self.chance.sample(self.channels, min(3, len(self.channels))), self.text()
        results = self.answer(wire, "/pub/" + ",".join(channels), text).json()
        self.note(results.get("results") or [{"channel": channels[0], **results}], [text] * len(channels))

    def messages(self):
        texts = [self.text(offset) for offset in range(self.chance.randrange(1, 20))]
        return texts, [{"channel": self.chance.choice(self.channels), "text": text} for text in texts]

    def batch(self, wire):
        texts, messages = self.messages()
        answer = self.answer(wire, "/pub", json.dumps({"messages": messages}), "application/json")
        self.note(answer.json()["results"], texts)

    def lines(self, wire):
        texts, messages = self.messages()
        body = "".join(json.dumps(message) + "\n" for message in messages)
        answer = self.answer(wire, "/pub", body, "application/x-ndjson")
        self.note([json.loads(line) for line in answer.body.splitlines()], texts)


class Oracle:
    """What was published, and whether a member's record agrees with it."""

    def __init__(self, publishers):
        self.published = {}
        for publisher in publishers:
            if publisher.failure:
                raise publisher.failure
            for channel, seq, text in publisher.log:
                assert self.published.setdefault(channel, {}).setdefault(seq, text) == text, "a seq given twice"
        seqs = [seq for messages in self.published.values() for seq in messages]
        assert len(seqs) == len(set(seqs)), "a seq given to two channels"
        self.newest = {channel: max(messages) for channel, messages in self.published.items()}
        self.count = len(seqs)

    def is_complete(self, member):
        return member.last >= max((self.newest.get(channel, -1) for channel in member.channels), default=-1)

    def check(self, member):
        for channel in member.channels:
            published = self.published.get(channel, {})
            received = member.received[channel]
            if member.swarm.keeps_text:
                for seq, text in received:
                    assert published.get(seq) == text, f"{channel} {seq}: {text!r}, was {published.get(seq)!r}"
                received = [seq for seq, _ in received]
            strangers = set(received) - published.keys()
            assert not strangers, f"never published on {channel}: {sorted(strangers)[:5]}"
            self.check_holes(member, channel, published, set(received))

    @staticmethod
    def check_holes(member, channel, published, received):
        gaps, missing = member.gaps[channel], sorted(published.keys() - received)
        within = lambda seq, gap: gap[0] < seq and (gap[1] is None or seq < gap[1])
        who = f"{member.transport} {member.channels}, start {member.start}, {member.connections} connections, gaps {gaps}"
        for seq in missing:
            told = any(within(seq, gap) for gap in gaps)
            assert seq <= member.start or told, f"silence about {channel} {seq}: {who}"
        for gap in gaps:
            assert any(within(seq, gap) for seq in missing), f"nothing is missing in {channel} {gap}: {who}"
