// SPDX-License-Identifier: Apache-2.0
// The client with what the daemon itself makes: patches, filters, tokens, users.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { Daemon, load, sleep, suite, tokenOf, until } from "./harness.mjs";

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

function open(t, options = {}) {
    const client = new Fanhorn(`${daemon.public}/sub/`, { WebSocket: ws?.default, pollInterval: 200, ...options });
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
