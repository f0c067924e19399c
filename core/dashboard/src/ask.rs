//! Questions to the consumer: every call has a deadline, every failure becomes a [`Fault`].
//!
//! Only so many are under way at a time, of all pages together: a consumer refuses what is beyond its own limits, and a
//! page that has to wait for its turn is better than one that cannot be shown. How the consumer is does not wait.

use std::{future::Future, sync::Arc, time::Duration};

use log_tracer_proto::v1::{
    Coverage, DurationHeatmapRequest, DurationHeatmapResponse, ExportRequest, ExportResponse,
    FacetsRequest, FacetsResponse, GetTraceOutlineRequest, GetTraceOutlineResponse,
    GetTraceRequest, GetTraceResponse, HistogramRequest, HistogramResponse, ListOperationsRequest,
    ListOperationsResponse, ListServicesRequest, Position, RatesRequest, RatesResponse,
    SearchLogsRequest, SearchLogsResponse, SearchTracesRequest, SearchTracesResponse,
    ServiceGraphRequest, ServiceGraphResponse, ServiceInfo, Signal, StatusHistoryRequest,
    StatusHistoryResponse, StatusRequest, StatusResponse, TailRequest, TailResponse,
    WaitForPositionRequest, query_service_client::QueryServiceClient,
};
use log_tracer_query::{Field, Query};
use prost::Message;
use tokio::sync::Semaphore;
use tonic::{Code, Request, Response, Status, Streaming, transport::Channel};

use crate::{
    Config,
    fault::Fault,
    trace::{model::Trace, outline::Lacking, question::Question},
    units,
    uploads::{Upload, Uploads},
};

/// What is said of a trace whose last piece, the one with the coverage, did not come.
pub(crate) const CUT_OFF: &str = "the consumer's answer broke off before its end";

/// The consumer, as the pages ask it.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    client: QueryServiceClient<Channel>,
    deadline: Duration,
    /// One for each question that may be under way.
    questions: Arc<Semaphore>,
    trace_spans_max: u32,
    trace_logs_max: u32,
    trace_bytes_max: usize,
    /// Traces that are in no store.
    uploads: Arc<Uploads>,
}

impl Ask {
    pub(crate) fn new(channel: Channel, config: &Config) -> Self {
        Self {
            client: QueryServiceClient::new(channel)
                .max_decoding_message_size(config.message_bytes_max),
            deadline: Duration::from_millis(config.query_deadline_ms),
            questions: Arc::new(Semaphore::new(config.questions_max)),
            trace_spans_max: config.trace_spans_max,
            trace_logs_max: config.trace_logs_max,
            trace_bytes_max: config.trace_bytes_max,
            uploads: Arc::new(Uploads::new(config.uploads_bytes_max)),
        }
    }

    /// Keeps the traces of a file, so that they are found like those of the consumer.
    pub(crate) fn keep_upload(
        &self,
        file: &str,
        traces: Vec<([u8; 16], GetTraceResponse)>,
    ) -> Result<Vec<Upload>, Fault> {
        self.uploads.keep(file, traces)
    }

    /// The trace of a file that is looked at under this id.
    pub(crate) fn upload(&self, id: &[u8; 16]) -> Option<Upload> {
        self.uploads.find(id)
    }

    pub(crate) async fn search_traces(
        &self,
        request: SearchTracesRequest,
    ) -> Result<SearchTracesResponse, Fault> {
        let mut client = self.client.clone();
        self.unary(Box::pin(client.search_traces(self.request(request))))
            .await
    }

    pub(crate) async fn search_logs(
        &self,
        request: SearchLogsRequest,
    ) -> Result<SearchLogsResponse, Fault> {
        let mut client = self.client.clone();
        self.unary(Box::pin(client.search_logs(self.request(request))))
            .await
    }

    pub(crate) async fn histogram(
        &self,
        request: HistogramRequest,
    ) -> Result<HistogramResponse, Fault> {
        let mut client = self.client.clone();
        self.unary(Box::pin(client.histogram(self.request(request))))
            .await
    }

    pub(crate) async fn heatmap(
        &self,
        request: DurationHeatmapRequest,
    ) -> Result<DurationHeatmapResponse, Fault> {
        let mut client = self.client.clone();
        self.unary(Box::pin(client.duration_heatmap(self.request(request))))
            .await
    }

    pub(crate) async fn facets(&self, request: FacetsRequest) -> Result<FacetsResponse, Fault> {
        let mut client = self.client.clone();
        self.unary(Box::pin(client.facets(self.request(request))))
            .await
    }

    /// Every service, in the order of the name.
    pub(crate) async fn services(&self) -> Result<Vec<ServiceInfo>, Fault> {
        let mut client = self.client.clone();
        let answer = self
            .unary(Box::pin(
                client.list_services(self.request(ListServicesRequest {})),
            ))
            .await?;
        let mut services = answer.services;
        services.sort_by(|a, b| a.service.cmp(&b.service));
        Ok(services)
    }

    pub(crate) async fn operations(
        &self,
        request: ListOperationsRequest,
    ) -> Result<ListOperationsResponse, Fault> {
        let mut client = self.client.clone();
        self.unary(Box::pin(client.list_operations(self.request(request))))
            .await
    }

    pub(crate) async fn rates(&self, request: RatesRequest) -> Result<RatesResponse, Fault> {
        let mut client = self.client.clone();
        self.unary(Box::pin(client.rates(self.request(request))))
            .await
    }

    pub(crate) async fn service_graph(
        &self,
        request: ServiceGraphRequest,
    ) -> Result<ServiceGraphResponse, Fault> {
        let mut client = self.client.clone();
        self.unary(Box::pin(client.service_graph(self.request(request))))
            .await
    }

    pub(crate) async fn status(&self) -> Result<StatusResponse, Fault> {
        let mut client = self.client.clone();
        let answer = client.status(self.request(StatusRequest {}));
        within(self.deadline, answer)
            .await
            .map(Response::into_inner)
    }

    /// How the pipeline went lately.
    pub(crate) async fn status_history(&self) -> Result<StatusHistoryResponse, Fault> {
        let mut client = self.client.clone();
        let answer = client.status_history(self.request(StatusHistoryRequest {}));
        within(self.deadline, answer)
            .await
            .map(Response::into_inner)
    }

    /// Waits until what stands at the positions can be found.
    pub(crate) async fn wait_for(
        &self,
        positions: Vec<Position>,
        deadline: Duration,
    ) -> Result<(), Fault> {
        let mut client = self.client.clone();
        let mut request = Request::new(WaitForPositionRequest { positions });
        request.set_timeout(deadline);
        within(deadline, client.wait_for_position(request))
            .await
            .map(|_| ())
    }

    /// The pieces of a trace as they come; the first is there already, so that a missing trace is an error here.
    pub(crate) async fn trace_pieces(&self, trace_id: [u8; 16]) -> Result<TracePieces, Fault> {
        if let Some(upload) = self.upload(&trace_id) {
            return Ok(TracePieces {
                first: Some(upload.trace()?),
                stream: None,
                deadline: self.deadline,
            });
        }
        let mut client = self.client.clone();
        let request = GetTraceRequest {
            trace_id: trace_id.to_vec().into(),
            spans_max: self.trace_spans_max,
            logs_max: self.trace_logs_max,
            only: None,
        };
        let mut stream = self
            .unary(Box::pin(client.get_trace(self.request(request))))
            .await?;
        let first = within(self.deadline, stream.message()).await?;
        match first {
            Some(first) => Ok(TracePieces {
                first: Some(first),
                stream: Some(stream),
                deadline: self.deadline,
            }),
            None => Err(Fault::missing(
                "there is neither a span nor a log record of this trace",
            )),
        }
    }

    /// A trace, whole, or as much of it as the limits allow; then its coverage says so.
    pub(crate) async fn trace(&self, trace_id: [u8; 16]) -> Result<Vec<GetTraceResponse>, Fault> {
        let mut source = self.trace_pieces(trace_id).await?;
        let mut pieces = Vec::new();
        let mut bytes = 0;
        let mut is_whole = false;
        while let Some(piece) = source.next().await? {
            bytes += piece.encoded_len();
            is_whole = piece.coverage.is_some();
            pieces.push(piece);
            if bytes > self.trace_bytes_max && !is_whole {
                pieces.push(cut_off(self.too_large()));
                return Ok(pieces);
            }
        }
        if !is_whole {
            pieces.push(cut_off(CUT_OFF.to_owned()));
        }
        Ok(pieces)
    }

    /// A trace as far as its pictures need it, with the answer to a question about each of its spans and log records.
    pub(crate) async fn outline(
        &self,
        trace_id: [u8; 16],
        question: &Question,
    ) -> Result<TraceAnswer, Fault> {
        if self.upload(&trace_id).is_some() {
            return self.trace(trace_id).await.map(TraceAnswer::Whole);
        }
        let text =
            |query: &Option<Query>| query.as_ref().map_or_else(String::new, Query::to_string);
        let field = question.field.as_ref();
        let request = GetTraceOutlineRequest {
            trace_id: trace_id.to_vec().into(),
            spans_max: self.trace_spans_max,
            logs_max: self.trace_logs_max,
            span_query: text(&question.spans),
            log_query: text(&question.logs),
            span_field: field.map_or_else(String::new, Field::to_string),
        };
        let mut client = self.client.clone();
        let asked = self
            .answered(Box::pin(client.get_trace_outline(self.request(request))))
            .await?;
        let mut stream = match asked {
            Ok(stream) => stream,
            // A consumer that is older than this dashboard, or one of several.
            Err(status) if status.code() == Code::Unimplemented => {
                return self.trace(trace_id).await.map(TraceAnswer::Whole);
            }
            Err(status) => return Err(status.into()),
        };
        let mut pieces: Vec<GetTraceOutlineResponse> = Vec::new();
        let mut bytes = 0;
        let mut is_whole = false;
        while let Some(piece) = within(self.deadline, stream.message()).await? {
            bytes += piece.encoded_len();
            is_whole = piece.coverage.is_some();
            pieces.push(piece);
            if bytes > self.trace_bytes_max && !is_whole {
                let end = cut_off(self.too_large());
                pieces.push(GetTraceOutlineResponse {
                    coverage: end.coverage,
                    ..GetTraceOutlineResponse::default()
                });
                return Ok(TraceAnswer::Outline(pieces));
            }
        }
        if !is_whole {
            pieces.push(GetTraceOutlineResponse {
                coverage: cut_off(CUT_OFF.to_owned()).coverage,
                ..GetTraceOutlineResponse::default()
            });
        }
        Ok(TraceAnswer::Outline(pieces))
    }

    /// Some spans and log records of a trace, whole, one question after the other. Those that have left meanwhile are not
    /// among them.
    pub(crate) async fn selected(
        &self,
        trace_id: [u8; 16],
        questions: Vec<Lacking>,
    ) -> Result<Vec<GetTraceResponse>, Fault> {
        let answers = questions
            .into_iter()
            .map(|question| self.one_selected(trace_id, question));
        let answers = futures_util::future::try_join_all(answers).await?;
        Ok(answers.into_iter().flatten().collect())
    }

    async fn one_selected(
        &self,
        trace_id: [u8; 16],
        question: Lacking,
    ) -> Result<Vec<GetTraceResponse>, Fault> {
        let max = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let request = GetTraceRequest {
            trace_id: trace_id.to_vec().into(),
            spans_max: max(question.spans_max).min(self.trace_spans_max),
            logs_max: max(question.logs_max).min(self.trace_logs_max),
            only: Some(question.selection),
        };
        let mut client = self.client.clone();
        let asked = self
            .answered(Box::pin(client.get_trace(self.request(request))))
            .await?;
        let mut stream = match asked {
            Ok(stream) => stream,
            Err(status) if status.code() == Code::NotFound => return Ok(Vec::new()),
            Err(status) => return Err(status.into()),
        };
        let mut pieces = Vec::new();
        let mut bytes = 0;
        while let Some(piece) = within(self.deadline, stream.message()).await? {
            bytes += piece.encoded_len();
            pieces.push(piece);
            if bytes > self.trace_bytes_max {
                break;
            }
        }
        Ok(pieces)
    }

    fn too_large(&self) -> String {
        let room = units::bytes(self.trace_bytes_max as u64);
        format!("the trace is larger than the {room} that its page reads")
    }

    /// What a tail begins with: the newest records that match, oldest first.
    pub(crate) async fn backlog(&self, request: TailRequest) -> Result<Vec<TailResponse>, Fault> {
        let mut stream = self.tail(request).await?;
        let all = async {
            let mut steps = Vec::new();
            while let Some(step) = stream.message().await? {
                let is_done = step.backlog_done;
                steps.push(step);
                if is_done {
                    break;
                }
            }
            Ok(steps)
        };
        within(self.deadline, all).await
    }

    /// So many of the newest spans: what a tail begins with. Nothing when none is kept.
    pub(crate) async fn newest_spans(&self, count: u32) -> Result<TailResponse, Fault> {
        let mut stream = self
            .tail(TailRequest {
                signal: Signal::Spans.into(),
                query: String::new(),
                backlog: count,
            })
            .await?;
        let first = within(self.deadline, stream.message()).await?;
        Ok(first.unwrap_or_default())
    }

    /// All matching records, oldest first, as they come.
    pub(crate) async fn export(&self, request: ExportRequest) -> Result<Exported, Fault> {
        let mut client = self.client.clone();
        // It takes as long as it takes; only each of its messages has a deadline.
        let stream = self
            .unary(Box::pin(client.export(Request::new(request))))
            .await?;
        Ok(Exported {
            stream,
            deadline: self.deadline,
        })
    }

    /// Matching records as they arrive; it has no end and so no deadline but for its start.
    pub(crate) async fn tail(
        &self,
        request: TailRequest,
    ) -> Result<Streaming<TailResponse>, Fault> {
        let mut client = self.client.clone();
        self.unary(Box::pin(client.tail(Request::new(request))))
            .await
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        // The consumer stops its work when nobody waits for it any more.
        request.set_timeout(self.deadline);
        request
    }

    async fn unary<T>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Fault> {
        Ok(self.answered(call).await??)
    }

    /// What the consumer answers, or the status that it answers instead.
    async fn answered<T>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<Result<T, Status>, Fault> {
        let turn = tokio::time::timeout(self.deadline, self.questions.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            return Err(Fault::busy(
                "as many questions are under way as the consumer is asked at a time",
            ));
        };
        let settled = async { Ok(call.await.map(Response::into_inner)) };
        within(self.deadline, settled).await
    }
}

/// What is known of a trace.
#[derive(Debug)]
pub(crate) enum TraceAnswer {
    Outline(Vec<GetTraceOutlineResponse>),
    Whole(Vec<GetTraceResponse>),
}

impl TraceAnswer {
    /// The trace, with the answer to what was asked.
    pub(crate) fn trace(self, question: &Question) -> Trace {
        match self {
            Self::Outline(pieces) => Trace::outlined(pieces),
            Self::Whole(pieces) => {
                let mut trace = Trace::new(pieces);
                trace.answer(question);
                trace
            }
        }
    }
}

/// The pieces of one trace.
#[derive(Debug)]
pub(crate) struct TracePieces {
    first: Option<GetTraceResponse>,
    /// None when the first is all of it.
    stream: Option<Streaming<GetTraceResponse>>,
    deadline: Duration,
}

impl TracePieces {
    /// Whether the trace has spans: they come before the log records.
    pub(crate) fn has_spans(&self) -> bool {
        let first = self.first.as_ref();
        first.is_some_and(|piece| !piece.resource_spans.is_empty())
    }

    /// The next piece; none after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<GetTraceResponse>, Fault> {
        match (self.first.take(), &mut self.stream) {
            (Some(first), _) => Ok(Some(first)),
            (None, Some(stream)) => within(self.deadline, stream.message()).await,
            (None, None) => Ok(None),
        }
    }
}

/// The messages of an export.
#[derive(Debug)]
pub(crate) struct Exported {
    stream: Streaming<ExportResponse>,
    deadline: Duration,
}

impl Exported {
    /// The next message; none after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<ExportResponse>, Fault> {
        within(self.deadline, self.stream.message()).await
    }
}

async fn within<T>(
    deadline: Duration,
    call: impl Future<Output = Result<T, Status>>,
) -> Result<T, Fault> {
    match tokio::time::timeout(deadline, call).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Fault::slow(
            "the consumer did not answer within the deadline",
        )),
    }
}

/// The end of a trace that is not all of it.
fn cut_off(reason: String) -> GetTraceResponse {
    GetTraceResponse {
        coverage: Some(Coverage {
            partial: true,
            reasons: vec![reason],
            ..Coverage::default()
        }),
        ..GetTraceResponse::default()
    }
}
