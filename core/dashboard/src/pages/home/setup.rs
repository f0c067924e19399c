//! How to send something: the lines to paste, for each language.

use serde::Serialize;

use crate::About;

/// How to send from a language.
#[derive(Debug, Serialize)]
pub(super) struct Language {
    id: &'static str,
    name: &'static str,
    text: String,
}

/// The lines to paste, with the addresses that are really listened on.
pub(super) fn languages(about: &About) -> Vec<Language> {
    let grpc = or(&about.otlp_grpc, "http://127.0.0.1:4317");
    let http = or(&about.otlp_http, "http://127.0.0.1:4318");
    let over_grpc = format!(
        "export OTEL_SERVICE_NAME=my-service\n\
         export OTEL_EXPORTER_OTLP_ENDPOINT={grpc}\n\
         export OTEL_EXPORTER_OTLP_PROTOCOL=grpc\n"
    );
    let over_http = format!(
        "export OTEL_SERVICE_NAME=my-service\n\
         export OTEL_EXPORTER_OTLP_ENDPOINT={http}\n\
         export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf\n"
    );
    let any_sdk = format!(
        "{over_grpc}\n# or over HTTP:\nexport OTEL_EXPORTER_OTLP_ENDPOINT={http}\nexport OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf\n"
    );
    let curl = format!(
        "curl {http}/v1/logs -H 'content-type: application/json' -d '{{\n\
         \x20 \"resourceLogs\": [{{\n\
         \x20   \"resource\": {{\"attributes\": [{{\"key\": \"service.name\", \"value\": {{\"stringValue\": \"my-service\"}}}}]}},\n\
         \x20   \"scopeLogs\": [{{\"logRecords\": [{{\"severityNumber\": 9, \"body\": {{\"stringValue\": \"hello\"}}}}]}}]\n\
         \x20 }}]\n\
         }}'\n"
    );
    [
        ("any", "Any SDK", any_sdk),
        (
            "python",
            "Python",
            format!(
                "pip install opentelemetry-distro opentelemetry-exporter-otlp\nopentelemetry-bootstrap -a install\n\
                 {over_grpc}export OTEL_LOGS_EXPORTER=otlp\nopentelemetry-instrument python app.py\n"
            ),
        ),
        (
            "node",
            "Node.js",
            format!(
                "npm install @opentelemetry/api @opentelemetry/auto-instrumentations-node\n{over_http}\
                 export OTEL_LOGS_EXPORTER=otlp\n\
                 node --require @opentelemetry/auto-instrumentations-node/register app.js\n"
            ),
        ),
        (
            "java",
            "Java",
            format!("# with the OpenTelemetry Java agent beside the program\n{over_http}java -javaagent:opentelemetry-javaagent.jar -jar app.jar\n"),
        ),
        (
            "go",
            "Go",
            format!("go get go.opentelemetry.io/otel/sdk go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc\n# otlptracegrpc.New(ctx) reads these:\n{over_grpc}go run .\n"),
        ),
        (
            "rust",
            "Rust",
            format!("cargo add opentelemetry opentelemetry_sdk\ncargo add opentelemetry-otlp --features grpc-tonic\n# SpanExporter::builder().with_tonic().build() reads these:\n{over_grpc}cargo run\n"),
        ),
        (
            "dotnet",
            ".NET",
            format!("dotnet add package OpenTelemetry.Extensions.Hosting\ndotnet add package OpenTelemetry.Exporter.OpenTelemetryProtocol\n# .UseOtlpExporter() reads these:\n{over_grpc}dotnet run\n"),
        ),
        ("curl", "Without an SDK", curl),
    ]
    .into_iter()
    .map(|(id, name, text)| Language { id, name, text })
    .collect()
}

fn or<'a>(text: &'a str, default: &'a str) -> &'a str {
    if text.is_empty() { default } else { text }
}
