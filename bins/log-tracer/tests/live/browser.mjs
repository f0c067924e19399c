// Reads a list of {url, texts} from standard input, opens each in a headless Chromium, and prints a line for each thing
// that is wrong. Prints nothing when all is well.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { chromium } from "playwright-core";

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const pages = JSON.parse(await text(process.stdin));

// Every setting is tried on every page, in as few visits as cover each width, scheme and way.
const settings = [
  { javaScriptEnabled: true, colorScheme: "light", viewport: { width: 1280, height: 900 } },
  { javaScriptEnabled: false, colorScheme: "dark", viewport: { width: 1280, height: 900 } },
  { javaScriptEnabled: true, colorScheme: "dark", viewport: { width: 768, height: 1024 } },
  { javaScriptEnabled: false, colorScheme: "light", viewport: { width: 390, height: 844 } },
];

const home = await mkdtemp(join(tmpdir(), "log-tracer-browser-"));
const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"];
flags.push("--disable-background-networking", "--disable-component-update", "--disable-sync");
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: flags,
  env: { ...process.env, HOME: home },
});

const squeeze = (words) => words.replace(/\s+/g, " ").trim();

async function look(setting, { url, texts }) {
  const name = `${url} (${setting.javaScriptEnabled ? "" : "no "}JavaScript, ${setting.colorScheme}, ${setting.viewport.width} px)`;
  const wrong = (what) => console.log(`${name}: ${what}`);
  const context = await browser.newContext(setting);
  const page = await context.newPage();
  page.on("dialog", (dialog) => {
    wrong(`a dialog opened: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on("console", (message) => {
    if (message.type() === "error") wrong(`on the console: ${message.text()}`);
  });
  page.on("pageerror", (error) => wrong(`a script failed: ${error.message}`));
  const outside = new Set();
  page.on("request", (request) => {
    if (new URL(request.url()).origin !== new URL(url).origin) outside.add(request.url());
  });
  const response = await page.goto(url, { waitUntil: "load" });
  if (response.status() !== 200) wrong(`status ${response.status()}`);
  // textContent holds what is folded away, too; a reader can unfold it.
  const seen = squeeze(await page.locator("body").evaluate((body) => body.textContent));
  for (const wanted of texts) {
    if (!seen.includes(squeeze(wanted))) wrong(`does not show ${JSON.stringify(wanted)}`);
  }
  for (const other of outside) wrong(`asks another host: ${other}`);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  if (wide > 1) wrong(`is ${wide} px wider than its window`);
  if (setting.javaScriptEnabled) {
    // By evaluate, since the page's own policy refuses scripts that are added to it.
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => window.axe.run());
    for (const violation of violations) {
      wrong(`axe: ${violation.id}: ${violation.help}: ${violation.nodes.map((node) => node.target.join(" ")).slice(0, 3).join(", ")}`);
    }
  }
  await context.close();
}

try {
  for (const setting of settings) {
    for (const page of pages) await look(setting, page);
  }
} finally {
  await browser.close();
  await rm(home, { recursive: true, force: true });
}
