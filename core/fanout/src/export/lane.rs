//! The pages of one set; another member goes on where one broke off.

use std::{collections::VecDeque, pin::Pin, time::Duration};

use log_tracer_proto::v1::{ExportRequest, ExportResponse, RecordKey};
use log_tracer_record::{LogRow, SpanRow, log_rows, span_rows};
use prost::Message;
use tokio::time::{Instant, sleep, timeout};
use tonic::{Request, Status, Streaming};

use super::RETRY_DELAY;
use crate::{
    fan::{Answer, Client, Fan},
    merge::covering::Covering,
    peer::{Kind, why},
};

/// How often a set is asked to go on before it is left out.
const ATTEMPTS_MAX: u32 = 4;

/// What a record takes at most beside itself: tags and lengths.
const RECORD_FIXED_BYTES: usize = 64;

/// A record, and the bytes that it takes in a message at most, with its resource if that is its own.
#[derive(Debug)]
pub(super) enum Row {
    Span(SpanRow, usize),
    Log(LogRow, usize),
}

impl Row {
    pub(super) fn time_unix_nano(&self) -> u64 {
        match self {
            Self::Span(row, _) => row.start_unix_nano(),
            Self::Log(row, _) => row.time_unix_nano(),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Span(_, bytes) | Self::Log(_, bytes) => *bytes,
        }
    }
}

/// The pages of one consumer, of which the first is there.
#[derive(Debug)]
pub(super) struct Pages {
    first: Option<ExportResponse>,
    rest: Streaming<ExportResponse>,
}

type Opening = Pin<Box<dyn Future<Output = Result<Pages, Status>> + Send>>;

/// The question to one consumer.
pub(super) fn read_from(request: &ExportRequest) -> impl Fn(Client, Duration) -> Opening + use<> {
    let message = request.clone();
    move |mut client, timeout| {
        let mut request = Request::new(message.clone());
        request.set_timeout(timeout);
        Box::pin(async move {
            let mut rest = client.export(request).await?.into_inner();
            let first = rest.message().await?;
            Ok(Pages { first, rest })
        })
    }
}

/// The pages of one set.
#[derive(Debug)]
pub(super) struct Lane {
    partitions: Vec<u32>,
    member: usize,
    label: String,
    pages: Pages,
    /// The last record of the last page.
    last: Option<RecordKey>,
    /// What was read and not passed on, by time.
    rows: VecDeque<Row>,
    bytes: usize,
    is_over: bool,
}

impl Lane {
    pub(super) fn new(partitions: Vec<u32>, answer: Answer<Pages>) -> Self {
        Self {
            partitions,
            member: answer.member,
            label: answer.label,
            pages: answer.body,
            last: None,
            rows: VecDeque::new(),
            bytes: 0,
            is_over: false,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// The moment up to which its records are known; of the moment itself, more may come.
    pub(super) fn known_until(&self) -> u64 {
        self.last.map_or(0, |last| last.time_unix_nano)
    }

    pub(super) fn waiting_bytes(&self) -> usize {
        self.bytes
    }

    /// Moves the rows before a moment out; with `at_it`, those of the moment as well.
    pub(super) fn take(&mut self, until: Option<u64>, at_it: bool, rows: &mut Vec<Row>) {
        while let Some(row) = self.rows.front() {
            let time = row.time_unix_nano();
            if until.is_some_and(|until| time > until || (time == until && !at_it)) {
                break;
            }
            self.bytes -= row.bytes();
            rows.extend(self.rows.pop_front());
        }
    }

    /// Reads the next page, from another member if need be.
    pub(super) async fn read(
        &mut self,
        fan: &Fan,
        request: &ExportRequest,
        covering: &mut Covering,
    ) {
        let mut attempts = 0;
        loop {
            let broken = match self.next_page(fan).await {
                Ok(Some(page)) => return self.add(page, covering),
                Ok(None) => {
                    self.is_over = true;
                    return;
                }
                Err(status) => status,
            };
            fan.note_failure(self.member, &broken);
            loop {
                if attempts >= ATTEMPTS_MAX {
                    self.is_over = true;
                    covering.miss(format!("{}: {}", self.label, why(&broken)));
                    return;
                }
                attempts += 1;
                if self.go_on(fan, request).await {
                    break;
                }
                sleep(RETRY_DELAY).await;
            }
        }
    }

    async fn next_page(&mut self, fan: &Fan) -> Result<Option<ExportResponse>, Status> {
        if let Some(first) = self.pages.first.take() {
            return Ok(Some(first));
        }
        // A page has a deadline of its own at the consumer; this is for one that hangs.
        let patience = fan.config.deadline();
        let page = timeout(patience, self.pages.rest.message()).await;
        page.unwrap_or_else(|_| Err(Status::deadline_exceeded("it has gone silent")))
    }

    async fn go_on(&mut self, fan: &Fan, request: &ExportRequest) -> bool {
        let Some(set) = fan.set_of(&self.partitions) else {
            return false;
        };
        let request = ExportRequest {
            after: self.last.or(request.after),
            ..request.clone()
        };
        let deadline = Instant::now() + fan.config.deadline();
        let view = fan.view.borrow().clone();
        let ask = read_from(&request);
        let answered = fan
            .ask(&view, &set.members, Kind::Stream, deadline, ask)
            .await;
        let Ok(answer) = answered else {
            return false;
        };
        (self.member, self.label, self.pages) = (answer.member, answer.label, answer.body);
        true
    }

    fn add(&mut self, page: ExportResponse, covering: &mut Covering) {
        covering.add(&self.label, page.coverage);
        self.last = page.last.or(self.last);
        // Both are by resource within a page, and one of them is empty.
        let mut counted = 0;
        let mut bytes = |resource: usize, of_resource: usize, record: usize| {
            let own = if resource == counted { 0 } else { of_resource };
            counted = resource;
            record + own + RECORD_FIXED_BYTES
        };
        let spans = span_rows(page.resource_spans).into_iter().map(|row| {
            let resource = row.resource.resource.encoded_len() + row.scope_bytes();
            let bytes = bytes(address(&row.resource), resource, row.span.encoded_len());
            Row::Span(row, bytes)
        });
        let mut rows: Vec<Row> = spans.collect();
        rows.extend(log_rows(page.resource_logs).into_iter().map(|row| {
            let resource = row.resource.resource.encoded_len() + row.scope_bytes();
            let bytes = bytes(address(&row.resource), resource, row.record.encoded_len());
            Row::Log(row, bytes)
        }));
        rows.sort_by_key(Row::time_unix_nano);
        self.bytes += rows.iter().map(Row::bytes).sum::<usize>();
        self.rows.extend(rows);
    }
}

fn address<T>(it: &std::sync::Arc<T>) -> usize {
    std::sync::Arc::as_ptr(it) as usize
}

/// What the scope of a record takes.
trait ScopeBytes {
    fn scope_bytes(&self) -> usize;
}

impl ScopeBytes for SpanRow {
    fn scope_bytes(&self) -> usize {
        self.scope.scope.as_ref().map_or(0, Message::encoded_len)
    }
}

impl ScopeBytes for LogRow {
    fn scope_bytes(&self) -> usize {
        self.scope.scope.as_ref().map_or(0, Message::encoded_len)
    }
}
