//! What a reader of one partition gets from the servers: a consumer of its own that starts at the reader's position, and
//! one request for messages after the other.
//!
//! The consumer is ephemeral, in the memory of one server, acknowledges nothing and is forgotten soon after nobody asks it
//! any more. It holds no state that matters: whenever something is odd (a gap, a lost connection, a server that is gone, a
//! new leader, silence) it is thrown away, and another one starts at the reader's position. A request asks for so many
//! messages and bytes, waits on the server for some to come, and is kept alive by heartbeats; what is asked for and not
//! taken is all that waits in memory.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use async_nats::{
    Client, Message, Subscriber,
    jetstream::consumer::{AckPolicy, DeliverPolicy, IntoConsumerConfig, ReplayPolicy, pull},
};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, future::BoxFuture};
use log_tracer_transport::{Offset, Partition};
use serde_json::{Value, json};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::{
    delivered::stream_sequence,
    error::Error,
    link::Life,
    shared::Shared,
    streams::{offset_of, sequence_of},
};

/// A consumer that nobody asks is forgotten after this.
const INACTIVE: Duration = Duration::from_secs(30);
/// A request waits on the server for so many heartbeats.
const HEARTBEATS_OF_A_REQUEST: u32 = 10;
/// So many heartbeats are missed before a consumer counts as gone.
const HEARTBEATS_MISSED_MAX: u32 = 3;
/// Beside the payload of a message: its headers, subjects and frame, as servers count them.
const MESSAGE_BYTES_MORE: usize = 4 << 10;
/// A new leader may not have taken in yet everything that was acknowledged before it was one.
const AHEAD_PATIENCE: Duration = Duration::from_secs(2);
const AHEAD_DELAY: Duration = Duration::from_millis(100);

/// How much is asked for at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ahead {
    pub(crate) bytes: usize,
    pub(crate) envelopes: usize,
}

/// What came.
#[derive(Debug)]
pub(crate) enum Came {
    /// A message that is one of the partition.
    Message { at: Offset, payload: Bytes },
    /// Something that makes this source useless.
    Useless(String),
}

/// A consumer on the servers, and what it was asked for.
pub(crate) struct Source {
    client: Client,
    lost: BoxFuture<'static, ()>,
    messages: Subscriber,
    inbox: String,
    next_subject: String,
    request: Bytes,
    ahead: Ahead,
    /// Messages that were asked for and have not come.
    wanted: usize,
    asking: Option<BoxFuture<'static, Result<(), async_nats::PublishError>>>,
    heartbeat: Duration,
    silence: Pin<Box<Sleep>>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source")
            .field("inbox", &self.inbox)
            .field("wanted", &self.wanted)
            .finish_non_exhaustive()
    }
}

impl Source {
    /// Makes a consumer that starts at `from`, after checking that this is a place in the log.
    pub(crate) async fn open(
        shared: Arc<Shared>,
        partition: Partition,
        from: Offset,
        partitions: usize,
    ) -> Result<Self, Error> {
        let life = shared.link.life(shared.request_deadline()).await?;
        let stream = shared.names.stream(partition);
        let inbox = life.client.new_inbox();
        let messages = life.client.subscribe(inbox.clone()).await;
        let doing = format!("reading stream {stream}");
        let messages = messages.map_err(|source| Error::unanswered(&doing, source))?;
        let name = format!("log-tracer-{:016x}", rand::random::<u64>());
        let wanted = json!({
            "stream_name": stream,
            "config": consumer(&name, from).into_consumer_config(),
        });
        let subject = shared
            .names
            .api(&format!("CONSUMER.CREATE.{stream}.{name}"));
        let _: Value = life.ask(&doing, subject, &wanted).await?;
        // After the consumer was made: what leaves from now on shows as a gap.
        check_place(&shared, &life, partition, from).await?;

        let config = &shared.config;
        let ahead = Ahead {
            // The server ends a request at the first message that is larger than what is left of it.
            bytes: (config.read_ahead_bytes_max / partitions.max(1))
                .max(life.client.max_payload().saturating_add(MESSAGE_BYTES_MORE)),
            envelopes: config.read_ahead_envelopes_max,
        };
        let heartbeat = config.ping_interval();
        let request = json!({
            "batch": ahead.envelopes,
            "max_bytes": ahead.bytes,
            "expires": nanos(heartbeat * HEARTBEATS_OF_A_REQUEST),
            "idle_heartbeat": nanos(heartbeat),
        });
        let mut source = Self {
            lost: life.lost.clone().cancelled_owned().boxed(),
            client: life.client,
            messages,
            inbox,
            next_subject: shared
                .names
                .api(&format!("CONSUMER.MSG.NEXT.{stream}.{name}")),
            request: Bytes::from(request.to_string()),
            ahead,
            wanted: 0,
            asking: None,
            heartbeat,
            silence: Box::pin(sleep(Duration::MAX)),
        };
        // At once, so that messages are on their way before the reader asks for them.
        source.ask();
        if let Some(asking) = source.asking.take() {
            asking
                .await
                .map_err(|source| Error::unanswered(doing, source))?;
        }
        Ok(source)
    }

    /// What has come.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Came> {
        loop {
            if let Poll::Ready(Err(error)) = self.poll_asking(cx) {
                return Poll::Ready(Came::Useless(error.to_string()));
            }
            match self.messages.poll_next_unpin(cx) {
                Poll::Ready(Some(message)) => {
                    let until = Instant::now() + self.heartbeat * HEARTBEATS_MISSED_MAX;
                    self.silence.as_mut().reset(until);
                    if let Some(came) = self.take(message) {
                        // The next request goes out before the last message of this one is handed out.
                        let _ = self.poll_asking(cx);
                        return Poll::Ready(came);
                    }
                }
                Poll::Ready(None) => {
                    return Poll::Ready(Came::Useless("the connection ended".into()));
                }
                Poll::Pending => break,
            }
        }
        // Only now: what has come before the end is good.
        if self.lost.poll_unpin(cx).is_ready() {
            return Poll::Ready(Came::Useless("the connection was lost".into()));
        }
        if self.silence.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Came::Useless("the server has fallen silent".into()));
        }
        Poll::Pending
    }

    fn poll_asking(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), async_nats::PublishError>> {
        let Some(asking) = &mut self.asking else {
            return Poll::Ready(Ok(()));
        };
        let asked = asking.poll_unpin(cx);
        if let Poll::Ready(Ok(())) = asked {
            self.asking = None;
        }
        asked
    }

    /// Asks for the next messages.
    fn ask(&mut self) {
        let client = self.client.clone();
        let (subject, inbox) = (self.next_subject.clone(), self.inbox.clone());
        let request = self.request.clone();
        self.wanted = self.ahead.envelopes;
        self.silence = Box::pin(sleep_until(
            Instant::now() + self.heartbeat * HEARTBEATS_MISSED_MAX,
        ));
        self.asking =
            Some(async move { client.publish_with_reply(subject, inbox, request).await }.boxed());
    }

    /// What a message is; `None` for one that only keeps the source going.
    fn take(&mut self, message: Message) -> Option<Came> {
        match message.status.map(|status| status.as_u16()) {
            None => {
                let sequence = message.reply.as_deref().and_then(stream_sequence);
                let Some(sequence) = sequence else {
                    return Some(Came::Useless("a message without its place".into()));
                };
                self.wanted = self.wanted.saturating_sub(1);
                if self.wanted == 0 {
                    self.ask();
                }
                Some(Came::Message {
                    at: offset_of(sequence),
                    payload: message.payload,
                })
            }
            // A heartbeat.
            Some(100) => None,
            // The end of a request whose time is over.
            Some(404 | 408) => {
                self.ask();
                None
            }
            Some(409) => {
                let why = message.description.unwrap_or_default();
                // The next message is larger than what is left of the request, or nothing is left of it.
                if why.contains("MaxBytes") || why.contains("Batch Completed") {
                    self.ask();
                    return None;
                }
                Some(Came::Useless(why))
            }
            Some(other) => {
                let why = message.description.unwrap_or_default();
                Some(Came::Useless(format!("status {other} {why}")))
            }
        }
    }
}

fn consumer(name: &str, from: Offset) -> pull::Config {
    pull::Config {
        name: Some(name.to_owned()),
        description: Some("log-tracer: a reader".into()),
        deliver_policy: DeliverPolicy::ByStartSequence {
            start_sequence: sequence_of(from),
        },
        ack_policy: AckPolicy::None,
        replay_policy: ReplayPolicy::Instant,
        inactive_threshold: INACTIVE,
        num_replicas: 1,
        memory_storage: true,
        ..pull::Config::default()
    }
}

/// Refuses an offset that is no longer kept, or not there yet.
async fn check_place(
    shared: &Shared,
    life: &Life,
    partition: Partition,
    wanted: Offset,
) -> Result<(), Error> {
    let patience = match shared.config.replicas {
        1 => Duration::ZERO,
        _ => AHEAD_PATIENCE,
    };
    let give_up = Instant::now() + patience;
    loop {
        let state = shared.look(life, partition).await?;
        if wanted < state.start() {
            return Err(Error::Evicted {
                partition,
                wanted,
                first: state.start(),
            });
        }
        if wanted <= state.end() {
            return Ok(());
        }
        if Instant::now() >= give_up {
            return Err(Error::Ahead {
                partition,
                wanted,
                end: state.end(),
            });
        }
        sleep(AHEAD_DELAY).await;
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
