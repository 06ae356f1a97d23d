// SPDX-License-Identifier: Apache-2.0
const URL = "http://127.0.0.1:8081";

async function publish(channel, data) {
    const answer = await fetch(`${URL}/pub/${encodeURIComponent(channel)}`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(data),
        signal: AbortSignal.timeout(5000),
    });
    if (!answer.ok) throw new Error(`${channel}: ${(await answer.json()).detail}`);
    return answer.json();
}

console.log((await publish("chat:room1", { text: "from Node" })).id);
