// SPDX-License-Identifier: Apache-2.0
// ws.mjs PORT: a broadcast server as one writes it with npm's ws, SSE by Node's own HTTP. A frame
// is made once for all readers, as socket.io's adapter does it; ws's own example frames for each.
import { Sender, WebSocketServer } from "ws";
import { channelOf, serve } from "./publisher.mjs";

const channels = new Map(); // name -> { sockets, streams }

function channelNamed(name) {
    let channel = channels.get(name);
    if (!channel)
        channels.set(name, channel = { sockets: new Set(), streams: new Set() });
    return channel;
}

function publish(name, body) {
    const channel = channels.get(name);
    if (!channel)
        return;
    if (channel.sockets.size > 0) {
        const frame = Sender.frame(body, { fin: true, rsv1: false, opcode: 1, mask: false, readOnly: true });
        const whole = [Buffer.concat(frame)];
        for (const socket of channel.sockets)
            socket._sender.sendFrame(whole);
    }
    if (channel.streams.size > 0) {
        const event = Buffer.from(`data: ${body}\n\n`);
        for (const stream of channel.streams)
            stream.write(event);
    }
}

function stream(request, response) {
    const { streams } = channelNamed(channelOf(request));
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    response.flushHeaders();
    streams.add(response);
    response.on("close", () => streams.delete(response));
}

const wss = new WebSocketServer({ server: serve(publish, stream), perMessageDeflate: false });
wss.on("connection", (socket, request) => {
    const { sockets } = channelNamed(channelOf(request));
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
});
