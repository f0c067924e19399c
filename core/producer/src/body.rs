//! Bodies of requests, read under a limit, a deadline and the memory budget.

use std::{fmt::Display, time::Duration};

use bytes::{Buf, Bytes};
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::time::{Instant, timeout_at};

use crate::{
    Reason, Refusal,
    budget::{Memory, Pool, Reservation, grow},
    pipeline::too_large,
};

/// What a body that does not say its length takes at first.
const UNKNOWN_LENGTH_BYTES: usize = 1 << 20;

/// The bytes of a body or of a message in it, and the memory that they take.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) bytes: Bytes,
    pub(crate) memory: Reservation,
}

/// How a body is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits<'a> {
    pub(crate) bytes_max: usize,
    pub(crate) pool: &'a Pool,
    /// Until when to wait for memory.
    pub(crate) memory_deadline: Instant,
    /// How long the bytes may take, once there is memory for them.
    pub(crate) receive_within: Duration,
}

/// A body as a stream of bytes.
#[derive(Debug)]
pub(crate) struct BodyReader<B> {
    body: B,
    /// What has come and is not taken yet.
    rest: Bytes,
}

impl<B> BodyReader<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Display,
{
    pub(crate) fn new(body: B) -> Self {
        Self {
            body,
            rest: Bytes::new(),
        }
    }

    /// Reads to the end.
    pub(crate) async fn read_all(&mut self, limits: Limits<'_>) -> Result<Received, Refusal> {
        let declared = self.body.size_hint().exact();
        let declared = declared.map(|len| usize::try_from(len).unwrap_or(usize::MAX));
        if declared.is_some_and(|len| len > limits.bytes_max) {
            return Err(too_large(limits.bytes_max));
        }
        let first = declared
            .unwrap_or(UNKNOWN_LENGTH_BYTES)
            .min(limits.bytes_max);
        let mut memory = limits.pool.take(first, limits.memory_deadline).await?;
        let deadline = Instant::now() + limits.receive_within;
        let mut bytes = Vec::with_capacity(first);
        while let Some(chunk) = self.chunk(deadline).await? {
            let len = bytes.len().saturating_add(chunk.len());
            if len > limits.bytes_max {
                return Err(too_large(limits.bytes_max));
            }
            grow(&mut memory, &mut bytes, len, limits.bytes_max)?;
            bytes.extend_from_slice(&chunk);
        }
        received(bytes, memory)
    }

    /// Reads exactly `len` bytes, which are within the limit.
    pub(crate) async fn read_exact(
        &mut self,
        len: usize,
        limits: Limits<'_>,
    ) -> Result<Received, Refusal> {
        let memory = limits.pool.take(len, limits.memory_deadline).await?;
        let deadline = Instant::now() + limits.receive_within;
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            let Some(mut chunk) = self.chunk(deadline).await? else {
                return Err(ended_early(bytes.len(), len));
            };
            let wanted = chunk.split_to(chunk.len().min(len - bytes.len()));
            bytes.extend_from_slice(&wanted);
            self.rest = chunk;
        }
        received(bytes, memory)
    }

    /// Reads a few bytes that always come together, or nothing at the end. Waits as long as it takes.
    pub(crate) async fn read_head<const N: usize>(&mut self) -> Result<Option<[u8; N]>, Refusal> {
        let mut head = [0; N];
        let mut filled = 0;
        while let Some(free) = head.get_mut(filled..).filter(|free| !free.is_empty()) {
            let Some(mut chunk) = self.next().await? else {
                return match filled {
                    0 => Ok(None),
                    _ => Err(ended_early(filled, N)),
                };
            };
            let len = chunk.len().min(free.len());
            chunk.copy_to_slice(free.get_mut(..len).unwrap_or_default());
            filled += len;
            self.rest = chunk;
        }
        Ok(Some(head))
    }

    /// Passes over bytes without keeping them.
    pub(crate) async fn skip(&mut self, len: usize, within: Duration) -> Result<(), Refusal> {
        let deadline = Instant::now() + within;
        let mut left = len;
        while left > 0 {
            let Some(mut chunk) = self.chunk(deadline).await? else {
                return Err(ended_early(len - left, len));
            };
            let skipped = chunk.len().min(left);
            chunk.advance(skipped);
            left -= skipped;
            self.rest = chunk;
        }
        Ok(())
    }

    /// Reads on and keeps nothing, so that a sender who only listens once it has sent everything hears the answer. Gives
    /// up at the limits; then the connection is closed.
    pub(crate) async fn discard(&mut self, bytes_max: usize, within: Duration) {
        let deadline = Instant::now() + within;
        let mut left = bytes_max;
        while let Ok(Some(chunk)) = self.chunk(deadline).await {
            match left.checked_sub(chunk.len()) {
                Some(less) => left = less,
                None => return,
            }
        }
    }

    async fn chunk(&mut self, deadline: Instant) -> Result<Option<Bytes>, Refusal> {
        timeout_at(deadline, self.next()).await.unwrap_or_else(|_| {
            let message = "the request did not arrive in time";
            Err(Refusal::new(Reason::SlowBody, message))
        })
    }

    /// The next bytes, at least one, or `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        if !self.rest.is_empty() {
            return Ok(Some(std::mem::take(&mut self.rest)));
        }
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|error| {
                let message = format!("the body ended with an error: {error}");
                Refusal::new(Reason::Disconnected, message)
            })?;
            // Trailers are of no interest.
            if let Ok(data) = frame.into_data()
                && !data.is_empty()
            {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }
}

fn received(bytes: Vec<u8>, mut memory: Reservation) -> Result<Received, Refusal> {
    // Never more than is held, so that this does not fail.
    memory.resize(bytes.capacity().min(memory.bytes()))?;
    Ok(Received {
        bytes: bytes.into(),
        memory,
    })
}

fn ended_early(have: usize, need: usize) -> Refusal {
    let message = format!("the body ended after {have} of {need} bytes");
    Refusal::new(Reason::Malformed, message)
}
