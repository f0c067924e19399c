//! `QueryService`: each method asks one consumer of each set, and puts the answers together.

use std::{pin::Pin, sync::Arc, time::Duration};

use futures_util::{Stream, StreamExt};
use log_tracer_proto::v1::{self, query_service_server::QueryService};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::{
    config::limit,
    export,
    fan::{Client, Fan, Round},
    merge::{
        Covers, alone, counts::histogram, covering::Covering, facets::facets, heatmap::heatmap,
        history::history, hits, lists, rates, traces::traces,
    },
    peer::Kind,
    quarantine, status, tail, trace,
    view::View,
    wait,
};

/// The answers of a stream.
pub(crate) type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// QueryService on one server.
#[derive(Clone, Debug)]
pub(crate) struct Queries {
    fan: Arc<Fan>,
    /// Ends the streams of this server.
    closing: CancellationToken,
}

impl Queries {
    pub(crate) fn new(fan: Arc<Fan>, closing: CancellationToken) -> Self {
        Self { fan, closing }
    }

    /// Waits for the right to ask, and looks who there is.
    async fn asking(&self, deadline: Instant) -> Result<Asking, Status> {
        let begun = Instant::now();
        Ok(Asking {
            begun,
            deadline,
            _turn: self.fan.turn(deadline).await?,
            view: self.fan.view(deadline).await,
        })
    }

    /// Asks one consumer of each set: the answers, and what they cover.
    async fn ask_all<T: Covers, F>(
        &self,
        asking: &Asking,
        kind: Kind,
        call: impl Fn(Client, Duration) -> F,
    ) -> Result<(Round<T>, Covering), Status>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let asked = self.fan.ask_all(&asking.view, kind, asking.deadline, call);
        let mut round = asked.await?;
        let covering = Covering::of(&mut round, asking.begun);
        Ok((round, covering))
    }

    /// A stream that ends with the server.
    fn until_closing<T: 'static>(
        &self,
        stream: impl Stream<Item = Result<T, Status>> + Send + 'static,
    ) -> Response<Answers<T>> {
        let closing = self.closing.clone().cancelled_owned();
        Response::new(Box::pin(stream.take_until(closing)))
    }
}

/// A question that is being asked.
struct Asking {
    begun: Instant,
    /// When the consumers have to have answered.
    deadline: Instant,
    view: Arc<View>,
    _turn: OwnedSemaphorePermit,
}

impl Asking {
    /// Whether one set has everything, so that its answer is the answer.
    fn is_alone(&self) -> bool {
        self.view.sets.len() == 1
    }
}

/// One question, as it is asked of each consumer.
fn question<T>(message: T, timeout: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(timeout);
    request
}

/// A call of the generated client that asks the same of everyone.
macro_rules! call {
    ($method:ident, $message:expr) => {{
        let message = $message;
        move |mut client: Client, timeout| {
            let message = message.clone();
            async move {
                let answer = client.$method(question(message, timeout)).await?;
                Ok(answer.into_inner())
            }
        }
    }};
}

/// Passes a call on as it is when there is one consumer.
macro_rules! pass_through {
    ($self:ident, $method:ident, $request:ident) => {
        if let Some(mut only) = $self.fan.only() {
            return only.$method($request).await;
        }
    };
}

/// Likewise for a call that answers with a stream.
macro_rules! pass_stream_through {
    ($self:ident, $method:ident, $request:ident) => {
        if let Some(mut only) = $self.fan.only() {
            let answer = only.$method($request).await?;
            return Ok($self.until_closing(answer.into_inner()));
        }
    };
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
        pass_stream_through!(self, get_trace, request);
        let deadline = self.fan.deadline(request.metadata());
        let pieces = trace::find(Arc::clone(&self.fan), request.into_inner(), deadline).await?;
        Ok(self.until_closing(pieces))
    }

    async fn get_trace_outline(
        &self,
        request: Request<v1::GetTraceOutlineRequest>,
    ) -> Result<Response<Self::GetTraceOutlineStream>, Status> {
        pass_stream_through!(self, get_trace_outline, request);
        let deadline = self.fan.deadline(request.metadata());
        let pieces = trace::outline(Arc::clone(&self.fan), request.into_inner(), deadline).await?;
        Ok(self.until_closing(pieces))
    }

    async fn search_traces(
        &self,
        request: Request<v1::SearchTracesRequest>,
    ) -> Result<Response<v1::SearchTracesResponse>, Status> {
        pass_through!(self, search_traces, request);
        let asking = self.asking(self.fan.deadline(request.metadata())).await?;
        let config = &self.fan.config;
        let mut request = request.into_inner();
        request.limit = limit(request.limit, config.traces_default, config.traces_max);
        let (order, limit) = (request.order(), request.limit as usize);
        let ask = call!(search_traces, request);
        let (round, covering) = self.ask_all(&asking, Kind::Traces, ask).await?;
        Ok(Response::new(match asking.is_alone() {
            true => alone(round, covering),
            false => traces(round, covering, order, limit, config.answer_bytes_max),
        }))
    }

    async fn search_logs(
        &self,
        request: Request<v1::SearchLogsRequest>,
    ) -> Result<Response<v1::SearchLogsResponse>, Status> {
        pass_through!(self, search_logs, request);
        let asking = self.asking(self.fan.deadline(request.metadata())).await?;
        let config = &self.fan.config;
        let mut request = request.into_inner();
        request.limit = limit(request.limit, config.logs_default, config.logs_max);
        let order = hits::Order {
            oldest_first: request.oldest_first,
            limit: request.limit as usize,
            bytes_max: config.answer_bytes_max,
        };
        let ask = call!(search_logs, request);
        let (round, covering) = self.ask_all(&asking, Kind::Logs, ask).await?;
        Ok(Response::new(match asking.is_alone() {
            true => alone(round, covering),
            false => hits::logs(round, covering, order),
        }))
    }

    async fn histogram(
        &self,
        request: Request<v1::HistogramRequest>,
    ) -> Result<Response<v1::HistogramResponse>, Status> {
        pass_through!(self, histogram, request);
        let asking = self.asking(self.fan.deadline(request.metadata())).await?;
        let request = request.into_inner();
        let ask = call!(histogram, request.clone());
        let (round, covering) = self.ask_all(&asking, Kind::Histogram, ask).await?;
        Ok(Response::new(match asking.is_alone() {
            true => alone(round, covering),
            false => histogram(round, covering, &request, self.fan.config.answer_bytes_max),
        }))
    }

    async fn duration_heatmap(
        &self,
        request: Request<v1::DurationHeatmapRequest>,
    ) -> Result<Response<v1::DurationHeatmapResponse>, Status> {
        pass_through!(self, duration_heatmap, request);
        let asking = self.asking(self.fan.deadline(request.metadata())).await?;
        let request = request.into_inner();
        let ask = call!(duration_heatmap, request.clone());
        let (round, covering) = self.ask_all(&asking, Kind::Heatmap, ask).await?;
        Ok(Response::new(match asking.is_alone() {
            true => alone(round, covering),
            false => heatmap(round, covering, &request, self.fan.config.answer_bytes_max),
        }))
    }

    async fn facets(
        &self,
        request: Request<v1::FacetsRequest>,
    ) -> Result<Response<v1::FacetsResponse>, Status> {
        pass_through!(self, facets, request);
        let asking = self.asking(self.fan.deadline(request.metadata())).await?;
        let config = &self.fan.config;
        let mut request = request.into_inner();
        let values_max = limit(
            request.values_max,
            config.facet_values_default,
            config.facet_values_max,
        );
        let is_alone = asking.is_alone();
        request.values_max = match is_alone {
            true => values_max,
            false => config.facet_values_max,
        };
        let ask = call!(facets, request);
        let (round, covering) = self.ask_all(&asking, Kind::Facets, ask).await?;
        Ok(Response::new(match is_alone {
            true => alone(round, covering),
            false => facets(
                round,
                covering,
                values_max as usize,
                config.answer_bytes_max,
            ),
        }))
    }

    async fn list_services(
        &self,
        request: Request<v1::ListServicesRequest>,
    ) -> Result<Response<v1::ListServicesResponse>, Status> {
        pass_through!(self, list_services, request);
        let asking = self.asking(self.fan.deadline(request.metadata())).await?;
        let ask = call!(list_services, request.into_inner());
        let (round, covering) = self.ask_all(&asking, Kind::Lists, ask).await?;
        let bytes_max = self.fan.config.answer_bytes_max;
        Ok(Response::new(lists::services(round, covering, bytes_max)))
    }

    async fn list_operations(
        &self,
        request: Request<v1::ListOperationsRequest>,
    ) -> Result<Response<v1::ListOperationsResponse>, Status> {
        pass_through!(self, list_operations, request);
        let asking = self.asking(self.fan.deadline(request.metadata())).await?;
        let ask = call!(list_operations, request.into_inner());
        let (round, covering) = self.ask_all(&asking, Kind::Lists, ask).await?;
        let bytes_max = self.fan.config.answer_bytes_max;
        Ok(Response::new(lists::operations(round, covering, bytes_max)))
    }

    async fn rates(
        &self,
        request: Request<v1::RatesRequest>,
    ) -> Result<Response<v1::RatesResponse>, Status> {
        pass_through!(self, rates, request);
        let asking = self.asking(self.fan.deadline(request.metadata())).await?;
        let mut request = request.into_inner();
        let form = rates::Form {
            quantiles: request.quantiles.clone(),
            with_sketches: request.with_sketches,
        };
        let is_alone = asking.is_alone();
        request.with_sketches |= !is_alone;
        let ask = call!(rates, request);
        let (round, covering) = self.ask_all(&asking, Kind::Rates, ask).await?;
        let bytes_max = self.fan.config.answer_bytes_max;
        Ok(Response::new(match is_alone {
            true => alone(round, covering),
            false => rates::rates(round, covering, &form, bytes_max),
        }))
    }

    async fn service_graph(
        &self,
        request: Request<v1::ServiceGraphRequest>,
    ) -> Result<Response<v1::ServiceGraphResponse>, Status> {
        pass_through!(self, service_graph, request);
        let asking = self.asking(self.fan.deadline(request.metadata())).await?;
        let mut request = request.into_inner();
        let form = rates::Form {
            quantiles: request.quantiles.clone(),
            with_sketches: request.with_sketches,
        };
        let is_alone = asking.is_alone();
        request.with_sketches |= !is_alone;
        let ask = call!(service_graph, request);
        let (round, covering) = self.ask_all(&asking, Kind::Rates, ask).await?;
        let bytes_max = self.fan.config.answer_bytes_max;
        Ok(Response::new(match is_alone {
            true => alone(round, covering),
            false => rates::graph(round, covering, &form, bytes_max),
        }))
    }

    async fn wait_for_position(
        &self,
        request: Request<v1::WaitForPositionRequest>,
    ) -> Result<Response<v1::WaitForPositionResponse>, Status> {
        pass_through!(self, wait_for_position, request);
        let deadline = self.fan.wait_deadline(request.metadata());
        let positions = request.into_inner().positions;
        tokio::select! {
            waited = wait::wait(&self.fan, positions, deadline) => waited?,
            () = self.closing.cancelled() => {
                return Err(Status::unavailable("the server is shutting down"));
            }
        }
        Ok(Response::new(v1::WaitForPositionResponse {}))
    }

    async fn tail(
        &self,
        request: Request<v1::TailRequest>,
    ) -> Result<Response<Self::TailStream>, Status> {
        pass_stream_through!(self, tail, request);
        let deadline = self.fan.deadline(request.metadata());
        let tail = tail::open(Arc::clone(&self.fan), request.into_inner(), deadline).await?;
        Ok(self.until_closing(tail))
    }

    async fn status(
        &self,
        request: Request<v1::StatusRequest>,
    ) -> Result<Response<v1::StatusResponse>, Status> {
        pass_through!(self, status, request);
        Ok(Response::new(status::status(&self.fan).await?))
    }

    async fn status_history(
        &self,
        request: Request<v1::StatusHistoryRequest>,
    ) -> Result<Response<v1::StatusHistoryResponse>, Status> {
        pass_through!(self, status_history, request);
        let asking = self.asking(self.fan.deadline(request.metadata())).await?;
        let ask = call!(status_history, request.into_inner());
        let (round, covering) = self.ask_all(&asking, Kind::Lists, ask).await?;
        let bytes_max = self.fan.config.answer_bytes_max;
        Ok(Response::new(match asking.is_alone() {
            true => alone(round, covering),
            false => history(round, covering, bytes_max),
        }))
    }

    async fn export(
        &self,
        request: Request<v1::ExportRequest>,
    ) -> Result<Response<Self::ExportStream>, Status> {
        pass_stream_through!(self, export, request);
        let deadline = self.fan.deadline(request.metadata());
        let pages = export::open(Arc::clone(&self.fan), request.into_inner(), deadline).await?;
        Ok(self.until_closing(pages))
    }

    async fn export_quarantine(
        &self,
        request: Request<v1::ExportQuarantineRequest>,
    ) -> Result<Response<Self::ExportQuarantineStream>, Status> {
        pass_stream_through!(self, export_quarantine, request);
        let deadline = self.fan.deadline(request.metadata());
        let pieces = quarantine::open(Arc::clone(&self.fan), deadline).await?;
        Ok(self.until_closing(pieces))
    }
}
