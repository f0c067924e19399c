//! Whatever bytes come in, the pipeline gives envelopes that can be read and fit, or a refusal. It never panics.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::num::NonZeroU16;

use log_tracer_producer::{
    ByteLimit, Encoding, Reason,
    pipeline::{Content, Prepared, Request, Rules, expected_memory_bytes, prepare},
};
use log_tracer_proto::{
    arbitrary::{resource_logs, resource_spans},
    json,
    otlp::{collector_logs::ExportLogsServiceRequest, collector_trace::ExportTraceServiceRequest},
};
use log_tracer_transport::Kind;
use proptest::{collection::vec, prelude::*};
use prost::Message;

const CONTENTS: [Content; 5] = [
    Content::Traces,
    Content::TracesJson,
    Content::Logs,
    Content::LogsJson,
    Content::Submit,
];
const ENCODINGS: [Encoding; 4] = [
    Encoding::Identity,
    Encoding::Gzip,
    Encoding::Deflate,
    Encoding::Zstd,
];

fn rules() -> impl Strategy<Value = Rules> {
    (1..9_u16, 0..4_000_usize, 1..100_000_usize).prop_map(
        |(partitions, payload_bytes_max, request_bytes_max)| Rules {
            partitions: NonZeroU16::new(partitions).unwrap(),
            payload_bytes_max,
            request_bytes_max,
        },
    )
}

fn run(content: Content, encoding: Encoding, bytes: Vec<u8>, rules: &Rules) {
    let request = Request {
        content,
        encoding,
        bytes: bytes.into(),
        idempotency_key: None,
        received_unix_nano: 1,
    };
    let expected = expected_memory_bytes(&request, rules);
    assert!(expected <= 8 * rules.request_bytes_max);
    match prepare(&request, rules, &mut ByteLimit(16 << 20)) {
        Ok(prepared) => assert_sound(&prepared, rules),
        Err(refusal) => {
            let reason = refusal.reason;
            assert!(
                matches!(reason, Reason::Malformed | Reason::TooLarge),
                "{refusal}"
            );
        }
    }
}

fn assert_sound(prepared: &Prepared, rules: &Rules) {
    let mut accepted = 0;
    for envelope in &prepared.envelopes {
        accepted += u64::from(envelope.records);
        assert!(envelope.records > 0);
        assert!(envelope.part.is_valid());
        assert!(envelope.partition.0 < rules.partitions.get());
        assert!(envelope.payload.len() <= rules.payload_bytes_max);
        let payload = envelope.payload.clone();
        match envelope.kind {
            Kind::Traces => drop(ExportTraceServiceRequest::decode(payload).unwrap()),
            Kind::Logs => drop(ExportLogsServiceRequest::decode(payload).unwrap()),
        }
    }
    assert_eq!(accepted, prepared.accepted);
}

fn cases(cases: u32) -> ProptestConfig {
    let default = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    // PROPTEST_CASES, when it is set, counts instead.
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => default,
        None => ProptestConfig { cases, ..default },
    }
}

/// Changes, removes and repeats bytes here and there.
fn mutate(mut bytes: Vec<u8>, edits: &[(u16, u8, u8)]) -> Vec<u8> {
    for (at, kind, value) in edits {
        if bytes.is_empty() {
            return bytes;
        }
        let at = usize::from(*at) % bytes.len();
        match kind % 4 {
            0 => bytes[at] = *value,
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, *value),
            _ => bytes.truncate(at),
        }
    }
    bytes
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn arbitrary_bytes_are_refused_or_stored_but_never_panic(
        bytes in vec(any::<u8>(), 0..600),
        rules in rules(),
    ) {
        for content in CONTENTS {
            for encoding in ENCODINGS {
                run(content, encoding, bytes.clone(), &rules);
            }
        }
    }

    #[test]
    fn damaged_traces_are_refused_or_stored_but_never_panic(
        resource_spans in resource_spans(),
        edits in vec(any::<(u16, u8, u8)>(), 0..4),
        rules in rules(),
    ) {
        let text = json::traces_to_json(&resource_spans).into_bytes();
        run(Content::TracesJson, Encoding::Identity, mutate(text, &edits), &rules);
        let request = ExportTraceServiceRequest { resource_spans };
        let protobuf = mutate(request.encode_to_vec(), &edits);
        for encoding in [Encoding::Gzip, Encoding::Zstd] {
            let compressed = match encoding {
                Encoding::Zstd => zstd::encode_all(protobuf.as_slice(), 1).unwrap(),
                _ => gzip(&protobuf),
            };
            run(Content::Traces, encoding, compressed.clone(), &rules);
            run(Content::Traces, encoding, mutate(compressed, &edits), &rules);
        }
        run(Content::Submit, Encoding::Identity, protobuf.clone(), &rules);
        run(Content::Traces, Encoding::Identity, protobuf, &rules);
    }

    #[test]
    fn damaged_logs_are_refused_or_stored_but_never_panic(
        resource_logs in resource_logs(),
        edits in vec(any::<(u16, u8, u8)>(), 0..4),
        rules in rules(),
    ) {
        let text = json::logs_to_json(&resource_logs).into_bytes();
        run(Content::LogsJson, Encoding::Identity, mutate(text, &edits), &rules);
        let request = ExportLogsServiceRequest { resource_logs };
        let protobuf = mutate(request.encode_to_vec(), &edits);
        run(Content::Logs, Encoding::Identity, protobuf, &rules);
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
