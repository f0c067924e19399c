//! The bytes of an envelope, written out. They were made by another program from the table in `envelope.rs`, and never
//! change: logs that were written yesterday must be readable tomorrow.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use bytes::Bytes;
use log_tracer_transport::{BatchId, Envelope, EnvelopeError, Kind, Part, Partition};

#[rustfmt::skip]
const TRACES: [u8; 60] = [
    b'L', b'T', b'E', b'V',                                 // magic
    1,                                                      // version
    1,                                                      // kind: traces
    0, 0,                                                   // reserved
    0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0x00,         // batch id
    0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x01,
    2, 0, 5, 0,                                             // part 2 of 5
    3, 0, 0, 0,                                             // records
    0x15, 0xcd, 0x85, 0x3d, 0xfe, 0x9c, 0x97, 0x17,         // received
    4, 0, 0, 0, 0, 0, 0, 0,                                 // payload length
    0xc2, 0x98, 0xab, 0x56,                                 // payload checksum
    0xd5, 0x57, 0x22, 0xa5,                                 // header checksum
    0x0a, 0x02, 0x12, 0x00,                                 // payload
];

#[rustfmt::skip]
const EMPTY_LOGS: [u8; 56] = [
    b'L', b'T', b'E', b'V', 1, 2, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 1, 0,
    0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0,
    0x8f, 0x64, 0x47, 0xe4,
];

fn traces() -> Envelope {
    Envelope {
        partition: Partition(7),
        kind: Kind::Traces,
        batch: BatchId(0x0123_4567_89ab_cdef_0011_2233_4455_6677),
        part: Part { index: 2, count: 5 },
        records: 3,
        received_unix_nano: 1_700_000_000_123_456_789,
        payload: Bytes::from_static(&[0x0a, 0x02, 0x12, 0x00]),
        is_checked: false,
    }
}

fn empty_logs() -> Envelope {
    Envelope {
        partition: Partition(0),
        kind: Kind::Logs,
        batch: BatchId(0),
        part: Part::WHOLE,
        records: 0,
        received_unix_nano: 0,
        payload: Bytes::new(),
        is_checked: false,
    }
}

/// The header with some bytes replaced and its checksum made right again.
fn with_header(at: usize, bytes: &[u8]) -> Bytes {
    let mut encoded = TRACES.to_vec();
    encoded[at..at + bytes.len()].copy_from_slice(bytes);
    let checksum = crc32c::crc32c(&encoded[..52]);
    encoded[52..56].copy_from_slice(&checksum.to_le_bytes());
    encoded.into()
}

fn error_of(bytes: impl Into<Bytes>) -> EnvelopeError {
    Envelope::decode(Partition(0), bytes.into()).unwrap_err()
}

#[test]
fn an_envelope_is_encoded_as_it_always_was() {
    assert_eq!(traces().encode().as_ref(), TRACES);
    assert_eq!(empty_logs().encode().as_ref(), EMPTY_LOGS);
    assert_eq!(traces().encoded_len(), TRACES.len());
    assert_eq!(Envelope::HEADER_BYTES, EMPTY_LOGS.len());
}

#[test]
fn an_envelope_of_old_is_decoded() {
    let decode = |bytes: &'static [u8], partition| {
        Envelope::decode(Partition(partition), Bytes::from_static(bytes)).unwrap()
    };
    assert_eq!(decode(&TRACES, 7), traces());
    assert_eq!(decode(&EMPTY_LOGS, 0), empty_logs());
}

#[test]
fn what_is_read_back_was_not_checked_by_anybody() {
    let checked = Envelope {
        is_checked: true,
        ..traces()
    };
    assert_eq!(checked.encode().as_ref(), TRACES);
    let decoded = Envelope::decode(Partition(7), checked.encode()).unwrap();
    assert_eq!(decoded, traces());
}

#[test]
fn the_header_alone_is_the_start_of_the_whole() {
    assert_eq!(traces().encode_header(), TRACES[..56]);
}

#[test]
fn a_decoded_payload_shares_the_bytes_it_came_from() {
    let encoded = traces().encode();
    let decoded = Envelope::decode(Partition(0), encoded.clone()).unwrap();
    assert_eq!(decoded.payload.as_ptr(), encoded[56..].as_ptr());
}

#[test]
fn too_few_and_too_many_bytes_are_told_apart() {
    let truncated = |have, need| EnvelopeError::Truncated { have, need };
    assert_eq!(error_of(Bytes::new()), truncated(0, 56));
    assert_eq!(error_of(TRACES[..55].to_vec()), truncated(55, 56));
    assert_eq!(error_of(TRACES[..59].to_vec()), truncated(59, 60));

    let mut longer = TRACES.to_vec();
    longer.push(0);
    let error = error_of(longer);
    assert_eq!(error, EnvelopeError::Trailing { have: 61, need: 60 });
    assert_eq!(error.to_string(), "61 bytes where the header says 60");
}

#[test]
fn a_length_that_no_memory_holds_is_missing_bytes() {
    let error = error_of(with_header(40, &u64::MAX.to_le_bytes()));
    assert_eq!(
        error,
        EnvelopeError::Truncated {
            have: 60,
            need: usize::MAX
        }
    );
}

#[test]
fn foreign_bytes_and_a_newer_version_are_not_called_corrupt() {
    let mut foreign = TRACES;
    foreign[0] = b'l';
    assert_eq!(
        error_of(foreign.to_vec()).to_string(),
        "it starts with [6c, 54, 45, 56], an envelope with [4c, 54, 45, 56]"
    );
    let mut newer = TRACES;
    newer[4] = 2;
    assert_eq!(
        error_of(newer.to_vec()).to_string(),
        "version 2, this build reads version 1"
    );
}

#[test]
fn what_version_1_does_not_have_is_refused_by_name() {
    let refused = [
        (
            with_header(5, &[3]),
            "kind 3, expected 1 (traces) or 2 (logs)",
        ),
        (
            with_header(6, &[1, 0]),
            "the reserved field is 1, expected 0",
        ),
        (
            with_header(24, &[5, 0]),
            "part 5 of 5, expected an index less than the count",
        ),
        (
            with_header(24, &[0, 0, 0, 0]),
            "part 0 of 0, expected an index less than the count",
        ),
    ];
    for (bytes, message) in refused {
        assert_eq!(error_of(bytes).to_string(), message);
    }
}

#[test]
fn a_changed_header_and_a_changed_payload_are_told_apart() {
    let mut header = TRACES;
    header[28] = 4;
    assert!(matches!(
        error_of(header.to_vec()),
        EnvelopeError::HeaderChecksum {
            expected: 0xa522_57d5,
            ..
        }
    ));
    let mut payload = TRACES;
    payload[59] = 1;
    let error = error_of(payload.to_vec());
    assert!(matches!(
        error,
        EnvelopeError::PayloadChecksum {
            expected: 0x56ab_98c2,
            ..
        }
    ));
    assert!(error.to_string().ends_with("56ab98c2 was written with it"));
}
