# SPDX-License-Identifier: Apache-2.0
"""PROTOCOL section 4: facts, lists, history, DELETE, health and metrics."""

import json
import re
import unittest

from harness import FanhornTest, config, eventually
from readers import READERS

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABELS = r'\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)+\}'
SAMPLE = re.compile(rf"({NAME})({LABELS})? (-?[0-9.]+(?:e[+-]?[0-9]+)?|\+Inf|NaN)$")


class Control(FanhornTest):
    config = config(channels="[channel **]\n[channel list:*]\n")

    def fill(self, count):
        return [self.daemon.publish(self.channel, f"m{number}")["id"] for number in range(count)]

    def channels(self, **query):
        response = self.daemon.request("GET", "/channels", query=query)
        self.assertEqual(response.status, 200, response)
        return response.json()

    def history(self, **query):
        response = self.daemon.request("GET", f"/channels/{self.channel}/history", query=query)
        self.assertEqual(response.status, 200, response)
        return response.json()

    def test_facts(self):
        ids = self.fill(3)
        self.sse(self.channel).opened(), self.ws(self.channel), self.ws(self.channel)
        self.wait_subscribers(self.channel, 3)
        facts = self.daemon.facts(self.channel)
        self.assertEqual(set(facts), {"channel", "subscribers", "messages", "bytes", "first", "last", "n", "section"})
        self.assertEqual(facts["subscribers"], {"websocket": 2, "sse": 1, "longpoll": 0})
        self.assertEqual((facts["channel"], facts["messages"], facts["n"]), (self.channel, 3, 3))
        self.assertEqual((facts["first"], facts["last"]), (ids[0], ids[2]))
        self.assertGreaterEqual(facts["bytes"], 6)
        self.assertIn("**", facts["section"])

    def test_facts_of_no_channel(self):
        self.assert_problem(self.daemon.request("GET", "/pub/" + self.channel), 404, "not_found")

    def test_subscribers_leave(self):
        clients = [self.sse(self.channel).opened(), self.ws(self.channel)]
        self.wait_subscribers(self.channel, 2)
        clients[0].wire.abort()
        clients[1].close()
        self.wait_subscribers(self.channel, 0)

    def test_a_channel_without_anything_is_freed(self):
        client = self.sse(self.channel).opened()
        self.wait_subscribers(self.channel, 1)
        client.close()
        eventually(lambda: self.daemon.facts(self.channel) is None, "freeing the channel")

    def test_a_held_poll_counts(self):
        wire = self.wire("public")
        wire.send(f"GET /sub/{self.channel}?wait=30 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        eventually(lambda: (self.daemon.facts(self.channel) or {"subscribers": {}})["subscribers"].get("longpoll") == 1,
                   "a counted long poll")

    def test_list_pages(self):
        names = sorted(f"list:{number:02}" for number in range(25))
        for name in names:
            self.daemon.publish(name)
        found, cursor, pages = [], None, 0
        while True:
            page = self.channels(prefix="list:", cursor=cursor, limit=10)
            self.assertLessEqual(len(page["channels"]), 10)
            found += [facts["channel"] for facts in page["channels"]]
            pages += 1
            cursor = page.get("cursor")
            if not cursor:
                break
        self.assertEqual((sorted(found), pages), (names, 3))
        self.assertEqual(page["channels"][0], self.daemon.facts(page["channels"][0]["channel"]))

    def test_list_by_prefix(self):
        self.daemon.publish(self.channel + "/a"), self.daemon.publish(self.channel + "/b")
        names = [facts["channel"] for facts in self.channels(prefix=self.channel + "/")["channels"]]
        self.assertEqual(sorted(names), [self.channel + "/a", self.channel + "/b"])
        self.assertEqual(self.channels(prefix="no such prefix")["channels"], [])
        self.assertIn(self.channel + "/a", [facts["channel"] for facts in self.channels()["channels"]])

    def test_list_of_bad_limits(self):
        for limit in ("0x1", "-1", "many", "99999999999999999999"):
            with self.subTest(limit=limit):
                response = self.daemon.request("GET", "/channels", query={"limit": limit})
                self.assert_problem(response, 400, "bad_option")

    def test_history(self):
        ids = self.fill(5)
        everything = self.history(since="earliest")
        self.assertEqual([message["id"] for message in everything["messages"]], ids)
        self.assertEqual((everything["next"], everything["gaps"]), (ids[4], []))
        self.assertEqual(everything["messages"][0], {"channel": self.channel, "id": ids[0], "n": 1, "data": "m0"})
        self.assertEqual([message["id"] for message in self.history(since=ids[2])["messages"]], ids[3:])
        self.assertEqual([message["id"] for message in self.history(since="-2")["messages"]], ids[3:])
        page = self.history(since="earliest", limit=2)
        self.assertEqual([message["id"] for message in page["messages"]], ids[:2])
        self.assertEqual([message["id"] for message in self.history(since=page["next"], limit=2)["messages"]], ids[2:4])

    def test_history_of_a_name_with_slashes(self):
        self.channel += "/a/history"
        ids = self.fill(1)
        self.assertEqual([message["id"] for message in self.history(since="0")["messages"]], ids)

    def test_history_refusals(self):
        path = f"/channels/{self.channel}/history"
        self.assert_problem(self.daemon.request("GET", path, query={"since": "x"}), 400, "bad_position")
        self.assert_problem(self.daemon.request("GET", path, query={"limit": "x"}), 400, "bad_option")

    def test_delete_drops_everything(self):
        ids = self.fill(2)
        self.daemon.publish(self.channel, b"state", method="PUT")
        response = self.daemon.request("DELETE", "/pub/" + self.channel)
        self.assertIn(response.status, (200, 204), response)
        self.assertIsNone(self.daemon.facts(self.channel))
        self.assert_problem(self.daemon.request("DELETE", "/pub/" + self.channel), 404, "not_found")
        self.assertEqual(self.daemon.poll(self.channel, since="earliest")["messages"], [])
        self.assertEqual(self.daemon.poll(self.channel, since=ids[0])["messages"], [])

    def test_delete_ends_the_subscriptions(self):
        for reader_class in READERS:
            if not reader_class.holds:
                continue
            with self.subTest(reader_class.name):
                name = f"{self.channel}:{reader_class.name}"
                reader = reader_class(self.daemon, f"{name},{name}:other")
                self.addCleanup(reader.close)
                self.wait_subscribers(name, 1)
                self.daemon.request("DELETE", "/pub/" + name)
                self.daemon.publish(name, b"nobody hears this")
                self.daemon.publish(name + ":other", b"goes on")
                self.assertEqual(reader.next_of("end").body, {"channel": name, "code": "deleted"})
                self.assertEqual(reader.next_message()["data"], "goes on")
                self.assertEqual(self.daemon.subscribers(name), 0)

    def test_delete_ends_a_held_poll(self):
        wire = self.wire("public")
        wire.send(f"GET /sub/{self.channel}?wait=30 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        self.wait_subscribers(self.channel, 1)
        self.daemon.request("DELETE", "/pub/" + self.channel)
        response = wire.read_response(timeout=10)
        self.assertEqual(response.status, 200, response)
        self.assertEqual(response.json()["messages"], [])
        self.assertIn("deleted", json.dumps(response.json()))

    def test_delete_ends_a_lone_plain_websocket_and_stream(self):
        socket, stream = self.ws(self.channel), self.sse(self.channel).opened()
        self.wait_subscribers(self.channel, 2)
        self.daemon.request("DELETE", "/pub/" + self.channel)
        event = stream.next_event()
        self.assertEqual((event.event, json.loads(event.data)), ("end", {"channel": self.channel, "code": "deleted"}))
        self.assertEqual(socket.expect_close().code, 4003)

    def test_health(self):
        for path in ("/healthz", "/readyz"):
            response = self.daemon.request("GET", path)
            self.assertEqual(response.status, 200)
            self.assertIn("no-store", response.headers.get("Cache-Control", "no-store"))

    def test_metrics_are_prometheus_text(self):
        self.fill(1)
        response = self.daemon.request("GET", "/metrics")
        self.assertRegex(response.headers["Content-Type"], r"^text/plain; version=0\.0\.4")
        text = response.body.decode()
        self.assertTrue(text.endswith("\n"))
        kinds, seen = {}, set()
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                self.assertIn(kind, ("counter", "gauge", "histogram"))
                self.assertNotIn(name, kinds)
                kinds[name] = kind
            elif not line.startswith("# HELP "):
                match = SAMPLE.match(line)
                self.assertTrue(match, line)
                self.assertNotIn(match[1] + (match[2] or ""), seen)
                seen.add(match[1] + (match[2] or ""))
                family = re.sub(r"_(bucket|sum|count)$", "", match[1])
                self.assertIn(kinds.get(family, kinds.get(match[1])), ("counter", "gauge", "histogram"), line)
        for name, kind in {"fanhorn_connections": "gauge", "fanhorn_deliveries_total": "counter",
                           "fanhorn_sent_bytes_total": "counter", "fanhorn_published_total": "counter",
                           "fanhorn_gaps_total": "counter", "fanhorn_evictions_total": "counter",
                           "fanhorn_limit_hits_total": "counter", "fanhorn_mailbox_seconds": "histogram",
                           "fanhorn_flush_seconds": "histogram"}.items():
            self.assertEqual(kinds.get(name), kind, name)

    def test_histograms_are_cumulative(self):
        self.sse(self.channel).opened()
        self.fill(20)
        metrics = eventually(lambda: (lambda m: m if m["fanhorn_flush_seconds_count"] > 0 else None)(self.daemon.metrics()))
        for name in ("fanhorn_mailbox_seconds", "fanhorn_flush_seconds"):
            buckets = [value for key, value in metrics.items() if key.startswith(name + "_bucket")]
            self.assertEqual(sorted(buckets), buckets)
            self.assertEqual(metrics[name + '_bucket{le="+Inf"}'], metrics[name + "_count"])

    def test_metrics_count(self):
        def value(name):
            return self.daemon.metrics().get(name, 0)

        names = ['fanhorn_connections{transport="sse"}', 'fanhorn_connections{transport="websocket"}',
                 'fanhorn_deliveries_total{transport="sse"}', 'fanhorn_deliveries_total{transport="websocket"}']
        before = {name: value(name) for name in names + ["fanhorn_published_total", "fanhorn_sent_bytes_total"]}
        stream, socket = self.sse(self.channel).opened(), self.ws(self.channel)
        self.wait_subscribers(self.channel, 2)
        self.fill(3)
        for _ in range(3):
            stream.next_event(), socket.next()
        after = eventually(lambda: (lambda m: m if m[names[2]] >= before[names[2]] + 3
                                    and m[names[3]] >= before[names[3]] + 3 else None)(self.daemon.metrics()))
        self.assertEqual(after["fanhorn_published_total"], before["fanhorn_published_total"] + 3)
        self.assertGreater(after["fanhorn_sent_bytes_total"], before["fanhorn_sent_bytes_total"] + 12)
        stream.close(), socket.close()
        eventually(lambda: value(names[0]) <= before[names[0]] and value(names[1]) <= before[names[1]],
                   "the connections' end in the metrics")


if __name__ == "__main__":
    unittest.main()
