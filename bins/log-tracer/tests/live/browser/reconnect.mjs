// Opens the live pages in a headless Chromium, kills the program that serves them, starts it again on the same ports, and
// prints a line for each thing that is wrong: rows that are doubled or do not come, a page that does not follow again.
// Arguments: the program, and an empty directory for its data.

import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { withBrowser } from "./chromium.mjs";

const [program, data] = process.argv.slice(2);
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

// Ports that were free a moment ago; they have to be the same for both lives of the program, and lie below those that the
// system hands out to others meanwhile.
const isFree = (port) =>
  new Promise((done) => {
    const server = createServer().once("error", () => done(false));
    server.listen(port, "127.0.0.1", () => server.close(() => done(true)));
  });
let last = 10_000 + (process.pid % 200) * 100;
async function freePort() {
  do last += 1;
  while (!(await isFree(last)));
  return last;
}
const keys = ["producer.grpc_listen", "producer.http_listen", "consumer.query_listen", "dashboard.listen"];
const ports = [];
for (const _ of keys) ports.push(await freePort());
const site = `http://127.0.0.1:${ports[3]}`;

async function start() {
  const settings = keys.flatMap((key, at) => ["--set", `${key}=127.0.0.1:${ports[at]}`]);
  const child = spawn(program, ["run", "--data-dir", data, ...settings], { stdio: "ignore" });
  for (let tries = 0; tries < 300; tries += 1) {
    try {
      if ((await fetch(`${site}/healthz`)).ok) return child;
    } catch {
      // Not yet.
    }
    await sleep(100);
  }
  throw new Error("the program does not start");
}

async function send(seconds) {
  const options = ["demo", "--endpoint", `http://127.0.0.1:${ports[0]}`, "--backfill-minutes", "0", "--seconds", seconds];
  const child = spawn(program, options, { stdio: "ignore" });
  await new Promise((done) => child.on("exit", done));
}

async function open(browser, path) {
  // A context each, so that neither is in the background.
  const page = await (await browser.newContext()).newPage();
  page.on("pageerror", (error) => console.log(`${path}: ${error.message}`));
  await page.goto(site + path);
  return { path, page };
}

const state = ({ page }) =>
  page.evaluate(() => {
    const ids = [...document.querySelectorAll("[data-live] > li")].map((row) => row.id);
    const status = document.querySelector("[data-live-status]").textContent;
    return { rows: ids.length, doubled: ids.length - new Set(ids).size, last: ids.at(-1), status };
  });

async function until(live, what, holds) {
  let seen;
  for (let tries = 0; tries < 300; tries += 1) {
    seen = await state(live);
    if (holds(seen)) return seen;
    await sleep(100);
  }
  console.log(`${live.path}: ${what}: ${JSON.stringify(seen)}`);
  return seen;
}

let server = await start();
await send(2);
await withBrowser(async (browser) => {
  const lives = [await open(browser, "/logs/live"), await open(browser, "/traces/live")];
  const before = [];
  for (const live of lives) before.push(await until(live, "does not follow", (now) => now.status === "following" && now.rows > 0));
  server.kill("SIGKILL");
  for (const live of lives) await until(live, "does not say that the connection is lost", (now) => now.status.includes("trying again"));
  server = await start();
  for (const live of lives) await until(live, "does not follow again", (now) => now.status === "following");
  await send(2);
  for (const [at, live] of lives.entries()) {
    const after = await until(live, "nothing new comes", (now) => now.last !== before[at].last);
    if (after.doubled) console.log(`${live.path}: ${after.doubled} rows are doubled`);
    if (after.rows < before[at].rows) console.log(`${live.path}: rows have gone: ${before[at].rows}, then ${after.rows}`);
  }
});
server.kill("SIGKILL");
