//! Envelopes that could not be decoded: set aside whole, within a bound in bytes, so that they block nothing and can
//! be looked at.

use std::collections::VecDeque;

use bytes::Bytes;
use log_tracer_proto::v1::{QuarantinedEnvelope, Signal};
use log_tracer_transport::{BatchId, Envelope, Kind, LogId, Offset, Part, Partition};
use prost::Message;

use crate::service::export;

/// Entries that are remembered after their payloads left.
const ENTRIES_MAX: usize = 1_000;

/// The newest envelopes that could not be decoded, oldest first.
#[derive(Debug)]
pub(crate) struct Quarantine {
    bytes_max: usize,
    bytes: usize,
    entries: VecDeque<Quarantined>,
    total: u64,
}

/// One envelope that could not be decoded.
#[derive(Clone, Debug)]
pub(crate) struct Quarantined {
    pub(crate) partition: Partition,
    pub(crate) offset: Offset,
    pub(crate) kind: Kind,
    pub(crate) batch: BatchId,
    pub(crate) part: Part,
    pub(crate) records: u32,
    pub(crate) received_unix_nano: u64,
    pub(crate) payload_bytes: usize,
    /// `None` when it was larger than the bound, or left for newer ones.
    pub(crate) payload: Option<Bytes>,
    pub(crate) reason: String,
}

impl Quarantine {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            bytes: 0,
            entries: VecDeque::new(),
            total: 0,
        }
    }

    /// Sets an envelope aside; the oldest payloads leave for it. Answers what was set aside.
    pub(crate) fn add(
        &mut self,
        offset: Offset,
        envelope: Envelope,
        reason: String,
    ) -> Quarantined {
        let payload_bytes = envelope.payload.len();
        let payload = (payload_bytes <= self.bytes_max).then(|| {
            // A slice of a delivery would keep all of it in memory.
            Bytes::copy_from_slice(&envelope.payload)
        });
        let one = Quarantined {
            partition: envelope.partition,
            offset,
            kind: envelope.kind,
            batch: envelope.batch,
            part: envelope.part,
            records: envelope.records,
            received_unix_nano: envelope.received_unix_nano,
            payload_bytes,
            payload,
            reason,
        };
        self.take_back(one.clone());
        one
    }

    /// Takes in what was set aside before, here or by the process before this one.
    pub(crate) fn take_back(&mut self, one: Quarantined) {
        self.total += 1;
        self.bytes += one.payload.as_ref().map_or(0, Bytes::len);
        self.entries.push_back(one);
        self.make_room();
    }

    /// How many were set aside, also those that are no longer here, as far as is known.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Those that are remembered, oldest first.
    pub(crate) fn entries(&self) -> impl DoubleEndedIterator<Item = &Quarantined> {
        self.entries.iter()
    }

    pub(crate) fn holds(&self, partition: Partition, offset: Offset) -> Option<&Quarantined> {
        self.entries
            .iter()
            .rev()
            .find(|one| one.partition == partition && one.offset == offset)
    }

    fn make_room(&mut self) {
        if self.entries.len() > ENTRIES_MAX
            && let Some(oldest) = self.entries.pop_front()
        {
            self.bytes -= oldest.payload.map_or(0, |payload| payload.len());
        }
        let mut oldest_first = self.entries.iter_mut();
        while self.bytes > self.bytes_max {
            let Some(oldest) = oldest_first.next() else {
                return;
            };
            self.bytes -= oldest.payload.take().map_or(0, |payload| payload.len());
        }
    }
}

impl Quarantined {
    /// As bytes for a store: a `QuarantinedEnvelope` with its length before it, and then the payload.
    pub(crate) fn encode(&self, log_id: LogId) -> Vec<u8> {
        let mut bytes = export::message(self, log_id).encode_length_delimited_to_vec();
        bytes.extend_from_slice(self.payload.as_deref().unwrap_or_default());
        bytes
    }

    /// From what [`encode`](Self::encode) gives; `None` for anything else.
    pub(crate) fn decode(bytes: Vec<u8>) -> Option<Self> {
        let mut rest = Bytes::from(bytes);
        let one = QuarantinedEnvelope::decode_length_delimited(&mut rest).ok()?;
        let position = one.position?;
        Some(Self {
            partition: Partition(u16::try_from(position.partition).ok()?),
            offset: Offset(position.offset),
            kind: match Signal::try_from(one.signal).ok()? {
                Signal::Spans => Kind::Traces,
                Signal::Logs => Kind::Logs,
                Signal::Unspecified => return None,
            },
            batch: BatchId(u128::from_str_radix(&one.batch_id, 16).ok()?),
            part: Part {
                index: u16::try_from(one.part_index).ok()?,
                count: u16::try_from(one.part_count).ok()?,
            },
            records: one.records,
            received_unix_nano: one.received_unix_nano,
            payload_bytes: usize::try_from(one.bytes).ok()?,
            payload: one.kept.then_some(rest),
            reason: one.reason,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_aside_comes_back_from_its_bytes() {
        let mut quarantine = Quarantine::new(100);
        for payload in [&b"not an export request"[..], &[7; 101], b""] {
            let one = quarantine.add(Offset(9), envelope(payload), "why".to_owned());
            let back = Quarantined::decode(one.encode(LogId(5))).unwrap();
            assert_eq!(format!("{back:?}"), format!("{one:?}"));
        }
        assert!(Quarantined::decode(vec![255; 9]).is_none());
        assert!(Quarantined::decode(Vec::new()).is_none());
    }

    fn envelope(payload: &[u8]) -> Envelope {
        Envelope {
            partition: Partition(3),
            kind: Kind::Logs,
            batch: BatchId(1),
            part: Part::WHOLE,
            records: 1,
            received_unix_nano: 5,
            payload: Bytes::copy_from_slice(payload),
            is_checked: false,
        }
    }

    #[test]
    fn the_oldest_payload_leaves_for_a_newer_one_and_the_entry_stays() {
        let mut quarantine = Quarantine::new(10);
        quarantine.add(Offset(1), envelope(&[1; 6]), "first".to_owned());
        quarantine.add(Offset(2), envelope(&[2; 6]), "second".to_owned());

        let kept: Vec<_> = quarantine
            .entries()
            .map(|one| (one.offset.0, one.payload.is_some(), one.payload_bytes))
            .collect();
        assert_eq!(kept, [(1, false, 6), (2, true, 6)]);
        assert_eq!(quarantine.bytes, 6);
        assert_eq!(quarantine.total(), 2);
    }

    #[test]
    fn what_is_larger_than_the_bound_drives_nothing_out() {
        let mut quarantine = Quarantine::new(10);
        quarantine.add(Offset(1), envelope(&[1; 6]), "fits".to_owned());
        quarantine.add(Offset(2), envelope(&[2; 11]), "too large".to_owned());
        let kept: Vec<_> = quarantine
            .entries()
            .map(|one| one.payload.is_some())
            .collect();
        assert_eq!(kept, [true, false]);
        assert_eq!(
            quarantine
                .holds(Partition(3), Offset(2))
                .unwrap()
                .payload_bytes,
            11
        );
        assert!(quarantine.holds(Partition(2), Offset(2)).is_none());
    }

    #[test]
    fn the_number_of_entries_is_bounded_and_the_total_is_not() {
        let mut quarantine = Quarantine::new(1 << 20);
        for offset in 0..ENTRIES_MAX as u64 + 5 {
            quarantine.add(Offset(offset), envelope(&[0; 3]), String::new());
        }
        assert_eq!(quarantine.entries().count(), ENTRIES_MAX);
        assert_eq!(quarantine.entries().next().unwrap().offset, Offset(5));
        assert_eq!(quarantine.bytes, 3 * ENTRIES_MAX);
        assert_eq!(quarantine.total(), ENTRIES_MAX as u64 + 5);
    }
}
