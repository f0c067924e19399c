//! Asks log-tracer's QueryService.

use std::{
    collections::{BTreeMap, HashSet},
    time::{Duration, Instant},
};

use bytes::Bytes;
use log_tracer_proto::v1::{
    Coverage, GetTraceRequest, HistogramGroup, HistogramRequest, PartitionStatus,
    SearchLogsRequest, Signal, StatusRequest, TimeRange, query_service_client::QueryServiceClient,
};
use tonic::{Code, transport::Channel};

use super::Verdict;
use crate::{
    bench::{
        BenchError,
        ledger::{Ledger, Trace, Word},
        questions,
    },
    workload::encoded::RUN_ATTRIBUTE,
};

type Client = QueryServiceClient<Channel>;

/// Records of a trace may lie so long after its start, in nanoseconds.
const TRACE_NANOS_MAX: u64 = 600_000_000_000;
/// A range is not cut into shorter ones than this, in nanoseconds.
const SLICE_NANOS_MIN: u64 = 1_000_000_000;
/// Log records of a word that are read at most.
const WORD_HITS_MAX: u32 = 1_000;

/// Waits until everything that was acked is applied, and compares.
pub(crate) async fn verified(
    ledger: &Ledger,
    query: &str,
    wait: Duration,
    progress: &mut (dyn FnMut(&str) + Send),
) -> Result<Verdict, BenchError> {
    let mut client = questions::connect(query).await?;
    progress("waiting until everything is applied");
    applied(&mut client, wait).await?;
    let mut verdict = Verdict::of(ledger);
    progress("counting spans");
    let found = count(&mut client, ledger, Signal::Spans).await?;
    verdict.spans = Some(verdict.total("spans", &ledger.spans, &found));
    progress("counting log records");
    let found = count(&mut client, ledger, Signal::Logs).await?;
    verdict.logs = Some(verdict.total("log records", &ledger.logs, &found));
    for (number, trace) in ledger.traces.iter().enumerate() {
        progress(&format!("trace {number} of {}", ledger.traces.len()));
        look_at(&mut client, trace, &mut verdict).await?;
        if let Some(word) = &trace.word {
            search(&mut client, trace, word, &mut verdict).await?;
        }
    }
    Ok(verdict)
}

/// Waits until what the log holds is applied.
pub(crate) async fn applied(client: &mut Client, wait: Duration) -> Result<(), BenchError> {
    let give_up = Instant::now() + wait;
    loop {
        let status = client.status(StatusRequest {}).await?.into_inner();
        let is_behind = |partition: &PartitionStatus| partition.applied_next < partition.log_end;
        if status.replaying.is_empty() && !status.partitions.iter().any(is_behind) {
            return Ok(());
        }
        if Instant::now() > give_up {
            return Err(BenchError::Wrong(format!(
                "what was acked is not applied within {wait:?}: give more time with --wait"
            )));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Counts the records of the run by service.
async fn count(
    client: &mut Client,
    ledger: &Ledger,
    signal: Signal,
) -> Result<BTreeMap<String, u64>, BenchError> {
    let mut found = BTreeMap::new();
    let all = ledger.first_unix_nano..ledger.last_unix_nano.saturating_add(TRACE_NANOS_MAX);
    let mut slices = vec![all];
    while let Some(slice) = slices.pop() {
        let nanos = slice.end.saturating_sub(slice.start).max(1);
        let request = HistogramRequest {
            signal: signal.into(),
            query: format!("{RUN_ATTRIBUTE}:{}", ledger.run),
            range: Some(TimeRange {
                start_unix_nano: slice.start,
                end_unix_nano: slice.end,
            }),
            step_nano: nanos,
            group: HistogramGroup::Service.into(),
            records_max: 0,
        };
        let answer = client.histogram(request).await;
        let answer = match answer {
            Ok(answer) => answer.into_inner(),
            // Too much for one question: asked again in two halves.
            Err(status) if status.code() == Code::DeadlineExceeded && nanos > SLICE_NANOS_MIN => {
                slices.extend(halves(&slice));
                continue;
            }
            Err(status) => return Err(status.into()),
        };
        if answer
            .coverage
            .as_ref()
            .is_some_and(|coverage| coverage.partial)
            && nanos > SLICE_NANOS_MIN
        {
            slices.extend(halves(&slice));
            continue;
        }
        whole(answer.coverage)?;
        for series in answer.series {
            *found.entry(series.group).or_default() += series.counts.iter().sum::<u64>();
        }
    }
    Ok(found)
}

fn halves(slice: &std::ops::Range<u64>) -> [std::ops::Range<u64>; 2] {
    let middle = slice.start + (slice.end - slice.start) / 2;
    [slice.start..middle, middle..slice.end]
}

fn whole(coverage: Option<Coverage>) -> Result<(), BenchError> {
    let coverage = coverage.ok_or_else(|| BenchError::Wrong("an answer was cut off".to_owned()))?;
    match coverage.partial {
        true => Err(BenchError::Wrong(format!(
            "an answer is partial: {}",
            coverage.reasons.join("; ")
        ))),
        false => Ok(()),
    }
}

/// Reads a trace whole.
async fn look_at(
    client: &mut Client,
    trace: &Trace,
    verdict: &mut Verdict,
) -> Result<(), BenchError> {
    verdict.traces += 1;
    let request = GetTraceRequest {
        trace_id: trace_id(trace)?,
        ..GetTraceRequest::default()
    };
    let (mut ids, mut parents) = (Vec::new(), Vec::new());
    let (mut logs, mut doubled, mut coverage) = (0, 0, None);
    let mut pieces = match client.get_trace(request).await {
        Ok(pieces) => Some(pieces.into_inner()),
        Err(status) if status.code() == Code::NotFound => None,
        Err(status) => return Err(status.into()),
    };
    while let Some(stream) = &mut pieces {
        let piece = match stream.message().await {
            Ok(Some(piece)) => piece,
            Ok(None) => break,
            Err(status) if status.code() == Code::NotFound => {
                pieces = None;
                continue;
            }
            Err(status) => return Err(status.into()),
        };
        let scopes = piece.resource_spans.into_iter();
        let spans = scopes.flat_map(|group| group.scope_spans);
        for span in spans.flat_map(|scope| scope.spans) {
            parents.extend(Some(span.parent_span_id).filter(|parent| !parent.is_empty()));
            ids.push(span.span_id);
        }
        let scopes = piece.resource_logs.into_iter();
        logs += scopes
            .flat_map(|group| group.scope_logs)
            .map(|scope| scope.log_records.len() as u64)
            .sum::<u64>();
        doubled += piece.duplicate_spans;
        coverage = piece.coverage.or(coverage);
    }
    if pieces.is_some() {
        whole(coverage)?;
    }
    let distinct: HashSet<&Bytes> = ids.iter().collect();
    let mut missing: Vec<String> = parents
        .iter()
        .filter(|parent| !distinct.contains(parent))
        .map(|parent| hex(parent))
        .collect();
    missing.sort_unstable();
    missing.dedup();
    // Spans that are equal in every field are answered once, with the number of those left out.
    let spans = ids.len() as u64 + doubled;
    verdict.spans_of(trace, spans, distinct.len() as u64, &missing);
    let what = format!("log records of trace {}", trace.id);
    verdict.count(&what, logs, trace.logs, trace.unknown);
    Ok(())
}

/// Searches for a rare word.
async fn search(
    client: &mut Client,
    trace: &Trace,
    word: &Word,
    verdict: &mut Verdict,
) -> Result<(), BenchError> {
    verdict.words += 1;
    let request = SearchLogsRequest {
        query: format!("\"{}\"", word.text),
        limit: WORD_HITS_MAX,
        ..SearchLogsRequest::default()
    };
    let answer = client.search_logs(request).await?.into_inner();
    whole(answer.coverage)?;
    let what = format!("log records with {} of trace {}", word.text, trace.id);
    verdict.count(&what, answer.hits.len() as u64, word.logs, trace.unknown);
    Ok(())
}

fn trace_id(trace: &Trace) -> Result<Bytes, BenchError> {
    u128::from_str_radix(&trace.id, 16)
        .map(|id| Bytes::copy_from_slice(&id.to_be_bytes()))
        .map_err(|_| BenchError::Wrong(format!("`{}` in the ledger is no trace id", trace.id)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
