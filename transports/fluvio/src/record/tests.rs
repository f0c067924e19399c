#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::io::Cursor;

use fluvio_protocol::record::{Batch, MemoryRecords};
use log_tracer_transport::{BatchId, Kind, Part, Partition};
use proptest::prelude::*;

use super::*;

const ID: LogId = LogId(0x0123_4567_89ab_cdef_0011_2233_4455_6677);

fn envelope(number: u64, payload: Vec<u8>) -> Envelope {
    Envelope {
        partition: Partition(0),
        kind: Kind::Traces,
        batch: BatchId(u128::from(number)),
        part: Part::WHOLE,
        records: 1,
        received_unix_nano: number,
        payload: payload.into(),
        is_checked: false,
    }
}

fn envelopes() -> impl Strategy<Value = Vec<Envelope>> {
    // Lengths around those where a number takes another byte.
    let length = prop_oneof![0..80_usize, 8_000..8_300_usize];
    prop::collection::vec((any::<u64>(), length), 1..12).prop_map(|all| {
        let all = all.into_iter();
        all.map(|(number, length)| envelope(number, vec![number as u8; length]))
            .collect()
    })
}

/// As an SPU stores it: with the offset that it has there.
fn at(base: i64, batch: &Bytes) -> Bytes {
    let mut stored = batch.to_vec();
    stored[..8].copy_from_slice(&base.to_be_bytes());
    stored.into()
}

fn read(bytes: &Bytes) -> Fetched {
    let mut fetched = Fetched::default();
    decode(bytes, &mut fetched).unwrap();
    fetched
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_and_no_larger_than_foretold(
        batches in prop::collection::vec(envelopes(), 1..4),
        base in 0..1_u64 << 40,
    ) {
        let mut bytes = Vec::new();
        let mut next = base;
        for batch in &batches {
            let encoded = encode(ID, 7, batch.iter());
            let payload: usize = batch.iter().map(Envelope::encoded_len).sum();
            prop_assert!(encoded.len() <= payload + overhead_bytes(batch.len()));
            bytes.extend_from_slice(&at(next as i64, &encoded));
            next += batch.len() as u64;
        }
        let fetched = read(&bytes.into());
        prop_assert_eq!(fetched.cut, None);
        let all: Vec<&Envelope> = batches.iter().flatten().collect();
        prop_assert_eq!(fetched.records.len(), all.len());
        for ((index, read), envelope) in (0..).zip(&fetched.records).zip(all) {
            prop_assert_eq!(read.offset, base + index);
            prop_assert_eq!(read.key.as_ref().unwrap().to_vec(), ID.0.to_be_bytes().to_vec());
            prop_assert_eq!(&Envelope::decode(Partition(0), read.value.clone()).unwrap(), envelope);
        }
    }

    #[test]
    fn fluvio_reads_what_is_encoded_and_writes_it_the_same(batch in envelopes()) {
        let encoded = encode(ID, 7, batch.iter());
        let theirs = Batch::<MemoryRecords>::decode_from(&mut Cursor::new(&encoded), 0).unwrap();
        prop_assert_eq!(theirs.records().len(), batch.len());
        for (record, envelope) in theirs.records().iter().zip(&batch) {
            prop_assert_eq!(record.value().to_vec(), envelope.encode().to_vec());
            prop_assert_eq!(record.key().unwrap().as_ref(), ID.0.to_be_bytes());
        }
        let mut again = Vec::new();
        theirs.encode(&mut again, 0).unwrap();
        prop_assert_eq!(again, encoded);
    }

    #[test]
    fn a_batch_that_is_cut_off_is_never_taken_for_a_whole_one(
        first in envelopes(),
        second in envelopes(),
        cut in any::<prop::sample::Index>(),
    ) {
        let first_bytes = encode(ID, 7, first.iter());
        let second_bytes = at(first.len() as i64, &encode(ID, 7, second.iter()));
        let both: Vec<u8> = first_bytes.iter().chain(&second_bytes).copied().collect();
        let left = 1 + cut.index(second_bytes.len() - 1);
        let fetched = read(&both[..first_bytes.len() + left].to_vec().into());
        prop_assert_eq!(fetched.records.len(), first.len());
        let found = fetched.cut.unwrap();
        prop_assert!(left < 12 || found.need_bytes == Some(second_bytes.len()));
        prop_assert!(left < 27 || found.end == Some((first.len() + second.len()) as u64));
    }

    #[test]
    fn a_flipped_bit_is_seen_fuzz(batch in envelopes(), place in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let encoded = encode(ID, 7, batch.iter());
        // The offset and the leader epoch are not covered by the checksum, as an SPU sets them.
        let mut bytes = encoded.to_vec();
        let place = 16 + place.index(bytes.len() - 16);
        bytes[place] ^= 1_u8 << bit;
        let mut fetched = Fetched::default();
        prop_assert!(decode(&bytes.into(), &mut fetched).is_err());
        prop_assert!(fetched.records.is_empty());
    }

    #[test]
    fn foreign_bytes_are_refused_or_read_and_never_panic_fuzz(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        batch in envelopes(),
        place in any::<prop::sample::Index>(),
    ) {
        let mut fetched = Fetched::default();
        let _ = decode(&bytes.clone().into(), &mut fetched);
        let mut response = RecordBytes::default();
        let _ = response.decode(&mut Cursor::new(&bytes), 0);
        // Records that have the right checksum and make no sense.
        let mut records = encode(ID, 7, batch.iter()).to_vec();
        let place = 61 + place.index(records.len() - 61);
        let end = records.len().min(place + bytes.len());
        records[place..end].copy_from_slice(&bytes[..end - place]);
        let crc = crc32c(&records[21..]);
        records[17..21].copy_from_slice(&crc.to_be_bytes());
        let _ = decode(&records.into(), &mut Fetched::default());
    }

    #[test]
    fn the_records_of_a_response_are_what_was_sent(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let sent = RecordBytes(bytes.clone().into());
        let mut encoded = Vec::new();
        sent.encode(&mut encoded, 0).unwrap();
        prop_assert_eq!(encoded.len(), sent.write_size(0));
        let mut back = RecordBytes::default();
        back.decode(&mut Cursor::new(&encoded), 0).unwrap();
        prop_assert_eq!(back.0, bytes);
    }

    #[test]
    fn numbers_of_every_size_come_back(value in any::<i64>(), bits in 0_u32..64) {
        let value = value >> bits;
        let mut out = BytesMut::new();
        put_varint(&mut out, value);
        prop_assert_eq!(out.len(), varint_bytes(value));
        let mut rest = out.freeze();
        prop_assert_eq!(varint(&mut rest), Ok(value));
        prop_assert!(rest.is_empty());
    }
}

#[test]
fn an_entry_of_the_ledger_has_no_key() {
    let fetched = read(&encode_plain(7, b"entry"));
    let expected = Read {
        offset: 0,
        key: None,
        value: Bytes::from_static(b"entry"),
    };
    assert_eq!(fetched.records, [expected]);
}
