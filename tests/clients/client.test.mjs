// SPDX-License-Identifier: Apache-2.0
// The client in Node: the file that the daemon serves, against the daemon and against a relay that
// says what the test wants.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { get } from "node:http";
import { mkdtempSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe } from "node:test";
import vm from "node:vm";
import { gunzipSync, gzipSync } from "node:zlib";
import { FakeRelay } from "./fake_relay.mjs";
import { Daemon, Proxy, kId, kRoot, load, sleep, suite, texts, until } from "./harness.mjs";

const ws = await load("ws");
const test = suite(!ws && "npm's ws");
const kMostBytes = 6144;
const kTransports = ["websocket", "sse", "longpoll", "poll"];
let daemon, Fanhorn, applyPatch;

before(async () => {
    daemon = await Daemon.start();
    const text = await (await fetch(`${daemon.public}/fanhorn.mjs`)).text();
    ({ Fanhorn, applyPatch } = await import(`data:text/javascript,${encodeURIComponent(text)}`));
});
after(() => daemon.stop());

// A client that is closed when the test ends, with the WebSocket of npm's ws.
function open(t, url = `${daemon.public}/sub/`, options = {}) {
    const client = new Fanhorn(url, { WebSocket: ws?.default, pollInterval: 200, ...options });
    t.after(() => client.close());
    client.states = [];
    client.addEventListener("state", ({ state, transport, error }) => client.states.push({ state, transport, error }));
    return client;
}

// What its handlers got: messages' data, and gaps, joins, ends and errors as they are.
function collect(client, channel, options = {}) {
    const got = [];
    const subscription = client.subscribe(channel, {
        onmessage: ({ data }) => got.push(data), ongap: gap => got.push({ gap }), onend: end => got.push({ end }),
        onerror: ({ code, status }) => got.push({ error: code || status }), onjoin: join => got.push({ join }), ...options,
    });
    return { got, subscription };
}

const isOpen = client => until(() => client.state === "open", () => `open: ${client.state} ${JSON.stringify(client.states)}`);
const holds = (got, count) => until(() => got.length >= count && got, () => `${count}: ${JSON.stringify(got)}`);

// Fetch would undo the compression.
function raw(path, headers = {}) {
    return new Promise(done => get(`${daemon.public}${path}`, { headers }, async answer => {
        const pieces = [];
        for await (const piece of answer)
            pieces.push(piece);
        done({ status: answer.statusCode, headers: answer.headers, body: Buffer.concat(pieces) });
    }));
}

describe("what the daemon serves", () => {
    for (const path of ["/fanhorn.js", "/fanhorn.mjs"])
        test(`${path} is small, and may be kept`, async () => {
            const plain = await raw(path), packed = await raw(path, { "Accept-Encoding": "br, gzip" });
            const size = gzipSync(plain.body, { level: 9 }).length;
            console.log(`${path}: ${plain.body.length} bytes, ${size} gzipped`);
            assert.ok(size < kMostBytes, `${size} bytes`);
            assert.ok(packed.body.length < kMostBytes);
            assert.equal(packed.headers["content-encoding"], "gzip");
            assert.deepEqual(gunzipSync(packed.body), plain.body);
            assert.match(plain.headers["content-type"], /^text\/javascript/);
            assert.equal(plain.headers["cache-control"], "public, max-age=3600");
            assert.notEqual(plain.headers.etag, packed.headers.etag);
            const again = await raw(path, { "If-None-Match": `"other", ${plain.headers.etag}` });
            assert.equal(again.status, 304);
            assert.equal(again.body.length, 0);
        });

    test("the classic script sets one global", async () => {
        const { body } = await raw("/fanhorn.js"), context = vm.createContext({ EventTarget, AbortController });
        const before = Object.keys(context);
        vm.runInContext(body.toString(), context);
        assert.deepEqual(Object.keys(context).filter(each => !before.includes(each)), ["Fanhorn"]);
        assert.equal(typeof context.Fanhorn.prototype.subscribe, "function");
    });

    test("the npm package: its files, its import by name", t => {
        const folder = mkdtempSync(join(tmpdir(), "fanhorn-npm-")), built = join(kRoot, "build/client");
        t.after(() => rmSync(folder, { recursive: true }));
        const [{ files, name }] = JSON.parse(execFileSync("npm", ["pack", "--dry-run", "--json", "--offline"], { cwd: built }));
        assert.equal(name, "fanhorn");
        assert.deepEqual(files.map(each => each.path).sort(), ["LICENSE", "README.md", "fanhorn.d.ts", "fanhorn.global.js",
                                                               "fanhorn.js", "fanhorn.min.mjs", "package.json"]);
        mkdirSync(join(folder, "node_modules"));
        symlinkSync(built, join(folder, "node_modules/fanhorn"));
        writeFileSync(join(folder, "main.mjs"), `import { Fanhorn } from "fanhorn"; import Same, { applyPatch } from "fanhorn";
            import { Fanhorn as Small } from "fanhorn/min"; import "fanhorn/global";
            console.log(Fanhorn === Same, typeof applyPatch, typeof Small, typeof globalThis.Fanhorn);`);
        assert.equal(execFileSync("node", [join(folder, "main.mjs")]).toString().trim(), "true function function function");
        const { version } = JSON.parse(readFileSync(join(built, "package.json")));
        assert.match(readFileSync(join(kRoot, "CMakeLists.txt"), "utf8"), new RegExp(`project\\(fanhorn VERSION ${version}\\b`));
    });
});

describe("patches", () => {
    const kKeys = ["a", "b/c", "d~e", "", "0", "__proto__", "ü", "~1"];
    const pick = list => list[Math.floor(Math.random() * list.length)];

    function randomValue(depth) {
        const kind = depth > 3 ? 0 : Math.random();
        if (kind < 0.4)
            return pick([null, true, 0, -1.5, "", "text", "ü"]);
        if (kind < 0.7)
            return Array.from({ length: Math.floor(Math.random() * 4) }, () => randomValue(depth + 1));
        return JSON.parse(`{${kKeys.filter(() => Math.random() < 0.4).map(key => `${JSON.stringify(key)}:${JSON.stringify(randomValue(depth + 1))}`)}}`);
    }

    const escaped = key => String(key).replaceAll("~", "~0").replaceAll("/", "~1");
    const isContainer = value => value !== null && typeof value === "object";

    // Changes a document by text, and says which operation that was.
    function randomStep(document) {
        let at = document, path = "";
        for (;;) {
            const keys = Object.keys(at), inner = keys.filter(key => isContainer(Object.getOwnPropertyDescriptor(at, key).value));
            if (inner.length && Math.random() < 0.6) {
                const key = pick(inner);
                path += `/${escaped(key)}`;
                at = Object.getOwnPropertyDescriptor(at, key).value;
                continue;
            }
            const value = randomValue(2), define = key => Object.defineProperty(at, key, { value: structuredClone(value), enumerable: true, configurable: true, writable: true });
            const op = keys.length ? pick(["add", "replace", "remove"]) : "add";
            if (Array.isArray(at)) {
                const key = Math.floor(Math.random() * (at.length + (op === "add")));
                op === "add" ? at.splice(key, 0, structuredClone(value)) : op === "remove" ? at.splice(key, 1) : define(key);
                return { op, path: `${path}/${op === "add" && key === at.length - 1 ? pick(["-", key]) : key}`, ...op === "remove" ? {} : { value } };
            }
            const key = op === "add" ? pick(kKeys) : pick(keys);
            op === "remove" ? delete at[key] : define(key);
            return { op, path: `${path}/${escaped(key)}`, ...op === "remove" ? {} : { value } };
        }
    }

    test("give what was published, and leave the old document alone", () => {
        for (let round = 0; round < 3000; ++round) {
            const first = { root: randomValue(0), list: [] }, wanted = structuredClone(first), before = JSON.stringify(first);
            const patch = Array.from({ length: 1 + round % 5 }, () => structuredClone(randomStep(wanted)));
            assert.equal(JSON.stringify(applyPatch(first, patch)), JSON.stringify(wanted), JSON.stringify({ before, patch }));
            assert.equal(JSON.stringify(first), before);
        }
        assert.equal({}.polluted, undefined);
    });

    test("of the whole document, and those that do not fit", () => {
        assert.deepEqual(applyPatch({ a: 1 }, [{ op: "replace", path: "", value: [1] }]), [1]);
        for (const step of [{ op: "remove", path: "/b" }, { op: "replace", path: "/b", value: 1 }, { op: "add", path: "/b/c", value: 1 },
                            { op: "add", path: "/__proto__/polluted", value: 1 }, { op: "replace", path: "/a/constructor", value: 1 }])
            assert.throws(() => applyPatch({ a: {} }, [step]), JSON.stringify(step));
    });

    test("arrive as whole documents; one of another state has the relay send it whole again", async t => {
        const relay = await FakeRelay.start(t, { WebSocketServer: ws.WebSocketServer });
        const client = open(t, relay.url), { got } = collect(client, "dash", { delta: true });
        const [first] = await until(() => relay.connections[0]?.commands.length && relay.connections, "a subscribe");
        assert.deepEqual(first.commands[0].subscribe, { channel: "dash", since: "latest", delta: "json-patch" });
        first.tell({ channel: "dash", id: "e.2", n: 2, data: { cpu: 1, list: [1] } });
        first.tell({ channel: "dash", id: "e.3", n: 3, base: "e.2", patch: [{ op: "replace", path: "/cpu", value: 2 }, { op: "add", path: "/list/-", value: 2 }] });
        await holds(got, 2);
        first.tell({ channel: "dash", id: "e.9", n: 9, base: "e.8", patch: [] });
        const second = await until(() => relay.connections[1], "another connection");
        const { subscribe } = await until(() => second.commands[0], "a subscribe");
        assert.equal(subscribe.since, "e.3");
        second.tell({ channel: "dash", id: "e.9", n: 9, data: { cpu: 9 } });
        assert.deepEqual(await holds(got, 3), [{ cpu: 1, list: [1] }, { cpu: 2, list: [1, 2] }, { cpu: 9 }]);
    });
});

describe("with the daemon", { concurrency: 8 }, () => {
    for (const transport of kTransports) {
        const only = { transports: [transport] };

        test(`${transport}: several channels and handlers, publishing, history, an end`, async t => {
            const client = open(t, undefined, only), name = `several:${transport}`;
            const one = collect(client, `${name}:1`), two = collect(client, `${name}:2`);
            await isOpen(client);
            assert.equal(client.transport, transport);
            await until(() => one.subscription.position, "a position");
            const ids = await daemon.publishAll(`${name}:1`, ["a", "b"]);
            await holds(one.got, 2);
            const late = collect(client, `${name}:1`, { since: "-1" }), third = collect(client, `${name}:3`, { since: "earliest" });
            await until(() => third.subscription.position, "a position");
            const { id } = await client.publish(`${name}:3`, { text: "ü" }, { event: "msg" });
            assert.match(id, kId);
            await daemon.publish(`${name}:2`, "c");
            await daemon.publish(`${name}:1`, Buffer.from([0, 255]), {}, "application/octet-stream");
            assert.deepEqual(await holds(one.got, 3), ["a", "b", new Uint8Array([0, 255])]);
            assert.deepEqual(await holds(late.got, 2), ["b", new Uint8Array([0, 255])]);
            assert.deepEqual(await holds(two.got, 1), ["c"]);
            assert.deepEqual(await holds(third.got, 1), [{ text: "ü" }]);
            const { messages } = await client.history(`${name}:1`, { since: ids[0] });
            assert.deepEqual(messages.map(each => each.id).slice(0, 1), [ids[1]]);
            two.subscription.unsubscribe();
            await sleep(200);
            await daemon.publish(`${name}:2`, "not heard");
            await fetch(`${daemon.private}/pub/${name}:3`, { method: "DELETE" });
            if (!transport.endsWith("poll")) // one that is not held at that moment does not see it
                assert.deepEqual((await holds(third.got, 2))[1], { end: { code: "deleted" } });
            await daemon.publish(`${name}:1`, "last");
            assert.equal((await holds(one.got, 4))[3], "last");
            assert.deepEqual(two.got, ["c"]);
            assert.equal(client.state, "open");
        });

        test(`${transport}: a channel that is refused does not cost the others theirs`, async t => {
            const client = open(t, undefined, only), good = collect(client, `good:${transport}`);
            const bad = collect(client, "denied:1"), other = collect(client, `good:${transport}:2`);
            await until(() => good.subscription.position && other.subscription.position, "positions");
            await daemon.publish(`good:${transport}`, "heard");
            assert.deepEqual(await holds(good.got, 1), ["heard"]);
            assert.equal((await holds(bad.got, 1)).length, 1);
            assert.ok(["forbidden", 403].includes(bad.got[0].error), JSON.stringify(bad.got));
        });

        test(`${transport}: a gap is told, then the rest comes`, async t => {
            const proxy = await Proxy.start(t, daemon.publicPort), name = `small:${transport}`;
            const client = open(t, `${proxy.url}/sub/`, only), { got, subscription } = collect(client, name);
            await until(() => subscription.position, "a position");
            await daemon.publish(name, "first");
            await holds(got, 1);
            proxy.cut();
            const ids = await daemon.publishAll(name, texts("away", 8));
            proxy.restore();
            await holds(got, 7);
            assert.deepEqual([got[0], ...got.slice(2)], ["first", ...texts("away", 8).slice(3)]);
            assert.equal(got[1].gap.why, "trimmed");
            assert.equal(got[1].gap.next, ids[3]);
        });

        test(`${transport}: an earlier client's position`, async t => {
            const name = `resumed:${transport}`, first = open(t, undefined, only), { subscription, got } = collect(first, name);
            await until(() => subscription.position, "a position");
            await daemon.publish(name, "seen");
            await holds(got, 1);
            first.close();
            assert.equal(first.state, "closed");
            await daemon.publishAll(name, ["missed", "too"]);
            const second = collect(open(t, undefined, only), name, { since: subscription.position });
            assert.deepEqual(await holds(second.got, 2), ["missed", "too"]);
        });

        test(`${transport}: 300 channels`, async t => {
            const client = open(t, undefined, only), names = Array.from({ length: 300 }, (_, each) => `many:${transport}:${each}`);
            const all = names.map(name => collect(client, name));
            await until(() => all.every(each => each.subscription.position), "positions");
            await Promise.all(names.map(name => daemon.publish(name, name)));
            for (const [at, { got }] of all.entries())
                assert.deepEqual(await holds(got, 1), [names[at]]);
        });
    }

    test("handlers: one that throws, one that takes its time", async t => {
        const errors = [], { error } = console;
        console.error = each => errors.push(each.message);
        t.after(() => { console.error = error; });
        const client = open(t), got = [];
        const subscription = client.subscribe("handled", {
            onmessage: async ({ data }) => {
                if (data === "thrown")
                    throw new Error("of the handler");
                const before = subscription.position;
                await sleep(60);
                got.push([data, before === subscription.position]);
            },
        });
        await until(() => subscription.position, "a position");
        const ids = await daemon.publishAll("handled", ["one", "thrown", "two", "three"]);
        assert.deepEqual(await holds(got, 3), [["one", true], ["two", true], ["three", true]]);
        await until(() => subscription.position === ids[3], "the position behind the handler");
        assert.deepEqual(errors, ["of the handler"]);
        assert.equal(client.states.filter(each => each.state === "open").length, 1);
    });

    test("echo: false, and unstored messages, between two clients", async t => {
        const clients = [open(t), open(t, undefined, { transports: ["sse"] })], all = clients.map(each => collect(each, "echoes"));
        await until(() => all.every(each => each.subscription.position), "positions");
        await clients[0].publish("echoes", "of a WebSocket", { echo: false });
        await clients[1].publish("echoes", "of a stream", { echo: false });
        await clients[1].publish("echoes", "typing", { store: false });
        assert.deepEqual(await holds(all[0].got, 2), ["of a stream", "typing"]);
        assert.deepEqual(await holds(all[1].got, 2), ["of a WebSocket", "typing"]);
        const { messages } = await clients[0].history("echoes");
        assert.deepEqual(messages.map(each => each.data), ["of a WebSocket", "of a stream"]);
        await assert.rejects(clients[0].publish("closed:1", "x"), { code: "forbidden" });
        await assert.rejects(clients[1].publish("closed:1", "x"), { code: "forbidden", status: 403 });
    });

    test("without a WebSocket in Node, a stream", async t => {
        const client = new Fanhorn(`${daemon.public}/sub/`, {});
        t.after(() => client.close());
        collect(client, "streamed");
        await isOpen(client);
        assert.equal(client.transport, globalThis.WebSocket ? "websocket" : "sse");
    });

    test("idle without subscriptions", async t => {
        const client = open(t), { subscription } = collect(client, "idle");
        await isOpen(client);
        subscription.unsubscribe();
        await until(() => client.state === "idle", "idle");
        const again = collect(client, "idle");
        await isOpen(client);
        await until(() => again.subscription.position, "a position");
    });
});

const start = (t, options) => FakeRelay.start(t, { WebSocketServer: ws.WebSocketServer, ...options });
const connected = (relay, number = 0) => until(() => relay.connections[number]?.commands.length && relay.connections[number], `connection ${number}`);
const stream = (request, response) => {
    if (!request.url.includes("transport=sse"))
        return response.writeHead(404).end();
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    response.write("retry: 1500\n\n: fanhorn\nid: e.1\n\n");
};
const jwt = expiresIn => `x.${Buffer.from(JSON.stringify({ exp: Math.floor(Date.now() / 1000) + expiresIn })).toString("base64url")}.x`;


describe("with a relay that says what the test wants", { concurrency: 8 }, () => {
    test("no subprotocol: the next rung, at once", async t => {
        const relay = await start(t, { protocol: false, answer: stream }), client = open(t, relay.url), states = [];
        client.addEventListener("state", ({ state }) => states.push(state));
        collect(client, "a");
        await isOpen(client);
        assert.equal(client.transport, "sse");
        assert.ok(!states.includes("waiting"), `${states}`);
    });

    test("wildcards, order for each subscription, doubles", async t => {
        const relay = await start(t, {}), client = open(t, relay.url);
        const all = collect(client, "scores:*"), deep = collect(client, "scores:**"), one = collect(client, "scores:1");
        const connection = await connected(relay);
        await until(() => connection.commands.length === 3, "3 subscribes");
        for (const [id, channel] of [["e.2", "scores:1"], ["e.3", "scores:1:x"], ["e.3", "scores:1:x"], ["e.2", "scores:1"], ["e.10", "scores:2"]])
            connection.tell({ channel, id, data: `${id} ${channel}` });
        assert.deepEqual(await holds(deep.got, 3), ["e.2 scores:1", "e.3 scores:1:x", "e.10 scores:2"]);
        assert.deepEqual(await holds(all.got, 2), ["e.2 scores:1", "e.10 scores:2"]);
        assert.deepEqual(one.got, ["e.2 scores:1"]);
        connection.tell({ position: "e.20" });
        await until(() => one.subscription.position === "e.20", "the connection's position");
    });

    test("one from further back: what was on its way for the first subscribe is not taken for the second", async t => {
        const relay = await start(t, { onCommand: () => true }), client = open(t, relay.url);
        const first = collect(client, "a", { since: "e.1" }), connection = await connected(relay);
        const command = number => until(() => connection.commands[number], `command ${number}`);
        const second = collect(client, "a", { since: "earliest" });
        const [{ unsubscribe }, { subscribe }] = [await command(1), await command(2)];
        assert.deepEqual([unsubscribe, subscribe], [{ channel: "a" }, { channel: "a", since: "earliest" }]);
        connection.tell({ reply: 1, ok: { channel: "a", position: "e.1" } });
        connection.tell({ channel: "a", id: "e.2", data: "of the first" });
        connection.tell({ channel: "a", caught_up: "e.2" });
        connection.tell({ reply: 2, ok: {} });
        connection.tell({ reply: 3, ok: { channel: "a", position: "e.0" } });
        connection.tell({ channel: "a", id: "e.1", data: "one" });
        connection.tell({ channel: "a", id: "e.2", data: "two" });
        connection.tell({ channel: "a", caught_up: "e.2" });
        assert.deepEqual(await holds(second.got, 2), ["one", "two"]);
        assert.deepEqual(first.got, ["two"]);
    });

    test("what another subscription brings ahead of a wildcard's replay, or live out of order, is not lost", async t => {
        const relay = await start(t, { onCommand: () => true }), client = open(t, relay.url);
        const one = collect(client, "chat:1", { since: "e.1" }), all = collect(client, "chat:*", { since: "e.0" });
        const connection = await connected(relay), tell = (channel, ...seqs) => seqs.forEach(seq =>
            connection.tell({ channel, id: `e.${seq}`, data: `${channel} ${seq}` }));
        await until(() => connection.commands.length === 2, "2 subscribes");
        connection.tell({ reply: 1, ok: { channel: "chat:1", position: "e.1" } });
        tell("chat:1", 2, 5, 8);
        connection.tell({ channel: "chat:1", caught_up: "e.8" });
        tell("chat:1", 9);
        connection.tell({ reply: 2, ok: { channel: "chat:*", position: "e.0" } });
        connection.tell({ channel: "chat:3", gap: { after: "e.0", next: "e.4", why: "trimmed" } });
        tell("chat:1", 1);
        tell("chat:2", 3, 6);
        tell("chat:3", 4);
        connection.tell({ channel: "chat:*", caught_up: "e.9" });
        assert.deepEqual((await holds(all.got, 9)).map(each => each.gap?.next || each), ["chat:1 1", "chat:1 2", "chat:2 3", "e.4", "chat:3 4",
            "chat:1 5", "chat:2 6", "chat:1 8", "chat:1 9"]);
        assert.deepEqual(one.got, ["chat:1 2", "chat:1 5", "chat:1 8", "chat:1 9"]);
        tell("chat:1", 12);
        tell("chat:2", 11);
        await holds(all.got, 11);
        assert.deepEqual(all.got.slice(9), ["chat:1 12", "chat:2 11"]);
        assert.equal(one.subscription.position, "e.12");
        assert.equal(all.subscription.position, "e.9", "what one channel brings says nothing of the others");
        connection.tell({ position: "e.11" });
        await until(() => all.subscription.position === "e.11", "the connection's position");

        connection.socket.terminate();
        const next = await until(() => relay.connections[1]?.commands.length === 2 && relay.connections[1], "another connection");
        assert.deepEqual(next.commands.map(each => each.subscribe.since), ["e.12", "e.11"]);
        next.tell({ reply: 1, ok: { channel: "chat:1", position: "e.12" } });
        next.tell({ channel: "chat:1", id: "e.14", data: "chat:1 14" });
        next.tell({ channel: "chat:1", caught_up: "e.14" });
        next.tell({ reply: 2, ok: { channel: "chat:*", position: "e.11" } });
        for (const [channel, seq] of [["chat:1", 12], ["chat:2", 13]])
            next.tell({ channel, id: `e.${seq}`, data: `${channel} ${seq}` });
        next.tell({ channel: "chat:*", caught_up: "e.14" });
        await holds(all.got, 13);
        assert.deepEqual(all.got.slice(11), ["chat:2 13", "chat:1 14"]);
        assert.deepEqual(one.got.slice(4), ["chat:1 12", "chat:1 14"]);
    });

    test("one that begins further back has those begin again that a wildcard joins it with, and no others", async t => {
        const relay = await start(t, {}), client = open(t, relay.url);
        const [one, other] = ["chat:1", "chat:2"].map(name => collect(client, name).subscription);
        const connection = await connected(relay), tail = () => connection.commands.slice(2).map(({ id, ...each }) => each);
        await until(() => one.position && other.position, "positions");
        const wild = collect(client, "chat:*", { since: "e.0" }).subscription;
        await until(() => connection.commands.length === 7, "both again");
        assert.deepEqual(tail(), [{ unsubscribe: { channel: "chat:1" } }, { unsubscribe: { channel: "chat:2" } },
            ...[["chat:1", "e.1"], ["chat:2", "e.1"], ["chat:*", "e.0"]].map(([channel, since]) => ({ subscribe: { channel, since } }))]);
        await until(() => wild.position === "e.1", "a position");
        collect(client, "chat:3", { since: "e.0" });
        await until(() => connection.commands.length === 10, "the wildcard again");
        assert.deepEqual(tail().slice(5), [{ unsubscribe: { channel: "chat:*" } },
            { subscribe: { channel: "chat:*", since: "e.1" } }, { subscribe: { channel: "chat:3", since: "e.0" } }]);
    });

    test("the user's own messages: in order, once, from their position again", async t => {
        const relay = await start(t, {}), client = open(t, relay.url, { token: "t" }), got = [];
        client.addEventListener("user", ({ channel, id, event, data, gap }) => got.push(gap || [channel, id, event, data]));
        collect(client, "a");
        const everything = collect(client, "**"), connection = await connected(relay), channel = "$user:x:y";
        await until(() => connection.commands.length === 2 && everything.subscription.position, "2 subscribes");
        assert.match(connection.url, /[?&]since=latest/);
        connection.tell({ channel, caught_up: "e.1" });
        for (const seq of [2, 4, 4, 3])
            connection.tell({ channel, id: `e.${seq}`, event: "note", data: seq });
        connection.tell({ position: "e.6" });
        connection.tell({ channel, id: "e.7", event: "read", data: { channel: "a", position: "e.5" } });
        await until(() => got.length === 3, () => JSON.stringify(got));
        assert.deepEqual(got, [[channel, "e.2", "note", 2], [channel, "e.4", "note", 4], [channel, "e.7", "read", { channel: "a", position: "e.5" }]]);
        connection.socket.terminate();
        const next = await connected(relay, 1);
        assert.match(next.url, /[?&]since=e.6/);
        next.tell({ channel, id: "e.7", event: "read", data: {} });
        next.tell({ channel, gap: { after: "e.7", next: "e.9", why: "trimmed" } });
        next.tell({ channel, id: "e.9", data: 9 });
        await until(() => got.length === 5, () => JSON.stringify(got));
        assert.deepEqual(got.slice(3), [{ after: "e.7", next: "e.9", why: "trimmed" }, [channel, "e.9", undefined, 9]]);
        assert.deepEqual(everything.got, []);
    });

    test("joins and leaves; what is retained stands outside the order", async t => {
        const relay = await start(t, {}), client = open(t, relay.url), { got, subscription } = collect(client, "room");
        const connection = await connected(relay);
        connection.tell({ channel: "room", join: { user: "alice", info: { age: 5 } } });
        connection.tell({ channel: "room", id: "e.0", data: "kept", retained: true });
        connection.tell({ channel: "room", id: "e.2", data: "live" });
        assert.deepEqual(await holds(got, 3), [{ join: { user: "alice", info: { age: 5 } } }, "kept", "live"]);
        assert.equal(subscription.position, "e.2");
    });

    test("after an epoch, and after a position that was ahead, ids start anew", async t => {
        for (const why of ["epoch", "ahead"]) {
            const relay = await start(t, {}), { got, subscription } = collect(open(t, relay.url), "a", { since: "e.1000" });
            const connection = await connected(relay);
            const epoch = why === "epoch" ? "f" : "e";
            connection.tell({ channel: "a", gap: { after: "e.1000", next: `${epoch}.5`, why } });
            connection.tell({ channel: "a", id: `${epoch}.5`, data: "anew" });
            assert.equal((await holds(got, 2))[1], "anew");
            assert.equal(subscription.position, `${epoch}.5`);
        }
    });

    test("the server's hints win: retry= at a close, Retry-After, retry: of a stream", async t => {
        const relay = await start(t, {}), client = open(t, relay.url), waits = [];
        client.addEventListener("state", ({ state, wait }) => state === "waiting" && waits.push(wait));
        collect(client, "a");
        (await connected(relay)).socket.close(1001, "retry=1234");
        await connected(relay, 1);
        assert.deepEqual(waits, [1234]);

        let refusals = 0;
        const busy = await start(t, { accepts: () => false, answer: (request, response) =>
            ++refusals < 2 ? response.writeHead(503, { "Retry-After": "1" }).end() : stream(request, response) });
        const refused = open(t, busy.url, { transports: ["sse", "longpoll"] }), others = [];
        refused.addEventListener("state", ({ state, wait }) => state === "waiting" && others.push(wait));
        collect(refused, "a");
        await isOpen(refused);
        assert.equal(refused.transport, "sse");
        assert.ok(others.length === 1 && others[0] >= 1000 && others[0] < 2000, others);

        const cut = await start(t, { answer: (request, response) => { stream(request, response); setTimeout(() => response.destroy(), 100); } });
        const streaming = open(t, cut.url, { transports: ["sse"] }), third = [];
        streaming.addEventListener("state", ({ state, wait }) => state === "waiting" && third.push(wait));
        collect(streaming, "a");
        await until(() => third.length, "a cut");
        assert.deepEqual(third, [1500]);
    });

    test("4003 and 204 mean never again", async t => {
        const relay = await start(t, {}), client = open(t, relay.url);
        collect(client, "a");
        (await connected(relay)).socket.close(4003, "disconnected");
        await until(() => client.state === "closed", "closed");
        assert.equal(client.states.at(-1).error.code, 4003);
        const gone = await start(t, { answer: (_, response) => response.writeHead(204).end() });
        const other = open(t, gone.url, { transports: ["sse"] });
        collect(other, "a");
        await until(() => other.state === "closed", "closed");
    });

    test("a token: in the URL of a WebSocket, a header elsewhere; asked for again at 401", async t => {
        const asked = [], token = async ({ expired }) => { asked.push(expired); return expired ? "fresh" : "stale"; };
        const relay = await start(t, { accepts: request => request.url.includes("access_token=fresh"), answer: (request, response) =>
            request.headers.authorization === "Bearer fresh" ? stream(request, response) : response.writeHead(401).end() });
        const client = open(t, relay.url, { token });
        collect(client, "a");
        await isOpen(client);
        // The WebSocket does not say why, the stream did, and then the ladder began anew.
        assert.equal(client.transport, "websocket");
        assert.deepEqual(asked, [false, true]);
        const refused = open(t, relay.url, { token: "never right", transports: ["sse"] }), { got } = collect(refused, "a");
        assert.deepEqual(await holds(got, 1), [{ error: 401 }]);
    });

    test("a subscribe that is unauthorized is tried once more with a new token; one that may pass, later", async t => {
        const answers = ["unauthorized", "overloaded", null];
        const relay = await start(t, { onCommand: (connection, { id, subscribe }) => {
            const code = subscribe && answers.shift();
            if (code)
                connection.tell({ reply: id, error: { code, detail: "no" } });
            return code;
        } });
        const client = open(t, relay.url, { token: () => "t" }), { got, subscription } = collect(client, "a");
        await until(() => subscription.position, "a position");
        assert.deepEqual(got, []);
        assert.deepEqual(relay.connections[0].commands.map(each => Object.keys(each)[1]), ["subscribe", "refresh", "subscribe", "subscribe"]);
    });

    test("a token function that fails is tried again; one that says so ends it", async t => {
        const relay = await start(t, {}), answers = [new Error("backend away"), "good"];
        const client = open(t, relay.url, { token: () => { const next = answers.shift(); if (next instanceof Error) throw next; return next; } });
        collect(client, "a");
        await connected(relay);
        const ended = open(t, relay.url, { token: () => { throw Object.assign(new Error("logged out"), { fatal: true }); } });
        collect(ended, "a");
        await until(() => ended.state === "closed", "closed");
        assert.equal(ended.states.at(-1).error.message, "logged out");
    });
});

// Whose clocks are the test's.
describe("in time", () => {
    test("full jitter from 0.5 s, growing to 30 s", async t => {
        const waits = [], refusing = await start(t, { accepts: () => false, answer: (_, response) => response.writeHead(502).end() });
        const client = open(t, refusing.url);
        client.addEventListener("state", ({ state, wait }) => state === "waiting" && waits.push(wait));
        t.mock.timers.enable({ apis: ["setTimeout"] });
        collect(client, "a");
        while (waits.length < 40) {
            t.mock.timers.tick(30_000);
            await new Promise(done => setImmediate(done));
        }
        t.mock.timers.reset();
        for (const [tries, wait] of waits.entries())
            assert.ok(wait >= 500 && wait <= Math.min(30_000, 1000 * 2 ** tries), `${tries}: ${wait}`);
        const late = waits.slice(10).sort((one, other) => one - other);
        assert.ok(late[0] < 15_000 && late.at(-1) > 15_000, `spread: ${late[0]} to ${late.at(-1)}`);
    });

    test("a token is refreshed before it ends, and after 4001", async t => {
        let count = 0;
        const relay = await start(t, {}), client = open(t, relay.url, { token: () => jwt(++count === 1 ? 1 : 3600) });
        collect(client, "a");
        const connection = await connected(relay);
        // Not before half a minute has passed, or a token of seconds would be asked for without end.
        t.mock.method(Date, "now", () => performance.timeOrigin + performance.now() + 31_000);
        const { refresh } = await until(() => connection.commands.map(each => each).find(each => each.refresh), "a refresh");
        assert.equal(refresh.token.length, jwt(3600).length);
        connection.socket.close(4001, "token expired");
        await connected(relay, 1);
        assert.equal(count, 3);
    });
});
