// SPDX-License-Identifier: Apache-2.0
// Fanhorn's client for browsers and Node: one class, no dependency. README.md says what it does,
// fanhorn.d.ts what it takes and gives. What the daemon serves is made of this file by minify.py,
// whose head says what it asks of the way this is written.

const kOpenWithin = 5000;          // a rung whose first bytes take longer does not bear
const kStable = 10000;             // a connection that lived so long was a good one
const kLeast = 500;                // backoff
const kMost = 30000;
const kLongest = 900000;           // between tries of the rungs above
const kBeat = 5000;                // of the tab that leads
const kRefusals = /40[0134]/;
const kIsFinal = /^(bad_|channel_|forb|not_|unau)/; // codes that another try does not change
const kUnfit = "not_acceptable"; // on this rung
const kRungs = ["websocket", "sse", "longpoll", "poll"];
const kKinds = ["gap", "join", "leave", "end", "error"];

const none = () => {};
const random = (least, most) => least + Math.random() * (most - least);
const defined = members => JSON.parse(JSON.stringify(members)); // without those that are undefined
const failure = (message, members) => Object.assign(new Error(message), members);

// Above 0 when the id is above the other one; NaN when they are of two epochs, or not both ids.
function order(id, other = "") {
    const [epoch, seq] = id.split("."), [otherEpoch, otherSeq] = other.split(".");
    return epoch === otherEpoch ? seq - otherSeq : NaN;
}

// In milliseconds. Whole seconds would bring those who were refused together.
function retryAfter(answer) {
    const seconds = answer.headers.get("Retry-After");
    return seconds && (+seconds || 5) * 1000 + random(0, 1000);
}

// RFC 9457, or whatever a proxy answers.
async function problem(answer) {
    const { code, detail } = await answer.json().catch(() => ({}));
    return failure(detail || `status ${answer.status}`, { code, status: answer.status, _wait: retryAfter(answer) });
}

const jsonRequest = (body, headers) =>
    ({ method: "POST", headers: { ...headers, "Content-Type": "application/json" }, body: JSON.stringify(body) });

// ---- RFC 6902, as far as the relay uses it, on a copy. The document is the member "" of an object
// around it, as its path says.

export function applyPatch(document, patch) {
    const whole = { "": structuredClone(document) };
    const own = (at, key) => {
        if (!Object.hasOwn(at, key))
            throw failure("the patch does not fit");
        return at[key];
    };
    for (const { op, path, value } of patch) {
        const keys = path.split("/").map(key => key.replaceAll("~1", "/").replaceAll("~0", "~"));
        const key = keys.pop(), at = keys.reduce(own, whole);
        if (op !== "add")
            own(at, key);
        if (Array.isArray(at))
            at.splice(key === "-" ? at.length : key, op !== "add", ...op === "remove" ? [] : [value]);
        else if (op === "remove")
            delete at[key];
        else // a member may be called __proto__
            Object.defineProperty(at, key, { ...Object.getOwnPropertyDescriptor(whole, ""), value });
    }
    return whole[""];
}

// ---- what subscribe() gives: a position, and handlers that run one after the other

class Subscription {
    constructor(client, entry, options) {
        this.channel = entry._name;
        this._client = client;
        this._options = options;
        this._queue = [];
        this._since = options.since || "latest";
        // Of a wildcard: the last id of each channel, where that is above the position.
        this._ids = entry._pattern && new Map();
        if (/\./.test(this._since))
            this.position = this._since;
    }

    unsubscribe() {
        this._isOver = true;
        this._client._drop(this);
    }

    _push(item) {
        this._queue.push(item);
        if (!this._isBusy)
            this._run();
    }

    // The position moves when the handler is done. What it throws does not cost the connection.
    async _run() {
        this._isBusy = true;
        while (this._queue.length && !this._isOver) {
            const item = this._queue.shift();
            if (this._isOld(item))
                continue;
            try {
                const running = this._tell(item);
                if (running?.then)
                    await running;
            } catch (error) {
                (globalThis.reportError || console.error)(error);
            }
            this._moveTo(item);
        }
        this._isBusy = false;
    }

    // A duplicate, or a gap that another subscription's older position brought up. What is retained
    // stands outside the order.
    _isOld({ channel, id, retained, gap }) {
        const next = gap ? gap.why !== "ahead" && gap.next : !retained && id;
        return next && [this.position, this._ids?.get(channel)].some(last => order(next, last) <= 0);
    }

    _tell(item) {
        if (this._options._raw)
            return this._options._raw(item);
        if (item.id)
            return this._options.onmessage?.(item);
        for (const kind of kKinds)
            if (item[kind])
                return this._options["on" + kind]?.(item[kind], item.channel);
    }

    // Of a wildcard one channel's messages say nothing of the others'.
    _moveTo({ channel, id, retained, gap, position }) {
        const ids = this._ids;
        if (id && !retained)
            ids ? ids.set(channel, id) : position = id;
        if (position && !(order(position, this.position) <= 0)) {
            this.position = position;
            ids?.forEach((last, each) => order(last, position) > 0 || ids.delete(each));
        }
        if (gap && /epoch|ahead/.test(gap.why)) {
            // What follows is not above the old position, and begins with the earliest there is.
            this.position = undefined;
            this._since = "earliest";
            ids?.clear();
        }
    }
}

// One channel or wildcard as the server knows it, for all subscriptions to it that are here.
class Entry {
    constructor(name, { filter, delta }) {
        this._name = name;
        this._query = { filter, delta: delta ? "json-patch" : undefined };
        this._all = new Set();
        this._isStale = true;
        const pattern = name.replace(/[^\w*]/gu, "\\$&").replace(/\*+/g, stars => stars[1] ? "[^*]+" : "[^.:/*]+");
        this._pattern = /\*/.test(name) ? RegExp(`^(?!\\$)${pattern}$`) : null;
    }

    // Where to start so that nobody here misses anything: an id, or else what was asked for.
    get _from() {
        let from;
        for (const { position, _since } of this._all) {
            if (!position && _since !== "latest")
                return _since;
            if (position && !(order(position, from || position) > 0))
                from = position;
        }
        return from || "latest";
    }

    // That, and from now on what comes is for all of them.
    _start() {
        const from = this._from;
        this._isStale = false;
        for (const each of this._all)
            each._isWaiting = false;
        return from;
    }

    _push(item) {
        this._last = item.id || item.position || this._last;
        for (const each of this._all)
            if (!each._isWaiting)
                each._push(item);
    }
}

// ---- a connection on one rung: opened once, ended once

class Link {
    constructor(client) {
        this._client = client;
        this._documents = new Map();
        this._opened = new Promise(done => { this._tried = done; });
        this._ended = new Promise(done => { this._done = done; });
        this._timer = setTimeout(() => this._end(failure("timeout")), kOpenWithin);
        this._hear();
    }

    // Any bytes feed the watchdog.
    _hear() { this._heard = Date.now(); }

    _open(seconds) {
        clearTimeout(this._timer);
        this._patience = seconds * 2000 + 5000;
        this._isOpen = true;
        this._tried();
    }

    _end(error) {
        if (this._isOver)
            return;
        this._isOver = true;
        clearTimeout(this._timer);
        this._close();
        this._tried(error);
        this._done(error);
    }

    // Hands an envelope to those of the set of entries that it is for.
    _take(envelope, entries) {
        const { base, patch, base64, ...item } = envelope, { channel, id } = item, client = this._client;
        if (base64 !== undefined)
            item.data = Uint8Array.from(atob(base64), byte => byte.charCodeAt(0));
        if (patch) {
            const [last, document] = this._documents.get(channel) || [];
            if (last !== base)
                throw failure("the patch does not fit");
            item.data = applyPatch(document, patch);
        }
        for (const entry of entries)
            if (channel === entry._name || entry._pattern?.test(channel)) {
                if (item.n && entry._query.delta) // what is not stored is no state
                    this._documents.set(channel, [id, item.data]);
                entry._push(item);
                if ((item.end || item.error) && channel === entry._name)
                    client._forget(entry);
            }
    }
}

// fanhorn.v1: commands and their replies, a position for each subscription.
class SocketLink extends Link {
    constructor(client, name) {
        super(client);
        this._placed = new Map();   // by name; those whose subscribe was sent
        this._begun = new Set([client._user]); // those that were answered: what comes earlier is for others of their name
        this._behind = new Set();   // those whose replay is not done
        this._held = [];            // what waits for that
        this._calls = new Map();
        this._count = 0;
        const url = client._url("/", { access_token: client._token, since: client._user._from }).replace("http", "ws");
        const socket = this._socket = name === "tab" ? client._tabs._open() : new client._socket(url, "fanhorn.v1");
        socket.onerror = none;
        socket.onopen = () => socket.protocol || this._end(failure("closed"));
        socket.onmessage = ({ data }) => {
            try {
                this._hear();
                this._read(data.trim ? JSON.parse(data) : data);
            } catch (error) {
                this._end(error);
            }
        };
        socket.onclose = ({ code, reason }) => {
            const asked = /retry=(\d+)/.exec(reason);
            this._end(failure(reason || "closed", { code, _wait: asked && +asked[1], fatal: code === 4003 }));
        };
        this._close = () => {
            socket.onmessage = socket.onclose = none;
            socket.close();
            this._calls.forEach(done => done(failure("lost", { code: "lost" })));
        };
    }

    _read(envelope) {
        const { connection, heartbeat, reply, ok, error, position, caught_up: caughtUp, channel, id, gap } = envelope;
        const client = this._client, entry = this._placed.get(channel), next = id || caughtUp || gap?.next;
        if (connection) {
            this._connection = connection;
            client._user._push({ position });
            this._open(client._heartbeat = heartbeat);
        } else if (reply) {
            const done = this._calls.get(reply);
            this._calls.delete(reply);
            done?.(error && failure(error.detail || error.code, error), ok);
        } else if (position) {
            if (!this._behind.size)
                this._begun.forEach(each => each._push({ position }));
        } else if (!caughtUp || this._begun.has(entry)) {
            if (caughtUp)
                this._behind.delete(entry);
            this._held.push([next ? next.split(".")[1] * 2 + !!caughtUp - !!gap : Infinity, envelope]);
        }
        // What several subscriptions match comes once, by any of them. While one of them replays, what
        // the others bring may be ahead of that.
        if (!this._behind.size || !this._isWild)
            for (const [, each] of this._held.splice(0).sort(([one], [other]) => one - other))
                if (each.caught_up)
                    this._placed.get(each.channel)?._push({ position: each.caught_up });
                else
                    this._take(each, this._begun);
    }

    _send(name, body, done) {
        this._calls.set(++this._count, done);
        this._socket.send(JSON.stringify({ id: this._count, [name]: body }));
    }

    _sync() {
        const wanted = this._client._entries;
        if (!this._isOpen)
            return;
        for (const [channel, entry] of this._placed)
            if (wanted.get(channel) !== entry || entry._isStale) {
                this._lift(entry);
                this._send("unsubscribe", { channel }, none);
            }
        for (const entry of wanted.values())
            if (!this._placed.has(entry._name))
                this._subscribe(entry);
    }

    _lift(entry) {
        entry._call = null;
        this._behind.delete(entry);
        this._begun.delete(entry);
        this._placed.delete(entry._name);
    }

    _subscribe(entry) {
        const channel = entry._name, client = this._client, call = entry._call = {};
        this._isWild ||= entry._pattern;
        this._placed.set(channel, entry);
        this._behind.add(entry);
        this._send("subscribe", { channel, since: entry._start(), ...entry._query }, (error, ok) => {
            if (this._isOver || entry._call !== call)
                return;
            if (!error) {
                this._begun.add(entry);
                entry._push(ok);
                return;
            }
            this._lift(entry);
            if (error.code === kUnfit)
                this._end(error);
            else if (!kIsFinal.test(error.code))
                setTimeout(() => client._restart(entry), random(1000, 6000));
            else if (error.code === "unauthorized" && client._mayRenew())
                client._renew().then(() => client._restart(entry), none);
            else
                client._refuse(entry, error);
        });
    }
}

// ---- the rungs that are requests. A feed is what one request asks for: channels with one `since`.

class Feed {
    constructor(link, entries, at) {
        this._link = link;
        this._named = entries;
        this._all = at ? entries : [...entries, link._client._user]; // whose messages come with any
        this._aborting = new AbortController();
        this._since = this._all.map(each => each._start()).reduce((from, next) => order(next, from) < 0 ? next : from);
        this._run();
    }

    async _run() {
        const link = this._link, client = link._client;
        try {
            await (link._name === "sse" ? readStream : readPolls)(this);
            throw failure("closed");
        } catch (error) {
            if (this._isOver)
                return;
            if (kRefusals.test(error.status) && !(error.status === 401 && client._mayRenew()) && await this._sift(error))
                client._change();
            else
                link._end(error);
        }
    }

    // One channel refuses the request for all. Which?
    async _sift(error) {
        let found;
        for (const entry of this._named) {
            const why = this._named[1] ? await this._ask({}, [entry], "HEAD").catch(refusal => refusal) : error;
            if (kRefusals.test(why.status)) {
                found = true;
                this._link._client._refuse(entry, why);
            }
        }
        return found;
    }

    async _ask(headers, entries = this._named, method = "GET") {
        const { _client: client, _name: transport } = this._link, [{ _query: own }] = entries;
        const channels = entries.map(each => each._name), since = this._since, path = "/" + channels.map(encodeURIComponent);
        // The first poll is not held: its answer shows that the rung bears.
        const query = { transport, envelope: 1, wait: this._isPlaced ? 25 : 0, since, ...own };
        const answer = await client._fetch(
            ...path.length < 1500 ? [path, query, { method, headers }] : ["", query, jsonRequest({ channels, since }, headers)],
            this._aborting.signal);
        if (answer.status === 204)
            throw failure("gone", { fatal: true });
        this._connection = answer.headers.get("Fanhorn-Connection");
        return answer;
    }

    // All of these channels are at this position.
    _moveTo(position) {
        this._since = position;
        if (!this._isPlaced) {
            this._isPlaced = true;
            this._settle();
            this._link._placed();
        }
    }

    _settle() {
        if (this._isPlaced)
            for (const entry of this._all)
                entry._push({ position: this._since });
    }

    _stop() {
        this._settle();
        this._isOver = true;
        this._aborting.abort();
    }
}

class FeedLink extends Link {
    constructor(client, name) {
        super(client);
        this._name = name;
        this._feeds = [];
        this._sync();
    }

    get _connection() { return this._feeds[0]?._connection; }

    _close() { this._feeds.forEach(feed => feed._stop()); }

    // New channels have a feed of their own until their position is known, then one feed has all.
    _sync() {
        for (const feed of this._feeds)
            feed._settle();
        // Wildcards wait for a WebSocket.
        const parts = {}, all = [...this._client._entries.values()].filter(each => !each._pattern);
        if (!all[0])
            return this._end(failure("no WebSocket", { code: kUnfit }));
        for (const entry of all)
            (parts[JSON.stringify([/\./.test(entry._from) || entry._from, entry._query])] ||= []).push(entry);
        const groups = Object.values(parts);
        if (groups.length === this._feeds.length && all.length === this._count && !all.some(each => each._isStale))
            return;
        this._count = all.length;
        this._close();
        this._feeds = groups.map((group, at) => new Feed(this, group, at));
    }

    _placed() {
        if (!this._isOpen && this._feeds.every(feed => feed._isPlaced))
            this._open({ longpoll: 25, poll: 5 }[this._name] || this._client._heartbeat);
        this._client._change();
    }
}

// By fetch: EventSource shows no status, no header and no comment.
async function readStream(feed) {
    const { body } = await feed._ask({ Accept: "text/event-stream" }), link = feed._link;
    const reader = body.getReader(), decoder = new TextDecoder();
    for (let rest = "";;) {
        const { done, value } = await reader.read();
        if (done)
            return;
        link._hear();
        const blocks = (rest + decoder.decode(value, { stream: true })).split("\n\n");
        rest = blocks.pop();
        for (const block of blocks) {
            const { id, event, data, retry } = Object.fromEntries(block.split("\n").map(line => line.split(/: (.*)/)));
            if (feed._isOver)
                return;
            if (retry)
                link._retry = +retry;
            const object = data && JSON.parse(data);
            if (event === "error")
                throw failure(object.detail, { ...object, _wait: link._retry });
            if (object)
                link._take(event ? inEnvelope(event, object) : object, feed._all);
            if (id)
                feed._moveTo(id);
        }
    }
}

// A message is told alike by all; the rest not.
const inEnvelope = (kind, { channel, ...object }) => ({ channel, [kind]: object });

async function readPolls(feed) {
    const link = feed._link;
    for (;;) {
        const answer = await feed._ask();
        const { messages, gaps = [], ends = [], next } = await answer.json();
        if (feed._isOver)
            return;
        link._hear();
        [...gaps.map(gap => inEnvelope("gap", gap)), ...messages, ...ends.map(end => inEnvelope("end", end))].forEach(each => link._take(each, feed._all));
        feed._moveTo(next);
        feed._settle();
        const wait = retryAfter(answer) || (link._name === "poll" ? link._client._pollEvery * random(0.8, 1.2) : 0);
        await new Promise(done => setTimeout(done, wait));
    }
}

// ---- what holds it all together

export class Fanhorn extends EventTarget {
    constructor(url = "/sub/", options = {}) {
        super();
        this._options = options;
        this._base = new URL(url, globalThis.document?.baseURI).href.replace(/\/+$/, "");
        this._socket = options.WebSocket || globalThis.WebSocket;
        this._all = (options.transports || kRungs).filter(name => name !== kRungs[0] || this._socket);
        this._pollEvery = options.pollInterval || 3000;
        this._heartbeat = options.heartbeat || 25;
        this._climbAfter = options.climb || 30000;
        this._rung = 0;
        this._entries = new Map();
        // The channel of the token's user comes by itself.
        this._user = new Entry("", {});
        this._user._pattern = /^\$/;
        this._user._all.add(new Subscription(this, this._user, { _raw: item => {
            if (item.channel) {
                this._emit("user", item);
                this._tabs?._tell(item);
            }
        } }));
        this._closing = new AbortController();
        this.state = "idle";
        if (options.shared && globalThis.navigator?.locks)
            this._tabs = new Tabs(this);
        this._listen();
    }

    get transport() { return this.state === "open" ? this._names[this._rung] : null; }
    get connection() { return this._link?._connection; }
    get _names() { return this._tabs && !this._tabs._isLeader ? ["tab"] : this._all; }

    subscribe(channel, options = {}) {
        const entry = this._entries.get(channel) || new Entry(channel, options);
        if (options.filter !== entry._query.filter)
            throw failure("another filter");
        this._entries.set(channel, entry);
        const subscription = new Subscription(this, entry, options);
        // One from further back has the server begin there again; the others drop what they have.
        if (options.since)
            subscription._isWaiting = this._restart(entry);
        else
            subscription.position = entry._last;
        entry._all.add(subscription);
        this._change();
        return subscription;
    }

    // With those that a wildcard joins: what one of them has brought the server does not send again.
    _restart(entry) {
        for (const each of this._entries.values())
            each._isStale ||= each === entry || each._pattern || entry._pattern;
        this._change();
        return true;
    }

    async publish(channel, data = null, { echo = true, store = true, ...options } = {}) {
        if (this._link?._send)
            return this._command("publish", { channel, data, store: +store, echo, ...options });
        return this._json("/" + encodeURIComponent(channel),
            { ...options, store: +store, exclude: echo ? undefined : this.connection }, jsonRequest(data));
    }

    presence(channel) { return this._command("presence", { channel }); }

    read(channel, position) { return this._command("read", { channel, position }); }

    history(channel, { since = "earliest" } = {}) {
        return this._json("/" + encodeURIComponent(channel), { transport: "poll", since });
    }

    close() { this._finish(); }

    // ---- requests

    _url(path, query) { return `${this._base + path}?${new URLSearchParams(defined(query))}`; }

    async _fetch(path, query, { headers, ...options } = {}, signal = AbortSignal.timeout(10000)) {
        await this._authorize();
        const answer = await fetch(this._url(path, query), {
            cache: "no-store", credentials: this._options.credentials, ...options, signal,
            headers: defined({ ...headers, Authorization: this._token && "Bearer " + this._token }),
        });
        if (!answer.ok)
            throw await problem(answer);
        return answer;
    }

    async _json(...request) { return (await this._fetch(...request)).json(); }

    async _command(name, body) {
        const link = this._link;
        if (link?._send)
            return new Promise((yes, no) => link._send(name, body, (error, ok) => error ? no(error) : yes(ok)));
        const { error, ok } = await this._json("", {}, jsonRequest({ id: 1, [name]: body }, { "Fanhorn-Connection": this.connection }));
        if (error)
            throw failure(error.detail || error.code, error);
        return ok;
    }

    // ---- tokens

    async _authorize() {
        const { token } = this._options;
        if (this._isAuthorized)
            return;
        this._token = token?.call ? await token({ expired: !!this._renewedAt }) : token;
        this._renewAt = endOf(this._token);
        this._isAuthorized = true;
    }

    // Not twice for one refusal.
    _mayRenew() { return this._options.token && !(Date.now() - this._renewedAt < 10000); }

    _expire() {
        this._renewedAt = Date.now();
        this._isAuthorized = false;
    }

    async _renew() {
        this._expire();
        this._renewAt = Date.now() + random(5000, 10000); // should this fail
        await this._authorize();
        if (this.connection)
            await this._command("refresh", { token: this._token });
    }

    // ---- subscriptions

    _drop(subscription) {
        const entry = this._entries.get(subscription.channel);
        if (entry?._all.delete(subscription) && !entry._all.size)
            this._forget(entry);
    }

    _forget(entry) {
        this._entries.delete(entry._name);
        this._change();
    }

    _refuse(entry, error) {
        this._forget(entry);
        entry._push({ error });
    }

    // Changes of one turn are told to the server together.
    _change() {
        this._changing ||= setTimeout(() => {
            this._changing = 0;
            if (this._isAway)
                return;
            if (!this._entries.size)
                this._suspend("idle");
            else if (!this._run)
                this._live(this._run = {});
            else
                for (const link of [this._opening, this._link])
                    link?._isOver || link?._sync();
        });
    }

    // ---- the ladder

    _enter(state, more) {
        this.state = state;
        this._emit("state", { state, transport: this.transport, ...more });
    }

    _emit(type, members) { this.dispatchEvent(Object.assign(new Event(type), members)); }

    async _try(number) {
        await this._authorize();
        const name = this._names[number];
        const link = this._opening = new (/b/.test(name) ? SocketLink : FeedLink)(this, name), error = await link._opened;
        if (error)
            throw error;
        return link;
    }

    // While there are subscriptions: opens the highest rung that bears, waits for its end, again.
    async _live(run) {
        for (let tries = 0, misses = 0; this._run === run; ++tries) {
            let error, link;
            for (let rung = this._rung; !link; ++rung) {
                this._enter("connecting", { trying: this._names[rung], error });
                try {
                    link = await this._try(rung);
                    this._rung = rung;
                } catch (refusal) {
                    error = refusal;
                    if (error.status === 401 && this._mayRenew()) {
                        this._expire();
                        rung = this._rung - 1;
                    } else if (error.fatal || !this._isAuthorized || error._wait != null || this._hasOpened && error.code !== kUnfit && ++misses < 2) {
                        break;
                    } else if (rung === this._names.length - 1) {
                        this._rung = misses = 0;
                        break;
                    }
                }
                if (this._run !== run)
                    return link?._end(error);
            }
            const start = Date.now();
            if (link)
                error = await this._stay(link);
            if (this._run !== run)
                return;
            if (error.fatal)
                return this._finish(error);
            if (error.code === 4001)
                this._expire();
            if (link && Date.now() - start > kStable)
                tries = misses = 0;
            if (link && error._wait == null && (++misses > 1 || error.code === kUnfit) && this._rung < this._names.length - 1) {
                misses = 0;
                ++this._rung;
                this._slow();
            }
            const wait = Math.min(error._wait ?? (!tries && link?._retry || random(kLeast, Math.min(kMost, 1000 * 2 ** tries))), 3600000);
            this._enter("waiting", { error, wait });
            await new Promise(done => {
                const timer = setTimeout(done, wait);
                this._hurry = () => done(clearTimeout(timer));
            });
        }
    }

    // Until it ends; one that is replaced by a higher rung has not.
    async _stay(link) {
        let error;
        this._hasOpened = true;
        do {
            this._link = link;
            this._climbAt = this._rung ? Date.now() + this._climbAfter : Infinity;
            this._enter("open");
            this._tabs?._tell(this._tabs._hello());
            link._sync();
            error = await link._ended;
        } while ((link = error._next));
        this._tabs?._tell();
        this._link = null;
        return error;
    }

    // Tries the higher rungs beside the one that is open.
    async _climb() {
        const link = this._link;
        this._climbAt = Infinity;
        for (let rung = 0; rung < this._rung && this._link === link; ++rung) {
            const next = await this._try(rung).catch(none);
            if (next && this._link !== link)
                return next._end({});
            if (next) {
                this._rung = rung;
                return link._end({ _next: next });
            }
        }
        this._slow();
        this._climbAt = Date.now() + this._climbAfter;
    }

    _slow() { this._climbAfter = Math.min(this._climbAfter * random(1.5, 2.5), kLongest); }

    _suspend(state) {
        this._run = null;
        this._hurry?.();
        for (const link of [this._opening, this._link])
            link?._end({});
        this._link = null;
        if (this.state !== state)
            this._enter(state);
    }

    _finish(error) {
        this._leave();
        this._closing.abort();
        clearInterval(this._ticking);
        this._enter("closed", { error });
    }

    // ---- what happens around: the network, sleep, the back-forward cache

    _listen() {
        const page = globalThis.document, window = page && globalThis;
        const on = (target, name, handler) => target?.addEventListener(name, handler, { signal: this._closing.signal });
        on(window, "online", () => this._wake(0));
        on(window, "offline", () => this._wake(Infinity));
        on(window, "pagehide", () => this._leave());
        on(window, "pageshow", () => this._isAway && this._return());
        on(page, "visibilitychange", () => this._tick());
        this._ticked = Date.now();
        this._ticking = setInterval(() => this._tick(), 1000);
    }

    _leave() {
        this._isAway = true;
        this._tabs?._leave();
        this._suspend("idle");
    }

    _return() {
        this._isAway = false;
        this._tabs?._join();
        this._change();
    }

    // The watchdog, and what is due. A timer that is late by much was asleep.
    _tick() {
        const now = Date.now(), link = this._link, isLate = now - this._ticked > kStable;
        this._ticked = now;
        if (link && now - link._heard > link._patience)
            link._end(failure("silence"));
        this._tabs?._tick(now);
        if (isLate)
            this._wake(this._heartbeat * 1000 + kOpenWithin);
        if (link && now > this._climbAt)
            this._climb();
        if (now > this._renewAt)
            this._renew().catch(none);
    }

    // What is open is perhaps dead: a WebSocket is asked, another is given up if it was silent.
    _wake(patience) {
        const link = this._link, now = Date.now();
        if (!link) {
            setTimeout(() => this._hurry?.(), random(0, 1000));
        } else if (link._send) {
            link._send("ping", {}, none);
            link._heard = now - link._patience + kOpenWithin;
        } else if (now - link._heard > patience) {
            link._end(failure("silence", { _wait: random(1, 1000) }));
        }
    }
}

// When a JWT (RFC 7519) wants to be replaced; no number, which is never, for what does not tell.
function endOf(token) {
    try {
        return Math.max(JSON.parse(atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/"))).exp * 1000 - 30000, Date.now() + 30000);
    } catch (error) {
        return NaN;
    }
}

// ---- one connection for all tabs of an origin. Who holds the lock has it, and is to the others what
// the relay is to it: they speak fanhorn.v1 with that tab. Each tab holds a lock of its own name, so
// that the leader sees it go.

class Tabs {
    constructor(client) {
        this._client = client;
        this._name = "fanhorn " + client._base;
        this._join();
    }

    _join() {
        this._id = crypto.randomUUID();
        this._round = new Promise(done => { this._release = done; });
        this._members = new Map(); // of the leader: each tab's subscriptions by channel
        // Not a word before that, or the leader would take this tab for gone.
        this._hold(this._id, {}, () => {
            this._channel = new BroadcastChannel(this._name);
            this._channel.onmessage = ({ data }) => this._hear(data);
            this._turn(false);
            this._apply({});
        });
    }

    _leave() {
        this._isLeader = this._round = null;
        this._release();
        this._channel?.close();
        this._channel = null;
    }

    // Until this tab leaves; a lock that comes later is given back at once.
    _hold(name, options, held) {
        const round = this._round;
        return navigator.locks.request(name, options, () => round === this._round && (held(), round));
    }

    // Another may take the lock where this tab is not heard.
    _apply(options) {
        this._heard = Date.now();
        this._hold(this._name, options, () => this._turn(true)).catch(() => {
            this._members.forEach((_, tab) => this._part(tab));
            this._turn(false);
            this._apply({});
        });
    }

    _turn(isLeader) {
        this._isLeader = isLeader;
        this._tell();
        this._client._suspend("connecting");
        this._client._change();
    }

    _post(message) { this._channel?.postMessage(message); }

    // To all followers; nothing when the connection was lost: theirs is open when the leader's is.
    _tell(data) {
        if (this._isLeader)
            this._post({ data });
    }

    _hello() { return { connection: this._client.connection, heartbeat: 5, position: this._client._user._last }; }

    // Beats, and takes over where this tab is looked at and the leader, frozen, is not heard.
    _tick(now) {
        if (this._isLeader && now - this._heard > kBeat) {
            this._heard = now;
            this._post({ data: { reply: -1 } });
        } else if (!this._isLeader && now - this._heard > 3 * kBeat && !globalThis.document.hidden) {
            this._apply({ steal: true });
        }
    }

    // In a WebSocket's place.
    _open() {
        this._socket = { send: text => this._post({ from: this._id, text }), close: () => { this._socket = null; } };
        this._socket.send();
        return this._socket;
    }

    _hear({ from, text, to = this._id, data }) {
        if (from) {
            if (this._isLeader)
                this._serve(from, text, answer => this._post({ to: from, data: answer }));
        } else if (to === this._id && !this._isLeader) {
            this._heard = Date.now();
            if (!this._socket)
                this._client._hurry?.();
            else if (data)
                this._socket.onmessage({ data });
            else
                this._socket.onclose({ reason: "" });
        }
    }

    _serve(tab, text, tell) {
        const client = this._client;
        if (!this._members.has(tab))
            navigator.locks.request(tab, () => this._part(tab));
        if (!text)
            this._part(tab);
        const mine = this._members.get(tab) || new Map();
        this._members.set(tab, mine);
        if (!text)
            return client._link && tell(this._hello());
        const { id, ...command } = JSON.parse(text), [[name, body]] = Object.entries(command), { channel } = body;
        if (name === "subscribe") {
            tell({ reply: id, ok: {} });
            mine.set(channel, client.subscribe(channel, { ...body, _raw: ({ error, position, ...item }) => tell(
                position ? { channel, caught_up: position } : error ? { channel, error: { ...error, message: error.message } } : item) }));
        } else if (name === "unsubscribe") {
            mine.get(channel)?.unsubscribe();
        } else {
            client._command(name, body).then(ok => tell({ reply: id, ok }), error => tell({ reply: id, error: { ...error, detail: error.message } }));
        }
    }

    _part(tab) {
        this._members.get(tab)?.forEach(each => each.unsubscribe());
        this._members.delete(tab);
    }
}

export { Fanhorn as default };
