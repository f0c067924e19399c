//! How far a long command is: one line on the standard error, written over again and again, where that is a terminal.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

/// Between two changes of the line.
const EVERY: Duration = Duration::from_millis(200);

/// The line. It is gone when this is dropped.
#[derive(Debug)]
pub(super) struct Progress {
    shown: Option<Instant>,
    is_terminal: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            shown: None,
            is_terminal: io::stderr().is_terminal(),
        }
    }

    /// Shows a text unless another one was shown a moment ago.
    pub(super) fn show(&mut self, text: impl FnOnce() -> String) {
        let is_due = self.shown.is_none_or(|at| at.elapsed() >= EVERY);
        if self.is_terminal && is_due {
            self.shown = Some(Instant::now());
            // A courtesy: a closed terminal must not stop the command.
            write!(io::stderr(), "\r\x1b[K{}", text()).ok();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown.is_some() {
            write!(io::stderr(), "\r\x1b[K").ok();
        }
    }
}
