// usage: node every_page.mjs < {"empty": {dashboard, otlp_http}, "full": {…}}
//
// Opens every page with and without JavaScript, in light and dark, at three widths, and prints a line for each thing that
// is wrong. Prints nothing when all is well.
//
// With scripts a page is loaded once for each width, since they look at it; without them the open page is made narrower.
// Light and dark are switched on the page that is open, as a visitor's system does. All rules of accessibility are checked
// in light at every width, since parts of a page are there at one width only; in dark those that colours decide.

import { text } from "node:stream/consumers";
import * as checks from "./checks.mjs";
import { slow, watch, withBrowser } from "./chromium.mjs";
import { sendHardCases } from "./hard.mjs";
import { pages } from "./pages.mjs";
import { slowTrace } from "./shop.mjs";

const WIDTHS = [
  { width: 1280, height: 900 },
  { width: 768, height: 1024 },
  { width: 390, height: 844 },
];
const PAGE_BYTES_PER_SECOND = 100_000;
const only = process.env.PAGES ? new RegExp(process.env.PAGES) : /./;

async function withScript(browser, viewport, list, servers) {
  const context = await browser.newContext({ viewport, colorScheme: "light", reducedMotion: "no-preference" });
  await context.addInitScript(checks.observe);
  for (const entry of list) {
    const page = await context.newPage();
    let setting = `${entry.name}, ${viewport.width} px, light`;
    const wrong = (what) => console.log(`${setting}: ${what} (${entry.path})`);
    const site = servers[entry.on].dashboard;
    watch(page, isOwn(servers), wrong);
    // It arrives in pieces, so that what moves while it builds up is seen to move.
    await slow(page, PAGE_BYTES_PER_SECOND);
    const response = await page.goto(site + entry.path, { waitUntil: "load" });
    await checks.answer(response, page, entry, wrong);
    await checks.calm(page, wrong);
    await checks.skeleton(page, wrong);
    await checks.width(page, wrong);
    // What is folded away is read in the middle width, so that it is read at all.
    if (viewport.width === 768) await checks.unfold(page);
    await checks.accessible(page, checks.ALL, wrong);
    await checks.focus(page, wrong);
    setting = `${entry.name}, ${viewport.width} px, dark`;
    await checks.darken(page);
    await checks.accessible(page, checks.COLOURS, wrong);
    setting = `${entry.name}, ${viewport.width} px, unfolded`;
    await checks.unfold(page);
    await checks.width(page, wrong);
    await page.close();
  }
  await context.close();
}

async function withoutScript(browser, list, servers) {
  const context = await browser.newContext({ viewport: WIDTHS[0], colorScheme: "dark", javaScriptEnabled: false });
  for (const entry of list) {
    const page = await context.newPage();
    let setting = entry.name;
    const wrong = (what) => console.log(`${setting}, no JavaScript: ${what} (${entry.path})`);
    watch(page, isOwn(servers), wrong);
    const response = await page.goto(servers[entry.on].dashboard + entry.path, { waitUntil: "load" });
    await checks.answer(response, page, entry, wrong);
    await checks.skeleton(page, wrong);
    for (const viewport of WIDTHS) {
      setting = `${entry.name}, ${viewport.width} px`;
      await page.setViewportSize(viewport);
      await checks.width(page, wrong);
      for (const colorScheme of ["dark", "light"]) {
        await page.emulateMedia({ colorScheme });
        await checks.answered(page, wrong);
      }
    }
    await checks.unfold(page);
    for (const viewport of WIDTHS) {
      setting = `${entry.name}, ${viewport.width} px, unfolded`;
      await page.setViewportSize(viewport);
      await checks.width(page, wrong);
    }
    await page.close();
  }
  await context.close();
}

const isOwn = (servers) => {
  const origins = Object.values(servers).map(({ dashboard }) => new URL(dashboard).origin);
  return (url) => origins.includes(url.origin);
};

const servers = JSON.parse(await text(process.stdin));
await sendHardCases(servers.full.otlp_http);
const list = pages({ slow: await slowTrace(servers.full.dashboard) }).filter(({ name }) => only.test(name));
await withBrowser(async (browser) => {
  // Two at a time: while one waits for the server, the other draws.
  const ways = [
    ...WIDTHS.map((viewport) => () => withScript(browser, viewport, list, servers)),
    () => withoutScript(browser, list, servers),
  ];
  const work = async () => {
    for (let next = ways.shift(); next; next = ways.shift()) await next();
  };
  await Promise.all([work(), work()]);
});
