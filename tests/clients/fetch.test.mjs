// SPDX-License-Identifier: Apache-2.0
// Node's own fetch: streams, long polls, short polls; and its WebSocket, where it has one.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { Daemon, Proxy, kId, suite, texts, until } from "./harness.mjs";

const test = suite(null);
let daemon;

before(async () => { daemon = await Daemon.start(); });
after(() => daemon.stop());

const subscribe = (path, options) => fetch(`${daemon.public}/sub/${path}`, options);

async function poll(path, headers = {}) {
    const answer = await subscribe(path, { headers });
    assert.equal(answer.status, 200);
    assert.match(answer.headers.get("content-type"), /^application\/json/);
    return { ...await answer.json(), etag: answer.headers.get("etag"), headers: answer.headers };
}

test("a stream read by fetch: retry first, then blocks as they come", async () => {
    const ending = new AbortController();
    const answer = await subscribe("fetch:1", { signal: ending.signal });
    assert.equal(answer.status, 200);
    assert.match(answer.headers.get("content-type"), /^text\/event-stream/);
    assert.equal(answer.headers.get("cache-control"), "no-store");
    assert.match(answer.headers.get("fanhorn-connection"), /^[0-9a-f]{32}$/);
    assert.match(answer.headers.get("fanhorn-id"), kId);

    let text = "";
    const reading = (async () => {
        for await (const part of answer.body.pipeThrough(new TextDecoderStream()))
            text += part;
    })().catch(error => assert.equal(error.name, "AbortError"));
    const [first, second] = await daemon.publishAll("fetch:1", ["one", "two\nlines"]);
    const blocks = `id: ${first}\ndata: one\n\nid: ${second}\ndata: two\ndata: lines\n\n`;
    await until(() => text.endsWith(blocks), () => text);
    assert.match(text, /^retry: ?[0-9]+\n/);
    assert.match(text, new RegExp(`^id: ${answer.headers.get("fanhorn-id")}\n\n`, "m"));
    ending.abort();
    await reading;
});

test("a long poll loop gets everything once, in order", async () => {
    let { next } = await poll("fetch:2?transport=poll&since=latest");
    assert.match(next, kId);
    const ids = daemon.publishAll("fetch:2", texts("m", 40));
    const received = [];
    while (received.length < 40) {
        const answer = await poll(`fetch:2?wait=25&since=${next}`);
        received.push(...answer.messages);
        next = answer.next;
    }
    assert.deepEqual(received.map(each => each.id), await ids);
    assert.deepEqual(received.map(each => each.data), texts("m", 40));
    assert.equal(next, received.at(-1).id);
});

test("a long poll is held until something comes, or until its time is up", async () => {
    const { next } = await poll("fetch:3?transport=poll&since=latest");
    const held = poll(`fetch:3?wait=25&since=${next}`);
    await daemon.subscribers("fetch:3", 1);
    const id = await daemon.publish("fetch:3", "at last");
    assert.deepEqual((await held).messages.map(each => each.id), [id]);

    const start = Date.now();
    const empty = await poll(`fetch:3?wait=1&since=${id}`);
    assert.ok(Date.now() - start >= 900, `answered after ${Date.now() - start} ms`);
    assert.deepEqual(empty.messages, []);
    assert.equal(empty.next, id);
});

test("a short poll that knows its ETag is answered 304", async () => {
    const ids = await daemon.publishAll("fetch:4", texts("m", 3));
    const path = "fetch:4?transport=poll&since=earliest";
    const first = await poll(path);
    assert.deepEqual(first.messages.map(each => each.id), ids);
    assert.equal(first.next, ids[2]);
    assert.equal(first.headers.get("cache-control"), "no-cache");

    const known = { "If-None-Match": first.etag };
    const nothing = await subscribe(path, { headers: known });
    assert.equal(nothing.status, 304);
    assert.equal(await nothing.text(), "");
    assert.equal((await subscribe(`fetch:4?since=${first.next}`, { headers: known })).status, 304);

    const id = await daemon.publish("fetch:4", "news");
    const news = await poll(`fetch:4?since=${first.next}`, known);
    assert.deepEqual(news.messages.map(each => each.id), [id]);
    assert.notEqual(news.etag, first.etag);
});

test("a poll is told a gap", async () => {
    const ids = await daemon.publishAll("small:fetch", texts("m", 8));
    const answer = await poll(`small:fetch?since=${ids[0]}`);
    assert.deepEqual(answer.gaps, [{ channel: "small:fetch", after: ids[0], next: ids[3], why: "trimmed" }]);
    assert.deepEqual(answer.messages.map(each => each.id), ids.slice(3));
    assert.deepEqual((await poll(`small:fetch?since=${answer.next}`)).gaps, []);
});

test("Last-Event-ID means the same as since, and wins", async () => {
    const ids = await daemon.publishAll("fetch:5", texts("m", 4));
    const answer = await poll("fetch:5?wait=1&since=earliest", { "Last-Event-ID": ids[1] });
    assert.deepEqual(answer.messages.map(each => each.id), ids.slice(2));
});

test("publishing without a WebSocket: POST /sub/CHANNEL", async () => {
    const answer = await subscribe("fetch:6?event=said", { method: "POST", body: "hello" });
    assert.equal(answer.status, 200);
    const { id } = await answer.json();
    const { messages } = await poll("fetch:6?since=earliest");
    assert.deepEqual(messages, [{ channel: "fetch:6", id, n: 1, event: "said", data: "hello" }]);

    const refused = await subscribe("closed:fetch", { method: "POST", body: "hello" });
    assert.equal(refused.status, 403);
    assert.equal((await refused.json()).code, "forbidden");
});

test("a position that is none: 400 with a problem", async () => {
    const answer = await subscribe("fetch:7?since=yesterday");
    assert.equal(answer.status, 400);
    assert.equal(answer.headers.get("content-type"), "application/problem+json");
    assert.equal((await answer.json()).code, "bad_position");
});

if (globalThis.WebSocket)
    test("Node's own WebSocket: cut, resume by since, publish", async t => {
        const proxy = await Proxy.start(t, daemon.publicPort);
        const open = async since => {
            const socket = new WebSocket(`ws://127.0.0.1:${proxy.port}/sub/own:1?envelope=1&since=${since}`);
            t.after(() => socket.close());
            socket.frames = [];
            socket.onmessage = ({ data }) => socket.frames.push(JSON.parse(data));
            await until(() => socket.frames.length, "the hello");
            return socket;
        };
        const first = await open("latest");
        const ids = await daemon.publishAll("own:1", texts("before", 2));
        await until(() => first.frames.length === 3, () => JSON.stringify(first.frames));
        proxy.cut();
        ids.push(await daemon.publish("own:1", "away"));
        proxy.restore();
        const second = await open(first.frames.at(-1).id);
        second.send("from the client");
        await until(() => second.frames.length === 3, () => JSON.stringify(second.frames));
        assert.equal(second.frames[1].id, ids[2]);
        assert.equal(second.frames[2].data, "from the client");
    });
