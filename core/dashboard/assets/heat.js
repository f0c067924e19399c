// The heat map: tells what is in a cell, and leads to a part of it that was chosen by dragging or by keys. The page has the
// same as links and as a table.
"use strict";
(() => {
  const chart = document.querySelector("[data-heat]");
  if (!chart) return;
  const plot = chart.querySelector("svg.plot"), grid = plot.querySelector("svg.cells"), says = chart.querySelector("[data-heat-says]");
  const { noun, min: minKey, max: maxKey } = chart.dataset;
  const start = Number(chart.dataset.start), step = Number(chart.dataset.step), columns = Number(chart.dataset.columns);
  const edges = chart.dataset.edges.split(",").map((edge) => BigInt(edge));
  const rows = edges.length - 1, greatest = 2n ** 64n - 1n;
  const cells = new Map();
  chart.dataset.cells.split(";").forEach((column, x) => {
    const [first, ...counts] = column.split(",");
    counts.forEach((cell, above) => {
      const [count, errors] = cell.split("/");
      if (count) cells.set(x + "," + (Number(first) + above), { count: Number(count), errors: Number(errors || 0) });
    });
  });
  const summary = says.textContent;

  const units = [["ns", 1], ["µs", 1e3], ["ms", 1e6], ["s", 1e9], ["min", 6e10], ["h", 3.6e12], ["d", 8.64e13]];
  const duration = (edge) => {
    const nanos = Number(edge);
    const [name, unit] = units.filter(([, size]) => nanos >= size).pop() || units[0];
    return `${Number((nanos / unit).toPrecision(3))} ${name}`;
  };
  const pad = (number) => String(number).padStart(2, "0");
  const local = () => { try { return localStorage.getItem("log-tracer-zone") === "local"; } catch { return false; } };
  const clock = (column) => {
    const date = new Date(start + column * step), get = (name) => (local() ? date["get" + name]() : date["getUTC" + name]());
    const day = columns * step > 864e5 ? `${pad(get("Month") + 1)}-${pad(get("Date"))} ` : "";
    const part = step % 1000 ? "." + String(get("Milliseconds")).padStart(3, "0") : "";
    return `${day}${pad(get("Hours"))}:${pad(get("Minutes"))}:${pad(get("Seconds"))}${part}`;
  };
  const long = (low, high) => {
    if (edges[high] === greatest) return `${duration(edges[low])} and longer`;
    return edges[low] === 0n ? `less than ${duration(edges[high])}` : `${duration(edges[low])} to ${duration(edges[high])}`;
  };

  // A part: columns from x0 to x1 and rows from y0 to y1, all of them in it; rows count from the bottom.
  const part = (a, b) => ({ x0: Math.min(a.x, b.x), x1: Math.max(a.x, b.x), y0: Math.min(a.y, b.y), y1: Math.max(a.y, b.y) });
  const tell = ({ x0, x1, y0, y1 }) => {
    let count = 0, errors = 0;
    for (let x = x0; x <= x1; x += 1) for (let y = y0; y <= y1; y += 1) {
      const cell = cells.get(x + "," + y);
      if (cell) { count += cell.count; errors += cell.errors; }
    }
    const failed = errors ? `, ${errors.toLocaleString("en")} failed` : "";
    says.textContent = `${count.toLocaleString("en")} ${noun}${failed}: ${clock(x0)} to ${clock(x1 + 1)}, ${long(y0, y1 + 1)}`;
  };
  const open = ({ x0, x1, y0, y1 }) => {
    const address = new URL(location.href), set = (key, value) => address.searchParams.set(key, value);
    for (const key of ["range", "after", "from", "to"]) address.searchParams.delete(key);
    set("from", new Date(start + x0 * step).toISOString());
    set("to", new Date(start + (x1 + 1) * step).toISOString());
    // All rows are no choice of a duration.
    if (y1 - y0 + 1 < rows) {
      if (edges[y0] > 0n) set(minKey, `${edges[y0]}ns`); else address.searchParams.delete(minKey);
      if (edges[y1 + 1] < greatest) set(maxKey, `${edges[y1 + 1] - 1n}ns`); else address.searchParams.delete(maxKey);
    }
    location.href = address;
  };

  let mark = null;
  const draw = ({ x0, x1, y0, y1 }) => {
    if (!mark) {
      mark = grid.appendChild(document.createElementNS("http://www.w3.org/2000/svg", "rect"));
      mark.setAttribute("class", "chosen");
    }
    for (const [name, value] of Object.entries({ x: x0, width: x1 - x0 + 1, y: rows - 1 - y1, height: y1 - y0 + 1 })) mark.setAttribute(name, value);
  };
  const clear = () => { if (mark) mark.remove(); mark = null; says.textContent = summary; };
  const show = (own) => { draw(own); tell(own); };

  // By pointer.
  const at = (event) => {
    const box = grid.getBoundingClientRect(), within = (value, size, most) => Math.max(0, Math.min(most - 1, Math.floor((value / size) * most)));
    return { x: within(event.clientX - box.left, box.width, columns), y: rows - 1 - within(event.clientY - box.top, box.height, rows) };
  };
  let from = null, pressed = null, dragged = false;
  plot.addEventListener("pointerdown", (event) => { if (!event.button) { from = at(event); pressed = event; dragged = false; } });
  plot.addEventListener("dragstart", (event) => event.preventDefault());
  addEventListener("pointermove", (event) => {
    if (from && (dragged || Math.hypot(event.clientX - pressed.clientX, event.clientY - pressed.clientY) > 5)) { dragged = true; show(part(from, at(event))); }
    else if (!from && plot.contains(event.target)) show(part(at(event), at(event)));
  });
  addEventListener("pointerup", (event) => { if (from && dragged) open(part(from, at(event))); from = null; });
  addEventListener("pointercancel", () => { from = null; clear(); });
  plot.addEventListener("pointerleave", () => { if (!from && document.activeElement !== plot) clear(); });
  plot.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (link && link.querySelector("text")) return;
    // A click on a cell is that cell; with a key held down, the link below it.
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    event.stopPropagation();
    if (!dragged) open(part(at(event), at(event)));
    dragged = false;
  }, true);

  // By keys: arrows move, with Shift they extend, Enter opens.
  let anchor = { x: columns - 1, y: Math.floor(rows / 2) }, head = anchor;
  plot.setAttribute("tabindex", "0");
  plot.setAttribute("role", "application");
  plot.setAttribute("aria-roledescription", "heat map");
  plot.setAttribute("aria-label", `${summary} Arrow keys move, with Shift they extend the choice, Enter narrows the search to it.`);
  says.setAttribute("aria-live", "polite");
  chart.dataset.ready = "1";
  plot.addEventListener("focus", () => { if (plot.matches(":focus-visible")) show(part(anchor, head)); });
  plot.addEventListener("blur", clear);
  plot.addEventListener("keydown", (event) => {
    if (event.target !== plot || event.metaKey || event.ctrlKey || event.altKey) return;
    const [x, y] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1], Home: [-columns, 0], End: [columns, 0], PageUp: [0, rows], PageDown: [0, -rows] }[event.key] || [0, 0];
    if (x || y) {
      head = { x: Math.max(0, Math.min(columns - 1, head.x + x)), y: Math.max(0, Math.min(rows - 1, head.y + y)) };
      if (!event.shiftKey) anchor = head;
      show(part(anchor, head));
    } else if (event.key === "Enter" || event.key === " ") open(part(anchor, head));
    else if (event.key === "Escape") { anchor = head; show(part(anchor, head)); }
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
})();
