//! The port of gRPC: OTLP, LogService, health, reflection and how the producer is, and an answer for those who came to the wrong port.

mod framing;
mod health;
mod status;
mod submit_stream;

use std::{fmt::Display, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version, header, request::Parts};
use http_body_util::{BodyStream, StreamBody};
use hyper::body::Body as HttpBody;
use log_tracer_proto::v1::{Position as PositionMessage, SubmitResponse};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{body::Body, service::Routes};
use tower_service::Service;

use crate::{
    POSITIONS_HEADER, Reason, Refusal,
    body::{BodyReader, Limits, Received},
    http::{self as otlp_http, idempotency_key},
    ingest::{Ingest, Position, Stored, now_unix_nano},
    pipeline::{self, Content},
    reply,
};
use framing::Messages;

const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const LOGS: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
const METRICS: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
const SUBMIT: &str = "/logtracer.v1.LogService/Submit";
const SUBMIT_STREAM: &str = "/logtracer.v1.LogService/SubmitStream";
const STATUS: &str = "/logtracer.v1.ProducerService/";
const HEALTH: &str = "/grpc.health.v1.Health/";
const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/";

/// The services that health and reflection know.
pub(crate) const SERVICES: [&str; 4] = [
    "opentelemetry.proto.collector.trace.v1.TraceService",
    "opentelemetry.proto.collector.logs.v1.LogsService",
    "logtracer.v1.LogService",
    "logtracer.v1.ProducerService",
];

/// Answers the requests of the port.
#[derive(Clone, Debug)]
pub(crate) struct GrpcPort {
    ingest: Arc<Ingest>,
    /// Health, reflection and the status, which carry no records and so are served by tonic.
    routes: Routes,
    tasks: TaskTracker,
    drain: CancellationToken,
    http_address: SocketAddr,
}

impl GrpcPort {
    pub(crate) fn new(
        ingest: Arc<Ingest>,
        tasks: TaskTracker,
        drain: CancellationToken,
        http_address: SocketAddr,
    ) -> Result<Self, tonic_reflection::server::Error> {
        let health = health::service(ingest.outlet.clone(), drain.clone());
        let reflection = SERVICES
            .into_iter()
            .fold(
                tonic_reflection::server::Builder::configure(),
                |builder, service| builder.with_service_name(service),
            )
            .with_service_name("grpc.health.v1.Health")
            .register_encoded_file_descriptor_set(log_tracer_proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()?;
        let routes = Routes::new(health)
            .add_service(reflection)
            .add_service(status::service(Arc::clone(&ingest)));
        Ok(Self {
            ingest,
            routes: routes.prepare(),
            tasks,
            drain,
            http_address,
        })
    }

    /// Answers one request.
    pub(crate) async fn call<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Display + Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        if !is_grpc(&parts.headers) || parts.version != Version::HTTP_2 {
            return self.wrong_port(&parts, body).await;
        }
        if parts.method != Method::POST {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            response
                .headers_mut()
                .insert(header::ALLOW, header::HeaderValue::from_static("POST"));
            return response;
        }
        let path = parts.uri.path();
        let result = match path {
            TRACES => self.unary(Content::Traces, &parts, body).await,
            LOGS => self.unary(Content::Logs, &parts, body).await,
            SUBMIT => self.unary(Content::Submit, &parts, body).await,
            SUBMIT_STREAM => self.submit_stream(&parts, body),
            _ if [HEALTH, REFLECTION, STATUS]
                .iter()
                .any(|service| path.starts_with(service)) =>
            {
                return self.tonic(parts, body).await;
            }
            METRICS => Err(no_metrics()),
            _ => Err(Refusal::new(
                Reason::NotFound,
                "there is no such method: this is log-tracer, with OTLP for traces and logs, and LogService",
            )),
        };
        result.unwrap_or_else(|refusal| {
            self.ingest.refused(&refusal);
            framing::error(refusal.to_status(self.ingest.retry_delay()))
        })
    }

    /// One message in, one out.
    async fn unary<B>(
        &self,
        content: Content,
        parts: &Parts,
        body: B,
    ) -> Result<Response<Body>, Refusal>
    where
        B: HttpBody<Data = Bytes> + Unpin,
        B::Error: Display,
    {
        self.ingest.metrics.grpc_request();
        let deadline = timeout(&parts.headers).map(|timeout| Instant::now() + timeout);
        let mut messages = Messages::new(&parts.headers, body)?;
        let (head, received) = self.only_message(&mut messages, deadline).await?;
        let request = pipeline::Request {
            content,
            encoding: head.encoding,
            bytes: received.bytes,
            idempotency_key: idempotency_key(&parts.headers),
            received_unix_nano: now_unix_nano(),
        };
        let stored = self
            .ingest
            .store(request, received.memory, deadline)
            .await?;
        let message = response_message(content, &stored, self.ingest.config.response_bytes_max)?;
        let mut response = framing::unary(&message);
        if let Some(positions) = reply::positions(&stored.positions) {
            response.headers_mut().insert(POSITIONS_HEADER, positions);
        }
        Ok(response)
    }

    async fn only_message<B>(
        &self,
        messages: &mut Messages<B>,
        deadline: Option<Instant>,
    ) -> Result<(framing::Head, Received), Refusal>
    where
        B: HttpBody<Data = Bytes> + Unpin,
        B::Error: Display,
    {
        let receive_within = Duration::from_millis(self.ingest.config.receive_deadline_ms);
        let Some(head) = within(receive_within, messages.head()).await? else {
            return Err(Refusal::new(
                Reason::Malformed,
                "the request has no message",
            ));
        };
        let received = messages.message(head, self.limits(deadline)).await?;
        match within(receive_within, messages.head()).await? {
            None => Ok((head, received)),
            Some(_) => Err(Refusal::new(
                Reason::Malformed,
                "the request has more than one message",
            )),
        }
    }

    fn limits(&self, deadline_of_client: Option<Instant>) -> Limits<'_> {
        let config = &self.ingest.config;
        Limits {
            bytes_max: config.request_bytes_max,
            pool: &self.ingest.budget.wire,
            memory_deadline: self.ingest.deadline(deadline_of_client),
            receive_within: Duration::from_millis(config.receive_deadline_ms),
        }
    }

    /// Hands a request to tonic. Its body ends when the producer stops, and with it calls that have no end.
    async fn tonic<B>(&self, parts: Parts, body: B) -> Response<Body>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let stopped = self.drain.clone().cancelled_owned();
        let frames = BodyStream::new(body).take_until(Box::pin(stopped));
        let body = Body::new(StreamBody::new(frames));
        let mut routes = self.routes.clone();
        match routes.call(Request::from_parts(parts, body)).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    /// Tells a client that speaks something else where to go.
    async fn wrong_port<B>(&self, parts: &Parts, body: B) -> Response<Body>
    where
        B: HttpBody<Data = Bytes> + Unpin,
        B::Error: Display,
    {
        let refusal = if is_grpc(&parts.headers) {
            Refusal::new(
                Reason::WrongPort,
                "gRPC needs HTTP/2: this request came over HTTP/1",
            )
        } else {
            let http = place(self.http_address);
            let message = format!(
                "this port speaks OTLP over gRPC: send OTLP over HTTP to {http}, to the paths {}",
                otlp_http::PATHS
            );
            Refusal::new(Reason::WrongPort, message)
        };
        let mut reader = BodyReader::new(body);
        otlp_http::refuse(&self.ingest, parts, &mut reader, &refusal).await
    }
}

/// The response to a unary call.
fn response_message(
    content: Content,
    stored: &Stored,
    response_bytes_max: usize,
) -> Result<Vec<u8>, Refusal> {
    match content {
        Content::Submit => reply::message(&submitted(&stored.positions), response_bytes_max),
        _ => reply::export(content, &stored.rejected, response_bytes_max),
    }
}

fn submitted(positions: &[Position]) -> SubmitResponse {
    let message = |position: &Position| PositionMessage {
        log_id: position.log_id.to_string(),
        partition: position.partition.0.into(),
        offset: position.offset.0,
    };
    SubmitResponse {
        positions: positions.iter().map(message).collect(),
    }
}

/// Where an address can be reached, for people.
pub(crate) fn place(address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        format!("port {} of this host", address.port())
    } else {
        address.to_string()
    }
}

/// What those are told who send metrics, on either port.
pub(crate) fn no_metrics() -> Refusal {
    Refusal::new(
        Reason::NotFound,
        "log-tracer takes traces and logs, not metrics: set OTEL_METRICS_EXPORTER=none",
    )
}

/// Whether a request says that it is gRPC with protobuf.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let essence = content_type.and_then(|value| value.split(';').next());
    matches!(
        essence.map(str::trim),
        Some("application/grpc" | "application/grpc+proto")
    )
}

/// The time that a client gives a call: up to eight digits and a unit.
fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(amount * 3_600),
        "M" => Duration::from_secs(amount * 60),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return None,
    })
}

async fn within<T>(
    time: Duration,
    work: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Refusal> {
    tokio::time::timeout(time, work).await.unwrap_or_else(|_| {
        let message = "the request did not arrive in time";
        Err(Refusal::new(Reason::SlowBody, message))
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn timeouts_are_read_in_every_unit_and_nonsense_is_none() {
        let read = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", HeaderValue::from_static(text));
            timeout(&headers)
        };
        assert_eq!(read("5S"), Some(Duration::from_secs(5)));
        assert_eq!(read("100m"), Some(Duration::from_millis(100)));
        assert_eq!(
            read("99999999H"),
            Some(Duration::from_secs(99_999_999 * 3_600))
        );
        assert_eq!(read("7u"), Some(Duration::from_micros(7)));
        for text in ["", "S", "5", "5X", "-1S", "123456789S"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn only_grpc_with_protobuf_is_grpc() {
        let is = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(text));
            is_grpc(&headers)
        };
        assert!(is("application/grpc"));
        assert!(is("application/grpc+proto; charset=utf-8"));
        assert!(!is("application/grpc-web"));
        assert!(!is("application/grpc+json"));
        assert!(!is("application/x-protobuf"));
    }

    #[test]
    fn an_address_that_is_all_addresses_is_told_by_its_port() {
        assert_eq!(
            place("0.0.0.0:4318".parse().unwrap()),
            "port 4318 of this host"
        );
        assert_eq!(place("127.0.0.1:4318".parse().unwrap()), "127.0.0.1:4318");
    }
}
