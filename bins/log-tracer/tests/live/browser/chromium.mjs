// A headless Chromium with a home of its own, which is gone afterwards.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Hands a browser to `use`, and closes it whatever happens. */
export async function withBrowser(use) {
  const home = await mkdtemp(join(tmpdir(), "log-tracer-browser-"));
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: FLAGS,
    env: { ...process.env, HOME: home },
  });
  try {
    return await use(browser);
  } finally {
    await browser.close();
    await rm(home, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** Lets what a page loads arrive no faster than this. */
export async function slow(page, bytesPerSecond) {
  const session = await page.context().newCDPSession(page);
  await session.send("Network.enable");
  await session.send("Network.emulateNetworkConditions", {
    offline: false,
    latency: 0,
    downloadThroughput: bytesPerSecond,
    uploadThroughput: -1,
  });
}

/** Calls `wrong` for whatever a page does that no page here may do: errors, dialogs, requests that fail or leave `isOwn`. */
export function watch(page, isOwn, wrong) {
  page.on("dialog", (dialog) => {
    wrong(`a dialog opened: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on("console", (message) => {
    // An answer with a status of an error is one of these, too; the caller knows which status it expects.
    const isStatus = message.text().startsWith("Failed to load resource: the server responded");
    if (message.type() === "error" && !isStatus) wrong(`on the console: ${message.text()}`);
  });
  page.on("pageerror", (error) => wrong(`a script failed: ${error.message}`));
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.protocol !== "data:" && !isOwn(url)) wrong(`asks another host: ${url}`);
  });
  page.on("requestfailed", (request) => {
    const reason = request.failure()?.errorText ?? "";
    // A page that is left takes its open streams and questions with it.
    if (!reason.includes("ERR_ABORTED")) wrong(`a request failed: ${request.url()}: ${reason}`);
  });
  page.on("response", (response) => {
    const isPage = response.request().isNavigationRequest();
    if (response.status() >= 400 && !isPage) wrong(`a request failed: ${response.url()}: ${response.status()}`);
  });
}
