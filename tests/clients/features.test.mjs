// SPDX-License-Identifier: Apache-2.0
// The client with what the daemon itself makes: patches, filters, tokens, users.
import assert from "node:assert/strict";
import { after, before } from "node:test";
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

test("wildcards need a WebSocket: without one they are refused, and nothing else is", async t => {
    const client = open(t, { transports: ["sse"] }), errors = [], got = [];
    client.subscribe("scores:*", { onerror: ({ status }) => errors.push(status) });
    client.subscribe("plain", { onmessage: ({ data }) => got.push(data) });
    await isOpen(client);
    await until(() => errors.length, "a refusal");
    assert.deepEqual(errors, [400]);
    await daemon.publish("plain", "x");
    await until(() => got.length, "the other channel");
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
