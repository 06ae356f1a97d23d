# SPDX-License-Identifier: Apache-2.0
"""One face for the four transports, so that the same test of order and resume runs on each."""

import functools
import json
import time

from sse import SseClient
from wire import TIMEOUT, Wire
from ws import WsClient


class Item:
    """What a reader was told: kind is message, gap, position or end."""

    def __init__(self, kind, body):
        self.kind, self.body = kind, body

    def __repr__(self):
        return f"<{self.kind} {self.body}>"


class Reader:
    """A subscription from `since` (in the query, or as Last-Event-ID when `header`), of what `filter`
    lets through."""

    name = ""
    holds = True  # whether it is connected while nothing comes

    def __init__(self, daemon, channels, since=None, header=False, timeout=TIMEOUT,
                 receive_buffer=None, filter=None):
        self.daemon, self.channels, self.timeout = daemon, channels, timeout
        self.receive_buffer = receive_buffer
        self.position, self.items = since, []
        self.headers = {"Last-Event-ID": since} if header and since else {}
        self.query = {"since": since} if since and not header else {}
        self.fixed = {} if filter is None else {"filter": filter}
        self.open()

    def next(self, timeout=None):
        """The next item; None at the end of the stream."""
        deadline = time.monotonic() + (timeout or self.timeout)
        while not self.items:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name}: nothing came")
            if not self.fetch(max(deadline - time.monotonic(), 0.01)):
                return None
        return self.items.pop(0)

    def next_of(self, *kinds):
        """The next item of these kinds, passing over positions."""
        while (item := self.next()) is not None:
            if item.kind in kinds:
                return item
            if item.kind != "position":
                raise AssertionError(f"{self.name}: wanted {kinds}, got {item}")
        raise AssertionError(f"{self.name}: the stream ended")

    def next_message(self):
        return self.next_of("message").body

    def next_gap(self):
        return self.next_of("gap").body

    def messages(self, count):
        return [self.next_message() for _ in range(count)]

    def texts(self, count):
        return [message["data"] for message in self.messages(count)]

    def add(self, body):
        """One envelope, or one gap object in envelope form."""
        if "gap" in body:
            self.items.append(Item("gap", {"channel": body["channel"], **body["gap"]}))
        elif "end" in body:
            self.items.append(Item("end", {"channel": body["channel"], **body["end"]}))
        elif "id" in body:
            self.items.append(Item("message", body))
            if not body.get("retained"):
                self.position = body["id"]
        elif "position" in body:
            self.items.append(Item("position", body["position"]))
            self.position = body["position"]
        else:
            raise AssertionError(f"{self.name}: unknown envelope {body}")


class SseReader(Reader):
    name = "sse"

    def open(self):
        self.client = SseClient(self.daemon.public, "/sub/" + self.channels,
                                {"envelope": "1", **self.query, **self.fixed}, self.headers,
                                self.receive_buffer)
        assert self.client.response.status == 200, self.client.response

    def fetch(self, timeout):
        block = self.client.next_block(timeout)
        if block is None:
            return False
        if block.data is None:
            if block.id is not None:
                self.add({"position": block.id})
            return True
        body = json.loads(block.data)
        if block.event == "gap":
            self.items.append(Item("gap", body))
            assert block.id is None, f"a gap with an id: {block}"
        elif block.event == "end":
            self.items.append(Item("end", body))
        else:
            assert block.event == "message", block
            assert block.id == (None if body.get("retained") else body["id"]), block
            self.add(body)
        return True

    def close(self):
        self.client.close()

    def abort(self):
        self.client.wire.abort()


class WsReader(Reader):
    name = "websocket"

    def open(self):
        self.client = WsClient(self.daemon.public, "/sub/" + self.channels,
                               {"envelope": "1", **self.query, **self.fixed}, self.headers,
                               receive_buffer=self.receive_buffer)
        self.hello = self.client.next_json()
        self.add({"position": self.hello["position"]})

    def fetch(self, timeout):
        message = self.client.next(timeout)
        if message is None or message.kind == "close":
            return False
        assert message.kind == "text", message
        self.add(message.json())
        return True

    def close(self):
        self.client.close()

    def abort(self):
        self.client.wire.abort()


class PollReader(Reader):
    """Short polling; the first answer's `next` is where a newcomer starts."""

    name = "poll"
    holds = False
    wait = "0"

    def open(self):
        self.wire = Wire(self.daemon.public, timeout=self.timeout)
        if self.position is None:
            self.fetch(self.timeout)

    def fetch(self, timeout):
        query = {"wait": self.wait, **self.query, **self.fixed}
        if not self.headers and self.position:
            query["since"] = self.position
        response = self.wire.request("GET", "/sub/" + self.channels, timeout, query=query,
                                     headers={"Accept": "application/json", **self.headers})
        assert response.status == 200, response
        self.headers, self.query = {}, {}
        answer = response.json()
        for gap in answer["gaps"]:
            self.items.append(Item("gap", gap))
        for envelope in answer["messages"]:
            self.add(envelope)
        self.add({"position": answer["next"]})
        if not answer["messages"] and self.wait == "0":
            time.sleep(0.01)
        return True

    def close(self):
        self.wire.close()

    def abort(self):
        self.wire.abort()


class LongPollReader(PollReader):
    name = "longpoll"
    wait = "1"

    def open(self):
        self.wire = Wire(self.daemon.public, timeout=self.timeout)
        if self.position is None:  # a place to wait from, without waiting
            self.wait = "0"
            self.fetch(self.timeout)
            self.wait = LongPollReader.wait


READERS = (SseReader, WsReader, LongPollReader, PollReader)


def on_each(*classes):
    """Runs a test once for each of these readers, as its argument, on a channel of its own."""
    def decorate(test):
        @functools.wraps(test)
        def run(self):
            base = self.channel
            for reader_class in classes:
                with self.subTest(transport=reader_class.name):
                    self.channel = f"{base}:{reader_class.name}"
                    test(self, reader_class)
        return run
    return decorate
