# SPDX-License-Identifier: Apache-2.0
"""delta = json-patch: what changed between two states, applied by a client, is what was published."""

import copy
import json
import random
import unittest

from harness import FanhornTest, config
from session import Session

CHANNELS = """
[channel **]
client_publish = public
delta = json-patch
history = 1000
history_bytes = 16m
[channel plain:**]
[channel slow:**]
delta = json-patch
history = 5
slow_consumer_limit = 64k
"""


def unescaped(pointer):
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def patched(document, patch):
    """RFC 6902, of the operations that the relay makes."""
    document = copy.deepcopy(document)
    for step in patch:
        path = unescaped(step["path"])
        if not path:
            assert step["op"] in ("add", "replace"), step
            document = step["value"]
            continue
        parent = document
        for part in path[:-1]:
            parent = parent[int(part) if isinstance(parent, list) else part]
        last = path[-1]
        if isinstance(parent, list):
            at = len(parent) if last == "-" else int(last)
            if step["op"] == "add":
                parent.insert(at, step["value"])
            elif step["op"] == "remove":
                del parent[at]
            else:
                parent[at] = step["value"]
        elif step["op"] == "remove":
            del parent[last]
        else:
            assert step["op"] == "add" or last in parent, step
            parent[last] = step["value"]
    return document


class Reader:
    """A session that applies what it is told; counts bytes."""

    def __init__(self, test, channel, **options):
        self.session = test.open(Session(test.daemon.public, **options))
        self.session.ask(subscribe={"channel": channel, "delta": "json-patch"})
        self.session.until_caught_up(channel)
        self.state = self.state_id = None
        self.whole, self.patches, self.bytes, self.gaps = 0, 0, 0, 0

    def read_until(self, last):
        while self.state_id != last:
            text = self.session.next_text()
            envelope = json.loads(text)
            if "gap" in envelope:
                self.gaps += 1
                self.state_id = None
            if "id" not in envelope:
                continue
            self.bytes += len(text)
            if "patch" in envelope:
                assert envelope["base"] == self.state_id, envelope
                self.state = patched(self.state, envelope["patch"])
                self.patches += 1
            else:
                self.state = envelope["data"]
                self.whole += 1
            self.state_id = envelope["id"]


class DeltaTest(FanhornTest):
    config = config(channels=CHANNELS)

    def put(self, channel, document, **options):
        return self.daemon.publish(channel, json.dumps(document).encode(),
                                   headers={"Content-Type": "application/json"}, **options)["id"]

    def test_a_dashboard(self):
        """200 metrics of which 4 change: at most a tenth of whole states."""
        rng = random.Random(1)
        state = {f"metric_{i:03}": {"value": rng.randrange(100000), "unit": "ms"} for i in range(200)}
        reader = Reader(self, self.channel)
        whole = Session(self.daemon.public, self.channel)
        self.open(whole)
        whole.until_caught_up(self.channel)
        whole_bytes = 0
        for round_ in range(100):
            for name in rng.sample(sorted(state), 4):
                state[name]["value"] = rng.randrange(100000)
            last = self.put(self.channel, state)
            reader.read_until(last)
            self.assertEqual(reader.state, state)
            whole_bytes += len(whole.next_text())
        self.assertEqual((reader.whole, reader.patches), (1, 99))
        share = reader.bytes / whole_bytes
        print(f"  200 metrics of which 4 change: {reader.bytes // 100} bytes a state as patches, "
              f"{whole_bytes // 100} whole: {100 * share:.1f} %")
        self.assertLess(share, 0.1)

    def test_documents_at_random(self):
        rng = random.Random(2)
        readers = []
        state = {"list": [], "map": {}, "n": 0}
        for round_ in range(300):
            if round_ % 50 == 0:
                readers.append(Reader(self, self.channel))
            choice = rng.randrange(7)
            if choice == 0:
                state["list"].insert(rng.randrange(len(state["list"]) + 1), rng.random())
            elif choice == 1 and state["list"]:
                del state["list"][rng.randrange(len(state["list"]))]
            elif choice == 2:
                state["map"][f"k/{rng.randrange(20)}~é"] = {"x": rng.randrange(5), "y": [1, 2, None]}
            elif choice == 3 and state["map"]:
                del state["map"][rng.choice(sorted(state["map"]))]
            elif choice == 4:
                state["n"] = rng.choice([1, 1.5, "a", None, True, {}, []])
            elif choice == 5 and state["map"]:
                state["map"][rng.choice(sorted(state["map"]))]["x"] = "changed"
            last = self.put(self.channel, state)
        for reader in readers:
            reader.read_until(last)
            self.assertEqual(reader.state, state)
            self.assertGreater(reader.patches, 0)

    def test_small_or_other_messages_come_whole(self):
        reader = Reader(self, self.channel)
        for body, kind in ((b"5", "application/json"), (b"text", "text/plain"), (b'{"a":1}', "application/json"),
                           (b"\xff\xfe", "application/octet-stream")):
            sent = self.daemon.publish(self.channel, body, headers={"Content-Type": kind})["id"]
            envelope = reader.session.push()
            self.assertEqual(envelope["id"], sent)
            self.assertNotIn("patch", envelope)

    def test_unstored_messages_are_no_states(self):
        big = {f"k{i}": i for i in range(100)}
        reader = Reader(self, self.channel)
        reader.read_until(self.put(self.channel, big))
        self.put(self.channel, {"typing": True}, store="0")
        self.assertEqual(reader.session.push()["data"], {"typing": True})
        reader.read_until(self.put(self.channel, {**big, "k5": "new"}))
        self.assertEqual(reader.patches, 1)
        self.assertEqual(reader.state, {**big, "k5": "new"})

    def test_who_is_excluded_gets_the_next_one_whole(self):
        big = {f"k{i}": i for i in range(100)}
        reader = Reader(self, self.channel)
        other = Reader(self, self.channel)
        reader.read_until(self.put(self.channel, big))
        self.put(self.channel, {**big, "k1": 0}, exclude=reader.session.connection)
        last = self.put(self.channel, {**big, "k2": 0})
        for each in (reader, other):
            each.read_until(last)
            self.assertEqual(each.state, {**big, "k2": 0})
        last = self.put(self.channel, {**big, "k3": 0})
        reader.read_until(last)
        self.assertEqual(reader.state, {**big, "k3": 0})

    def test_whole_after_a_gap(self):
        name = "slow:" + self.channel
        big = {f"key_{i}": "x" * 20 for i in range(500)}
        reader = Reader(self, name, receive_buffer=4096)
        for round_ in range(600):
            last = self.put(name, {**big, "pad": [str(round_ * i) for i in range(300)]})
        reader.read_until(last)
        self.assertEqual(reader.state["pad"][1], "599")
        self.assertGreater(reader.gaps, 0)

    def test_refusals(self):
        client = self.open(Session(self.daemon.public))
        for arguments in ({"channel": "plain:x", "delta": "json-patch"}, {"channel": "a", "delta": "diff"},
                          {"channel": "a", "delta": True},
                          {"channel": "a", "delta": "json-patch", "filter": "k=v"}):
            with self.subTest(arguments):
                self.assertEqual(client.fault(subscribe=arguments), "bad_option")


if __name__ == "__main__":
    unittest.main()
