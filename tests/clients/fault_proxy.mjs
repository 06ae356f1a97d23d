// SPDX-License-Identifier: Apache-2.0
// A proxy with faults, between a client and the daemon. Outside is TCP, whose connections can be
// cut, delayed and dropped; inside is HTTP, which can refuse, swallow, buffer and answer 502.
import { once } from "node:events";
import { createServer as createHttpServer, request } from "node:http";
import { connect, createServer } from "node:net";
import { reset } from "./harness.mjs";

export class FaultProxy {
    #outer; #inner; #port; #innerPort;
    #pairs = new Set();
    #timer;
    heads = [];           // "METHOD path" of the requests that passed
    // Faults, as they are set:
    upgrades = "pass";    // or "refuse" (403), "swallow" (no answer ever)
    buffers = false;      // answers' heads and bodies are held until they are whole, as bad proxies do
    badGateway = false;   // 502 for everything
    refuses = false;      // new connections are reset
    delay = 0;            // milliseconds, each way
    #isDropping = false;

    // Stopped when the test t ends, however it does.
    static async start(t, port) {
        const proxy = new FaultProxy();
        t.after(() => proxy.#stop());
        proxy.#port = port;
        proxy.#inner = createHttpServer((...both) => proxy.#pass(...both)).listen(0, "127.0.0.1");
        proxy.#inner.on("upgrade", (...all) => proxy.#upgrade(...all));
        proxy.#inner.on("clientError", (_, socket) => socket.destroy());
        proxy.#inner.keepAliveTimeout = 60_000;
        await once(proxy.#inner, "listening");
        proxy.#innerPort = proxy.#inner.address().port;
        proxy.#outer = createServer(client => proxy.#accept(client)).listen(0, "127.0.0.1");
        await once(proxy.#outer, "listening");
        proxy.url = `http://127.0.0.1:${proxy.#outer.address().port}`;
        return proxy;
    }

    // ---- TCP

    #accept(client) {
        if (this.refuses)
            return reset(client);
        const server = connect(this.#innerPort, "127.0.0.1");
        const pair = { sockets: [client, server], isDropped: this.#isDropping, held: [] };
        this.#pairs.add(pair);
        this.#forward(pair, client, server);
        this.#forward(pair, server, client);
    }

    #forward(pair, from, to) {
        const send = bytes => { if (!to.destroyed) bytes ? to.write(bytes) : to.end(); };
        const relay = bytes => {
            if (pair.isDropped)
                pair.held.push(() => send(bytes));
            else if (this.delay)
                setTimeout(send, this.delay, bytes);
            else
                send(bytes);
        };
        from.on("data", relay);
        from.on("end", () => relay(null));
        from.on("error", () => {});
        // Of a connection whose packets are dropped the other side does not hear the end.
        from.on("close", () => {
            if (!pair.isDropped && !this.delay)
                this.#cut(pair);
        });
    }

    #cut(pair) {
        this.#pairs.delete(pair);
        pair.sockets.forEach(each => each.destroyed || reset(each));
    }

    cut() { [...this.#pairs].forEach(pair => this.#cut(pair)); }

    // Each connection lives for least to most milliseconds from now on.
    cutAtRandom(least, most) {
        const due = new Map();
        this.#timer = setInterval(() => {
            for (const pair of this.#pairs) {
                if (!due.has(pair))
                    due.set(pair, Date.now() + least + Math.random() * (most - least));
                if (Date.now() > due.get(pair))
                    this.#cut(pair);
            }
        }, 20);
    }

    // Nothing passes, and nobody is told. What is open now stays so for ever, as behind a NAT that
    // has forgotten it; what comes meanwhile passes when it is over.
    drop() {
        this.#isDropping = true;
        for (const pair of this.#pairs)
            pair.isDropped = pair.isLost = true;
    }

    // Ends all faults.
    restore() {
        clearInterval(this.#timer);
        Object.assign(this, { upgrades: "pass", buffers: false, badGateway: false, refuses: false, delay: 0 });
        this.#isDropping = false;
        for (const pair of this.#pairs)
            if (pair.isDropped && !pair.isLost) {
                pair.isDropped = false;
                pair.held.splice(0).forEach(run => run());
            }
    }

    // ---- HTTP

    #pass(asked, answer) {
        this.heads.push(`${asked.method} ${asked.url}`);
        if (this.badGateway) {
            answer.writeHead(502, { "Content-Type": "text/html", "Access-Control-Allow-Origin": "*" });
            return answer.end("<h1>Bad Gateway</h1>");
        }
        const { method, url: path, headers } = asked, { buffers } = this;
        const up = request({ port: this.#port, host: "127.0.0.1", method, path, headers, agent: false }, from => {
            const head = () => answer.writeHead(from.statusCode, from.headers);
            if (!buffers) {
                head();
                answer.flushHeaders();
                from.pipe(answer);
                return from.on("error", () => answer.destroy()).on("aborted", () => answer.destroy());
            }
            const pieces = [];
            from.on("data", piece => pieces.push(piece)).on("error", () => answer.destroy());
            from.on("end", () => { head(); answer.end(Buffer.concat(pieces)); });
        });
        up.on("error", () => answer.headersSent ? answer.destroy() : answer.writeHead(502, { "Access-Control-Allow-Origin": "*" }).end());
        answer.on("close", () => up.destroy());
        asked.pipe(up);
    }

    #upgrade(asked, client, first) {
        this.heads.push(`UPGRADE ${asked.url}`);
        client.on("error", () => {});
        if (this.upgrades === "swallow")
            return;
        if (this.badGateway || this.upgrades === "refuse")
            return client.end(`HTTP/1.1 ${this.badGateway ? 502 : 403} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
        const server = connect(this.#port, "127.0.0.1");
        const lines = [`${asked.method} ${asked.url} HTTP/1.1`];
        for (let i = 0; i < asked.rawHeaders.length; i += 2)
            lines.push(`${asked.rawHeaders[i]}: ${asked.rawHeaders[i + 1]}`);
        server.write(`${lines.join("\r\n")}\r\n\r\n`);
        server.write(first);
        server.on("error", () => client.destroy());
        server.on("close", () => client.destroy());
        client.on("close", () => server.destroy());
        client.pipe(server).pipe(client);
    }

    #stop() {
        this.restore();
        this.cut();
        this.#outer?.close();
        this.#inner?.close();
        this.#inner?.closeAllConnections();
    }
}
