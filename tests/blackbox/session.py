# SPDX-License-Identifier: Apache-2.0
"""A client of fanhorn.v1: commands, their replies, and what is pushed meanwhile."""

import json

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
