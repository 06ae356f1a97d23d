# SPDX-License-Identifier: Apache-2.0
"""publish_rate: what clients may publish in a time, in each of the ways they can."""

import json

from harness import FanhornTest, config
from session import Session
from tokens import claims_of, secret_token

SECRET = "0123456789abcdef0123456789abcdef"
CHANNELS = f"""
[auth app]
type = jwt
secret = {SECRET}
[channel **]
client_publish = public
publish_rate = 3/h
[channel other:*]
client_publish = public
publish_rate = 2/m
[channel free:*]
client_publish = public
[channel users:*]
subscribe = app
client_publish = app
publish_rate = 3/h
"""


class PublishRate(FanhornTest):
    config = config(server="workers = 1\n", channels=CHANNELS)

    def post(self, path, body=b"x", **headers):
        return self.daemon.request("POST", path, listener="public", headers=headers, body=body)

    def test_commands(self):
        def over():
            client = self.open(Session(self.daemon.public))
            for _ in range(3):
                client.ask(publish={"channel": "a", "data": 1})
            self.assertEqual(client.fault(publish={"channel": "b", "data": 1}), "rate_limited")
            client.ask(publish={"channel": "other:a", "data": 1})  # a section of its own
            client.ask(ping={})
            other = self.open(Session(self.daemon.public))
            other.ask(publish={"channel": "a", "data": 1})
        self.assert_limit("publish_rate", over)

    def test_a_plain_websocket_is_closed(self):
        def over():
            client = self.ws(self.channel)
            for i in range(3):
                client.send_text(str(i))
            self.assertEqual([client.next_text() for _ in range(3)], ["0", "1", "2"])
            client.send_text("3")
            message = client.expect_close()
            self.assertEqual((message.code, message.reason), (1008, "publish_rate"))
        self.assert_limit("publish_rate", over)

    def test_post_is_counted_by_address(self):
        def over():
            for path in ("/sub/other:a", "/sub/other:b"):
                self.assertEqual(self.post(path).status, 200)
            response = self.post("/sub/other:c")
            self.assert_problem(response, 429, "rate_limited")
            self.assertGreater(int(response.headers["Retry-After"]), 0)
            command = json.dumps({"id": 1, "publish": {"channel": "other:d", "data": 1}}).encode()
            reply = self.post("/sub", command, **{"Content-Type": "application/json"}).json()
            self.assertEqual(reply["error"]["code"], "rate_limited")
            self.assertEqual(self.post("/sub/free:a").status, 200)
        self.assert_limit("publish_rate", over)

    def test_a_user_is_counted_on_all_connections(self):
        def over():
            token = secret_token(SECRET, claims_of("ann", ["users:*"], ["users:*"]))
            clients = [self.open(Session(self.daemon.public, "users:a", query={"access_token": token}))
                       for _ in range(4)]
            for client in clients[:3]:
                client.ask(publish={"channel": "users:a", "data": 1})
            self.assertEqual(clients[3].fault(publish={"channel": "users:a", "data": 1}), "rate_limited")
        self.assert_limit("publish_rate", over)

    def test_backends_are_not_counted(self):
        for _ in range(10):
            self.daemon.publish(self.channel, b"x")
