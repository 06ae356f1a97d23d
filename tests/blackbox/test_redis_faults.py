# SPDX-License-Identifier: Apache-2.0
"""Nodes that share a Redis, and whatever can happen to it and to them, in an order that a seed gives. An oracle reads what
every reader was told: what was acknowledged was had in its order, or a gap was told; nothing came twice.

FANHORN_SOAK=1 plays FANHORN_ROUNDS rounds (200) with four nodes, of 4 to 40 steps; FANHORN_SEED plays one round with that
seed."""

import collections
import os
import random
import shutil
import signal
import threading
import time
import unittest

from harness import Daemon, config, eventually, pause
from readers import LongPollReader, SseReader, WsReader
from redis_server import RedisServer
from wire import Wire

SOAK = bool(os.environ.get("FANHORN_SOAK"))
NODES = 4 if SOAK else 2
SEEDS = [int(os.environ["FANHORN_SEED"])] if "FANHORN_SEED" in os.environ else \
    [random.randrange(1 << 30) for _ in range(int(os.environ.get("FANHORN_ROUNDS", "200")))] if SOAK else [1, 2, 3]
CHANNELS = ("a", "b:1", "b:2")
KEPT = 5  # of a:**, so that there are gaps without any fault


def split(identity):
    epoch, _, seq = identity.partition(".")
    return epoch, int(seq)


class Follower(threading.Thread):
    """Reads one channel, at one node after the other, and writes down what it was told."""

    def __init__(self, relay, number):
        super().__init__(daemon=True)
        self.relay, self.chance = relay, random.Random(f"{relay.seed}/{number}")
        self.channel = CHANNELS[number % len(CHANNELS)]
        self.kind = (SseReader, WsReader, LongPollReader)[number // len(CHANNELS) % 3]
        self.position, self.told, self.failure = None, [], None
        self.is_over = threading.Event()

    def run(self):
        try:
            while not self.is_over.is_set():
                self.follow(self.relay.nodes[self.chance.randrange(NODES)])
        except Exception as error:  # pylint: disable=broad-except
            self.failure = error

    def follow(self, node):
        try:
            reader = self.kind(node, self.channel, since=self.position or "earliest", timeout=2)
        except (OSError, AssertionError, EOFError):  # it is down, or its broker is
            time.sleep(0.02)
            return
        until = time.monotonic() + self.chance.choice((0.05, 0.5, 5))
        try:
            while time.monotonic() < until and not self.is_over.is_set():
                try:
                    item = reader.next(0.1 if self.kind is not LongPollReader else 2)
                except TimeoutError:
                    if self.kind is LongPollReader:
                        break  # what it has asked for would come as the answer to the next question
                    continue
                if item is None:
                    break
                self.note(item)
        except (OSError, AssertionError, EOFError) as error:
            if "unknown envelope" in str(error):
                raise
        finally:
            reader.close()

    def note(self, item):
        if item.kind == "message":
            self.told.append(("message", item.body["id"], item.body["data"]))
            self.position = item.body["id"]
        elif item.kind == "position":
            self.told.append(("position", item.body, ""))
            self.position = item.body
        elif item.kind == "gap":
            self.told.append(("gap", item.body["why"], item.body["after"]))


class Relay:
    """A Redis, nodes, readers and a publisher, who remembers what was acknowledged."""

    def __init__(self, seed):
        self.seed, self.chance = seed, random.Random(seed)
        self.steps = self.chance.choice((4, 8, 16, 40)) if SOAK else 20
        self.redis = RedisServer("--appendonly", "yes", "--appendfsync", "always").start()
        text = config(channels=f"[channel **]\nbroker = shared\nhistory = 1000\n[channel a]\nbroker = shared\nhistory = {KEPT}\n",
                      more=f"[broker shared]\ntype = redis\nurl = {self.redis.url}\n")
        self.nodes = [Daemon(text).start() for _ in range(NODES)]
        self.acknowledged = collections.defaultdict(dict)  # (channel, epoch) -> seq -> text
        self.counts, self.deleted = collections.Counter(), set()
        self.number, self.older = 0, None
        self.wait_until_up()
        self.followers = [Follower(self, number) for number in range(9)]
        for follower in self.followers:
            follower.start()

    def wait_until_up(self):
        for node in self.nodes:
            eventually(lambda its=node: self.is_up(its), "the broker", 30)

    @staticmethod
    def is_up(node):
        assert node.is_alive(), node.log()
        try:
            return node.request("GET", "/pub/none").status == 404
        except OSError:  # it is only beginning
            return False

    def close(self):
        for follower in self.followers:
            follower.is_over.set()
        for follower in self.followers:
            follower.join()
        for node in self.nodes:
            node.kill()
        self.redis.close()

    def publish(self, timeout=4):
        channel, self.number = self.chance.choice(CHANNELS), self.number + 1
        text = f"{self.number}"
        try:
            with Wire(self.chance.choice(self.nodes).private, timeout=timeout) as wire:
                response = wire.request("POST", "/pub/" + channel, body=text.encode())
        except (OSError, EOFError):
            return False
        assert response.status in (200, 503), response
        self.counts[f"published {response.status}"] += 1
        if response.status == 200:
            epoch, seq = split(response.json()["id"])
            of_channel = self.acknowledged[channel, epoch]
            assert seq not in of_channel, f"{channel} {epoch}.{seq} was given twice"
            of_channel[seq] = text
        return response.status == 200

    # -- what can happen

    def burst(self):
        for _ in range(self.chance.randrange(1, 12)):
            self.publish()

    def cut(self):
        self.redis.ask("CLIENT", "KILL", "TYPE", self.chance.choice(("pubsub", "normal")), "SKIPME", "yes")

    def pause(self):
        self.redis.pause()
        time.sleep(self.chance.choice((0.02, 0.2, 3.5) if SOAK else (0.02, 0.2)))
        self.redis.go_on()

    def crash(self):
        """It comes back with all that it has acknowledged."""
        self.redis.kill()
        self.come_back()

    def come_back(self):
        if self.chance.random() < 0.5:
            self.publish(1)
        self.redis.start()

    def come_back_empty(self):
        self.redis.kill()
        shutil.rmtree(self.redis.dir / "appendonlydir")
        self.come_back()

    def keep_a_copy(self):
        self.redis.ask("BGREWRITEAOF")
        eventually(lambda: self.redis.info("aof_rewrite_in_progress") == "0", "it")
        self.older = self.redis.dir / "older"
        shutil.rmtree(self.older, ignore_errors=True)
        shutil.copytree(self.redis.dir / "appendonlydir", self.older)

    def come_back_older(self):
        if not self.older:
            return self.keep_a_copy()
        self.redis.kill()
        shutil.rmtree(self.redis.dir / "appendonlydir")
        shutil.copytree(self.older, self.redis.dir / "appendonlydir")
        return self.come_back()

    def flush(self):
        self.redis.ask("FLUSHALL")

    def fill(self):
        self.redis.ask("CONFIG", "SET", "maxmemory", "1")
        self.publish()
        self.redis.ask("CONFIG", "SET", "maxmemory", "0")

    def crash_a_node(self):
        node = self.chance.choice(self.nodes)
        node.process.kill()
        node.process.wait()
        node.launch()

    def freeze_a_node(self):
        node = self.chance.choice(self.nodes)
        pause(node.process)
        time.sleep(0.1)
        node.send_signal(signal.SIGCONT)

    def delete(self):
        try:
            self.chance.choice(self.nodes).request("DELETE", "/pub/b:1", timeout=4)
        except (OSError, EOFError):
            pass  # perhaps it has gone all the same
        for (channel, epoch), of_channel in self.acknowledged.items():
            if channel == "b:1":
                self.deleted.update((epoch, seq) for seq in of_channel)

    FAULTS = (cut, cut, delete, pause, crash, come_back_empty, keep_a_copy, come_back_older, flush, fill, crash_a_node, freeze_a_node)

    def play(self):
        for _ in range(self.steps):
            self.burst()
            if self.chance.random() < 0.5:
                fault = self.chance.choice(self.FAULTS)
                self.counts[fault.__name__] += 1
                fault(self)
                if self.chance.random() < 0.6:  # else the next one may come upon this one
                    eventually(self.publish, "a publish", 30)
        self.wait_until_up()
        last = {}
        for channel in CHANNELS:  # each at each node, so that all have heard of the newest epoch
            for node in self.nodes:
                answer = eventually(lambda its=node, name=channel: self.last_word(its, name), "a publish", 30)
                last[channel] = answer
        for follower in self.followers:
            eventually(lambda its=follower: its.failure or its.position and
                       split(its.position)[0] == split(last[its.channel])[0] and
                       split(its.position)[1] >= split(last[its.channel])[1],
                       f"{follower.channel} up to {last[follower.channel]}, not {follower.position}", 30)

    def last_word(self, node, channel):
        response = node.request("POST", "/pub/" + channel, body=b"last")
        if response.status != 200:
            return None
        epoch, seq = split(response.json()["id"])
        self.acknowledged[channel, epoch][seq] = "last"
        return response.json()["id"]

    # -- what must be

    def judge(self):
        for follower in self.followers:
            if follower.failure:
                raise follower.failure
            try:
                self.judge_one(follower)
            except AssertionError as error:
                told = "\n".join(map(str, follower.told))
                raise AssertionError(f"{error}\n{follower.kind.name} on {follower.channel} was told:\n{told}") from None
        for channel in CHANNELS:
            self.judge_history(channel)

    def judge_one(self, follower):
        epoch, seq, is_told = None, -1, True
        for kind, identity, text in follower.told:
            self.counts["told " + kind] += 1
            if kind == "gap":
                is_told = True
                continue
            its_epoch, its_seq = split(identity)
            of_channel = self.acknowledged[follower.channel, its_epoch]
            if its_epoch != epoch:
                assert is_told, f"{follower.channel}: from epoch {epoch} to {identity}, and no gap was told"
            else:
                assert its_seq > seq or (kind == "position" and its_seq == seq), f"{identity} after {seq}"
                if not is_told:
                    missed = [each for each in of_channel if seq < each < its_seq + (kind == "position")]
                    assert not missed, f"{follower.channel}: {missed} are missing before {kind} {identity}"
            if kind == "message":
                assert of_channel.get(its_seq, text) == text, f"{identity} is {text}, not {of_channel[its_seq]}"
            epoch, seq, is_told = its_epoch, its_seq, False

    def judge_history(self, channel):
        """All that is acknowledged in this epoch is kept, as far as the section goes."""
        messages = self.nodes[0].poll(channel, transport="poll", since="earliest")["messages"]
        found = [split(message["id"]) for message in messages]
        epoch = found[-1][0]
        wanted = sorted(self.acknowledged[channel, epoch])[-KEPT if channel == "a" else 0:]
        seqs = {seq for its_epoch, seq in found if its_epoch == epoch}
        if channel == "a":
            assert len(found) <= KEPT
            wanted = [seq for seq in wanted if seq >= min(seqs)]
        missing = [seq for seq in wanted if seq not in seqs and (channel, (epoch, seq) in self.deleted) != ("b:1", True)]
        assert not missing, f"{channel}: {missing} are acknowledged and not kept"
        assert [seq for _, seq in found] == sorted(seq for _, seq in found)


class Faults(unittest.TestCase):
    def test_nothing_is_lost_in_silence(self):
        total = collections.Counter()
        try:
            for seed in SEEDS:
                self.play(seed, total)
        finally:  # also of a run that is interrupted
            print(", ".join(f"{count} {name}" for name, count in sorted(total.items())))

    @staticmethod
    def play(seed, total):
        relay = Relay(seed)
        try:
            relay.play()
            relay.judge()
        except Exception:
            print(f"FANHORN_SEED={seed}\n" + "\n".join(node.log()[-3000:] for node in relay.nodes))
            raise
        finally:
            relay.close()
        total.update(relay.counts, rounds=1)


if __name__ == "__main__":
    unittest.main()
