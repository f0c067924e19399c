//! Where requests go to: an OTLP endpoint over gRPC or over HTTP.

use std::fmt;

use hyper::{
    Method, Request, Uri,
    header::{self, HeaderValue},
};

use bytes::Bytes;
use http_body_util::Full;

use crate::{bench::BenchError, workload::encoded::Signal};

/// How OTLP is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Protocol {
    /// gRPC, as on port 4317.
    Grpc,
    /// Protobuf in HTTP/1.1, as on port 4318.
    Http,
}

/// An endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) protocol: Protocol,
    /// Host and port to connect to.
    pub(crate) authority: String,
    traces: Uri,
    logs: Uri,
    is_gzip: bool,
}

impl Target {
    /// Reads an address such as `http://127.0.0.1:4317`. Without a protocol it is HTTP on port 4318 or with a path,
    /// gRPC elsewhere.
    pub(crate) fn parse(
        endpoint: &str,
        protocol: Option<Protocol>,
        is_gzip: bool,
    ) -> Result<Self, BenchError> {
        let wrong = || BenchError::Endpoint(endpoint.to_owned());
        let uri: Uri = endpoint.parse().map_err(|_| wrong())?;
        if uri.scheme_str() != Some("http") {
            return Err(wrong());
        }
        let host = uri.host().ok_or_else(wrong)?;
        let base = uri.path().trim_end_matches('/');
        let by_address = match uri.port_u16() {
            Some(4318) => Protocol::Http,
            _ if !base.is_empty() => Protocol::Http,
            _ => Protocol::Grpc,
        };
        let protocol = protocol.unwrap_or(by_address);
        let usual = match protocol {
            Protocol::Grpc => 4317,
            Protocol::Http => 4318,
        };
        let authority = format!("{host}:{}", uri.port_u16().unwrap_or(usual));
        let (traces, logs) = match protocol {
            Protocol::Grpc => (
                "/opentelemetry.proto.collector.trace.v1.TraceService/Export".to_owned(),
                "/opentelemetry.proto.collector.logs.v1.LogsService/Export".to_owned(),
            ),
            Protocol::Http => (format!("{base}/v1/traces"), format!("{base}/v1/logs")),
        };
        let address = |path: &str| format!("http://{authority}{path}").parse::<Uri>();
        Ok(Self {
            protocol,
            traces: address(&traces).map_err(|_| wrong())?,
            logs: address(&logs).map_err(|_| wrong())?,
            authority,
            is_gzip,
        })
    }

    /// The request with this body, which for gRPC has its prefix already.
    pub(crate) fn request(&self, signal: Signal, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        let uri = match signal {
            Signal::Spans => &self.traces,
            Signal::Logs => &self.logs,
        };
        let gzip = HeaderValue::from_static("gzip");
        match self.protocol {
            Protocol::Grpc => {
                *request.uri_mut() = uri.clone();
                let headers = request.headers_mut();
                headers.insert(
                    header::CONTENT_TYPE,
                    HeaderValue::from_static("application/grpc"),
                );
                headers.insert(header::TE, HeaderValue::from_static("trailers"));
                if self.is_gzip {
                    headers.insert("grpc-encoding", gzip);
                }
            }
            Protocol::Http => {
                // HTTP/1.1 names the host in a header and only the path in the first line.
                let path = uri.path_and_query().map_or("/", |path| path.as_str());
                if let Ok(path) = path.parse() {
                    *request.uri_mut() = path;
                }
                let headers = request.headers_mut();
                if let Ok(host) = HeaderValue::from_str(&self.authority) {
                    headers.insert(header::HOST, host);
                }
                headers.insert(
                    header::CONTENT_TYPE,
                    HeaderValue::from_static("application/x-protobuf"),
                );
                if self.is_gzip {
                    headers.insert(header::CONTENT_ENCODING, gzip);
                }
            }
        }
        request
    }

    pub(crate) const fn is_gzip(&self) -> bool {
        self.is_gzip
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Grpc => "gRPC",
            Protocol::Http => "HTTP",
        };
        write!(f, "{} over {protocol}", self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(endpoint: &str) -> (Protocol, String, String) {
        let target = Target::parse(endpoint, None, false).unwrap();
        let request = target.request(Signal::Logs, Bytes::new());
        (target.protocol, target.authority, request.uri().to_string())
    }

    #[test]
    fn the_port_or_a_path_tells_the_protocol() {
        let (protocol, authority, uri) = parse("http://localhost:4317");
        assert_eq!(
            (protocol, authority.as_str()),
            (Protocol::Grpc, "localhost:4317")
        );
        assert!(uri.ends_with("/opentelemetry.proto.collector.logs.v1.LogsService/Export"));
        let (protocol, _, uri) = parse("http://[::1]:4318/");
        assert_eq!((protocol, uri.as_str()), (Protocol::Http, "/v1/logs"));
        let (protocol, authority, uri) = parse("http://victoria:9428/insert/opentelemetry");
        assert_eq!(
            (protocol, authority.as_str()),
            (Protocol::Http, "victoria:9428")
        );
        assert_eq!(uri, "/insert/opentelemetry/v1/logs");
    }

    #[test]
    fn what_cannot_be_spoken_to_is_refused() {
        for wrong in ["", "localhost:4317", "https://localhost:4317", "http://"] {
            assert!(Target::parse(wrong, None, false).is_err(), "{wrong}");
        }
    }
}
