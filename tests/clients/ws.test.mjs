// SPDX-License-Identifier: Apache-2.0
// npm's `ws`: plain and with envelopes, compressed or not, publishing, closing, resuming.
import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before } from "node:test";
import { Daemon, Proxy, kId, load, suite, texts, until } from "./harness.mjs";

const ws = await load("ws");
const test = suite(ws ? null : "npm's ws");
let daemon;

before(async () => { daemon = ws && await Daemon.start(); });
after(() => daemon?.stop());

// A connected client; `frames` fills up with what it is sent, `closed` is {code, reason} at last.
async function open(t, path, options = {}, port = daemon.publicPort) {
    const socket = new ws.WebSocket(`ws://127.0.0.1:${port}/sub/${path}`, options);
    t.after(() => socket.terminate());
    socket.frames = [];
    socket.on("message", (data, isBinary) => socket.frames.push(isBinary ? data : data.toString()));
    socket.closed = once(socket, "close").then(([code, reason]) => ({ code, reason: reason.toString() }));
    await once(socket, "open");
    return socket;
}

const frames = (socket, count) => until(() => socket.frames.length >= count && socket.frames,
                                        () => `${count} frames: ${socket.frames}`);

async function close(socket) {
    socket.close();
    return socket.closed;
}

test("plain: one message a frame, text or binary", async t => {
    const socket = await open(t, "plain:1");
    await daemon.publish("plain:1", "grüße\r\n\0", {}, "text/plain");
    await daemon.publish("plain:1", Buffer.from([0, 1, 254]), {}, "application/octet-stream");
    await daemon.publish("plain:1", "");
    assert.deepEqual(await frames(socket, 3), ["grüße\r\n\0", Buffer.from([0, 1, 254]), ""]);
    assert.equal((await close(socket)).code, 1005); // a close frame without a code is answered in kind
});

test("plain: resume by since", async t => {
    const ids = await daemon.publishAll("plain:2", texts("m", 5));
    const [some, newest, all] = await Promise.all([open(t, `plain:2?since=${ids[2]}`), open(t, "plain:2?since=-1"),
                                                   open(t, "plain:2?since=earliest")]);
    await daemon.publish("plain:2", "live");
    assert.deepEqual(await frames(some, 3), ["m 4", "m 5", "live"]);
    assert.deepEqual(await frames(newest, 2), ["m 5", "live"]);
    assert.deepEqual(await frames(all, 6), [...texts("m", 5), "live"]);
});

test("envelopes: hello, then messages with id, n, event and data", async t => {
    const socket = await open(t, "envelope:1?envelope=1");
    const [hello] = (await frames(socket, 1)).map(JSON.parse);
    assert.match(hello.connection, /^[0-9a-f]{32}$/);
    assert.match(hello.position, kId);
    assert.equal(hello.heartbeat, 25);
    const first = await daemon.publish("envelope:1", "hi", { event: "msg" });
    const second = await daemon.publish("envelope:1", '{"a":[1,"é"]}');
    const third = await daemon.publish("envelope:1", Buffer.from([255, 0]));
    const received = (await frames(socket, 4)).slice(1).map(JSON.parse);
    assert.deepEqual(received, [
        { channel: "envelope:1", id: first, n: 1, event: "msg", data: "hi" },
        { channel: "envelope:1", id: second, n: 2, data: { a: [1, "é"] } },
        { channel: "envelope:1", id: third, n: 3, base64: "/wA=" },
    ]);
});

test("envelopes: several channels in one order, resumed by one position", async t => {
    const socket = await open(t, "several:a,several:b");
    await frames(socket, 1);
    const ids = [];
    for (let turn = 0; turn < 10; ++turn)
        ids.push(await daemon.publish(turn % 3 ? "several:a" : "several:b", `t${turn}`));
    const received = (await frames(socket, 11)).slice(1).map(JSON.parse);
    assert.deepEqual(received.map(each => each.id), ids);
    const again = await open(t, `several:a,several:b?since=${ids[6]}`);
    const missed = (await frames(again, 4)).slice(1).map(JSON.parse);
    assert.deepEqual(missed.map(each => each.id), ids.slice(7));
});

test("envelopes: cut, resume by since: nothing lost, nothing twice", async t => {
    const proxy = await Proxy.start(t, daemon.publicPort);
    const first = await open(t, "envelope:2?envelope=1", {}, proxy.port);
    first.on("error", () => {});
    await frames(first, 1);
    const ids = await daemon.publishAll("envelope:2", texts("before", 3));
    const { id: last } = JSON.parse((await frames(first, 4)).at(-1));
    assert.equal(last, ids[2]);
    proxy.cut();
    assert.equal((await first.closed).code, 1006);
    ids.push(...await daemon.publishAll("envelope:2", texts("away", 3)));
    proxy.restore();
    const second = await open(t, `envelope:2?envelope=1&since=${last}`, {}, proxy.port);
    ids.push(...await daemon.publishAll("envelope:2", texts("after", 3)));
    const received = (await frames(second, 7)).map(JSON.parse);
    assert.equal(received[0].position, last);
    assert.deepEqual(received.slice(1).map(each => each.id), ids.slice(3));
});

test("envelopes: a gap is told before the first message behind it", async t => {
    const ids = await daemon.publishAll("small:ws", texts("m", 8));
    const socket = await open(t, `small:ws?envelope=1&since=${ids[0]}`);
    const [, gap, ...messages] = (await frames(socket, 7)).map(JSON.parse);
    assert.deepEqual(gap, { channel: "small:ws", gap: { after: ids[0], next: ids[3], why: "trimmed" } });
    assert.deepEqual(messages.map(each => each.id), ids.slice(3));
});

test("envelopes: an idle reader is told its position with every heartbeat", async t => {
    const socket = await open(t, "quick:1?envelope=1");
    const [hello, beat] = (await frames(socket, 2)).map(JSON.parse);
    assert.equal(hello.heartbeat, 1);
    assert.deepEqual(Object.keys(beat), ["position"]);
    assert.match(beat.position, kId);
});

test("permessage-deflate: agreed on when offered, and the bytes are fewer", async t => {
    const payload = "the same words again and again ".repeat(600);
    const received = {};
    for (const perMessageDeflate of [true, false]) {
        const proxy = await Proxy.start(t, daemon.publicPort);
        const socket = await open(t, "deflate:1?since=latest", { perMessageDeflate }, proxy.port);
        assert.match(socket.extensions, perMessageDeflate ? /^permessage-deflate/ : /^$/);
        await daemon.publish("deflate:1", payload);
        await daemon.publish("deflate:1", "short");
        assert.deepEqual(await frames(socket, 2), [payload, "short"]);
        socket.send(payload); // from 1,024 bytes on, ws compresses what was agreed on
        assert.equal((await frames(socket, 3))[2], payload);
        received[perMessageDeflate] = proxy.down.length;
        }
    assert.ok(received.true < 4000 && received.false > 2 * payload.length, JSON.stringify(received));
});

test("permessage-deflate: messages much larger than a window, both ways", async t => {
    const payload = Array.from({ length: 5500 }, (_, index) => `${index * 7919 % 10007},`).join("");
    assert.ok(payload.length > 25_000);
    const socket = await open(t, "deflate:2", { perMessageDeflate: { threshold: 0 } });
    for (let turn = 0; turn < 5; ++turn)
        socket.send(payload + turn);
    assert.deepEqual(await frames(socket, 5), [0, 1, 2, 3, 4].map(turn => payload + turn));
});

test("a client publishes by sending, text, binary and in fragments", async t => {
    const [reader, writer] = await Promise.all([open(t, "chat:1"), open(t, "chat:1")]);
    writer.send("hello");
    writer.send(Buffer.from([7, 0, 7]));
    writer.send("in ", { fin: false });
    writer.send("three ", { fin: false });
    writer.ping("between the fragments");
    writer.send("parts");
    const expected = ["hello", Buffer.from([7, 0, 7]), "in three parts"];
    assert.deepEqual(await frames(reader, 3), expected);
    assert.deepEqual(await frames(writer, 3), expected);
});

test("ping is answered with the same bytes", async t => {
    const socket = await open(t, "chat:2");
    const pong = once(socket, "pong");
    socket.ping("are you there");
    assert.equal((await pong)[0].toString(), "are you there");
});

const closes = [
    ["1000 is answered in kind", "chat:3", socket => socket.close(1000, "done"), 1000],
    ["4321: a code of the client's own, too", "chat:3", socket => socket.close(4321), 4321],
    ["1002 on a frame without a mask", "chat:3", socket => socket.send("bare", { mask: false }), 1002],
    ["1007 on text that is not UTF-8", "chat:3", socket => socket.send(Buffer.from([0xc0, 0x80]), { binary: false }), 1007],
    ["1008 where clients may not publish", "closed:1", socket => socket.send("no"), 1008],
    ["1009 beyond message_size", "chat:3", socket => socket.send("x".repeat(65 * 1024)), 1009],
    ["1009 when it inflates beyond message_size", "chat:3", socket => socket.send("x".repeat(8 << 20)), 1009],
];
for (const [name, channel, act, code] of closes)
    test(`close code ${name}`, async t => {
        const socket = await open(t, channel);
        socket.on("error", () => {});
        act(socket);
        assert.equal((await socket.closed).code, code);
    });

const refusals = [
    ["a position that is none", "chat:4?since=yesterday", 400, "bad_position"],
    ["a reserved channel", "$user:1", 400, "bad_channel"],
    ["a channel name with *", "a*b", 400, "bad_channel"],
];
for (const [name, path, status, code] of refusals)
    test(`refused: ${name}`, async t => {
        const socket = new ws.WebSocket(`ws://127.0.0.1:${daemon.publicPort}/sub/${path}`);
        const [, answer] = await once(socket, "unexpected-response");
        let body = "";
        for await (const part of answer)
            body += part;
        assert.equal(answer.statusCode, status);
        assert.equal(answer.headers["content-type"], "application/problem+json");
        assert.equal(JSON.parse(body).code, code);
    });

test("close code 1001 with a time to come back when the daemon ends", async t => {
    const other = await Daemon.start();
    const socket = await open(t, "chat:5?envelope=1", {}, other.publicPort);
    await frames(socket, 1);
    await other.stop();
    const { code, reason } = await socket.closed;
    assert.equal(code, 1001);
    assert.match(reason, /^retry=[0-9]+$/);
});
