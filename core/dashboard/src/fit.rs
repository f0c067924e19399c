//! How much fits on one page: the HTML of a page stays under 100 KB before it is compressed, whatever the records hold.
//!
//! A list is cut where its records would make it larger, and goes on on the next page. What a record takes is estimated
//! from what it holds, since a page is rendered in one go.

use log_tracer_proto::{
    otlp::{common::KeyValue, logs::LogRecord},
    v1::SearchLogsResponse,
};
use prost::Message;

/// Bytes of HTML that the records of a list may take. Form, charts, facets and senders need the rest.
pub(crate) const LINES_BYTES_MAX: usize = 38_000;

/// Bytes of a line without what its record holds: elements, times, ids and links.
const LINE_BYTES: usize = 700;
/// Bytes of a row for an attribute without key and value, which stand in it three times: as text and in two buttons.
const ATTRIBUTE_BYTES: usize = 190;

/// Cuts an answer to what fits on a page; the next page begins after what is left.
pub(crate) fn fit(answer: &mut SearchLogsResponse, bytes_max: usize) {
    let records = answer.hits.iter().map(|hit| hit.record.as_ref());
    let count = fitting(records, bytes_max);
    if count < answer.hits.len() {
        answer.hits.truncate(count);
        answer.next = answer.hits.last().and_then(|hit| hit.key);
    }
}

/// How many of these records fit; at least one.
pub(crate) fn fitting<'a>(
    records: impl Iterator<Item = Option<&'a LogRecord>>,
    bytes_max: usize,
) -> usize {
    let mut left = bytes_max;
    records
        .take_while(|record| {
            let fits = left > 0;
            left = left.saturating_sub(record.map_or(LINE_BYTES, line_bytes));
            fits
        })
        .count()
        .max(1)
}

fn line_bytes(record: &LogRecord) -> usize {
    // The body stands in the line and, when it is long, in the details as well; both are clipped.
    let body = record.body.as_ref().map_or(0, Message::encoded_len);
    let attributes: usize = record.attributes.iter().map(attribute_bytes).sum();
    LINE_BYTES + 2 * body.min(8_000) + attributes
}

fn attribute_bytes(pair: &KeyValue) -> usize {
    ATTRIBUTE_BYTES + 3 * pair.encoded_len().min(2_000)
}

#[cfg(test)]
mod tests {
    use log_tracer_proto::{
        otlp::common::{AnyValue, any_value::Value},
        v1::{LogHit, RecordKey},
    };

    use super::*;

    fn hit(index: u32, body_bytes: usize) -> LogHit {
        let body = AnyValue {
            value: Some(Value::StringValue("x".repeat(body_bytes))),
        };
        LogHit {
            key: Some(RecordKey {
                index,
                ..RecordKey::default()
            }),
            record: Some(LogRecord {
                body: Some(body),
                ..LogRecord::default()
            }),
            ..LogHit::default()
        }
    }

    fn answer(hits: u32, body_bytes: usize) -> SearchLogsResponse {
        SearchLogsResponse {
            hits: (0..hits).map(|index| hit(index, body_bytes)).collect(),
            ..SearchLogsResponse::default()
        }
    }

    #[test]
    fn what_fits_is_left_as_it_is() {
        let mut answer = answer(10, 20);
        fit(&mut answer, LINES_BYTES_MAX);
        assert_eq!((answer.hits.len(), answer.next), (10, None));
    }

    #[test]
    fn large_records_make_fewer_of_them_and_the_next_page_goes_on_after_the_last() {
        let mut answer = answer(40, 3_000);
        fit(&mut answer, LINES_BYTES_MAX);
        let count = answer.hits.len();
        assert!((2..10).contains(&count), "{count}");
        let last = answer.hits.last().and_then(|hit| hit.key);
        assert_eq!(answer.next, last);
    }

    #[test]
    fn a_page_shows_at_least_one_record() {
        let mut answer = answer(3, 100_000);
        fit(&mut answer, 1);
        assert_eq!(answer.hits.len(), 1);
        assert_eq!(answer.next.unwrap().index, 0);
    }
}
