//! Calls from one service to another, to a database, to a cache: each with the attributes that OpenTelemetry's semantic
//! conventions name.

use log_tracer_proto::otlp::{logs::SeverityNumber, trace::span::SpanKind};
use rand::RngExt;

use super::{Trace, sdk};
use crate::workload::{
    Service,
    recorder::{Open, attribute},
};

const GRPC_PORT: i64 = 8443;

/// A call over gRPC: the client's span, the server's, and what the server does.
pub(super) fn rpc(
    trace: &mut Trace<'_>,
    caller: &mut Open,
    service: Service,
    method: &str,
    serve: impl FnOnce(&mut Trace<'_>, &mut Open),
) {
    let mut client = trace.child(caller, SpanKind::Client, method);
    sdk::of_rpc(trace, &client, service, method);
    sdk::of_server(trace, &client, service.name(), GRPC_PORT);
    let mut server = trace.remote(&client, service, SpanKind::Server, method);
    sdk::of_rpc(trace, &server, caller.service(), method);
    sdk::of_server(trace, &server, service.name(), GRPC_PORT);
    trace.set(&server, "code.function.name", method);
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
    trace.set(&query, "db.query.summary", format!("{operation} {table}"));
    trace.set(&query, "db.response.returned_rows", rows);
    sdk::of_server(trace, &query, "shop-db.internal", 5432);
    trace.set(&query, "network.peer.address", "10.20.1.9");
    trace.set(&query, "code.function.name", "postgres.query");
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
    sdk::of_server(trace, &call, "shop-cache.internal", 6379);
    trace.set(&call, "network.peer.address", "10.20.1.17");
    trace.set(&call, "network.transport", "tcp");
    trace.set(&call, "code.function.name", "redis.command");
    trace.work(&mut call, 0.5);
    trace.close_into(call, caller);
}
