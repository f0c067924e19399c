//! The tracer itself.

use std::time::{Duration, Instant};

use log_tracer_proto::v1::{
    SearchLogsRequest, SearchTracesRequest, query_service_client::QueryServiceClient,
};
use log_tracer_record::{IdError, TraceId};
use slog::{Discard, Logger, o};
use tokio::{runtime::Handle, sync::oneshot};
use tonic::transport::Channel;

use super::{
    Blocking, Log, StartError, StopError, Trace, WaitError,
    error::held,
    server::{Ready, Thread},
};
use crate::{Config, client::Client, standalone::Endpoints};

/// Traces or logs that one question answers at most; a test that has more asks a narrower one.
const ANSWERS_MAX: usize = 10_000;
/// The pauses between two looks, from the first to the longest.
const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(50);
/// How long a drop may take to stop: what is under way when a test ends is of no use to it.
const DROP_WITHIN: Duration = Duration::from_millis(200);

/// A log-tracer for one test. See the [module](super) for an example.
///
/// Dropping it stops it, which takes some milliseconds, and up to 0.3 s when a connection has a request under way.
#[derive(Debug)]
pub struct TestTracer {
    /// Taken when it stops.
    running: Option<Running>,
    endpoints: Endpoints,
    wait: Duration,
}

#[derive(Debug)]
struct Running {
    client: Client,
    runtime: Handle,
    thread: Thread,
}

/// How a [`TestTracer`] is started otherwise than by default.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its settings; the default is [`Config::in_memory`].
    pub config: Config,
    /// How long the `wait_for` functions wait; 10 s by default.
    pub wait: Duration,
    /// Where its own log goes; nowhere by default.
    pub log: Logger,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            config: Config::in_memory(),
            wait: Duration::from_secs(10),
            log: Logger::root(Discard, o!()),
        }
    }
}

impl TestTracer {
    /// Starts one. When it returns, data is taken in.
    ///
    /// # Errors
    /// The machine has no thread or no port left.
    pub async fn start() -> Result<Self, StartError> {
        Self::start_with(Options::default()).await
    }

    /// The same with other options.
    ///
    /// # Errors
    /// The settings cannot work, or the machine has no thread or no port left.
    pub async fn start_with(options: Options) -> Result<Self, StartError> {
        let (ready, started) = oneshot::channel();
        let starting = Self::begin(options, move |result| drop(ready.send(result)))?;
        starting.finish(started.await.unwrap_or(Err(StartError::Ended)))
    }

    /// Starts one from code that is not async.
    ///
    /// # Errors
    /// The machine has no thread or no port left.
    pub fn start_blocking() -> Result<Self, StartError> {
        Self::start_blocking_with(Options::default())
    }

    /// The same with other options.
    ///
    /// # Errors
    /// The settings cannot work, or the machine has no thread or no port left.
    pub fn start_blocking_with(options: Options) -> Result<Self, StartError> {
        let (ready, started) = std::sync::mpsc::sync_channel(1);
        let starting = Self::begin(options, move |result| drop(ready.send(result)))?;
        starting.finish(started.recv().unwrap_or(Err(StartError::Ended)))
    }

    /// Where OTLP over gRPC and LogService listen: `http://127.0.0.1:PORT`, for `OTEL_EXPORTER_OTLP_ENDPOINT`.
    #[must_use]
    pub fn otlp_grpc(&self) -> String {
        self.endpoints.otlp_grpc()
    }

    /// Where OTLP over HTTP listens: `http://127.0.0.1:PORT`, for `OTEL_EXPORTER_OTLP_ENDPOINT`.
    #[must_use]
    pub fn otlp_http(&self) -> String {
        self.endpoints.otlp_http()
    }

    /// Where the web pages are, to look at what a test sent while a debugger holds it.
    #[must_use]
    pub fn dashboard(&self) -> String {
        self.endpoints.dashboard()
    }

    /// Where QueryService listens, for a client in another process; `None` when its settings give it no socket.
    #[must_use]
    pub fn query_grpc(&self) -> Option<String> {
        self.endpoints.query_grpc()
    }

    /// A client of QueryService, for every question that has no function here. It works within any tokio runtime, and
    /// no longer than the tracer.
    ///
    /// # Errors
    /// [`WaitError::Stopped`] after the tracer was stopped.
    pub fn query(&self) -> Result<QueryServiceClient<Channel>, WaitError> {
        Ok(self.running()?.client.service())
    }

    /// The same functions for code that is not async.
    #[must_use]
    pub fn blocking(&self) -> Blocking<'_> {
        Blocking::new(self)
    }

    /// Waits until at least one span of a trace has arrived, and answers what is there of it then. Where more is to
    /// come, [`wait_for_spans`](Self::wait_for_spans) knows when it is complete.
    ///
    /// The id can be hexadecimal digits, 16 bytes, or a [`TraceId`].
    ///
    /// # Errors
    /// [`WaitError::Timeout`], which says what arrived instead.
    pub async fn wait_for_trace(&self, id: impl IntoTraceId) -> Result<Trace, WaitError> {
        self.wait_for_spans(id, 1).await
    }

    /// Waits until at least so many spans of a trace have arrived.
    ///
    /// # Errors
    /// [`WaitError::Timeout`], which says what arrived instead.
    pub async fn wait_for_spans(
        &self,
        id: impl IntoTraceId,
        spans_min: usize,
    ) -> Result<Trace, WaitError> {
        let id = id.into_trace_id()?;
        let wait = self.wait;
        self.ask(move |client| async move {
            let look = || async {
                let rows = client.trace(id).await?.unwrap_or_default();
                let enough = rows.spans.len() >= spans_min;
                Ok((Trace::new(id, rows), enough))
            };
            match until(wait, look).await? {
                (trace, true) => Ok(trace),
                (trace, false) => Err(WaitError::Timeout {
                    what: format!(
                        "trace {id} has {} spans and not {spans_min}",
                        trace.spans.len()
                    ),
                    waited: wait,
                    held: all_held(&client).await?,
                }),
            }
        })
        .await
    }

    /// Waits until at least so many log records match a query, and answers all that do, the oldest first.
    ///
    /// # Errors
    /// [`WaitError::Timeout`]; [`WaitError::Query`] when the query cannot be read.
    pub async fn wait_for_logs(&self, query: &str, logs_min: usize) -> Result<Vec<Log>, WaitError> {
        let (query, wait) = (query.to_owned(), self.wait);
        self.ask(move |client| async move {
            let look = || async {
                let logs = logs_of(&client, &query).await?;
                let enough = logs.len() >= logs_min;
                Ok((logs, enough))
            };
            match until(wait, look).await? {
                (logs, true) => Ok(logs),
                (logs, false) => Err(WaitError::Timeout {
                    what: format!("{} logs match `{query}` and not {logs_min}", logs.len()),
                    waited: wait,
                    held: all_held(&client).await?,
                }),
            }
        })
        .await
    }

    /// The log records that match a query now, the oldest first; an empty query matches all. At most 10,000.
    ///
    /// # Errors
    /// [`WaitError::Query`] when the query cannot be read.
    pub async fn logs_of(&self, query: &str) -> Result<Vec<Log>, WaitError> {
        let query = query.to_owned();
        self.ask(move |client| async move { logs_of(&client, &query).await })
            .await
    }

    /// The traces of which a span matches a query now, each whole, the oldest first; an empty query matches all. At
    /// most 10,000.
    ///
    /// # Errors
    /// [`WaitError::Query`] when the query cannot be read.
    pub async fn traces_of(&self, query: &str) -> Result<Vec<Trace>, WaitError> {
        let query = query.to_owned();
        self.ask(move |client| async move {
            let mut traces = Vec::new();
            for (id, _) in summaries(&client, &query, ANSWERS_MAX).await? {
                if let Some(rows) = client.trace(id).await? {
                    traces.push(Trace::new(id, rows));
                }
            }
            traces.reverse();
            Ok(traces)
        })
        .await
    }

    /// Stops it, lets requests under way finish, and says whether everything ended. Dropping it is enough where that
    /// is of no interest.
    ///
    /// # Errors
    /// What did not end by itself within 5 s.
    pub async fn stop(mut self) -> Result<(), StopError> {
        let Some(running) = self.running.take() else {
            return Ok(());
        };
        let (done, stopped) = oneshot::channel();
        // Joining a thread blocks; the runtime of the caller must go on, since it may drive clients of this tracer.
        let joiner = std::thread::Builder::new().name("log-tracer-test-stop".to_owned());
        let joined = joiner.spawn(move || drop(done.send(running.stop(Duration::from_secs(5)))));
        match joined {
            Ok(_) => stopped.await.unwrap_or(Err(StopError::Panicked)),
            // Without a thread to wait on, dropping has stopped it.
            Err(_) => Ok(()),
        }
    }

    /// Runs a question on the tracer's own runtime, whatever drives the caller.
    pub(super) async fn ask<T, F>(&self, question: impl FnOnce(Client) -> F) -> Result<T, WaitError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, WaitError>> + Send + 'static,
    {
        let running = self.running()?;
        let answer = running.runtime.spawn(question(running.client.clone()));
        answer.await.unwrap_or(Err(WaitError::Stopped))
    }

    pub(super) fn runtime(&self) -> Result<&Handle, WaitError> {
        Ok(&self.running()?.runtime)
    }

    fn running(&self) -> Result<&Running, WaitError> {
        self.running.as_ref().ok_or(WaitError::Stopped)
    }

    fn begin(
        options: Options,
        ready: impl FnOnce(Result<Ready, StartError>) + Send + 'static,
    ) -> Result<Starting, StartError> {
        let problems = options.config.problems();
        if !problems.is_empty() {
            let messages: Vec<_> = problems.into_iter().map(|(_, message)| message).collect();
            return Err(StartError::Config(messages.join("\n")));
        }
        let thread = Thread::start(options.config, options.log, DROP_WITHIN, ready)?;
        Ok(Starting {
            thread,
            wait: options.wait,
        })
    }
}

impl Drop for TestTracer {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            // Whoever wants to know how it ended calls `stop`.
            running.stop(DROP_WITHIN).ok();
        }
    }
}

impl Running {
    fn stop(self, within: Duration) -> Result<(), StopError> {
        // The client is a task on the thread: it goes first.
        drop(self.client);
        self.thread.stop(within)
    }
}

struct Starting {
    thread: Thread,
    wait: Duration,
}

impl Starting {
    fn finish(self, ready: Result<Ready, StartError>) -> Result<TestTracer, StartError> {
        let ready = ready?;
        Ok(TestTracer {
            running: Some(Running {
                client: ready.client,
                runtime: ready.runtime,
                thread: self.thread,
            }),
            endpoints: ready.endpoints,
            wait: self.wait,
        })
    }
}

/// What names a trace: a [`TraceId`], its 16 bytes, or its 32 hexadecimal digits, as the id types of tracing
/// libraries give them.
pub trait IntoTraceId {
    /// The id.
    ///
    /// # Errors
    /// It has not 16 bytes or 32 digits, or is all zero.
    fn into_trace_id(self) -> Result<TraceId, IdError>;
}

impl IntoTraceId for TraceId {
    fn into_trace_id(self) -> Result<TraceId, IdError> {
        Ok(self)
    }
}

impl IntoTraceId for [u8; 16] {
    fn into_trace_id(self) -> Result<TraceId, IdError> {
        TraceId::from_bytes(&self).ok_or(IdError::Zero)
    }
}

impl IntoTraceId for &str {
    fn into_trace_id(self) -> Result<TraceId, IdError> {
        TraceId::from_hex(self)
    }
}

impl IntoTraceId for &String {
    fn into_trace_id(self) -> Result<TraceId, IdError> {
        TraceId::from_hex(self)
    }
}

impl IntoTraceId for String {
    fn into_trace_id(self) -> Result<TraceId, IdError> {
        TraceId::from_hex(&self)
    }
}

/// Looks again and again until there is enough or the time is up; answers the last look, and whether it was enough.
async fn until<T, F>(wait: Duration, look: impl Fn() -> F) -> Result<(T, bool), WaitError>
where
    F: Future<Output = Result<(T, bool), WaitError>>,
{
    let give_up = Instant::now() + wait;
    let mut pause = PAUSE_MIN;
    loop {
        let (seen, enough) = look().await?;
        if enough || Instant::now() >= give_up {
            return Ok((seen, enough));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

async fn logs_of(client: &Client, query: &str) -> Result<Vec<Log>, WaitError> {
    let mut logs = Vec::new();
    let mut after = None;
    loop {
        let page = client
            .logs(SearchLogsRequest {
                query: query.to_owned(),
                oldest_first: true,
                after,
                ..SearchLogsRequest::default()
            })
            .await?;
        logs.extend(page.logs.into_iter().map(Log::new));
        after = page.next;
        if after.is_none() || logs.len() >= ANSWERS_MAX {
            logs.truncate(ANSWERS_MAX);
            return Ok(logs);
        }
    }
}

/// The traces that match, the newest first: id, and root in words.
async fn summaries(
    client: &Client,
    query: &str,
    max: usize,
) -> Result<Vec<(TraceId, String)>, WaitError> {
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = client
            .traces(SearchTracesRequest {
                query: query.to_owned(),
                after,
                ..SearchTracesRequest::default()
            })
            .await?;
        found.extend(page.traces.iter().filter_map(|trace| {
            let id = TraceId::from_bytes(&trace.trace_id)?;
            let root = format!(
                "{}: {} ({} spans)",
                trace.root_service, trace.root_name, trace.span_count
            );
            Some((id, root))
        }));
        after = page.next;
        if after.is_none() || found.len() >= max {
            found.truncate(max);
            return Ok(found);
        }
    }
}

async fn all_held(client: &Client) -> Result<String, WaitError> {
    Ok(held(&summaries(client, "", 20).await?))
}
