// SPDX-License-Identifier: Apache-2.0
// The chat page, between two windows.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, before, describe } from "node:test";
import { launch, missing } from "./browser.mjs";
import { Daemon, Proxy, kRoot, suite, until } from "./harness.mjs";

const test = suite(missing, 90_000);
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

// A window of its own browser profile.
async function openChat(t, name, { base = daemon.public, room = "lobby", transports = "", ...options } = {}) {
    const context = await browser.newContext(options);
    t.after(() => context.close());
    const page = await context.newPage();
    page.errors = [];
    page.on("pageerror", error => page.errors.push(error.message));
    page.on("console", message => message.type() === "error" && page.errors.push(message.text()));
    await page.goto(`${base}/chat?name=${name}&room=${room}${transports && `&transports=${transports}`}`);
    await shows(page, "#state", /^connected by/);
    return page;
}

async function shows(page, part, wanted) {
    let last;
    return until(async () => {
        last = await page.locator(part).allTextContents();
        return wanted instanceof RegExp ? last.length === 1 && wanted.test(last[0]) : JSON.stringify(last) === JSON.stringify(wanted);
    }, () => `${part} shows ${wanted}: ${JSON.stringify(last)}`);
}

const says = async (page, text) => { await page.fill("#text", text); await page.press("#text", "Enter"); };

describe("the chat", { concurrency: 4 }, () => {
    test("two windows: messages, who is there, who is writing, another room", async t => {
        const own = await Daemon.start(), base = own.public; // every page is in the usual rooms
        t.after(() => own.stop());
        const one = await openChat(t, "Ann", { base }), two = await openChat(t, "Bob", { base, transports: "sse" });
        assert.equal(await one.textContent("#state"), "connected by WebSocket");
        assert.equal(await two.textContent("#state"), "connected by a stream");
        await shows(one, "#people li", ["Ann (you)", "Bob"]);
        await shows(two, "#people li", ["Bob (you)", "Ann"]);
        await one.type("#text", "he");
        await shows(two, "#typing", ["Ann is writing…"]);
        await says(one, "hello <b>Bob</b>");
        await shows(two, "#messages p", ["hello <b>Bob</b>"]);
        await shows(two, "#typing", [""]);
        await says(two, "hi");
        for (const page of [one, two]) {
            await shows(page, "#messages p", ["hello <b>Bob</b>", "hi"]);
            assert.equal(await page.locator("#messages li.mine").count(), 1);
            assert.equal(await page.locator("#messages li.unsent").count(), 0);
        }
        await two.click("text=music");
        await says(two, "over here");
        await shows(one, "nav .new", ["1"]);
        await one.click("text=music");
        await shows(one, "#messages p", ["over here"]);
        await one.fill("#name", "Anna");
        await one.press("#name", "Tab");
        await shows(two, "#people li", ["Bob (you)", "Anna"]);
        // One who comes later has what was written.
        const late = await openChat(t, "Cid", { base });
        await shows(late, "#messages p", ["hello <b>Bob</b>", "hi"]);
        await one.close();
        await shows(late, "#people li", ["Cid (you)", "Bob"]);
        for (const page of [two, late])
            assert.deepEqual(page.errors, []);
    });

    test("a lost connection is shown as it is, and what was written meanwhile comes", async t => {
        const proxy = await Proxy.start(t, daemon.publicPort);
        const one = await openChat(t, "Ann", { room: "away", base: proxy.url }), two = await openChat(t, "Bob", { room: "away" });
        await says(one, "before");
        await shows(two, "#messages p", ["before"]);
        proxy.cut();
        await shows(one, "#state", /^no connection, next try in \d+ s$/);
        await says(two, "while away");
        await says(one, "not there");
        await shows(one, "#messages .failed small", /^not sent: /);
        proxy.restore();
        await shows(one, "#messages p", ["before", "not there", "while away"]);
        await shows(one, "#state", /^connected by/);
        await says(one, "back");
        await shows(two, "#messages p", ["before", "while away", "back"]);
    });

    test("it fits a desktop and a phone, light and dark", async t => {
        mkdirSync(kScreenshots, { recursive: true });
        const sizes = { desktop: { width: 1100, height: 760 }, phone: { width: 390, height: 844 } };
        const views = Object.entries(sizes).flatMap(([name, viewport]) => ["light", "dark"].map(colorScheme => ({ name, viewport, colorScheme })));
        const [first, ...rest] = await Promise.all(views.map((view, at) => openChat(t, ["Ann", "Bob", "Cid", "Dot"][at], { ...view, room: "shown" })));
        await says(first, "Does the relay keep this?");
        await says(rest[0], "Yes: two hundred of a room, for a day. Whoever comes later gets the last fifty, and is told when something is gone.");
        await says(rest[1], "And while I was in the tunnel?");
        await says(first, "All of it, in order, once.");
        await rest[1].type("#text", "Good");
        for (const page of [first, ...rest])
            await until(async () => await page.locator("#messages p").count() === 4, "4 messages");
        await shows(first, "#typing", ["Cid is writing…"]);
        for (const [at, page] of [first, ...rest].entries()) {
            const { name, colorScheme } = views[at];
            assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth && document.documentElement.scrollHeight <= innerHeight), `${name}: too large`);
            const png = await page.screenshot({ path: `${kScreenshots}/chat-${name}-${colorScheme}.png` });
            assert.ok(png.length > 10_000, "an empty picture");
            assert.deepEqual(page.errors, []);
        }
    });
});
