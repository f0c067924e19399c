//! Which of the waiting publishes go into the next group, and which segment it goes to.

use std::{collections::HashMap, sync::Arc};

use log_tracer_transport::{Acked, Offset, Partition};
use tokio::sync::oneshot;

use crate::{
    Config,
    base::{self, Base, Previous},
    frame,
    log::Log,
    queue::{Outcome, Prepared, Queue, Waiting},
    recent::{Key, key},
    segment::{self, Segment},
};

/// Who is told of a group, and what.
pub(crate) type Answer = (oneshot::Sender<Outcome>, Vec<Acked>);

/// A group as it is to be written.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) number: u64,
    pub(crate) segment: Arc<Segment>,
    /// Where it goes in the segment.
    pub(crate) start: u64,
    /// Set when it is the first group of the segment.
    pub(crate) base: Option<Base>,
    pub(crate) envelopes: Vec<(Prepared, Offset)>,
    pub(crate) answers: Vec<Answer>,
}

/// What to do next.
#[derive(Debug)]
pub(crate) enum Next {
    Write(Box<Plan>),
    /// Nothing waits.
    Idle,
    /// The first one that waits has to go on waiting: for the keeper, who has a segment of so many bytes to prepare, or
    /// others to remove.
    Prepare(u64),
    /// The first one that waits has to go on waiting: there is no room.
    Full(String),
}

/// What a group is put together from.
#[derive(Debug)]
pub(crate) struct Admission<'a> {
    pub(crate) config: &'a Config,
    pub(crate) log: &'a mut Log,
    pub(crate) queue: &'a mut Queue,
    pub(crate) prepared: &'a mut Option<Arc<Segment>>,
    /// Set when nothing may be stored for want of room on the disk.
    pub(crate) disk_full: Option<&'a str>,
}

/// Bytes and frames that a group still has room for.
#[derive(Clone, Copy, Debug)]
struct Room {
    bytes: u64,
    envelopes: usize,
}

impl Admission<'_> {
    /// Answers what needs no writing, and takes as much of the rest as fits into one group.
    pub(crate) fn next(&mut self) -> Next {
        let need = loop {
            let Some(first) = self.queue.first() else {
                return Next::Idle;
            };
            if first.answer.is_closed() {
                self.queue.take_first();
                continue;
            }
            match self.new_bytes(first) {
                0 => self.answer_repeats(),
                need => break need,
            }
        };
        if let Some(why) = self.disk_full {
            self.log.full = true;
            return Next::Full(why.to_owned());
        }
        let number = self.log.last_group + 1;
        let trailer = frame::HEADER_BYTES as u64;
        let Some(active) = self.log.active() else {
            return Next::Idle;
        };
        let (segment, start, base) = if active.end + need + trailer <= active.segment.bytes {
            (Arc::clone(&active.segment), active.end, None)
        } else {
            let base = Base {
                previous: Some(Previous {
                    sequence: active.segment.sequence,
                    end: active.end,
                }),
                last_group: self.log.last_group,
                recovered: false,
                next: self.next_offsets(),
            };
            match self.new_segment(need) {
                Ok(segment) => (segment, segment::HEADER_BYTES, Some(base)),
                Err(wait) => return wait,
            }
        };
        self.log.full = false;
        let base_bytes = match &base {
            Some(base) => frame::total_bytes(base::body_bytes(partitions(base))),
            None => 0,
        };
        let room = segment.bytes - start - base_bytes - trailer;
        let (envelopes, answers) = self.take(room);
        Next::Write(Box::new(Plan {
            number,
            segment,
            start,
            base,
            envelopes,
            answers,
        }))
    }

    /// A prepared segment for a group with so many bytes of envelopes.
    fn new_segment(&mut self, need: u64) -> Result<Arc<Segment>, Next> {
        let base = frame::total_bytes(base::body_bytes(self.config.partitions.get()));
        let trailer = frame::HEADER_BYTES as u64;
        let need = segment::HEADER_BYTES + base + need + trailer;
        // One of another size than the others is used once.
        let bytes = match need <= self.config.segment_bytes {
            true => self.config.segment_bytes,
            false => need.next_multiple_of(4 << 10),
        };
        if !self.log.make_room(bytes) {
            if !self.log.leaving.is_empty() {
                // There will be room once the keeper has removed it.
                return Err(Next::Prepare(bytes));
            }
            self.log.full = true;
            let max = self.config.retained_bytes_max;
            return Err(Next::Full(format!(
                "the segments have reached retained_bytes_max ({max} bytes), and what is in the oldest is not committed"
            )));
        }
        match self.prepared.take_if(|segment| segment.bytes == bytes) {
            Some(segment) => Ok(segment),
            None => Err(Next::Prepare(bytes)),
        }
    }

    fn next_offsets(&self) -> Vec<Offset> {
        self.log.partitions.iter().map(|log| log.next).collect()
    }

    /// Bytes of the frames that a publish adds.
    fn new_bytes(&self, waiting: &Waiting) -> u64 {
        let envelopes = waiting.envelopes.iter().map(|one| &one.envelope);
        envelopes
            .filter(|one| self.log.stored_before(one.partition, &key(one)).is_none())
            .map(|one| frame::total_bytes(one.encoded_len() as u64))
            .sum()
    }

    /// Answers the first publish, of which every envelope is stored.
    fn answer_repeats(&mut self) {
        if let Some(first) = self.queue.take_first() {
            let acks = first.envelopes.iter().filter_map(|one| {
                let envelope = &one.envelope;
                self.log.stored_before(envelope.partition, &key(envelope))
            });
            // Whoever asked may have gone.
            let _gone = first.answer.send(Ok(acks.collect()));
        }
    }

    /// Takes publishes from the front while they fit; the first one does.
    fn take(&mut self, segment_room: u64) -> (Vec<(Prepared, Offset)>, Vec<Answer>) {
        let mut taken = Taken::default();
        let mut room = Room {
            bytes: segment_room.min(self.config.group_bytes_max as u64),
            envelopes: self.config.group_envelopes_max,
        };
        while let Some(first) = self.queue.first() {
            let bytes = self.new_bytes(first);
            let fits = bytes <= room.bytes && first.envelopes.len() <= room.envelopes;
            if !fits && !taken.answers.is_empty() {
                break;
            }
            let Some(first) = self.queue.take_first() else {
                break;
            };
            room.bytes = room.bytes.saturating_sub(bytes);
            room.envelopes = room.envelopes.saturating_sub(first.envelopes.len());
            taken.take(self.log, first);
        }
        (taken.envelopes, taken.answers)
    }
}

/// What was taken into a group.
#[derive(Debug, Default)]
struct Taken {
    envelopes: Vec<(Prepared, Offset)>,
    answers: Vec<Answer>,
    /// Where what is in this group goes, so that a repeat within it is seen.
    offsets: HashMap<(Partition, Key), Offset>,
    next: HashMap<Partition, Offset>,
}

impl Taken {
    fn take(&mut self, log: &Log, waiting: Waiting) {
        let remembers = log.remembers();
        let mut acks = Vec::with_capacity(waiting.envelopes.len());
        for one in waiting.envelopes {
            let (partition, key) = (one.envelope.partition, key(&one.envelope));
            if let Some(acked) = log.stored_before(partition, &key) {
                acks.push(acked);
                continue;
            }
            if remembers && let Some(&offset) = self.offsets.get(&(partition, key)) {
                acks.push(Acked {
                    partition,
                    offset,
                    duplicate: true,
                });
                continue;
            }
            let next = self
                .next
                .entry(partition)
                .or_insert_with(|| log.next_of(partition));
            let offset = *next;
            next.0 += 1;
            if remembers {
                self.offsets.insert((partition, key), offset);
            }
            acks.push(Acked {
                partition,
                offset,
                duplicate: false,
            });
            self.envelopes.push((one, offset));
        }
        self.answers.push((waiting.answer, acks));
    }
}

fn partitions(base: &Base) -> u16 {
    u16::try_from(base.next.len()).unwrap_or(u16::MAX)
}
