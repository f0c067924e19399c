// usage: node walk.mjs DIRECTORY < {"empty": {dashboard, otlp_http}, "full": {…}}
//
// The way of a new user from nothing to the slow span's log line, as the README describes it: every click exists and
// leads there. Takes a picture at each step into DIRECTORY, and then the other pictures of the README. Prints what is
// wrong, and nothing when all is well.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { watch, withBrowser } from "./chromium.mjs";
import { PICTURES } from "./pictures.mjs";
import { slowTrace } from "./shop.mjs";

/** What the README promises for all of it, by hand; by script it must be a small part of that. */
const WALK_MS_MAX = 120_000;

const [directory] = process.argv.slice(2);
const servers = JSON.parse(await text(process.stdin));
const site = servers.full.dashboard;
await mkdir(directory, { recursive: true });

const picture = (page, name) => page.screenshot({ path: join(directory, `${name}.png`) });

/** Each step begins where the one before it ended. */
const STEPS = [
  ["the first run says how to send", async (page) => {
    await page.goto(servers.empty.dashboard);
    await page.getByText("Waiting for the first span").waitFor();
  }],
  ["the overview has the demo's services, and payment is slow", async (page) => {
    await page.goto(site);
    await page.getByRole("region", { name: "Services, table" }).getByRole("link", { name: "payment", exact: true }).waitFor();
    await picture(page, "walk-1-overview");
  }],
  ["its p95 leads to its slowest traces", async (page) => {
    const row = page.locator("#services tr", { has: page.getByRole("link", { name: "payment", exact: true }) });
    await row.locator("a.lined").last().click();
    await page.waitForURL(/\/traces\?/);
    assert.equal(new URL(page.url()).searchParams.get("service"), "payment");
    assert.equal(new URL(page.url()).searchParams.get("order"), "longest");
    await page.locator(".tr").first().waitFor();
    await picture(page, "walk-2-traces");
  }],
  ["the first of them is a trace whose critical path goes through the payment", async (page) => {
    await page.locator(".tr .what a").first().click();
    await page.waitForURL(/\/trace\//);
    await page.locator("li.r").first().waitFor();
    await picture(page, "walk-3-trace");
  }],
  ["the first error opens the span that failed", async (page) => {
    await page.getByRole("link", { name: "First error" }).click();
    await page.locator("#detail").waitFor();
    await picture(page, "walk-4-span");
  }],
  ["its log line says why", async (page) => {
    const line = page.locator("#waterfall li.lg").or(page.locator("#detail .loglets li"));
    await line.first().waitFor();
    await page.getByRole("link", { name: "Search its logs" }).click();
    await page.waitForURL(/\/logs\?/);
    await page.locator("li.log.error, li.log.warn").first().locator("summary").click();
    await picture(page, "walk-5-log");
  }],
];

await withBrowser(async (browser) => {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme: "light" });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  watch(page, () => true, (what) => console.log(`the walk: ${what}`));
  const started = performance.now();
  for (const [name, step] of STEPS) {
    try {
      await step(page);
    } catch (error) {
      console.log(`the walk: ${name}: ${error.message.split("\n").slice(0, 5).join(" ")} at ${page.url()}`);
      break;
    }
  }
  const took = performance.now() - started;
  if (took > WALK_MS_MAX) console.log(`the walk takes ${Math.round(took)} ms`);
  await page.close();
  await context.close();

  const slow = await slowTrace(site);
  for (const { name, path, dark = false, width = 1280, height = 1100 } of PICTURES(slow)) {
    const page = await browser.newPage({ colorScheme: dark ? "dark" : "light", viewport: { width, height } });
    const response = await page.goto(site + path, { waitUntil: "load" });
    if (response.status() !== 200) console.log(`the picture ${name}: status ${response.status()}`);
    await page.screenshot({ path: join(directory, `${name}.png`) });
    await page.close();
  }
});
