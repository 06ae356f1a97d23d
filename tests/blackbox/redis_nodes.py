# SPDX-License-Identifier: Apache-2.0
"""Two nodes that share what a Redis keeps."""

import time
import unittest

from harness import Daemon, config, eventually
from redis_server import RedisServer
from sse import SseClient

CHANNELS = """[channel **]
broker = shared
history = 1000
wildcard = on
presence = on
joins = on
presence_grace = 100ms
[channel few:**]
broker = shared
history = 2
[channel big:**]
broker = shared
message_size = 2m
history_bytes = 8m
"""


def configuration(lines):
    return config(limits="subscriptions = 5000\nbody_size = 4m", more=f"[broker shared]\ntype = redis\n{lines}\n", channels=CHANNELS)


class NodesTest(unittest.TestCase):
    options = ()
    configuration = staticmethod(configuration)

    def start_server(self):
        """Returns the lines of the [broker] section."""
        self.redis = RedisServer(*self.options).start()
        self.addCleanup(self.redis.close)
        return f"url = {self.redis.url}"

    def setUp(self):
        self.channel = "t:" + self._testMethodName.removeprefix("test_")
        lines = self.start_server()
        self.nodes = []
        for _ in range(2):
            node = Daemon(self.configuration(lines)).start()
            self.nodes.append(node)
            self.addCleanup(self.end, node)
        self.wait_until_up()

    def end(self, node):
        if node.is_alive():
            node.stop()
        node.kill()

    def wait_until_up(self):
        for node in self.nodes:
            eventually(lambda its=node: its.request("GET", "/pub/none:such").status == 404, "the broker")

    def sse(self, node, channels=None, **query):
        client = SseClient(self.nodes[node].public, "/sub/" + (channels or self.channel), query)
        self.addCleanup(client.close)
        return client

    def publish(self, node, body, channel=None, **options):
        return self.nodes[node].publish(channel or self.channel, body, **options)

    def refusal(self, node=0):
        began = time.monotonic()
        response = self.nodes[node].request("POST", "/pub/" + self.channel, body=b"x")
        return response, time.monotonic() - began

    def wait_refusal(self):
        def is_away():
            response, _ = self.refusal()
            return response if response.status == 503 else None
        return eventually(is_away, "503")


class GroupTest(NodesTest):
    def publish_when_up(self, body, node=0):
        def try_once():
            response = self.nodes[node].request("POST", "/pub/" + self.channel, body=body)
            return response.json().get("id") if response.status == 200 else None
        return eventually(try_once, "a publish", 30)

    def assert_told_and_goes_on(self, client, last, after):
        """What follows `last`, which the client has, is a gap's word and then what is after it."""
        event = client.next_event()
        self.assertEqual(event.event, "gap", event)
        self.assertIn('"why":"broker"', event.data)
        while event.id != after:
            event = client.next_event()
            self.assertEqual(event.event, "message", event)
        self.assertNotEqual(last.split(".")[0], after.split(".")[0])
        self.assertGreater(int(after.split(".")[1]), int(last.split(".")[1]))
