//! Where traces and services go, written out. The hashes were computed by another implementation of xxh3, and never
//! change: every producer of every version must send a trace to the same partition.

#![allow(clippy::unwrap_used)]

use std::num::NonZeroU16;

use log_tracer_transport::{Partition, partition_of_service, partition_of_trace};

const PARTITIONS: [u16; 7] = [1, 2, 3, 8, 64, 1000, 65535];

const TRACES: [(u128, [u16; 7]); 6] = [
    (
        0x0000_0000_0000_0000_0000_0000_0000_0001,
        [0, 1, 1, 3, 59, 947, 35962],
    ),
    (
        0xffff_ffff_ffff_ffff_ffff_ffff_ffff_ffff,
        [0, 1, 1, 3, 19, 259, 19729],
    ),
    (
        0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f,
        [0, 1, 0, 3, 27, 19, 52719],
    ),
    (
        0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736,
        [0, 0, 1, 2, 58, 458, 26953],
    ),
    (
        0x5b8e_fff7_9803_8103_d269_b633_813f_c60c,
        [0, 0, 0, 0, 48, 904, 18594],
    ),
    (
        0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c,
        [0, 0, 0, 2, 50, 794, 48189],
    ),
];

const SERVICES: [(&str, [u16; 7]); 5] = [
    ("", [0, 0, 1, 2, 2, 138, 31393]),
    ("checkout", [0, 0, 0, 4, 12, 572, 24252]),
    ("unknown_service", [0, 0, 0, 6, 62, 46, 35871]),
    ("unknown_service:java", [0, 1, 0, 1, 33, 465, 22890]),
    ("größe-α-🛒", [0, 0, 2, 4, 12, 76, 13376]),
];

fn on_each_count(partition_of: impl Fn(NonZeroU16) -> Partition) -> [u16; 7] {
    PARTITIONS.map(|count| partition_of(NonZeroU16::new(count).unwrap()).0)
}

#[test]
fn a_trace_goes_where_it_always_went() {
    for (id, expected) in TRACES {
        let seen = on_each_count(|count| partition_of_trace(&id.to_be_bytes(), count));
        assert_eq!(seen, expected, "trace {id:032x}");
    }
}

#[test]
fn a_service_goes_where_it_always_went() {
    for (service, expected) in SERVICES {
        let seen = on_each_count(|count| partition_of_service(service, count));
        assert_eq!(seen, expected, "service {service:?}");
    }
    let long = "a".repeat(300);
    let seen = on_each_count(|count| partition_of_service(&long, count));
    assert_eq!(seen, [0, 1, 1, 1, 33, 633, 36448], "a name of 300 bytes");
}

#[test]
fn traces_spread_evenly() {
    let partitions = NonZeroU16::new(8).unwrap();
    let mut traces = [0_u32; 8];
    for id in 0..8_000_u128 {
        let partition = partition_of_trace(&id.to_be_bytes(), partitions);
        *traces.get_mut(usize::from(partition.0)).unwrap() += 1;
    }
    assert!(
        traces.iter().all(|count| (850..1150).contains(count)),
        "{traces:?}"
    );
}
