//! gzip for text, piece by piece, so that a streamed download is compressed as it goes.

use std::{
    io::Write,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, HeaderValue, Response, header};
use http_body::{Body as _, Frame};
use http_body_util::BodyExt;

use super::{Body, BoxError};

/// Below this the head weighs more than what is saved.
const BODY_BYTES_MIN: u64 = 1024;

/// Fast, and within a few percent of the best on HTML.
const LEVEL: Compression = Compression::new(4);

/// Whether the client takes gzip (RFC 9110, section 12.5.3).
pub(super) fn accepted(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let refused = parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"));
            (name.eq_ignore_ascii_case("gzip") || name == "*") && !refused
        })
}

/// Compresses an answer that is worth it.
pub(super) fn compress(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers();
    let small = response
        .body()
        .size_hint()
        .exact()
        .is_some_and(|bytes| bytes < BODY_BYTES_MIN);
    if small || headers.contains_key(header::CONTENT_ENCODING) || !is_text(headers) {
        return response;
    }
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
    response.map(|body| {
        GzipBody {
            body,
            encoder: Some(GzEncoder::new(Vec::new(), LEVEL)),
        }
        .boxed()
    })
}

/// Event streams are left alone: an event must not wait in the encoder for the next one.
fn is_text(headers: &HeaderMap) -> bool {
    let Some(Ok(kind)) = headers
        .get(header::CONTENT_TYPE)
        .map(|value| value.to_str())
    else {
        return false;
    };
    [
        "text/html",
        "text/css",
        "text/javascript",
        "text/plain",
        "text/csv",
        "application/json",
        "application/x-ndjson",
        "application/openmetrics-text",
        "image/svg+xml",
    ]
    .iter()
    .any(|text| kind.starts_with(text))
}

/// A body in gzip; the encoder is gone once its trailer was written.
struct GzipBody {
    body: Body,
    encoder: Option<GzEncoder<Vec<u8>>>,
}

impl http_body::Body for GzipBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            if self.encoder.is_none() {
                return Poll::Ready(None);
            }
            let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
            let out = match frame {
                Some(Err(error)) => {
                    self.encoder = None;
                    return Poll::Ready(Some(Err(error)));
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.write(&data)?,
                    // Trailers: the pages have none.
                    Err(_) => continue,
                },
                None => match self.encoder.take() {
                    Some(encoder) => encoder.finish()?,
                    None => return Poll::Ready(None),
                },
            };
            if !out.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(Bytes::from(out)))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.encoder.is_none()
    }
}

impl GzipBody {
    /// Takes a piece in, and hands out what is finished so far; it may be nothing.
    fn write(&mut self, data: &[u8]) -> std::io::Result<Vec<u8>> {
        let Some(encoder) = &mut self.encoder else {
            return Ok(Vec::new());
        };
        encoder.write_all(data)?;
        Ok(std::mem::take(encoder.get_mut()))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use futures_util::stream;
    use http_body_util::StreamBody;

    use super::*;

    fn accepts(value: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::ACCEPT_ENCODING,
            HeaderValue::from_str(value).unwrap(),
        );
        accepted(&headers)
    }

    #[test]
    fn a_client_is_asked_before_it_gets_gzip() {
        assert!(accepts("gzip"));
        assert!(accepts("deflate, gzip;q=0.5, br"));
        assert!(accepts("*"));
        assert!(!accepts("br"));
        assert!(!accepts("gzip;q=0"));
        assert!(!accepted(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn a_body_in_pieces_comes_back_whole() {
        let pieces: Vec<Result<Frame<Bytes>, BoxError>> = (0..200)
            .map(|n| {
                Ok(Frame::data(Bytes::from(format!(
                    "piece {n} of the answer\n"
                ))))
            })
            .collect();
        let want: String = (0..200)
            .map(|n| format!("piece {n} of the answer\n"))
            .collect();
        let mut response = Response::new(StreamBody::new(stream::iter(pieces)).boxed());
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        let response = compress(response);
        assert_eq!(response.headers()[header::CONTENT_ENCODING], "gzip");
        let packed = response.into_body().collect().await.unwrap().to_bytes();
        assert!(packed.len() < want.len());
        let mut text = String::new();
        flate2::read::GzDecoder::new(&packed[..])
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, want);
    }

    #[tokio::test]
    async fn an_event_stream_is_left_alone() {
        let none: Vec<Result<Frame<Bytes>, BoxError>> = Vec::new();
        let mut response = Response::new(StreamBody::new(stream::iter(none)).boxed());
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/event-stream"),
        );
        assert!(
            compress(response)
                .headers()
                .get(header::CONTENT_ENCODING)
                .is_none()
        );
    }
}
