//! What a consumer answers before it can start: its address is bound, its log cannot be reached yet.

use std::{
    io,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{
    Stream, StreamExt,
    future::{Either, Ready, ready},
};
use http::{Request, Response};
use log_tracer_proto::v1::query_service_server::SERVICE_NAME;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tonic::{
    Status,
    body::Body,
    transport::{Server, server::Connected},
};
use tonic_health::ServingStatus;
use tonic_types::{ErrorDetails, StatusExt};
use tower::{Service, layer::layer_fn};

use crate::{ServeError, pipe::Cuttable};

/// What a caller is asked to wait before it asks again.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Answers every call on connections with UNAVAILABLE and why, and questions for health with NOT_SERVING, until `until` is
/// cancelled; then all connections are cut, so that callers come anew.
///
/// # Errors
/// The server could not be built.
pub async fn serve_away<IO>(
    why: &str,
    incoming: impl Stream<Item = io::Result<IO>> + Send,
    until: CancellationToken,
) -> Result<(), ServeError>
where
    IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
{
    let why: Arc<str> = why.into();
    let cut = until.child_token();
    // Connections are tasks of their own: without this they would outlive a future that is dropped.
    let _cut_on_drop = cut.clone().drop_guard();
    let incoming = incoming.map(|io| io.map(|io| Cuttable::new(io, cut.clone())));
    let (health, health_service) = tonic_health::server::health_reporter();
    for service in ["", SERVICE_NAME] {
        health
            .set_service_status(service, ServingStatus::NotServing)
            .await;
    }
    Server::builder()
        .layer(layer_fn(move |inner| Away {
            inner,
            why: Arc::clone(&why),
        }))
        .add_service(health_service)
        .serve_with_incoming_shutdown(incoming, until.cancelled_owned())
        .await?;
    Ok(())
}

/// Lets questions for health through and refuses everything else.
#[derive(Clone, Debug)]
struct Away<S> {
    inner: S,
    why: Arc<str>,
}

impl<S> Service<Request<Body>> for Away<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<Ready<Result<Self::Response, Self::Error>>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if request.uri().path().starts_with("/grpc.health.v1.Health/") {
            return Either::Right(self.inner.call(request));
        }
        let details = ErrorDetails::with_retry_info(Some(RETRY_DELAY));
        let message = format!("the consumer waits for its log: {}", self.why);
        let status = Status::with_error_details(tonic::Code::Unavailable, message, details);
        Either::Left(ready(Ok(status.into_http())))
    }
}
