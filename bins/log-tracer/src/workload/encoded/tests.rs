use std::collections::{HashMap, HashSet};

use log_tracer_proto::otlp::{
    collector_logs::ExportLogsServiceRequest, collector_trace::ExportTraceServiceRequest,
    common::any_value::Value, logs::LogRecord, trace::Span,
};
use prost::Message;

use super::*;

const NOW: u64 = 1_700_000_000_000_000_000;

fn source(batch: usize) -> Source {
    let shape = Shape {
        seed: 7,
        batch,
        spans: true,
        logs: true,
    };
    Source::new(std::sync::Arc::new(Corpus::new(shape).unwrap()))
}

#[derive(Default)]
struct Sent {
    spans: Vec<Span>,
    logs: Vec<LogRecord>,
    keys: HashSet<u64>,
    orders: HashMap<u64, u64>,
}

fn send(source: &Source, records: u64) -> Sent {
    let mut sent = Sent::default();
    while let Some(ticket) = source.next(Some(records), |_| Moment::EndingAt(NOW)) {
        let template = source.template(&ticket).unwrap();
        let mut bytes = Vec::new();
        template.write(&ticket.instances, &mut bytes);
        match template.signal {
            Signal::Spans => {
                let request = ExportTraceServiceRequest::decode(bytes.as_slice()).unwrap();
                let groups = request.resource_spans.into_iter();
                sent.spans.extend(
                    groups
                        .flat_map(|group| group.scope_spans)
                        .flat_map(|scope| scope.spans),
                );
            }
            Signal::Logs => {
                let request = ExportLogsServiceRequest::decode(bytes.as_slice()).unwrap();
                let groups = request.resource_logs.into_iter();
                sent.logs.extend(
                    groups
                        .flat_map(|group| group.scope_logs)
                        .flat_map(|scope| scope.log_records),
                );
                for (piece, instance) in template.pieces.iter().zip(&ticket.instances) {
                    *sent.orders.entry(instance.key).or_default() += piece.order_records;
                }
            }
        }
        sent.keys
            .extend(ticket.instances.iter().map(|instance| instance.key));
    }
    sent
}

#[test]
fn every_span_has_an_id_of_its_own_and_its_parent_in_its_trace_wherever_requests_are_cut() {
    for batch in [1, 7, 3_000] {
        let source = source(batch);
        // A round and a bit.
        let sent = send(&source, source.corpus.records() + 5_000);
        let ids: HashMap<_, _> = sent
            .spans
            .iter()
            .map(|span| {
                (
                    (span.trace_id.clone(), span.span_id.clone()),
                    span.start_time_unix_nano,
                )
            })
            .collect();
        assert_eq!(ids.len(), sent.spans.len(), "batch {batch}");
        let traces: HashSet<_> = sent
            .spans
            .iter()
            .map(|span| span.trace_id.clone())
            .collect();
        // At the very end, a trace may have been sent with its logs only.
        assert!(traces.len() <= sent.keys.len());
        assert!(traces.len() + 3_000 > sent.keys.len());
        for span in &sent.spans {
            assert!(span.start_time_unix_nano > NOW - 600_000_000_000);
            assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
            assert!(span.end_time_unix_nano <= NOW + 1);
            if !span.parent_span_id.is_empty() {
                let parent = ids[&(span.trace_id.clone(), span.parent_span_id.clone())];
                assert!(parent <= span.start_time_unix_nano);
            }
        }
        let mut found = 0;
        for log in &sent.logs {
            // At the very end, the span of a log may be in the request that was not sent any more.
            if let Some(start) = ids.get(&(log.trace_id.clone(), log.span_id.clone())) {
                assert!(log.time_unix_nano >= *start);
                found += 1;
            }
        }
        assert!(found + 3_000 > sent.logs.len());
    }
}

#[test]
fn the_counted_orders_are_those_that_the_logs_name() {
    let source = source(100);
    let sent = send(&source, source.corpus.records());
    let mut found: HashMap<String, u64> = HashMap::new();
    for log in &sent.logs {
        let texts = log.attributes.iter().filter_map(|attribute| {
            match attribute.value.as_ref()?.value.as_ref()? {
                Value::StringValue(text) => Some(text.as_str()),
                _ => None,
            }
        });
        let body = match log.body.as_ref().and_then(|body| body.value.as_ref()) {
            Some(Value::StringValue(text)) => text.as_str(),
            _ => "",
        };
        let words: HashSet<&str> = texts
            .chain(body.split(' '))
            .filter(|word| word.starts_with("o-"))
            .collect();
        for word in words {
            *found.entry(word.to_owned()).or_default() += 1;
        }
    }
    let counted: HashMap<String, u64> = sent
        .orders
        .iter()
        .filter(|(_, records)| **records > 0)
        .map(|(key, records)| (order_of(*key), *records))
        .collect();
    assert!(counted.len() > 50);
    assert_eq!(counted, found);
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_other_ids() {
    let bytes = |seed| {
        let shape = Shape {
            seed,
            batch: 64,
            spans: true,
            logs: false,
        };
        let source = Source::new(std::sync::Arc::new(Corpus::new(shape).unwrap()));
        let ticket = source.next(None, |_| Moment::EndingAt(NOW)).unwrap();
        let mut bytes = Vec::new();
        source
            .template(&ticket)
            .unwrap()
            .write(&ticket.instances, &mut bytes);
        bytes
    };
    assert_eq!(bytes(3), bytes(3));
    assert_ne!(bytes(3), bytes(4));
}

#[test]
fn spread_instances_start_one_step_after_the_other() {
    let source = source(512);
    let moment = Moment::Spread {
        first_unix_nano: NOW,
        step: 1_000,
    };
    let starts: Vec<u64> = std::iter::from_fn(|| source.next(Some(100_000), |_| moment))
        .flat_map(|ticket| ticket.instances)
        .map(|instance| instance.start_unix_nano)
        .collect();
    let (first, last) = (starts.iter().min().unwrap(), starts.iter().max().unwrap());
    let distinct: HashSet<_> = starts.iter().collect();
    assert_eq!(*first, NOW);
    assert_eq!(last - first, (distinct.len() as u64 - 1) * 1_000);
}
