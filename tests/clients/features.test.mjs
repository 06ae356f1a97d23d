// SPDX-License-Identifier: Apache-2.0
// The client with what the daemon itself makes: patches, filters, tokens, users.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { FaultProxy } from "./fault_proxy.mjs";
import { Daemon, Proxy, load, sleep, suite, tokenOf, until } from "./harness.mjs";

const ws = await load("ws");
const test = suite(!ws && "npm's ws");
const kTransports = ["websocket", "sse", "longpoll", "poll"];
const kJson = "application/json";
let daemon, Fanhorn;

before(async () => {
    daemon = await Daemon.start();
    const text = await (await fetch(`${daemon.public}/fanhorn.mjs`)).text();
    ({ Fanhorn } = await import(`data:text/javascript,${encodeURIComponent(text)}`));
});
after(() => daemon.stop());

function open(t, { base = daemon.public, ...options } = {}) {
    const client = new Fanhorn(`${base}/sub/`, { WebSocket: ws?.default, pollInterval: 200, ...options });
    t.after(() => client.close());
    client.opened = 0;
    client.addEventListener("state", ({ state }) => { client.opened += state === "open"; });
    return client;
}

const isOpen = client => until(() => client.state === "open", () => `open: ${client.state}`);

for (const transport of kTransports)
    test(`states come as they were published, ${transport}`, async t => {
        const channel = `delta:${transport}`, client = open(t, { transports: [transport] }), got = [];
        client.subscribe(channel, { delta: true, onmessage: ({ data }) => got.push(data) });
        await isOpen(client);
        await sleep(100);
        const state = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`metric/${i}`, { value: i, unit: "ms" }]));
        const published = [];
        for (let round = 0; round < 20; ++round) {
            state[`metric/${round * 3}`].value = Math.random();
            state.list = Array.from({ length: round % 5 }, (_, i) => i);
            published.push(structuredClone(state));
            await daemon.publish(channel, JSON.stringify(state), {}, kJson);
            if (round % 4 === 0) // no state, and only for who is there
                await daemon.publish(channel, '{"typing":true}', { store: 0 }, kJson);
        }
        await until(() => got.filter(each => !each.typing).length === published.length, () => `${got.length} states`);
        assert.deepEqual(got.filter(each => !each.typing), published);
        assert.equal(client.opened, 1, "one connection, from first to last");
    });

for (const transport of kTransports)
    test(`a filter, ${transport}`, async t => {
        const channel = `filtered-${transport}`, client = open(t, { transports: [transport] }), got = [];
        client.subscribe(channel, { filter: "level>=3", onmessage: ({ data }) => got.push(data) });
        await isOpen(client);
        await sleep(100);
        for (let level = 0; level < 6; ++level)
            await daemon.publish(channel, `${level}`, { tags: `level=${level}` });
        await until(() => got.length === 3, () => got.join());
        assert.deepEqual(got, ["3", "4", "5"]);
    });

for (const transport of kTransports)
    test(`a token, publishing, who is there, ${transport}`, async t => {
        const channel = `room:${transport}`, got = [], joins = [];
        const alice = open(t, { transports: [transport], token: tokenOf("alice") });
        alice.subscribe(channel, { onmessage: ({ data }) => got.push(data), onjoin: ({ user }) => joins.push(user) });
        await isOpen(alice);
        const bob = open(t, { transports: ["websocket"], token: async () => tokenOf("bob") });
        bob.subscribe(channel, {});
        await isOpen(bob);
        const users = await until(async () => {
            const { users: all } = await bob.presence(channel);
            return all.length === (transport === "poll" ? 1 : 2) && all.map(({ user }) => user);
        }, "both there");
        assert.deepEqual(users, transport === "poll" ? ["bob"] : ["alice", "bob"]); // a short poll is not there
        if (transport === "websocket" || transport === "sse")
            await until(() => joins.includes("bob"), () => joins.join());
        await alice.publish(channel, { from: "alice" }, { echo: true });
        await until(() => got.length === 1, "her own message");
        assert.deepEqual(got, [{ from: "alice" }]);
        const stranger = open(t, { transports: [transport] }), errors = [];
        stranger.subscribe(channel, { onerror: error => errors.push(error.code) });
        await until(() => errors.length, "a refusal");
        assert.deepEqual(errors, ["unauthorized"]);
    });

test("wildcards: what comes later too, once to each, and again from where a lost connection was", async t => {
    const proxy = await Proxy.start(t, daemon.publicPort), client = open(t, { base: proxy.url });
    const all = [], deep = [], one = [];
    const wild = client.subscribe("scores:*", { onmessage: ({ channel, data }) => all.push(`${channel} ${data}`) });
    client.subscribe("scores:**", { onmessage: ({ data }) => deep.push(data) });
    client.subscribe("scores:1", { onmessage: ({ data }) => one.push(data) });
    await isOpen(client);
    await until(() => wild.position, "the start");
    for (const [channel, data] of [["scores:1", "a"], ["scores:2", "b"], ["scores:2:deep", "c"], ["scores:1", "d"]])
        await daemon.publish(channel, data);
    await until(() => deep.length === 4, () => deep.join());
    assert.deepEqual([all, deep, one], [["scores:1 a", "scores:2 b", "scores:1 d"], ["a", "b", "c", "d"], ["a", "d"]]);
    proxy.cut();
    for (const [channel, data] of [["scores:3", "e"], ["scores:1", "f"], ["scores:2:deep", "g"]])
        await daemon.publish(channel, data);
    proxy.restore();
    await until(() => deep.length === 7, () => deep.join());
    assert.deepEqual([all.slice(3), deep.slice(4), one.slice(2)], [["scores:3 e", "scores:1 f"], ["e", "f", "g"], ["f"]]);
});

test("a wildcard and one of its channels, from further back: both have all of it, in both orders", async t => {
    const before = await daemon.publish("scores:early", "before");
    for (let each = 0; each < 12; ++each)
        await daemon.publish(`scores:early:${each % 3}`, `${each}`);
    for (const names of [["scores:early:1", "scores:early:*"], ["scores:early:*", "scores:early:1"]])
        for (const pause of [0, 150]) {
            const client = open(t), got = {};
            for (const name of names) {
                client.subscribe(name, { since: before, onmessage: ({ data }) => (got[name] ||= []).push(data) });
                await sleep(pause);
            }
            await until(() => got["scores:early:*"]?.length >= 12 && got["scores:early:1"]?.length >= 4, () => JSON.stringify(got));
            await sleep(50);
            assert.deepEqual(got, { "scores:early:*": Array.from({ length: 12 }, (_, each) => `${each}`), "scores:early:1": ["1", "4", "7", "10"] });
        }
});

for (const [how, options] of Object.entries({ "": { transports: ["websocket"] }, " and rungs that change": { climb: 300 } }))
    test(`wildcards over connections that are cut at random${how}: each handler gets each message once`, async t => {
        const proxy = await FaultProxy.start(t, daemon.publicPort), client = open(t, { base: proxy.url, ...options });
        const prefix = `scores:cut${how.length}`, names = [`${prefix}:*`, `${prefix}:1`, `${prefix}:**`, `${prefix}:2`], got = {}, wanted = [];
        const all = names.map(name => client.subscribe(name, {
            onmessage: ({ channel, data }) => (got[name] ||= []).push([channel, +data]), ongap: gap => assert.fail(JSON.stringify(gap)),
        }));
        await until(() => all.every(each => each.position), "positions");
        proxy.cutAtRandom(50, 700);
        for (let each = 0; each < 160; ++each) {
            const channel = `${prefix}:${Math.floor(Math.random() * 4)}`;
            wanted.push([channel, each]);
            await daemon.publish(channel, `${each}`);
            await sleep(Math.random() * 25);
        }
        proxy.restore();
        const last = [0, 1, 2, 3].map(each => [`${prefix}:${each}`, 1000 + each]);
        for (const [channel, data] of last)
            await daemon.publish(channel, `${data}`);
        for (const name of names)
            for (const channel of last.map(([each]) => each).filter(each => name.includes("*") || each === name)) {
                const of = list => (list || []).filter(each => each[0] === channel).map(each => each[1]);
                const everything = of([...wanted, ...last]);
                await until(() => of(got[name]).length >= everything.length, () => `${name}: ${of(got[name])}`, 40_000); // it backs off
                assert.deepEqual(of(got[name]), everything, `${channel} for ${name}`);
            }
        assert.ok(client.opened > 1, `${client.opened} connections`);
    });

test("wildcards wait while there is no WebSocket, and go on from where they were", async t => {
    const proxy = await FaultProxy.start(t, daemon.publicPort), client = open(t, { base: proxy.url, climb: 400 });
    const all = [], one = [], errors = [];
    const wild = client.subscribe("scores:*", { onmessage: ({ data }) => all.push(data), onerror: ({ code }) => errors.push(code) });
    client.subscribe("scores:plain", { onmessage: ({ data }) => one.push(data) });
    await until(() => wild.position, "the start");
    proxy.upgrades = "refuse";
    proxy.cut();
    await until(() => client.transport && client.transport !== "websocket", () => client.state);
    await daemon.publish("scores:plain", "x");
    await daemon.publish("scores:other", "y");
    await until(() => one.length, "the other channel");
    assert.deepEqual([all, errors], [[], []]);
    proxy.upgrades = "pass";
    await until(() => all.length === 2, () => `${client.transport} ${all}`);
    assert.deepEqual([all, one, errors, client.transport], [["x", "y"], ["x"], [], "websocket"]);
});

test("wildcards alone: a WebSocket is tried until there is one", async t => {
    const proxy = await FaultProxy.start(t, daemon.publicPort), client = open(t, { base: proxy.url }), got = [], errors = [];
    proxy.upgrades = "refuse";
    const wild = client.subscribe("scores:*", { onmessage: ({ data }) => got.push(data), onerror: ({ code }) => errors.push(code) });
    await until(() => proxy.heads.filter(each => each.startsWith("UPGRADE")).length > 1, () => proxy.heads.join());
    assert.ok(!proxy.heads.some(each => each.startsWith("GET")), proxy.heads.join());
    assert.deepEqual(errors, []);
    proxy.upgrades = "pass";
    await until(() => wild.position, "the start");
    await daemon.publish("scores:alone", "x");
    await until(() => got.length, "a message");
});

for (const transport of kTransports)
    test(`what is sent to the user, ${transport}`, async t => {
        const user = `user-${transport}`, channel = `room:user-${transport}`, got = [];
        const proxy = await Proxy.start(t, daemon.publicPort), client = open(t, { base: proxy.url, transports: [transport], token: tokenOf(user) });
        const send = body => fetch(`${daemon.private}/users/${user}`, { method: "POST", body });
        client.addEventListener("user", ({ event, data }) => got.push(event ? [event, data] : data));
        const subscription = client.subscribe(channel, {});
        await until(() => subscription.position, "the start");
        await send("one");
        await until(() => got.length === 1, () => JSON.stringify(got));
        await daemon.publish(channel, "moves the position");
        proxy.cut();
        await send("two");
        await send("three");
        proxy.restore();
        await until(() => got.length === 3, () => JSON.stringify(got));
        if (transport === "websocket" || transport === "sse") { // polls do not see what is not stored
            await isOpen(client);
            const position = await daemon.publish(channel, "read"), other = open(t, { transports: ["websocket"], token: tokenOf(user) });
            other.subscribe(channel, {});
            await isOpen(other);
            await other.read(channel, position);
            await until(() => got.length === 4, () => JSON.stringify(got));
            assert.deepEqual(got.pop(), ["read", { channel, position }]);
        }
        assert.deepEqual(got, ["one", "two", "three"]);
    });

for (const transport of kTransports)
    test(`a read marker, ${transport}`, async t => {
        const channel = `room:read-${transport}`, first = await daemon.publish(channel, "one"), last = await daemon.publish(channel, "two");
        const clients = [transport, "websocket"].map(each => open(t, { transports: [each], token: tokenOf(`reader-${transport}`) }));
        for (const client of clients) {
            client.subscribe(channel, {});
            await isOpen(client);
        }
        assert.deepEqual(await clients[0].read(channel), { channel, position: null });
        for (const [client, at, wanted] of [[0, last, last], [1, first, last], [1, undefined, last], [0, undefined, last]])
            assert.deepEqual(await clients[client].read(channel, at), { channel, position: wanted });
        await assert.rejects(clients[0].read(channel, `${last}0000`), { code: "bad_position" });
        await assert.rejects(open(t, { transports: [transport] }).read("open"), { code: "unauthorized" });
    });
