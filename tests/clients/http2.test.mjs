// SPDX-License-Identifier: Apache-2.0
// HTTP/2 with Chromium, whose six connections to an origin are then one with many streams, and with
// node's own client.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:http2";
import { after, before } from "node:test";
import { launch, missing } from "./browser.mjs";
import { Daemon, suite, texts, until } from "./harness.mjs";

const test = suite(missing);
const kSources = 30;
let daemon, browser;

before(async () => {
    if (missing)
        return;
    daemon = await Daemon.startSecured();
    browser = await launch();
});
after(async () => {
    await browser?.close();
    await daemon?.stop();
});

// An empty page of the relay's origin.
async function openPage(t) {
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    t.after(() => context.close());
    const page = await context.newPage();
    await page.goto(`${daemon.public}/healthz`);
    return page;
}

test("a page has 30 EventSources to one origin", async t => {
    const before = await daemon.metrics();
    const page = await openPage(t);
    await page.evaluate(count => {
        window.events = [];
        window.sources = Array.from({ length: count }, (_, index) => {
            const source = new EventSource(`/sub/h2:${index % 3}`);
            source.onmessage = ({ data, lastEventId }) => (window.events[index] ??= []).push(`${lastEventId} ${data}`);
            return source;
        });
        return Promise.all(window.sources.map(source => new Promise(done => (source.onopen = done))));
    }, kSources);
    const sent = [];
    for (const channel of [0, 1, 2]) {
        const words = texts(`to ${channel}:`, 10), ids = await daemon.publishAll(`h2:${channel}`, words);
        sent.push(words.map((word, index) => `${ids[index]} ${word}`));
    }
    await page.waitForFunction(count => window.sources.every((_, index) => window.events[index]?.length >= 10) &&
                                        window.events.length === count, kSources);
    for (const [index, got] of Object.entries(await page.evaluate(() => window.events)))
        assert.deepEqual(got, sent[index % 3], index);
    const during = await daemon.metrics();
    assert.equal(during["fanhorn_http2_connections"], 1);
    assert.equal(during['fanhorn_connections{transport="sse"}'], kSources);
    // The page and its sources came over one connection; a second one may have been tried first.
    assert.ok(during["fanhorn_accepted_total"] - before["fanhorn_accepted_total"] <= 2 + 20); // with ours to /pub
    await page.evaluate(() => window.sources.forEach(source => source.close()));
    await until(async () => (await daemon.metrics())['fanhorn_connections{transport="sse"}'] === 0, "the end of all streams");
});

test("a WebSocket is a stream of the same connection", async t => {
    const page = await openPage(t);
    await page.waitForLoadState("networkidle"); // its icon
    const before = await daemon.metrics();
    const echoed = await page.evaluate(() => new Promise((done, failed) => {
        const socket = new WebSocket(`${location.origin.replace("http", "ws")}/sub/h2:ws`);
        socket.onopen = () => socket.send("over a stream");
        socket.onmessage = ({ data }) => done(data);
        socket.onerror = () => failed(new Error("no WebSocket"));
        window.socket = socket;
    }));
    assert.equal(echoed, "over a stream");
    const metrics = await daemon.metrics();
    assert.equal(metrics['fanhorn_connections{transport="websocket"}'], 1);
    assert.equal(metrics["fanhorn_http2_streams_total"] - before["fanhorn_http2_streams_total"], 1);
    await page.evaluate(() => new Promise(done => { window.socket.onclose = done; window.socket.close(); }));
});

test("the demo page shows all four transports", async t => {
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    t.after(() => context.close());
    const page = await context.newPage();
    await page.goto(`${daemon.public}/?channel=demo&private=${daemon.privatePort}`);
    await page.waitForFunction(() => ["websocket", "sse", "longpoll", "poll"].every(
        name => document.getElementById(name)?.dataset.state === "open"));
    const id = await daemon.publish("demo", "over HTTP/2");
    await page.waitForFunction(wanted => document.querySelectorAll(`li[data-id="${wanted}"]`).length === 4, id);
    const protocols = await page.evaluate(() => performance.getEntriesByType("resource").map(each => each.nextHopProtocol));
    assert.deepEqual([...new Set(protocols.filter(Boolean))], ["h2"]);
});

test("node's client reads streams, and cancels them", async t => {
    const session = connect(daemon.public, { rejectUnauthorized: false });
    t.after(() => session.destroy());
    const streams = Array.from({ length: 10 }, () => session.request({ ":path": "/sub/h2:node", accept: "text/event-stream" }));
    const heard = streams.map(() => "");
    for (const [index, stream] of streams.entries()) {
        stream.setEncoding("utf8").on("data", text => (heard[index] += text)).on("error", () => {});
        const [headers] = await once(stream, "response");
        assert.equal(headers[":status"], 200);
    }
    await daemon.publish("h2:node", "to node");
    await until(() => heard.every(text => text.includes("data: to node\n")), () => heard.join());
    for (const stream of streams)
        stream.close(8);
    await until(async () => (await daemon.metrics())['fanhorn_connections{transport="sse"}'] === 0, "the end of all streams");
    const answer = session.request({ ":path": "/sub/h2:node?transport=poll&since=0" });
    let body = "";
    for await (const piece of answer.setEncoding("utf8"))
        body += piece;
    assert.equal(JSON.parse(body).messages.length, 1);
});
