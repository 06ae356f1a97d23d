// SPDX-License-Identifier: Apache-2.0
// The dashboard of the private listener, in a browser, with traffic.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, before, describe } from "node:test";
import { launch, missing } from "./browser.mjs";
import { Daemon, Proxy, kRoot, load, sleep, suite, texts, until } from "./harness.mjs";

const ws = await load("ws");
const test = suite(missing || (!ws && "npm's ws"), 90_000);
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

async function openDashboard(t, { base = daemon.private, query = "", ...options } = {}) {
    const context = await browser.newContext(options);
    t.after(() => context.close());
    const page = await context.newPage();
    page.errors = [];
    page.on("pageerror", error => page.errors.push(error.message));
    page.on("console", message => message.type() === "error" && page.errors.push(message.text()));
    await page.goto(`${base}/dashboard${query}`);
    await shows(page, "#state", /^live$/);
    return page;
}

async function shows(page, part, wanted) {
    let last;
    return until(async () => {
        last = await page.locator(part).textContent();
        return wanted.test(last);
    }, () => `${part} shows ${wanted}: ${last}`);
}

// The number that a tile, or a plot's legend, shows.
const figure = async (page, name) => parseFloat((await page.locator(`#tiles li:has(h2:text-is("${name}")) strong`).textContent()).replaceAll(",", ""));
const legend = async (page, plot, name) => parseFloat((await page.locator(`figure:has(h2:text-is("${plot}")) .legend li:has-text("${name}") b`).textContent()).replaceAll(",", ""));
const reaches = (what, read, least) => {
    let last;
    return until(async () => (last = await read()) >= least, () => `${what}: ${last}, wanted ${least}`);
};

// Readers by three transports, and messages, until the test ends.
async function traffic(t, channel) {
    const stop = new AbortController();
    const sockets = texts("socket", 4).map(() => new ws.WebSocket(`${daemon.public}/sub/${channel}`));
    t.after(() => (stop.abort(), sockets.forEach(socket => socket.terminate())));
    const read = async response => { for await (const _ of response.body); };
    for (let number = 0; number < 3; ++number)
        fetch(`${daemon.public}/sub/${channel}`, { signal: stop.signal }).then(read).catch(() => {});
    const ask = options => fetch(`${daemon.public}/sub/${channel}?${options}`, { signal: stop.signal }).then(answer => answer.json());
    const poll = async since => poll((await ask(`wait=25&since=${since}`)).next);
    poll("latest").catch(() => {});
    await daemon.subscribers(channel, 7);
    const publish = async () => {
        while (!stop.signal.aborted) {
            await Promise.all(texts("message", 1 + Math.floor(Math.random() * 8)).map(text => daemon.publish(channel, text).catch(() => {})));
            await sleep(50);
        }
    };
    publish();
}

describe("the dashboard", { concurrency: 3 }, () => {
    test("its figures move", async t => {
        const page = await openDashboard(t), began = await figure(page, "Connections");
        await traffic(t, "demo");
        await reaches("connections", () => figure(page, "Connections"), began + 7);
        await reaches("WebSockets", () => legend(page, "Connections", "WebSocket"), 4);
        await reaches("streams", () => legend(page, "Connections", "SSE"), 4); // with its own
        await reaches("subscriptions", () => figure(page, "Subscriptions"), 8);
        await reaches("published", () => figure(page, "Published"), 5);
        await reaches("delivered", () => figure(page, "Delivered"), 35);
        await reaches("deliveries by WebSocket", () => legend(page, "Deliveries a second", "WebSocket"), 20);
        await reaches("published by backends", () => legend(page, "Published a second", "by backends"), 5);
        assert.match(await page.locator("#about").textContent(), /^Fanhorn \d+\.\d+\.\d+, up \d+ (s|min), 2 workers$/);
        // The plots have a point for each second.
        await until(async () => (await page.locator("figure:has(h2:text-is('Deliveries a second')) path.edge.blue").getAttribute("d")).split("L").length > 5, "five points");
        // Where the pointer is, the legend is of that moment.
        await page.locator("figure .area").first().hover();
        await shows(page, "figure:first-child .head span", /\d:\d\d/);
        await page.locator("h1").hover();
        await shows(page, "figure:first-child .head span", /^last 3 minutes$/);
        assert.deepEqual(page.errors, []);
    });

    test("what went wrong is listed", async t => {
        const page = await openDashboard(t);
        const [first] = await daemon.publishAll("small:gap", texts("message", 8)); // of which it keeps 5
        const poll = await (await fetch(`${daemon.public}/sub/small:gap?wait=0&since=${first}`)).json();
        assert.equal(poll.gaps.length, 1);
        const large = await fetch(`${daemon.private}/pub/demo`, { method: "POST", body: "x".repeat(70_000) });
        assert.equal(large.status, 413);
        await shows(page, "#troubles tr:has-text('trimmed')", /^gaptrimmed[1-9]\d*[1-9]\d*$/);
        await shows(page, "#troubles tr:has-text('message_size')", /^limitmessage_size[1-9]\d*[1-9]\d*$/);
        assert.equal(await page.locator("#nothing").isVisible(), false);
    });

    test("a lost connection is shown, and a hole is left in the plots", async t => {
        const proxy = await Proxy.start(t, daemon.privatePort);
        const page = await openDashboard(t, { base: proxy.url });
        const pieces = async () => (await page.locator("figure:first-child path.edge.teal").getAttribute("d")).split("M").length - 1;
        await until(async () => await pieces() === 1, "a line");
        proxy.cut();
        await shows(page, "#state", /^connection lost, nothing new for [3-9] s$/);
        assert.match(await page.locator("#figures").getAttribute("class"), /stale/);
        proxy.restore();
        await shows(page, "#state", /^live$/);
        await until(async () => await pieces() === 2, "a line of two pieces");
        assert.equal(await page.locator("#figures").getAttribute("class"), "");
    });

    test("where there is no stream to be had, it tries again by itself", async t => {
        const page = await openDashboard(t);
        await page.context().route("**/dashboard/events", route => route.fulfill({ status: 502, body: "" }));
        await page.reload();
        await shows(page, "#state", /^no stream to be had; next try in [1-5] s$/);
        await page.context().unroute("**/dashboard/events");
        await shows(page, "#state", /^live$/);
    });

    test("a token in its query goes on to the stream", async t => {
        const proxy = await Proxy.start(t, daemon.privatePort);
        await openDashboard(t, { base: proxy.url, query: "?access_token=a%26b" });
        assert.ok(proxy.heads.some(head => head.startsWith("GET /dashboard/events?access_token=a%26b HTTP/1.1\r\n")), proxy.heads.join("\n\n"));
    });

    test("the relay's restart begins the plots anew", async t => {
        const own = await Daemon.start();
        t.after(() => own.stop());
        const page = await openDashboard(t, { base: own.private });
        await own.publishAll("demo", texts("message", 3));
        await until(async () => await page.evaluate("samples.length") > 3 && await page.evaluate("samples.at(-1).published") === 3, "four snapshots");
        await own.killAndRestart();
        await until(async () => await page.evaluate("samples.at(-1).published") === 0, "the new one's snapshots");
        await shows(page, "#state", /^live$/);
        assert.equal(await page.evaluate("samples.every((each, at) => !at || each.uptime > samples[at - 1].uptime && sum(each.rate.deliveries) >= 0)"), true);
    });

    // Of one page: nothing is wider than what it is in.
    const overflows = page => page.evaluate(() => [...document.querySelectorAll("html, main, .card, .card *:not(svg, svg *)")]
        .filter(each => each.scrollWidth > each.clientWidth + 1 && getComputedStyle(each).display !== "inline").map(each => `${each.tagName}.${each.className}: ${each.textContent.slice(0, 40)}`));

    test("it fits a desktop and a phone, light and dark", async t => {
        mkdirSync(kScreenshots, { recursive: true });
        const sizes = { desktop: { width: 1100, height: 760 }, phone: { width: 390, height: 844 } };
        const views = Object.entries(sizes).flatMap(([name, viewport]) => ["light", "dark"].map(colorScheme => ({ name, viewport, colorScheme })));
        await traffic(t, "demo");
        const pages = await Promise.all(views.map(view => openDashboard(t, view)));
        await fetch(`${daemon.private}/pub/demo`, { method: "POST", body: "x".repeat(70_000) });
        await shows(pages[0], "#troubles tr:has-text('message_size')", /message_size/);
        await until(async () => await pages[0].evaluate("samples.length") > 12, "a dozen snapshots");
        for (const [at, page] of pages.entries()) {
            const { name, colorScheme } = views[at];
            assert.deepEqual(await overflows(page), [], `${name}: too wide`);
            const png = await page.screenshot({ path: `${kScreenshots}/dashboard-${name}-${colorScheme}.png`, fullPage: true });
            assert.ok(png.length > 10_000, "an empty picture");
            assert.deepEqual(page.errors, []);
        }
    });

    test("it fits with the figures of a large relay, and with all that can go wrong", async t => {
        for (const width of [390, 1100]) {
            const page = await openDashboard(t, { viewport: { width, height: 800 } });
            await until(() => page.evaluate("samples.length"), "a snapshot");
            await page.evaluate(() => {
                const large = (each, by) => typeof each === "number" ? each + by : typeof each === "object" ? Object.fromEntries(Object.entries(each).map(([key, value]) => [key, large(value, by)])) : each;
                const { rate, isJoined, uptime, ...last } = samples.at(-1);
                samples = [];
                for (let second = 180; second >= 0; --second)
                    take({ ...large(last, 987_654_321 * (200 - second)), version: last.version, time: last.time - 1000 * second, uptime: uptime - 1000 * second, draining: 1 });
                take = () => {}; // the real ones would take these away
                show();
            });
            assert.deepEqual(await overflows(page), [], `at ${width}`);
            assert.ok(await page.locator("#troubles tbody tr").count() > 40);
            assert.match(await page.locator("#about").textContent(), /, draining$/);
        }
    });
});
