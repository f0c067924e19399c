//! Why a program ended, for the user who started it.

use std::io::{self, Write};

use clap::error::ErrorKind;

use crate::exit::{Code, Exit};

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

    /// Something outside failed that may work later.
    #[must_use]
    pub fn transient(what: &str, error: &dyn std::fmt::Display) -> Self {
        Self::new(Code::Transient, format!("{what}: {error}"))
    }

    /// What clap found; help and version are no mistakes.
    #[must_use]
    pub fn of_usage(error: clap::Error) -> Self {
        let code = match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Code::Ok,
            _ => Code::Usage,
        };
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

    /// Says what happened to the user, each line after the name of the program.
    pub fn print(&self, program: &str) {
        // A user who closed the terminal cannot be told; the exit code still does.
        match &self.message {
            Message::Usage(error) => error.print().ok(),
            Message::Text(text) => text
                .lines()
                .try_for_each(|line| writeln!(io::stderr(), "{program}: {line}"))
                .ok(),
        };
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.message {
            Message::Text(text) => f.write_str(text),
            Message::Usage(error) => error.fmt(f),
        }
    }
}

impl<E: Exit> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(error.exit_code(), error.to_string())
    }
}
