//! LogService's stream: requests are read while others are being stored, up to a number, and answered in order.
//!
//! Each request is stored by a task of its own, so that it goes on and gives its memory back even when the client does
//! not read replies. Then no further request is read, since requests are read only while replies are.

use std::fmt::Display;

use bytes::Bytes;
use futures_util::{
    StreamExt,
    future::{BoxFuture, ready},
    stream,
};
use http::{Response, request::Parts};
use http_body_util::StreamBody;
use hyper::body::{Body as HttpBody, Frame};
use log_tracer_proto::v1::{
    SubmitError, SubmitStreamResponse, submit_stream_response::Result as Outcome,
};
use prost::Message;
use tonic::{Status, body::Body};

use crate::{
    Reason, Refusal,
    body::Received,
    ingest::{Ingest, now_unix_nano},
    peer::Whence,
    pipeline::{self, Content},
};

use super::{
    GrpcPort,
    framing::{self, Head, Messages},
    submitted,
};

/// A part of the response body that will be there: a reply, or the end.
type Pending = BoxFuture<'static, Frame<Bytes>>;

impl GrpcPort {
    pub(super) fn submit_stream<B>(&self, parts: &Parts, body: B) -> Result<Response<Body>, Refusal>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Display,
    {
        let requests = Requests {
            port: self.clone(),
            messages: Messages::new(&parts.headers, body)?,
            next_index: 0,
            is_over: false,
        };
        // The body is read by another task than the one that this runs in.
        let from = Whence::current();
        let step = move |requests: Requests<B>| from.over(requests.step());
        let frames = stream::unfold(requests, step)
            .buffered(self.ingest.config.stream_requests_max)
            .map(Ok::<_, Status>);
        Ok(framing::response(Body::new(StreamBody::new(Box::pin(
            frames,
        )))))
    }
}

/// The requests of a stream.
struct Requests<B> {
    port: GrpcPort,
    messages: Messages<B>,
    next_index: u64,
    is_over: bool,
}

impl<B> Requests<B>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Display,
{
    /// Reads one request and starts to store it.
    async fn step(mut self) -> Option<(Pending, Self)> {
        if self.is_over {
            return None;
        }
        let pending = match self.next().await {
            Ok(Some(pending)) => pending,
            Ok(None) => self.end(&Status::ok("")),
            Err(refusal) => {
                self.port.ingest.refused(&refusal);
                let status = refusal.to_status(self.port.ingest.retry_delay());
                self.end(&status)
            }
        };
        Some((pending, self))
    }

    fn end(&mut self, status: &Status) -> Pending {
        self.is_over = true;
        Box::pin(ready(framing::trailers(status)))
    }

    /// An error here ends the stream: there is no telling where the next message starts.
    async fn next(&mut self) -> Result<Option<Pending>, Refusal> {
        let head = tokio::select! {
            head = self.messages.head() => head?,
            () = self.port.drain.cancelled() => {
                return Err(Refusal::new(Reason::Draining, "the producer is shutting down"));
            }
        };
        let Some(head) = head else {
            return Ok(None);
        };
        self.port.ingest.metrics.grpc_request();
        let index = self.next_index;
        self.next_index += 1;
        let limits = self.port.limits(None);
        match self.messages.message(head, limits).await {
            Ok(received) => Ok(Some(self.store(index, head, received))),
            Err(refusal) if is_of_one_request(refusal.reason) => {
                self.messages.skip(head, limits).await?;
                let frame = refused(&self.port.ingest, index, &refusal);
                Ok(Some(Box::pin(ready(frame))))
            }
            Err(refusal) => Err(refusal),
        }
    }

    fn store(&self, index: u64, head: Head, received: Received) -> Pending {
        let ingest = self.port.ingest.clone();
        let request = pipeline::Request {
            content: Content::Submit,
            encoding: head.encoding,
            bytes: received.bytes,
            idempotency_key: None,
            received_unix_nano: now_unix_nano(),
        };
        let task = self.port.tasks.spawn({
            let ingest = ingest.clone();
            async move { ingest.store(request, received.memory, None).await }
        });
        Box::pin(async move {
            let stored = task.await.unwrap_or_else(|error| {
                let message = format!("storing the request failed: {error}");
                Err(Refusal::new(Reason::Internal, message))
            });
            match stored {
                Ok(stored) => {
                    let response = submitted(&stored.positions);
                    reply(index, Outcome::Stored(response))
                }
                Err(refusal) => refused(&ingest, index, &refusal),
            }
        })
    }
}

/// Whether the message was not read, so that it can be passed over.
fn is_of_one_request(reason: Reason) -> bool {
    matches!(reason, Reason::TooLarge | Reason::Memory)
}

fn refused(ingest: &Ingest, index: u64, refusal: &Refusal) -> Frame<Bytes> {
    ingest.refused(refusal);
    let retryable = refusal.reason.is_retryable();
    let retry_delay_ms = if retryable {
        u32::try_from(ingest.config.retry_delay_ms).unwrap_or(u32::MAX)
    } else {
        0
    };
    let error = SubmitError {
        code: i32::from(refusal.grpc_code()),
        message: refusal.message.clone(),
        retryable,
        retry_delay_ms,
    };
    reply(index, Outcome::Refused(error))
}

fn reply(request_index: u64, outcome: Outcome) -> Frame<Bytes> {
    let response = SubmitStreamResponse {
        request_index,
        result: Some(outcome),
    };
    Frame::data(framing::frame(&response.encode_to_vec()))
}
