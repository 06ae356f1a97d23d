// SPDX-License-Identifier: Apache-2.0
// The publishing side of the npm peers: Node's own HTTP server, POST /pub/CHANNEL.
import { createServer } from "node:http";

const kBacklog = 4096;

export const kPort = Number(process.argv[2]);

// Calls publish(channel, body: Buffer) for each message; other requests go to `other`.
export function serve(publish, other) {
    const server = createServer({ keepAliveTimeout: 3_600_000 }, (request, response) => {
        if (request.method !== "POST")
            return other(request, response);
        const pieces = [];
        request.on("data", piece => pieces.push(piece));
        request.on("end", () => {
            publish(channelOf(request), Buffer.concat(pieces));
            response.writeHead(200, { "content-length": 0 }).end();
        });
    });
    server.listen({ port: kPort, host: "127.0.0.1", backlog: kBacklog });
    return server;
}

export const channelOf = request => request.url.slice(request.url.lastIndexOf("/") + 1);

export const notFound = (_, response) => response.writeHead(404, { "content-length": 0 }).end();
