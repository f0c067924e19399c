//! A process of a topology: its start, its log, its end.
//!
//! A process that is ours stops when its standard input ends, so it cannot outlive the one that started it, however that
//! ends. It has a process group of its own: Ctrl-C at a terminal is for the one that started it, which then stops all in
//! order.

use std::{
    io::{self, Write},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{ChildStdin, Command},
    sync::oneshot,
    time::{Instant, timeout, timeout_at},
};

use super::{Spec, TopologyError};

/// How long a process may take until it listens.
const START_MAX: Duration = Duration::from_secs(60);
/// A line of a log that is longer is cut in pieces.
const LINE_BYTES_MAX: u64 = 64 << 10;
/// The widest name that lines are aligned to.
const NAME_WIDTH: usize = 11;
/// The colours of names, in turn: cyan, green, yellow, blue, magenta.
const COLOURS: [u8; 5] = [36, 32, 33, 34, 35];

/// A running process.
#[derive(Debug)]
pub struct Child {
    name: String,
    child: tokio::process::Child,
    /// Its end asks a process of ours to stop.
    input: Option<ChildStdin>,
    /// The first line of its standard output.
    first_line: Option<oneshot::Receiver<String>>,
    addresses: Value,
}

/// A process that has ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Which.
    pub name: String,
    /// In words.
    pub how: String,
    /// Its exit code, when it was not a signal that ended it.
    pub code: Option<i32>,
}

impl Ended {
    /// Whether it ended as it should.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.code == Some(0)
    }

    fn of(name: String, status: io::Result<ExitStatus>) -> Self {
        match status {
            Ok(status) => Self {
                name,
                how: status.to_string(),
                code: status.code(),
            },
            Err(error) => Self {
                name,
                how: error.to_string(),
                code: None,
            },
        }
    }
}

impl Child {
    /// Starts a process.
    ///
    /// # Errors
    /// The system refuses to.
    pub fn start(spec: Spec, relay: &Relay) -> Result<Self, TopologyError> {
        let mut command = Command::new(&spec.program);
        command
            .args(&spec.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        #[cfg(unix)]
        command.process_group(0);
        if relay.is_coloured {
            command.env("LOG_TRACER__LOGGING__COLOUR", "always");
        }
        let mut child = command.spawn().map_err(|source| TopologyError::Io {
            what: format!("{} cannot be started", spec.program.display()),
            source,
        })?;
        let prefix = relay.prefix(&spec.name);
        let (sender, first_line) = oneshot::channel();
        if let Some(output) = child.stdout.take() {
            tokio::spawn(copy(output, prefix.clone(), Some(sender)));
        }
        if let Some(output) = child.stderr.take() {
            tokio::spawn(copy(output, prefix, None));
        }
        Ok(Self {
            name: spec.name,
            input: child.stdin.take(),
            child,
            first_line: Some(first_line),
            addresses: Value::Null,
        })
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for the line of JSON by which a process of ours says where it listens.
    ///
    /// # Errors
    /// It ends before, or says nothing, or something else.
    pub async fn listens(&mut self) -> Result<(), TopologyError> {
        let Some(first_line) = self.first_line.take() else {
            return Ok(());
        };
        let not_ready = |name: &str, why: String| TopologyError::NotReady {
            name: name.to_owned(),
            why,
        };
        let line = match timeout(START_MAX, first_line).await {
            Ok(Ok(line)) => line,
            Ok(Err(_)) => {
                let name = self.name.clone();
                return Err(TopologyError::Ended(vec![Ended::of(
                    name,
                    self.child.wait().await,
                )]));
            }
            Err(_) => {
                return Err(not_ready(
                    &self.name,
                    format!("no word within {START_MAX:?}"),
                ));
            }
        };
        self.addresses = serde_json::from_str(&line)
            .map_err(|error| not_ready(&self.name, format!("it says `{line}`: {error}")))?;
        Ok(())
    }

    /// One of the addresses that it said.
    ///
    /// # Errors
    /// It did not say it.
    pub fn address(&self, key: &str) -> Result<String, TopologyError> {
        let address = self.addresses.get(key).and_then(Value::as_str);
        address
            .map(str::to_owned)
            .ok_or_else(|| TopologyError::NotReady {
                name: self.name.clone(),
                why: format!("it did not say its address `{key}`"),
            })
    }

    /// Returns when it has ended.
    pub async fn ended(&mut self) -> Ended {
        // Its standard input is ours: tokio would close it here, and that stops the process.
        let status = self.child.wait().await;
        Ended::of(self.name.clone(), status)
    }

    /// Asks it to stop, waits until the deadline, and then kills it.
    pub async fn stop(mut self, deadline: Instant) -> Ended {
        drop(self.input.take());
        self.ask_to_stop();
        match timeout_at(deadline, self.child.wait()).await {
            Ok(status) => Ended::of(self.name, status),
            Err(_) => {
                let killed = self.child.kill().await;
                Ended {
                    how: match killed {
                        Ok(()) => "killed at the deadline".to_owned(),
                        Err(error) => format!("it cannot be killed: {error}"),
                    },
                    name: self.name,
                    code: None,
                }
            }
        }
    }

    #[cfg(unix)]
    fn ask_to_stop(&self) {
        use nix::{sys::signal, unistd::Pid};
        let id = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(id) = id {
            // One that has just ended needs no signal, and its id is not given away before it was waited for.
            let _ended_already = signal::kill(Pid::from_raw(id), signal::Signal::SIGTERM);
        }
    }

    #[cfg(not(unix))]
    fn ask_to_stop(&self) {}
}

/// Writes the logs of processes to the standard error, each line after the name of its process.
#[derive(Debug)]
pub struct Relay {
    is_coloured: bool,
}

impl Relay {
    /// With colours or without.
    #[must_use]
    pub fn new(is_coloured: bool) -> Self {
        Self { is_coloured }
    }

    fn prefix(&self, name: &str) -> String {
        let padded = format!("{name:NAME_WIDTH$}");
        if !self.is_coloured {
            return format!("{padded} | ");
        }
        let sum: usize = name.bytes().map(usize::from).sum();
        let colour = COLOURS.get(sum % COLOURS.len()).unwrap_or(&0);
        format!("\x1b[{colour}m{padded} |\x1b[0m ")
    }
}

/// Copies lines until the process closes its output. The first one goes to `first` instead, when somebody wants it.
async fn copy(
    output: impl AsyncRead + Unpin,
    prefix: String,
    mut first: Option<oneshot::Sender<String>>,
) {
    use tokio::io::AsyncReadExt;
    let mut reader = BufReader::new(output);
    loop {
        let mut line = Vec::new();
        let mut limited = (&mut reader).take(LINE_BYTES_MAX);
        match limited.read_until(b'\n', &mut line).await {
            Ok(1..) => {}
            // Nobody reads on: the process would stop at a full pipe, and has closed it.
            Ok(0) | Err(_) => return,
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        match first.take() {
            Some(wanted) if text.starts_with('{') => {
                let _nobody_waits: Result<(), String> = wanted.send(text.to_owned());
            }
            not_yet => {
                first = not_yet;
                // A terminal that is gone cannot be written to; the processes go on.
                let _gone: io::Result<()> = writeln!(io::stderr().lock(), "{prefix}{text}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_aligned_and_coloured_only_when_asked() {
        let plain = Relay::new(false);
        assert_eq!(plain.prefix("nats"), "nats        | ");
        let coloured = Relay::new(true).prefix("nats");
        assert!(coloured.starts_with("\x1b["), "{coloured}");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_process_says_where_it_listens_and_stops_when_asked() {
        let script = r#"echo '{"query_grpc":"http://a:1"}'; exec sleep 60"#;
        let spec = Spec {
            name: "sleeper".to_owned(),
            program: "sh".into(),
            arguments: vec!["-c".to_owned(), script.to_owned()],
        };
        let mut child = Child::start(spec, &Relay::new(false)).unwrap();
        child.listens().await.unwrap();
        assert_eq!(child.address("query_grpc").unwrap(), "http://a:1");
        assert!(child.address("otlp_grpc").is_err());
        let ended = child.stop(Instant::now() + START_MAX).await;
        assert_eq!(ended.code, None, "{ended:?}");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_process_that_ends_before_it_listens_is_told_with_its_code() {
        let spec = Spec {
            name: "ends".to_owned(),
            program: "sh".into(),
            arguments: vec!["-c".to_owned(), "exit 78".to_owned()],
        };
        let mut child = Child::start(spec, &Relay::new(false)).unwrap();
        let error = child.listens().await.unwrap_err();
        let TopologyError::Ended(ended) = error else {
            panic!("{error}");
        };
        assert_eq!(ended[0].code, Some(78));
    }
}
