// SPDX-License-Identifier: Apache-2.0
// The chat page, between two windows.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, before, describe } from "node:test";
import { launch, missing } from "./browser.mjs";
import { Daemon, Proxy, kRoot, suite, until } from "./harness.mjs";

const test = suite(missing, 90_000);
const kConf = "conf/demo.conf"; // as of `make run`
const kScreenshots = `${kRoot}build/screenshots`;
let daemon, browser;

before(async () => {
    if (missing)
        return;
    daemon = await Daemon.start(kConf);
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
        const own = await Daemon.start(kConf), base = own.public; // every page is in the usual rooms
        t.after(() => own.stop());
        const one = await openChat(t, "Ann", { base }), two = await openChat(t, "Bob", { base, transports: "sse" });
        assert.equal(await one.textContent("#state"), "connected by WebSocket");
        assert.equal(await two.textContent("#state"), "connected by a stream");
        await shows(one, "#people .who", ["Ann (you)", "Bob"]);
        await shows(two, "#people .who", ["Bob (you)", "Ann"]);
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
        await shows(two, "#people .who", ["Bob (you)", "Anna"]);
        // One who comes later has what was written.
        const late = await openChat(t, "Cid", { base });
        await shows(late, "#messages p", ["hello <b>Bob</b>", "hi"]);
        await one.close();
        await shows(late, "#people .who", ["Cid (you)", "Bob"]);
        for (const page of [two, late])
            assert.deepEqual(page.errors, []);
    });

    test("who is there is what the relay's presence says", async t => {
        const room = "listed", one = await openChat(t, "Zoë", { room });
        const listed = async () => (await (await fetch(`${daemon.private}/channels/chat:${room}/presence`)).json()).users;
        const [{ user, info, connections }] = await until(async () => { const users = await listed(); return users.length && users; }, "one user");
        assert.deepEqual({ info, connections }, { info: { name: "Zoë" }, connections: 1 });
        const poller = await openChat(t, "Pol", { room, transports: "longpoll" }); // is not told who comes, and asks
        await shows(poller, "#people .who", ["Pol (you)", "Zoë"]);
        await shows(one, "#people .who", ["Zoë (you)", "Pol"]);
        await one.fill("#name", "Zo");
        await one.press("#name", "Tab");
        await until(async () => (await listed()).some(each => each.user === user && each.info.name === "Zo"), "the new name");
        await poller.close();
        await shows(one, "#people .who", ["Zo (you)"]);
    });

    test("a relay without presence: it is said that nobody is listed", async t => {
        const own = await Daemon.start();
        t.after(() => own.stop());
        const one = await openChat(t, "Ann", { base: own.public }), two = await openChat(t, "Bob", { base: own.public });
        await shows(one, "#people small", ["This relay does not say who else is here."]);
        await says(one, "hello");
        await shows(two, "#messages p", ["hello"]);
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

    test("two windows connect directly, and go on without the relay", async t => {
        const own = await Daemon.start(kConf), base = own.public;
        t.after(() => own.stop().catch(() => {}));
        const one = await openChat(t, "Ann", { base }), two = await openChat(t, "Bob", { base, transports: "sse" });
        const third = await openChat(t, "Cid", { base });
        await shows(one, "#people .who", ["Ann (you)", "Bob", "Cid"]);
        await shows(two, "#people .who", ["Bob (you)", "Ann", "Cid"]);
        await one.click("#people li:has-text('Bob') button");
        await shows(one, "#people .asking .who", ["Bob"]);
        await shows(two, "#people .asked .who", ["Ann"]);
        assert.equal(await third.locator("#people .asked").count(), 0);
        await two.click("#people .asked button");
        await shows(one, "#people .open .who", ["Bob"]);
        await shows(two, "#people .open .who", ["Ann"]);
        assert.equal(await one.evaluate(() => [...current.people.values()].find(each => each.name === "Bob").channel.readyState), "open");
        await one.selectOption("#to", { label: "to Bob, directly" });
        await says(one, "between us");
        await shows(two, "#messages .direct p", ["between us"]);
        await one.selectOption("#to", "");
        await says(one, "to all");
        await shows(third, "#messages p", ["to all"]);
        await shows(two, "#messages p", ["between us", "to all"]);
        assert.equal(JSON.stringify(await (await fetch(`${own.private}/channels/chat:lobby/history?since=earliest`)).json()).includes("between us"), false);
        await own.stop();
        await shows(two, "#state", /^no connection/);
        await two.selectOption("#to", { label: "to Ann, directly" });
        await says(two, "without it");
        await shows(one, "#messages .direct p", ["between us", "without it"]);
        // What was meant for one goes to nobody else when that one is gone.
        await one.click("#people .open button");
        await shows(two, "#to option", ["to everybody", "to Ann, gone"]);
        await says(two, "still there?");
        await shows(two, "#messages .failed small", ["not sent: no longer connected directly"]);
    });

    test("both ask at once, and one takes it back", async t => {
        const room = "both", one = await openChat(t, "Ann", { room }), two = await openChat(t, "Bob", { room });
        await shows(one, "#people .who", ["Ann (you)", "Bob"]);
        await shows(two, "#people .who", ["Bob (you)", "Ann"]);
        await one.click("#people button");
        await shows(two, "#people .asked .who", ["Ann"]);
        await one.click("#people button");
        await shows(two, "#people .apart small", ["taken back"]);
        await Promise.all([one, two].map(page => page.click("#people button")));
        // Whose request was there before the other's click has a yes to give; else both have said it.
        await until(async () => await one.locator("#people .open").count() && await two.locator("#people .open").count(), "open");
        await one.close();
        await shows(two, "#people .who", ["Bob (you)"]);
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
        for (const page of [first, ...rest])
            await until(async () => await page.locator("#messages p").count() === 4, "4 messages");
        await rest[1].type("#text", "Good");
        await shows(first, "#typing", ["Cid is writing…"]);
        const [second, , dark] = rest; // Dot's phone shows each state of what goes past the relay
        await dark.click("#people li:has-text('Ann') button");
        await first.click("#people .asked button");
        await dark.selectOption("#to", { label: "to Ann, directly" });
        await says(dark, "Psst: this one did not go by the relay.");
        await shows(first, "#messages .direct p", ["Psst: this one did not go by the relay."]);
        await second.click("#people li:has-text('Dot') button");
        await shows(dark, "#people .asked .who", ["Bob"]);
        await dark.click("#people li:has-text('Cid') button");
        for (const [at, page] of [first, ...rest].entries()) {
            const { name, colorScheme } = views[at];
            assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth && document.documentElement.scrollHeight <= innerHeight), `${name}: too large`);
            const png = await page.screenshot({ path: `${kScreenshots}/chat-${name}-${colorScheme}.png` });
            assert.ok(png.length > 10_000, "an empty picture");
            assert.deepEqual(page.errors, []);
        }
    });
});
