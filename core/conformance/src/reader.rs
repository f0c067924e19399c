//! A subscription of which every delivery is checked for what holds always.

use std::collections::BTreeMap;

use log_tracer_transport::{
    Delivery, Envelope, Offset, Partition, ReadError, ReadOptions, Start, Subscription, Transport,
};
use tokio::time::timeout;

use crate::{
    Seen,
    seen::{SeenWhile, ensure},
    stage::{PATIENCE, QUIET, Stored, must_end},
};

/// Reads, and fails when a delivery is not what it must be: whole, ascending, without a gap, within its limits.
#[derive(Debug)]
pub(crate) struct Reader {
    subscription: Box<dyn Subscription>,
    options: ReadOptions,
    contiguous: bool,
    /// Where each partition goes on; `None` before the first delivery of one that is read from its earliest.
    next: BTreeMap<Partition, Option<Offset>>,
}

/// An envelope as a reader got it.
pub(crate) type Item = (Offset, Envelope);

impl Reader {
    pub(crate) async fn open(
        transport: &dyn Transport,
        from: Vec<(Partition, Start)>,
        options: ReadOptions,
    ) -> Result<Self, Seen> {
        let next = from
            .iter()
            .map(|(partition, start)| match start {
                Start::Earliest => (*partition, None),
                Start::At(offset) => (*partition, Some(*offset)),
            })
            .collect();
        let subscription = transport
            .subscribe(from, options)
            .await
            .seen_while("subscribing")?;
        Ok(Self {
            subscription,
            options,
            contiguous: transport.capabilities().contiguous_offsets,
            next,
        })
    }

    /// A reader of one partition from a start on.
    pub(crate) async fn of(
        transport: &dyn Transport,
        partition: u16,
        start: Start,
    ) -> Result<Self, Seen> {
        let from = vec![(Partition(partition), start)];
        Self::open(transport, from, ReadOptions::default()).await
    }

    /// The next delivery, or `None` at the end.
    pub(crate) async fn delivery(&mut self) -> Result<Option<Delivery>, Seen> {
        let next = must_end("a reader", self.subscription.next()).await?;
        self.accept(next.seen_while("reading")?)
    }

    /// Checks what a call of `next` gave that was made elsewhere.
    pub(crate) fn accept(&mut self, delivery: Option<Delivery>) -> Result<Option<Delivery>, Seen> {
        let Some(delivery) = delivery else {
            return Ok(None);
        };
        self.check(&delivery)?;
        self.next.insert(delivery.partition, Some(delivery.next));
        Ok(Some(delivery))
    }

    /// The subscription itself, to be called in an unusual way; what it gives goes through [`Reader::accept`].
    pub(crate) fn subscription(&mut self) -> &mut dyn Subscription {
        self.subscription.as_mut()
    }

    /// Where it is in a partition that it has read from or was given a position in.
    pub(crate) fn position(&self, partition: u16) -> Offset {
        let next = self.next.get(&Partition(partition)).copied();
        next.flatten().unwrap_or_default()
    }

    /// Exactly so many envelopes.
    pub(crate) async fn take(&mut self, count: usize) -> Result<Vec<Item>, Seen> {
        let mut items = Vec::new();
        while items.len() < count {
            let have = items.len();
            let delivery = self
                .delivery()
                .await
                .seen_while(format_args!("after {have} of {count} envelopes"))?;
            let Some(delivery) = delivery else {
                return Err(Seen::new(format!(
                    "the reader ended after {have} of {count} envelopes"
                )));
            };
            items.extend(delivery.items);
        }
        ensure!(
            items.len() == count,
            "{} envelopes where {count} were expected",
            items.len()
        );
        Ok(items)
    }

    /// Checks that nothing more comes.
    pub(crate) async fn expect_silence(&mut self) -> Result<(), Seen> {
        match timeout(QUIET, self.subscription.next()).await {
            Err(_) => Ok(()),
            Ok(more) => Err(Seen::new(format!(
                "the reader was at the end, and then came {}",
                describe_next(&more)
            ))),
        }
    }

    /// Checks that it ends, after nothing or after what was stored before.
    pub(crate) async fn expect_end(&mut self) -> Result<(), Seen> {
        while self.delivery().await?.is_some() {}
        Ok(())
    }

    fn check(&self, delivery: &Delivery) -> Result<(), Seen> {
        let partition = delivery.partition;
        let Some(&expected) = self.next.get(&partition) else {
            return Err(Seen::new(format!(
                "a delivery of partition {}, which was not named",
                partition.0
            )));
        };
        let count = delivery.items.len();
        ensure!(count > 0, "a delivery of nothing");
        ensure!(
            count <= self.options.delivery_envelopes_max,
            "a delivery of {count} envelopes where {} are allowed",
            self.options.delivery_envelopes_max
        );
        let bytes: usize = delivery.items.iter().map(|(_, e)| e.encoded_len()).sum();
        ensure!(
            bytes <= self.options.delivery_bytes_max || count == 1,
            "a delivery of {count} envelopes and {bytes} bytes where {} are allowed",
            self.options.delivery_bytes_max
        );
        let mut expected = expected;
        for (offset, envelope) in &delivery.items {
            self.check_offset(*offset, expected)?;
            ensure!(
                envelope.partition == partition,
                "an envelope of partition {} in a delivery of partition {}",
                envelope.partition.0,
                partition.0
            );
            expected = Some(Offset(offset.0 + 1));
        }
        self.check_offset(delivery.next, expected)
            .seen_while("where to read on")
    }

    fn check_offset(&self, seen: Offset, expected: Option<Offset>) -> Result<(), Seen> {
        let Some(expected) = expected else {
            return Ok(());
        };
        ensure!(
            seen >= expected,
            "offset {} comes after {} was reached",
            seen.0,
            expected.0
        );
        ensure!(
            seen == expected || !self.contiguous,
            "offsets {} to {} are missing",
            expected.0,
            seen.0 - 1
        );
        Ok(())
    }
}

/// Everything that is kept of a partition, which must be so many envelopes and no more.
pub(crate) async fn read_all(
    transport: &dyn Transport,
    partition: u16,
    count: usize,
) -> Result<Vec<Item>, Seen> {
    let mut reader = Reader::of(transport, partition, Start::Earliest).await?;
    let items = reader.take(count).await?;
    reader.expect_silence().await?;
    Ok(items)
}

/// Which error a reader gets that starts there, whether from subscribing or from reading.
pub(crate) async fn error_at(
    transport: &dyn Transport,
    partition: u16,
    start: Offset,
) -> Result<Option<ReadError>, Seen> {
    let from = vec![(Partition(partition), Start::At(start))];
    match transport.subscribe(from, ReadOptions::default()).await {
        Err(error) => Ok(Some(error)),
        Ok(mut subscription) => match timeout(PATIENCE, subscription.next()).await {
            Ok(Err(error)) => Ok(Some(error)),
            Ok(Ok(_)) | Err(_) => Ok(None),
        },
    }
}

/// Checks that what was read is what was stored, in that order and at those offsets.
pub(crate) fn compare(read: &[Item], stored: &[Stored]) -> Result<(), Seen> {
    for (index, ((offset, envelope), stored)) in read.iter().zip(stored).enumerate() {
        ensure!(
            *envelope == stored.envelope,
            "envelope {index}: {} was stored and {} was read; their payloads {}",
            describe(&stored.envelope),
            describe(envelope),
            difference(&stored.envelope.payload, &envelope.payload)
        );
        ensure!(
            *offset == stored.acked.offset,
            "envelope {index} was acked at offset {} and read at {}",
            stored.acked.offset.0,
            offset.0
        );
    }
    ensure!(
        read.len() == stored.len(),
        "{} envelopes were stored and {} were read",
        stored.len(),
        read.len()
    );
    Ok(())
}

/// An envelope in a few words, without its payload.
pub(crate) fn describe(envelope: &Envelope) -> String {
    format!(
        "{:?} batch {:032x} part {}/{} of {} records, received at {}, {} bytes",
        envelope.kind,
        envelope.batch.0,
        envelope.part.index,
        envelope.part.count,
        envelope.records,
        envelope.received_unix_nano,
        envelope.payload.len(),
    )
}

fn difference(stored: &[u8], read: &[u8]) -> String {
    match stored.iter().zip(read).position(|(a, b)| a != b) {
        Some(at) => format!("differ from byte {at} on"),
        None => "are the same as far as the shorter one goes".into(),
    }
}

fn describe_next(next: &Result<Option<Delivery>, ReadError>) -> String {
    match next {
        Ok(None) => "the end".into(),
        Ok(Some(delivery)) => format!(
            "{} envelopes of partition {}",
            delivery.items.len(),
            delivery.partition.0
        ),
        Err(error) => format!("an error: {error}"),
    }
}
