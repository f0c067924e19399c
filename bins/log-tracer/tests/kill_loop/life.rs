//! One process, from its start to its end.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    sync::mpsc::{Receiver, TryRecvError, sync_channel},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::Deserialize;

/// How long a start may take with a memtable and a journal full to replay, on a busy machine.
const START_MAX: Duration = Duration::from_secs(60);
/// How long a stop may take.
const STOP_MAX: Duration = Duration::from_secs(60);

/// What a process prints when it is ready.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Addresses {
    pub(crate) otlp_grpc: String,
    pub(crate) query_grpc: String,
}

/// Limits so small that a second of load flushes, merges, recycles segments and expires blocks several times.
const SETTINGS: [&str; 11] = [
    "transport.kind=disk",
    "transport.segment_bytes=1048576",
    "transport.retained_bytes_max=268435456",
    "transport.reserve_bytes=0",
    "consumer.store.flush_rows_max=700",
    "consumer.store.flush_age_max_ms=200",
    "consumer.store.block_rows_max=6000",
    "consumer.store.retention_age_max_ms=86400000",
    "consumer.store.disk_reserve_bytes=0",
    "logging.level=warn",
    "stop_deadline_ms=30000",
];

pub(crate) struct Life {
    child: Child,
    line: Receiver<String>,
    is_ready: bool,
}

impl Life {
    pub(crate) fn begin(directory: &Path) -> Self {
        let free = "127.0.0.1:0";
        let mut child = Command::new(env!("CARGO_BIN_EXE_log-tracer"))
            .args(["run", "--json", "--data-dir"])
            .arg(directory)
            .args(["--grpc-listen", free, "--http-listen", free])
            .args(["--dashboard-listen", free, "--query-listen", free])
            .args(SETTINGS.iter().flat_map(|setting| ["--set", setting]))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let line = first_line(child.stdout.take().unwrap());
        Self {
            child,
            line,
            is_ready: false,
        }
    }

    /// Waits until it takes requests.
    pub(crate) async fn ready(&mut self) -> Addresses {
        let started = std::time::Instant::now();
        loop {
            match self.line.try_recv() {
                Ok(line) => {
                    self.is_ready = true;
                    return serde_json::from_str(&line)
                        .unwrap_or_else(|error| panic!("{error}: `{line}`"));
                }
                Err(TryRecvError::Empty) if started.elapsed() < START_MAX => {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                Err(error) => panic!("it is not ready after {:?}: {error}", started.elapsed()),
            }
        }
    }

    /// Whether it has said that it is ready.
    pub(crate) fn is_ready(&mut self) -> bool {
        self.is_ready |= self.line.try_recv().is_ok();
        self.is_ready
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        let ended = self.child.wait().unwrap();
        assert_eq!(ended.code(), None, "it had ended by itself: {ended}");
    }

    /// SIGTERM, and a clean end.
    pub(crate) fn stop(mut self) {
        let pid = i32::try_from(self.child.id()).unwrap();
        kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
        let began = std::time::Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "it did not end cleanly: {status}");
                return;
            }
            assert!(began.elapsed() < STOP_MAX, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        // A test that failed leaves no process behind.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn first_line(output: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = sync_channel(1);
    std::thread::spawn(move || {
        let mut line = String::new();
        if matches!(BufReader::new(output).read_line(&mut line), Ok(bytes) if bytes > 0) {
            sender.send(line).ok();
        }
    });
    receiver
}
