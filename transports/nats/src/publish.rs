//! Publishing: many envelopes on their way at once, and never one of them stored before the one that it comes after.
//!
//! # Order
//!
//! The envelopes of a call that go to one partition are a *chain*. The first of a chain that is not acknowledged yet, its
//! head, is sent as it is. Each one behind it names the message id of the one before it as the last message that the
//! stream must have (`Nats-Expected-Last-Msg-Id`), and the server refuses it otherwise. So it does not matter what is
//! lost on the way, or arrives late from a connection that is gone, or meets another leader: an envelope is only ever
//! stored directly after the one before it. What was refused is sent again from the first one that was not acknowledged
//! on. Ids that the server has stored already are acknowledged and not stored again, so that sending again is safe.
//!
//! When others publish to the same partition they get in between, and the rest of a chain is refused. The head has no
//! condition and always gets through, so that this costs round trips and never ends; a chain that was refused sends less
//! ahead. Chains of one envelope, which are nearly all in a running system, have no condition at all, and calls at the
//! same time go side by side: nobody is promised an order among them.
//!
//! # What an error means
//!
//! A refusal by the server, or the lack of anybody who listens, stores nothing. An answer that does not come, or a
//! connection that is lost with something on its way, leaves a doubt, and then the call can end only as stored or as
//! unknown. It is in doubt only what it must: it tries again with the same ids until its deadline.

use std::{collections::BTreeMap, time::Duration};

use async_nats::{
    HeaderMap, RequestError,
    client::{Request, RequestErrorKind},
    header::{NATS_EXPECTED_LAST_MESSAGE_ID, NATS_MESSAGE_ID},
    jetstream::{ErrorCode, publish::PublishAck},
};
use futures_util::{StreamExt, future::join_all, stream::FuturesOrdered};
use log_tracer_transport::{Acked, Envelope, Partition};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::{
    error::Error,
    link::{Life, reached_nobody, understand},
    names::message_id,
    queue::Sent,
    shared::{Phase, Shared},
    streams::offset_of,
};

/// Envelopes of one chain on their way at most.
const WIDTH_MAX: usize = 256;
const RETRY_DELAY_MIN: Duration = Duration::from_millis(10);
const RETRY_DELAY_MAX: Duration = Duration::from_millis(500);
/// What a message costs in a stream beside its subject, headers and payload: lengths, sequence, time and checksum.
const STORED_BYTES: usize = 34;
/// Of the text around a message id in its headers.
const HEADER_LINE_BYTES: usize = 29;
/// The same id is on its way to be stored.
const DUPLICATE_IN_PROCESS: ErrorCode = ErrorCode(10158);

/// Stores envelopes, and gives their acks in the order of the input.
pub(crate) async fn publish(
    shared: &Shared,
    batch: Vec<Envelope>,
    deadline: Instant,
) -> Result<Vec<Acked>, Error> {
    let bytes = batch.iter().map(Envelope::encoded_len).sum();
    let _entered = shared.queue.enter(bytes)?;
    // After entering, so that closing either sees it or is seen.
    shared.usable()?;
    let mut chains = BTreeMap::new();
    for (index, envelope) in batch.into_iter().enumerate() {
        let partition = envelope.partition;
        let chain = chains
            .entry(partition)
            .or_insert_with(|| Chain::new(shared, partition, deadline));
        chain.indices.push(index);
        chain.envelopes.push(envelope);
    }
    let mut chains: Vec<Chain<'_>> = chains.into_values().collect();
    let outcomes = join_all(chains.iter_mut().map(Chain::run)).await;
    match outcomes.into_iter().find_map(Result::err) {
        None => {
            let mut acks: Vec<_> = chains.into_iter().flat_map(Chain::into_acks).collect();
            acks.sort_by_key(|(index, _)| *index);
            Ok(acks.into_iter().map(|(_, ack)| ack).collect())
        }
        // Nothing was stored only if nothing was in any partition.
        Some(error @ (Error::Failed(_) | Error::OutcomeUnknown(_))) => Err(error),
        Some(error) if chains.iter().any(Chain::is_in_doubt) => {
            Err(Error::OutcomeUnknown(error.to_string()))
        }
        Some(error) => Err(error),
    }
}

/// The envelopes of a call that go to one partition.
struct Chain<'a> {
    shared: &'a Shared,
    partition: Partition,
    subject: String,
    deadline: Instant,
    /// Where each stands in the call.
    indices: Vec<usize>,
    envelopes: Vec<Envelope>,
    acked: Vec<Acked>,
    /// Something was sent, and nobody knows what became of it.
    lost: bool,
    /// Why the server had no room, the last time it said so.
    full: Option<String>,
    /// How many are sent ahead of the first ack.
    width: usize,
    delay: Duration,
}

/// Why a chain stopped before its end.
enum Setback {
    /// What was sent may be stored or not.
    Lost(Error),
    /// Nothing was stored, and a moment later it may be.
    Refused(Error),
    /// Another publisher came in between; nothing was stored.
    Interleaved,
    /// Nothing was stored for want of room.
    Full(Error),
    /// There is no use in going on.
    Final(Error),
}

impl<'a> Chain<'a> {
    fn new(shared: &'a Shared, partition: Partition, deadline: Instant) -> Self {
        Self {
            shared,
            partition,
            subject: shared.names.subject(partition),
            deadline,
            indices: Vec::new(),
            envelopes: Vec::new(),
            acked: Vec::new(),
            lost: false,
            full: None,
            width: WIDTH_MAX,
            delay: RETRY_DELAY_MIN,
        }
    }

    fn into_acks(self) -> impl Iterator<Item = (usize, Acked)> {
        self.indices.into_iter().zip(self.acked)
    }

    fn is_in_doubt(&self) -> bool {
        self.lost || !self.acked.is_empty()
    }

    async fn run(&mut self) -> Result<(), Error> {
        while self.acked.len() < self.envelopes.len() {
            let before = self.acked.len();
            let Err(setback) = self.attempt().await else {
                return Ok(());
            };
            if self.acked.len() > before {
                self.delay = RETRY_DELAY_MIN;
            }
            match setback {
                Setback::Final(error) => return Err(self.ended_by(error)),
                Setback::Interleaved => self.width = (self.width / 2).max(1),
                Setback::Full(error) => self.wait_for_room(error).await?,
                Setback::Refused(error) => self.pause(&error).await?,
                Setback::Lost(error) => {
                    self.lost = true;
                    self.pause(&error).await?;
                }
            }
        }
        Ok(())
    }

    /// Sends what is not acknowledged yet, as far ahead as it may, and takes the acks in.
    async fn attempt(&mut self) -> Result<(), Setback> {
        let shared = self.shared;
        let life = tokio::select! {
            biased;
            error = self.no_use() => return Err(Setback::Final(error)),
            life = shared.link.life(self.deadline) => life.map_err(Setback::Final)?,
        };
        let mut on_the_way = FuturesOrdered::new();
        let mut next = self.acked.len();
        loop {
            while on_the_way.len() < self.width {
                let Some(envelope) = self.envelopes.get(next) else {
                    break;
                };
                let bytes = envelope.encoded_len();
                let is_head = on_the_way.is_empty();
                let permit = match is_head {
                    true => Some(self.permit(bytes).await?),
                    false => shared.queue.try_send(bytes),
                };
                let Some(permit) = permit else {
                    break;
                };
                let before = match is_head {
                    true => None,
                    false => next.checked_sub(1).and_then(|at| self.envelopes.get(at)),
                };
                let headers = headers(envelope, before);
                on_the_way.push_back(send(&life, &self.subject, headers, envelope, permit));
                next += 1;
            }
            if on_the_way.is_empty() {
                return Ok(());
            }
            let answer = tokio::select! {
                biased;
                Some(answer) = on_the_way.next() => answer,
                () = life.lost.cancelled() => {
                    let doing = "publishing".to_owned();
                    return Err(Setback::Lost(Error::Lost { doing }));
                }
                () = sleep_until(self.deadline) => {
                    self.lost = true;
                    return Err(Setback::Final(Error::NoRoom));
                }
                () = shared.closed.cancelled() => {
                    self.lost = true;
                    return Err(Setback::Final(Error::Closed));
                }
            };
            self.take(answer)?;
        }
    }

    /// Takes the answer to the first that was not acknowledged.
    fn take(&mut self, answer: Result<PublishAck, Setback>) -> Result<(), Setback> {
        let ack = answer?;
        let Some(envelope) = self.envelopes.get(self.acked.len()) else {
            return Ok(());
        };
        let offset = offset_of(ack.sequence);
        let id_bytes = message_id(envelope).len() + HEADER_LINE_BYTES;
        let stored = STORED_BYTES + self.subject.len() + id_bytes + envelope.encoded_len();
        let bytes = match ack.duplicate {
            true => 0,
            false => stored as u64,
        };
        self.shared.acked(self.partition, offset, bytes);
        self.full = None;
        self.width = (self.width + 1).min(WIDTH_MAX);
        self.acked.push(Acked {
            partition: self.partition,
            offset,
            duplicate: ack.duplicate,
        });
        Ok(())
    }

    async fn permit(&self, bytes: usize) -> Result<Sent, Setback> {
        let sent = tokio::select! {
            biased;
            error = self.no_use() => return Err(Setback::Final(error)),
            sent = timeout_at(self.deadline, self.shared.queue.send(bytes)) => sent,
        };
        match sent {
            Ok(Some(sent)) => Ok(sent),
            Ok(None) => Err(Setback::Final(Error::Closed)),
            Err(_) => Err(Setback::Final(Error::NoRoom)),
        }
    }

    /// Waits a moment before the next attempt.
    async fn pause(&mut self, why: &Error) -> Result<(), Error> {
        log::debug!("partition {}: sending again: {why}", self.partition.0);
        let delay = self.delay;
        self.delay = (self.delay * 2).min(RETRY_DELAY_MAX);
        self.wait(sleep(delay)).await
    }

    /// Makes room or waits for some.
    async fn wait_for_room(&mut self, why: Error) -> Result<(), Error> {
        let shared = self.shared;
        let partition = self.partition;
        let text = format!(
            "partition {} has no room: {why}; it has again once every group has committed more, or after raising retained_bytes_max and `nats stream edit {} --max-bytes`",
            partition.0,
            shared.names.stream(partition)
        );
        shared.mark_full(partition, text.clone());
        self.full = Some(text);
        let mut room = shared.room.subscribe();
        let making = async {
            let life = shared.link.life(self.deadline).await?;
            shared.make_room(&life, partition).await
        };
        let mut made = false;
        self.wait(async {
            match making.await {
                Ok(room) => made = room,
                Err(error) => log::debug!("partition {}: making room: {error}", partition.0),
            }
        })
        .await?;
        if made {
            return Ok(());
        }
        let delay = self.delay;
        self.delay = (self.delay * 2).min(RETRY_DELAY_MAX);
        self.wait(async {
            // The sender is ours. Others may make room, too, and do not tell.
            tokio::select! {
                _ = room.changed() => {}
                () = sleep(delay) => {}
            }
        })
        .await
    }

    /// Waits for that, but not beyond the deadline or the end of the log.
    async fn wait(&self, until: impl Future<Output = ()>) -> Result<(), Error> {
        tokio::select! {
            biased;
            error = self.no_use() => Err(self.ended_by(error)),
            waited = timeout_at(self.deadline, until) => {
                waited.map_err(|_| self.ended_by(Error::NoRoom))
            }
        }
    }

    /// Returns once going on is no use: the log ends, or has failed. What may be stored is finished while it ends.
    async fn no_use(&self) -> Error {
        let end = match self.is_in_doubt() {
            true => Phase::Closed,
            false => Phase::Closing,
        };
        let mut phase = self.shared.phase.subscribe();
        // The sender is ours.
        let _ = phase.wait_for(|phase| *phase >= end).await;
        Error::Closed
    }

    /// How a call ends that this has stopped.
    fn ended_by(&self, error: Error) -> Error {
        if let Some(why) = self.shared.failed.get() {
            return Error::Failed(why.clone());
        }
        if self.is_in_doubt() {
            return Error::OutcomeUnknown(format!(
                "partition {}: {} of {} envelopes are acknowledged: {error}",
                self.partition.0,
                self.acked.len(),
                self.envelopes.len()
            ));
        }
        match (error, &self.full) {
            (Error::NoRoom, Some(why)) => Error::Full(why.clone()),
            // Nothing was sent: it waits for a connection as it waits for room.
            (Error::NotConnected(_), _) => Error::NoRoom,
            (error, _) => error,
        }
    }
}

fn headers(envelope: &Envelope, before: Option<&Envelope>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(NATS_MESSAGE_ID, message_id(envelope));
    if let Some(before) = before {
        headers.insert(NATS_EXPECTED_LAST_MESSAGE_ID, message_id(before));
    }
    headers
}

/// Sends one envelope when it is first polled, and comes to its answer.
fn send(
    life: &Life,
    subject: &str,
    headers: HeaderMap,
    envelope: &Envelope,
    permit: Sent,
) -> impl Future<Output = Result<PublishAck, Setback>> + use<> {
    let (client, subject) = (life.client.clone(), subject.to_owned());
    let bytes = envelope.encoded_len();
    let max = life.envelope_bytes_max();
    let request = Request::new().headers(headers).payload(envelope.encode());
    async move {
        let answer = client.send_request(subject, request).await;
        drop(permit);
        match answer {
            Ok(message) => match understand::<PublishAck>("publishing", &message.payload) {
                Ok(ack) => Ok(ack),
                Err(error) => Err(refused(error, bytes, max)),
            },
            Err(error) => Err(unanswered(error, bytes, max)),
        }
    }
}

fn unanswered(error: RequestError, bytes: usize, max: usize) -> Setback {
    if error.kind() == RequestErrorKind::MaxPayloadExceeded {
        return Setback::Final(Error::TooLarge { bytes, max });
    }
    match reached_nobody(&error) {
        true => Setback::Refused(Error::unanswered("publishing", error)),
        false => Setback::Lost(Error::unanswered("publishing", error)),
    }
}

fn refused(error: Error, bytes: usize, max: usize) -> Setback {
    match error.code() {
        Some(ErrorCode::STREAM_WRONG_LAST_MESSAGE_ID) => Setback::Interleaved,
        Some(DUPLICATE_IN_PROCESS | ErrorCode::STREAM_TOO_MANY_REQUESTS) => Setback::Refused(error),
        Some(
            ErrorCode::STREAM_STORE_FAILED
            | ErrorCode::STORAGE_RESOURCES_EXCEEDED
            | ErrorCode::INSUFFICIENT_RESOURCES
            | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED,
        ) => Setback::Full(error),
        Some(ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM) => {
            Setback::Final(Error::TooLarge { bytes, max })
        }
        Some(_) if error.is_transient() => Setback::Refused(error),
        Some(_) => Setback::Final(error),
        // Whatever it was, it was no ack.
        None => Setback::Lost(error),
    }
}
