//! Any payload is applied or set aside; none stops a partition.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod common;

use bytes::Bytes;
use common::{Harness, envelope, logs, one_log, record, span, span_envelope, spans};
use log_tracer_transport::{Envelope, Kind};
use proptest::prelude::*;

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Traces), Just(Kind::Logs)]
}

/// Any bytes, and good payloads with a few bytes changed, cut off or doubled.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let good = prop_oneof![
        Just(span_envelope(
            1,
            vec![spans(
                "shop",
                vec![span(1, 1, 0, "a", 0, 1), span(1, 2, 1, "b", 0, 1)]
            )]
        )),
        Just(common::log_envelope(
            1,
            vec![logs("shop", vec![record("a", 0), record("b", 1)])]
        )),
    ];
    let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6);
    let mutated = (good, changes, any::<prop::sample::Index>(), 0..3_u8).prop_map(
        |(good, changes, at, how): (Envelope, _, prop::sample::Index, u8)| {
            let mut bytes = good.payload.to_vec();
            for (index, value) in changes {
                let index = index.index(bytes.len());
                bytes[index] = value;
            }
            let at = at.index(bytes.len());
            match how {
                0 => bytes.truncate(at),
                1 => bytes.extend_from_within(at..),
                _ => {}
            }
            bytes
        },
    );
    prop_oneof![proptest::collection::vec(any::<u8>(), 0..200), mutated]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_payload_is_applied_or_set_aside_and_never_blocks_its_partition(
        payloads in proptest::collection::vec((kind(), payload(), 0_usize..4), 1..8),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let mut harness = Harness::start().await;
            let count = payloads.len() as u64;
            let mut announced = 0;
            let mut envelopes = Vec::new();
            for (batch, (kind, payload, records)) in (1..).zip(payloads) {
                announced += records as u64;
                envelopes.push(envelope(batch, kind, records, Bytes::from(payload)));
            }
            envelopes.push(one_log(1_000, "the last one", 0));
            let acks = harness.publish(envelopes).await;
            harness.wait_for(&acks[acks.len() - 1..]).await.unwrap();

            let status = harness.status().await;
            prop_assert_eq!(status.health, "ready");
            prop_assert_eq!(status.partitions[0].applied_next, count + 1);
            prop_assert!(status.quarantined_envelopes <= count);
            let applied: u64 = status.stores.iter().map(|store| store.applied_rows).sum();
            prop_assert!(applied <= announced + 1, "{} rows of {} announced", applied, announced);
            Ok(())
        })?;
    }

    #[test]
    fn a_payload_that_is_not_protobuf_is_always_set_aside(
        kind in kind(),
        rest in proptest::collection::vec(any::<u8>(), 0..50),
        records in 0_usize..4,
    ) {
        // Field 0 does not exist.
        let payload: Vec<u8> = std::iter::once(0x00).chain(rest).collect();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let mut harness = Harness::start().await;
            let acks = harness.publish(vec![envelope(1, kind, records, payload.into()), one_log(2, "after", 0)]).await;
            harness.wait_for(&acks[1..]).await.unwrap();
            let status = harness.status().await;
            prop_assert_eq!(status.quarantined_envelopes, 1);
            Ok(())
        })?;
    }
}
