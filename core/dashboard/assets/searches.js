// Recent and saved searches: a menu by the query box. They stay in this browser. What comes out of its storage is checked,
// and is only ever inserted as text.
"use strict";
(() => {
  const place = document.querySelector("[data-searches]");
  if (!place) return;
  const key = "log-tracer-searches", pages = ["/traces", "/logs"];
  // Counts and characters.
  const savedMax = 50, recentMax = 12, nameMax = 80, hrefMax = 4000, storedMax = 100000;
  const here = location.pathname;

  // A search as an address of its page: what is empty and the place in the list are left away. Nothing when it is none.
  const clean = (text) => {
    if (typeof text !== "string" || text.length > hrefMax) return null;
    let address;
    try { address = new URL(text, location.origin); } catch { return null; }
    if (address.origin !== location.origin || !pages.includes(address.pathname)) return null;
    const params = [...address.searchParams].filter(([name, value]) => value.trim() && !["after", "around", "theme"].includes(name));
    const query = new URLSearchParams(params).toString();
    return address.pathname + (query ? "?" + query : "");
  };
  const entry = (raw, named) => {
    const href = raw && clean(raw.href), at = raw && Number(raw.at);
    if (!href || !Number.isFinite(at)) return null;
    if (!named) return { href, at };
    const name = typeof raw.name === "string" ? raw.name.trim().slice(0, nameMax) : "";
    return name ? { name, href, at } : null;
  };
  const list = (raw, most, named) => (Array.isArray(raw) ? raw : []).slice(0, 1000).map((one) => entry(one, named)).filter(Boolean).slice(0, most);
  // Each page has its own recent ones, so that one does not push out those of the other.
  const checked = (raw) => ({
    saved: list(raw && raw.saved, savedMax, true),
    recent: pages.flatMap((page) => list(raw && raw.recent, 1000, false).filter((one) => pageOf(one) === page).slice(0, recentMax)),
  });
  const pageOf = (one) => one.href.split("?")[0];
  const read = () => { try { return checked(JSON.parse(localStorage.getItem(key))); } catch { return checked(null); } };
  const write = (all) => {
    const text = JSON.stringify(all);
    if (text.length > storedMax) {
      if (all.recent.length) return write({ ...all, recent: all.recent.slice(0, -1) });
      say("There is no room for more: delete some");
      return false;
    }
    try { localStorage.setItem(key, text); return true; } catch { say("This browser keeps nothing for this page"); return false; }
  };

  const make = (name, fields = {}, ...children) => {
    const { dataset, ...own } = fields, node = Object.assign(document.createElement(name), own);
    Object.assign(node.dataset, dataset);
    node.append(...children);
    return node;
  };
  const button = (text, label, act) => {
    const made = make("button", { type: "button", className: "btn ghost small", textContent: text });
    if (label) made.setAttribute("aria-label", label);
    made.addEventListener("click", act);
    return made;
  };
  const age = (at) => {
    const seconds = Math.max(0, (Date.now() - at) / 1000);
    const [size, unit] = [[86400, "d"], [3600, "h"], [60, "min"]].find(([size]) => seconds >= size) || [1, ""];
    return unit ? `${Math.floor(seconds / size)} ${unit} ago` : "just now";
  };
  // Exact nanoseconds, which a chosen part of a heat map has, are more than anyone reads.
  const duration = (text) => {
    const nanos = /^\d+ns$/.test(text) ? parseInt(text, 10) : 0;
    const [unit, size] = [["s", 1e9], ["ms", 1e6], ["us", 1e3]].find(([, size]) => nanos >= size) || [];
    return unit ? Number((nanos / size).toPrecision(3)) + unit : text;
  };
  const words = (href) => {
    const params = new URL(href, location.origin).searchParams, get = (name) => params.get(name) || "";
    const bound = (name) => duration(get(name));
    const span = (low, high, what) => (get(low) || get(high) ? [what, get(low) && `from ${bound(low)}`, get(high) && `to ${bound(high)}`].filter(Boolean).join(" ") : "");
    const range = get("range") ? (get("range") === "all" ? "all time" : `last ${get("range")}`) : get("from") || get("to") ? `${get("from").slice(0, 19)} to ${get("to").slice(0, 19)}` : "last 1h";
    return { query: get("q") || "(everything)", parts: [get("service"), get("level") && `${get("level")} and above`, span("min", "max", ""), span("smin", "smax", "spans"), get("order"), range].filter(Boolean) };
  };

  const toggle = button("Searches", "", () => show(panel.hidden));
  toggle.className = "open";
  const status = make("p", { className: "vh" });
  status.setAttribute("role", "status");
  const panel = make("div", { className: "panel", id: "searches", hidden: true });
  toggle.setAttribute("aria-expanded", "false");
  toggle.setAttribute("aria-controls", "searches");
  const said = make("p", { className: "small muted said" });
  const say = (text) => { status.textContent = text; said.textContent = text; };

  const name = make("input", { type: "text", maxLength: nameMax, placeholder: "A name", autocomplete: "off" });
  name.setAttribute("aria-label", "Name of this search");
  const save = () => {
    const own = clean(location.href), title = name.value.trim() || (own ? words(own).query : "").slice(0, nameMax);
    if (!own) { say("This search is too long to be kept"); return; }
    const all = read(), others = all.saved.filter((one) => one.name !== title || pageOf(one) !== here);
    if (others.length >= savedMax) { say(`There are ${savedMax} already: delete some`); return; }
    if (write({ ...all, saved: [{ name: title, href: own, at: Date.now() }, ...others] })) { name.value = ""; draw(); say(`Saved as ${title}`); }
  };
  const saver = button("Save this search", "", save);
  saver.className = "btn small";
  name.addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); save(); } });

  const same = (one) => (other) => one.name === other.name && one.href === other.href && one.at === other.at;
  const remove = (one) => {
    const all = read();
    if (!write({ ...all, saved: all.saved.filter((other) => !same(one)(other)) })) return;
    draw();
    say(`Deleted ${one.name}`);
    (panel.querySelector("li a") || toggle).focus();
  };
  const rename = (one, item) => {
    const box = make("input", { type: "text", maxLength: nameMax, value: one.name });
    box.setAttribute("aria-label", `A new name for ${one.name}`);
    const end = (title) => {
      const all = read();
      if (title && title !== one.name && write({ ...all, saved: all.saved.map((other) => (same(one)(other) ? { ...other, name: title } : other)) })) say(`Renamed to ${title}`);
      draw();
      toggle.focus();
    };
    box.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== "Escape") return;
      event.preventDefault();
      event.stopPropagation();
      end(event.key === "Enter" ? box.value.trim() : "");
    });
    item.replaceChildren(box, button("Rename", "", () => end(box.value.trim())));
    box.focus();
    box.select();
  };
  const row = (one) => {
    const { query, parts } = words(one.href), item = make("li");
    const link = make("a", { href: one.href }, make(one.name ? "b" : "code", { textContent: one.name || query }));
    if (one.name && query !== one.name) link.append(" ", make("code", { textContent: query }));
    link.append(make("small", { textContent: [...parts, age(one.at)].join(" · ") }));
    item.append(link);
    if (one.name) item.append(button("Rename", `Rename ${one.name}`, () => rename(one, item)), button("Delete", `Delete ${one.name}`, () => remove(one)));
    return item;
  };
  const part = (title, rows, none) => [make("h2", { className: "h3", textContent: title }), rows.length ? make("ul", {}, ...rows.map(row)) : make("p", { className: "small muted", textContent: none })];

  // As a file, to be taken to another browser.
  const give = () => {
    const file = new Blob([JSON.stringify({ saved: read().saved }, null, 1)], { type: "application/json" });
    const link = make("a", { href: URL.createObjectURL(file), download: "searches.json" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  const chooser = make("input", { type: "file", accept: "application/json,.json", hidden: true });
  chooser.addEventListener("change", async () => {
    const file = chooser.files[0];
    chooser.value = "";
    let taken = [];
    try { taken = file && file.size < 10 * storedMax ? checked(JSON.parse(await file.text())).saved : []; } catch { /* not such a file */ }
    const all = read(), known = (one) => all.saved.some((other) => other.name === one.name && other.href === one.href);
    const fresh = taken.filter((one) => !known(one)).slice(0, savedMax - all.saved.length);
    if (!taken.length) say("This file has no searches");
    else if (write({ ...all, saved: [...all.saved, ...fresh] })) { draw(); say(`${fresh.length} added`); }
  });

  const draw = () => {
    const all = read(), own = (one) => pageOf(one) === here;
    const recent = all.recent.filter(own);
    const clear = button("Forget recent ones", "", () => { if (write({ ...read(), recent: all.recent.filter((one) => !own(one)) })) { draw(); say("Forgotten"); toggle.focus(); } });
    const foot = make("div", { className: "ends" }, button("Export", "Export saved searches as a file", give), button("Import", "Import saved searches from a file", () => chooser.click()), chooser, ...(recent.length ? [clear] : []));
    panel.replaceChildren(make("div", { className: "save" }, name, saver), said, ...part("Saved", all.saved.filter(own), "None yet. They stay in this browser."), ...part("Recent", recent, "None yet."), foot);
  };
  const show = (open) => {
    if (open) { said.textContent = ""; draw(); }
    panel.hidden = !open;
    toggle.setAttribute("aria-expanded", String(open));
  };
  place.append(toggle, panel, status);
  place.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || panel.hidden) return;
    event.stopPropagation();
    show(false);
    toggle.focus();
  });
  document.addEventListener("pointerdown", (event) => { if (!panel.hidden && !place.contains(event.target)) show(false); });
  place.addEventListener("focusout", (event) => { if (event.relatedTarget && !place.contains(event.relatedTarget)) show(false); });
  addEventListener("storage", (event) => { if (event.key === key && !panel.hidden && !panel.contains(document.activeElement)) draw(); });

  // This search is the most recent one, when it asks for anything.
  const own = clean(location.href), params = new URLSearchParams(location.search);
  const asks = ["q", "service", "level", "min", "max", "smin", "smax"].some((field) => (params.get(field) || "").trim());
  if (own && asks && !document.querySelector(".problem")) {
    const all = read();
    write(checked({ ...all, recent: [{ href: own, at: Date.now() }, ...all.recent.filter((one) => one.href !== own)] }));
  }
})();
