"""Sends a trace with logs through the OpenTelemetry SDK for Python, and prints what it sent.

usage: send.py grpc|http ENDPOINT

The last line of standard output is one JSON object: {"spans": [...], "logs": [...]}, read back from the SDK's own
objects, so that the test compares what the SDK held with what log-tracer answers.
"""

import base64
import json
import logging
import sys

from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler, LogRecordProcessor
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode, TraceFlags

RESOURCE = {"service.name": "python-shop", "service.version": "1.2.3", "shop.region": "eu", "shop.replica": 3}


def exporters(protocol, endpoint):
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

        return OTLPSpanExporter(endpoint=endpoint, insecure=True), OTLPLogExporter(endpoint=endpoint, insecure=True)
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return (
        OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces", compression=Compression.Gzip),
        OTLPLogExporter(endpoint=f"{endpoint}/v1/logs", compression=Compression.Gzip),
    )


def typed(value):
    """A value in OTLP's JSON form."""
    if value is None:
        return {}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, bytes):
        return {"bytesValue": base64.b64encode(value).decode()}
    if isinstance(value, (list, tuple)):
        return {"arrayValue": {"values": [typed(item) for item in value]}}
    if hasattr(value, "items"):
        return {"kvlistValue": {"values": [{"key": key, "value": typed(item)} for key, item in value.items()]}}
    return {"stringValue": str(value)}


def attributes(mapping):
    return {key: typed(value) for key, value in (mapping or {}).items()}


class KeepSpans(SpanProcessor):
    def __init__(self):
        self.spans = []

    def on_end(self, span):
        self.spans.append(
            {
                "traceId": f"{span.context.trace_id:032x}",
                "spanId": f"{span.context.span_id:016x}",
                "parentSpanId": f"{span.parent.span_id:016x}" if span.parent else "",
                "name": span.name,
                # OTLP counts kinds from 1, the SDK from 0.
                "kind": span.kind.value + 1,
                "startTimeUnixNano": str(span.start_time),
                "endTimeUnixNano": str(span.end_time),
                "status": {"code": span.status.status_code.value, "message": span.status.description or ""},
                "scope": span.instrumentation_scope.name,
                "resource": attributes(span.resource.attributes),
                "attributes": attributes(span.attributes),
                "events": [
                    {"timeUnixNano": str(event.timestamp), "name": event.name, "attributes": attributes(event.attributes)}
                    for event in span.events
                ],
                "links": [
                    {
                        "traceId": f"{link.context.trace_id:032x}",
                        "spanId": f"{link.context.span_id:016x}",
                        "attributes": attributes(link.attributes),
                    }
                    for link in span.links
                ],
            }
        )


class KeepLogs(LogRecordProcessor):
    def __init__(self):
        self.logs = []

    def on_emit(self, log_record):
        record = log_record.log_record
        self.logs.append(
            {
                "traceId": f"{record.trace_id:032x}" if record.trace_id else "",
                "spanId": f"{record.span_id:016x}" if record.span_id else "",
                "timeUnixNano": str(record.timestamp or 0),
                "severityNumber": record.severity_number.value,
                "severityText": record.severity_text or "",
                "body": typed(record.body),
                "attributes": attributes(record.attributes),
            }
        )

    def shutdown(self):
        pass

    def force_flush(self, timeout_millis=30000):
        return True


def work(tracer, logger):
    elsewhere = SpanContext(0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331, True, TraceFlags(1))
    with tracer.start_as_current_span("GET /checkout", kind=SpanKind.SERVER, links=[Link(elsewhere, {"why": "retry of"})]) as root:
        root.set_attribute("http.response.status_code", 500)
        root.set_attribute("big", 2**53 + 1)
        root.set_attribute("negative", -(2**63))
        root.set_attribute("ratio", 0.1)
        root.set_attribute("vip", True)
        root.set_attribute("tags", ["a", "b", ""])
        root.set_attribute("numbers", [1, -2, 3])
        root.set_attribute('odd "key".with:everything', "<script>alert(1)</script> & 'quotes' \u2028 \U0001f600")
        logger.info("checkout of %s started", "u-1", extra={"user.id": "u-1"})
        with tracer.start_as_current_span("charge card", kind=SpanKind.CLIENT) as charge:
            charge.add_event("gateway asked", {"attempt": 1})
            try:
                raise ValueError("card declined")
            except ValueError as error:
                charge.record_exception(error)
                charge.set_status(StatusCode.ERROR, "card declined")
                logger.exception("payment failed")
        with tracer.start_as_current_span("write audit line", kind=SpanKind.INTERNAL):
            pass
    logger.warning("after the request, without a trace")


def main():
    protocol, endpoint = sys.argv[1:]
    span_exporter, log_exporter = exporters(protocol, endpoint)
    kept_spans, kept_logs = KeepSpans(), KeepLogs()
    resource = Resource.create(RESOURCE)
    tracers = TracerProvider(resource=resource)
    tracers.add_span_processor(kept_spans)
    tracers.add_span_processor(BatchSpanProcessor(span_exporter))
    loggers = LoggerProvider(resource=resource)
    loggers.add_log_record_processor(kept_logs)
    loggers.add_log_record_processor(BatchLogRecordProcessor(log_exporter))
    trace.set_tracer_provider(tracers)

    logger = logging.getLogger("shop")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(LoggingHandler(level=logging.NOTSET, logger_provider=loggers))
    work(tracers.get_tracer("shop.checkout", "0.1"), logger)
    loggers.get_logger("shop.structured").emit(
        LogRecord(
            timestamp=1_700_000_000_123_456_789,
            severity_number=SeverityNumber.FATAL,
            severity_text="FATAL",
            body={"what": "structured", "nested": {"list": [1, "two", 3.5, None]}},
            attributes={"raw": b"\x00\xff", "nested": {"a": [True, {"b": 1}]}},
        )
    )
    flushed = tracers.force_flush() and loggers.force_flush()
    tracers.shutdown()
    loggers.shutdown()
    print(json.dumps({"spans": kept_spans.spans, "logs": kept_logs.logs}))
    sys.exit(0 if flushed else 1)


main()
