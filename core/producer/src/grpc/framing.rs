//! gRPC's messages on the wire: one byte that says whether a message is compressed, four with its length, the message.
//!
//! This is done here and not by a library because the memory budget comes first: a message is read only when there is
//! room for it, stays as it came until the pipeline decompresses it under the same limits as a request over HTTP, and
//! becomes the payload of an envelope without being copied.

use std::fmt::Display;

use bytes::{BufMut, Bytes};
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use http_body_util::StreamBody;
use hyper::body::{Body as HttpBody, Frame};
use tonic::{Status, body::Body};

use crate::{
    Encoding, Reason, Refusal,
    body::{BodyReader, Limits, Received},
};

pub(super) const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/grpc");
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const HEAD_BYTES: usize = 5;

/// What comes before a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) encoding: Encoding,
    pub(super) len: usize,
}

/// The messages of a request.
#[derive(Debug)]
pub(super) struct Messages<B> {
    reader: BodyReader<B>,
    /// How compressed messages are compressed.
    encoding: Encoding,
}

impl<B> Messages<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Display,
{
    /// Reads the headers of the request, which name the compression.
    pub(super) fn new(headers: &HeaderMap, body: B) -> Result<Self, Refusal> {
        let encoding = match headers.get("grpc-encoding") {
            Some(name) => Encoding::from_name(name.to_str().unwrap_or("?"))?,
            None => Encoding::Identity,
        };
        Ok(Self {
            reader: BodyReader::new(body),
            encoding,
        })
    }

    /// The head of the next message, or `None` at the end; waits as long as it takes.
    pub(super) async fn head(&mut self) -> Result<Option<Head>, Refusal> {
        let Some(head) = self.reader.read_head::<HEAD_BYTES>().await? else {
            return Ok(None);
        };
        let [flag, len @ ..] = head;
        let encoding = match flag {
            0 => Encoding::Identity,
            1 if self.encoding != Encoding::Identity => self.encoding,
            1 => {
                return Err(malformed(
                    "a message is compressed, but grpc-encoding does not say how",
                ));
            }
            _ => {
                return Err(malformed(
                    "a message does not start with 0 or 1: this is not gRPC",
                ));
            }
        };
        Ok(Some(Head {
            encoding,
            len: u32::from_be_bytes(len) as usize,
        }))
    }

    /// The message after a head.
    pub(super) async fn message(
        &mut self,
        head: Head,
        limits: Limits<'_>,
    ) -> Result<Received, Refusal> {
        if head.len > limits.bytes_max {
            return Err(crate::pipeline::too_large(limits.bytes_max));
        }
        self.reader.read_exact(head.len, limits).await
    }

    /// Passes over the message after a head.
    pub(super) async fn skip(&mut self, head: Head, limits: Limits<'_>) -> Result<(), Refusal> {
        self.reader.skip(head.len, limits.receive_within).await
    }
}

/// A message with its head, not compressed: replies are small.
pub(super) fn frame(message: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(HEAD_BYTES + message.len());
    frame.put_u8(0);
    // Responses are limited far below 4 GiB.
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.put_slice(message);
    frame.into()
}

/// A successful response with one message.
pub(super) fn unary(message: &[u8]) -> Response<Body> {
    let frames = [Frame::data(frame(message)), trailers(&Status::ok(""))];
    let frames = stream::iter(frames.map(Ok::<_, Status>));
    response(Body::new(StreamBody::new(frames)))
}

/// A response whose body gives its messages and trailers itself.
pub(super) fn response(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, CONTENT_TYPE);
    headers.insert(
        ACCEPT_ENCODING,
        HeaderValue::from_static(Encoding::ACCEPTED),
    );
    response
}

/// A response without a message: the status stands in its headers.
pub(super) fn error(status: Status) -> Response<Body> {
    let mut response = status.into_http();
    response.headers_mut().insert(
        ACCEPT_ENCODING,
        HeaderValue::from_static(Encoding::ACCEPTED),
    );
    response
}

/// The end of a stream.
pub(super) fn trailers(status: &Status) -> Frame<Bytes> {
    let mut trailers = HeaderMap::new();
    if status.add_header(&mut trailers).is_err() {
        // The message could not be a header.
        trailers.insert(STATUS, HeaderValue::from(i32::from(status.code())));
    }
    Frame::trailers(trailers)
}

fn malformed(message: &str) -> Refusal {
    Refusal::new(Reason::Malformed, message)
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, time::Duration};

    use tokio::time::Instant;

    use super::*;
    use crate::budget::Budget;

    fn body(
        chunks: &[&'static [u8]],
    ) -> impl HttpBody<Data = Bytes, Error = Infallible> + Unpin + use<> {
        let frames: Vec<_> = chunks
            .iter()
            .map(|chunk| Ok(Frame::data(Bytes::from_static(chunk))))
            .collect();
        StreamBody::new(stream::iter(frames))
    }

    fn limits(budget: &Budget) -> Limits<'_> {
        Limits {
            bytes_max: 1_000,
            pool: &budget.wire,
            memory_deadline: Instant::now() + Duration::from_secs(1),
            receive_within: Duration::from_secs(1),
        }
    }

    #[tokio::test]
    async fn messages_are_found_however_their_bytes_are_cut() {
        let budget = Budget::new(4_000, 1_000);
        let chunks: [&[u8]; 6] = [
            b"\0\0",
            b"\0\0\x03a",
            b"",
            b"bc\0\0\0\0",
            b"\0\0\0\0\0\x01",
            b"d",
        ];
        let mut messages = Messages::new(&HeaderMap::new(), body(&chunks)).unwrap();
        for expected in [&b"abc"[..], b"", b"d"] {
            let head = messages.head().await.unwrap().unwrap();
            let message = messages.message(head, limits(&budget)).await.unwrap();
            assert_eq!(message.bytes, expected);
        }
        assert_eq!(messages.head().await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_skipped_message_leaves_the_next_one_whole() {
        let budget = Budget::new(4_000, 1_000);
        let mut messages = Messages::new(
            &HeaderMap::new(),
            body(&[b"\0\0\0\0\x02ab\0", b"\0\0\0\x01c"]),
        )
        .unwrap();
        let head = messages.head().await.unwrap().unwrap();
        messages.skip(head, limits(&budget)).await.unwrap();
        let head = messages.head().await.unwrap().unwrap();
        let message = messages.message(head, limits(&budget)).await.unwrap();
        assert_eq!(message.bytes, "c");
    }

    #[tokio::test]
    async fn a_cut_head_and_a_foreign_flag_are_malformed() {
        for bytes in [&b"\0\0\0"[..], b"\x02\0\0\0\0", b"\x01\0\0\0\0"] {
            let mut messages = Messages::new(&HeaderMap::new(), body(&[bytes])).unwrap();
            let refusal = messages.head().await.unwrap_err();
            assert_eq!(refusal.reason, Reason::Malformed, "{bytes:?}");
        }
    }
}
