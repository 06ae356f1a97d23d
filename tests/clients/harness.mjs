// SPDX-License-Identifier: Apache-2.0
// The real fanhorn on free ports, and what the tests need around it. Node 18.19 or newer.
import { createHmac } from "node:crypto";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, connect } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "node:test";

export const kRoot = fileURLToPath(new URL("../../", import.meta.url));
const kFanhorn = resolve(kRoot, process.env.FANHORN || "build/fanhorn");
const kPatience = 20_000; // for anything that must happen

const kSecret = "a secret of more than 32 bytes, for HS256";
const config = (publicPort, privatePort, more) => `
[server]
workers = 2
[limits]
subscriptions = 1000
[listener public]
address = 127.0.0.1:${publicPort}
serve = subscribe, client
${more}
[listener private]
address = 127.0.0.1:${privatePort}
serve = publish, control, metrics
[channel **]
client_publish = public
[channel demo]
client_publish = public
[channel small:*]
client_publish = public
history = 5
[channel closed:*]
client_publish = off
[channel quick:*]
heartbeat = 1s
history = 100k
history_bytes = 32m
[channel polled:*]
transports = poll
[channel denied:*]
subscribe = deny
[channel scores:**]
wildcard = on
[channel delta:*]
delta = json-patch
client_publish = public
[auth users]
type = jwt
secret = ${kSecret}
[channel room:*]
subscribe = users
client_publish = users
presence = on
presence_grace = 500ms
joins = on
`;

// Of [auth users]: a token (RFC 7515) for a user of the rooms.
export function tokenOf(user, seconds = 60) {
    const part = object => Buffer.from(JSON.stringify(object)).toString("base64url");
    const exp = Math.floor(Date.now() / 1000) + seconds;
    const text = `${part({ alg: "HS256" })}.${part({ sub: user, exp, channels: ["room:*"], publish: ["room:*"] })}`;
    return `${text}.${createHmac("sha256", kSecret).update(text).digest("base64url")}`;
}

export const sleep = milliseconds => new Promise(done => setTimeout(done, milliseconds));

// Waits until probe() gives something true and returns that.
export async function until(probe, what, patience = kPatience) {
    for (const end = Date.now() + patience;;) {
        const found = await probe();
        if (found)
            return found;
        if (Date.now() > end)
            throw new Error(`not within ${patience} ms: ${typeof what === "function" ? await what() : what}`);
        await sleep(20);
    }
}

async function freePort() {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address();
    server.close();
    await once(server, "close");
    return port;
}

export class Daemon {
    #folder = mkdtempSync(join(tmpdir(), "fanhorn-clients-"));
    #process;
    #conf;
    #more = ""; // settings of the public listener, and sections
    #log = "";

    // With our own configuration, or that of a file here, at ports of ours.
    static async start(conf = "") {
        const daemon = new Daemon();
        daemon.#conf = conf;
        await daemon.#listen("http");
        return daemon;
    }

    // The same over TLS, with a certificate that nobody knows.
    static async startSecured() {
        const daemon = new Daemon(), key = join(daemon.#folder, "key.pem"), certificate = join(daemon.#folder, "cert.pem");
        execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                                 "-subj", "/CN=localhost", "-keyout", key, "-out", certificate], { stdio: "ignore" });
        daemon.#more = `tls = main\n[tls main]\ncertificate = ${certificate}\nkey = ${key}\n`;
        await daemon.#listen("https");
        return daemon;
    }

    async #listen(scheme) {
        this.publicPort = await freePort();
        this.privatePort = await freePort();
        this.public = `${scheme}://127.0.0.1:${this.publicPort}`;
        this.private = `http://127.0.0.1:${this.privatePort}`;
        await this.#run();
    }

    async #run() {
        const file = this.#conf ? kRoot + this.#conf : join(this.#folder, "fanhorn.conf");
        const ports = { public: this.publicPort, private: this.privatePort };
        if (!this.#conf)
            writeFileSync(file, config(this.publicPort, this.privatePort, this.#more));
        const more = Object.entries(this.#conf ? ports : {}).flatMap(([name, port]) => ["-g", `listener ${name}.address=127.0.0.1:${port}`]);
        this.#process = spawn(kFanhorn, ["-c", file, ...more], { stdio: ["ignore", "pipe", "pipe"] });
        this.#process.on("error", error => (this.#log += error.message));
        for (const stream of [this.#process.stdout, this.#process.stderr])
            stream.on("data", bytes => (this.#log += bytes));
        await until(() => {
            if (this.#process.exitCode !== null || this.#process.pid === undefined)
                throw new Error(`the daemon did not start:\n${this.#log}`);
            return fetch(`${this.private}/readyz`).then(answer => answer.ok, () => false);
        }, () => `readiness\n${this.#log}`);
    }

    // As after a power cut: what a memory broker had is gone. Returns how long it was away, in ms.
    async killAndRestart(pause = 0) {
        const start = Date.now(), exit = once(this.#process, "exit");
        this.#process.kill("SIGKILL");
        await exit;
        await sleep(pause);
        await this.#run();
        return Date.now() - start;
    }

    // Ends it and checks that it went well.
    async stop() {
        try {
            const { exitCode, signalCode } = this.#process;
            if (exitCode !== null || signalCode !== null)
                throw new Error(`ended early with ${exitCode ?? signalCode}:\n${this.#log}`);
            const exit = once(this.#process, "exit");
            this.#process.kill("SIGTERM");
            const [code, signal] = await exit;
            if (code !== 0)
                throw new Error(`exit code ${code ?? signal}:\n${this.#log}`);
        } finally {
            this.#process.kill("SIGKILL");
            rmSync(this.#folder, { recursive: true, force: true });
        }
    }

    // As curl -d does it; returns the id.
    async publish(channel, body, options = {}, type = "application/x-www-form-urlencoded") {
        const url = new URL(`${this.private}/pub/${channel}`);
        url.search = new URLSearchParams(options);
        const answer = await fetch(url, { method: "POST", body, headers: { "Content-Type": type } });
        if (answer.status !== 200)
            throw new Error(`publish to ${channel}: ${answer.status} ${await answer.text()}`);
        return (await answer.json()).id;
    }

    // Publishes texts one after the other and returns their ids.
    async publishAll(channel, texts) {
        const ids = [];
        for (const text of texts)
            ids.push(await this.publish(channel, text));
        return ids;
    }

    // name{labels}, as written, to value.
    async metrics() {
        const text = await (await fetch(`${this.private}/metrics`)).text();
        return Object.fromEntries(text.split("\n").filter(line => line && !line.startsWith("#")).map(line => {
            const end = line.lastIndexOf(" ");
            return [line.slice(0, end), Number(line.slice(end + 1))];
        }));
    }

    // Waits until so many are connected to the channel.
    async subscribers(channel, count) {
        let last = "";
        await until(async () => {
            const answer = await fetch(`${this.private}/pub/${channel}`);
            last = await answer.text();
            if (!answer.ok)
                return false;
            const { subscribers } = JSON.parse(last);
            return Object.values(subscribers).reduce((sum, each) => sum + each, 0) >= count;
        }, () => `${count} subscribers of ${channel}: ${last}`);
    }
}

// Ends a connection by a reset. Not one whose end was just written: node 20 then never closes it,
// and spins when it exits.
export const reset = socket => socket.writableEnded ? socket.destroy() : socket.resetAndDestroy();

// A TCP proxy between a client and the daemon, whose connections a test can cut.
export class Proxy {
    #server;
    #pairs = new Set();
    #refuses = false;
    down = "";   // what the daemon sent
    heads = [];  // of the requests that passed

    // Stopped when the test t ends, however it does.
    static async start(t, port) {
        const proxy = new Proxy();
        t.after(() => proxy.#stop());
        proxy.#server = createServer(client => proxy.#accept(client, port)).listen(0, "127.0.0.1");
        await once(proxy.#server, "listening");
        proxy.port = proxy.#server.address().port;
        proxy.url = `http://127.0.0.1:${proxy.port}`;
        return proxy;
    }

    #accept(client, port) {
        if (this.#refuses)
            return reset(client);
        const daemon = connect(port, "127.0.0.1");
        const pair = [client, daemon];
        this.#pairs.add(pair);
        client.on("data", bytes => {
            const text = bytes.toString("latin1");
            if (/^[A-Z]+ \/\S* HTTP\/1\.1\r\n/.test(text))
                this.heads.push(text.split("\r\n\r\n")[0]);
        });
        daemon.on("data", bytes => (this.down += bytes.toString("latin1")));
        client.pipe(daemon).pipe(client);
        for (const socket of pair) {
            socket.on("error", () => {});
            socket.on("close", () => {
                this.#pairs.delete(pair);
                pair.forEach(each => each.destroy());
            });
        }
    }

    // Cuts all connections and refuses new ones until restore().
    cut() {
        this.#refuses = true;
        for (const [client, daemon] of this.#pairs) {
            reset(client);
            daemon.destroy();
        }
    }

    restore() { this.#refuses = false; }

    async #stop() {
        this.cut();
        this.#server?.close();
    }
}

// Tests for a file that needs an npm package (or a program): all of them are skipped without it.
export function suite(missing, timeout = 60_000) {
    return (name, run) => test(name, { timeout, skip: missing ? `${missing} is missing` : false }, run);
}

// The module, or null where npm's packages could not be had.
export async function load(name) {
    try {
        return await import(name);
    } catch (error) {
        if (error.code === "ERR_MODULE_NOT_FOUND")
            return null;
        throw error;
    }
}

export const kId = /^[0-9a-z]{1,12}\.[0-9]{1,20}$/;
export const texts = (prefix, count) => Array.from({ length: count }, (_, index) => `${prefix} ${index + 1}`);
