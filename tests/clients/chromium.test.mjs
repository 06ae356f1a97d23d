// SPDX-License-Identifier: Apache-2.0
// Chromium: its own EventSource, WebSocket and fetch, most of it on the demo page.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, before, describe } from "node:test";
import { launch, missing } from "./browser.mjs";
import { Daemon, Proxy, kRoot, suite, texts, until } from "./harness.mjs";

const test = suite(missing);
const kColumns = ["websocket", "sse", "longpoll", "poll"];
const kScreenshots = `${kRoot}build/screenshots`;
let daemon, browser;

before(async () => {
    if (missing)
        return;
    daemon = await Daemon.start();
    browser = await launch();
});
after(async () => {
    await browser?.close();
    await daemon?.stop();
});

// The demo page with all four columns open. `errors` is what its console said.
async function openDemo(t, channel, { base = daemon.public, ...options } = {}) {
    const context = await browser.newContext(options);
    t.after(() => context.close());
    const page = await context.newPage();
    page.errors = [];
    page.on("pageerror", error => page.errors.push(error.message));
    page.on("console", message => {
        if (message.type() === "error")
            page.errors.push(message.text());
    });
    await page.goto(`${base}/?channel=${channel}&private=${daemon.privatePort}`);
    await inAllColumns(page, column => column.state === "open");
    return page;
}

// What the columns show, oldest first: {state, count, latency, items: [{kind, id, text, late}]}.
function columns(page) {
    return page.evaluate(names => names.map(name => {
        const column = document.getElementById(name);
        const text = (root, part) => root?.querySelector(part)?.textContent;
        return {
            name, state: column?.dataset.state, status: text(column, ".state"), count: text(column, ".count"),
            last: text(column, ".last"), latency: text(column, ".latency"), problem: text(column, ".problem"),
            items: [...column?.querySelectorAll("li") ?? []].reverse().map(item => ({
                kind: item.className, id: item.dataset.id, late: text(item, ".late"),
                text: text(item, ".text") ?? item.textContent,
            })),
        };
    }), kColumns);
}

async function inAllColumns(page, holds) {
    let shown;
    await until(async () => (shown = await columns(page)).every(holds),
                () => `${JSON.stringify(shown, null, 1)} ${page.errors}`);
    return shown;
}

const holdsAll = ids => column => ids.every(id => column.items.some(item => item.id === id));
const messages = column => column.items.filter(item => item.kind === "message");

// Most of each is waiting.
describe("Chromium", { concurrency: 4 }, () => {
    test("all four columns get what is published, once and in order", async t => {
        const page = await openDemo(t, "demo");
        const sent = ["hello", "<img src=x onerror=alert(1)>", "grüße 🎺", '{"json":[1,null]}', ...texts("m", 8)];
        const ids = await daemon.publishAll("demo", sent);
        for (const column of await inAllColumns(page, holdsAll(ids))) {
            assert.deepEqual(messages(column).map(each => each.id), ids, column.name);
            assert.deepEqual(messages(column).map(each => each.text), sent, column.name);
            assert.equal(column.count, String(ids.length), column.name); // and no doubles beside
            assert.equal(column.last, ids.at(-1), column.name);
            for (const each of messages(column))
                assert.match(each.late, /^\+[0-9]+ ms$/, column.name);
        }
        assert.equal(await page.locator("main img").count(), 0);
        assert.deepEqual(page.errors, []);
    });

    test("the lists are bounded", async t => {
        const page = await openDemo(t, "bounded");
        const ids = await daemon.publishAll("bounded", texts("m", 60));
        for (const column of await inAllColumns(page, each => each.count === "60"))
            assert.deepEqual(column.items.map(each => each.id), ids.slice(-50), column.name);
    });

    test("the form publishes, says so, and shows the curl line", async t => {
        const page = await openDemo(t, "form");
        await page.fill("#text", "it's me");
        assert.equal(await page.textContent("#curl"),
                     `curl -d 'it'\\''s me' http://127.0.0.1:${daemon.privatePort}/pub/form`);
        await page.press("#text", "Enter");
        await page.waitForFunction(() => document.getElementById("told").textContent.startsWith("Published"));
        for (const column of await inAllColumns(page, each => each.items.length === 1)) {
            assert.equal(column.items[0].text, "it's me");
            assert.match(column.latency, /^[0-9]+ ms$/, column.name);
        }
        assert.deepEqual(page.errors, []);

        const closed = await openDemo(t, "closed:form");
        await closed.click("text=Publish");
        await closed.waitForFunction(() => document.getElementById("told").textContent.startsWith("Not published: 403"));
    });

    test("the cut button drops all four, and they resume", async t => {
        const page = await openDemo(t, "button");
        const ids = await daemon.publishAll("button", texts("before", 2));
        await inAllColumns(page, holdsAll(ids));
        await page.click("#cut");
        await inAllColumns(page, column => /^retrying in [1-6] s$/.test(column.status));
        ids.push(...await daemon.publishAll("button", texts("away", 3)));
        for (const column of await columns(page))
            assert.equal(column.items.length, 2, column.name);
        for (const column of await inAllColumns(page, holdsAll(ids)))
            assert.deepEqual([messages(column).map(each => each.id), column.count], [ids, "5"], column.name);
    });

    test("resume: cut and refused for a while, every column gets what it missed, once, or is told", async t => {
        const proxy = await Proxy.start(t, daemon.publicPort);
        const [kept, small] = await Promise.all(["kept", "small:page"].map(
            channel => openDemo(t, channel, { base: proxy.url })));
        const before = await daemon.publishAll("kept", texts("before", 2));
        const [last] = await daemon.publishAll("small:page", ["before"]);
        await Promise.all([inAllColumns(kept, holdsAll(before)), inAllColumns(small, holdsAll([last]))]);
        assert.deepEqual([...kept.errors, ...small.errors], []);

        proxy.cut();
        const away = await daemon.publishAll("kept", texts("away", 4));
        const trimmed = await daemon.publishAll("small:page", texts("away", 8));
        await Promise.all([kept, small].map(page => inAllColumns(page, each => each.state === "retrying")));
        proxy.restore();
        await Promise.all([inAllColumns(kept, holdsAll(away)), inAllColumns(small, holdsAll(trimmed.slice(3)))]);
        const live = await daemon.publish("kept", "live");

        for (const column of await inAllColumns(kept, holdsAll([live]))) {
            assert.deepEqual(column.items.map(each => each.id), [...before, ...away, live], column.name);
            assert.equal(column.count, "7", column.name);
        }
        for (const { name, items } of await columns(small)) {
            assert.deepEqual(items.map(each => each.id), [last, undefined, ...trimmed.slice(3)], name);
            assert.equal(items[1].kind, "note gap", name);
            assert.equal(items[1].text, `gap (trimmed): what followed ${last} is gone, next is ${trimmed[3]}`, name);
        }
        // EventSource came back by itself, with the browser's own header.
        assert.ok(proxy.heads.some(head => head.toLowerCase().includes(`last-event-id: ${before[1]}`)), "Last-Event-ID");
    });

    test("EventSource, raw: types, line ends, and a position before any message", async t => {
        const proxy = await Proxy.start(t, daemon.publicPort);
        const page = await openDemo(t, "elsewhere", { base: proxy.url });
        await page.evaluate(() => {
            globalThis.events = [];
            globalThis.opens = 0;
            const source = new EventSource("/sub/raw:es");
            source.onopen = () => ++globalThis.opens;
            for (const type of ["message", "msg", "binary", "gap"])
                source.addEventListener(type, event => globalThis.events.push([type, event.lastEventId, event.data]));
        });
        const opens = count => until(() => page.evaluate(() => globalThis.opens).then(opens => opens >= count), "opened");
        await opens(1);
        proxy.cut();
        const ids = [await daemon.publish("raw:es", "away: a\r\n\nid: forged.1\rb")];
        proxy.restore();
        await opens(2);
        ids.push(await daemon.publish("raw:es", "typed", { event: "msg" }));
        ids.push(await daemon.publish("raw:es", Buffer.from([255])));
        const events = await until(() => page.evaluate(() => globalThis.events.length === 3 && globalThis.events), "3 events");
        assert.deepEqual(events, [["message", ids[0], "away: a\n\nid: forged.1\nb"], ["msg", ids[1], "typed"],
                                  ["binary", ids[2], "/w=="]]);
    });

    test("WebSocket, raw: compressed, text and binary, publishing, a close code", async t => {
        const page = await openDemo(t, "elsewhere");
        const long = "again and again ".repeat(1000);
        const seen = await page.evaluate(async long => {
            const socket = new WebSocket(`ws://${location.host}/sub/raw:ws`);
            socket.binaryType = "arraybuffer";
            const next = () => new Promise(done => { socket.onmessage = ({ data }) => done(data); });
            await new Promise(done => { socket.onopen = done; });
            const seen = [socket.extensions];
            for (const message of ["grüße", new Uint8Array([1, 0, 255]), long]) {
                const arrives = next();
                socket.send(message);
                const data = await arrives;
                seen.push(data instanceof ArrayBuffer ? [...new Uint8Array(data)] : data);
            }
            const closed = new Promise(done => { socket.onclose = done; });
            socket.send("x".repeat(70_000));
            const { code, wasClean } = await closed;
            return [...seen, code, wasClean];
        }, long);
        assert.match(seen.shift(), /^permessage-deflate/);
        assert.deepEqual(seen, ["grüße", [1, 0, 255], long, 1009, true]);
    });

    test("the page fits a desktop and a phone, light and dark", async t => {
        mkdirSync(kScreenshots, { recursive: true });
        const sizes = { desktop: { width: 1280, height: 860 }, phone: { width: 390, height: 844 } };
        const views = Object.entries(sizes).flatMap(
            ([name, viewport]) => ["light", "dark"].map(
                colorScheme => ({ name, viewport, colorScheme, reducedMotion: "reduce" })));
        const pages = await Promise.all(views.map(view => openDemo(t, "small:shown", view)));
        const [first] = pages;
        await daemon.publishAll("small:shown", ["hello", '{"room":1,"text":"hi there"}',
                                                "a longer message that needs more than one line"]);
        await daemon.publish("small:shown", "typed", { event: "msg" });
        await first.click("text=Publish");
        await Promise.all(pages.map(page => inAllColumns(page, column => messages(column).length === 5)));
        await first.click("#cut");
        await daemon.publishAll("small:shown", texts("while away", 7));
        await inAllColumns(first, column => column.items.some(item => item.kind === "note gap"));
        await inAllColumns(first, column => column.state === "open");
        for (const [index, { name, colorScheme }] of views.entries()) {
            const page = pages[index];
            assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name}: too wide`);
            const png = await page.screenshot({ path: `${kScreenshots}/demo-${name}-${colorScheme}.png`, fullPage: true });
            assert.ok(png.length > 10_000, `${name} ${colorScheme}: an empty picture`);
            assert.deepEqual(page.errors, []);
        }
    });
});
