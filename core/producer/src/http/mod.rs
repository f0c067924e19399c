//! The port of HTTP: OTLP in protobuf and JSON, over HTTP/1.1 and HTTP/2.

mod cors;

use std::{fmt::Display, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Version, header, request::Parts};
use http_body_util::Full;
use hyper::body::Body as HttpBody;
use tonic::{Status, body::Body};

use crate::{
    Encoding, POSITIONS_HEADER, Reason, Refusal,
    body::{BodyReader, Limits},
    grpc::{is_grpc, no_metrics, place},
    ingest::{Ingest, now_unix_nano},
    pipeline::{self, Content},
    reply,
};
use cors::Cors;

/// The paths, for people.
pub(crate) const PATHS: &str = "/v1/traces and /v1/logs";
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// How long the rest of a refused body is read.
const DISCARD_WITHIN: Duration = Duration::from_secs(5);

/// Answers the requests of the port.
#[derive(Clone, Debug)]
pub(crate) struct HttpPort {
    ingest: Arc<Ingest>,
    cors: Cors,
    grpc_address: SocketAddr,
}

impl HttpPort {
    pub(crate) fn new(ingest: Arc<Ingest>, grpc_address: SocketAddr) -> Self {
        Self {
            cors: Cors::new(&ingest.config.cors_origins),
            ingest,
            grpc_address,
        }
    }

    /// Answers one request.
    pub(crate) async fn call<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: HttpBody<Data = Bytes> + Unpin,
        B::Error: Display,
    {
        let (parts, body) = request.into_parts();
        if is_grpc(&parts.headers) {
            return self.wrong_port();
        }
        let origin = self.cors.check(&parts.headers);
        if origin.is_ok()
            && let Some((status, headers)) = Cors::preflight(&parts.method, &parts.headers)
        {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = status;
            *response.headers_mut() = headers;
            Cors::allow(&parts.headers, response.headers_mut());
            return response;
        }

        self.ingest.metrics.http_request();
        let mut reader = BodyReader::new(body);
        let result = match origin {
            Ok(()) => self.store(&parts, &mut reader).await,
            Err(refusal) => return refuse(&self.ingest, &parts, &mut reader, &refusal).await,
        };
        let mut response = match result {
            Ok(response) => response,
            Err(refusal) => refuse(&self.ingest, &parts, &mut reader, &refusal).await,
        };
        Cors::allow(&parts.headers, response.headers_mut());
        response
    }

    async fn store<B>(
        &self,
        parts: &Parts,
        reader: &mut BodyReader<B>,
    ) -> Result<Response<Body>, Refusal>
    where
        B: HttpBody<Data = Bytes> + Unpin,
        B::Error: Display,
    {
        let content = content(parts)?;
        let encoding = encoding(&parts.headers)?;
        let config = &self.ingest.config;
        let limits = Limits {
            bytes_max: config.request_bytes_max,
            pool: &self.ingest.budget.wire,
            memory_deadline: self.ingest.deadline(None),
            receive_within: Duration::from_millis(config.receive_deadline_ms),
        };
        let received = reader.read_all(limits).await?;
        let request = pipeline::Request {
            content,
            encoding,
            bytes: received.bytes,
            idempotency_key: idempotency_key(&parts.headers),
            received_unix_nano: now_unix_nano(),
        };
        let stored = self.ingest.store(request, received.memory, None).await?;
        let body = reply::export(content, &stored.rejected, config.response_bytes_max)?;
        let mut response = Response::new(Body::new(Full::new(Bytes::from(body))));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, response_type(&parts.headers));
        if let Some(positions) = reply::positions(&stored.positions) {
            headers.insert(POSITIONS_HEADER, positions);
        }
        Ok(response)
    }

    /// A client of gRPC understands only gRPC.
    fn wrong_port(&self) -> Response<Body> {
        let message = format!(
            "this port speaks OTLP over HTTP: send OTLP over gRPC to {}",
            place(self.grpc_address)
        );
        let refusal = Refusal::new(Reason::WrongPort, message);
        self.ingest.refused(&refusal);
        refusal.to_status(self.ingest.retry_delay()).into_http()
    }
}

/// What a retry of a request is recognised by, if the client says so.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Option<Bytes> {
    let key = headers.get("idempotency-key")?;
    Some(Bytes::copy_from_slice(key.as_bytes()))
}

/// Counts a refusal and answers with it.
pub(crate) async fn refuse<B>(
    ingest: &Ingest,
    parts: &Parts,
    reader: &mut BodyReader<B>,
    refusal: &Refusal,
) -> Response<Body>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Display,
{
    ingest.refused(refusal);
    // Over HTTP/1, many clients send everything before they listen. Those who ask first have sent nothing.
    let sends_on = parts.version < Version::HTTP_2
        && !parts.headers.contains_key(header::EXPECT)
        && !matches!(refusal.reason, Reason::SlowBody | Reason::Disconnected);
    if sends_on {
        reader
            .discard(ingest.config.request_bytes_max, DISCARD_WITHIN)
            .await;
    }
    error(refusal, &parts.headers, ingest.retry_delay())
}

/// A refusal as `google.rpc.Status`: in protobuf for those who sent protobuf, and otherwise in JSON.
fn error(refusal: &Refusal, request: &HeaderMap, retry_delay: Duration) -> Response<Body> {
    let status: Status = refusal.to_status(retry_delay);
    let content_type = response_type(request);
    let body = if content_type == PROTOBUF {
        reply::status_protobuf(&status)
    } else {
        reply::status_json(&status)
    };
    let mut response = Response::new(Body::new(Full::new(Bytes::from(body))));
    *response.status_mut() = refusal.http_status();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, content_type);
    if refusal.reason.is_retryable() {
        let seconds = retry_delay.as_millis().div_ceil(1_000);
        let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if refusal.reason == Reason::Method {
        headers.insert(header::ALLOW, HeaderValue::from_static("POST, OPTIONS"));
    }
    if refusal.reason == Reason::Encoding {
        let accepted = HeaderValue::from_static(Encoding::ACCEPTED);
        headers.insert(header::ACCEPT_ENCODING, accepted);
    }
    response
}

/// What the request carries, by its path, method and content type.
fn content(parts: &Parts) -> Result<Content, Refusal> {
    let (protobuf, json) = match parts.uri.path() {
        "/v1/traces" => (Content::Traces, Content::TracesJson),
        "/v1/logs" => (Content::Logs, Content::LogsJson),
        "/v1/metrics" => return Err(no_metrics()),
        _ => {
            let message = format!("there is nothing at this path: send OTLP to {PATHS}");
            return Err(Refusal::new(Reason::NotFound, message));
        }
    };
    if parts.method != Method::POST {
        return Err(Refusal::new(Reason::Method, "only POST sends records"));
    }
    match media_type(&parts.headers).as_deref() {
        Some("application/x-protobuf") => Ok(protobuf),
        Some("application/json") => Ok(json),
        _ => Err(Refusal::new(
            Reason::MediaType,
            "expected the content type application/x-protobuf or application/json",
        )),
    }
}

fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let essence = value.split(';').next()?;
    Some(essence.trim().to_ascii_lowercase())
}

/// The content type of the response: that of the request, and JSON for those who sent neither.
fn response_type(request: &HeaderMap) -> HeaderValue {
    match media_type(request).as_deref() {
        Some("application/x-protobuf") => PROTOBUF,
        _ => JSON,
    }
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, Refusal> {
    let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
    let first = values.next();
    let Some(first) = first else {
        return Ok(Encoding::Identity);
    };
    match values.next() {
        // Compressed more than once.
        Some(_) => Encoding::from_name("?"),
        None => Encoding::from_name(first.to_str().unwrap_or("?")),
    }
}
