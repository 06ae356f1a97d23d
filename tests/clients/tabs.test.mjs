// SPDX-License-Identifier: Apache-2.0
// The client as pages have it: one connection for all tabs, pages that are left and come back, a
// network that goes and comes.
import assert from "node:assert/strict";
import { after, before, describe } from "node:test";
import { launch, missing } from "./browser.mjs";
import { Daemon, Proxy, sleep, suite, texts, tokenOf, until } from "./harness.mjs";

const test = suite(missing);
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

// A tab with a client of its own, subscribed to the channels.
async function openTab(context, channels, options = {}, base = daemon.public) {
    const page = await context.newPage();
    page.errors = [];
    page.on("pageerror", error => page.errors.push(error.message));
    await page.goto(`${base}/healthz`);
    // The classic script, as a page has it.
    await page.addScriptTag({ url: "/fanhorn.js" });
    await page.evaluate(([channels, options]) => {
        globalThis.got = [];
        globalThis.opens = [];
        globalThis.client = new globalThis.Fanhorn("/sub/", options);
        globalThis.client.addEventListener("state", ({ state, transport }) => state === "open" && globalThis.opens.push(transport));
        globalThis.subscriptions = channels.map(channel => globalThis.client.subscribe(channel, {
            onmessage: ({ data }) => globalThis.got.push(data instanceof Uint8Array ? [...data] : data),
            ongap: gap => globalThis.got.push({ gap }), onerror: ({ code }) => globalThis.got.push({ error: code }),
        }));
    }, [channels, options]);
    return page;
}

const look = page => page.evaluate(() => ({
    state: globalThis.client.state, transport: globalThis.client.transport, got: globalThis.got, opens: globalThis.opens,
    positions: globalThis.subscriptions.map(each => each.position ?? null),
}));
const isReady = page => until(async () => {
    const seen = await look(page);
    return seen.state === "open" && seen.positions.every(Boolean) && seen.transport;
}, async () => `open: ${JSON.stringify(await look(page))}`);
const holds = (page, wanted) => until(async () => JSON.stringify((await look(page)).got) === JSON.stringify(wanted) || null,
                                      async () => `${JSON.stringify(wanted)}: ${JSON.stringify(await look(page))}`);

// The number of the tab that has the connection; each of the others has it through that one.
const leaderOf = tabs => until(async () => {
    const transports = (await Promise.all(tabs.map(look))).map(each => each.transport);
    return transports.every(Boolean) && transports.includes("websocket") && [transports.indexOf("websocket")];
}, "one leads").then(([leader]) => leader);

async function connections(channel) {
    const { subscribers = {} } = await (await fetch(`${daemon.private}/pub/${channel}`)).json();
    return Object.values(subscribers).reduce((sum, each) => sum + each, 0);
}

describe("tabs", { concurrency: 8 }, () => {
    test("of one origin share a connection, and go on when the one that has it is closed", async t => {
        const context = await browser.newContext();
        t.after(() => context.close());
        const names = ["tabs:a", "tabs:b"], tabs = [];
        for (let number = 0; number < 4; ++number)
            tabs.push(await openTab(context, number ? names : ["tabs:a"], { shared: true }));
        const transports = await Promise.all(tabs.map(isReady));
        assert.deepEqual(transports.sort(), ["tab", "tab", "tab", "websocket"]);
        assert.equal(await connections("tabs:a"), 1);
        assert.equal(await connections("tabs:b"), 1);

        await daemon.publish("tabs:a", "one");
        await daemon.publish("tabs:b", Buffer.from([255]));
        await daemon.publish("tabs:a", '{"json":1}');
        await holds(tabs[0], ["one", { json: 1 }]);
        for (const tab of tabs.slice(1))
            await holds(tab, ["one", [255], { json: 1 }]);

        // From a tab that has no connection.
        const { id } = await tabs[2].evaluate(() => globalThis.client.publish("tabs:b", { from: "a tab" }));
        assert.ok(id);
        // Two channels have no common order where a new connection replays them.
        for (const tab of tabs.slice(1))
            await holds(tab, ["one", [255], { json: 1 }, { from: "a tab" }]);
        assert.equal(await tabs[2].evaluate(() => globalThis.client.publish("closed:x", 1).catch(({ code }) => code)), "forbidden");

        const leader = await leaderOf(tabs);
        await tabs[leader].close();
        const left = tabs.filter((_, number) => number !== leader);
        await daemon.publish("tabs:a", "while nobody had it");
        await Promise.all(left.map(isReady));
        await daemon.publish("tabs:a", "after");
        for (const tab of left) {
            const all = (await look(tab)).positions.length === 2 ? ["one", [255], { json: 1 }, { from: "a tab" }] : ["one", { json: 1 }];
            await holds(tab, [...all, "while nobody had it", "after"]);
            assert.deepEqual(tab.errors, []);
        }
        await until(async () => await connections("tabs:a") === 1, "one connection");
    });

    test("of one origin: a wildcard beside its channels, and what is sent to the user", async t => {
        const context = await browser.newContext();
        t.after(() => context.close());
        const tabs = [], user = "of-tabs", send = body => fetch(`${daemon.private}/users/${user}`, { method: "POST", body });
        for (const names of [["scores:1"], ["scores:*", "scores:1"], ["scores:*"]]) {
            const tab = await openTab(context, names, { shared: true, token: tokenOf(user) });
            await tab.evaluate(() => globalThis.client.addEventListener("user", ({ data }) => globalThis.got.push(`to the user: ${data}`)));
            await isReady(tab);
            tabs.push(tab);
        }
        await daemon.publish("scores:1", "a");
        await daemon.publish("scores:2", "b");
        await send("c");
        const wanted = [["a"], ["a", "a", "b"], ["a", "b"]], user1 = "to the user: c", user2 = "to the user: d";
        for (const [number, tab] of tabs.entries())
            await holds(tab, [...wanted[number], user1]);
        const leader = await leaderOf(tabs);
        await tabs[leader].close();
        await send("d");
        const left = [...tabs.entries()].filter(([number]) => number !== leader);
        const [number, tab] = left[await leaderOf(left.map(([, each]) => each))];
        await holds(tab, [...wanted[number], user1, user2]);
    });

    test("of one origin: a tab that is gone has no subscription left, a refusal reaches who asked", async t => {
        const context = await browser.newContext();
        t.after(() => context.close());
        const first = await openTab(context, ["left:a"], { shared: true });
        await isReady(first);
        const second = await openTab(context, ["left:b", "denied:1"], { shared: true });
        await holds(second, [{ error: "forbidden" }]);
        await until(async () => await connections("left:b") === 1, "a subscription");
        await second.close();
        await until(async () => await connections("left:b") === 0, "none");
        assert.equal(await connections("left:a"), 1);
        const third = await openTab(context, ["left:a"], { shared: true });
        await isReady(third);
        await third.evaluate(() => globalThis.subscriptions[0].unsubscribe());
        await daemon.publish("left:a", "heard");
        await holds(first, ["heard"]);
        assert.deepEqual((await look(third)).got, []);
    });

    test("a page that is left and comes back (back-forward cache)", async t => {
        const context = await browser.newContext();
        t.after(() => context.close());
        const page = await openTab(context, ["cached"]);
        await isReady(page);
        await page.evaluate(() => dispatchEvent(new PageTransitionEvent("pagehide", { persisted: true })));
        await until(async () => await connections("cached") === 0, "no connection");
        assert.equal((await look(page)).state, "idle");
        await daemon.publishAll("cached", texts("away", 3));
        await sleep(1500);
        assert.deepEqual((await look(page)).got, []);
        await page.evaluate(() => dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true })));
        await holds(page, texts("away", 3));
    });

    test("a browser that comes online does not wait for its backoff", async t => {
        const proxy = await Proxy.start(t, daemon.publicPort), context = await browser.newContext();
        t.after(() => context.close());
        const page = await openTab(context, ["online"], {}, proxy.url);
        await isReady(page);
        proxy.cut();
        const wait = await page.evaluate(() => new Promise(done => {
            globalThis.client.addEventListener("state", ({ wait }) => wait > 8000 && done(wait));
        }));
        proxy.restore();
        const start = Date.now();
        await page.evaluate(() => dispatchEvent(new Event("online")));
        await isReady(page);
        assert.ok(Date.now() - start < wait);
    });

    test("a WebSocket that does not answer when the network changed is given up after 5 s", async t => {
        const context = await browser.newContext();
        t.after(() => context.close());
        const page = await openTab(context, ["doubted"]);
        await isReady(page);
        // The relay hears nothing any more, and nothing is heard from it.
        await page.evaluate(() => {
            const { send } = WebSocket.prototype;
            WebSocket.prototype.send = function (text) {
                if (text.includes("ping"))
                    WebSocket.prototype.send = send;
                else
                    send.call(this, text);
            };
            dispatchEvent(new Event("offline"));
        });
        const start = Date.now();
        await until(async () => (await look(page)).opens.length === 2, "another connection", 40_000);
        const seconds = (Date.now() - start) / 1000;
        assert.ok(seconds > 4 && seconds < 30, `${seconds} s`); // the watchdog alone would take 55
        // One that answers stays.
        await page.evaluate(() => dispatchEvent(new Event("offline")));
        await sleep(7000);
        assert.equal((await look(page)).opens.length, 2);
    });
});
