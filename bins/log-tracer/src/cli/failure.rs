//! Why a command ended, and with which code.

use std::io::{self, Write};

use log_tracer_runtime::exit::{Code, Exit};

/// Why a command ended other than by being done.
#[derive(Debug)]
pub struct Failure {
    code: Code,
    message: Message,
}

#[derive(Debug)]
enum Message {
    /// Lines for the standard error.
    Text(String),
    /// Clap knows where its help and its errors go, and in which colours.
    Usage(Box<clap::Error>),
}

impl Failure {
    /// A failure with a message of one line or more.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: Message::Text(message.into()),
        }
    }

    pub(super) fn of_usage(code: Code, error: clap::Error) -> Self {
        Self {
            code,
            message: Message::Usage(Box::new(error)),
        }
    }

    /// The code to end the process with.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// Says what happened to the user.
    pub fn print(&self) {
        // A user who closed the terminal cannot be told; the exit code still does.
        match &self.message {
            Message::Usage(error) => error.print().ok(),
            Message::Text(text) => text
                .lines()
                .try_for_each(|line| writeln!(io::stderr(), "log-tracer: {line}"))
                .ok(),
        };
    }
}

impl<E: Exit> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(error.exit_code(), error.to_string())
    }
}
