//! One partition of a subscription: what was taken from its source, and what is to be delivered next.

use std::{
    fmt, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};
use log_tracer_transport::{Delivery, Envelope, Offset, Partition, ReadOptions};
use tokio::time::{Instant, Sleep, sleep};

use crate::{
    error::Error,
    shared::Shared,
    source::{Came, Source},
};

/// An envelope that is missing or damaged is read again so often before it is called that.
const READS_MAX: u32 = 3;
/// Before a new source is made after the last one was no good.
const REOPEN_DELAY: Duration = Duration::from_millis(50);
const REOPEN_DELAY_MAX: Duration = Duration::from_secs(1);

pub(crate) struct Reader {
    shared: Arc<Shared>,
    partition: Partition,
    /// How many partitions share what may be read ahead.
    partitions: usize,
    options: ReadOptions,
    /// The offset of the next message that comes: after everything that was taken.
    expected: Offset,
    state: State,
    /// What is delivered next.
    items: Vec<(Offset, Envelope)>,
    bytes: usize,
    /// Taken, and too much for what is delivered next.
    held: Option<(Offset, Envelope)>,
    gathering: Option<Pin<Box<Sleep>>>,
    /// How often what is expected did not come or was not right.
    reads: u32,
    /// Since when no source can be made.
    trouble_since: Option<Instant>,
    delay: Duration,
}

enum State {
    Idle,
    Pausing(Pin<Box<Sleep>>),
    Opening(BoxFuture<'static, Result<Source, Error>>),
    Reading(Box<Source>),
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("partition", &self.partition)
            .field("expected", &self.expected)
            .field("items", &self.items.len())
            .finish_non_exhaustive()
    }
}

impl Reader {
    pub(crate) fn new(
        shared: Arc<Shared>,
        partition: Partition,
        next: Offset,
        partitions: usize,
        options: ReadOptions,
    ) -> Self {
        Self {
            shared,
            partition,
            partitions,
            options,
            expected: next,
            state: State::Idle,
            items: Vec::new(),
            bytes: 0,
            held: None,
            gathering: None,
            reads: 0,
            trouble_since: None,
            delay: REOPEN_DELAY,
        }
    }

    /// Makes the first source, so that a position that cannot be read is an error of the subscription.
    pub(crate) async fn open(&mut self) -> Result<(), Error> {
        let source = self.source().await?;
        self.state = State::Reading(Box::new(source));
        Ok(())
    }

    /// The next delivery of this partition.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Delivery, Error>> {
        loop {
            // What was taken is good, whatever became of where it came from.
            if self.is_full() || !matches!(self.state, State::Reading(_)) && !self.items.is_empty()
            {
                return Poll::Ready(Ok(self.deliver()));
            }
            match &mut self.state {
                State::Idle => self.state = State::Opening(self.source()),
                State::Pausing(pause) => {
                    std::task::ready!(pause.as_mut().poll(cx));
                    self.state = State::Idle;
                }
                State::Opening(opening) => match std::task::ready!(opening.poll_unpin(cx)) {
                    Ok(source) => {
                        self.trouble_since = None;
                        self.state = State::Reading(Box::new(source));
                    }
                    Err(error) => self.not_opened(error)?,
                },
                State::Reading(source) => match source.poll(cx) {
                    Poll::Ready(Came::Message { at, payload }) => self.take(at, payload)?,
                    Poll::Ready(Came::Useless(why)) => self.reopen(&why),
                    Poll::Pending if self.is_overtaken() => self.reopen("it was overtaken"),
                    Poll::Pending => return self.deliver_what_is_there(cx),
                },
            }
        }
    }

    fn source(&self) -> BoxFuture<'static, Result<Source, Error>> {
        let shared = Arc::clone(&self.shared);
        Source::open(shared, self.partition, self.expected, self.partitions).boxed()
    }

    /// Tries again a while before the caller hears of it.
    fn not_opened(&mut self, error: Error) -> Result<(), Error> {
        self.state = State::Idle;
        if let Some(why) = self.shared.failed.get() {
            return Err(Error::Failed(why.clone()));
        }
        if !error.is_transient() {
            return Err(error);
        }
        self.pause();
        let since = *self.trouble_since.get_or_insert_with(Instant::now);
        if since.elapsed() < self.shared.config.request_timeout() {
            log::debug!("partition {}: reading: {error}", self.partition.0);
            return Ok(());
        }
        self.trouble_since = None;
        Err(error)
    }

    fn reopen(&mut self, why: &str) {
        log::debug!(
            "partition {}: reading again from offset {}: {why}",
            self.partition.0,
            self.expected.0
        );
        self.pause();
    }

    fn pause(&mut self) {
        self.state = State::Pausing(Box::pin(sleep(self.delay)));
        self.delay = (self.delay * 2).min(REOPEN_DELAY_MAX);
    }

    /// Whether what it waits for has left, according to the last look at the stream.
    fn is_overtaken(&self) -> bool {
        self.shared.known_start(self.partition) > self.expected
    }

    fn take(&mut self, at: Offset, payload: Bytes) -> Result<(), Error> {
        if at < self.expected {
            // A source may start before where it was told to.
            return Ok(());
        }
        if at > self.expected {
            let reason = format!("offset {} stands where it was expected", at.0);
            return self.read_again(reason);
        }
        let envelope = match Envelope::decode(self.partition, payload) {
            Ok(envelope) => envelope,
            Err(error) => return self.read_again(error.to_string()),
        };
        self.reads = 0;
        self.delay = REOPEN_DELAY;
        self.expected = Offset(at.0 + 1);
        self.shared.seen_end(self.partition, self.expected);
        let after = self.bytes.saturating_add(envelope.encoded_len());
        if !self.items.is_empty() && after > self.options.delivery_bytes_max {
            self.held = Some((at, envelope));
            return Ok(());
        }
        self.bytes = after;
        self.items.push((at, envelope));
        Ok(())
    }

    /// Reads what is expected once more, in case it was lost on the way; a new source finds out whether it was evicted.
    fn read_again(&mut self, reason: String) -> Result<(), Error> {
        self.reads += 1;
        self.reopen(&reason);
        if self.reads < READS_MAX {
            return Ok(());
        }
        self.reads = 0;
        self.state = State::Idle;
        Err(Error::Corrupt {
            partition: self.partition,
            at: self.expected,
            reason,
        })
    }

    fn is_full(&self) -> bool {
        self.held.is_some()
            || self.items.len() >= self.options.delivery_envelopes_max
            || self.bytes >= self.options.delivery_bytes_max && !self.items.is_empty()
    }

    /// Nothing more is there at the moment.
    fn deliver_what_is_there(&mut self, cx: &mut Context<'_>) -> Poll<Result<Delivery, Error>> {
        if self.items.is_empty() {
            return Poll::Pending;
        }
        if !self.options.linger.is_zero() {
            let linger = self.options.linger;
            let gathering = self
                .gathering
                .get_or_insert_with(|| Box::pin(sleep(linger)));
            std::task::ready!(gathering.as_mut().poll(cx));
        }
        Poll::Ready(Ok(self.deliver()))
    }

    fn deliver(&mut self) -> Delivery {
        self.gathering = None;
        let items = mem::take(&mut self.items);
        self.bytes = 0;
        if let Some((at, envelope)) = self.held.take() {
            self.bytes = envelope.encoded_len();
            self.items.push((at, envelope));
        }
        let next = items
            .last()
            .map_or(self.expected, |(at, _)| Offset(at.0 + 1));
        Delivery {
            partition: self.partition,
            items,
            next,
        }
    }
}
