//! Why a request was not stored, and what its sender is told: the one table of codes for gRPC and HTTP.

use std::{fmt, time::Duration};

use http::StatusCode;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use log_tracer_transport::PublishError;

/// Messages longer than this are cut: they travel in headers, which clients limit to a few KiB.
const MESSAGE_BYTES_MAX: usize = 1_000;

/// The kinds of refusals, as they are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The request is not what its content type or its path says, or breaks a rule of the protocol.
    Malformed,
    /// The request is larger than allowed, as received, decompressed or decoded.
    TooLarge,
    /// The compression is not known.
    Encoding,
    /// The content type is not known.
    MediaType,
    /// There is nothing at this path.
    NotFound,
    /// The path does not take this method.
    Method,
    /// OTLP over HTTP on the port of gRPC, or the reverse.
    WrongPort,
    /// A browser's request from a page that is not allowed.
    Origin,
    /// The body did not arrive in time.
    SlowBody,
    /// The sender went away before its body was complete.
    Disconnected,
    /// The memory for requests under way was taken until the deadline.
    Memory,
    /// The transport had no room until the deadline.
    Busy,
    /// The log has reached its limit.
    Full,
    /// The producer or the transport is stopping.
    Draining,
    /// The transport cannot tell whether it stored the request.
    OutcomeUnknown,
    /// The transport is broken.
    TransportFailed,
    /// There is no transport for the moment: it is being opened.
    Away,
    /// The response would be larger than allowed.
    ResponseTooLarge,
    /// A fault of the producer.
    Internal,
}

/// How a reason is told.
struct Told {
    label: &'static str,
    grpc: Code,
    http: StatusCode,
    /// Whether the same request may be sent again.
    retry: bool,
}

impl Reason {
    /// All of them, in the order in which they are counted.
    pub const ALL: [Self; 19] = [
        Self::Malformed,
        Self::TooLarge,
        Self::Encoding,
        Self::MediaType,
        Self::NotFound,
        Self::Method,
        Self::WrongPort,
        Self::Origin,
        Self::SlowBody,
        Self::Disconnected,
        Self::Memory,
        Self::Busy,
        Self::Full,
        Self::Draining,
        Self::OutcomeUnknown,
        Self::TransportFailed,
        Self::Away,
        Self::ResponseTooLarge,
        Self::Internal,
    ];

    /// Its name in counters and logs.
    #[must_use]
    pub fn label(self) -> &'static str {
        self.told().label
    }

    /// Whether the same request may be sent again.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        self.told().retry
    }

    /// OTLP lets clients retry HTTP 429, 502, 503 and 504, gRPC UNAVAILABLE and the like, and RESOURCE_EXHAUSTED only
    /// with RetryInfo; so what may be retried is one of 429 and 503 and carries RetryInfo, and nothing else is.
    fn told(self) -> Told {
        let told = |label, grpc, http, retry| Told {
            label,
            grpc,
            http,
            retry,
        };
        match self {
            Self::Malformed => told(
                "malformed",
                Code::InvalidArgument,
                StatusCode::BAD_REQUEST,
                false,
            ),
            Self::TooLarge => told(
                "too_large",
                Code::ResourceExhausted,
                StatusCode::PAYLOAD_TOO_LARGE,
                false,
            ),
            Self::Encoding => told(
                "encoding",
                Code::Unimplemented,
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                false,
            ),
            Self::MediaType => told(
                "media_type",
                Code::InvalidArgument,
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                false,
            ),
            Self::NotFound => told(
                "not_found",
                Code::Unimplemented,
                StatusCode::NOT_FOUND,
                false,
            ),
            Self::Method => told(
                "method",
                Code::Unimplemented,
                StatusCode::METHOD_NOT_ALLOWED,
                false,
            ),
            Self::WrongPort => told(
                "wrong_port",
                Code::Unimplemented,
                StatusCode::BAD_REQUEST,
                false,
            ),
            Self::Origin => told(
                "origin",
                Code::PermissionDenied,
                StatusCode::FORBIDDEN,
                false,
            ),
            Self::SlowBody => told(
                "slow_body",
                Code::DeadlineExceeded,
                StatusCode::SERVICE_UNAVAILABLE,
                true,
            ),
            Self::Disconnected => told(
                "disconnected",
                Code::Cancelled,
                StatusCode::BAD_REQUEST,
                false,
            ),
            Self::Memory => told(
                "memory",
                Code::ResourceExhausted,
                StatusCode::TOO_MANY_REQUESTS,
                true,
            ),
            Self::Busy => told(
                "busy",
                Code::ResourceExhausted,
                StatusCode::TOO_MANY_REQUESTS,
                true,
            ),
            Self::Full => told(
                "full",
                Code::ResourceExhausted,
                StatusCode::TOO_MANY_REQUESTS,
                true,
            ),
            Self::Draining => told(
                "draining",
                Code::Unavailable,
                StatusCode::SERVICE_UNAVAILABLE,
                true,
            ),
            Self::OutcomeUnknown => told(
                "outcome_unknown",
                Code::Unavailable,
                StatusCode::SERVICE_UNAVAILABLE,
                true,
            ),
            Self::TransportFailed => told(
                "transport_failed",
                Code::Unavailable,
                StatusCode::SERVICE_UNAVAILABLE,
                true,
            ),
            Self::Away => told(
                "away",
                Code::Unavailable,
                StatusCode::SERVICE_UNAVAILABLE,
                true,
            ),
            Self::ResponseTooLarge => told(
                "response_too_large",
                Code::ResourceExhausted,
                StatusCode::INTERNAL_SERVER_ERROR,
                false,
            ),
            Self::Internal => told(
                "internal",
                Code::Internal,
                StatusCode::INTERNAL_SERVER_ERROR,
                false,
            ),
        }
    }
}

/// A request that was not stored, or not known to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// Which kind of refusal.
    pub reason: Reason,
    /// For the sender: what was expected, and where. Never a part of the request's data.
    pub message: String,
    /// Which field of the request breaks a rule, as a path.
    pub field: Option<String>,
}

impl Refusal {
    pub(crate) fn new(reason: Reason, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if message.len() > MESSAGE_BYTES_MAX {
            message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
            message.push('…');
        }
        Self {
            reason,
            message,
            field: None,
        }
    }

    /// Names the field that breaks a rule.
    pub(crate) fn at(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    pub(crate) fn http_status(&self) -> StatusCode {
        self.reason.told().http
    }

    pub(crate) fn grpc_code(&self) -> Code {
        self.reason.told().grpc
    }

    /// The gRPC status, with RetryInfo or BadRequest among its details.
    pub(crate) fn to_status(&self, retry_delay: Duration) -> Status {
        let details = if self.reason.is_retryable() {
            ErrorDetails::with_retry_info(Some(retry_delay))
        } else if self.reason == Reason::Malformed {
            let field = self.field.as_deref().unwrap_or_default();
            ErrorDetails::with_bad_request_violation(field, &self.message)
        } else {
            return Status::new(self.grpc_code(), &self.message);
        };
        Status::with_error_details(self.grpc_code(), &self.message, details)
    }
}

impl From<PublishError> for Refusal {
    fn from(error: PublishError) -> Self {
        let reason = match error {
            PublishError::Busy => Reason::Busy,
            PublishError::Full(_) => Reason::Full,
            PublishError::TooLarge { .. } => Reason::TooLarge,
            PublishError::Invalid(_) => Reason::Internal,
            PublishError::Draining => Reason::Draining,
            PublishError::OutcomeUnknown(_) => Reason::OutcomeUnknown,
            PublishError::Failed(_) => Reason::TransportFailed,
        };
        Self::new(reason, error.to_string())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_retried_says_so_in_both_protocols_and_nothing_else_does() {
        for reason in Reason::ALL {
            let refusal = Refusal::new(reason, "why");
            let status = refusal.to_status(Duration::from_secs(2));
            let asks = status.get_details_retry_info().is_some();
            let http = matches!(refusal.http_status().as_u16(), 429 | 502 | 503 | 504);
            assert_eq!(asks, reason.is_retryable(), "{reason}");
            assert_eq!(http, reason.is_retryable(), "{reason}");
        }
    }

    #[test]
    fn bad_data_names_the_field() {
        let refusal = Refusal::new(Reason::Malformed, "must not be empty").at("entries[3].service");
        let status = refusal.to_status(Duration::ZERO);
        let violations = status.get_details_bad_request().unwrap().field_violations;
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(violations[0].field, "entries[3].service");
        assert_eq!(violations[0].description, "must not be empty");
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let refusal = Refusal::new(Reason::Malformed, "ä".repeat(2_000));
        assert!(refusal.message.len() <= MESSAGE_BYTES_MAX + '…'.len_utf8());
        assert!(refusal.message.ends_with('…'));
    }

    #[test]
    fn every_reason_is_counted_under_its_own_name() {
        let mut labels: Vec<_> = Reason::ALL.iter().map(|reason| reason.label()).collect();
        for (position, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, position, "{reason}");
        }
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), Reason::ALL.len());
    }
}
