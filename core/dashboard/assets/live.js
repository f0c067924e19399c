// Live pages: rows come as server-sent events, rendered. The page follows its end unless it was scrolled away from it,
// keeps so many rows and bytes and no more, and finds its place again after the connection was lost.
"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (selector, root = document) => root.querySelector(selector);
  const list = one("[data-live]");
  if (!list || !list.dataset.live) return;
  const status = one("[data-live-status]"), losses = one("[data-live-lost]"), pause = one("[data-live-pause]"), pill = one("[data-live-pill]");
  const rowsMax = Number(list.dataset.rows), bytesMax = Number(list.dataset.bytes);
  const waiting = new Map(), seen = new Set(), sizes = new Map();
  let bytes = 0, lost = 0, passed = 0, gap = false, paused = false, follow = true, last = "", wait = 1000, source = null;

  const atEnd = () => innerHeight + scrollY >= document.documentElement.scrollHeight - 80;
  const say = (text) => { if (status.textContent !== text) status.textContent = text; };
  const tell = () => {
    const words = [];
    if (lost) words.push(`${lost} ${list.dataset.lost}: too many for this page, filter further`);
    if (passed) words.push(`${passed} traces went by unseen, filter further`);
    if (gap) words.push("some of what came while the connection was lost is not here");
    losses.textContent = words.join(" · ");
    losses.hidden = !words.length;
  };

  // Rows that were shown do not come back when they are repeated; traces are told apart by how many spans they have.
  const weigh = (row) => { const size = row.outerHTML.length; bytes += size - (sizes.get(row.id) || 0); sizes.set(row.id, size); };
  const forget = (row) => { bytes -= sizes.get(row.id) || 0; sizes.delete(row.id); count(row, -1); row.remove(); };
  const remember = (id) => { seen.add(id); if (seen.size > 2 * rowsMax) seen.delete(seen.values().next().value); };
  const isOld = (row, than) => Number(row.dataset.n) <= Number(than.dataset.n);

  // Severities: the number of lines of each on the page, and whether they are shown.
  const switches = new Map(all("[data-level]").map((link) => [link.dataset.level, link]));
  const count = (row, step) => {
    for (const [level, link] of switches) {
      if (!row.classList.contains(level)) continue;
      const number = one("b", link);
      number.dataset.n = Number(number.dataset.n) + step;
      number.textContent = number.dataset.n;
    }
  };
  for (const [level, link] of switches) link.addEventListener("click", (event) => {
    if (event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    const hides = list.classList.toggle(`hide-${level}`);
    if (hides) link.removeAttribute("aria-current"); else link.setAttribute("aria-current", "true");
    one(".vh", link).textContent = hides ? "Show " : "Hide ";
    const hidden = [...switches.keys()].filter((name) => list.classList.contains(`hide-${name}`)).join(",");
    one("[data-live-hide]").value = hidden;
    const address = new URL(location.href);
    if (hidden) address.searchParams.set("hide", hidden); else address.searchParams.delete("hide");
    history.replaceState(null, "", address);
  });

  const flush = () => {
    for (const row of waiting.values()) { weigh(row); count(row, 1); }
    list.append(...waiting.values());
    waiting.clear();
    pill.hidden = true;
    while (list.children.length > 1 && (list.children.length > rowsMax || bytes > bytesMax)) forget(list.firstElementChild);
    if (follow) scrollTo({ top: document.documentElement.scrollHeight });
  };
  const show = () => {
    const empty = one("[data-live-empty]");
    if (empty && waiting.size) empty.remove();
    if (!paused && follow) { flush(); return; }
    while (waiting.size > rowsMax) waiting.delete(waiting.keys().next().value);
    pill.textContent = `${waiting.size} new`;
    pill.hidden = !waiting.size;
  };
  // A trace that is on the page already grows where it is.
  const grow = (row, shown) => {
    const had = shown.contains(document.activeElement);
    shown.replaceWith(row);
    weigh(row);
    const link = had && one("a", row);
    if (link) link.focus({ preventScroll: true });
  };
  // What comes is put on the page a few times in a second, however often something comes.
  let queue = [], timer = 0;
  const take = (html) => {
    queue.push(html);
    if (queue.length > 50) put(); else timer ||= setTimeout(put, 150);
  };
  const put = () => {
    clearTimeout(timer);
    timer = 0;
    const holder = document.createElement("template");
    holder.innerHTML = queue.join("");
    queue = [];
    document.dispatchEvent(new CustomEvent("log-tracer-ready", { detail: holder.content }));
    for (const row of all("li", holder.content)) {
      const known = waiting.get(row.id), shown = document.getElementById(row.id);
      if (row.dataset.n) {
        if ((known && isOld(row, known)) || (shown && isOld(row, shown))) continue;
        if (shown && !paused) { grow(row, shown); continue; }
      } else if (seen.has(row.id)) continue;
      else remember(row.id);
      row.classList.add("new");
      waiting.set(row.id, row);
    }
    show();
  };
  const resume = () => {
    for (const [id, row] of waiting) {
      const shown = row.dataset.n && document.getElementById(id);
      if (shown) { grow(row, shown); waiting.delete(id); }
    }
    flush();
  };

  const following = () => say(paused ? "paused" : "following");
  const open = () => {
    if (source) source.close();
    const address = new URL(list.dataset.live, location.href);
    if (last) address.searchParams.set("last", last);
    source = new EventSource(address);
    source.addEventListener("open", () => { wait = 1000; following(); });
    // The browser gives up on an answer that is no tail; so the script asks again itself, each time later.
    const again = (words) => {
      source.close();
      say(words);
      setTimeout(open, wait);
      wait = Math.min(wait * 2, 15000);
    };
    source.addEventListener("error", () => again("connection lost, trying again"));
    source.addEventListener("away", () => again("the consumer is away, trying again"));
    source.addEventListener("dropped", (event) => { lost += Number(event.data) || 0; tell(); });
    source.addEventListener("passed", (event) => { passed += Number(event.data) || 0; tell(); });
    source.addEventListener("gap", () => { gap = true; tell(); });
    source.addEventListener("interrupted", (event) => say(JSON.parse(event.data)));
    for (const name of ["lines", "rows"]) source.addEventListener(name, (event) => { last = event.lastEventId || last; take(JSON.parse(event.data)); });
  };

  for (const row of all("li", list)) { weigh(row); if (!row.dataset.n) remember(row.id); }
  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.textContent = paused ? "Resume" : "Pause";
    following();
    if (!paused) resume();
  });
  pill.addEventListener("click", () => { paused = false; follow = true; pause.textContent = "Pause"; following(); resume(); });
  // Only a scroll changes whether the end is followed, not a page that grows.
  addEventListener("scroll", () => { follow = atEnd(); if (!paused && follow && waiting.size) flush(); }, { passive: true });
  addEventListener("pagehide", () => source.close());
  addEventListener("pageshow", (event) => { if (event.persisted) open(); });
  scrollTo({ top: document.documentElement.scrollHeight });
  open();
})();
