//! The newest envelopes in memory, for readers that keep up with those who publish.

use std::collections::{BTreeMap, VecDeque};

use log_tracer_transport::{Envelope, Offset, Partition, ReadOptions};

/// The last envelopes of all partitions within a bound in bytes. They share the memory of those who published them.
#[derive(Debug)]
pub(crate) struct Ring {
    bytes_max: usize,
    bytes: usize,
    partitions: BTreeMap<Partition, Recent>,
    /// The partition of each envelope, the oldest first.
    oldest_first: VecDeque<Partition>,
}

#[derive(Debug)]
struct Recent {
    first: Offset,
    envelopes: VecDeque<Envelope>,
}

impl Ring {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            bytes: 0,
            partitions: BTreeMap::new(),
            oldest_first: VecDeque::new(),
        }
    }

    /// Adds the next envelope of its partition, and lets go of the oldest ones that no longer fit.
    pub(crate) fn push(&mut self, offset: Offset, envelope: Envelope) {
        let partition = envelope.partition;
        let recent = self.partitions.entry(partition).or_insert_with(|| Recent {
            first: offset,
            envelopes: VecDeque::new(),
        });
        self.bytes += envelope.encoded_len();
        recent.envelopes.push_back(envelope);
        self.oldest_first.push_back(partition);
        while self.bytes > self.bytes_max && self.pop() {}
    }

    /// As many envelopes from an offset on as a delivery may hold, or `None` if the first is not here.
    pub(crate) fn read(
        &self,
        partition: Partition,
        from: Offset,
        options: &ReadOptions,
    ) -> Option<Vec<(Offset, Envelope)>> {
        let recent = self.partitions.get(&partition)?;
        let skipped = usize::try_from(from.0.checked_sub(recent.first.0)?).ok()?;
        let mut delivery = Room::new(options);
        let items: Vec<_> = (from.0..)
            .zip(recent.envelopes.iter().skip(skipped))
            .take_while(|(_, envelope)| delivery.take(envelope.encoded_len()))
            .map(|(offset, envelope)| (Offset(offset), envelope.clone()))
            .collect();
        (!items.is_empty()).then_some(items)
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.bytes_max);
    }

    fn pop(&mut self) -> bool {
        let Some(partition) = self.oldest_first.pop_front() else {
            return false;
        };
        if let Some(recent) = self.partitions.get_mut(&partition)
            && let Some(envelope) = recent.envelopes.pop_front()
        {
            self.bytes -= envelope.encoded_len();
            recent.first.0 += 1;
            if recent.envelopes.is_empty() {
                self.partitions.remove(&partition);
            }
        }
        true
    }
}

/// What a delivery still has room for. It always takes a first envelope.
#[derive(Debug)]
pub(crate) struct Room {
    bytes: usize,
    envelopes: usize,
    empty: bool,
}

impl Room {
    pub(crate) fn new(options: &ReadOptions) -> Self {
        Self {
            bytes: options.delivery_bytes_max,
            envelopes: options.delivery_envelopes_max,
            empty: true,
        }
    }

    /// Takes an envelope of so many bytes, if there is room for it.
    pub(crate) fn take(&mut self, bytes: usize) -> bool {
        let fits = bytes <= self.bytes && self.envelopes > 0;
        if !fits && !self.empty {
            return false;
        }
        self.empty = false;
        self.bytes = self.bytes.saturating_sub(bytes);
        self.envelopes = self.envelopes.saturating_sub(1);
        true
    }
}
