// SPDX-License-Identifier: Apache-2.0
// socketio.mjs PORT: a room for each channel, WebSocket only, and what socket.io's manual advises
// for memory: the first HTTP request of each connection is dropped.
import { Server } from "socket.io";
import { notFound, serve } from "./publisher.mjs";

const io = new Server(serve(publish, notFound), { transports: ["websocket"], serveClient: false });
io.on("connection", socket => {
    socket.join(socket.handshake.query.channel);
    socket.conn.request = null;
});

function publish(name, body) {
    io.to(name).emit("message", body.toString());
}
