//! Envelopes that can be told apart, a publisher that does not give up, and a reader that sees everything.

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use log_tracer_transport::{
    Acked, BatchId, Envelope, Kind, Offset, Part, Partition, PublishError, ReadOptions, Start,
    Transport,
};
use tokio::time::{Instant, timeout};

/// How long anything may take that must go on.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn soon() -> Instant {
    Instant::now() + PATIENCE
}

/// The envelope of that number, of so many encoded bytes.
pub(crate) fn envelope(number: u64, bytes: usize) -> Envelope {
    let payload = vec![number as u8; bytes - Envelope::HEADER_BYTES];
    Envelope {
        partition: Partition(0),
        kind: Kind::Logs,
        batch: BatchId(u128::from(number)),
        part: Part::WHOLE,
        records: 1,
        received_unix_nano: number,
        payload: Bytes::from(payload),
        is_checked: false,
    }
}

/// Publishes until it is acked, with the same ids every time, and gives the acks of the call that succeeded.
pub(crate) async fn publish_until_acked(
    transport: &dyn Transport,
    batch: Vec<Envelope>,
) -> Vec<Acked> {
    let give_up = Instant::now() + 3 * PATIENCE;
    loop {
        let deadline = Instant::now() + Duration::from_secs(5);
        match transport.publish(batch.clone(), deadline).await {
            Ok(acks) => return acks,
            Err(PublishError::Busy | PublishError::OutcomeUnknown(_))
                if Instant::now() < give_up => {}
            Err(error) => panic!("publishing: {error}"),
        }
    }
}

/// What a reader saw: the number of every envelope, by offset.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) numbers: Vec<u64>,
    pub(crate) bytes: usize,
}

/// Reads a partition from its earliest until it has seen so many different envelopes, and checks that no offset is
/// missing and that every envelope is what was sent.
pub(crate) async fn read_all(transport: &dyn Transport, different: usize) -> Seen {
    let from = vec![(Partition(0), Start::Earliest)];
    let mut reader = transport
        .subscribe(from, ReadOptions::default())
        .await
        .unwrap();
    let mut seen = Seen::default();
    let mut known: HashMap<u64, ()> = HashMap::new();
    while known.len() < different {
        let next = timeout(3 * PATIENCE, reader.next()).await;
        let next =
            next.unwrap_or_else(|_| panic!("nothing comes after {} of {different}", known.len()));
        let delivery = next.unwrap().expect("the reader ended");
        for (offset, read) in delivery.items {
            assert_eq!(
                offset,
                Offset(seen.numbers.len() as u64),
                "an offset is missing or comes twice"
            );
            let number = read.received_unix_nano;
            assert_eq!(read, envelope(number, read.encoded_len()));
            seen.bytes += read.encoded_len();
            seen.numbers.push(number);
            known.insert(number, ());
        }
    }
    seen
}

/// Checks that the envelopes are there in their order, each at the offset of its ack, and how often any was stored again.
pub(crate) fn check(seen: &Seen, acked: &[Acked]) -> usize {
    for (number, ack) in acked.iter().enumerate() {
        let at = seen.numbers.get(ack.offset.0 as usize);
        assert_eq!(
            at,
            Some(&(number as u64)),
            "what was acked is not where it was acked"
        );
    }
    let mut first = vec![usize::MAX; acked.len()];
    for (offset, number) in seen.numbers.iter().enumerate() {
        let place = &mut first[*number as usize];
        *place = (*place).min(offset);
    }
    assert!(first.is_sorted(), "the order was changed");
    seen.numbers.len() - acked.len()
}
