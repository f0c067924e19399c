// usage: node texts.mjs < [{url, texts}, …]
//
// Opens each page, with and without JavaScript, and prints a line for each text that it does not show and for each thing
// that is wrong. Prints nothing when all is well.

import { text } from "node:stream/consumers";
import * as checks from "./checks.mjs";
import { watch, withBrowser } from "./chromium.mjs";

const list = JSON.parse(await text(process.stdin));

await withBrowser(async (browser) => {
  for (const javaScriptEnabled of [true, false]) {
    const context = await browser.newContext({ javaScriptEnabled, viewport: { width: 1280, height: 900 } });
    for (const entry of list) {
      const page = await context.newPage();
      const wrong = (what) => console.log(`${entry.url} (${javaScriptEnabled ? "" : "no "}JavaScript): ${what}`);
      watch(page, (url) => url.origin === new URL(entry.url).origin, wrong);
      const response = await page.goto(entry.url, { waitUntil: "load" });
      await checks.answer(response, page, entry, wrong);
      await checks.width(page, wrong);
      if (javaScriptEnabled) await checks.accessible(page, checks.ALL, wrong);
      await page.close();
    }
    await context.close();
  }
});
