//! Sends traffic to an OTLP gRPC endpoint as an SDK would: traces and logs, retrying what may be retried.

use std::{fmt, ops::AddAssign, time::Duration};

use log_tracer_proto::{
    otlp::{
        collector_logs::{ExportLogsServiceRequest, logs_service_client::LogsServiceClient},
        collector_trace::{ExportTraceServiceRequest, trace_service_client::TraceServiceClient},
    },
    v1::Position,
};
use tonic::{
    Code, Status,
    metadata::MetadataMap,
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt;

use crate::workload::Traffic;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long one request is tried again before giving up.
const RETRY_FOR: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Nothing to send to.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Not an address.
    #[error("`{endpoint}` is not an address: expected something like http://127.0.0.1:4317")]
    Address {
        /// What was given.
        endpoint: String,
    },
    /// Nobody there.
    #[error(
        "nothing answers at {endpoint}: start log-tracer first, for example with `cargo run --release` ({reason})"
    )]
    Unreachable {
        /// Where.
        endpoint: String,
        /// What the network said.
        reason: String,
    },
}

/// The server did not take it.
#[derive(Debug, thiserror::Error)]
#[error("the server refused: {} ({:?})", status.message(), status.code())]
pub struct SendError {
    /// Its last answer.
    pub status: Box<Status>,
}

/// What was acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Spans.
    pub spans: u64,
    /// Log records.
    pub logs: u64,
}

impl AddAssign for Sent {
    fn add_assign(&mut self, other: Self) {
        self.spans += other.spans;
        self.logs += other.logs;
    }
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} spans and {} log records sent", self.spans, self.logs)
    }
}

/// A connection to an OTLP gRPC endpoint.
#[derive(Clone, Debug)]
pub struct OtlpClient {
    traces: TraceServiceClient<Channel>,
    logs: LogsServiceClient<Channel>,
}

impl OtlpClient {
    /// Connects.
    ///
    /// # Errors
    /// When the address cannot be read or nobody listens there.
    pub async fn connect(endpoint: &str) -> Result<Self, ConnectError> {
        let address =
            Endpoint::from_shared(endpoint.to_owned()).map_err(|_| ConnectError::Address {
                endpoint: endpoint.to_owned(),
            })?;
        let channel = address
            .connect_timeout(CONNECT_TIMEOUT)
            .connect()
            .await
            .map_err(|error| ConnectError::Unreachable {
                endpoint: endpoint.to_owned(),
                reason: innermost(&error),
            })?;
        Ok(Self::over(channel))
    }

    /// Sends over a connection that exists.
    #[must_use]
    pub fn over(channel: Channel) -> Self {
        Self {
            traces: TraceServiceClient::new(channel.clone()),
            logs: LogsServiceClient::new(channel),
        }
    }

    /// Sends spans and logs, side by side, and waits for both acks. Sends nothing when there is nothing.
    ///
    /// # Errors
    /// When the server refused for good, or for longer than is worth waiting.
    pub async fn send(&self, traffic: Traffic) -> Result<Sent, SendError> {
        let sent = Sent {
            spans: traffic.spans.len() as u64,
            logs: traffic.logs.len() as u64,
        };
        let (spans, logs) = traffic.into_requests();
        tokio::try_join!(self.send_spans(spans), self.send_logs(logs))?;
        Ok(sent)
    }

    async fn send_spans(&self, request: ExportTraceServiceRequest) -> Result<(), SendError> {
        if request.resource_spans.is_empty() {
            return Ok(());
        }
        retrying(|| {
            let (mut client, request) = (self.traces.clone(), request.clone());
            async move { client.export(request).await.map(|_| ()) }
        })
        .await
    }

    async fn send_logs(&self, request: ExportLogsServiceRequest) -> Result<(), SendError> {
        if request.resource_logs.is_empty() {
            return Ok(());
        }
        retrying(|| {
            let (mut client, request) = (self.logs.clone(), request.clone());
            async move { client.export(request).await.map(|_| ()) }
        })
        .await
    }
}

/// The positions in the metadata of a reply: `<log id>:<partition>:<offset>`, separated by commas. `None` when there
/// are none, or they cannot be read.
#[must_use]
pub fn positions_of(metadata: &MetadataMap) -> Option<Vec<Position>> {
    let header = metadata.get("log-tracer-positions")?.to_str().ok()?;
    header.split(',').map(position).collect()
}

fn position(text: &str) -> Option<Position> {
    let mut fields = text.trim().split(':');
    Some(Position {
        log_id: fields.next()?.to_owned(),
        partition: fields.next()?.parse().ok()?,
        offset: fields.next()?.parse().ok()?,
    })
}

/// Tries until it is acknowledged, refused for good, or [`RETRY_FOR`] has passed.
async fn retrying<F: Future<Output = Result<(), Status>>>(
    mut attempt: impl FnMut() -> F,
) -> Result<(), SendError> {
    let give_up = tokio::time::Instant::now() + RETRY_FOR;
    let mut pause = FIRST_PAUSE;
    loop {
        let Err(status) = attempt().await else {
            return Ok(());
        };
        let wait = match retry_after(&status) {
            Some(asked) => asked.unwrap_or(pause),
            None => {
                return Err(SendError {
                    status: Box::new(status),
                });
            }
        };
        if tokio::time::Instant::now() + wait > give_up {
            return Err(SendError {
                status: Box::new(status),
            });
        }
        tokio::time::sleep(wait).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// `None`: must not be retried. `Some(None)`: may be, after a pause of our own choice. By the OTLP specification,
/// RESOURCE_EXHAUSTED may be retried only when the server says when.
pub(crate) fn retry_after(status: &Status) -> Option<Option<Duration>> {
    let asked = status
        .get_details_retry_info()
        .and_then(|info| info.retry_delay);
    match status.code() {
        Code::ResourceExhausted => asked.map(Some),
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => Some(asked),
        _ => None,
    }
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_otlp_calls_retryable_is_retried() {
        let hinted = Status::with_error_details(
            Code::ResourceExhausted,
            "busy",
            tonic_types::ErrorDetails::with_retry_info(Some(Duration::from_millis(250))),
        );
        assert_eq!(retry_after(&hinted), Some(Some(Duration::from_millis(250))));
        assert_eq!(retry_after(&Status::resource_exhausted("too large")), None);
        assert_eq!(retry_after(&Status::unavailable("draining")), Some(None));
        assert_eq!(retry_after(&Status::invalid_argument("bad")), None);
    }

    #[test]
    fn positions_are_read_from_the_reply() {
        let mut metadata = MetadataMap::new();
        assert_eq!(positions_of(&metadata), None);
        metadata.insert(
            "log-tracer-positions",
            "00ff:0:17, 00ff:3:42".parse().unwrap(),
        );
        let positions = positions_of(&metadata).unwrap();
        assert_eq!(positions.len(), 2);
        assert_eq!((positions[1].partition, positions[1].offset), (3, 42));
        metadata.insert("log-tracer-positions", "00ff:zero".parse().unwrap());
        assert_eq!(positions_of(&metadata), None);
    }

    #[tokio::test]
    async fn an_address_where_nobody_listens_says_so() {
        let error = OtlpClient::connect("http://127.0.0.1:1").await.unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("nothing answers at http://127.0.0.1:1"),
            "{error}"
        );
        assert!(matches!(
            OtlpClient::connect("not an address").await,
            Err(ConnectError::Address { .. })
        ));
    }
}
