//! What `run` prints once it is ready.

use std::{
    fmt::Write as _,
    io::{self, Write},
};

use log_tracer_transport::Capabilities;
use serde_json::json;

use crate::standalone::Standalone;

/// Writes it to the standard output at once, so that a program that reads it through a pipe need not wait.
pub(super) fn print(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
}

/// One line for a program.
pub(super) fn json(standalone: &Standalone) -> String {
    let endpoints = standalone.endpoints();
    let line = json!({
        "otlp_grpc": endpoints.otlp_grpc(),
        "otlp_http": endpoints.otlp_http(),
        "dashboard": endpoints.dashboard(),
        "query_grpc": endpoints.query_grpc(),
        "data_directory": standalone.data_directory(),
        "pid": std::process::id(),
        "version": env!("CARGO_PKG_VERSION"),
    });
    format!("{line}\n")
}

/// Some lines for a person.
pub(super) fn text(standalone: &Standalone) -> String {
    let endpoints = standalone.endpoints();
    let (grpc, http) = (endpoints.otlp_grpc(), endpoints.otlp_http());
    let mut text = format!(
        "\nlog-tracer {version} is ready\n\n  dashboard   {dashboard}\n  OTLP gRPC   {grpc}\n  OTLP HTTP   {http}\n",
        version = env!("CARGO_PKG_VERSION"),
        dashboard = endpoints.dashboard(),
    );
    if let Some(query) = endpoints.query_grpc() {
        // A write to a string cannot fail.
        let _ = writeln!(text, "  queries     {query} (gRPC)");
    }
    if let Some(data) = standalone.data_directory() {
        let _ = writeln!(text, "  data        {}", data.display());
    }
    let _ = write!(
        text,
        "\nSend with any OpenTelemetry SDK, over gRPC:\n\n  \
         export OTEL_EXPORTER_OTLP_ENDPOINT={grpc}\n  \
         export OTEL_EXPORTER_OTLP_PROTOCOL=grpc\n\n\
         or over HTTP:\n\n  \
         export OTEL_EXPORTER_OTLP_ENDPOINT={http}\n  \
         export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf\n\n\
         Durability: {durability}\n\
         Ctrl-C stops it, a second Ctrl-C ends it at once.\n\n",
        durability = durability(standalone.capabilities()),
    );
    text
}

/// What an ack is worth, in one plain sentence.
fn durability(capabilities: &Capabilities) -> &'static str {
    match capabilities {
        Capabilities {
            survives_node_loss: true,
            ..
        } => "acked data survives the loss of this machine.",
        Capabilities {
            survives_os_crash: true,
            ..
        } => "acked data is on disk and survives a power failure.",
        Capabilities {
            survives_process_crash: true,
            ..
        } => "acked data survives the end of this process, and not a power failure.",
        _ => "acked data lives in memory and is gone when the process ends.",
    }
}
