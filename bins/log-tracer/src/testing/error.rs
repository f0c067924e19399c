//! What can go wrong around a test, in words for whoever reads its output.

use std::{io, time::Duration};

use log_tracer_record::{IdError, TraceId};
use log_tracer_runtime::listen::BindError;
use tonic::Status;

use crate::standalone;

/// Why a [`TestTracer`](super::TestTracer) did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The settings cannot work.
    #[error("{0}")]
    Config(String),
    /// No thread, or no runtime.
    #[error("the thread of the tracer cannot be started: {0}")]
    Thread(#[from] io::Error),
    /// No free port.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A part did not start.
    #[error(transparent)]
    Standalone(#[from] standalone::StartError),
    /// The thread ended before it was ready: a panic, which it printed.
    #[error("the thread of the tracer ended before it was ready")]
    Ended,
}

/// Why what was waited for did not come.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// It is not there, and the time is up.
    #[error("{what} after {waited:?}; {held}")]
    Timeout {
        /// What was wanted and what is there of it.
        what: String,
        /// How long it took to give up.
        waited: Duration,
        /// What the tracer holds instead.
        held: String,
    },
    /// What was given as a trace id is none.
    #[error("not a trace id: {0}")]
    TraceId(#[from] IdError),
    /// The tracer refused the question; its message points at what is wrong with a query.
    #[error("the tracer answered {:?}: {}", .0.code(), .0.message())]
    Query(#[source] Box<Status>),
    /// The tracer is gone.
    #[error("the tracer has stopped")]
    Stopped,
}

impl From<Status> for WaitError {
    fn from(status: Status) -> Self {
        Self::Query(Box::new(status))
    }
}

/// Why a [`TestTracer`](super::TestTracer) did not stop cleanly. It has stopped all the same.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StopError {
    /// A part did not end well.
    #[error(transparent)]
    Standalone(#[from] standalone::StopError),
    /// Tasks were still running, and were cut off. A client from [`TestTracer::query`](super::TestTracer::query)
    /// that is still held is one.
    #[error("{0} tasks were still running")]
    TasksLeft(usize),
    /// Its thread panicked; the panic was printed.
    #[error("the thread of the tracer panicked")]
    Panicked,
}

/// The traces that are there, for the message of a timeout.
pub(super) fn held(traces: &[(TraceId, String)]) -> String {
    if traces.is_empty() {
        return "it holds no trace at all: was everything exported and flushed?".to_owned();
    }
    let mut text = "it holds these traces:".to_owned();
    for (id, root) in traces {
        text.push_str(&format!("\n  {id} {root}"));
    }
    text
}
