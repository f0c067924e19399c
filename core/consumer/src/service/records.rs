//! `Export`: all records of a range, page by page. Each page is a query of its own that takes its turn among the others
//! and has its own deadline, so that an export of any length neither holds a thread nor keeps rows in memory while its
//! reader is slow.

use futures_util::{Stream, stream};
use log_tracer_proto::v1;
use log_tracer_record::{logs_to_otlp, spans_to_otlp};
use log_tracer_store::{Coverage, RecordKey, RecordResults, RecordSearch, Signal, Stop, Store};
use tonic::Status;

use super::{Queries, request};
use crate::{QueryConfig, hits::key_message};

/// Records of a page at most; a page is also bounded in bytes.
const PAGE_RECORDS_MAX: usize = 8_192;

/// What is asked for, from where on.
#[derive(Debug)]
pub(crate) struct Export {
    signal: Signal,
    search: RecordSearch,
}

impl Export {
    pub(crate) fn of(request: &v1::ExportRequest, config: &QueryConfig) -> Result<Self, Status> {
        let search = RecordSearch {
            query: request::query(&request.query)?,
            range: request::range(request.range)?,
            limit: PAGE_RECORDS_MAX,
            // A resource may stand in a page once for each of its records, and still the message has to fit.
            bytes_max: config.answer_bytes_max as u64 / 2,
            after: request
                .after
                .as_ref()
                .map(request::record_key)
                .transpose()?,
            oldest_first: true,
        };
        Ok(Self {
            signal: request::signal(request.signal)?,
            search,
        })
    }
}

/// The pages, one after the other.
pub(crate) fn stream(
    queries: Queries,
    export: Export,
) -> impl Stream<Item = Result<v1::ExportResponse, Status>> + Send {
    stream::try_unfold(Some((queries, export)), |state| async {
        let Some((queries, mut export)) = state else {
            return Ok(None);
        };
        let (signal, search) = (export.signal, export.search.clone());
        let deadline = queries.own_deadline();
        let (_, page) = queries
            .ask(deadline, move |store, stop| {
                read(store, signal, &search, stop)
            })
            .await?;
        let Page {
            mut message,
            next,
            coverage,
        } = page;
        message.coverage = Some(queries.covered(coverage).into_message());
        export.search.after = next;
        let rest = next.is_some().then_some((queries, export));
        Ok(Some((message, rest)))
    })
}

struct Page {
    message: v1::ExportResponse,
    next: Option<RecordKey>,
    coverage: Coverage,
}

fn read(store: &Store, signal: Signal, search: &RecordSearch, stop: &Stop) -> Page {
    match signal {
        Signal::Spans => Page::of(store.search_spans(search, stop), |message, rows| {
            message.resource_spans = spans_to_otlp(rows);
        }),
        Signal::Logs => Page::of(store.search_logs(search, stop), |message, rows| {
            message.resource_logs = logs_to_otlp(rows);
        }),
    }
}

impl Page {
    fn of<R>(found: RecordResults<R>, fill: impl FnOnce(&mut v1::ExportResponse, Vec<R>)) -> Self {
        let mut message = v1::ExportResponse {
            records: u32::try_from(found.hits.len()).unwrap_or(u32::MAX),
            last: found.hits.last().map(|hit| key_message(hit.key)),
            ..v1::ExportResponse::default()
        };
        fill(
            &mut message,
            found.hits.into_iter().map(|hit| hit.row).collect(),
        );
        Self {
            message,
            next: found.next,
            coverage: found.coverage,
        }
    }
}
