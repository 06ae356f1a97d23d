// SPDX-License-Identifier: Apache-2.0
// The client in Chromium behind a proxy with faults: whatever happens, messages come in order, once,
// or as a told gap, and the ladder moves as src/client/README.md says. Prints what it did.
import assert from "node:assert/strict";
import { after, before, describe } from "node:test";
import { launch, missing } from "./browser.mjs";
import { FaultProxy } from "./fault_proxy.mjs";
import { Daemon, sleep, suite, until } from "./harness.mjs";

const test = suite(missing, 150_000);
const kNames = ["websocket", "sse", "longpoll", "poll"];
const kSets = [undefined, ...kNames.map(name => [name])].map(transports => (
    { transports, first: transports?.[0] || "websocket", label: transports ? `${transports} alone` : "all four" }));
const kDropFor = 40_000;
const kPublishEvery = 100;
const kSlack = 8; // seconds, beside what the ladder is given: many pages start at once on few CPUs
const rows = [];
let daemon, browser, shared, count = 0;

before(async () => {
    if (missing)
        return;
    daemon = await Daemon.start();
    browser = await launch();
    shared = await openPage();
});
// Where globalThis.open() makes a client.
async function openPage() {
    const page = await (await browser.newContext()).newPage();
    await page.goto(`${daemon.public}/healthz`);
    await page.evaluate(async () => {
        const { Fanhorn } = await import("/fanhorn.mjs");
        globalThis.clients = {};
        globalThis.open = (name, base, channel, options) => {
            const client = new Fanhorn(`${base}/sub/`, options), start = Date.now();
            const one = globalThis.clients[name] = { client, items: [], states: [], errors: [] };
            client.addEventListener("state", ({ state, transport, trying, error }) => one.states.push(
                { at: Date.now() - start, state, transport, trying, error: error?.message }));
            one.subscription = client.subscribe(channel, {
                onmessage: ({ id, data }) => one.items.push({ id, data }),
                ongap: gap => one.items.push({ gap }),
                onerror: ({ code, message }) => one.errors.push(code || message),
            });
        };
    });
    return page;
}
after(async () => {
    await browser?.close();
    await daemon?.stop();
    const line = cells => `| ${cells.map((each, at) => String(each).padEnd([34, 11, 62, 8][at])).join(" | ")} |`;
    if (rows.length)
        console.log(["", line(["fault", "transports", "what the client did", "seconds"]), line(["---", "---", "---", "---"]),
                     ...rows.sort().map(line), ""].join("\n"));
});

// A client behind a proxy of its own, and a publisher to its channel that numbers what it sends.
class Client {
    sent = [];
    #isSending = true;

    static async open(t, { to = daemon, transports, channel = `quick:${++count}`, fault = () => {}, ...options } = {}) {
        const client = new Client();
        // A renderer whose WebSockets fail is made to wait with the next ones, so each has its own.
        client.page = !transports || transports[0] === "websocket" ? await openPage() : shared;
        Object.assign(client, { name: `${++count}`, channel, daemon: to, transports: transports || kNames });
        client.proxy = await FaultProxy.start(t, to.publicPort);
        fault(client.proxy);
        client.start = Date.now();
        await client.page.evaluate(([name, base, channel, options]) => globalThis.open(name, base, channel, options),
                            [client.name, client.proxy.url, channel, { transports, pollInterval: 500, heartbeat: 1, ...options }]);
        t.after(() => client.page.evaluate(name => globalThis.clients[name].client.close(), client.name));
        client.sending = client.#send();
        t.after(() => client.stop());
        return client;
    }

    async #send() {
        for (let number = 1; this.#isSending; ++number) {
            await this.daemon.publish(this.channel, String(number)).then(id => this.sent.push({ id, data: String(number) }), () => sleep(100));
            await sleep(kPublishEvery);
        }
    }

    async stop() {
        this.#isSending = false;
        await this.sending;
    }

    look() {
        return this.page.evaluate(name => {
            const { client, items, states, errors, subscription } = globalThis.clients[name];
            return { state: client.state, transport: client.transport, items, states, errors, position: subscription.position };
        }, this.name);
    }

    // Seconds from `since` on until it is open on that transport, with a new message arrived.
    async isOn(transport, within, since = Date.now()) {
        let last;
        const count = ({ items }) => items.filter(item => item.id).length, before = count(await this.look());
        await until(async () => {
            last = await this.look();
            return last.state === "open" && last.transport === transport && count(last) > before;
        }, () => `${transport} within ${within} s: ${JSON.stringify({ ...last, items: last.items.length }, null, 1)}`, (within + kSlack) * 1000);
        return (Date.now() - since) / 1000;
    }

    row(fault, did, seconds) {
        rows.push([fault, this.transports.length === 4 ? "all four" : this.transports.join(), did, seconds.toFixed(1)]);
    }

    // All that was sent from the first that it got on, in order, once; where a gap was told, not
    // what came before it.
    async gotAll() {
        await this.stop();
        const last = this.sent.at(-1).id;
        const { items, errors } = await until(async () => {
            const seen = await this.look();
            return seen.items.some(item => item.id === last) && seen;
        }, async () => `the last message: ${JSON.stringify(await this.look())}`);
        assert.deepEqual(errors, []);
        const gap = items.findLastIndex(item => item.gap), messages = items.slice(gap + 1);
        assert.ok(messages.length, `a gap behind the last message: ${JSON.stringify(items.slice(-8))}`);
        const from = this.sent.findIndex(({ id }) => id === messages[0].id);
        assert.notEqual(from, -1);
        assert.deepEqual(messages, this.sent.slice(from));
        const ids = items.filter(item => item.id).map(item => item.id);
        assert.equal(new Set(ids).size, ids.length, "doubles");
        return items.filter(item => item.gap).map(item => item.gap);
    }
}

// Nearly all of each is waiting.
describe("the ladder", { concurrency: 16 }, () => {
    // First, since they take longest.
    for (const { transports, first, label } of kSets) {
        test(`dropped in silence, ${label}`, async t => {
            const client = await Client.open(t, { transports });
            await client.isOn(first, 3);
            client.proxy.drop();
            const start = Date.now();
            const noticed = await until(async () => (await client.look()).state !== "open" && (Date.now() - start) / 1000, "noticed", 70_000);
            await sleep(Math.max(0, kDropFor - (Date.now() - start)));
            client.proxy.restore();
            const back = Date.now();
            let reached;
            await until(async () => {
                const seen = await client.look();
                reached = seen.transport;
                return seen.items.at(-1)?.id === client.sent.at(-1)?.id && reached;
            }, "back", 40_000);
            client.row(`nothing passes for ${kDropFor / 1000} s`, `noticed after ${noticed.toFixed(1)} s; ${reached} when it passes again`, (Date.now() - back) / 1000);
            assert.deepEqual(await client.gotAll(), []);
        });
    }

    test("opens by WebSocket where nothing is wrong", async t => {
        const client = await Client.open(t);
        client.row("none", "websocket", await client.isOn("websocket", 3, client.start));
        assert.deepEqual(await client.gotAll(), []);
    });

    test("an upgrade that is refused: SSE, at once", async t => {
        const client = await Client.open(t, { fault: proxy => { proxy.upgrades = "refuse"; } });
        client.row("upgrade refused", "sse", await client.isOn("sse", 3, client.start));
        assert.deepEqual(await client.gotAll(), []);
    });

    test("an upgrade that nobody answers: SSE, when 5 s are over", async t => {
        const client = await Client.open(t, { fault: proxy => { proxy.upgrades = "swallow"; } });
        client.row("upgrade never answered", "sse", await client.isOn("sse", 8, client.start));
        assert.deepEqual(await client.gotAll(), []);
    });

    test("a proxy that buffers: long polling, when 5 s are over", async t => {
        const client = await Client.open(t, { fault: proxy => Object.assign(proxy, { upgrades: "refuse", buffers: true }) });
        const seconds = await client.isOn("longpoll", 8, client.start);
        assert.ok(seconds > 4.9);
        client.row("upgrade refused, answers buffered", "longpoll", seconds);
        assert.deepEqual(await client.gotAll(), []);
    });

    test("all of it together: long polling, when 10 s are over", async t => {
        const client = await Client.open(t, { fault: proxy => Object.assign(proxy, { upgrades: "swallow", buffers: true }) });
        client.row("upgrade never answered, answers buffered", "longpoll", await client.isOn("longpoll", 13, client.start));
        assert.deepEqual(await client.gotAll(), []);
    });

    test("a channel that only allows polling: short polling", async t => {
        const client = await Client.open(t, { channel: "polled:1" });
        client.row("the channel allows poll only", "poll", await client.isOn("poll", 8, client.start));
        assert.deepEqual(await client.gotAll(), []);
    });

    test("WebSockets that are blocked after they worked: SSE; and up again when they are not", async t => {
        const client = await Client.open(t, { climb: 4000 });
        await client.isOn("websocket", 3);
        client.proxy.upgrades = "refuse";
        client.proxy.cut();
        client.row("upgrades refused after one worked", "2 tries of websocket, then sse", await client.isOn("sse", 8));
        client.proxy.restore();
        client.row("upgrades allowed again", "websocket, with climb = 4 s and no break", await client.isOn("websocket", 20));
        assert.deepEqual(await client.gotAll(), []);
        const { states } = await client.look();
        const last = states.findLastIndex(each => each.state === "waiting");
        assert.deepEqual(states.slice(last + 1).filter(each => each.state === "open").map(each => each.transport), ["sse", "websocket"]);
    });

    test("a proxy that begins to buffer after SSE worked: long polling", async t => {
        const client = await Client.open(t, { fault: proxy => { proxy.upgrades = "refuse"; } });
        await client.isOn("sse", 3);
        client.proxy.buffers = true;
        client.proxy.cut();
        client.row("answers buffered after sse worked", "2 tries of sse, then longpoll", await client.isOn("longpoll", 20));
        assert.deepEqual(await client.gotAll(), []);
    });

    for (const { transports, first, label } of kSets) {
        test(`one cut, ${label}`, async t => {
            const client = await Client.open(t, { transports });
            await client.isOn(first, 3);
            client.proxy.cut();
            client.row("one cut", `${first} again`, await client.isOn(first, 8));
            assert.deepEqual(await client.gotAll(), []);
        });

        test(`cut at random, ${label}`, async t => {
            const client = await Client.open(t, { transports });
            await client.isOn(first, 3);
            client.proxy.cutAtRandom(100, 2500);
            await sleep(15_000);
            const { states } = await client.look();
            client.proxy.restore();
            client.row("cut at random, 0.1 to 2.5 s, for 15 s", [...new Set(states.filter(each => each.state === "open").map(each => each.transport))].join(", "), 15);
            assert.deepEqual(await client.gotAll(), []);
            if (!transports)
                assert.ok(states.some(each => each.transport && each.transport !== "websocket"), "it went down");
        });

        test(`delayed, ${label}`, async t => {
            const client = await Client.open(t, { transports, fault: proxy => { proxy.delay = 400; } });
            client.row("every byte 0.4 s late", first, await client.isOn(first, 6, client.start));
            await sleep(5000);
            const { states } = await client.look();
            assert.equal(states.filter(each => each.state === "open").length, 1);
            assert.deepEqual(await client.gotAll(), []);
        });

        test(`502, ${label}`, async t => {
            const client = await Client.open(t, { transports, climb: 2000 });
            await client.isOn(first, 3);
            client.proxy.badGateway = true;
            client.proxy.cut();
            await sleep(5000);
            assert.notEqual((await client.look()).state, "open");
            client.proxy.restore();
            client.row("502 for 5 s", `${first} again`, await client.isOn(first, 12));
            assert.deepEqual(await client.gotAll(), []);
        });

        test(`the daemon is killed, ${label}`, async t => {
            const own = await Daemon.start();
            t.after(() => own.stop());
            const client = await Client.open(t, { transports, to: own, climb: 2000 }); // it may come back on a lower rung
            await client.isOn(first, 3);
            await own.killAndRestart(1000);
            client.row("daemon killed, back after 1 s", `gap told, ${first} again`, await client.isOn(first, 10));
            const gaps = await client.gotAll();
            assert.deepEqual(gaps.map(gap => gap.why), ["epoch"]);
        });
    }
});
