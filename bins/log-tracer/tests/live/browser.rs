//! Looks at pages in a headless Chromium: the scripts of `browser/`, each of which prints a line for each thing that is
//! wrong.

use std::{
    fs,
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
};

use serde::Serialize;

use crate::{server::Server, tools};

/// A page, and the texts that a reader must see on it.
#[derive(Debug, Serialize)]
pub(crate) struct Page {
    url: String,
    texts: Vec<String>,
}

impl Page {
    pub(crate) fn new(url: &str, texts: impl IntoIterator<Item = String>) -> Self {
        Self {
            url: url.to_owned(),
            texts: texts.into_iter().collect(),
        }
    }
}

/// A server that nothing was sent to, and one with the demo's quarter of an hour.
pub(crate) struct Servers {
    empty: Server,
    full: Server,
}

impl Servers {
    pub(crate) fn start() -> Self {
        let full = Server::start();
        crate::demo(&full);
        Self {
            empty: Server::start(),
            full,
        }
    }

    fn addresses(&self) -> serde_json::Value {
        let addresses = |server: &Server| serde_json::json!({"dashboard": server.dashboard, "otlp_http": server.otlp_http});
        serde_json::json!({"empty": addresses(&self.empty), "full": addresses(&self.full)})
    }
}

/// Opens each page with and without JavaScript, and looks for the texts, for errors on the console (a refused script or
/// style is one), for dialogs, for a page wider than its window, and for what axe-core finds.
pub(crate) async fn shows(pages: &[Page]) {
    run("texts.mjs", &[], serde_json::to_vec(pages).unwrap()).await;
}

/// Runs a script with the addresses of the servers.
pub(crate) async fn passes(script: &str, servers: &Servers, arguments: &[&str]) {
    let input = serde_json::to_vec(&servers.addresses()).unwrap();
    run(script, arguments, input).await;
}

/// Where pictures are put; `cargo make screenshots` copies them to where the README shows them.
pub(crate) fn pictures() -> PathBuf {
    tools::home().join("screenshots")
}

/// That a picture is one, and not an empty page.
pub(crate) fn assert_pictured(name: &str) {
    let file = pictures().join(format!("{name}.png"));
    let bytes = fs::metadata(&file).map_or(0, |file| file.len());
    assert!(bytes > 20_000, "{} has {bytes} bytes", file.display());
}

async fn run(script: &str, arguments: &[&str], input: Vec<u8>) {
    let mut command = Command::new("node");
    command
        .arg(tools::node().join(script))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    let output = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(&input).unwrap();
        child.wait_with_output().unwrap()
    })
    .await
    .unwrap();
    let faults = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && faults.trim().is_empty(),
        "{faults}"
    );
}
