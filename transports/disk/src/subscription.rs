//! A reader of a journal and its position.

use std::sync::Arc;

use async_trait::async_trait;
use log_tracer_transport::{
    Delivery, Envelope, Offset, Partition, ReadError, ReadOptions, Subscription,
};
use tokio::{
    sync::watch,
    task::{JoinHandle, coop, spawn_blocking},
};

use crate::{
    error::{Damage, Error},
    frame::FrameKind,
    log::Lookup,
    names,
    ring::Room,
    scan::{Contents, Window},
    segment::Segment,
    shared::{Phase, Shared},
};

/// Reads the partitions in turn, so that a busy one does not keep the others waiting.
#[derive(Debug)]
pub(crate) struct DiskSubscription {
    shared: Arc<Shared>,
    /// Changes with every group and with the end.
    arrivals: watch::Receiver<()>,
    /// The partition that was read last stands last.
    positions: Vec<Position>,
    options: ReadOptions,
    /// A read that is under way. It stays when the future that waits for it is dropped.
    reading: Option<Reading>,
}

/// Where a reader is in a partition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    pub(crate) partition: Partition,
    pub(crate) next: Offset,
    /// The segment that was read last, and the byte after what was read of it.
    pub(crate) hint: Option<(u64, u64)>,
}

#[derive(Debug)]
struct Reading {
    index: usize,
    sequence: u64,
    task: JoinHandle<Result<Read, Error>>,
}

/// What was read from a segment.
#[derive(Debug)]
struct Read {
    items: Vec<(Offset, Envelope)>,
    /// Where it goes on.
    at: u64,
}

/// What there is for a reader.
enum Look {
    Delivery(Delivery),
    Reading(Reading),
    AtTheEnd,
    Closed,
}

impl DiskSubscription {
    pub(crate) fn new(shared: Arc<Shared>, positions: Vec<Position>, options: ReadOptions) -> Self {
        Self {
            arrivals: shared.arrivals.subscribe(),
            shared,
            positions,
            options,
            reading: None,
        }
    }

    fn look(&mut self) -> Result<Look, Error> {
        let state = self.shared.lock();
        if state.phase != Phase::Open {
            return Ok(Look::Closed);
        }
        for (index, position) in self.positions.iter().enumerate() {
            let (partition, next) = (position.partition, position.next);
            match state.log.look(partition, next, &self.options)? {
                Lookup::AtTheEnd => {}
                Lookup::InMemory(items) => {
                    drop(state);
                    return Ok(Look::Delivery(self.deliver(index, items, None)));
                }
                Lookup::OnDisk { segment, at, limit } => {
                    let hint = position
                        .hint
                        .filter(|(sequence, _)| *sequence == segment.sequence);
                    let at = hint.map_or(at, |(_, hint)| hint.max(at));
                    let options = self.options;
                    let sequence = segment.sequence;
                    let task = spawn_blocking(move || {
                        read(&segment, at, limit, partition, next, &options)
                    });
                    return Ok(Look::Reading(Reading {
                        index,
                        sequence,
                        task,
                    }));
                }
            }
        }
        Ok(Look::AtTheEnd)
    }

    /// Moves on past what is delivered.
    fn deliver(
        &mut self,
        index: usize,
        items: Vec<(Offset, Envelope)>,
        hint: Option<(u64, u64)>,
    ) -> Delivery {
        let mut delivery = Delivery {
            partition: Partition(0),
            items,
            next: Offset(0),
        };
        if let Some(position) = self.positions.get_mut(index) {
            if let Some((last, _)) = delivery.items.last() {
                position.next = Offset(last.0 + 1);
            }
            position.hint = hint;
            delivery.partition = position.partition;
            delivery.next = position.next;
            self.positions
                .get_mut(index..)
                .unwrap_or_default()
                .rotate_left(1);
        }
        delivery
    }

    /// Waits for the read that is under way.
    async fn finish_reading(&mut self) -> Result<Option<Delivery>, Error> {
        let Some(reading) = &mut self.reading else {
            return Ok(None);
        };
        let done = (&mut reading.task).await;
        let (index, sequence) = (reading.index, reading.sequence);
        self.reading = None;
        let read = done.map_err(|_| Error::Stopped("a reader"))??;
        let hint = Some((sequence, read.at));
        Ok(Some(self.deliver(index, read.items, hint)))
    }
}

#[async_trait]
impl Subscription for DiskSubscription {
    async fn next(&mut self) -> Result<Option<Delivery>, ReadError> {
        // A reader that never waits would keep its thread from everybody else.
        coop::consume_budget().await;
        loop {
            if let Some(delivery) = self.finish_reading().await? {
                return Ok(Some(delivery));
            }
            // Before looking, so that what arrives after it wakes us.
            self.arrivals.mark_unchanged();
            match self.look()? {
                Look::Closed => return Ok(None),
                Look::Delivery(delivery) => return Ok(Some(delivery)),
                Look::Reading(reading) => {
                    self.reading = Some(reading);
                    continue;
                }
                Look::AtTheEnd => {}
            }
            if self.arrivals.changed().await.is_err() {
                return Ok(None);
            }
        }
    }
}

/// Reads envelopes of one partition from an offset on, as many as a delivery may hold. Every checksum is verified, and an
/// offset that is missing is an error.
fn read(
    segment: &Segment,
    mut at: u64,
    limit: u64,
    partition: Partition,
    from: Offset,
    options: &ReadOptions,
) -> Result<Read, Error> {
    let name = names::segment(segment.sequence);
    let failed = |source| Error::io(format_args!("reading {name}"), source);
    let mut window = Window::new(segment, limit);
    let mut room = Room::new(options);
    let mut items = Vec::new();
    let mut next = from;
    let damage = loop {
        if at >= limit {
            break Damage::new(&name, at, "the segment ends before it");
        }
        let frame = match window.header(at).map_err(failed)? {
            Ok(frame) => frame,
            Err(what) => break Damage::new(&name, at, what),
        };
        let wanted = frame.kind == FrameKind::Envelope
            && frame.partition == partition.0
            && frame.offset >= next.0;
        if wanted {
            if frame.offset != next.0 {
                let what = format!(
                    "offset {} stands where {} was expected",
                    frame.offset, next.0
                );
                break Damage::new(&name, at, what);
            }
            if !room.take(usize::try_from(frame.body_bytes).unwrap_or(usize::MAX)) {
                return Ok(Read { items, at });
            }
            match window.frame(at).map_err(failed)? {
                Ok((_, _, Contents::Envelope(envelope))) => items.push((next, envelope)),
                Ok(_) => break Damage::new(&name, at, "the frame has changed"),
                Err(what) => break Damage::new(&name, at, what),
            }
            next.0 += 1;
        }
        at += frame.total_bytes();
    };
    // What was read before the damage is whole; the damage is met again with the next call.
    if !items.is_empty() {
        return Ok(Read { items, at });
    }
    Err(Error::Corrupt {
        partition,
        at: next,
        damage,
    })
}
