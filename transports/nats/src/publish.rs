//! Publishing: many calls on their way at once, and no envelope of a call stored before the one that it comes after.
//!
//! # Order
//!
//! The envelopes of a call that go to one partition are a *chain*, and no envelope of a chain is sent before the one that
//! it comes after is acknowledged, or together with it in one atomic batch (NATS ADR-50): the server stores all of a batch
//! one after the other, or nothing. So it does not matter what is lost on the way, or arrives late from a connection that
//! is gone, or meets another leader. What was not acknowledged is sent again with the same message ids; those that the
//! server has stored already it acknowledges and does not store again. A batch with such an id in it is refused as a whole,
//! and its envelopes are then sent one by one.
//!
//! Chains of one envelope, which are nearly all in a running system, need nothing of that. Calls at the same time go side
//! by side: nobody is promised an order among them, and that is where many are on their way at once. Servers before 2.12
//! have no batches, and get the envelopes of a chain one by one.
//!
//! Sending a chain ahead on conditions ("store this only after that") was tried and is worse: in a cluster, the server
//! remembers the id of a message that it has refused on `Nats-Expected-Last-Msg-Id`, and then refuses its retries for the
//! whole dedupe window as "in process"; and `Nats-Expected-Last-Sequence` lets a message pass when another publisher's has
//! taken the place of the one before it.
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
    header::{
        NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL, NATS_BATCH_ID, NATS_BATCH_SEQUENCE,
        NATS_MESSAGE_ID,
    },
    jetstream::{ErrorCode, publish::PublishAck},
};
use futures_util::future::join_all;
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

/// Envelopes in one batch at most; servers take 1000.
const BATCH_ENVELOPES_MAX: usize = 500;
/// Encoded bytes in one batch at most. A server has a batch twice for a moment, and its peers get it in one piece.
const BATCH_BYTES_MAX: usize = 4 << 20;
const RETRY_DELAY_MIN: Duration = Duration::from_millis(10);
const RETRY_DELAY_MAX: Duration = Duration::from_millis(500);
/// What a message costs in a stream beside its subject, headers and payload: lengths, sequence, time and checksum.
const STORED_BYTES: usize = 34;
/// What stands around a message id in its headers.
const HEADER_BYTES: usize = 28;
/// What is on its way at the deadline is waited for so much longer: an answer that was about to come spares everybody an
/// outcome that nobody knows.
const ANSWER_GRACE: Duration = Duration::from_millis(250);
// Codes of JetStream that the client library has no name for.
/// The same id is on its way to be stored.
const DUPLICATE_IN_PROCESS: ErrorCode = ErrorCode(10158);
const BATCHES_DISABLED: ErrorCode = ErrorCode(10174);
/// A part of it was lost, for instance on the way to another leader.
const BATCH_INCOMPLETE: ErrorCode = ErrorCode(10176);
const BATCH_TOO_LARGE: ErrorCode = ErrorCode(10199);
const BATCH_HAS_A_DUPLICATE: ErrorCode = ErrorCode(10201);
const BATCHES_TOO_MANY: ErrorCode = ErrorCode(10210);

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
    /// Whether batches are of no use to this chain.
    one_by_one: bool,
    delay: Duration,
}

/// Why a chain stopped before its end.
enum Setback {
    /// What was sent may be stored or not.
    Lost(Error),
    /// Nothing was stored, and a moment later it may be.
    Refused(Error),
    /// Nothing was stored, and a batch will not be.
    NoBatch(Error),
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
            one_by_one: !shared.atomic_batches,
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
            let Err(setback) = self.attempt().await else {
                self.delay = RETRY_DELAY_MIN;
                continue;
            };
            match setback {
                Setback::Final(error) => return Err(self.ended_by(error)),
                Setback::NoBatch(error) if !self.one_by_one => {
                    log::debug!("partition {}: one by one: {error}", self.partition.0);
                    self.one_by_one = true;
                }
                Setback::Full(error) => {
                    // Less than a batch may still fit.
                    self.one_by_one = true;
                    self.wait_for_room(error).await?;
                }
                Setback::Refused(error) | Setback::NoBatch(error) => self.pause(&error).await?,
                Setback::Lost(error) => {
                    self.lost = true;
                    self.pause(&error).await?;
                }
            }
        }
        Ok(())
    }

    /// Sends the first that are not acknowledged yet, and takes their acks in.
    async fn attempt(&mut self) -> Result<(), Setback> {
        let shared = self.shared;
        let life = tokio::select! {
            biased;
            error = self.no_use() => return Err(Setback::Final(error)),
            life = shared.link.life(self.deadline) => life.map_err(Setback::Final)?,
        };
        let next = self.next();
        let permit = self.permit(next).await?;
        let sending = send(&life, &self.subject, next);
        let answer = tokio::select! {
            biased;
            answer = sending => answer,
            () = life.lost.cancelled() => {
                let doing = "publishing".to_owned();
                return Err(Setback::Lost(Error::Lost { doing }));
            }
            () = sleep_until(self.deadline + ANSWER_GRACE) => {
                self.lost = true;
                return Err(Setback::Final(Error::NoRoom));
            }
            () = shared.closed.cancelled() => {
                self.lost = true;
                return Err(Setback::Final(Error::Closed));
            }
        };
        drop(permit);
        let count = next.len();
        self.take(answer?, count);
        Ok(())
    }

    /// The envelopes that are sent next: one, or a batch.
    fn next(&self) -> &[Envelope] {
        let rest = self.envelopes.get(self.acked.len()..).unwrap_or_default();
        let envelopes_max = match self.one_by_one {
            true => 1,
            false => BATCH_ENVELOPES_MAX.min(self.shared.config.inflight_envelopes_max),
        };
        let mut bytes = 0_usize;
        let fits = rest.iter().take(envelopes_max).take_while(|envelope| {
            bytes = bytes.saturating_add(envelope.encoded_len());
            bytes <= BATCH_BYTES_MAX
        });
        let count = fits.count().max(1);
        rest.get(..count).unwrap_or_default()
    }

    /// Takes the answer to so many that were sent together: the place of the last of them.
    fn take(&mut self, ack: PublishAck, count: usize) {
        for behind in (0..count as u64).rev() {
            let Some(envelope) = self.envelopes.get(self.acked.len()) else {
                return;
            };
            let offset = offset_of(ack.sequence.saturating_sub(behind));
            let bytes = match ack.duplicate {
                true => 0,
                false => self.stored_bytes(envelope),
            };
            self.shared.acked(self.partition, offset, bytes);
            self.acked.push(Acked {
                partition: self.partition,
                offset,
                duplicate: ack.duplicate,
            });
        }
        self.full = None;
    }

    async fn permit(&self, envelopes: &[Envelope]) -> Result<Sent, Setback> {
        let bytes = envelopes.iter().map(Envelope::encoded_len).sum();
        let permit = self.shared.queue.send(envelopes.len(), bytes);
        let permit = tokio::select! {
            biased;
            error = self.no_use() => return Err(Setback::Final(error)),
            permit = timeout_at(self.deadline, permit) => permit,
        };
        match permit {
            Ok(Some(permit)) => Ok(permit),
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

    /// Makes room or waits for some. It asks the server how full the partition is and does not try with the envelope, so
    /// that at the deadline nothing is on its way.
    async fn wait_for_room(&mut self, why: Error) -> Result<(), Error> {
        let (shared, partition) = (self.shared, self.partition);
        let text = format!(
            "partition {} has no room: {why}; it has again once every group has committed more, or after raising retained_bytes_max and `nats stream edit {} --max-bytes`",
            partition.0,
            shared.names.stream(partition)
        );
        shared.mark_full(partition, text.clone());
        self.full = Some(text);
        let head = self.envelopes.get(self.acked.len());
        let needed = head.map_or(0, |envelope| self.stored_bytes(envelope));
        let mut room = shared.room.subscribe();
        loop {
            room.mark_unchanged();
            let mut there_is = false;
            self.wait(async {
                match self.has_room(needed).await {
                    Ok(room) => there_is = room,
                    Err(error) => log::debug!("partition {}: making room: {error}", partition.0),
                }
            })
            .await?;
            let delay = self.delay;
            self.delay = (self.delay * 2).min(RETRY_DELAY_MAX);
            if there_is {
                return Ok(());
            }
            self.wait(async {
                // Others may make room, too, and do not tell.
                tokio::select! {
                    _ = room.changed() => {}
                    () = sleep(delay) => {}
                }
            })
            .await?;
        }
    }

    /// Whether so many bytes fit, after forgetting what may be forgotten.
    async fn has_room(&self, bytes: u64) -> Result<bool, Error> {
        let shared = self.shared;
        let life = shared.link.life(self.deadline).await?;
        shared.make_room(&life, self.partition).await?;
        let taken = shared.look(&life, self.partition).await?.bytes;
        Ok(taken + bytes <= shared.config.partition_bytes_max())
    }

    /// What an envelope takes in the stream, as servers count it.
    fn stored_bytes(&self, envelope: &Envelope) -> u64 {
        let headers = message_id(envelope).len() + HEADER_BYTES;
        (STORED_BYTES + self.subject.len() + headers + envelope.encoded_len()) as u64
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

/// Sends one envelope, or several as a batch, and comes to the answer to the last of them.
async fn send(life: &Life, subject: &str, envelopes: &[Envelope]) -> Result<PublishAck, Setback> {
    let Some((last, before)) = envelopes.split_last() else {
        let nothing = Error::Config("nothing to send".into());
        return Err(Setback::Final(nothing));
    };
    let max = life.envelope_bytes_max();
    let mut headers = HeaderMap::new();
    if !before.is_empty() {
        let batch = format!("{:032x}", rand::random::<u128>());
        for (sequence, envelope) in (1_usize..).zip(before) {
            let mut headers = batch_headers(&batch, sequence);
            headers.insert(NATS_MESSAGE_ID, message_id(envelope));
            let sent = life
                .client
                .publish_with_headers(subject.to_owned(), headers, envelope.encode())
                .await;
            // What was sent of the batch is nothing without its end.
            sent.map_err(|source| Setback::Refused(Error::unanswered("publishing", source)))?;
        }
        headers = batch_headers(&batch, envelopes.len());
        headers.insert(NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL);
    }
    headers.insert(NATS_MESSAGE_ID, message_id(last));
    let request = Request::new().headers(headers).payload(last.encode());
    let answer = life.client.send_request(subject.to_owned(), request).await;
    match answer {
        Ok(message) => match understand::<PublishAck>("publishing", &message.payload) {
            Ok(ack) => Ok(ack),
            Err(error) => Err(refused(error, last.encoded_len(), max)),
        },
        Err(error) => Err(unanswered(error, last.encoded_len(), max)),
    }
}

fn batch_headers(batch: &str, sequence: usize) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(NATS_BATCH_ID, batch);
    headers.insert(NATS_BATCH_SEQUENCE, sequence.to_string());
    headers
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
        Some(BATCH_HAS_A_DUPLICATE | BATCH_TOO_LARGE | BATCHES_DISABLED | BATCHES_TOO_MANY) => {
            Setback::NoBatch(error)
        }
        Some(DUPLICATE_IN_PROCESS | BATCH_INCOMPLETE | ErrorCode::STREAM_TOO_MANY_REQUESTS) => {
            Setback::Refused(error)
        }
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
