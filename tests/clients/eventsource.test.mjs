// SPDX-License-Identifier: Apache-2.0
// npm's `eventsource`, which does what a browser's does.
import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before } from "node:test";
import { Daemon, Proxy, kId, load, suite, texts, until } from "./harness.mjs";

const npm = await load("eventsource");
const test = suite(npm ? null : "npm's eventsource");
let daemon;

before(async () => { daemon = npm && await Daemon.start(); });
after(() => daemon?.stop());

// A connected source; `events` fills up with {type, id, data} of the types asked for.
async function open(t, path, { base = daemon.public, types = [] } = {}) {
    const source = new npm.EventSource(`${base}/sub/${path}`);
    t.after(() => source.close());
    source.events = [];
    for (const type of ["message", ...types])
        source.addEventListener(type, ({ data, lastEventId }) => source.events.push({ type, id: lastEventId, data }));
    await once(source, "open");
    return source;
}

const events = (source, count) => until(() => source.events.length >= count && source.events,
                                        () => `${count} events: ${JSON.stringify(source.events)}`);

test("messages come with the publisher's id, type and text", async t => {
    const source = await open(t, "es:1", { types: ["msg"] });
    const ids = [await daemon.publish("es:1", "grüße"), await daemon.publish("es:1", "typed", { event: "msg" }),
                 await daemon.publish("es:1", " a\nb\n\nc\n"), await daemon.publish("es:1", "")];
    assert.deepEqual(await events(source, 4), [
        { type: "message", id: ids[0], data: "grüße" }, { type: "msg", id: ids[1], data: "typed" },
        { type: "message", id: ids[2], data: " a\nb\n\nc\n" }, { type: "message", id: ids[3], data: "" },
    ]);
});

test("nothing in a payload can forge a field", async t => {
    const source = await open(t, "es:2", { types: ["forged"] });
    const payload = "x\n\nid: forged.1\nevent: forged\ndata: y\r\rretry: 1";
    const id = await daemon.publish("es:2", payload);
    assert.deepEqual(await events(source, 1), [{ type: "message", id, data: payload.replaceAll("\r", "\n") }]);
});

test("binary payloads are base64 with a type of their own", async t => {
    const source = await open(t, "es:3", { types: ["binary"] });
    const id = await daemon.publish("es:3", Buffer.from([255, 0, 1]));
    assert.deepEqual(await events(source, 1), [{ type: "binary", id, data: "/wAB" }]);
});

test("several channels: envelopes in one order, from earliest", async t => {
    const ids = [];
    for (const channel of ["es:a", "es:b", "es:a"])
        ids.push(await daemon.publish(channel, channel));
    const source = await open(t, "es:a,es:b?since=earliest");
    const received = (await events(source, 3)).map(each => JSON.parse(each.data));
    assert.deepEqual(received.map(each => [each.channel, each.id, each.data]),
                     [["es:a", ids[0], "es:a"], ["es:b", ids[1], "es:b"], ["es:a", ids[2], "es:a"]]);
});

test("cut: it comes back by itself, misses nothing, and is told a gap", async t => {
    const proxy = await Proxy.start(t, daemon.publicPort);
    // This package, unlike browsers, forgets the position of blocks without data: an idle one comes
    // back with what its URL says.
    const position = await daemon.publish("es:5", "before");
    const [kept, idle, small] = await Promise.all(["es:4", `es:5?since=${position}`, "small:es"].map(
        path => open(t, path, { base: proxy.url, types: ["gap"] })));
    const ids = await daemon.publishAll("es:4", texts("before", 2));
    const [last] = await daemon.publishAll("small:es", ["before"]);
    await Promise.all([events(kept, 2), events(small, 1)]);

    proxy.cut();
    ids.push(...await daemon.publishAll("es:4", texts("away", 3)));
    const missed = await daemon.publishAll("es:5", ["first"]);
    const trimmed = await daemon.publishAll("small:es", texts("away", 8));
    proxy.restore();
    await Promise.all([events(kept, 5), events(idle, 1), events(small, 7)]);
    ids.push(...await daemon.publishAll("es:4", ["live"]));

    assert.deepEqual((await events(kept, 6)).map(each => each.id), ids);
    assert.deepEqual(idle.events.map(each => each.id), missed);
    const [, gap, ...rest] = small.events;
    assert.equal(gap.type, "gap");
    assert.deepEqual(JSON.parse(gap.data), { channel: "small:es", after: last, next: trimmed[3], why: "trimmed" });
    assert.deepEqual(rest.map(each => each.id), trimmed.slice(3));
    assert.ok(proxy.heads.some(head => head.toLowerCase().includes(`last-event-id: ${ids[1]}`)), "Last-Event-ID");
});

test("an idle stream is told its position, which dispatches nothing", async t => {
    const proxy = await Proxy.start(t, daemon.publicPort);
    const source = await open(t, "quick:es", { base: proxy.url });
    await until(() => (proxy.down.match(/^id: .+\n\n/gm) ?? []).length >= 2, () => proxy.down);
    assert.deepEqual(source.events, []);
    for (const [, id] of proxy.down.matchAll(/^id: (.+)\n\n/gm))
        assert.match(id, kId);
});
