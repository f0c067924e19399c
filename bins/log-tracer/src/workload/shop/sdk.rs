//! What the instrumentation of an SDK adds by itself: middleware and sockets. The names are those of OpenTelemetry's
//! semantic conventions, and with them a span is as large as those of real services, about ten attributes.

use log_tracer_proto::otlp::trace::span::SpanKind;
use rand::RngExt;

use super::Trace;
use crate::workload::{Service, recorder::Open};

/// Both sides of a call over gRPC know the other's socket.
pub(super) fn of_rpc(trace: &mut Trace<'_>, open: &Open, peer: Service, method: &str) {
    trace.set(open, "rpc.system.name", "grpc");
    trace.set(open, "rpc.method", method);
    trace.set(open, "network.transport", "tcp");
    trace.set(open, "network.protocol.name", "http");
    trace.set(open, "network.protocol.version", "2");
    trace.set(open, "network.peer.address", peer.address());
    let port = i64::from(trace.rng.random_range(32_768..61_000));
    trace.set(open, "network.peer.port", port);
}

/// A client that opened a connection names where to.
pub(super) fn of_server(trace: &mut Trace<'_>, open: &Open, host: &str, port: i64) {
    trace.set(open, "server.address", host);
    trace.set(open, "server.port", port);
}

/// The server's side of a request from a browser.
pub(super) fn of_request(trace: &mut Trace<'_>, open: &Open) {
    of_server(trace, open, "shop.example", 443);
    trace.set(open, "url.scheme", "https");
    trace.set(open, "network.protocol.version", "1.1");
    trace.set(open, "network.peer.address", "10.20.0.4");
    let port = i64::from(trace.rng.random_range(32_768..61_000));
    trace.set(open, "network.peer.port", port);
}

/// The frontend's middleware: a span for each, as the instrumentation of its framework makes them.
pub(super) fn middleware(trace: &mut Trace<'_>, page: &mut Open) {
    for (name, median_ms) in [
        ("cors", 0.05),
        ("session", 0.4),
        ("jsonParser", 0.15),
        ("authenticate", 0.6),
    ] {
        let mut step = trace.child(page, SpanKind::Internal, &format!("middleware - {name}"));
        trace.set(&step, "express.name", name);
        trace.set(&step, "express.type", "middleware");
        trace.set(&step, "code.function.name", format!("middleware.{name}"));
        trace.work(&mut step, median_ms);
        trace.close_into(step, page);
    }
}
