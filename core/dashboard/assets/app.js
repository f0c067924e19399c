// What the pages gain with a script: keys, swaps without a reload, copy buttons, local times. Every page
// works without it.
"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (selector, root = document) => root.querySelector(selector);
  const store = {
    get: (key) => { try { return localStorage.getItem(key); } catch { return null; } },
    set: (key, value) => { try { localStorage.setItem(key, value); } catch { /* a private window */ } },
  };

  // Times: the server writes UTC; the visitor may prefer their own zone.
  const zoneKey = "log-tracer-zone";
  const pad = (number, digits = 2) => String(number).padStart(digits, "0");
  const write = (iso, show, local) => {
    const date = new Date(iso);
    if (isNaN(date)) return null;
    const get = (name) => (local ? date["get" + name]() : date["getUTC" + name]());
    const day = `${get("FullYear")}-${pad(get("Month") + 1)}-${pad(get("Date"))}`;
    const minute = `${pad(get("Hours"))}:${pad(get("Minutes"))}`;
    const second = `${minute}:${pad(get("Seconds"))}`;
    const clock = `${second}.${pad(get("Milliseconds"), 3)}`;
    const forms = { date: day, minute, second, clock, full: `${day} ${clock}${local ? "" : " UTC"}`, stamp: `${day.slice(5)} ${second}` };
    return forms[show] || null;
  };
  const times = (root = document) => {
    const local = store.get(zoneKey) === "local";
    for (const node of all("time[data-show], text[data-show]", root)) {
      const text = write(node.getAttribute("datetime") || node.dataset.time, node.dataset.show, local);
      if (text) node.textContent = text;
      if (node.localName === "time") node.title = node.getAttribute("datetime");
    }
    const button = one("[data-zone]");
    button.hidden = false;
    button.textContent = local ? "Local time" : "UTC";
  };
  one("[data-zone]").addEventListener("click", () => {
    store.set(zoneKey, store.get(zoneKey) === "local" ? "utc" : "local");
    times();
  });

  // Two times are a range of their own.
  for (const field of all("[data-between]")) field.addEventListener("input", () => { one("[data-range]").value = ""; });

  // A choice of a form that has nothing else to fill in.
  for (const form of all("form[data-submit]")) form.addEventListener("change", (event) => { if (event.target.localName === "select" && event.target.value) form.requestSubmit(); });

  // Copying.
  const copy = async (text, button) => {
    try { await navigator.clipboard.writeText(text); button.textContent = "Copied"; } catch { button.textContent = "Not allowed"; }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  };
  const copies = (root = document) => {
    for (const node of all("[data-copy], .copyable", root)) {
      if (node.dataset.ready) continue;
      node.dataset.ready = "1";
      const button = Object.assign(document.createElement("button"), { type: "button", className: "copy", textContent: "Copy" });
      const source = one("pre", node) || node;
      const text = source.textContent;
      button.addEventListener("click", () => copy(text, button));
      if (source === node) node.after(" ", button); else node.append(button);
    }
  };

  // Swaps: a link within a page replaces its content and leaves the scroll position.
  let path = location.pathname + location.search;
  const swap = async (href, push) => {
    const main = one("#main");
    main.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(href, { headers: { accept: "text/html" } });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const next = one("#main", page);
      if (!next) throw new Error("not a page");
      const focus = document.activeElement && document.activeElement.closest("[id]");
      const detail = one(".detail");
      const top = detail ? detail.scrollTop : 0;
      main.replaceChildren(...next.childNodes);
      document.title = page.title;
      if (push) history.pushState(null, "", href);
      path = location.pathname + location.search;
      ready(main);
      if (focus && focus.id) { const again = document.getElementById(focus.id); const link = again && (again.localName === "a" ? again : one("a.go", again) || one("a", again)); if (link) link.focus({ preventScroll: true }); }
      if (one(".detail") && top && !push) one(".detail").scrollTop = top;
    } catch { location.href = href; } finally { main.removeAttribute("aria-busy"); }
  };
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-swap]");
    if (!link || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    // The address of a link within a picture is an object.
    swap(link.href.baseVal || link.href, true);
  });
  addEventListener("popstate", () => {
    const next = location.pathname + location.search;
    if (next !== path && one("a[data-swap]")) swap(location.href, false);
  });

  // Rows by keyboard.
  const rows = () => all("[data-list] > :is(li, tr)");
  let current = -1;
  const select = (step) => {
    const list = rows();
    if (!list.length) return;
    const focused = document.activeElement && document.activeElement.closest("[data-list] > :is(li, tr)");
    if (focused) current = list.indexOf(focused);
    current = Math.max(0, Math.min(list.length - 1, current + step));
    const target = one("a.go, .what a, summary", list[current]);
    if (target) { target.focus({ preventScroll: true }); list[current].scrollIntoView({ block: "nearest" }); }
  };
  const fold = (open) => {
    const row = document.activeElement && document.activeElement.closest("li.r");
    const toggle = row && one(`a.t[aria-expanded="${!open}"]`, row);
    if (toggle) swap(toggle.href, true);
  };
  const help = one("#keys");
  one("[data-help]").hidden = false;
  one("[data-help]").addEventListener("click", () => help.showModal());
  let went = 0;
  const places = { h: "/", t: "/traces", l: "/logs", m: "/map", p: "/pipeline" };
  addEventListener("keydown", (event) => {
    if (event.metaKey || event.ctrlKey || event.altKey || help.open) return;
    const typing = event.target.closest("input, textarea, select");
    if (event.key === "Escape") {
      const close = one("[data-close]");
      if (typing) typing.blur(); else if (close) swap(close.href, true);
      return;
    }
    if (typing) return;
    if (Date.now() - went < 1000 && places[event.key]) { location.href = places[event.key]; return; }
    went = event.key === "g" ? Date.now() : 0;
    const action = {
      "/": () => { const box = one("[data-query]"); if (box) { box.focus(); box.select(); } },
      "?": () => help.showModal(),
      j: () => select(1),
      k: () => select(-1),
      "[": () => fold(false),
      "]": () => fold(true),
    }[event.key];
    if (action) { event.preventDefault(); action(); }
  });

  // The map: what a node has to do with stands out.
  const map = () => {
    const picture = one(".mapbox svg.map");
    if (!picture) return;
    const light = (node) => {
      picture.classList.toggle("lit", !!node);
      const near = new Set(node ? [node.dataset.n] : []);
      for (const edge of all(".edge", picture)) {
        const ends = edge.dataset.e.split(" ");
        const own = !!node && ends.includes(node.dataset.n);
        edge.classList.toggle("near", own);
        if (own) ends.forEach((end) => near.add(end));
      }
      for (const other of all(".node", picture)) other.classList.toggle("near", near.has(other.dataset.n));
    };
    for (const type of ["pointerover", "focusin"]) picture.addEventListener(type, (event) => light(event.target.closest(".node")));
    for (const type of ["pointerleave", "focusout"]) picture.addEventListener(type, () => light(null));
    // What is in focus, or where calls begin, is in sight however small the window is. In the graph of a trace they begin
    // in the corner.
    if (picture.classList.contains("shape")) return;
    const on = one(".node.on", picture), box = one(".mapbox");
    const begin = (on || one(".node", picture)).getBBox();
    if (on) box.scrollLeft = begin.x - box.clientWidth / 2;
    box.scrollTop = begin.y - box.clientHeight / 2;
  };

  // A part of a chart, chosen by dragging: a stretch of time, and of durations where the chart has them.
  const brushes = (root = document) => {
    for (const chart of all("[data-brush]", root)) {
      const at = (event) => {
        const box = chart.getBoundingClientRect();
        const share = (value, length) => Math.max(0, Math.min(1, value / length));
        return { x: share(event.clientX - box.left, box.width), y: share(event.clientY - box.top, box.height), box };
      };
      const number = (name) => Number(chart.dataset[name]);
      const flat = !("low" in chart.dataset);
      let from = null, mark = null, dragged = false;
      const draw = (to) => {
        mark ||= chart.appendChild(document.createElementNS("http://www.w3.org/2000/svg", "rect"));
        const sides = { class: "brush", x: Math.min(from.x, to.x) * 100 + "%", width: Math.abs(to.x - from.x) * 100 + "%", y: flat ? "0" : Math.min(from.y, to.y) * 100 + "%", height: flat ? "100%" : Math.abs(to.y - from.y) * 100 + "%" };
        for (const [name, value] of Object.entries(sides)) mark.setAttribute(name, value);
      };
      const open = (to) => {
        const bar = flat && one("a", chart);
        const address = new URL(bar ? bar.getAttribute("href") : location.href, location.href);
        const time = (share) => new Date(number("start") + share * (number("end") - number("start"))).toISOString();
        const set = (name, value) => address.searchParams.set(name, value);
        for (const name of ["range", "after", "from", "to"]) address.searchParams.delete(name);
        set("from", time(Math.min(from.x, to.x)));
        set("to", time(Math.max(from.x, to.x)));
        if (!flat) {
          const nanos = (y) => Math.round(10 ** (number("high") - y * (number("high") - number("low")))) + "ns";
          set("min", nanos(Math.max(from.y, to.y)));
          set("max", nanos(Math.min(from.y, to.y)));
        }
        location.href = address;
      };
      const clear = () => { if (mark) mark.remove(); from = mark = null; };
      chart.addEventListener("pointerdown", (event) => { if (!event.button) { from = at(event); dragged = false; } });
      chart.addEventListener("dragstart", (event) => event.preventDefault());
      addEventListener("pointermove", (event) => {
        if (!from) return;
        const to = at(event);
        if (!mark && Math.abs(to.x - from.x) * to.box.width < 6) return;
        dragged = true;
        draw(to);
      });
      addEventListener("pointerup", (event) => { if (from && mark) open(at(event)); clear(); });
      addEventListener("pointercancel", clear);
      addEventListener("keydown", (event) => { if (event.key === "Escape") clear(); });
      chart.addEventListener("click", (event) => { if (dragged) { event.preventDefault(); event.stopPropagation(); dragged = false; } }, true);
    }
  };

  // Completion of the query: a list below the box, by arrow keys, Enter or Tab, and Escape.
  const complete = () => {
    const box = one("[data-query]");
    if (!box || !box.dataset.query) return;
    const list = Object.assign(document.createElement("ul"), { className: "options", id: "options", hidden: true });
    list.setAttribute("role", "listbox");
    list.setAttribute("aria-label", "Completions");
    box.after(list);
    for (const [name, value] of Object.entries({ role: "combobox", "aria-autocomplete": "list", "aria-controls": "options", "aria-expanded": "false" })) box.setAttribute(name, value);
    // What an option replaces begins here, whatever was typed since it was asked for.
    let start = 0, chosen = -1, asked = 0, timer = 0;
    const close = () => { list.hidden = true; chosen = -1; asked += 1; box.setAttribute("aria-expanded", "false"); box.removeAttribute("aria-activedescendant"); };
    const mark = (index) => {
      chosen = index;
      box.removeAttribute("aria-activedescendant");
      all("li", list).forEach((item, at) => {
        item.setAttribute("aria-selected", at === index);
        if (at === index) { box.setAttribute("aria-activedescendant", item.id); item.scrollIntoView({ block: "nearest" }); }
      });
    };
    const take = (item) => {
      const caret = box.selectionStart;
      box.setRangeText(item.dataset.text, Math.min(start, caret), caret, "end");
      close();
      box.focus();
      if (item.dataset.text.endsWith(":")) ask();
    };
    const show = (answer, caret) => {
      start = caret - answer.replace;
      const before = all("li", list)[chosen]?.dataset.text;
      list.replaceChildren(...answer.options.map((option, at) => {
        const item = Object.assign(document.createElement("li"), { id: `option-${at}` });
        item.setAttribute("role", "option");
        item.dataset.text = option.text;
        item.append(Object.assign(document.createElement("code"), { textContent: option.text.trim() }), Object.assign(document.createElement("small"), { textContent: option.note }));
        item.addEventListener("pointerdown", (event) => { event.preventDefault(); take(item); });
        return item;
      }));
      // What was chosen of the list before stays chosen, so that Enter does not send the form instead.
      mark(answer.options.findIndex((option) => option.text === before));
      list.hidden = !answer.options.length;
      box.setAttribute("aria-expanded", String(!list.hidden));
    };
    const ask = () => {
      clearTimeout(timer);
      timer = setTimeout(async () => {
        const number = asked += 1;
        const before = box.value.slice(0, box.selectionStart);
        const page = new URLSearchParams(location.search);
        const search = new URLSearchParams({ signal: box.dataset.query, before });
        for (const name of ["range", "from", "to"]) if (page.get(name)) search.set(name, page.get(name));
        try {
          const answer = await fetch(`/complete?${search}`);
          const body = answer.ok ? await answer.json() : { replace: 0, options: [] };
          if (number === asked && document.activeElement === box) show(body, before.length);
        } catch { close(); }
      }, 160);
    };
    box.addEventListener("input", ask);
    box.addEventListener("blur", close);
    box.addEventListener("keydown", (event) => {
      const items = all("li", list);
      if (list.hidden) { if (event.key === "ArrowDown") { event.preventDefault(); ask(); } return; }
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step) { event.preventDefault(); mark((chosen + step + items.length) % items.length); }
      else if (event.key === "Escape") { event.preventDefault(); event.stopPropagation(); close(); }
      else if ((event.key === "Enter" || event.key === "Tab") && chosen >= 0) { event.preventDefault(); take(items[chosen]); }
      else if (event.key === "Enter") close();
    });
  };

  // The first span.
  const waiting = () => {
    const box = one("[data-waiting]");
    if (!box) return;
    const look = async () => {
      try {
        const answer = await fetch("/api/v1/traces?range=all&limit=1");
        const trace = (await answer.json()).traces[0];
        if (trace) {
          const link = Object.assign(document.createElement("a"), { href: `/trace/${trace.traceId}`, className: "btn primary", textContent: "It is here: open the first trace" });
          box.replaceChildren(link);
          return;
        }
      } catch { /* not there yet */ }
      setTimeout(look, 1000);
    };
    look();
  };

  const ready = (root) => { times(root); copies(root); brushes(root); map(); };
  ready(document);
  // Parts that other scripts add.
  document.addEventListener("log-tracer-ready", (event) => ready(event.detail));
  complete();
  waiting();
})();
