//! What is wrong with a configuration.

use std::fmt;

use super::Origin;
use crate::exit::{Code, Exit};

/// Everything that is wrong with a configuration: at least one problem, a line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<Problem>,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where it was written; [`Origin::Default`] when the mistake is in no one place.
    pub origin: Origin,
    /// What was expected, and what is there instead.
    pub message: String,
    /// The key that it is about; empty when it is about the whole.
    pub key: String,
}

impl ConfigError {
    /// The mistakes in the order of file, environment, flags.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    pub(super) fn of(problem: Problem) -> Self {
        Self {
            problems: vec![problem],
        }
    }

    pub(super) fn unless_empty(problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Self { problems })
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.origin != Origin::Default {
            write!(f, "{}: ", self.origin)?;
        }
        f.write_str(&self.message)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

impl Exit for ConfigError {
    fn exit_code(&self) -> Code {
        Code::Config
    }
}
