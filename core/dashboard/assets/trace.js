// What the page of a trace gains with a script: keys for what its links do, and zooming by dragging on the minimap.
"use strict";
(() => {
  // Links are followed by clicking them, so that app.js swaps the content where it can.
  const follow = (href) => {
    const link = Object.assign(document.createElement("a"), { href, hidden: true });
    link.dataset.swap = "";
    document.body.append(link);
    link.click();
    link.remove();
  };

  // The next or previous span that matches the filter, on the next page where this one has no more.
  const match = (step) => {
    const rows = [...document.querySelectorAll(".wf .r:not(.lg):not(.dim)")];
    const here = document.activeElement && document.activeElement.closest(".wf .r");
    const after = (row) => (here ? !!(here.compareDocumentPosition(row) & Node.DOCUMENT_POSITION_FOLLOWING) : true);
    const next = step > 0 ? rows.find(after) : rows.reverse().find((row) => row !== here && (!here || !after(row)));
    if (next) {
      next.querySelector("a.go").focus({ preventScroll: true });
      next.scrollIntoView({ block: "nearest" });
      return;
    }
    const page = document.querySelector(`#waterfall .pager a[rel="${step > 0 ? "next" : "prev"}"]`);
    if (page) page.click();
  };
  let went = 0;
  addEventListener("keydown", (event) => {
    if (event.metaKey || event.ctrlKey || event.altKey || event.target.closest("input, textarea, select, dialog[open]")) return;
    // After g a letter leads to another page.
    if (Date.now() - went < 1000) { went = 0; return; }
    went = event.key === "g" ? Date.now() : 0;
    const link = /^[a-z0]$/.test(event.key) && document.querySelector(`[data-key="${event.key}"]`);
    if (link) { event.preventDefault(); link.click(); return; }
    const step = { f: 1, b: -1 }[event.key];
    if (step && document.querySelector(".wf")) { event.preventDefault(); match(step); }
  });

  // Zooming by dragging: the part of the time between where the pointer went down and where it went up.
  let map = null, from = 0, mark = null;
  const share = (event) => {
    const box = map.getBoundingClientRect();
    return Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
  };
  const clear = () => { if (mark) mark.remove(); map = mark = null; };
  document.addEventListener("pointerdown", (event) => {
    const target = event.button ? null : event.target.closest("[data-minimap]");
    if (!target || !Number(target.dataset.minimap)) return;
    map = target;
    from = share(event);
  });
  addEventListener("pointermove", (event) => {
    if (!map) return;
    const to = share(event);
    if (!mark && Math.abs(to - from) * map.getBoundingClientRect().width < 4) return;
    mark ||= map.appendChild(document.createElementNS("http://www.w3.org/2000/svg", "rect"));
    const sides = { class: "brush", height: "100%", x: Math.min(from, to) * 100 + "%", width: Math.abs(to - from) * 100 + "%" };
    for (const [name, value] of Object.entries(sides)) mark.setAttribute(name, value);
  });
  addEventListener("pointerup", (event) => {
    if (map && mark) {
      // No more digits than a hand can choose.
      const length = Number(map.dataset.minimap);
      const step = 10 ** Math.max(0, Math.floor(Math.log10(length / 2000)));
      const nanos = (at) => Math.round((at * length) / step) * step + "ns";
      const to = share(event);
      const address = new URL(location.href);
      address.searchParams.delete("from");
      address.searchParams.set("zoom", `${nanos(Math.min(from, to))}..${nanos(Math.max(from, to))}`);
      address.hash = "";
      if (from !== to) follow(address.href);
    }
    clear();
  });
  addEventListener("pointercancel", clear);
  addEventListener("keydown", (event) => { if (event.key === "Escape") clear(); });
})();
