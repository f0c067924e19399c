//! The interfaces for programs, as the tools of others see them.

use crate::{demo, server::Server, tools};

/// Schemathesis reads the OpenAPI document, makes requests of every kind from it, good and bad, and holds the answers
/// against it. What it would check beside that does not apply: that a text of a parameter is one that makes sense is
/// more than its schema can say.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Python, Node and Chromium: cargo make test-live"]
async fn the_running_interface_is_what_its_document_says() {
    let server = Server::start();
    demo(&server);
    let document = format!("{}/api/v1/openapi.json", server.dashboard);
    tools::run_python(
        "schemathesis",
        &[
            "run",
            &document,
            // A stream without an end.
            "--exclude-operation-id",
            "tail",
            "--exclude-checks",
            "positive_data_acceptance",
            "--max-examples",
            "40",
            "--max-time",
            "240",
            "--generation-deterministic",
            "--no-color",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Python, Node and Chromium: cargo make test-live"]
async fn prometheus_reads_both_formats_of_the_metrics() {
    let server = Server::start();
    demo(&server);
    let said = tools::run_script("metrics.py", &[&server.dashboard]);
    for (format, samples) in said.as_object().unwrap() {
        assert!(samples.as_u64().unwrap() > 40, "{format}: {samples}");
    }
}
