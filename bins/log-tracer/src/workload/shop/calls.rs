//! Calls from one service to another, to a database, to a cache: each with the attributes that OpenTelemetry's semantic
//! conventions name.

use log_tracer_proto::otlp::{logs::SeverityNumber, trace::span::SpanKind};
use rand::RngExt;

use super::Trace;
use crate::workload::{
    Service,
    recorder::{Open, attribute},
};

/// A call over gRPC: the client's span, the server's, and what the server does.
pub(super) fn rpc(
    trace: &mut Trace<'_>,
    caller: &mut Open,
    service: Service,
    method: &str,
    serve: impl FnOnce(&mut Trace<'_>, &mut Open),
) {
    let mut client = trace.child(caller, SpanKind::Client, method);
    trace.set(&client, "rpc.system.name", "grpc");
    trace.set(&client, "server.address", service.name());
    let mut server = trace.remote(&client, service, SpanKind::Server, method);
    trace.set(&server, "rpc.system.name", "grpc");
    trace.work(&mut server, 1.0);
    serve(trace, &mut server);
    trace.work(&mut server, 0.5);
    let failed = server.failed();
    let status = if failed { "INTERNAL" } else { "OK" };
    trace.set(&server, "rpc.response.status_code", status);
    trace.set(&client, "rpc.response.status_code", status);
    trace.close_into(server, &mut client);
    if failed {
        trace.fail_quietly(&mut client, "INTERNAL");
    }
    trace.close_into(client, caller);
}

pub(super) fn sql(
    trace: &mut Trace<'_>,
    caller: &mut Open,
    operation: &str,
    table: &str,
    text: &str,
    median_ms: f64,
    rows: i64,
) {
    let mut query = trace.child(caller, SpanKind::Client, &format!("{operation} {table}"));
    trace.set(&query, "db.system.name", "postgresql");
    trace.set(&query, "db.namespace", "shop");
    trace.set(&query, "db.operation.name", operation);
    trace.set(&query, "db.collection.name", table);
    trace.set(&query, "db.query.text", text);
    trace.set(&query, "db.response.returned_rows", rows);
    trace.work(&mut query, median_ms);
    if trace.rng.random_bool(0.015) {
        trace.work(&mut query, median_ms * 120.0);
        trace.log(
            &query,
            SeverityNumber::Warn,
            format!("slow query on {table}"),
            vec![
                attribute("db.query.text", text),
                attribute("db.collection.name", table),
            ],
        );
    }
    trace.close_into(query, caller);
}

pub(super) fn cache(trace: &mut Trace<'_>, caller: &mut Open, command: &str, key: &str) {
    let mut call = trace.child(caller, SpanKind::Client, command);
    trace.set(&call, "db.system.name", "redis");
    trace.set(&call, "db.operation.name", command);
    trace.set(&call, "db.query.text", format!("{command} {key}"));
    trace.work(&mut call, 0.5);
    trace.close_into(call, caller);
}
