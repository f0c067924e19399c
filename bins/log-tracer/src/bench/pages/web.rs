//! A browser without a window: asks the dashboard for a page, or listens to a live tail.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, StatusCode, body::Incoming, header};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

use super::BenchError;

/// A client with its connections.
#[derive(Clone, Debug)]
pub(super) struct Web {
    base: String,
    client: Client<HttpConnector, Empty<Bytes>>,
}

/// A page that came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Got {
    pub(super) status: StatusCode,
    pub(super) bytes: usize,
    /// From the request until the last byte.
    pub(super) took: Duration,
}

/// What a stretch of a live tail had.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Heard {
    pub(super) lines: u64,
    pub(super) bytes: u64,
    /// Lines that the tail says it left out.
    pub(super) dropped: u64,
}

impl Web {
    pub(super) fn new(base: &str) -> Self {
        Self {
            base: base.trim_end_matches('/').to_owned(),
            client: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    async fn ask(&self, path: &str, gzip: bool) -> Result<hyper::Response<Incoming>, BenchError> {
        let unreachable = |reason: String| BenchError::Unreachable {
            endpoint: self.base.clone(),
            reason,
        };
        let mut request = Request::builder().uri(format!("{}{path}", self.base));
        if gzip {
            request = request.header(header::ACCEPT_ENCODING, "gzip");
        }
        let request = request
            .body(Empty::new())
            .map_err(|error| unreachable(error.to_string()))?;
        let answer = self.client.request(request).await;
        answer.map_err(|error| unreachable(error.to_string()))
    }

    /// A page, compressed as browsers ask for it or not.
    pub(super) async fn page(&self, path: &str, gzip: bool) -> Result<Got, BenchError> {
        let started = Instant::now();
        let answer = self.ask(path, gzip).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await;
        let body = body.map_err(|error| BenchError::Wrong(format!("{path}: {error}")))?;
        Ok(Got {
            status,
            bytes: body.to_bytes().len(),
            took: started.elapsed(),
        })
    }

    /// Follows a live tail until it ends, and tells what each event had.
    pub(super) async fn tail(
        &self,
        path: &str,
        mut heard: impl FnMut(Heard) + Send,
    ) -> Result<StatusCode, BenchError> {
        let answer = self.ask(path, false).await?;
        let status = answer.status();
        let mut body = answer.into_body();
        let mut events = Events::default();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| BenchError::Wrong(format!("{path}: {error}")))?;
            if let Some(data) = frame.data_ref() {
                heard(events.read(data));
            }
        }
        Ok(status)
    }
}

/// Server-sent events as they come in, cut anywhere.
#[derive(Debug, Default)]
struct Events {
    line: Vec<u8>,
    /// Whether the event that is being read says how many were left out.
    is_dropped: bool,
}

/// How a line of the list begins within the JSON text of an event.
const ITEM: &[u8] = b"<li id=";
/// A line is kept up to here: names of events and counts are short.
const LINE_BYTES_MAX: usize = 64;

impl Events {
    fn read(&mut self, data: &[u8]) -> Heard {
        let mut heard = Heard {
            lines: memchr::memmem::find_iter(data, ITEM).count() as u64,
            bytes: data.len() as u64,
            dropped: 0,
        };
        for byte in data {
            if *byte != b'\n' {
                if self.line.len() < LINE_BYTES_MAX {
                    self.line.push(*byte);
                }
                continue;
            }
            let line = String::from_utf8_lossy(&self.line);
            if let Some(name) = line.strip_prefix("event:") {
                self.is_dropped = name.trim() == "dropped";
            } else if let Some(count) = line.strip_prefix("data:").filter(|_| self.is_dropped) {
                heard.dropped += count.trim().parse::<u64>().unwrap_or(0);
            }
            self.line.clear();
        }
        heard
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_counted_wherever_they_are_cut() {
        let text = b"event:lines\ndata:\"<li id=\\\"l1\\\"></li>\\n<li id=\\\"l2\\\"></li>\"\n\nevent:dropped\ndata:40\n\n";
        let whole = Events::default().read(text);
        assert_eq!((whole.lines, whole.dropped), (2, 40));
        let mut events = Events::default();
        let halves: u64 = text.chunks(70).map(|part| events.read(part).dropped).sum();
        assert_eq!(halves, 40);
    }
}
