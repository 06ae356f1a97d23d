// SPDX-License-Identifier: Apache-2.0
// swarm.mjs URL COUNT: that many clients in one process, until its input ends. Tells how many are
// open, how many got a message, and when they tried and opened.
import WebSocket from "ws";

const [base, count] = process.argv.slice(2);
const text = await (await fetch(`${base}/fanhorn.mjs`)).text();
const { Fanhorn } = await import(`data:text/javascript,${encodeURIComponent(text)}`);
const clients = [], tries = [], opens = [];
let open = 0, got = 0;

for (let number = 0; number < Number(count); ++number) {
    const client = new Fanhorn(`${base}/sub/`, { WebSocket });
    let isOpen = false;
    client.addEventListener("state", ({ state }) => {
        if (isOpen !== (state === "open"))
            open += isOpen ? -1 : 1;
        isOpen = state === "open";
        if (state === "connecting")
            tries.push(Date.now());
        else if (isOpen)
            opens.push(Date.now());
    });
    client.subscribe("storm", { onmessage: () => ++got });
    clients.push(client);
    if (number % 50 === 49)
        await new Promise(done => setTimeout(done, 20));
}
const tell = setInterval(() => {
    const line = (what, numbers) => numbers.length ? `${what} ${numbers.join(" ")}\n` : "";
    process.stdout.write(line("tries", tries.splice(0)) + line("opens", opens.splice(0)) + `got ${got}\nopen ${open}\n`);
}, 100);
process.stdin.resume().on("end", () => {
    clearInterval(tell);
    clients.forEach(each => each.close());
});
