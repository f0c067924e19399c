//! One connection to the endpoint. The bytes of a request go to hyper as they are: no generated client stands in
//! between, so that a request is neither decoded nor copied again.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    io::{self, Write},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Response, StatusCode,
    body::Incoming,
    client::conn::{http1, http2},
    header,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use log_tracer_proto::{
    otlp::{
        collector_logs::ExportLogsServiceResponse, collector_trace::ExportTraceServiceResponse,
    },
    v1::Position,
};
use prost::Message;
use tokio::{net::TcpStream, sync::Mutex, time::timeout};
use tonic::{Code, Status, metadata::MetadataMap};

use super::target::{Protocol, Target};
use crate::{
    otlp_client::{positions_of, retry_after},
    workload::encoded::{Signal, Template, Ticket},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// gRPC: one byte that says whether the message is compressed, and its length in four bytes, big endian.
const PREFIX_BYTES: usize = 5;

/// What became of a request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// Acknowledged, but for so many records that the server rejected for good.
    Acked {
        rejected: u64,
        positions: Vec<Position>,
    },
    /// Definitely not taken; `retry` tells whether it may be sent again, and after how long where the server said so.
    Refused {
        status: String,
        retry: Option<Option<Duration>>,
    },
    /// Nobody knows.
    Unknown { reason: String },
}

/// Sends requests. A trait so that the accounting can be tried with a clock and a server that are made up.
pub(crate) trait Wire: Send + Sync + 'static {
    /// The body of a request.
    fn body(&self, template: &Template, ticket: &Ticket) -> io::Result<Bytes>;
    /// Sends it and waits for the answer.
    fn send(&self, signal: Signal, body: Bytes) -> impl Future<Output = Answer> + Send;
}

/// A connection that is opened when it is needed, and again when it broke.
#[derive(Debug)]
pub(crate) struct Connection {
    target: Arc<Target>,
    timeout: Duration,
    sender: Mutex<Option<Sender>>,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// An answer of HTTP, whole.
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    trailers: HeaderMap,
}

impl Connection {
    pub(crate) fn new(target: Arc<Target>, timeout: Duration) -> Self {
        Self {
            target,
            timeout,
            sender: Mutex::new(None),
        }
    }

    /// Connects now, so that an address where nobody listens is found out early.
    pub(crate) async fn connect(&self) -> Result<(), String> {
        *self.sender.lock().await = Some(open(&self.target).await?);
        Ok(())
    }

    async fn exchange(&self, signal: Signal, body: Bytes) -> Result<Reply, String> {
        let request = self.target.request(signal, body);
        let mut place = self.sender.lock().await;
        let is_open = match &*place {
            Some(Sender::Http1(sender)) => !sender.is_closed(),
            Some(Sender::Http2(sender)) => !sender.is_closed(),
            None => false,
        };
        if !is_open {
            *place = None;
            *place = Some(open(&self.target).await?);
        }
        match &mut *place {
            Some(Sender::Http2(sender)) => {
                let mut sender = sender.clone();
                drop(place);
                ready(&mut sender).await?;
                whole(sender.send_request(request).await.map_err(text)?).await
            }
            Some(Sender::Http1(sender)) => {
                // One request at a time: the lock is kept until the answer is here.
                sender.ready().await.map_err(text)?;
                let reply = whole(sender.send_request(request).await.map_err(text)?).await;
                if reply.is_err() {
                    *place = None;
                }
                reply
            }
            None => Err("the connection is closed".to_owned()),
        }
    }
}

async fn ready(sender: &mut http2::SendRequest<Full<Bytes>>) -> Result<(), String> {
    poll_fn(|context| sender.poll_ready(context))
        .await
        .map_err(text)
}

async fn open(target: &Target) -> Result<Sender, String> {
    let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(&target.authority))
        .await
        .map_err(|_| format!("no connection within {CONNECT_TIMEOUT:?}"))?
        .map_err(|error| error.to_string())?;
    stream
        .set_nodelay(true)
        .map_err(|error| error.to_string())?;
    let io = TokioIo::new(stream);
    // What ends a connection is told to the requests on it, too.
    Ok(match target.protocol {
        Protocol::Grpc => {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io)
                .await
                .map_err(text)?;
            tokio::spawn(connection);
            Sender::Http2(sender)
        }
        Protocol::Http => {
            let (sender, connection) = http1::handshake(io).await.map_err(text)?;
            tokio::spawn(connection);
            Sender::Http1(sender)
        }
    })
}

fn text(error: hyper::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(deeper) = cause {
        text = format!("{text}: {deeper}");
        cause = deeper.source();
    }
    text
}

async fn whole(response: Response<Incoming>) -> Result<Reply, String> {
    let (head, body) = response.into_parts();
    let collected = body.collect().await.map_err(text)?;
    let trailers = collected.trailers().cloned().unwrap_or_default();
    Ok(Reply {
        status: head.status,
        headers: head.headers,
        body: collected.to_bytes(),
        trailers,
    })
}

impl Wire for Connection {
    fn body(&self, template: &Template, ticket: &Ticket) -> io::Result<Bytes> {
        let prefix = match self.target.protocol {
            Protocol::Grpc => PREFIX_BYTES,
            Protocol::Http => 0,
        };
        let mut body = Vec::with_capacity(prefix + template.len());
        body.resize(prefix, 0);
        template.write(&ticket.instances, &mut body);
        if self.target.is_gzip() {
            body = compressed(&body, prefix)?;
        }
        if prefix > 0 {
            let length = u32::try_from(body.len() - prefix).map_err(io::Error::other)?;
            if let Some((flag, rest)) = body.split_first_mut() {
                *flag = u8::from(self.target.is_gzip());
                if let Some(place) = rest.first_chunk_mut() {
                    *place = length.to_be_bytes();
                }
            }
        }
        Ok(Bytes::from(body))
    }

    async fn send(&self, signal: Signal, body: Bytes) -> Answer {
        match timeout(self.timeout, self.exchange(signal, body)).await {
            Ok(Ok(reply)) => match self.target.protocol {
                Protocol::Grpc => of_grpc(signal, &reply),
                Protocol::Http => of_http(signal, &reply),
            },
            Ok(Err(reason)) => Answer::Unknown { reason },
            Err(_) => {
                if self.target.protocol == Protocol::Http {
                    // The late answer would be taken for that of the next request.
                    *self.sender.lock().await = None;
                }
                let reason = format!("no answer within {:?}", self.timeout);
                Answer::Unknown { reason }
            }
        }
    }
}

fn compressed(body: &[u8], prefix: usize) -> io::Result<Vec<u8>> {
    let message = body.get(prefix..).unwrap_or_default();
    let mut encoder = GzEncoder::new(vec![0; prefix], Compression::fast());
    encoder.write_all(message)?;
    encoder.finish()
}

fn of_grpc(signal: Signal, reply: &Reply) -> Answer {
    if reply.status != StatusCode::OK {
        return of_status(reply);
    }
    let status = Status::from_header_map(&reply.trailers)
        .or_else(|| Status::from_header_map(&reply.headers));
    let Some(status) = status else {
        let reason = "an answer without grpc-status: is it an OTLP gRPC endpoint?".to_owned();
        return Answer::Unknown { reason };
    };
    match status.code() {
        Code::Ok => Answer::Acked {
            rejected: rejected(signal, reply.body.get(PREFIX_BYTES..).unwrap_or_default()),
            positions: positions(&reply.headers),
        },
        code => Answer::Refused {
            status: format!("{code:?}: {}", status.message()),
            retry: retry_after(&status),
        },
    }
}

fn of_http(signal: Signal, reply: &Reply) -> Answer {
    if reply.status.is_success() {
        return Answer::Acked {
            rejected: rejected(signal, &reply.body),
            positions: positions(&reply.headers),
        };
    }
    of_status(reply)
}

/// By the OTLP specification, these and no others may be sent again.
fn of_status(reply: &Reply) -> Answer {
    let is_retryable = matches!(reply.status.as_u16(), 429 | 502 | 503 | 504);
    let seconds = reply.headers.get(header::RETRY_AFTER);
    let seconds = seconds.and_then(|value| value.to_str().ok()?.parse().ok());
    let pause = seconds.map(Duration::from_secs);
    Answer::Refused {
        status: format!("HTTP {}", reply.status),
        retry: is_retryable.then_some(pause),
    }
}

fn positions(headers: &HeaderMap) -> Vec<Position> {
    positions_of(&MetadataMap::from_headers(headers.clone())).unwrap_or_default()
}

/// Records that a partial success names as rejected. A reply that cannot be read rejects nothing: peers answer HTTP
/// with bodies of their own.
fn rejected(signal: Signal, body: &[u8]) -> u64 {
    if body.is_empty() {
        return 0;
    }
    let rejected = match signal {
        Signal::Spans => ExportTraceServiceResponse::decode(body)
            .ok()
            .and_then(|reply| Some(reply.partial_success?.rejected_spans)),
        Signal::Logs => ExportLogsServiceResponse::decode(body)
            .ok()
            .and_then(|reply| Some(reply.partial_success?.rejected_log_records)),
    };
    rejected
        .and_then(|count| u64::try_from(count).ok())
        .unwrap_or(0)
}

/// Statuses and how often each was answered, with only the first words of a long message.
pub(crate) fn count(statuses: &mut BTreeMap<String, u64>, status: &str) {
    const KINDS_MAX: usize = 20;
    let short: String = status.chars().take(80).collect();
    let key = if statuses.len() < KINDS_MAX || statuses.contains_key(&short) {
        short
    } else {
        "others".to_owned()
    };
    *statuses.entry(key).or_default() += 1;
}
