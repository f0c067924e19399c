// Sends a trace with logs through the OpenTelemetry SDK for JavaScript, and prints what it sent.
//
// usage: node send.mjs grpc|http|json ENDPOINT
//
// The last line of standard output is one JSON object: {"spans": [...], "logs": [...]}, read back from the SDK's own
// objects, so that the test compares what the SDK held with what log-tracer answers.

import { SpanKind, SpanStatusCode, context, trace } from "@opentelemetry/api";
import { SeverityNumber } from "@opentelemetry/api-logs";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchLogRecordProcessor, LoggerProvider } from "@opentelemetry/sdk-logs";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";

const [protocol, endpoint] = process.argv.slice(2);

async function exporters() {
  const name = { grpc: "grpc", http: "proto", json: "http" }[protocol];
  const { OTLPTraceExporter } = await import(`@opentelemetry/exporter-trace-otlp-${name}`);
  const { OTLPLogExporter } = await import(`@opentelemetry/exporter-logs-otlp-${name}`);
  if (protocol === "grpc") {
    return [new OTLPTraceExporter({ url: endpoint }), new OTLPLogExporter({ url: endpoint })];
  }
  return [
    new OTLPTraceExporter({ url: `${endpoint}/v1/traces` }),
    new OTLPLogExporter({ url: `${endpoint}/v1/logs` }),
  ];
}

// A value in OTLP's JSON form.
function typed(value) {
  if (value === null || value === undefined) return {};
  if (typeof value === "boolean") return { boolValue: value };
  if (typeof value === "number") {
    return Number.isInteger(value) ? { intValue: String(value) } : { doubleValue: value };
  }
  if (value instanceof Uint8Array) return { bytesValue: Buffer.from(value).toString("base64") };
  if (Array.isArray(value)) return { arrayValue: { values: value.map(typed) } };
  if (typeof value === "object") {
    const values = Object.entries(value).map(([key, item]) => ({ key, value: typed(item) }));
    return { kvlistValue: { values } };
  }
  return { stringValue: String(value) };
}

const attributes = (mapping) =>
  Object.fromEntries(Object.entries(mapping ?? {}).map(([key, value]) => [key, typed(value)]));

const nanos = ([seconds, rest]) => String(BigInt(seconds) * 1_000_000_000n + BigInt(rest));

const spans = [];
const keepSpans = {
  onStart() {},
  onEnd(span) {
    const own = span.spanContext();
    spans.push({
      traceId: own.traceId,
      spanId: own.spanId,
      parentSpanId: span.parentSpanContext?.spanId ?? "",
      name: span.name,
      // OTLP counts kinds from 1, the SDK from 0.
      kind: span.kind + 1,
      startTimeUnixNano: nanos(span.startTime),
      endTimeUnixNano: nanos(span.endTime),
      status: { code: span.status.code, message: span.status.message ?? "" },
      scope: span.instrumentationScope.name,
      resource: attributes(span.resource.attributes),
      attributes: attributes(span.attributes),
      events: span.events.map((event) => ({
        timeUnixNano: nanos(event.time),
        name: event.name,
        attributes: attributes(event.attributes),
      })),
      links: span.links.map((link) => ({
        traceId: link.context.traceId,
        spanId: link.context.spanId,
        attributes: attributes(link.attributes),
      })),
    });
  },
  async forceFlush() {},
  async shutdown() {},
};

const logs = [];
const keepLogs = {
  onEmit(record) {
    logs.push({
      traceId: record.spanContext?.traceId ?? "",
      spanId: record.spanContext?.spanId ?? "",
      timeUnixNano: nanos(record.hrTime),
      severityNumber: record.severityNumber ?? 0,
      severityText: record.severityText ?? "",
      body: typed(record.body),
      attributes: attributes(record.attributes),
    });
  },
  async forceFlush() {},
  async shutdown() {},
};

const [traceExporter, logExporter] = await exporters();
const resource = resourceFromAttributes({ "service.name": "node-shop", "service.version": "4.5.6" });
const tracers = new BasicTracerProvider({
  resource,
  spanProcessors: [keepSpans, new BatchSpanProcessor(traceExporter)],
});
const loggers = new LoggerProvider({
  resource,
  processors: [keepLogs, new BatchLogRecordProcessor({ exporter: logExporter })],
});
const tracer = tracers.getTracer("shop.web", "0.1");
const logger = loggers.getLogger("shop.web", "0.1");

const elsewhere = { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331", traceFlags: 1 };
const root = tracer.startSpan("GET /product", {
  kind: SpanKind.SERVER,
  links: [{ context: elsewhere, attributes: { why: "batch" } }],
  attributes: {
    "http.response.status_code": 200,
    ratio: 0.25,
    vip: false,
    tags: ["x", "y"],
    'odd "key".with:everything': "<script>alert(1)</script> & 'quotes' \u{1F600}",
  },
});
const within = trace.setSpan(context.active(), root);
const emit = (record) => logger.emit({ context: within, timestamp: Date.now(), ...record });
emit({
  severityNumber: SeverityNumber.INFO,
  severityText: "INFO",
  body: "product page asked for",
  attributes: { "user.id": "u-2" },
});
const query = tracer.startSpan("SELECT products", { kind: SpanKind.CLIENT }, within);
query.addEvent("rows read", { rows: 12 });
query.recordException(new Error("connection refused"));
query.setStatus({ code: SpanStatusCode.ERROR, message: "connection refused" });
query.end();
emit({
  severityNumber: SeverityNumber.ERROR,
  severityText: "ERROR",
  body: { what: "structured", nested: { list: [1, "two", 3.5] } },
  attributes: { raw: new Uint8Array([0, 255]) },
});
root.end();

await tracers.forceFlush();
await loggers.forceFlush();
await tracers.shutdown();
await loggers.shutdown();
console.log(JSON.stringify({ spans, logs }));
