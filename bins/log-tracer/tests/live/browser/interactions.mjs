// usage: node interactions.mjs < {"empty": {dashboard, otlp_http}, "full": {…}}
//
// What a visitor does on the pages, with a script and without one, and what must come of it. Prints a line for each that
// does not; prints nothing when all do.

import assert from "node:assert/strict";
import { text } from "node:stream/consumers";
import { watch, withBrowser } from "./chromium.mjs";
import { sendLine } from "./hard.mjs";
import { slowTrace } from "./shop.mjs";

const WIDE = { width: 1280, height: 900 };
const servers = JSON.parse(await text(process.stdin));
const site = servers.full.dashboard;
const slow = await slowTrace(site);
const only = process.env.PAGES ? new RegExp(process.env.PAGES) : /./;

const query = (page) => new URL(page.url()).searchParams;
const go = (page, path) => page.goto(site + path, { waitUntil: "load" });
const focused = (page) => page.evaluate(() => document.activeElement?.textContent.trim());
const until = (page, condition, argument) => page.waitForFunction(condition, argument, { timeout: 20_000 });

/** Drags over a chart, from one share of its width and height to another. */
async function drag(page, chart, from, to) {
  const box = await chart.boundingBox();
  const at = ([x, y]) => [box.x + box.width * x, box.y + box.height * y];
  await page.mouse.move(...at(from));
  await page.mouse.down();
  await page.mouse.move(...at([(from[0] + to[0]) / 2, (from[1] + to[1]) / 2]), { steps: 4 });
  await page.mouse.move(...at(to), { steps: 4 });
  await Promise.all([page.waitForURL(/from=/), page.mouse.up()]);
}

const withScript = {
  async "a stretch of the histogram that is dragged over becomes the range"(page) {
    await go(page, "/logs?range=1h&q=severity>=info");
    await drag(page, page.locator("svg.bars"), [0.6, 0.5], [0.9, 0.5]);
    assert.ok(query(page).get("from") < query(page).get("to"));
    assert.equal(query(page).get("q"), "severity>=info", "the query stays");
    assert.equal(query(page).get("range"), null);
  },
  async "a part of the scatter plot that is dragged over becomes a range of time and duration"(page) {
    await go(page, "/traces?range=15m");
    await drag(page, page.locator("svg.plot"), [0.2, 0.2], [0.8, 0.9]);
    assert.ok(query(page).get("from") && query(page).get("min") && query(page).get("max"));
  },
  async "a dot of the scatter plot opens its trace"(page) {
    await go(page, "/traces?range=15m&limit=5");
    const dot = page.locator("svg.plot a[href^='/trace/']").first();
    const href = await dot.getAttribute("href");
    await Promise.all([page.waitForURL(/\/trace\//), dot.dispatchEvent("click")]);
    assert.equal(new URL(page.url()).pathname, href);
  },
  async "rows of traces are walked by j and k, and Enter opens one"(page) {
    await go(page, "/traces?range=15m");
    await page.keyboard.press("j");
    const first = await focused(page);
    await page.keyboard.press("j");
    assert.equal(await page.evaluate(() => [...document.querySelectorAll("[data-list] > li")].indexOf(document.activeElement.closest("li"))), 1);
    await page.keyboard.press("k");
    assert.equal(await focused(page), first);
    await Promise.all([page.waitForURL(/\/trace\//), page.keyboard.press("Enter")]);
  },
  async "rows of a trace are walked, closed and opened by keys, and Escape closes the span"(page) {
    await go(page, `/trace/${slow.trace}`);
    const count = () => page.locator("li.r").count();
    const before = await count();
    await page.keyboard.press("j");
    await page.keyboard.press("[");
    await until(page, (before) => document.querySelectorAll("li.r").length < before, before);
    await page.keyboard.press("]");
    await until(page, (before) => document.querySelectorAll("li.r").length === before, before);
    await page.keyboard.press("Enter");
    await page.locator("#detail").waitFor();
    await page.keyboard.press("Escape");
    await page.locator("#detail").waitFor({ state: "detached" });
  },
  async "the sheet of keys opens by a question mark and closes by Escape"(page) {
    await go(page, "/");
    await page.keyboard.press("?");
    assert.ok(await page.locator("dialog#keys").isVisible());
    await page.keyboard.press("Escape");
    assert.ok(!(await page.locator("dialog#keys").isVisible()));
    await Promise.all([page.waitForURL(/\/logs/), page.keyboard.press("g"), page.keyboard.press("l")]);
  },
  async "a slash goes to the query, and Escape leaves it"(page) {
    await go(page, "/traces");
    await page.keyboard.press("/");
    assert.equal(await page.evaluate(() => document.activeElement.name), "q");
    await page.keyboard.press("Escape");
    assert.notEqual(await page.evaluate(() => document.activeElement.name), "q");
  },
  async "a span opens without a reload, the address says so, and back closes it"(page) {
    await go(page, `/trace/${slow.trace}`);
    await page.evaluate(() => { window.mark = true; });
    await page.locator("li.r a.go").nth(1).click();
    await page.locator("#detail").waitFor();
    assert.ok(query(page).get("span"));
    const answer = await page.request.get(page.url());
    assert.ok((await answer.text()).includes('id="detail"'), "the address shows the same");
    await page.goBack();
    await page.locator("#detail").waitFor({ state: "detached" });
    assert.equal(query(page).get("span"), null);
    assert.ok(await page.evaluate(() => window.mark), "it was loaded anew");
  },
  async "a copy button copies"(page) {
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await go(page, `/trace/${slow.trace}`);
    const copied = until(page, () => document.querySelector(".ids .copy").textContent === "Copied");
    await Promise.all([copied, page.locator(".ids .copy").click()]);
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), slow.trace);
  },
  async "the query is completed by fields and by values"(page) {
    await go(page, "/traces?range=1h");
    const box = page.locator("[data-query]");
    await box.pressSequentially("servi");
    await page.locator("#options li", { hasText: "service" }).first().waitFor();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await page.locator("#options li", { hasText: "checkout" }).first().waitFor();
    assert.match(await box.inputValue(), /^service:/);
    assert.equal(await box.getAttribute("aria-expanded"), "true");
    await page.keyboard.press("Escape");
    assert.equal(await box.getAttribute("aria-expanded"), "false");
  },
  async "light and dark are chosen and kept"(page) {
    await go(page, "/traces");
    const theme = () => page.evaluate(() => document.documentElement.dataset.theme);
    const before = await theme();
    await Promise.all([page.waitForEvent("load"), page.locator("[data-theme-switch]").click()]);
    assert.notEqual(await theme(), before);
    assert.equal(new URL(page.url()).pathname, "/traces");
    const now = await theme();
    await go(page, "/logs");
    assert.equal(await theme(), now);
  },
  async "times are shown in the visitor's zone on demand"(page) {
    await go(page, "/logs?range=1h");
    const button = page.locator("[data-zone]");
    assert.equal(await button.textContent(), "UTC");
    await button.click();
    assert.equal(await button.textContent(), "Local time");
    await button.click();
  },
  async "a record that arrives is shown live, waits while the page is scrolled up, and comes on demand"(page) {
    await go(page, "/logs/live?q=visitor");
    await until(page, () => document.querySelector("[data-live-status]").textContent.includes("following"));
    await sendLine(servers.full.otlp_http, "visitor one arrives");
    await page.locator("[data-live] li", { hasText: "visitor one arrives" }).waitFor({ timeout: 20_000 });
    for (let line = 0; line < 60; line += 1) await sendLine(servers.full.otlp_http, `visitor of a crowd ${line}`);
    await page.locator("[data-live] li", { hasText: "crowd 59" }).waitFor({ timeout: 20_000 });
    await page.evaluate(
      () =>
        new Promise((done) => {
          addEventListener("scroll", done, { once: true });
          scrollTo({ top: 0 });
        }).then(() => undefined),
    );
    await sendLine(servers.full.otlp_http, "visitor two arrives");
    const pill = page.locator("[data-live-pill]");
    await pill.waitFor({ timeout: 20_000 });
    assert.equal(await pill.textContent(), "1 new");
    await pill.click();
    await page.locator("[data-live] li", { hasText: "visitor two arrives" }).waitFor();
    const pause = page.locator("[data-live-pause]");
    await pause.click();
    await sendLine(servers.full.otlp_http, "visitor three arrives");
    await until(page, () => document.querySelector("[data-live-pill]").textContent === "1 new");
    await pause.click();
    await page.locator("[data-live] li", { hasText: "visitor three arrives" }).waitFor();
  },
  async "nothing moves where reduced motion is asked for"(page) {
    await page.emulateMedia({ reducedMotion: "reduce" });
    for (const address of [servers.empty.dashboard, `${site}/`, `${site}/map?range=1d`, `${site}/logs/live?q=visitor`, `${site}/trace/${slow.trace}`]) {
      await page.goto(address, { waitUntil: "load" });
      await page.mouse.move(640, 450);
      const moving = await page.evaluate(() => document.getAnimations().filter(({ playState }) => playState === "running").length);
      assert.equal(moving, 0, `${address} has ${moving} animations`);
    }
    await sendLine(servers.full.otlp_http, "visitor in peace");
  },
  async "a service of the map is lit with what it has to do with"(page) {
    await go(page, "/map?range=1d");
    await page.locator("svg.map .node").first().focus();
    assert.ok(await page.locator("svg.map.lit .node.near").count());
    await Promise.all([page.waitForURL(/focus=/), page.keyboard.press("Enter")]);
    await page.getByText("Whole map").waitFor();
  },
};

const withoutScript = {
  async "a bar of the histogram is a link to its stretch of time"(page) {
    await go(page, "/logs?range=1h");
    const href = await page.locator("svg.bars a").last().getAttribute("href");
    await go(page, href);
    assert.ok(query(page).get("from") < query(page).get("to"));
  },
  async "a service, a query and an order are chosen by the form"(page) {
    await go(page, "/traces?range=1h");
    await page.locator("select[name=service]").selectOption("checkout");
    await page.locator("input[name=q]").fill("status:error");
    await page.getByText("Duration, order, count").click();
    await page.locator("select[name=order]").selectOption("longest");
    await page.getByRole("button", { name: "Search" }).click();
    assert.deepEqual(["service", "q", "order"].map((name) => query(page).get(name)), ["checkout", "status:error", "longest"]);
    assert.ok(await page.locator(".tr").count());
  },
  async "a trace is opened, a span of it, its branch is closed, and the filter finds spans"(page) {
    await go(page, "/traces?range=1h&q=service:checkout");
    await page.locator(".tr .what a").first().click();
    const rows = await page.locator("li.r").count();
    await page.locator("li.r a.go").nth(1).click();
    assert.ok(await page.locator("#detail").isVisible());
    await page.locator("[data-close]").click();
    assert.equal(await page.locator("#detail").count(), 0);
    await page.locator("li.r a.t[aria-expanded=true]").first().click();
    assert.ok((await page.locator("li.r").count()) < rows);
    await page.getByRole("searchbox", { name: "Filter spans" }).fill("kind:client");
    await page.getByRole("button", { name: "Filter" }).click();
    assert.equal(query(page).get("f"), "kind:client");
  },
  async "a value is added to the query and excluded from it by its buttons"(page) {
    await go(page, "/logs?range=1h&q=app.order.id:*");
    await page.locator(".log summary").first().click();
    await page.locator(".log details[open] button", { hasText: "only" }).first().click();
    const narrowed = query(page).get("q");
    assert.ok(narrowed.length > "app.order.id:*".length, narrowed);
    await page.locator(".log summary").first().click();
    await page.locator(".log details[open] button", { hasText: "not" }).last().click();
    assert.ok(query(page).get("q").startsWith(narrowed));
  },
  async "the next page goes on where the first one ends"(page) {
    await go(page, "/logs?range=1h");
    const last = await page.locator("li.log").last().getAttribute("id");
    await page.getByRole("link", { name: "Older" }).click();
    assert.ok(query(page).get("after"));
    assert.equal(await page.locator(`[id="${last}"]`).count(), 0);
  },
  async "the live page loads itself anew and shows what arrived"(page) {
    await go(page, "/logs/live?q=newcomer");
    assert.equal(await page.locator("meta[http-equiv=refresh]").count(), 1);
    await sendLine(servers.full.otlp_http, "newcomer arrives");
    await page.locator("[data-live] li", { hasText: "newcomer arrives" }).waitFor({ timeout: 12_000 });
  },
  async "light and dark are chosen and kept"(page) {
    await go(page, "/");
    const theme = () => page.locator("html").getAttribute("data-theme");
    const before = await theme();
    await page.locator("[data-theme-switch]").click();
    assert.notEqual(await theme(), before);
  },
  async "the first visitor sends a sample trace and looks at it"(page) {
    await page.goto(servers.empty.dashboard, { waitUntil: "load" });
    await page.getByRole("button", { name: "Send a sample trace" }).click();
    await page.waitForURL(/\/trace\//);
    assert.ok(await page.locator("li.r").count());
  },
};

await withBrowser(async (browser) => {
  for (const [javaScriptEnabled, scenarios] of [[true, withScript], [false, withoutScript]]) {
    for (const [name, act] of Object.entries(scenarios)) {
      if (!only.test(name)) continue;
      const context = await browser.newContext({ viewport: WIDE, javaScriptEnabled });
      const page = await context.newPage();
      page.setDefaultTimeout(30_000);
      const wrong = (what) => console.log(`${name} (${javaScriptEnabled ? "" : "no "}JavaScript): ${what}`);
      watch(page, (url) => url.origin === new URL(site).origin || url.origin === new URL(servers.empty.dashboard).origin, wrong);
      try {
        await act(page);
      } catch (error) {
        wrong(`${error.message.split("\n").slice(0, 6).join(" ")} at ${page.url()}`);
      }
      await context.close();
    }
  }
});
