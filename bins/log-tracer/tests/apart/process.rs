//! A process that is killed when the test ends, and started again as it was.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// How long a stop may take on a busy machine.
const STOP_MAX: Duration = Duration::from_secs(60);

pub(crate) struct Process {
    name: String,
    program: PathBuf,
    arguments: Vec<String>,
    /// What it writes, over all of its lives.
    log: PathBuf,
    child: Option<Child>,
}

impl Process {
    pub(crate) fn start(
        directory: &Path,
        name: &str,
        program: &Path,
        arguments: Vec<String>,
    ) -> Self {
        let mut process = Self {
            name: name.to_owned(),
            program: program.to_owned(),
            arguments,
            log: directory.join(format!("{name}.log")),
            child: None,
        };
        process.restart();
        process
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn restart(&mut self) {
        assert!(self.child.is_none(), "{} runs already", self.name);
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .unwrap();
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", self.program.display()));
        self.child = Some(child);
    }

    /// Other arguments from its next start on.
    pub(crate) fn set_arguments(&mut self, arguments: Vec<String>) {
        self.arguments = arguments;
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.still_runs();
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        let ended = child.wait().unwrap();
        assert_eq!(ended.code(), None, "{} had ended: {ended}", self.name);
    }

    /// Fails when it has ended by itself, with the end of what it wrote.
    pub(crate) fn still_runs(&mut self) {
        let child = self.child.as_mut().unwrap();
        if let Some(status) = child.try_wait().unwrap() {
            panic!("{} has ended: {status}\n{}", self.name, self.last_lines());
        }
    }

    /// SIGTERM, and a clean end.
    pub(crate) fn stop(mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        let pid = i32::try_from(child.id()).unwrap();
        kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
        let began = Instant::now();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                assert!(
                    status.success(),
                    "{} did not end cleanly: {status}\n{}",
                    self.name,
                    self.last_lines()
                );
                return;
            }
            if began.elapsed() > STOP_MAX {
                child.kill().ok();
                panic!("{} does not end\n{}", self.name, self.last_lines());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn last_lines(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let lines: Vec<_> = text.lines().rev().take(30).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A test that failed leaves no process behind.
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }
}
