//! From envelopes to rows that can be found: plain and synchronous, one delivery at a time.
//!
//! An envelope is checked where it lies and then copied into the columns of the store ([`Request`]): nothing of it is
//! applied before all of it was looked at, by its producer where that is in this process, else here. It is decoded into
//! structs only for those who tail, and when it is not in the plain form that encoders write.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use log_tracer_proto::otlp::{
    collector_logs::ExportLogsServiceRequest, collector_trace::ExportTraceServiceRequest,
};
use log_tracer_record::{
    LogRow, SpanRow, log_rows, span_rows,
    wire::{Logs, Request, Signal, Spans},
};
use log_tracer_store::{Mark, Origin, Restored, SeenBatch};
use log_tracer_transport::{BatchId, Delivery, Envelope, Kind, Offset, Part, Partition};
use prost::Message;
use slog::error;

use crate::{seen::SeenBatches, shared::Shared};

/// Applies deliveries, each envelope at most once.
#[derive(Debug)]
pub(crate) struct Applier {
    shared: Arc<Shared>,
    contiguous_offsets: bool,
    lanes: BTreeMap<Partition, Lane>,
    /// What has to become durable with the rows that were applied since the last seal; empty for a store in memory.
    unsealed: Unsealed,
}

#[derive(Debug, Default)]
struct Unsealed {
    seen: Vec<SeenBatch>,
    set_aside: Vec<Vec<u8>>,
}

/// What is known of one partition.
#[derive(Debug)]
struct Lane {
    next: Option<Offset>,
    /// The first offset that was ever applied, where that is known.
    first: Option<Offset>,
    seen: SeenBatches,
}

/// Why a delivery was not applied, or not all of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ApplyError {
    #[error(
        "the transport declares contiguous offsets and delivered {} where {} was due", found.0, wanted.0
    )]
    Jump { wanted: Offset, found: Offset },
    #[error("the transport delivered a partition that was not subscribed")]
    NotOwned,
    #[error("the store takes no more: {0}")]
    Store(String),
}

impl Applier {
    pub(crate) fn new(shared: Arc<Shared>, owned: &[Partition]) -> Self {
        let seen_max = shared.config.apply.seen_batches_max;
        let lane = |partition: &Partition| {
            let lane = Lane {
                next: None,
                first: None,
                seen: SeenBatches::new(seen_max),
            };
            (*partition, lane)
        };
        Self {
            contiguous_offsets: shared.transport.capabilities().contiguous_offsets,
            lanes: owned.iter().map(lane).collect(),
            unsealed: Unsealed::default(),
            shared,
        }
    }

    /// Goes on where the store stood when it was closed, or when its process ended.
    pub(crate) fn restore(&mut self, restored: &Restored) {
        for (partition, next) in &restored.cursors {
            self.skip_to(Partition(*partition), Offset(*next));
        }
        for (partition, begin) in &restored.begins {
            if let Some(lane) = self.lanes.get_mut(&Partition(*partition)) {
                lane.first = Some(Offset(*begin));
            }
        }
        for seen in &restored.seen {
            if let Some(lane) = self.lanes.get_mut(&Partition(seen.partition)) {
                let part = Part {
                    index: seen.part_index,
                    count: seen.part_count,
                };
                lane.seen.insert(BatchId(seen.batch), part);
            }
        }
    }

    /// The next offset to apply; `None` before the first envelope.
    pub(crate) fn next(&self, partition: Partition) -> Option<Offset> {
        self.lanes.get(&partition)?.next
    }

    /// Reads on at `first`: what stood before it is lost.
    pub(crate) fn skip_to(&mut self, partition: Partition, first: Offset) {
        if let Some(lane) = self.lanes.get_mut(&partition) {
            lane.next = Some(first);
        }
    }

    /// Applies what is new in a delivery. Each envelope can be found before the next one is looked at.
    pub(crate) fn apply(&mut self, delivery: Delivery) -> Result<(), ApplyError> {
        let partition = delivery.partition;
        let lane = self.lanes.get_mut(&partition).ok_or(ApplyError::NotOwned)?;
        for (offset, envelope) in delivery.items {
            match lane.next {
                Some(next) if offset < next => {
                    self.shared.count_duplicate();
                    continue;
                }
                Some(wanted) if self.contiguous_offsets && offset > wanted => {
                    let found = offset;
                    return Err(ApplyError::Jump { wanted, found });
                }
                // The very first: a restored lane that does not know its first one stays so.
                None => {
                    lane.first = Some(offset);
                    self.shared.begin(partition, offset);
                }
                Some(_) => {}
            }
            let (batch, part) = (envelope.batch, envelope.part);
            let applied = if lane.seen.insert(batch, part) {
                let bytes = envelope.encoded_len() as u64;
                let applied = self.shared.apply(partition, offset, envelope);
                self.shared
                    .applied_bytes
                    .fetch_add(bytes, Ordering::Relaxed);
                self.unsealed
                    .add(&self.shared, partition, batch, part, applied)
            } else {
                self.shared.count_duplicate();
                None
            };
            let next = Offset(offset.0.saturating_add(1));
            lane.next = Some(next);
            self.shared.advance(partition, next);
            // After the cursor: a tail that begins between the two finds the records in the store.
            if let Some(applied) = applied {
                self.shared.offer(origin(partition, offset), &applied);
            }
        }
        // Where offsets are not contiguous, the transport knows better where to read on.
        if lane.next.is_none_or(|next| next < delivery.next) {
            lane.next = Some(delivery.next);
            self.shared.advance(partition, delivery.next);
        }
        self.seal_if_due()
    }

    /// Hands what was applied over to be written, when there is enough of it or it is old enough.
    pub(crate) fn seal_if_due(&mut self) -> Result<(), ApplyError> {
        match self.shared.store.wants_seal() {
            true => self.seal(),
            false => Ok(()),
        }
    }

    /// Hands what was applied over to be written. Waits while too much is being written already, so that memory stays
    /// bounded: the log then keeps what comes.
    pub(crate) fn seal(&mut self) -> Result<(), ApplyError> {
        if !self.shared.is_durable() {
            return Ok(());
        }
        let cursor = |(partition, lane): (&Partition, &Lane)| Some((partition.0, lane.next?.0));
        let begin = |(partition, lane): (&Partition, &Lane)| Some((partition.0, lane.first?.0));
        let unsealed = std::mem::take(&mut self.unsealed);
        let mark = Mark {
            log_id: self.shared.log_id.0,
            cursors: self.lanes.iter().filter_map(cursor).collect(),
            begins: self.lanes.iter().filter_map(begin).collect(),
            seen: unsealed.seen,
            set_aside: unsealed.set_aside,
        };
        let sealed = self.shared.store.seal(mark);
        sealed.map_err(|error| ApplyError::Store(error.to_string()))
    }
}

impl Unsealed {
    /// Remembers that a part of a batch was applied; gives on what can be found.
    fn add(
        &mut self,
        shared: &Shared,
        partition: Partition,
        batch: BatchId,
        part: Part,
        applied: Applied,
    ) -> Option<Found> {
        if shared.is_durable() {
            self.seen.push(SeenBatch {
                partition: partition.0,
                batch: batch.0,
                part_index: part.index,
                part_count: part.count,
            });
        }
        match applied {
            Applied::Found(found) => Some(found),
            Applied::SetAside(encoded) => {
                self.set_aside.extend(encoded);
                None
            }
        }
    }
}

/// What became of an envelope.
enum Applied {
    Found(Found),
    /// It could not be decoded; encoded, where the store keeps such for another process.
    SetAside(Option<Vec<u8>>),
}

/// An envelope whose records can be found.
enum Found {
    /// They were copied from where they lie into the columns of the store.
    InPlace(Envelope),
    /// They had to be decoded for that.
    Rows(Rows),
}

/// The records of one envelope, decoded.
#[derive(Debug, PartialEq)]
pub(crate) enum Rows {
    Spans(Vec<SpanRow>),
    Logs(Vec<LogRow>),
}

impl Shared {
    /// Makes the records of an envelope findable, or sets the envelope aside.
    fn apply(&self, partition: Partition, offset: Offset, envelope: Envelope) -> Applied {
        let origin = origin(partition, offset);
        if self.apply_in_place(origin, &envelope) {
            return Applied::Found(Found::InPlace(envelope));
        }
        match decode(&envelope) {
            Ok(rows) => {
                match &rows {
                    Rows::Spans(rows) => self.store.apply_spans(origin, rows),
                    Rows::Logs(rows) => self.store.apply_logs(origin, rows),
                }
                Applied::Found(Found::Rows(rows))
            }
            Err(reason) => {
                error!(self.log, "an envelope cannot be decoded and is set aside";
                    "partition" => partition.0, "offset" => offset.0, "bytes" => envelope.payload.len(), "reason" => &reason);
                let mut quarantine = self.quarantine();
                let one = quarantine.add(offset, envelope, reason);
                Applied::SetAside(self.is_durable().then(|| one.encode(self.log_id)))
            }
        }
    }

    /// Notes the first offset that is ever applied of a partition.
    fn begin(&self, partition: Partition, first: Offset) {
        self.progress.send_modify(|progress| {
            if let Some(one) = progress.get_mut(partition) {
                one.first = Some(first);
            }
        });
    }

    /// Moves the cursor of a partition and wakes whoever waits for it.
    fn advance(&self, partition: Partition, next: Offset) {
        self.progress.send_modify(|progress| {
            if let Some(one) = progress.get_mut(partition) {
                one.next = Some(next);
            }
        });
    }

    /// Copies the records of an envelope into columns without decoding them. False when they have to be decoded, which
    /// is rare, or are not what was announced: nothing is applied then.
    fn apply_in_place(&self, origin: Origin, envelope: &Envelope) -> bool {
        match envelope.kind {
            Kind::Traces => request_of::<Spans>(envelope)
                .map(|request| self.store.apply_span_request(origin, &request))
                .is_some(),
            Kind::Logs => request_of::<Logs>(envelope)
                .map(|request| self.store.apply_log_request(origin, &request))
                .is_some(),
        }
    }

    /// Hands records on to those who tail, if anyone does: only for them is an envelope decoded that was applied in place.
    fn offer(&self, origin: Origin, found: &Found) {
        if self.tails.reader_count() == 0 {
            return;
        }
        let decoded;
        let rows = match found {
            Found::Rows(rows) => rows,
            Found::InPlace(envelope) => match decode(envelope) {
                Ok(rows) => {
                    decoded = rows;
                    &decoded
                }
                Err(reason) => {
                    error!(self.log, "an envelope that was applied cannot be decoded for those who tail: this is a bug";
                        "partition" => origin.partition, "offset" => origin.offset, "reason" => reason);
                    return;
                }
            },
        };
        match rows {
            Rows::Spans(rows) => self.tails.offer_spans(origin, rows),
            Rows::Logs(rows) => self.tails.offer_logs(origin, rows),
        }
    }
}

/// The records of an envelope as they lie there; none when they have to be decoded, or are not what was announced. A
/// payload that this process has checked already, on its way into the log, is not looked at twice.
fn request_of<S: Signal>(envelope: &Envelope) -> Option<Request<'_, S>> {
    if envelope.is_checked {
        let records = usize::try_from(envelope.records).unwrap_or(usize::MAX);
        return Some(Request::checked_before(&envelope.payload, records));
    }
    let request = Request::check(&envelope.payload).ok()?;
    (u32::try_from(request.records()) == Ok(envelope.records)).then_some(request)
}

/// The rows of an envelope; they share the payload's memory.
pub(crate) fn decode(envelope: &Envelope) -> Result<Rows, String> {
    let payload = envelope.payload.clone();
    let rows = match envelope.kind {
        Kind::Traces => ExportTraceServiceRequest::decode(payload)
            .map(|request| Rows::Spans(span_rows(request.resource_spans))),
        Kind::Logs => ExportLogsServiceRequest::decode(payload)
            .map(|request| Rows::Logs(log_rows(request.resource_logs))),
    };
    let rows = rows.map_err(|error| format!("not an export request: {error}"))?;
    let (decoded, announced) = (rows.len(), envelope.records);
    // Protobuf reads many wrong bytes as unknown fields and so as fewer records: the producer's count tells.
    if u32::try_from(decoded) != Ok(announced) {
        return Err(format!(
            "{announced} records were announced and {decoded} are there"
        ));
    }
    Ok(rows)
}

impl Rows {
    fn len(&self) -> usize {
        match self {
            Self::Spans(rows) => rows.len(),
            Self::Logs(rows) => rows.len(),
        }
    }
}

fn origin(partition: Partition, offset: Offset) -> Origin {
    Origin {
        partition: partition.0,
        offset: offset.0,
    }
}
