//! The pieces of all lanes as one answer.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use log_tracer_proto::v1::{GetTraceRequest, GetTraceResponse};
use log_tracer_record::{LogRow, SpanRow, log_rows, logs_to_otlp, span_rows, spans_to_otlp};
use prost::Message;
use tokio::time::Instant;

use super::lane::{Asking, Lane, Step, hash};
use crate::{fan::Fan, merge::covering::Covering, view::View};

/// What a record takes at most beside itself and its resource: tags and lengths.
const RECORD_FIXED_BYTES: usize = 64;

/// Puts an answer together.
pub(super) struct Merger {
    fan: Arc<Fan>,
    view: Arc<View>,
    request: GetTraceRequest,
    deadline: Instant,
    lanes: Vec<(Lane, Head)>,
    covering: Covering,
    duplicate_spans: u64,
    /// Which lane each span came from first, when there are several.
    owners: HashMap<u128, usize>,
    spans: Limited,
    logs: Limited,
    /// A log record that begins the next piece.
    held: Option<LogRow>,
    is_over: bool,
}

/// What a lane sent and was not passed on yet, in order.
#[derive(Debug, Default)]
struct Head {
    spans: VecDeque<SpanRow>,
    logs: VecDeque<LogRow>,
    /// Whether no more spans come, or nothing more at all.
    spans_are_over: bool,
    is_over: bool,
}

/// Records of one kind within the limit of the request.
#[derive(Debug)]
struct Limited {
    max: u32,
    count: u32,
    left_out: u64,
}

impl Limited {
    fn new(max: u32) -> Self {
        Self {
            max,
            count: 0,
            left_out: 0,
        }
    }

    /// Whether one more is answered.
    fn take(&mut self) -> bool {
        let fits = self.count < self.max;
        self.count += u32::from(fits);
        self.left_out += u64::from(!fits);
        fits
    }

    fn say(&self, name: &str, covering: &mut Covering) {
        if self.left_out > 0 {
            covering.miss(format!(
                "the trace has {} {name} or more, of which the first {} are answered",
                u64::from(self.count) + self.left_out,
                self.max
            ));
        }
    }
}

/// Records that are sent together.
#[derive(Debug, Default)]
struct Piece {
    spans: Vec<SpanRow>,
    logs: Vec<LogRow>,
    bytes: usize,
    /// The resource of the last record, by its address, which the rows keep in use.
    resource: usize,
}

impl Piece {
    fn count<R>(&mut self, resource: &Arc<R>, resource_bytes: impl Fn(&R) -> usize, bytes: usize) {
        let address = Arc::as_ptr(resource) as usize;
        if address != self.resource {
            self.resource = address;
            self.bytes += resource_bytes(resource);
        }
        self.bytes += bytes + RECORD_FIXED_BYTES;
    }

    /// Whether a log record would come before or after one of its time that it does not, since equal scopes of a piece are
    /// merged.
    fn disorders(&self, row: &LogRow) -> bool {
        self.logs.last().is_some_and(|last| {
            last.time_unix_nano() == row.time_unix_nano() && !Arc::ptr_eq(&last.scope, &row.scope)
        })
    }

    fn into_message(self) -> GetTraceResponse {
        GetTraceResponse {
            resource_spans: spans_to_otlp(self.spans),
            resource_logs: logs_to_otlp(self.logs),
            ..GetTraceResponse::default()
        }
    }
}

impl Merger {
    pub(super) fn new(
        fan: Arc<Fan>,
        view: Arc<View>,
        request: GetTraceRequest,
        deadline: Instant,
        lanes: Vec<Lane>,
        covering: Covering,
    ) -> Self {
        Self {
            fan,
            view,
            deadline,
            lanes: lanes.into_iter().map(|it| (it, Head::default())).collect(),
            covering,
            duplicate_spans: 0,
            owners: HashMap::new(),
            spans: Limited::new(request.spans_max),
            logs: Limited::new(request.logs_max),
            request,
            held: None,
            is_over: false,
        }
    }

    /// The next piece; none after the one with the coverage.
    pub(super) async fn next(&mut self) -> Option<GetTraceResponse> {
        if self.is_over {
            return None;
        }
        match self.lanes.len() {
            1 => Some(self.next_of_one().await),
            _ => Some(self.next_of_several().await),
        }
    }

    async fn next_of_one(&mut self) -> GetTraceResponse {
        match self.step(0).await {
            Step::Piece(piece) => piece,
            Step::Last(piece) => {
                self.duplicate_spans = piece.duplicate_spans;
                self.end(piece)
            }
            Step::Lost => self.end(GetTraceResponse::default()),
        }
    }

    async fn step(&mut self, number: usize) -> Step {
        let asking = Asking {
            fan: &self.fan,
            view: &self.view,
            request: &self.request,
            deadline: self.deadline,
        };
        match self.lanes.get_mut(number) {
            Some((lane, _)) => lane.step(&asking, &mut self.covering).await,
            None => Step::Lost,
        }
    }

    fn end(&mut self, mut last: GetTraceResponse) -> GetTraceResponse {
        self.is_over = true;
        self.spans.say("spans", &mut self.covering);
        self.logs.say("log records", &mut self.covering);
        last.coverage = Some(self.covering.clone().into_message());
        last.duplicate_spans = self.duplicate_spans;
        last
    }

    async fn next_of_several(&mut self) -> GetTraceResponse {
        let mut piece = Piece::default();
        let bytes_max = self.fan.config.piece_bytes_max;
        loop {
            self.fill(|head| head.spans.is_empty() && !head.spans_are_over)
                .await;
            let row = match self.first_span() {
                Some(Some(row)) => row,
                Some(None) => continue,
                None => break,
            };
            let bytes = row.span.encoded_len();
            piece.count(&row.resource, |it| it.resource.encoded_len(), bytes);
            piece.spans.push(row);
            if piece.bytes >= bytes_max {
                return piece.into_message();
            }
        }
        loop {
            let row = match self.next_log().await {
                Some(Some(row)) => row,
                Some(None) => continue,
                None => break,
            };
            if self.request.only.is_some() && piece.disorders(&row) {
                self.held = Some(row);
                return piece.into_message();
            }
            let bytes = row.record.encoded_len();
            piece.count(&row.resource, |it| it.resource.encoded_len(), bytes);
            piece.logs.push(row);
            if piece.bytes >= bytes_max {
                return piece.into_message();
            }
        }
        self.end(piece.into_message())
    }

    /// Like [`Self::first_log`], after reading on where that is needed.
    async fn next_log(&mut self) -> Option<Option<LogRow>> {
        if let Some(held) = self.held.take() {
            return Some(Some(held));
        }
        self.fill(|head| head.logs.is_empty() && !head.is_over)
            .await;
        self.first_log()
    }

    /// Reads on in those lanes that have to say what comes next.
    async fn fill(&mut self, is_wanting: impl Fn(&Head) -> bool) {
        for number in 0..self.lanes.len() {
            while self
                .lanes
                .get(number)
                .is_some_and(|(_, head)| is_wanting(head))
            {
                let step = self.step(number).await;
                self.take(number, step);
            }
        }
    }

    fn take(&mut self, number: usize, step: Step) {
        let Some((_, head)) = self.lanes.get_mut(number) else {
            return;
        };
        let (piece, is_last) = match step {
            Step::Piece(piece) => (piece, false),
            Step::Last(piece) => (piece, true),
            Step::Lost => (GetTraceResponse::default(), true),
        };
        self.duplicate_spans = self.duplicate_spans.saturating_add(piece.duplicate_spans);
        // A consumer sends all spans before the logs. Those of a piece stand by resource.
        let mut spans = span_rows(piece.resource_spans);
        spans.sort_by_key(SpanRow::start_unix_nano);
        let mut logs = log_rows(piece.resource_logs);
        logs.sort_by_key(LogRow::time_unix_nano);
        head.spans_are_over |= is_last || !logs.is_empty();
        head.is_over |= is_last;
        head.spans.extend(spans);
        head.logs.extend(logs);
    }

    /// Takes the earliest span that is there. Nothing when there is none; an empty place when it is not answered, because
    /// another lane has the same, or it is over the limit.
    fn first_span(&mut self) -> Option<Option<SpanRow>> {
        let heads = self.lanes.iter().enumerate();
        let starts = heads.filter_map(|(number, (_, head))| {
            Some((head.spans.front()?.start_unix_nano(), number))
        });
        let (_, number) = starts.min()?;
        let (_, head) = self.lanes.get_mut(number)?;
        let row = head.spans.pop_front()?;
        let resource = row.resource.resource.encode_to_vec();
        let hash = hash(Some(&resource), &row.span);
        let owner = *self.owners.entry(hash).or_insert(number);
        if owner != number {
            self.duplicate_spans += 1;
            return Some(None);
        }
        Some(self.spans.take().then_some(row))
    }

    /// Likewise of the log records, of which equal ones are all answered.
    fn first_log(&mut self) -> Option<Option<LogRow>> {
        let heads = self.lanes.iter().enumerate();
        let times = heads
            .filter_map(|(number, (_, head))| Some((head.logs.front()?.time_unix_nano(), number)));
        let (_, number) = times.min()?;
        let (_, head) = self.lanes.get_mut(number)?;
        let row = head.logs.pop_front()?;
        Some(self.logs.take().then_some(row))
    }
}
