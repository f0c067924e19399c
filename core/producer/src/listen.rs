//! Connections: accepted up to a number, closed when they stall, finished when the producer stops.
//!
//! HTTP/1 and HTTP/2 are told apart by the first bytes. What is neither is answered with 400 by hyper, or closed.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{Request, Response};
use hyper::{body::Incoming, rt::Executor, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use slog::{Logger, debug, warn};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::body::Body;

use crate::{Reason, Refusal, ingest::Ingest, peer::Whence};

/// How long to pause when the system gives no more connections, such as for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often a connection of HTTP/2 is asked whether it still lives, and how long it may take to say so.
const PING: Duration = Duration::from_secs(20);
/// The largest request head.
const HEAD_BYTES_MAX: u32 = 16 << 10;
/// What HTTP/1 reads ahead at most.
const READ_AHEAD_BYTES_MAX: usize = 64 << 10;
/// The first byte of a TLS handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// What all connections of a producer share.
#[derive(Clone, Debug)]
pub(crate) struct Connections {
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) log: Logger,
    /// Every task of the producer.
    pub(crate) tasks: TaskTracker,
    /// Cancelled when connections have to finish.
    pub(crate) drain: CancellationToken,
    /// Cancelled when they have to end.
    pub(crate) abort: CancellationToken,
}

impl Connections {
    /// Accepts connections and serves their requests with `answer`, until the producer stops.
    pub(crate) async fn serve<F, R>(&self, listener: TcpListener, port: &'static str, answer: F)
    where
        F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Response<Body>> + Send + 'static,
    {
        let log = self.log.new(slog::o!("port" => port));
        let free = Arc::new(Semaphore::new(
            self.ingest
                .config
                .connections_max
                .min(Semaphore::MAX_PERMITS),
        ));
        let builder = Arc::new(self.builder());
        while let Some((stream, peer)) = self.accept(&listener, &log).await {
            let Ok(permit) = Arc::clone(&free).try_acquire_owned() else {
                self.ingest.metrics.connection_refused();
                debug!(log, "connection refused: there are too many"; "peer" => peer);
                continue;
            };
            let connection = Connection {
                shared: self.clone(),
                builder: Arc::clone(&builder),
                log: log.clone(),
                peer,
                from: Whence::new(peer.ip(), port),
            };
            let answer = answer.clone();
            self.tasks.spawn(async move {
                let metrics = &connection.shared.ingest.metrics;
                metrics.connection_opened();
                connection.run(stream, answer).await;
                metrics.connection_closed();
                drop(permit);
            });
        }
    }

    /// The next connection, or `None` when the producer stops.
    async fn accept(
        &self,
        listener: &TcpListener,
        log: &Logger,
    ) -> Option<(TcpStream, SocketAddr)> {
        loop {
            let accepted = tokio::select! {
                () = self.drain.cancelled() => return None,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok(accepted) => return Some(accepted),
                Err(error) => {
                    warn!(log, "cannot accept connections"; "error" => %error);
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn builder(&self) -> auto::Builder<TaskExecutor> {
        let config = &self.ingest.config;
        let mut builder = auto::Builder::new(TaskExecutor {
            tasks: self.tasks.clone(),
            abort: self.abort.clone(),
        });
        builder
            .http1()
            .timer(TokioTimer::new())
            // Runs between requests too.
            .header_read_timeout(millis(config.idle_deadline_ms))
            .max_buf_size(READ_AHEAD_BYTES_MAX);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .max_concurrent_streams(config.connection_streams_max)
            .max_header_list_size(HEAD_BYTES_MAX)
            .initial_stream_window_size(config.connection_window_bytes)
            .initial_connection_window_size(config.connection_window_bytes);
        builder
    }
}

/// One connection.
struct Connection {
    shared: Connections,
    builder: Arc<auto::Builder<TaskExecutor>>,
    log: Logger,
    peer: SocketAddr,
    /// What is told of the peer.
    from: Whence,
}

impl Connection {
    async fn run<F, R>(&self, stream: TcpStream, answer: F)
    where
        F: Fn(Request<Incoming>) -> R + Clone + Send + 'static,
        R: Future<Output = Response<Body>> + Send + 'static,
    {
        let head_deadline = Instant::now() + millis(self.shared.ingest.config.header_deadline_ms);
        if !self.starts(&stream, head_deadline).await {
            return;
        }
        if let Err(error) = stream.set_nodelay(true) {
            debug!(self.log, "cannot set TCP_NODELAY"; "error" => %error);
        }
        let has_request = Arc::new(AtomicBool::new(false));
        let service = service_fn({
            let has_request = Arc::clone(&has_request);
            let from = self.from;
            move |request| {
                has_request.store(true, Ordering::Relaxed);
                let response = from.over(answer(request));
                async move { Ok::<_, Infallible>(response.await) }
            }
        });
        let connection = self.builder.serve_connection(TokioIo::new(stream), service);
        self.drive(connection, &has_request, head_deadline).await;
    }

    /// Waits for the first byte, and turns away those who speak TLS.
    async fn starts(&self, stream: &TcpStream, deadline: Instant) -> bool {
        let mut first = [0];
        let peeked = tokio::select! {
            () = self.shared.drain.cancelled() => return false,
            peeked = timeout(deadline.duration_since(Instant::now()), stream.peek(&mut first)) => peeked,
        };
        if matches!(peeked, Ok(Ok(1))) && first == [TLS_HANDSHAKE] {
            let refusal = Refusal::new(
                Reason::WrongPort,
                "a client speaks TLS, which this port does not: use http:// or an insecure channel",
            );
            self.from.during(|| self.shared.ingest.refused(&refusal));
            return false;
        }
        matches!(peeked, Ok(Ok(1)))
    }

    /// Runs a connection to its end. Without a request until `head_deadline` it is asked to end, and after as much time
    /// again it is closed.
    async fn drive<S>(
        &self,
        connection: auto::Connection<'_, TokioIo<TcpStream>, S, TaskExecutor>,
        has_request: &AtomicBool,
        head_deadline: Instant,
    ) where
        S: hyper::service::Service<
                Request<Incoming>,
                Response = Response<Body>,
                Error = Infallible,
            >,
        S::Future: Send + 'static,
    {
        let mut connection = std::pin::pin!(connection);
        let head_time = millis(self.shared.ingest.config.header_deadline_ms);
        let mut stall = std::pin::pin!(sleep_until(head_deadline));
        let mut is_ending = false;
        let mut is_watched = true;
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        debug!(self.log, "connection ended with an error"; "peer" => self.peer, "error" => %error);
                    }
                    return;
                }
                () = self.shared.abort.cancelled() => return,
                () = self.shared.drain.cancelled(), if !is_ending => {
                    is_ending = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = stall.as_mut(), if is_watched => {
                    is_watched = !has_request.load(Ordering::Relaxed);
                    if is_watched && is_ending {
                        debug!(self.log, "connection closed: no request came"; "peer" => self.peer);
                        return;
                    }
                    if is_watched {
                        is_ending = true;
                        connection.as_mut().graceful_shutdown();
                        stall.as_mut().reset(Instant::now() + head_time);
                    }
                }
            }
        }
    }
}

/// Runs what hyper spawns as tasks of the producer, and ends them with it.
#[derive(Clone, Debug)]
struct TaskExecutor {
    tasks: TaskTracker,
    abort: CancellationToken,
}

impl<F> Executor<F> for TaskExecutor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        let abort = self.abort.clone();
        self.tasks
            .spawn(async move { abort.run_until_cancelled_owned(future).await });
    }
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
