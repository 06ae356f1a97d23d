// SPDX-License-Identifier: Apache-2.0
// Debian's Chromium, driven by npm's playwright-core.
import { existsSync } from "node:fs";
import { load } from "./harness.mjs";

const playwright = await load("playwright-core");
const executablePath = process.env.CHROMIUM || "/usr/bin/chromium";
const kFlags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                // Two pages find each other where there is neither a network nor multicast DNS.
                "--allow-loopback-in-peer-connection", "--disable-features=WebRtcHideLocalIpsWithMdns"];

// What is not there, for suite().
export const missing = !playwright ? "npm's playwright-core" : !existsSync(executablePath) && executablePath;

// Its user-data-dir is a new, empty one.
export const launch = () => playwright.chromium.launch({ executablePath, args: kFlags });
