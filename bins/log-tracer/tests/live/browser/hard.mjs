// Traces and logs as they should not be, and as large as they get, as requests of OTLP/JSON.

const id = (number, digits) => number.toString(16).padStart(digits, "0");
const traceId = (number) => `5eed${id(number, 28)}`;
const text = (key, stringValue) => ({ key, value: { stringValue } });
const int = (key, intValue) => ({ key, value: { intValue: String(intValue) } });

/** The traces that the list of pages names. */
export const TRACES = {
  odd: traceId(1),
  unicode: traceId(2),
  large: traceId(3),
  wide: traceId(4),
  logsOnly: traceId(5),
};
export const UNICODE_SPAN = id(0x21, 16);
export const UNICODE_SERVICE = "Straße-日本語-שלום-🛒";

/** Breaks out of text, attributes, scripts and addresses where one of them is not escaped. */
export const HOSTILE = `"'><img src=x onerror=alert(1)><script>alert(2)</script>&amp;{{7*7}}\u202e\u0000`;
const LONG = "a-word-without-an-end-".repeat(60);

class Batch {
  constructor(now) {
    this.start = BigInt(now) * 1_000_000n - 120_000_000_000n;
    this.spans = new Map();
    this.logs = new Map();
  }

  at(ms) {
    return String(this.start + BigInt(Math.round(ms * 1000)) * 1000n);
  }

  span(service, trace, number, parent, [from, to], more = {}) {
    const list = this.spans.get(service) ?? this.spans.set(service, []).get(service);
    list.push({
      traceId: trace,
      spanId: id(number, 16),
      parentSpanId: parent ? id(parent, 16) : "",
      name: `step ${number}`,
      kind: 1,
      startTimeUnixNano: this.at(from),
      endTimeUnixNano: this.at(to),
      ...more,
    });
  }

  log(service, trace, span, ms, body, more = {}) {
    const list = this.logs.get(service) ?? this.logs.set(service, []).get(service);
    const ids = trace ? { traceId: trace, spanId: span ? id(span, 16) : "" } : {};
    list.push({ ...ids, timeUnixNano: this.at(ms), severityNumber: 9, body, ...more });
  }

  async send(endpoint) {
    const resource = (service) => ({ attributes: [text("service.name", service), text("host.name", `host of ${service}`)] });
    const resourceSpans = [...this.spans].map(([service, spans]) => ({ resource: resource(service), scopeSpans: [{ scope: { name: "hard" }, spans }] }));
    const resourceLogs = [...this.logs].map(([service, logRecords]) => ({ resource: resource(service), scopeLogs: [{ logRecords }] }));
    for (const [path, body] of [["traces", { resourceSpans }], ["logs", { resourceLogs }]]) {
      const answer = await fetch(`${endpoint}/v1/${path}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
      });
      if (!answer.ok) throw new Error(`${path} were refused: ${answer.status} ${await answer.text()}`);
    }
  }
}

// A child that begins before its parent on another machine, parents that nobody sent, a circle, one id for two spans,
// a span without an end, and one that ends before it begins.
function odd(batch) {
  const trace = TRACES.odd;
  batch.span("clock-a", trace, 1, 0, [0, 400], { kind: 2, name: "GET /skewed" });
  batch.span("clock-a", trace, 2, 1, [20, 300], { kind: 3, name: "call the one with the wrong clock" });
  batch.span("clock-b", trace, 3, 2, [-5000, -4750], { kind: 2, name: "answer, five seconds early" });
  batch.span("clock-b", trace, 4, 3, [-4990, -4800], { name: "work there" });
  for (let orphan = 10; orphan < 14; orphan += 1) batch.span("lost-parents", trace, orphan, 900 + orphan, [orphan * 10, orphan * 10 + 30]);
  batch.span("circle", trace, 20, 21, [50, 60], { name: "round" });
  batch.span("circle", trace, 21, 20, [50, 60], { name: "and round" });
  batch.span("circle", trace, 22, 22, [50, 60], { name: "its own parent" });
  batch.span("clock-a", trace, 30, 1, [310, 320], { name: "one id" });
  batch.span("clock-a", trace, 30, 1, [330, 340], { name: "two spans" });
  batch.span("clock-a", trace, 31, 1, [350, 0], { endTimeUnixNano: "0", name: "without an end" });
  batch.span("clock-a", trace, 32, 1, [390, 360], { name: "ends before it begins" });
  batch.span("clock-a", trace, 33, 1, [200, 260], {
    kind: 3,
    name: "SELECT orders",
    status: { code: 2, message: "deadline exceeded while waiting for a connection" },
    attributes: [text("db.system.name", "postgresql"), text("server.address", "orders-db.internal"), text("peer.service", "orders-db")],
  });
  batch.log("clock-a", trace, 33, 255, { stringValue: "no connection after 60 ms" }, { severityNumber: 17 });
}

function unicode(batch) {
  const trace = TRACES.unicode;
  batch.span(UNICODE_SERVICE, trace, 0x21, 0, [0, 90], {
    name: `${HOSTILE} ${LONG}`,
    kind: 2,
    status: { code: 2, message: `${HOSTILE}\nsecond line ${LONG}` },
    attributes: [
      text("http.route", "/путь/{идентификатор}"),
      text(HOSTILE, HOSTILE),
      text("long", LONG.repeat(4)),
      int("größe", 42),
      { key: "nested", value: { kvlistValue: { values: [text("deep", HOSTILE), { key: "list", value: { arrayValue: { values: [{ doubleValue: 1.5 }, { boolValue: true }] } } }] } } },
    ],
    events: [
      { timeUnixNano: batch.at(40), name: "exception", attributes: [text("exception.type", "Überlauf"), text("exception.stacktrace", `at a.b(c.js:1)\n${"at deep.down(there.js:12)\n".repeat(40)}`)] },
      { timeUnixNano: batch.at(50), name: HOSTILE },
    ],
    links: [{ traceId: TRACES.large, spanId: id(1, 16), attributes: [text("why", HOSTILE)] }],
  });
  batch.span("y".repeat(200), trace, 0x22, 0x21, [10, 30], { name: "日本語の操作 👩‍👩‍👧‍👦 e\u0301\u0301\u0301" });
  for (const [at, body] of [HOSTILE, LONG, "مرحبا \u202eעולם", "tab\tand\nlines\nof it", `{"level":"warn","nested":{"a":[1,2,3]},"text":"${"x".repeat(300)}"}`].entries()) {
    batch.log(UNICODE_SERVICE, trace, 0x21, 5 + at, { stringValue: body }, { severityNumber: [1, 5, 9, 13, 21][at], attributes: [text(HOSTILE, HOSTILE), text("user.id", "👤")] });
  }
  batch.log(UNICODE_SERVICE, "", 0, 60, { kvlistValue: { values: [text("structured", HOSTILE)] } }, { severityNumber: 13 });
}

// 5,000 spans: a chain of 60, wide floors, errors far down, and logs.
function large(batch) {
  const trace = TRACES.large;
  batch.span("large", trace, 1, 0, [0, 5000], { kind: 2, name: "five thousand spans" });
  for (let number = 2; number <= 5000; number += 1) {
    const parent = number <= 60 ? number - 1 : Math.max(1, Math.floor(number / 7));
    const from = (number * 37) % 4800;
    const more = number % 611 === 0 ? { status: { code: 2, message: "failed" } } : {};
    batch.span(`part-${number % 9}`, trace, number, parent, [from, from + (number % 180) + 1], more);
  }
  for (let line = 0; line < 200; line += 1) batch.log("large", trace, 1 + line * 3, line * 20, { stringValue: `line ${line} of the large one` });
}

// 100 services: each calls two others.
function wide(batch) {
  const trace = TRACES.wide;
  const name = (number) => `svc-${String(number).padStart(3, "0")}`;
  batch.span(name(0), trace, 1, 0, [0, 900], { kind: 2, name: "GET /" });
  for (let number = 1; number < 100; number += 1) {
    const caller = Math.floor((number - 1) / 2);
    const from = 10 + number;
    const status = number % 13 === 0 ? { code: 2 } : {};
    batch.span(name(caller), trace, 1000 + number, caller + 1, [from, from + 500 - number], { kind: 3, name: `call ${name(number)}`, status });
    batch.span(name(number), trace, number + 1, 1000 + number, [from + 1, from + 480 - number], { kind: 2, name: "answer", status });
  }
}

/** Sends all of them. */
export async function sendHardCases(endpoint) {
  for (const fill of [odd, unicode, large, wide]) {
    const batch = new Batch(Date.now());
    fill(batch);
    await batch.send(endpoint);
  }
  const alone = new Batch(Date.now());
  alone.log("logs-only", TRACES.logsOnly, 7, 0, { stringValue: "a log record whose trace has no span" });
  await alone.send(endpoint);
}

/** One log record that arrives now. */
export async function sendLine(endpoint, words, service = "visitor") {
  const batch = new Batch(Date.now() + 120_000);
  batch.log(service, "", 0, 0, { stringValue: words });
  await batch.send(endpoint);
}
