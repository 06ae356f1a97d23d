# SPDX-License-Identifier: Apache-2.0
"""A client of fanhorn.v1: commands, their replies, and what is pushed meanwhile."""

import json

from sse import SseClient
from wire import TIMEOUT
from ws import WsClient

PROTOCOL = "fanhorn.v1"


class Session(WsClient):
    def __init__(self, address, channels="", query=None, **options):
        super().__init__(address, "/sub/" + channels, query=query, protocols=PROTOCOL, **options)
        assert self.response.headers.get("Sec-WebSocket-Protocol") == PROTOCOL, "not selected"
        self.pushed = []
        self.last_id = 0
        self.hello = self.next_json()

    def command(self, **verb):
        """Sends it; its number."""
        self.last_id += 1
        self.send_text(json.dumps({"id": self.last_id, **verb}))
        return self.last_id

    def reply(self, number, timeout=TIMEOUT):
        """The reply to that command; what comes before it is kept in `pushed`."""
        while True:
            envelope = self.next_json(timeout)
            if "reply" in envelope:
                assert envelope["reply"] == number, envelope
                return envelope
            self.pushed.append(envelope)

    def ask(self, **verb):
        """What a command that succeeds answers."""
        answer = self.reply(self.command(**verb))
        assert "ok" in answer, answer
        return answer["ok"]

    def fault(self, **verb):
        """The code that a command fails with."""
        answer = self.reply(self.command(**verb))
        assert set(answer) == {"reply", "error"} and answer["error"]["detail"], answer
        return answer["error"]["code"]

    def push(self, timeout=TIMEOUT):
        """The next envelope that is no reply and no position."""
        while True:
            envelope = self.pushed.pop(0) if self.pushed else self.next_json(timeout)
            assert "reply" not in envelope, envelope
            if set(envelope) != {"position"}:
                return envelope

    def until_caught_up(self, channel):
        """What a subscription's replay brought, and its position."""
        found = []
        while "caught_up" not in (envelope := self.push()) or envelope["channel"] != channel:
            found.append(envelope)
        return found, envelope["caught_up"]


class PostSession:
    """The same for a client without a WebSocket: a stream, and POST /sub."""

    def __init__(self, daemon, channels="", query=None, headers=None):
        self.daemon, self.headers, self.last_id = daemon, headers or {}, 0
        self.stream = SseClient(daemon.public, "/sub/" + channels, {"protocol": PROTOCOL, **(query or {})}, headers)
        self.hello = self.next_json()

    def close(self):
        self.stream.close()

    def next_json(self, timeout=TIMEOUT):
        while (block := self.stream.next_block(timeout)).data is None:
            pass
        assert block.event == "message", block
        envelope = json.loads(block.data)
        assert block.id == envelope.get("position") or "connection" in envelope, block
        return envelope

    def command(self, **verb):
        """What POST /sub answers. Each command is on a connection of its own, and so of any worker."""
        self.last_id += 1
        response = self.daemon.request(
            "POST", "/sub", listener="public", body=json.dumps({"id": self.last_id, **verb}).encode(),
            headers={"Content-Type": "application/json", "Fanhorn-Connection": self.hello["connection"], **self.headers})
        assert response.status == 200, response
        answer = response.json()
        assert answer["reply"] == self.last_id, answer
        return answer

    def ask(self, **verb):
        answer = self.command(**verb)
        assert "ok" in answer, answer
        return answer["ok"]

    def fault(self, **verb):
        answer = self.command(**verb)
        assert set(answer) == {"reply", "error"} and answer["error"]["detail"], answer
        return answer["error"]["code"]

    def until(self, wanted, timeout=TIMEOUT):
        """Envelopes up to and with the first one that is wanted, positions left out."""
        found = []
        while not found or not wanted(found[-1]):
            envelope = self.next_json(timeout)
            if set(envelope) != {"position"}:
                found.append(envelope)
        return found
