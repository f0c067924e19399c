//! All records of a range, oldest first, merged by time.
//!
//! A page of a consumer holds records in order and ends at a key; the records themselves come without theirs. So what is
//! known of all of them up to a moment is passed on, by time; records of one moment stand in any order. `last` is a place
//! between two moments, after all records of the earlier one: whoever goes on there misses nothing and gets nothing twice.
//! A message that has to end within a moment, because more than a message of records have it, names the place before.

mod lane;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures_util::{Stream, stream};
use log_tracer_proto::v1::{ExportRequest, ExportResponse, RecordKey};
use log_tracer_record::{logs_to_otlp, spans_to_otlp};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};
use tonic::Status;

use crate::{
    fan::{Fan, Round},
    merge::covering::Covering,
    peer::Kind,
};
use lane::{Lane, Row, read_from};

/// Bytes of records of one moment that wait for the rest of it, at most; beyond that they are passed on before it is
/// known to be all.
const WAITING_BYTES_MAX: usize = 64 << 20;

/// How long an export waits before it asks again for what broke off.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// Opens the export of each set.
///
/// # Errors
/// The question is refused, as a consumer says it; or no consumer answers.
pub(crate) async fn open(
    fan: Arc<Fan>,
    request: ExportRequest,
    deadline: Instant,
) -> Result<impl Stream<Item = Result<ExportResponse, Status>> + Send + use<>, Status> {
    let permit = fan.stream()?;
    let view = fan.view(deadline).await;
    let Round { answers, gaps, .. } = fan
        .ask_all(&view, Kind::Stream, deadline, read_from(&request))
        .await?;
    let mut covering = Covering::since(Instant::now());
    gaps.into_iter().for_each(|gap| covering.miss(gap));
    let lanes = answers.into_iter().filter_map(|answer| {
        let set = view.sets.iter();
        let mut set = set.filter(|set| set.members.contains(&answer.member));
        Some(Lane::new(set.next()?.partitions.clone(), answer))
    });
    let export = Export {
        lanes: lanes.collect(),
        fan,
        request,
        covering,
        ready: VecDeque::new(),
        is_all_before: 0,
        is_over: false,
        _permit: permit,
    };
    Ok(stream::unfold(export, |mut export| async {
        let message = export.next().await?;
        Some((Ok(message), export))
    }))
}

struct Export {
    fan: Arc<Fan>,
    request: ExportRequest,
    lanes: Vec<Lane>,
    covering: Covering,
    /// What is passed on next, by time.
    ready: VecDeque<Row>,
    /// Of all moments before this, all records are ready or were passed on.
    is_all_before: u64,
    is_over: bool,
    _permit: OwnedSemaphorePermit,
}

impl Export {
    async fn next(&mut self) -> Option<ExportResponse> {
        if self.is_over {
            return None;
        }
        while self.ready.is_empty() && self.lanes.iter().any(|lane| !lane.is_over()) {
            self.read_on().await;
        }
        if self.ready.is_empty() {
            self.is_over = true;
        }
        Some(self.message())
    }

    /// Reads on in those lanes of which is known least, and gets ready what is known of all.
    async fn read_on(&mut self) {
        let known = |lanes: &[Lane]| {
            let ends = lanes.iter().filter(|lane| !lane.is_over());
            ends.map(Lane::known_until).min()
        };
        if let Some(least) = known(&self.lanes) {
            for lane in &mut self.lanes {
                if !lane.is_over() && lane.known_until() == least {
                    lane.read(&self.fan, &self.request, &mut self.covering)
                        .await;
                }
            }
        }
        // Of the moment itself, more may come.
        let until = known(&self.lanes);
        let waiting: usize = self.lanes.iter().map(Lane::waiting_bytes).sum();
        self.is_all_before = until.unwrap_or(u64::MAX);
        let is_too_much = waiting > WAITING_BYTES_MAX;
        let mut rows: Vec<Row> = Vec::new();
        for lane in &mut self.lanes {
            lane.take(until, is_too_much, &mut rows);
        }
        rows.sort_by_key(Row::time_unix_nano);
        self.ready.extend(rows);
    }

    /// What is ready, as far as it fits, up to the end of a moment if that can be.
    fn message(&mut self) -> ExportResponse {
        let config = &self.fan.config;
        let mut bytes = 0;
        let mut taken = Vec::new();
        let mut last = None;
        while let Some(row) = self.ready.front() {
            let time = row.time_unix_nano();
            let is_new_moment = taken
                .last()
                .is_some_and(|last: &Row| last.time_unix_nano() != time);
            let is_full = match is_new_moment {
                true => bytes >= config.piece_bytes_max,
                false => bytes + row.bytes() > config.answer_bytes_max && !taken.is_empty(),
            };
            if is_new_moment {
                last = taken.last().map(Row::time_unix_nano);
            }
            if is_full {
                break;
            }
            bytes += row.bytes();
            taken.extend(self.ready.pop_front());
        }
        if self.ready.is_empty() {
            last = taken.last().map(Row::time_unix_nano);
        }
        let last = last.filter(|time| *time < self.is_all_before);
        let mut message = ExportResponse {
            records: u32::try_from(taken.len()).unwrap_or(u32::MAX),
            last: last.map(after_all_of),
            coverage: Some(self.covering.clone().into_message()),
            ..ExportResponse::default()
        };
        let (mut spans, mut logs) = (Vec::new(), Vec::new());
        for row in taken {
            match row {
                Row::Span(row, _) => spans.push(row),
                Row::Log(row, _) => logs.push(row),
            }
        }
        message.resource_spans = spans_to_otlp(spans);
        message.resource_logs = logs_to_otlp(logs);
        message
    }
}

/// The place after all records of a moment, and before those of the next.
fn after_all_of(time_unix_nano: u64) -> RecordKey {
    RecordKey {
        time_unix_nano,
        partition: u32::from(u16::MAX),
        offset: u64::MAX,
        index: u32::MAX,
    }
}
