// SPDX-License-Identifier: Apache-2.0
// The relay is killed and comes back: do its clients come back together? FANHORN_SOAK=1 for 10,000.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Daemon, load, sleep, suite, until } from "./harness.mjs";

// Where thousands share a machine's cores, tries of all four rungs would take so long that only the
// cores spread them; and the backoffs need time to grow wide.
const kSwarm = process.env.FANHORN_SOAK ? { processes: 4, clients: 2500, away: 20_000, transports: "websocket", most: 0.15 }
                                        : { processes: 2, clients: 150, away: 2000, transports: "", most: 0.6 };
const ws = await load("ws");
const test = suite(!ws && "npm's ws", 170_000);

// A process with that many clients; its lines are what they tell.
function swarm(t, daemon) {
    const child = spawn("node", [fileURLToPath(new URL("swarm.mjs", import.meta.url)), daemon.public, kSwarm.clients, kSwarm.transports], { stdio: ["pipe", "pipe", "inherit"] });
    t.after(() => child.kill());
    const one = { child, open: 0, tries: [], opens: [], dues: [], got: 0, late: 0 };
    createInterface({ input: child.stdout }).on("line", line => {
        const [what, ...numbers] = line.split(" ");
        if (what === "open")
            one.open = Number(numbers[0]);
        else if (what === "got")
            one.got = Number(numbers[0]);
        else if (what === "late")
            one.late = Math.max(one.late, numbers[0]);
        else
            one[what].push(...numbers.map(Number));
    });
    return one;
}

function histogram(times, from) {
    const bins = [];
    for (const time of times)
        bins[Math.floor((time - from) / 500)] = (bins[Math.floor((time - from) / 500)] || 0) + 1;
    return Array.from(bins, each => each || 0);
}

// The most that are within half a second, wherever it begins.
function crowd(times) {
    times.sort((one, other) => one - other);
    let first = 0;
    return Math.max(...times.map((time, at) => {
        while (times[first] <= time - 500)
            ++first;
        return at - first + 1;
    }));
}

test("a restart: the clients come back spread out", async t => {
    const daemon = await Daemon.start();
    t.after(() => daemon.stop());
    const total = kSwarm.processes * kSwarm.clients;
    const all = Array.from({ length: kSwarm.processes }, () => swarm(t, daemon));
    const sum = name => all.reduce((sum, each) => sum + each[name], 0);
    await until(() => sum("open") === total, () => `${sum("open")} of ${total} open`, 80_000);
    const killed = Date.now(), away = await daemon.killAndRestart(kSwarm.away);
    const back = killed + away;
    all.forEach(each => { each.late = 0; });
    await until(() => sum("open") === total, () => `${sum("open")} of ${total} back`, 80_000);
    await daemon.publish("storm", "after");
    await until(() => sum("got") === total, () => `${sum("got")} of ${total} got it`, 40_000);
    await sleep(100);
    const since = (name, start) => all.flatMap(each => each[name]).filter(time => time > start);
    const tries = since("tries", killed), opens = since("opens", back), bins = histogram(opens, back), most = Math.max(...bins);
    const dues = since("dues", killed), meant = crowd(dues);
    console.log([`${total} clients, the daemon away for ${away} ms: back within ${((Math.max(...opens) - back) / 1000).toFixed(1)} s, ` +
                 `${(tries.length / total).toFixed(1)} tries each, at most ${most} in half a second (${meant} had meant to); a client process was late by ${Math.max(...all.map(each => each.late))} ms`,
                 ...bins.map((count, at) => `${String(at / 2).padStart(5)} s ${String(count).padStart(6)} ${"#".repeat(Math.ceil(count * 60 / most))}`)].join("\n"));
    // As many backoffs have run as there was time for, so all would be in one half second without jitter.
    // What counts is when they meant to come: a machine that stalls brings some of them together.
    assert.ok(dues.length > total * 0.9, `${dues.length} of ${total} waited`);
    assert.ok(meant < total * kSwarm.most, `${meant} of ${total} meant to come in one half second`);
    assert.ok(bins.filter(count => count > total / 100).length >= 3, bins.join());
    for (const { child } of all) {
        child.stdin.end();
        assert.deepEqual(await once(child, "exit"), [0, null]);
    }
});
