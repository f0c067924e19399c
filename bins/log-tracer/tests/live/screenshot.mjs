// usage: node screenshot.mjs URL FILE light|dark WIDTH HEIGHT
//
// Takes a picture of a page in a headless Chromium.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [url, path, colorScheme, width, height] = process.argv.slice(2);
const home = await mkdtemp(join(tmpdir(), "log-tracer-browser-"));
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
  env: { ...process.env, HOME: home },
});
try {
  const viewport = { width: Number(width), height: Number(height) };
  const page = await browser.newPage({ colorScheme, viewport });
  await page.goto(url, { waitUntil: "load" });
  await page.screenshot({ path });
} finally {
  await browser.close();
  await rm(home, { recursive: true, force: true });
}
