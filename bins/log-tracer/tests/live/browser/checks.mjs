// What must hold for every page, whatever it shows.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Bytes of a page before it is compressed. */
export const HTML_BYTES_MAX = 100_000;
/** Cumulative layout shift: 0.1 is called good; here nothing moves. */
export const SHIFT_MAX = 0.01;

/** Runs in the page before anything else does: notes shifts of the layout and what the policy refuses. */
export function observe() {
  window.seen = { shift: 0, moved: [], refused: [] };
  document.addEventListener("securitypolicyviolation", (event) => window.seen.refused.push(`${event.violatedDirective}: ${event.blockedURI}`));
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      if (entry.hadRecentInput) continue;
      window.seen.shift += entry.value;
      for (const { node } of entry.sources ?? []) window.seen.moved.push(node?.outerHTML?.slice(0, 80) ?? String(node?.nodeName));
    }
  }).observe({ type: "layout-shift", buffered: true });
}

const squeeze = (words) => words.replace(/\s+/g, " ").trim();

/** The answer itself: its status, its size, and what stands in it. */
export async function answer(response, page, { status = 200, texts = [] }, wrong) {
  if (response.status() !== status) wrong(`status ${response.status()} and not ${status}`);
  const bytes = (await response.body()).length;
  if (bytes > HTML_BYTES_MAX) wrong(`has ${bytes} bytes of HTML, more than ${HTML_BYTES_MAX}`);
  // textContent holds what is folded away, too; a reader can unfold it.
  const seen = squeeze(await page.evaluate(() => document.body.textContent));
  for (const wanted of texts) if (!seen.includes(squeeze(wanted))) wrong(`does not show ${JSON.stringify(wanted)}`);
}

/** The body never scrolls sideways; wide tables scroll in a frame of their own. */
export async function width(page, wrong) {
  const found = await page.evaluate(() => {
    const root = document.documentElement;
    const over = Math.max(root.scrollWidth, document.body.scrollWidth) - root.clientWidth;
    if (over <= 1) return null;
    const clips = (node) => node && node !== document.body && (getComputedStyle(node).overflowX !== "visible" || clips(node.parentElement));
    const widest = [...document.body.querySelectorAll("*")].find((node) => node.getBoundingClientRect().right > root.clientWidth + 1 && !clips(node.parentElement));
    return `${over} px wider than its window${widest ? `: ${widest.outerHTML.slice(0, 120)}` : ""}`;
  });
  if (found) wrong(`is ${found}`);
}

/** A heading, a title, one main part, and no id twice. */
export async function skeleton(page, wrong) {
  const found = await page.evaluate(() => {
    const ids = [...document.querySelectorAll("[id]")].map((node) => node.id);
    const twice = ids.filter((id, at) => ids.indexOf(id) !== at);
    const faults = [];
    if (document.querySelectorAll("h1").length !== 1) faults.push(`${document.querySelectorAll("h1").length} headings of the first level`);
    if (document.querySelectorAll("main").length !== 1) faults.push("not one main part");
    if (!document.title.endsWith("log-tracer")) faults.push(`the title ${document.title}`);
    if (twice.length) faults.push(`ids that stand twice: ${twice.slice(0, 3)}`);
    if (document.querySelector("[style], style, script:not([src]), [onclick], [onload]")) faults.push("a style or a script in the page");
    return faults;
  });
  for (const fault of found) wrong(fault);
}

/** Nothing moves while the page builds up, and its policy refuses nothing. */
export async function calm(page, wrong) {
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 50)))));
  const { shift, moved, refused } = await page.evaluate(() => window.seen);
  if (shift >= SHIFT_MAX) wrong(`its layout shifts by ${shift.toFixed(3)}: ${[...new Set(moved)].slice(0, 3).join(" ")}`);
  for (const what of refused) wrong(`its policy refuses ${what}`);
}

/** Whatever can be focused shows it. */
export async function focus(page, wrong) {
  // Focus that follows a key is shown; that of a click need not be.
  await page.keyboard.press("Tab");
  const hidden = await page.evaluate(() => {
    const all = [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex]")].filter((node) => node.tabIndex >= 0);
    const kinds = new Set();
    const faults = [];
    for (const node of all) {
      const kind = `${node.localName}.${node.getAttribute("class")} in ${node.parentElement?.getAttribute("class")}`;
      if (kinds.has(kind) || node.type === "hidden" || !node.checkVisibility?.({ visibilityProperty: true })) continue;
      kinds.add(kind);
      // The ring may be drawn by a part of it, by its label, or by the row that it stands in.
      const around = [node, ...(node.labels ?? []), ...[...node.children].slice(0, 4), ...[...node.querySelectorAll(".box")], node.closest("li, tr")].filter(Boolean);
      const look = () => around.flatMap((part) => [null, "::after"].map((pseudo) => {
        const style = getComputedStyle(part, pseudo);
        const ring = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1;
        return `${ring} ${style.boxShadow} ${style.borderColor} ${style.stroke} ${style.strokeWidth}`;
      })).join();
      node.blur();
      const before = look();
      node.focus({ preventScroll: true });
      if (document.activeElement !== node) continue;
      const after = look();
      if (before === after) faults.push(node.outerHTML.slice(0, 100));
    }
    document.activeElement?.blur();
    return faults;
  });
  for (const fault of hidden.slice(0, 3)) wrong(`does not show the focus on ${fault}`);
}

/** Without a script nothing is shown that does nothing. */
export async function answered(page, wrong) {
  const idle = await page.evaluate(() => [...document.querySelectorAll("button[type=button]")].filter((button) => button.checkVisibility()).map((button) => button.outerHTML.slice(0, 80)));
  for (const name of idle) wrong(`shows a button that only a script answers: ${name}`);
}

/** Switches the page to dark. What fades in from a colour of the light page would mix both: it ends first. */
export async function darken(page) {
  await page.evaluate(() => {
    for (const animation of document.getAnimations()) {
      if (Number.isFinite(animation.effect?.getComputedTiming().endTime)) animation.finish();
    }
  });
  await page.emulateMedia({ colorScheme: "dark" });
}

/** All rules of WCAG 2 up to AA, that of 2.2 about the size of targets with them, and what axe calls good practice. */
export const ALL = { rules: { "target-size": { enabled: true } } };
/** Those whose outcome other colours can change. */
export const COLOURS = { runOnly: ["color-contrast", "link-in-text-block"] };

/** Nothing that axe finds wrong. */
export async function accessible(page, rules, wrong) {
  // By evaluate, since the page's own policy refuses scripts that are added to it.
  if (!(await page.evaluate(() => Boolean(window.axe)))) await page.evaluate(axe);
  const options = { resultTypes: ["violations"], ...rules };
  // From the top, since the head of the page covers whatever is scrolled under it; a live page goes to its end by itself.
  await page.evaluate(() => new Promise((done) => { scrollTo(0, 0); requestAnimationFrame(done); }));
  const violations = await page.evaluate(async (options) => {
    const { violations } = await window.axe.run(document, options);
    return violations.map(({ id, help, nodes }) => ({
      id,
      help,
      nodes: nodes.slice(0, 3).map((node) => `${node.target.join(" ")} ${node.any[0]?.message ?? ""}`),
    }));
  }, options);
  for (const { id, help, nodes } of violations) wrong(`axe: ${id}: ${help}: ${nodes.join("; ")}`);
}

/** Unfolds whatever can be unfolded. */
export async function unfold(page) {
  await page.evaluate(() => document.querySelectorAll("details").forEach((details) => { details.open = true; }));
}
