//! The functions of a tracer for code that is not async.

use super::{IntoTraceId, Log, TestTracer, Trace, WaitError};

/// Asks and waits on the thread of the caller, as [`TestTracer::blocking`] gives it.
#[derive(Clone, Copy, Debug)]
pub struct Blocking<'a> {
    tracer: &'a TestTracer,
}

impl<'a> Blocking<'a> {
    pub(super) fn new(tracer: &'a TestTracer) -> Self {
        Self { tracer }
    }

    /// As [`TestTracer::wait_for_trace`].
    ///
    /// # Errors
    /// As there.
    pub fn wait_for_trace(self, id: impl IntoTraceId) -> Result<Trace, WaitError> {
        self.wait(self.tracer.wait_for_trace(id.into_trace_id()?))
    }

    /// As [`TestTracer::wait_for_spans`].
    ///
    /// # Errors
    /// As there.
    pub fn wait_for_spans(
        self,
        id: impl IntoTraceId,
        spans_min: usize,
    ) -> Result<Trace, WaitError> {
        self.wait(self.tracer.wait_for_spans(id.into_trace_id()?, spans_min))
    }

    /// As [`TestTracer::wait_for_logs`].
    ///
    /// # Errors
    /// As there.
    pub fn wait_for_logs(self, query: &str, logs_min: usize) -> Result<Vec<Log>, WaitError> {
        self.wait(self.tracer.wait_for_logs(query, logs_min))
    }

    /// As [`TestTracer::logs_of`].
    ///
    /// # Errors
    /// As there.
    pub fn logs_of(self, query: &str) -> Result<Vec<Log>, WaitError> {
        self.wait(self.tracer.logs_of(query))
    }

    /// As [`TestTracer::traces_of`].
    ///
    /// # Errors
    /// As there.
    pub fn traces_of(self, query: &str) -> Result<Vec<Trace>, WaitError> {
        self.wait(self.tracer.traces_of(query))
    }

    fn wait<T: Send>(
        self,
        answer: impl Future<Output = Result<T, WaitError>> + Send,
    ) -> Result<T, WaitError> {
        let runtime = self.tracer.runtime()?;
        // A thread of its own, as a thread that is within a runtime may not wait for another one.
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| runtime.block_on(answer));
            waiting.join().unwrap_or(Err(WaitError::Stopped))
        })
    }
}
