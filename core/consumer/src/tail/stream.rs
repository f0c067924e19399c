//! One tail as its reader sees it: the backlog, then what arrives.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures_util::{Stream, stream};
use log_tracer_proto::v1::TailResponse;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::Registration;
use crate::{
    QueryConfig, TailConfig,
    hits::{AnyHit, HitList, Refused},
};

/// The state of one tail.
#[derive(Debug)]
pub(crate) struct TailStream {
    registration: Registration,
    /// What is sent next, oldest first: the backlog, then what was taken out of the queue.
    pending: VecDeque<Arc<AnyHit>>,
    dropped: u64,
    /// Whether `pending` is the backlog. It is said when all of it was sent, also of an empty one.
    sends_backlog: bool,
    piece_bytes_max: usize,
    answer_bytes_max: usize,
    alive: Duration,
    closing: CancellationToken,
}

impl TailStream {
    /// A tail that ends once `closing` is cancelled and what was queued by then is sent.
    pub(crate) fn new(
        registration: Registration,
        backlog: Option<Vec<AnyHit>>,
        tail: &TailConfig,
        query: &QueryConfig,
        closing: CancellationToken,
    ) -> Self {
        Self {
            registration,
            sends_backlog: backlog.is_some(),
            pending: backlog.into_iter().flatten().map(Arc::new).collect(),
            dropped: 0,
            piece_bytes_max: query.piece_bytes_max,
            answer_bytes_max: query.answer_bytes_max,
            alive: Duration::from_millis(tail.alive_ms),
            closing,
        }
    }

    pub(crate) fn into_stream(self) -> impl Stream<Item = Result<TailResponse, Status>> + Send {
        stream::unfold(self, |mut tail| async {
            let message = tail.next().await?;
            Some((Ok(message), tail))
        })
    }

    async fn next(&mut self) -> Option<TailResponse> {
        loop {
            if self.pending.is_empty() && !self.sends_backlog {
                let taken = self.registration.reader.queue.take(self.piece_bytes_max);
                self.dropped += taken.dropped;
                self.pending.extend(taken.hits);
            }
            // That there is no backlog is said as well.
            if !self.pending.is_empty() || self.dropped > 0 || self.sends_backlog {
                return Some(self.message());
            }
            if self.closing.is_cancelled() {
                return None;
            }
            tokio::select! {
                () = self.registration.reader.queue.arrived() => {}
                () = self.closing.cancelled() => {}
                () = tokio::time::sleep(self.alive) => return Some(TailResponse::default()),
            }
        }
    }

    /// The next piece of what is pending, and what was lost before it.
    fn message(&mut self) -> TailResponse {
        let mut hits = HitList::new(self.answer_bytes_max);
        while hits.bytes() < self.piece_bytes_max
            && let Some(hit) = self.pending.pop_front()
        {
            match hits.push(Arc::unwrap_or_clone(hit)) {
                Ok(()) => {}
                Err(Refused::Full(hit)) => {
                    self.pending.push_front(Arc::new(*hit));
                    break;
                }
                // No message can carry it: for this reader it is lost.
                Err(Refused::TooLarge) => self.dropped += 1,
            }
        }
        let backlog_done = self.sends_backlog && self.pending.is_empty();
        self.sends_backlog &= !backlog_done;
        let parts = hits.into_parts();
        TailResponse {
            hits: parts.logs,
            spans: parts.spans,
            resources: parts.resources,
            scopes: parts.scopes,
            dropped: std::mem::take(&mut self.dropped),
            backlog_done,
            ..TailResponse::default()
        }
    }
}
