//! The bytes that a store says it takes, against what the process takes. Alone in its process, so that nothing else
//! grows meanwhile.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::{fs, sync::Arc};

use bytes::Bytes;
use log_tracer_query::Query;
use log_tracer_record::{
    ResourceContext, SpanRow,
    otlp::{
        common::{AnyValue, KeyValue, any_value::Value},
        trace::Span,
    },
};
use log_tracer_store::{Config, Origin, RecordSearch, Stop, Store, TimeRange};

const BOUND_BYTES: u64 = 32 << 20;

#[test]
fn the_process_grows_by_little_more_than_the_bound() {
    let config = Config {
        spans_bytes_max: BOUND_BYTES,
        chunk_bytes_max: 2 << 20,
        ..Config::default()
    };
    let store = Store::new(config).unwrap();
    let search = RecordSearch {
        query: Query::default(),
        range: TimeRange::ALL,
        limit: 1,
        bytes_max: u64::MAX,
        after: None,
        oldest_first: false,
    };
    let resource = Arc::default();
    let before = resident_bytes();
    for offset in 0..400 {
        let rows: Vec<SpanRow> = (0..500)
            .map(|n| span(&resource, offset * 500 + n))
            .collect();
        store.apply_spans(
            Origin {
                partition: 0,
                offset,
            },
            &rows,
        );
        // A search between applies takes a copy of the open chunk.
        store.search_spans(&search, &Stop::never());
    }
    let stats = store.stats().spans;
    let grown = resident_bytes() - before;
    assert!(stats.evicted_rows > stats.rows, "{stats:?}");
    assert!(stats.bytes > BOUND_BYTES / 2, "{stats:?}");
    // The allocator keeps some of what it got back: a fifth was measured.
    let allowed = BOUND_BYTES + BOUND_BYTES / 2;
    assert!(
        grown < allowed,
        "the process grew by {grown} bytes, the store says {}",
        stats.bytes
    );
}

fn span(resource: &Arc<ResourceContext>, number: u64) -> SpanRow {
    let attribute = |n: u64| KeyValue {
        key: format!("attribute.{n}"),
        value: Some(AnyValue {
            value: Some(Value::StringValue(format!("value {number} of {n}"))),
        }),
        ..KeyValue::default()
    };
    let span = Span {
        trace_id: Bytes::copy_from_slice(&u128::from(number / 30 + 1).to_be_bytes()),
        span_id: Bytes::copy_from_slice(&(number + 1).to_be_bytes()),
        name: format!("operation {}", number % 50),
        start_time_unix_nano: number,
        end_time_unix_nano: number + 9,
        attributes: (0..10).map(attribute).collect(),
        ..Span::default()
    };
    SpanRow {
        resource: Arc::clone(resource),
        scope: Arc::default(),
        span,
    }
}

fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kilobytes * 1024
}
