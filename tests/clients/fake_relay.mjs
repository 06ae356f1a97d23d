// SPDX-License-Identifier: Apache-2.0
// A relay that does what a test says: fanhorn.v1 by hand, and HTTP answers by a function.
import { once } from "node:events";
import { createServer } from "node:http";

export class FakeRelay {
    connections = []; // of fanhorn.v1: {socket, url, commands, tell(envelope), next(name)}
    requests = [];    // {method, url, headers, body}

    // protocol: what it selects of subprotocols. answer(request, response): of plain requests.
    static async start(t, { WebSocketServer, protocol = "fanhorn.v1", answer = (_, response) => response.writeHead(404).end(),
                            accepts = () => true, onCommand = () => false }) {
        const relay = new FakeRelay(), server = createServer(async (request, response) => {
            let body = "";
            for await (const piece of request)
                body += piece;
            const { method, url, headers } = request;
            relay.requests.push({ method, url, headers, body });
            response.setHeader("Access-Control-Allow-Origin", "*");
            answer({ method, url, headers, body }, response);
        }).listen(0, "127.0.0.1");
        const sockets = new WebSocketServer({ noServer: true, handleProtocols: () => protocol });
        server.on("upgrade", (request, socket, head) => {
            if (!accepts(request))
                return socket.end("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
            sockets.handleUpgrade(request, socket, head, each => relay.#serve(each, request.url, onCommand));
        });
        await once(server, "listening");
        relay.url = `http://127.0.0.1:${server.address().port}/sub/`;
        t.after(() => {
            sockets.clients.forEach(each => each.terminate());
            server.close();
            server.closeAllConnections();
        });
        return relay;
    }

    #serve(socket, url, onCommand) {
        const connection = { socket, url, commands: [], tell: envelope => socket.send(JSON.stringify(envelope)) };
        this.connections.push(connection);
        socket.on("message", text => {
            const command = JSON.parse(text);
            connection.commands.push(command);
            if (onCommand(connection, command))
                return;
            const { channel } = command.subscribe || {};
            connection.tell({ reply: command.id, ok: channel ? { channel, position: "e.1" } : {} });
            if (channel)
                connection.tell({ channel, caught_up: "e.1" });
        });
        connection.tell({ connection: "0123456789abcdef0123456789abcdef", position: "e.1", heartbeat: 25 });
    }
}
