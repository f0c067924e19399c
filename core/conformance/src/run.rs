//! Runs one case: on which runtime, by which clock, and for how long at most.

use std::{fmt, time::Duration};

use futures_util::future::BoxFuture;
use tokio::{runtime, time::timeout};

use crate::{Clock, Harness, Seen, Stage, cases};

/// A case that has not ended by then hangs.
const CASE_SECONDS_MAX: u64 = 120;

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// The sentence that it checks.
    pub name: &'static str,
    /// Where it runs.
    pub(crate) threads: Threads,
    pub(crate) check: for<'a> fn(&'a Stage<'a>) -> BoxFuture<'a, Result<(), Seen>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Threads {
    One,
    Many,
}

/// A case that a transport does not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its name.
    pub case: String,
    /// What was seen.
    pub seen: Seen,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.case, self.seen)
    }
}

impl std::error::Error for Failure {}

/// Runs the case of that name, on a runtime of its own.
///
/// # Errors
///
/// What the case saw instead of what it expected; or that there is no such case, or that it did not end.
pub fn run(case: &str, harness: &dyn Harness) -> Result<(), Failure> {
    let outcome = match cases::ALL.iter().find(|known| known.name == case) {
        Some(case) => run_case(case, harness),
        None => Err(Seen::new("there is no such case")),
    };
    outcome.map_err(|seen| Failure {
        case: case.to_owned(),
        seen,
    })
}

fn run_case(case: &Case, harness: &dyn Harness) -> Result<(), Seen> {
    let mut builder = match case.threads {
        Threads::One => runtime::Builder::new_current_thread(),
        Threads::Many => runtime::Builder::new_multi_thread(),
    };
    // Only a runtime of one thread can pause its clock.
    let paused = case.threads == Threads::One && harness.clock() == Clock::Paused;
    if paused {
        builder.start_paused(true);
    }
    let runtime = builder
        .enable_all()
        .build()
        .map_err(|error| Seen::new(format!("no runtime: {error}")))?;
    let stage = Stage::new(harness);
    runtime.block_on(async {
        timeout(Duration::from_secs(CASE_SECONDS_MAX), (case.check)(&stage))
            .await
            .unwrap_or_else(|_| {
                Err(Seen::new(format!(
                    "it has not ended after {CASE_SECONDS_MAX} s"
                )))
            })
    })
}
