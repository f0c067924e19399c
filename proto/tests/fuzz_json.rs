//! Foreign bytes never make the reader panic, and what it takes can be sent on. `PROPTEST_CASES=100000` runs longer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use log_tracer_proto::{
    arbitrary::{resource_logs, resource_spans},
    json,
    otlp::{collector_logs::ExportLogsServiceRequest, collector_trace::ExportTraceServiceRequest},
};
use proptest::{collection::vec, prelude::*, sample::Index};
use prost::Message;

/// Reads bytes as both kinds of request. One that is taken is the same after JSON and after protobuf, and serde_json
/// takes it for JSON.
fn check(bytes: &[u8]) {
    if let Ok(request) = json::decode_traces(bytes) {
        let encoded = request.encode_to_vec();
        let json = json::traces_to_json(&request.resource_spans);
        let again = json::decode_traces(json.as_bytes()).unwrap();
        assert_eq!(again.encode_to_vec(), encoded);
        ExportTraceServiceRequest::decode(encoded.as_slice()).unwrap();
        serde_json::from_slice::<serde::de::IgnoredAny>(bytes).unwrap();
    }
    if let Ok(request) = json::decode_logs(bytes) {
        let encoded = request.encode_to_vec();
        let json = json::logs_to_json(&request.resource_logs);
        let again = json::decode_logs(json.as_bytes()).unwrap();
        assert_eq!(again.encode_to_vec(), encoded);
        ExportLogsServiceRequest::decode(encoded.as_slice()).unwrap();
    }
}

/// Pieces of OTLP/JSON in any order.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just(","),
        Just(":"),
        Just("null"),
        Just("\"resourceSpans\":"),
        Just("\"resourceLogs\":"),
        Just("\"scopeSpans\":"),
        Just("\"spans\":"),
        Just("\"scopeLogs\":"),
        Just("\"logRecords\":"),
        Just("\"body\":"),
        Just("\"attributes\":"),
        Just("\"value\":"),
        Just("\"values\":"),
        Just("\"arrayValue\":"),
        Just("\"intValue\":"),
        Just("\"traceId\":"),
        Just("\"ab\""),
        Just("\"x\""),
        Just("7"),
        Just("-1.5e3"),
        Just("true"),
        Just("\"\\ud800\""),
    ];
    vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// A change at one place.
#[derive(Clone, Debug)]
enum Mutation {
    Set(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Truncate(Index),
    Repeat(Index, Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    let byte = || {
        prop_oneof![
            any::<u8>(),
            prop::sample::select(&b"{}[]\",:0-1e.ntf\\u"[..])
        ]
    };
    prop_oneof![
        (at(), byte()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        (at(), byte()).prop_map(|(at, byte)| Mutation::Insert(at, byte)),
        at().prop_map(Mutation::Remove),
        at().prop_map(Mutation::Truncate),
        (at(), at()).prop_map(|(from, to)| Mutation::Repeat(from, to)),
    ]
}

fn mutate(bytes: &mut Vec<u8>, mutation: &Mutation) {
    if bytes.is_empty() {
        return;
    }
    let len = bytes.len();
    match mutation {
        Mutation::Set(at, byte) => bytes[at.index(len)] = *byte,
        Mutation::Insert(at, byte) => bytes.insert(at.index(len), *byte),
        Mutation::Remove(at) => drop(bytes.remove(at.index(len))),
        Mutation::Truncate(at) => bytes.truncate(at.index(len)),
        Mutation::Repeat(from, to) => {
            let (from, to) = (from.index(len), to.index(len));
            let piece = bytes[from.min(to)..from.max(to)].to_vec();
            bytes.splice(to..to, piece);
        }
    }
}

proptest! {
    #[test]
    fn any_bytes(bytes in vec(any::<u8>(), 0..64)) {
        check(&bytes);
    }

    #[test]
    fn any_order_of_pieces(text in pieces()) {
        check(text.as_bytes());
    }

    #[test]
    fn mutated_spans(request in resource_spans(), mutations in vec(mutation(), 1..4)) {
        let mut bytes = json::traces_to_json(&request).into_bytes();
        mutations.iter().for_each(|mutation| mutate(&mut bytes, mutation));
        check(&bytes);
    }

    #[test]
    fn mutated_log_records(request in resource_logs(), mutations in vec(mutation(), 1..4)) {
        let mut bytes = json::logs_to_json(&request).into_bytes();
        mutations.iter().for_each(|mutation| mutate(&mut bytes, mutation));
        check(&bytes);
    }
}
