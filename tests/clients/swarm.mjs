// SPDX-License-Identifier: Apache-2.0
// swarm.mjs URL COUNT [TRANSPORTS]: that many clients in one process, until its input ends. Tells
// how many are open, how many got a message, when they tried and opened, when each that opened had
// meant to try, and by how much this process, which may be short of CPU, is late.
import WebSocket from "ws";

const [base, count, transports] = process.argv.slice(2);
const text = await (await fetch(`${base}/fanhorn.mjs`)).text();
const { Fanhorn } = await import(`data:text/javascript,${encodeURIComponent(text)}`);
const clients = [], tries = [], opens = [], dues = [];
let open = 0, got = 0, told = Date.now();

for (let number = 0; number < Number(count); ++number) {
    const client = new Fanhorn(`${base}/sub/`, { WebSocket, transports: transports ? transports.split(",") : undefined });
    let isOpen = false, due;
    client.addEventListener("state", ({ state, wait }) => {
        if (isOpen !== (state === "open"))
            open += isOpen ? -1 : 1;
        isOpen = state === "open";
        if (state === "connecting") {
            tries.push(Date.now());
        } else if (state === "waiting") {
            due = Date.now() + Math.round(wait);
        } else if (isOpen) {
            opens.push(Date.now());
            if (due)
                dues.push(due);
        }
    });
    client.subscribe("storm", { onmessage: () => ++got });
    clients.push(client);
    if (number % 50 === 49)
        await new Promise(done => setTimeout(done, 20));
}
const tell = setInterval(() => {
    const line = (what, numbers) => numbers.length ? `${what} ${numbers.join(" ")}\n` : "";
    const late = Date.now() - told - 100;
    told = Date.now();
    process.stdout.write(line("tries", tries.splice(0)) + line("opens", opens.splice(0)) + line("dues", dues.splice(0)) + `late ${late}\ngot ${got}\nopen ${open}\n`);
}, 100);
process.stdin.resume().on("end", () => {
    clearInterval(tell);
    clients.forEach(each => each.close());
});
