//! Why a page could not be shown, as a decision for the visitor: mend the address, wait, or look elsewhere.

use http::StatusCode;
use tonic::Code;

/// Why a page could not be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    kind: Kind,
    message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Input,
    Missing,
    Method,
    Large,
    Busy,
    Away,
    Slow,
    Consumer,
    Internal,
}

impl Fault {
    /// The address or the query has a mistake; the message says where.
    pub(crate) fn input(message: impl Into<String>) -> Self {
        Self::new(Kind::Input, message)
    }

    /// There is nothing under this address.
    pub(crate) fn missing(message: impl Into<String>) -> Self {
        Self::new(Kind::Missing, message)
    }

    /// The address exists, but not for this method.
    pub(crate) fn method() -> Self {
        Self::new(
            Kind::Method,
            "this address does not take requests of that method",
        )
    }

    /// What was sent is larger than is taken.
    pub(crate) fn large(message: impl Into<String>) -> Self {
        Self::new(Kind::Large, message)
    }

    /// A limit of the dashboard is reached; it passes.
    pub(crate) fn busy(message: impl Into<String>) -> Self {
        Self::new(Kind::Busy, message)
    }

    /// An answer took too long.
    pub(crate) fn slow(message: impl Into<String>) -> Self {
        Self::new(Kind::Slow, message)
    }

    /// What the consumer sent cannot be used.
    pub(crate) fn consumer(message: impl Into<String>) -> Self {
        Self::new(Kind::Consumer, message)
    }

    /// A fault of the dashboard itself.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(Kind::Internal, message)
    }

    /// The same, said of one of several things that were asked for.
    pub(crate) fn about(self, what: &str) -> Self {
        Self {
            message: format!("{what}: {}", self.message),
            ..self
        }
    }

    fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// The HTTP status.
    pub(crate) fn status(&self) -> StatusCode {
        match self.kind {
            Kind::Input => StatusCode::BAD_REQUEST,
            Kind::Missing => StatusCode::NOT_FOUND,
            Kind::Method => StatusCode::METHOD_NOT_ALLOWED,
            Kind::Large => StatusCode::PAYLOAD_TOO_LARGE,
            Kind::Busy | Kind::Away => StatusCode::SERVICE_UNAVAILABLE,
            Kind::Slow => StatusCode::GATEWAY_TIMEOUT,
            Kind::Consumer => StatusCode::BAD_GATEWAY,
            Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Seconds after which to try again, where that helps.
    pub(crate) fn retry_after_s(&self) -> Option<u32> {
        matches!(self.kind, Kind::Busy | Kind::Away).then_some(2)
    }

    /// A heading.
    pub(crate) fn title(&self) -> &'static str {
        match self.kind {
            Kind::Input => "This cannot be read",
            Kind::Missing => "Nothing here",
            Kind::Method => "Not like this",
            Kind::Large => "This is too large",
            Kind::Busy => "Busy for a moment",
            Kind::Away => "The consumer does not answer",
            Kind::Slow => "That took too long",
            Kind::Consumer => "The consumer reported a failure",
            Kind::Internal => "log-tracer has a fault",
        }
    }

    /// What happened, in lower case without a full stop.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// What the visitor can do about it.
    pub(crate) fn advice(&self) -> &'static str {
        match self.kind {
            Kind::Input => "Mend the address or the query and try again.",
            Kind::Missing => "It may never have been there, or retention has removed it.",
            Kind::Method => "Use the links and buttons of the pages.",
            Kind::Large => "Send less, or raise the limit in the configuration of the dashboard.",
            Kind::Busy => "Try again in a few seconds.",
            Kind::Away => {
                "It may be starting or restarting. What was acknowledged is not lost. Try again in a few seconds."
            }
            Kind::Slow => "Narrow the time range or the query, or try again.",
            Kind::Consumer => "The consumer's log says more.",
            Kind::Internal => "The dashboard's log says more.",
        }
    }
}

impl From<tonic::Status> for Fault {
    fn from(status: tonic::Status) -> Self {
        let kind = match status.code() {
            Code::InvalidArgument | Code::OutOfRange => Kind::Input,
            Code::NotFound => Kind::Missing,
            Code::Unavailable => Kind::Away,
            Code::ResourceExhausted => Kind::Busy,
            Code::DeadlineExceeded | Code::Cancelled => Kind::Slow,
            _ => Kind::Consumer,
        };
        let message = match kind {
            // The transport's own words are about sockets; the page says what they mean.
            Kind::Away => "the consumer that keeps traces and logs cannot be reached",
            Kind::Slow => "the consumer did not answer within the deadline",
            _ => status.message(),
        };
        Self::new(kind, crate::units::clip(message, 500))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_of_the_consumer_becomes_a_decision() {
        for code in 1..=16 {
            let fault = Fault::from(tonic::Status::new(Code::from_i32(code), "words"));
            assert_ne!(fault.status(), StatusCode::INTERNAL_SERVER_ERROR, "{code}");
            assert!(fault.status().is_client_error() || fault.status().is_server_error());
        }
    }

    #[test]
    fn an_absent_consumer_asks_to_try_again() {
        let fault = Fault::from(tonic::Status::unavailable("tcp connect error"));
        assert_eq!(fault.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(fault.retry_after_s(), Some(2));
        assert!(!fault.message().contains("tcp"));
    }
}
