//! What holds for every envelope, and what decoding does with bytes from anywhere. `PROPTEST_CASES=100000` makes it long.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use bytes::Bytes;
use log_tracer_transport::{BatchId, Envelope, Kind, Part, Partition};
use proptest::{collection::vec, prelude::*, sample::Index};

prop_compose! {
    fn envelopes()(
        partition in any::<u16>(),
        traces in any::<bool>(),
        batch in any::<u128>(),
        (index, count) in (1..=u16::MAX).prop_flat_map(|count| (0..count, Just(count))),
        records in any::<u32>(),
        received_unix_nano in any::<u64>(),
        payload in vec(any::<u8>(), 0..200),
    ) -> Envelope {
        Envelope {
            partition: Partition(partition),
            kind: if traces { Kind::Traces } else { Kind::Logs },
            batch: BatchId(batch),
            part: Part { index, count },
            records,
            received_unix_nano,
            payload: payload.into(),
            is_checked: false,
        }
    }
}

fn decode(bytes: impl Into<Bytes>) -> Option<Envelope> {
    Envelope::decode(Partition(0), bytes.into()).ok()
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_as_it_was(envelope in envelopes()) {
        let encoded = envelope.encode();
        prop_assert_eq!(encoded.len(), envelope.encoded_len());
        let decoded = Envelope::decode(envelope.partition, encoded).unwrap();
        prop_assert_eq!(decoded, envelope);
    }

    #[test]
    fn every_cut_and_every_extra_byte_is_noticed(envelope in envelopes(), cut in any::<Index>(), extra in any::<u8>()) {
        let encoded = envelope.encode();
        prop_assert_eq!(decode(encoded.slice(..cut.index(encoded.len()))), None);
        let mut longer = encoded.to_vec();
        longer.push(extra);
        prop_assert_eq!(decode(longer), None);
    }

    #[test]
    fn arbitrary_bytes_are_refused_without_panic(bytes in vec(any::<u8>(), 0..300)) {
        prop_assert_eq!(decode(bytes), None);
    }

    /// Bytes that pass for an envelope are one: they are what it encodes to.
    #[test]
    fn what_survives_mutation_is_still_exactly_an_envelope(
        envelope in envelopes(),
        changes in vec((any::<Index>(), any::<u8>()), 0..8),
        mend_checksum in any::<bool>(),
    ) {
        let mut bytes = envelope.encode().to_vec();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if mend_checksum {
            let checksum = crc32c::crc32c(&bytes[..52]).to_le_bytes();
            bytes[52..56].copy_from_slice(&checksum);
        }
        if let Some(decoded) = decode(bytes.clone()) {
            prop_assert_eq!(decoded.encode(), bytes);
        }
    }
}

proptest! {
    // Each case flips every one of its bits.
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.div_ceil(8), ..ProptestConfig::default() })]

    #[test]
    fn every_single_flipped_bit_is_noticed(envelope in envelopes()) {
        let encoded = envelope.encode();
        for bit in 0..encoded.len() * 8 {
            let mut bytes = encoded.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(decode(bytes), None, "bit {}", bit);
        }
    }
}
