use proptest::{collection::vec, prelude::*};

use super::*;

fn frame() -> Frame {
    Frame {
        kind: FrameKind::Envelope,
        partition: 0x0102,
        salt: 0x1112_1314_1516_1718,
        group: 0x2122_2324_2526_2728,
        index: 0x3132_3334,
        body_checksum: 0x4142_4344,
        offset: 0x5152_5354_5556_5758,
        body_bytes: 0x61,
        written_unix_millis: 0x7172_7374_7576_7778,
        batch: BatchId(0x8182_8384_8586_8788_8990_9192_9394_9596),
        part: Part {
            index: 0x0a,
            count: 0x0b,
        },
    }
}

#[test]
fn a_header_has_the_layout_that_is_written_down() {
    let header = frame().encode();
    let expected = [
        b"LTJF".as_slice(),
        &[1, 1],
        &[0x02, 0x01],
        &[0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11],
        &[0x28, 0x27, 0x26, 0x25, 0x24, 0x23, 0x22, 0x21],
        &[0x34, 0x33, 0x32, 0x31],
        &[0x44, 0x43, 0x42, 0x41],
        &[0x58, 0x57, 0x56, 0x55, 0x54, 0x53, 0x52, 0x51],
        &[0x61, 0, 0, 0, 0, 0, 0, 0],
        &[0x78, 0x77, 0x76, 0x75, 0x74, 0x73, 0x72, 0x71],
        &[0x96, 0x95, 0x94, 0x93, 0x92, 0x91, 0x90, 0x89],
        &[0x88, 0x87, 0x86, 0x85, 0x84, 0x83, 0x82, 0x81],
        &[0x0a, 0, 0x0b, 0],
    ]
    .concat();
    assert_eq!(header[..76], expected);
    assert_eq!(header[76..], crc32c(&expected).to_le_bytes());
    assert_eq!(Frame::decode(&header), Ok(frame()));
}

#[test]
fn frames_start_at_multiples_of_8() {
    for (body, total) in [(0, 80), (1, 88), (8, 88), (9, 96), (u64::MAX, u64::MAX)] {
        assert_eq!(total_bytes(body), total);
    }
}

#[test]
fn every_flipped_bit_of_a_header_is_noticed() {
    for bit in 0..HEADER_BYTES * 8 {
        let mut header = frame().encode();
        header[bit / 8] ^= 1 << (bit % 8);
        assert!(Frame::decode(&header).is_err(), "bit {bit}");
    }
}

proptest! {
    #[test]
    fn fuzz_a_header_of_arbitrary_bytes(bytes in vec(any::<u8>(), HEADER_BYTES), mend in any::<bool>()) {
        let mut header: [u8; HEADER_BYTES] = bytes.try_into().unwrap();
        if mend {
            header[..4].copy_from_slice(&MAGIC);
            header[4] = VERSION;
            header[5] = header[5] % 4 + 1;
            let checksum = crc32c(&header[..76]).to_le_bytes();
            header[76..].copy_from_slice(&checksum);
        }
        // Bytes that pass for a header are one: they are what it encodes to.
        match Frame::decode(&header) {
            Ok(frame) => prop_assert_eq!(frame.encode(), header),
            Err(_) => prop_assert!(!mend),
        }
    }
}
