//! A consumer that answers every question with what it was given, good or bad.

use std::{pin::Pin, time::Duration};

use futures_util::{Stream, StreamExt, stream};
use log_tracer_proto::v1::{
    DurationHeatmapRequest, DurationHeatmapResponse, ExportQuarantineRequest,
    ExportQuarantineResponse, ExportRequest, ExportResponse, FacetsRequest, FacetsResponse,
    GetTraceOutlineRequest, GetTraceOutlineResponse, GetTraceRequest, GetTraceResponse,
    HistogramRequest, HistogramResponse, ListOperationsRequest, ListOperationsResponse,
    ListServicesRequest, ListServicesResponse, RatesRequest, RatesResponse, SearchLogsRequest,
    SearchLogsResponse, SearchTracesRequest, SearchTracesResponse, ServiceGraphRequest,
    ServiceGraphResponse, StatusHistoryRequest, StatusHistoryResponse, StatusRequest,
    StatusResponse, TailRequest, TailResponse, WaitForPositionRequest, WaitForPositionResponse,
    query_service_server::{QueryService, QueryServiceServer},
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Request, Response, Status,
    transport::{Channel, Endpoint, Server},
};

/// What it answers.
#[derive(Clone, Debug, Default)]
pub struct Canned {
    pub services: ListServicesResponse,
    pub operations: ListOperationsResponse,
    pub traces: SearchTracesResponse,
    pub logs: SearchLogsResponse,
    pub histogram: HistogramResponse,
    pub heatmap: DurationHeatmapResponse,
    pub facets: FacetsResponse,
    pub rates: RatesResponse,
    pub graph: ServiceGraphResponse,
    pub status: StatusResponse,
    pub history: StatusHistoryResponse,
    pub pieces: Vec<GetTraceResponse>,
    pub tail: Vec<TailResponse>,
    pub exported: Vec<ExportResponse>,
    /// Leaves the coverage away, which ends a trace.
    pub cut_off: bool,
    /// Refuses everything with this instead.
    pub refusal: Option<Status>,
    /// Answers only after this.
    pub delay: Duration,
}

type Pieces<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Canned {
    /// Serves it as long as the runtime lives.
    pub async fn serve(self) -> Channel {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint =
            Endpoint::from_shared(format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let service = QueryServiceServer::new(self).max_encoding_message_size(usize::MAX);
        let incoming = TcpListenerStream::new(listener);
        tokio::spawn(
            Server::builder()
                .add_service(service)
                .serve_with_incoming(incoming),
        );
        endpoint.connect_lazy()
    }

    async fn answer<T>(&self, answer: &T) -> Result<Response<T>, Status>
    where
        T: Clone,
    {
        tokio::time::sleep(self.delay).await;
        match &self.refusal {
            Some(refusal) => Err(refusal.clone()),
            None => Ok(Response::new(answer.clone())),
        }
    }
}

#[tonic::async_trait]
impl QueryService for Canned {
    type GetTraceStream = Pieces<GetTraceResponse>;
    type GetTraceOutlineStream = Pieces<GetTraceOutlineResponse>;
    type TailStream = Pieces<TailResponse>;
    type ExportStream = Pieces<ExportResponse>;
    type ExportQuarantineStream = Pieces<ExportQuarantineResponse>;

    async fn get_trace(
        &self,
        _: Request<GetTraceRequest>,
    ) -> Result<Response<Self::GetTraceStream>, Status> {
        let mut pieces = self.answer(&self.pieces).await?.into_inner();
        let Some(last) = pieces.last_mut() else {
            return Err(Status::not_found("no such trace"));
        };
        if !self.cut_off {
            last.coverage.get_or_insert_default();
        }
        Ok(Response::new(
            stream::iter(pieces.into_iter().map(Ok)).boxed(),
        ))
    }

    /// As a consumer that is older than the dashboard, so that whole traces are tried, too.
    async fn get_trace_outline(
        &self,
        _: Request<GetTraceOutlineRequest>,
    ) -> Result<Response<Self::GetTraceOutlineStream>, Status> {
        Err(Status::unimplemented("no outlines here"))
    }

    async fn search_traces(
        &self,
        _: Request<SearchTracesRequest>,
    ) -> Result<Response<SearchTracesResponse>, Status> {
        self.answer(&self.traces).await
    }

    async fn search_logs(
        &self,
        _: Request<SearchLogsRequest>,
    ) -> Result<Response<SearchLogsResponse>, Status> {
        self.answer(&self.logs).await
    }

    async fn histogram(
        &self,
        _: Request<HistogramRequest>,
    ) -> Result<Response<HistogramResponse>, Status> {
        self.answer(&self.histogram).await
    }

    async fn duration_heatmap(
        &self,
        _: Request<DurationHeatmapRequest>,
    ) -> Result<Response<DurationHeatmapResponse>, Status> {
        self.answer(&self.heatmap).await
    }

    async fn facets(&self, _: Request<FacetsRequest>) -> Result<Response<FacetsResponse>, Status> {
        self.answer(&self.facets).await
    }

    async fn rates(&self, _: Request<RatesRequest>) -> Result<Response<RatesResponse>, Status> {
        self.answer(&self.rates).await
    }

    async fn service_graph(
        &self,
        _: Request<ServiceGraphRequest>,
    ) -> Result<Response<ServiceGraphResponse>, Status> {
        self.answer(&self.graph).await
    }

    async fn list_services(
        &self,
        _: Request<ListServicesRequest>,
    ) -> Result<Response<ListServicesResponse>, Status> {
        self.answer(&self.services).await
    }

    async fn list_operations(
        &self,
        _: Request<ListOperationsRequest>,
    ) -> Result<Response<ListOperationsResponse>, Status> {
        self.answer(&self.operations).await
    }

    async fn wait_for_position(
        &self,
        _: Request<WaitForPositionRequest>,
    ) -> Result<Response<WaitForPositionResponse>, Status> {
        self.answer(&WaitForPositionResponse {}).await
    }

    async fn tail(&self, _: Request<TailRequest>) -> Result<Response<Self::TailStream>, Status> {
        let mut tail = self.answer(&self.tail).await?.into_inner();
        // As every consumer does when it was asked for a backlog.
        if !tail.iter().any(|step| step.backlog_done) {
            tail.push(TailResponse {
                backlog_done: true,
                ..TailResponse::default()
            });
        }
        let first = stream::iter(tail.into_iter().map(Ok));
        Ok(Response::new(first.chain(stream::pending()).boxed()))
    }

    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        self.answer(&self.status).await
    }

    async fn status_history(
        &self,
        _: Request<StatusHistoryRequest>,
    ) -> Result<Response<StatusHistoryResponse>, Status> {
        self.answer(&self.history).await
    }

    async fn export(
        &self,
        _: Request<ExportRequest>,
    ) -> Result<Response<Self::ExportStream>, Status> {
        let exported = self.answer(&self.exported).await?.into_inner();
        Ok(Response::new(
            stream::iter(exported.into_iter().map(Ok)).boxed(),
        ))
    }

    async fn export_quarantine(
        &self,
        _: Request<ExportQuarantineRequest>,
    ) -> Result<Response<Self::ExportQuarantineStream>, Status> {
        Ok(Response::new(stream::empty().boxed()))
    }
}
