//! Traces in a line each: pages in order, put into one.

use std::{
    cmp::Reverse,
    collections::{HashMap, hash_map::Entry},
};

use log_tracer_proto::v1::{
    SearchTracesResponse, ServiceCount, TraceCursor, TraceOrder, TraceSummary,
};

use super::{
    covering::Covering,
    room::{Room, framed_bytes},
};
use crate::fan::Round;

/// What the first trace of an answer has least of.
type Place = (Reverse<u64>, Reverse<u64>, Reverse<Vec<u8>>);

/// Where a trace stands by an order; equal ones stand newest first.
fn place(trace: &TraceSummary, order: TraceOrder) -> Place {
    let rank = match order {
        TraceOrder::Newest => 0,
        TraceOrder::Longest => trace.duration_nano,
        TraceOrder::MostSpans => trace.span_count.into(),
        TraceOrder::MostErrors => trace.error_count.into(),
    };
    (
        Reverse(rank),
        Reverse(trace.start_unix_nano),
        Reverse(trace.trace_id.to_vec()),
    )
}

fn place_of_cursor(cursor: &TraceCursor) -> Place {
    (
        Reverse(0),
        Reverse(cursor.start_unix_nano),
        Reverse(cursor.trace_id.to_vec()),
    )
}

fn cursor(place: &Place) -> TraceCursor {
    TraceCursor {
        start_unix_nano: place.1.0,
        trace_id: place.2.0.clone().into(),
    }
}

/// The answer to `SearchTraces`.
pub(crate) fn traces(
    round: Round<SearchTracesResponse>,
    mut covering: Covering,
    order: TraceOrder,
    limit: usize,
    answer_bytes_max: usize,
) -> SearchTracesResponse {
    let answers = round.answers;
    // Beyond the end of a page, nothing is known of what its consumer holds.
    let ends = answers
        .iter()
        .filter_map(|answer| answer.body.next.as_ref());
    let end = ends.map(place_of_cursor).min();
    let all = answers.into_iter().flat_map(|answer| answer.body.traces);
    let mut all: Vec<(Place, TraceSummary)> =
        all.map(|trace| (place(&trace, order), trace)).collect();
    all.sort_by(|(a, _), (b, _)| a.cmp(b));

    let can_page = order == TraceOrder::Newest;
    let mut page = Page {
        room: Room::in_answer(answer_bytes_max),
        numbers: HashMap::new(),
        traces: Vec::new(),
    };
    let mut next = end.as_ref().map(cursor);
    let mut last = None;
    let mut left_out = 0;
    for (at, trace) in all {
        if end.as_ref().is_some_and(|end| at > *end) {
            break;
        }
        match page.add(trace, limit) {
            Added::Yes => {}
            Added::Full => {
                next = last.as_ref().filter(|_| can_page).map(cursor);
                break;
            }
            Added::TooLarge if can_page && last.is_some() => {
                next = last.as_ref().map(cursor);
                break;
            }
            Added::TooLarge => left_out += 1,
        }
        last = Some(at);
    }
    covering.leave_out(left_out, "traces");
    SearchTracesResponse {
        traces: page.traces,
        next,
        coverage: Some(covering.into_message()),
    }
}

struct Page {
    room: Room,
    /// Where each trace stands among `traces`.
    numbers: HashMap<Vec<u8>, usize>,
    traces: Vec<TraceSummary>,
}

enum Added {
    Yes,
    Full,
    TooLarge,
}

impl Page {
    fn add(&mut self, trace: TraceSummary, limit: usize) -> Added {
        let number = self.traces.len();
        match self.numbers.entry(trace.trace_id.to_vec()) {
            Entry::Occupied(known) => {
                if let Some(first) = self.traces.get_mut(*known.get()) {
                    add(first, trace);
                }
                Added::Yes
            }
            Entry::Vacant(_) if number >= limit => Added::Full,
            Entry::Vacant(_) if !self.room.take_bytes(framed_bytes(&trace)) => Added::TooLarge,
            Entry::Vacant(free) => {
                free.insert(number);
                self.traces.push(trace);
                Added::Yes
            }
        }
    }
}

/// Adds the part of a trace that another consumer holds: see the crate's documentation for when that can be.
fn add(trace: &mut TraceSummary, other: TraceSummary) {
    let end = |one: &TraceSummary| one.start_unix_nano.saturating_add(one.duration_nano);
    let end = end(trace).max(end(&other));
    if other.start_unix_nano < trace.start_unix_nano {
        // What began first is nearer to the root.
        trace.root_service = other.root_service;
        trace.root_name = other.root_name;
        trace.root_status = other.root_status;
        trace.start_unix_nano = other.start_unix_nano;
    }
    trace.duration_nano = end.saturating_sub(trace.start_unix_nano);
    let sum = |a: &mut u32, b: u32| *a = a.saturating_add(b);
    sum(&mut trace.span_count, other.span_count);
    sum(&mut trace.error_count, other.error_count);
    sum(&mut trace.orphan_count, other.orphan_count);
    sum(&mut trace.log_count, other.log_count);
    sum(&mut trace.matched_count, other.matched_count);
    for service in other.services {
        let mut known = trace.services.iter_mut();
        match known.find(|one| one.service == service.service) {
            Some(known) => {
                sum(&mut known.span_count, service.span_count);
                sum(&mut known.error_count, service.error_count);
            }
            None => trace.services.push(service),
        }
    }
    let key = |one: &ServiceCount| (Reverse(one.span_count), one.service.clone());
    trace.services.sort_by_cached_key(key);
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::fan::Answer;

    fn trace(id: u8, start: u64, spans: u32) -> TraceSummary {
        TraceSummary {
            trace_id: vec![id; 16].into(),
            root_name: format!("from {start}"),
            start_unix_nano: start,
            duration_nano: 10,
            span_count: spans,
            services: vec![ServiceCount {
                service: "shop".to_owned(),
                span_count: spans,
                error_count: 0,
            }],
            ..TraceSummary::default()
        }
    }

    fn merge(
        pages: Vec<(Vec<TraceSummary>, bool)>,
        order: TraceOrder,
        limit: usize,
    ) -> SearchTracesResponse {
        let answers = pages.into_iter().map(|(traces, has_more)| {
            let last = traces.last().filter(|_| has_more);
            let next = last.map(|trace| TraceCursor {
                start_unix_nano: trace.start_unix_nano,
                trace_id: trace.trace_id.clone(),
            });
            Answer {
                member: 0,
                label: String::new(),
                body: SearchTracesResponse {
                    traces,
                    next,
                    coverage: None,
                },
            }
        });
        let round = Round {
            answers: answers.collect(),
            gaps: Vec::new(),
            is_whole: true,
        };
        let covering = Covering::since(Instant::now());
        traces(round, covering, order, limit, 1 << 20)
    }

    fn starts(answer: &SearchTracesResponse) -> Vec<u64> {
        answer.traces.iter().map(|it| it.start_unix_nano).collect()
    }

    #[test]
    fn the_newest_come_first_and_a_page_ends_where_one_of_them_ends() {
        let a = (vec![trace(1, 90, 1), trace(2, 50, 1)], true);
        let b = (vec![trace(3, 70, 1), trace(4, 40, 1)], false);
        let page = merge(vec![a, b], TraceOrder::Newest, 10);
        assert_eq!(starts(&page), [90, 70, 50]);
        assert_eq!(page.next.unwrap().start_unix_nano, 50);
    }

    #[test]
    fn other_orders_take_the_first_and_have_no_next_page() {
        let a = (vec![trace(1, 90, 5), trace(2, 50, 1)], false);
        let b = (vec![trace(3, 70, 9), trace(4, 40, 5)], false);
        let page = merge(vec![a, b], TraceOrder::MostSpans, 3);
        assert_eq!(starts(&page), [70, 90, 40]);
        assert!(page.next.is_none());
    }

    #[test]
    fn a_trace_of_which_two_consumers_hold_spans_is_shown_once_with_sums() {
        let a = (vec![trace(1, 90, 2)], false);
        let b = (vec![trace(3, 70, 1), trace(1, 60, 3)], false);
        let page = merge(vec![a, b], TraceOrder::Newest, 10);
        assert_eq!(starts(&page), [60, 70]);
        let first = &page.traces[0];
        assert_eq!(
            (
                first.span_count,
                first.duration_nano,
                first.root_name.as_str()
            ),
            (5, 40, "from 60")
        );
        assert_eq!(first.services[0].span_count, 5);
    }
}
