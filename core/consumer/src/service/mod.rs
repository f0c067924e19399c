//! `QueryService`: each method reads the request, asks the store on a blocking thread, and writes the answer.

mod answer;
pub(crate) mod export;
mod gate;
mod outline;
mod pieces;
mod rates;
mod records;
mod request;
mod status;
mod trace;
mod wait;

use std::{pin::Pin, sync::Arc};

use futures_util::{Stream, StreamExt};
use log_tracer_proto::v1::{self, query_service_server::QueryService};
use log_tracer_record::TraceId;
use log_tracer_store::{Coverage, RecordSearch, Signal, Stop, Store, TimeRange, TraceOrder};
use prost::Message;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::{
    hits::AnyHit,
    shared::Shared,
    tail::{TailStream, Wanted},
};

use answer::Covered;
pub(crate) use gate::Gate;
pub(crate) use status::watermarks;
pub(crate) use wait::passed;

/// The answers of a stream.
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// QueryService on one server.
#[derive(Clone, Debug)]
pub(crate) struct Queries {
    shared: Arc<Shared>,
    /// Ends the tails of this server, and whatever waits for a position.
    closing: CancellationToken,
}

impl Queries {
    pub(crate) fn new(shared: Arc<Shared>, closing: CancellationToken) -> Self {
        Self { shared, closing }
    }

    /// Asks the store when it is this question's turn.
    async fn ask<T: Send + 'static>(
        &self,
        deadline: Instant,
        scan: impl FnOnce(&Store, &Stop) -> T + Send + 'static,
    ) -> Result<(gate::Turn, T), Status> {
        let turn = self.shared.gate.enter(deadline).await?;
        let shared = Arc::clone(&self.shared);
        turn.run(move |stop| scan(&shared.store, stop)).await
    }

    fn deadline<T>(&self, request: &Request<T>) -> Instant {
        self.shared.gate.deadline(request.metadata())
    }

    /// When an answer has to be ready to a question that nobody put a limit to.
    fn own_deadline(&self) -> Instant {
        self.shared
            .gate
            .deadline(&tonic::metadata::MetadataMap::new())
    }

    fn covered(&self, coverage: Coverage) -> Covered {
        Covered {
            coverage,
            reasons: self.shared.missing(),
        }
    }

    fn answer_bytes_max(&self) -> usize {
        self.shared.config.query.answer_bytes_max
    }
}

#[tonic::async_trait]
impl QueryService for Queries {
    type GetTraceStream = Answers<v1::GetTraceResponse>;
    type GetTraceOutlineStream = Answers<v1::GetTraceOutlineResponse>;
    type TailStream = Answers<v1::TailResponse>;
    type ExportStream = Answers<v1::ExportResponse>;
    type ExportQuarantineStream = Answers<v1::ExportQuarantineResponse>;

    async fn get_trace(
        &self,
        request: Request<v1::GetTraceRequest>,
    ) -> Result<Response<Self::GetTraceStream>, Status> {
        let deadline = self.deadline(&request);
        let request = request.into_inner();
        let id = request::trace_id("trace_id", &request.trace_id)?;
        let limits = request::trace_limits(
            request.spans_max,
            request.logs_max,
            &self.shared.config.query,
        );
        let selection = request.only.as_ref().map(request::selection).transpose()?;
        let is_selected = selection.is_some();
        let (turn, mut trace) = self
            .ask(deadline, move |store, stop| match selection {
                None => store.trace(id, limits, stop),
                Some(selection) => store.selected(id, &selection, limits, stop),
            })
            .await?;
        let coverage = std::mem::take(&mut trace.coverage);
        if trace.is_empty() && !is_selected {
            return Err(not_found(id, &self.covered(coverage)));
        }
        let covered = self.covered(coverage);
        let shared = Arc::clone(&self.shared);
        let pieces = pieces::stream(turn, move |sink| {
            trace::send(&trace, is_selected, covered, &shared.config.query, sink)
        });
        Ok(Response::new(Box::pin(pieces)))
    }

    async fn get_trace_outline(
        &self,
        request: Request<v1::GetTraceOutlineRequest>,
    ) -> Result<Response<Self::GetTraceOutlineStream>, Status> {
        let deadline = self.deadline(&request);
        let spec = outline::spec(request.get_ref(), &self.shared.config.query)?;
        let asked = spec.clone();
        let (turn, mut found) = self
            .ask(deadline, move |store, stop| store.outline(&asked, stop))
            .await?;
        let covered = self.covered(std::mem::take(&mut found.coverage));
        if found.spans.is_empty() && found.logs.is_empty() {
            return Err(not_found(spec.trace_id, &covered));
        }
        let shared = Arc::clone(&self.shared);
        let pieces = pieces::stream(turn, move |sink| {
            outline::send(&found, covered, &spec, &shared.config.query, sink)
        });
        Ok(Response::new(Box::pin(pieces)))
    }

    async fn search_traces(
        &self,
        request: Request<v1::SearchTracesRequest>,
    ) -> Result<Response<v1::SearchTracesResponse>, Status> {
        let deadline = self.deadline(&request);
        let search = request::trace_search(request.get_ref(), &self.shared.config.query)?;
        let can_page = matches!(search.order, TraceOrder::Newest { .. });
        let (_, mut results) = self
            .ask(deadline, move |store, stop| {
                store.search_traces(&search, stop)
            })
            .await?;
        let covered = self.covered(std::mem::take(&mut results.coverage));
        let answer = answer::traces(results, covered, self.answer_bytes_max(), can_page);
        Ok(Response::new(answer))
    }

    async fn search_logs(
        &self,
        request: Request<v1::SearchLogsRequest>,
    ) -> Result<Response<v1::SearchLogsResponse>, Status> {
        let deadline = self.deadline(&request);
        let search = request::log_search(request.get_ref(), &self.shared.config.query)?;
        let (_, mut results) = self
            .ask(deadline, move |store, stop| {
                store.search_logs(&search, stop)
            })
            .await?;
        let covered = self.covered(std::mem::take(&mut results.coverage));
        let answer = answer::logs(results, covered, self.answer_bytes_max());
        Ok(Response::new(answer))
    }

    async fn histogram(
        &self,
        request: Request<v1::HistogramRequest>,
    ) -> Result<Response<v1::HistogramResponse>, Status> {
        let deadline = self.deadline(&request);
        let spec = request::histogram(request.get_ref(), &self.shared.config.query)?;
        let (_, results) = self
            .ask(deadline, move |store, stop| store.histogram(&spec, stop))
            .await?;
        // The request was checked, but the store has limits of its own.
        let mut results = results.map_err(|error| request::invalid("range", error.to_string()))?;
        let covered = self.covered(std::mem::take(&mut results.coverage));
        let answer = answer::histogram(results, covered, self.answer_bytes_max());
        Ok(Response::new(answer))
    }

    async fn duration_heatmap(
        &self,
        request: Request<v1::DurationHeatmapRequest>,
    ) -> Result<Response<v1::DurationHeatmapResponse>, Status> {
        let deadline = self.deadline(&request);
        let spec = request::heatmap(request.get_ref(), &self.shared.config.query)?;
        let (_, results) = self
            .ask(deadline, move |store, stop| store.heatmap(&spec, stop))
            .await?;
        let mut results = results.map_err(|error| request::heatmap_error(&error))?;
        let covered = self.covered(std::mem::take(&mut results.coverage));
        let answer = answer::heatmap(results, covered, self.answer_bytes_max());
        Ok(Response::new(answer))
    }

    async fn facets(
        &self,
        request: Request<v1::FacetsRequest>,
    ) -> Result<Response<v1::FacetsResponse>, Status> {
        let deadline = self.deadline(&request);
        let spec = request::facets(request.get_ref(), &self.shared.config.query)?;
        let (_, mut results) = self
            .ask(deadline, move |store, stop| store.facets(&spec, stop))
            .await?;
        let covered = self.covered(std::mem::take(&mut results.coverage));
        let answer = answer::facets(results, covered, self.answer_bytes_max());
        Ok(Response::new(answer))
    }

    async fn list_services(
        &self,
        request: Request<v1::ListServicesRequest>,
    ) -> Result<Response<v1::ListServicesResponse>, Status> {
        let deadline = self.deadline(&request);
        let (_, mut results) = self
            .ask(deadline, |store, stop| store.services(stop))
            .await?;
        let covered = self.covered(std::mem::take(&mut results.coverage));
        let answer = answer::services(results, covered, self.answer_bytes_max());
        Ok(Response::new(answer))
    }

    async fn list_operations(
        &self,
        request: Request<v1::ListOperationsRequest>,
    ) -> Result<Response<v1::ListOperationsResponse>, Status> {
        let deadline = self.deadline(&request);
        let service = request.into_inner().service;
        let limit = self.shared.config.query.operations_max as usize;
        let (_, mut results) = self
            .ask(deadline, move |store, stop| {
                let service = Some(service.as_str()).filter(|service| !service.is_empty());
                store.operations(service, limit, stop)
            })
            .await?;
        let covered = self.covered(std::mem::take(&mut results.coverage));
        let answer = answer::operations(results, covered, self.answer_bytes_max());
        Ok(Response::new(answer))
    }

    async fn rates(
        &self,
        request: Request<v1::RatesRequest>,
    ) -> Result<Response<v1::RatesResponse>, Status> {
        let deadline = self.deadline(&request);
        let config = &self.shared.config.query;
        let spec = rates::spec(request.get_ref(), config)?;
        let form = rates::Form::of_rates(request.get_ref(), config)?;
        let (_, results) = self
            .ask(deadline, move |store, stop| store.rates(&spec, stop))
            .await?;
        // The request was checked, but the store has limits of its own.
        let mut results = results.map_err(|error| request::invalid("range", error.to_string()))?;
        let covered = self.covered(std::mem::take(&mut results.coverage));
        Ok(Response::new(rates::answer(
            results, covered, &form, config,
        )))
    }

    async fn service_graph(
        &self,
        request: Request<v1::ServiceGraphRequest>,
    ) -> Result<Response<v1::ServiceGraphResponse>, Status> {
        let deadline = self.deadline(&request);
        let config = &self.shared.config.query;
        let spec = rates::graph_spec(request.get_ref())?;
        let form = rates::Form::of_graph(request.get_ref(), config)?;
        let (_, mut results) = self
            .ask(deadline, move |store, stop| {
                store.service_graph(&spec, stop)
            })
            .await?;
        let covered = self.covered(std::mem::take(&mut results.coverage));
        Ok(Response::new(rates::graph(results, covered, &form, config)))
    }

    async fn wait_for_position(
        &self,
        request: Request<v1::WaitForPositionRequest>,
    ) -> Result<Response<v1::WaitForPositionResponse>, Status> {
        let deadline = self.shared.gate.wait_deadline(request.metadata());
        let positions = &request.get_ref().positions;
        tokio::select! {
            waited = wait::wait(&self.shared, positions, deadline) => waited?,
            () = self.closing.cancelled() => {
                return Err(Status::unavailable("the consumer is shutting down"));
            }
        }
        Ok(Response::new(v1::WaitForPositionResponse {}))
    }

    async fn tail(
        &self,
        request: Request<v1::TailRequest>,
    ) -> Result<Response<Self::TailStream>, Status> {
        let deadline = self.deadline(&request);
        let request = request.into_inner();
        let signal = request::signal(request.signal)?;
        let query = request::query(&request.query)?;
        let wanted = match signal {
            Signal::Spans => Wanted::Spans(query.clone()),
            Signal::Logs => Wanted::Logs(query.clone()),
        };
        let shared = &self.shared;
        let registration = shared
            .tails
            .register(wanted, || shared.progress.borrow().cursors())
            .map_err(|_| {
                let max = shared.config.tail.readers_max;
                gate::busy(format!("all {max} tails that may run are taken"))
            })?;
        let mut backlog = None;
        if request.backlog > 0 {
            let search = RecordSearch {
                query,
                range: TimeRange::ALL,
                limit: request.backlog.min(shared.config.tail.backlog_max) as usize,
                bytes_max: shared.config.tail.queue_bytes_max as u64,
                after: None,
                oldest_first: false,
            };
            let (_, mut kept) = self
                .ask(deadline, move |store, stop| {
                    newest(store, signal, &search, stop)
                })
                .await?;
            kept.retain(|hit| registration.is_backlog(&hit.key));
            kept.reverse();
            backlog = Some(kept);
        }
        let tail = TailStream::new(
            registration,
            backlog,
            &shared.config.tail,
            &shared.config.query,
            self.closing.clone(),
        );
        Ok(Response::new(Box::pin(tail.into_stream())))
    }

    async fn status(
        &self,
        _request: Request<v1::StatusRequest>,
    ) -> Result<Response<v1::StatusResponse>, Status> {
        Ok(Response::new(status::status(&self.shared).await))
    }

    async fn status_history(
        &self,
        _request: Request<v1::StatusHistoryRequest>,
    ) -> Result<Response<v1::StatusHistoryResponse>, Status> {
        let mut answer = self.shared.history.answer();
        // What cannot be sent is the oldest.
        while answer.encoded_len() > self.answer_bytes_max() && !answer.samples.is_empty() {
            let half = answer.samples.len().div_ceil(2);
            answer.samples.drain(..half);
        }
        Ok(Response::new(answer))
    }

    async fn export(
        &self,
        request: Request<v1::ExportRequest>,
    ) -> Result<Response<Self::ExportStream>, Status> {
        let export = records::Export::of(request.get_ref(), &self.shared.config.query)?;
        let closing = self.closing.clone();
        let pages = records::stream(self.clone(), export).take_until(closing.cancelled_owned());
        Ok(Response::new(Box::pin(pages)))
    }

    async fn export_quarantine(
        &self,
        request: Request<v1::ExportQuarantineRequest>,
    ) -> Result<Response<Self::ExportQuarantineStream>, Status> {
        let turn = self.shared.gate.enter(self.deadline(&request)).await?;
        // The payloads are shared, not copied.
        let envelopes: Vec<_> = self.shared.quarantine().entries().cloned().collect();
        let log_id = self.shared.log_id;
        let piece_bytes_max = self.shared.config.query.piece_bytes_max;
        let pieces = pieces::stream(turn, move |sink| {
            export::send(&envelopes, log_id, piece_bytes_max, sink)
        });
        Ok(Response::new(Box::pin(pieces)))
    }
}

/// There is nothing, as far as can be told.
fn not_found(id: TraceId, covered: &Covered) -> Status {
    let mut text = format!("there is no span and no log of trace {id}");
    let reasons = covered.coverage.reasons.iter().chain(&covered.reasons);
    for reason in reasons {
        text.push_str("; ");
        text.push_str(reason);
    }
    Status::not_found(request::clip(text))
}

/// The newest records that match, newest first.
fn newest(store: &Store, signal: Signal, search: &RecordSearch, stop: &Stop) -> Vec<AnyHit> {
    match signal {
        Signal::Spans => {
            let hits = store.search_spans(search, stop).hits;
            hits.into_iter().map(AnyHit::from).collect()
        }
        Signal::Logs => {
            let hits = store.search_logs(search, stop).hits;
            hits.into_iter().map(AnyHit::from).collect()
        }
    }
}
