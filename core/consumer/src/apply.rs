//! From envelopes to rows that can be found: plain and synchronous, one delivery at a time.

use std::{collections::BTreeMap, sync::Arc};

use log_tracer_proto::otlp::{
    collector_logs::ExportLogsServiceRequest, collector_trace::ExportTraceServiceRequest,
};
use log_tracer_record::{LogRow, SpanRow, log_rows, span_rows};
use log_tracer_store::Origin;
use log_tracer_transport::{Delivery, Envelope, Kind, Offset, Partition};
use prost::Message;
use slog::error;

use crate::{seen::SeenBatches, shared::Shared};

/// Applies deliveries, each envelope at most once.
#[derive(Debug)]
pub(crate) struct Applier {
    shared: Arc<Shared>,
    contiguous_offsets: bool,
    lanes: BTreeMap<Partition, Lane>,
}

/// What is known of one partition.
#[derive(Debug)]
struct Lane {
    next: Option<Offset>,
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
}

impl Applier {
    pub(crate) fn new(shared: Arc<Shared>, owned: &[Partition]) -> Self {
        let seen_max = shared.config.apply.seen_batches_max;
        let lane = |partition: &Partition| {
            let lane = Lane {
                next: None,
                seen: SeenBatches::new(seen_max),
            };
            (*partition, lane)
        };
        Self {
            contiguous_offsets: shared.transport.capabilities().contiguous_offsets,
            lanes: owned.iter().map(lane).collect(),
            shared,
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
                _ => {}
            }
            let rows = if lane.seen.insert(envelope.batch, envelope.part) {
                self.shared.apply(partition, offset, envelope)
            } else {
                self.shared.count_duplicate();
                None
            };
            let next = Offset(offset.0.saturating_add(1));
            lane.next = Some(next);
            self.shared.advance(partition, next);
            // After the cursor: a tail that begins between the two finds the records in the store.
            if let Some(rows) = rows {
                self.shared.offer(origin(partition, offset), &rows);
            }
        }
        // Where offsets are not contiguous, the transport knows better where to read on.
        if lane.next.is_none_or(|next| next < delivery.next) {
            lane.next = Some(delivery.next);
            self.shared.advance(partition, delivery.next);
        }
        Ok(())
    }
}

/// The records of one envelope.
#[derive(Debug, PartialEq)]
pub(crate) enum Rows {
    Spans(Vec<SpanRow>),
    Logs(Vec<LogRow>),
}

impl Shared {
    /// Makes the records of an envelope findable, or sets the envelope aside.
    fn apply(&self, partition: Partition, offset: Offset, envelope: Envelope) -> Option<Rows> {
        match decode(&envelope) {
            Ok(rows) => {
                let origin = origin(partition, offset);
                match &rows {
                    Rows::Spans(rows) => self.store.apply_spans(origin, rows),
                    Rows::Logs(rows) => self.store.apply_logs(origin, rows),
                }
                Some(rows)
            }
            Err(reason) => {
                error!(self.log, "an envelope cannot be decoded and is set aside";
                    "partition" => partition.0, "offset" => offset.0, "bytes" => envelope.payload.len(), "reason" => &reason);
                self.quarantine().add(offset, envelope, reason);
                None
            }
        }
    }

    /// Moves the cursor of a partition and wakes whoever waits for it.
    fn advance(&self, partition: Partition, next: Offset) {
        self.progress.send_modify(|progress| {
            if let Some(one) = progress.get_mut(partition) {
                one.next = Some(next);
            }
        });
    }

    fn offer(&self, origin: Origin, rows: &Rows) {
        match rows {
            Rows::Spans(rows) => self.tails.offer_spans(origin, rows),
            Rows::Logs(rows) => self.tails.offer_logs(origin, rows),
        }
    }
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
