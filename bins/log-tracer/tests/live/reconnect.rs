//! Live pages when the program behind them is killed and comes back.

use std::process::{Command, Stdio};

use crate::tools;

#[test]
#[ignore = "needs Node and Chromium: cargo make test-live"]
fn live_pages_find_their_place_again_when_the_program_was_killed() {
    let data = tempfile::tempdir().unwrap();
    let output = Command::new("node")
        .arg(tools::node().join("reconnect.mjs"))
        .arg(env!("CARGO_BIN_EXE_log-tracer"))
        .arg(data.path())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let failures = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && failures.trim().is_empty(),
        "{failures}"
    );
}
