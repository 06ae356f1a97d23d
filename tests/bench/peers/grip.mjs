// SPDX-License-Identifier: Apache-2.0
// grip.mjs PORT: the backend that Pushpin asks at each connect (GRIP): GET holds a stream open,
// WebSocket comes as WebSocket-over-HTTP. It is not part of what is measured.
import { createServer } from "node:http";
import { channelOf } from "./publisher.mjs";

const event = (name, text) => `${name} ${text.length.toString(16)}\r\n${text}\r\n`;

function webSocket(request, response) {
    const subscribe = JSON.stringify({ type: "subscribe", channel: channelOf(request) });
    response.writeHead(200, {
        "content-type": "application/websocket-events",
        "sec-websocket-extensions": 'grip; message-prefix=""',
    });
    response.end("OPEN\r\n" + event("TEXT", "c:" + subscribe));
}

function eventStream(request, response) {
    response.writeHead(200, {
        "content-type": "text/event-stream",
        "grip-hold": "stream",
        "grip-channel": channelOf(request),
    });
    response.end();
}

createServer((request, response) => {
    let opens = false;
    request.on("data", piece => { opens ||= piece.toString().startsWith("OPEN"); });
    request.on("end", () => {
        if (request.method !== "POST")
            eventStream(request, response);
        else if (opens)
            webSocket(request, response);
        else
            response.writeHead(200, { "content-type": "application/websocket-events" }).end();
    });
}).listen(Number(process.argv[2]), "127.0.0.1");
