// SPDX-License-Identifier: Apache-2.0

export type Transport = "websocket" | "sse" | "longpoll" | "poll";
export type State = "idle" | "connecting" | "open" | "waiting" | "closed";

/** An id, `<epoch>.<seq>`; the same for a message on every transport. */
export type Position = string;
/** A position; "latest": only what comes; "earliest": all that is kept; "-N": the newest N. */
export type Since = Position | "latest" | "earliest" | `-${number}`;

export interface Message<T = unknown> {
    channel: string;
    id: Position;
    /** Its count in its channel; may jump, and is no sign of a gap. */
    n?: number;
    event?: string;
    /** JSON as it was published; other text as a string; bytes as a Uint8Array. */
    data: T;
    /** State that was kept for newcomers, outside the order. */
    retained?: true;
}

export interface Gap {
    channel: string;
    after: Position;
    /** The first that comes behind the gap; null when nothing is kept. */
    next: Position | null;
    why: "trimmed" | "epoch" | "ahead" | "overflow" | "broker";
}

export interface Problem {
    message: string;
    /** As of RFC 9457 answers and replies: "forbidden", "bad_channel", ... */
    code?: string | number;
    /** Of HTTP, where there was an answer. */
    status?: number;
}

export interface Member { user: string; info?: unknown }

export interface SubscribeOptions<T = unknown> {
    /** Default "latest". */
    since?: Since;
    /** JSON patches on the wire; `data` is the whole document all the same. */
    delta?: boolean;
    /** "k=v", "k=v1|v2", "k>=x", joined by ",". */
    filter?: string;
    /** The next one is handed over when a promise that this gives has settled. */
    onmessage?(message: Message<T>): void | Promise<void>;
    ongap?(gap: Omit<Gap, "channel">, channel: string): void | Promise<void>;
    onjoin?(member: Member, channel: string): void | Promise<void>;
    onleave?(member: Member, channel: string): void | Promise<void>;
    /** The server ended the subscription: {code: "deleted"}. */
    onend?(end: { code: string }, channel: string): void | Promise<void>;
    /** It was refused, for good. */
    onerror?(problem: Problem): void | Promise<void>;
}

export interface Subscription {
    readonly channel: string;
    /** Behind the last handler that is done: what to give as `since` another time. That of a wildcard
     *  moves with the server's heartbeat, when all its channels have come so far. */
    readonly position: Position | undefined;
    unsubscribe(): void;
}

export interface Options {
    /** A text, or what gives one: called before the first connection, before it ends (`exp` of a JWT)
     *  and when it was refused. Throw an error with `fatal: true` to end the client. */
    token?: string | ((why: { expired: boolean }) => string | Promise<string>);
    /** The rungs, highest first. Default: all four. */
    transports?: Transport[];
    /** One connection for all tabs of the origin that say so. Needs Web Locks and BroadcastChannel. */
    shared?: boolean;
    /** Milliseconds between short polls, 3000. */
    pollInterval?: number;
    /** Seconds between the server's heartbeats, 25, for streams, which do not tell. */
    heartbeat?: number;
    /** Milliseconds until the higher rungs are tried again, 30000; doubled each time, to 15 min. */
    climb?: number;
    /** Of fetch; "include" where cookies go to another origin. */
    credentials?: "omit" | "same-origin" | "include";
    /** A class like the browser's, for Node before 22 (the package ws has one). */
    WebSocket?: unknown;
}

export interface PublishOptions {
    event?: string;
    /** False: only those connected now get it, as for typing indicators. */
    store?: boolean;
    /** False: not to this client's own connection. */
    echo?: boolean;
    /** Seconds, or a duration like "5m". */
    ttl?: number | string;
    tags?: string;
}

export interface StateEvent extends Event {
    readonly type: "state";
    state: State;
    /** When it is open; "tab" where another tab has the connection. */
    transport: Transport | "tab" | null;
    /** While connecting: which rung. */
    trying?: Transport | "tab";
    /** While waiting: how many milliseconds. */
    wait?: number;
    error?: Problem;
}

/** What is sent to the token's user, or a gap in that. */
export interface UserEvent extends Event {
    readonly type: "user";
    /** "$user:NAME". */
    channel: string;
    id?: Position;
    n?: number;
    /** "read": one of the user's other connections moved a read marker; data: {channel, position}. */
    event?: string;
    data?: unknown;
    /** In place of all these: messages were lost. */
    gap?: Omit<Gap, "channel">;
}

export class Fanhorn extends EventTarget {
    /** Of the server's /sub/, absolute or relative to the page. Connects with the first subscription. */
    constructor(url?: string | URL, options?: Options);
    readonly state: State;
    readonly transport: Transport | "tab" | null;
    /** The connection's id, for `exclude`. */
    readonly connection: string | undefined;
    /** To a channel or a wildcard: "scores:*", "scores:**". Those that are there for the same channel need
     *  the same filter. While `transport` is another than "websocket", wildcards wait for one. */
    subscribe<T = unknown>(channel: string, options?: SubscribeOptions<T>): Subscription;
    publish(channel: string, data: unknown, options?: PublishOptions): Promise<{ id: Position; n?: number }>;
    /** The user's read marker there, null for none; with a position it moves, forward only. */
    read(channel: string, position?: Position): Promise<{ channel: string; position: Position | null }>;
    presence(channel: string): Promise<{ users: (Member & { connections: number })[]; count: number }>;
    /** Kept messages, as the server answers a poll: bytes are `base64` in place of `data`. */
    history(channel: string, options?: { since?: Since }): Promise<{ messages: Message[]; gaps?: Gap[]; next: Position }>;
    /** For good; events are no longer sent. */
    close(): void;
    addEventListener(type: "user", listener: (event: UserEvent) => void, options?: boolean | AddEventListenerOptions): void;
    addEventListener(type: "state", listener: (event: StateEvent) => void, options?: boolean | AddEventListenerOptions): void;
    addEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
}

/** RFC 6902's add, replace and remove, into a copy; throws when the patch does not fit. */
export function applyPatch(document: unknown, patch: { op: string; path: string; value?: unknown }[]): unknown;

export default Fanhorn;
