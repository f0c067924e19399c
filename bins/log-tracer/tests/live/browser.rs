//! Looks at pages in a headless Chromium.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use serde::Serialize;

use crate::tools;

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

/// Opens each page with and without JavaScript, light and dark, at three widths, and looks for the texts, for errors on
/// the console (a refused script or style is one), for dialogs, for a page wider than its window, and for what axe-core
/// finds.
pub(crate) async fn check(pages: &[Page]) {
    let input = serde_json::to_vec(pages).unwrap();
    let script = tools::node().join("browser.mjs");
    let output = tokio::task::spawn_blocking(move || {
        let mut child = Command::new("node")
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&input).unwrap();
        child.wait_with_output().unwrap()
    })
    .await
    .unwrap();
    let failures = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && failures.trim().is_empty(),
        "{failures}"
    );
}
