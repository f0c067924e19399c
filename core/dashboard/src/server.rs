//! The accept loop: bounded connections, a deadline for slow senders, and an orderly stop.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use slog::{debug, info, warn};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

use crate::{ServeError, app::App, guard::Guard, routes};

/// A request's head may not be longer; what does not fit is answered 431 or 414.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// Accepts connections until shutdown, then waits for the answers under way.
pub(crate) async fn run(app: Arc<App>, listener: TcpListener) -> Result<(), ServeError> {
    let guard = Guard::new(&app.config);
    let service = warp::service(routes::all(&app));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(app.config.header_read_timeout_ms))
        .max_buf_size(HEAD_BYTES_MAX);
    let slots = Arc::new(Semaphore::new(app.config.connections_max));
    let graceful = GracefulShutdown::new();

    while let Some(stream) = accept(&app, &listener, &slots).await? {
        let (stream, slot) = stream;
        let guard = guard.clone();
        let service = service.clone();
        let counted = Arc::clone(&app);
        let answer = service_fn(move |request: Request<Incoming>| {
            let guard = guard.clone();
            let service = service.clone();
            let app = Arc::clone(&counted);
            async move {
                let asked = app.own.begin(request.method(), request.uri().path());
                let response = guard.answer(request, service).await;
                asked.end(response.status());
                Ok::<_, Infallible>(response)
            }
        });
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), answer));
        let log = app.log.clone();
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                debug!(log, "a dashboard connection ended early"; "error" => %error);
            }
            drop(slot);
        });
    }

    drop(listener);
    let drain = Duration::from_millis(app.config.drain_ms);
    if tokio::time::timeout(drain, graceful.shutdown())
        .await
        .is_err()
    {
        info!(
            app.log,
            "dashboard connections were still open at the end of the drain"
        );
    }
    Ok(())
}

type Accepted = (TcpStream, tokio::sync::OwnedSemaphorePermit);

/// The next connection and its slot, or nothing once the dashboard is to stop.
async fn accept(
    app: &App,
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Result<Option<Accepted>, ServeError> {
    loop {
        let next = async {
            // The semaphore is never closed; were it, the dashboard would have to stop.
            let slot = Arc::clone(slots)
                .acquire_owned()
                .await
                .map_err(io::Error::other)?;
            let (stream, _) = listener.accept().await?;
            // Otherwise the end of a page may wait for the browser's delayed acknowledgement, some 40 ms.
            if let Err(error) = stream.set_nodelay(true) {
                debug!(app.log, "a connection keeps its delay"; "error" => %error);
            }
            Ok::<_, io::Error>((stream, slot))
        };
        let accepted = tokio::select! {
            () = app.shutdown.cancelled() => return Ok(None),
            accepted = next => accepted,
        };
        match accepted {
            Ok(accepted) => return Ok(Some(accepted)),
            Err(error) if is_of_one_connection(&error) => {
                debug!(app.log, "a connection was gone before it was accepted"; "error" => %error);
            }
            Err(error) if is_exhaustion(&error) => {
                warn!(app.log, "cannot accept connections for the moment"; "error" => %error);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(error) => return Err(ServeError::Listener(error)),
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// Out of file descriptors (EMFILE, ENFILE) or memory (ENOBUFS, ENOMEM): it passes when connections end.
fn is_exhaustion(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(12 | 23 | 24 | 105))
        || error.kind() == io::ErrorKind::OutOfMemory
}
