//! Bodies of requests, read within a limit and a deadline.

use std::{fmt::Display, time::Duration};

use bytes::Buf;
use futures_util::{Stream, StreamExt};

use crate::{fault::Fault, units};

/// Reads a body whole.
pub(crate) async fn read<B: Buf, E: Display>(
    body: impl Stream<Item = Result<B, E>>,
    bytes_max: usize,
    deadline: Duration,
) -> Result<Vec<u8>, Fault> {
    let read = async {
        let mut body = std::pin::pin!(body);
        let mut whole = Vec::new();
        while let Some(piece) = body.next().await {
            let mut piece =
                piece.map_err(|error| Fault::input(format!("the body cannot be read: {error}")))?;
            if piece.remaining() > bytes_max - whole.len() {
                return Err(Fault::large(format!(
                    "more than {} are not taken",
                    units::bytes(bytes_max as u64)
                )));
            }
            while piece.has_remaining() {
                let chunk = piece.chunk();
                whole.extend_from_slice(chunk);
                let length = chunk.len();
                piece.advance(length);
            }
        }
        Ok(whole)
    };
    match tokio::time::timeout(deadline, read).await {
        Ok(whole) => whole,
        Err(_) => Err(Fault::slow("the body did not arrive within the deadline")),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;
    use http::StatusCode;

    use super::*;

    async fn of(pieces: &[&'static [u8]], bytes_max: usize) -> Result<Vec<u8>, Fault> {
        let pieces: Vec<Result<&[u8], Infallible>> =
            pieces.iter().map(|piece| Ok(*piece)).collect();
        read(stream::iter(pieces), bytes_max, Duration::from_secs(1)).await
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit_and_no_further() {
        assert_eq!(of(&[b"ab", b"", b"cd"], 4).await.unwrap(), b"abcd");
        let fault = of(&[b"ab", b"cde"], 4).await.unwrap_err();
        assert_eq!(fault.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[tokio::test]
    async fn a_body_that_does_not_end_is_given_up() {
        let never = stream::pending::<Result<&[u8], Infallible>>();
        let fault = read(never, 4, Duration::from_millis(20)).await.unwrap_err();
        assert_eq!(fault.status(), StatusCode::GATEWAY_TIMEOUT);
    }
}
