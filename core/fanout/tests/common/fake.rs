//! A consumer that does what a test says.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{Stream, StreamExt, stream};
use log_tracer_proto::v1::{
    self,
    query_service_server::{QueryService, QueryServiceServer},
};
use tokio::{
    io::{DuplexStream, duplex},
    sync::mpsc,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Request, Response, Status,
    transport::{Channel, Endpoint, Server, Uri},
};

/// What it does with a question.
#[derive(Clone, Debug, Default)]
pub enum Act {
    #[default]
    Answer,
    /// Answers late.
    After(Duration),
    /// Never answers.
    Hang,
    Fail(Status),
}

#[derive(Debug)]
struct State {
    status: Mutex<v1::StatusResponse>,
    /// By the name of a method; any other answers.
    acts: Mutex<HashMap<&'static str, Act>>,
    services: Vec<&'static str>,
    trace: Mutex<Vec<Result<v1::GetTraceResponse, Status>>>,
    outline: Mutex<Vec<Result<v1::GetTraceOutlineResponse, Status>>>,
    tail: Mutex<Option<mpsc::Receiver<Result<v1::TailResponse, Status>>>>,
    export: Mutex<Vec<Vec<Result<v1::ExportResponse, Status>>>>,
    exports: Mutex<Vec<v1::ExportRequest>>,
    tails: Mutex<Vec<v1::TailRequest>>,
    is_down: AtomicBool,
    asked: AtomicUsize,
    /// Questions that were given up before they were answered.
    given_up: AtomicUsize,
}

/// The consumer; clones are the same one.
#[derive(Clone, Debug)]
pub struct Fake {
    state: Arc<State>,
    pipes: mpsc::Sender<DuplexStream>,
}

impl Fake {
    /// Owns partitions of a log of four, and knows one service.
    pub fn start(name: &str, partitions: &[u32], service: &'static str) -> Self {
        let owned = partitions.iter().map(|partition| v1::PartitionStatus {
            partition: *partition,
            health: "ready".to_owned(),
            ..v1::PartitionStatus::default()
        });
        let status = v1::StatusResponse {
            name: name.to_owned(),
            health: "ready".to_owned(),
            // Each is a process of its own.
            started_unix_nano: name.bytes().map(u64::from).sum(),
            transport: Some(v1::TransportStatus {
                log_id: "00000000000000000000000000000abc".to_owned(),
                partitions: 4,
                health: "ready".to_owned(),
                ..v1::TransportStatus::default()
            }),
            partitions: owned.collect(),
            ..v1::StatusResponse::default()
        };
        let state = Arc::new(State {
            status: Mutex::new(status),
            acts: Mutex::default(),
            services: vec![service],
            trace: Mutex::default(),
            outline: Mutex::default(),
            tail: Mutex::default(),
            export: Mutex::default(),
            exports: Mutex::default(),
            tails: Mutex::default(),
            is_down: AtomicBool::new(false),
            asked: AtomicUsize::new(0),
            given_up: AtomicUsize::new(0),
        });
        let (pipes, incoming) = mpsc::channel(4);
        let service = QueryServiceServer::from_arc(Arc::new(Service(Arc::clone(&state))));
        let incoming = ReceiverStream::new(incoming).map(Ok::<_, io::Error>);
        tokio::spawn(
            Server::builder()
                .add_service(service)
                .serve_with_incoming(incoming),
        );
        Self { state, pipes }
    }

    pub fn channel(&self) -> Channel {
        let (state, pipes) = (Arc::clone(&self.state), self.pipes.clone());
        let connector = tower::service_fn(move |_: Uri| {
            let (state, pipes) = (Arc::clone(&state), pipes.clone());
            async move {
                if state.is_down.load(Ordering::Relaxed) {
                    return Err(io::Error::new(
                        io::ErrorKind::ConnectionRefused,
                        "connection refused",
                    ));
                }
                let (client, server) = duplex(64 << 10);
                pipes.send(server).await.map_err(io::Error::other)?;
                Ok(hyper_util::rt::TokioIo::new(client))
            }
        });
        Endpoint::from_static("http://fake").connect_with_connector_lazy(connector)
    }

    pub fn act(&self, method: &'static str, act: Act) -> &Self {
        self.state.acts.lock().unwrap().insert(method, act);
        self
    }

    /// Every question fails as if nobody were there, and so does every new connection.
    pub fn go_down(&self) -> &Self {
        self.state.is_down.store(true, Ordering::Relaxed);
        self
    }

    pub fn come_back(&self) {
        self.state.is_down.store(false, Ordering::Relaxed);
    }

    pub fn status(&self, change: impl FnOnce(&mut v1::StatusResponse)) -> &Self {
        change(&mut self.state.status.lock().unwrap());
        self
    }

    pub fn outline(&self, pieces: Vec<Result<v1::GetTraceOutlineResponse, Status>>) -> &Self {
        *self.state.outline.lock().unwrap() = pieces;
        self
    }

    pub fn trace(&self, pieces: Vec<Result<v1::GetTraceResponse, Status>>) -> &Self {
        *self.state.trace.lock().unwrap() = pieces;
        self
    }

    /// What the next tail answers.
    pub fn tail(&self) -> mpsc::Sender<Result<v1::TailResponse, Status>> {
        let (sender, receiver) = mpsc::channel(16);
        *self.state.tail.lock().unwrap() = Some(receiver);
        sender
    }

    /// What the next exports answer, one after the other.
    pub fn export(&self, pages: Vec<Result<v1::ExportResponse, Status>>) -> &Self {
        self.state.export.lock().unwrap().push(pages);
        self
    }

    pub fn exports(&self) -> Vec<v1::ExportRequest> {
        self.state.exports.lock().unwrap().clone()
    }

    pub fn tails(&self) -> Vec<v1::TailRequest> {
        self.state.tails.lock().unwrap().clone()
    }

    /// How many questions it was asked, how it is not among them.
    pub fn asked(&self) -> usize {
        self.state.asked.load(Ordering::Relaxed)
    }

    pub fn given_up(&self) -> usize {
        self.state.given_up.load(Ordering::Relaxed)
    }
}

struct Service(Arc<State>);

type Answers<T> = std::pin::Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Counts a question that is dropped before it is done.
struct Pending<'a>(&'a State, bool);

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if !self.1 {
            self.0.given_up.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Service {
    async fn act(&self, method: &'static str) -> Result<(), Status> {
        let act = self.0.acts.lock().unwrap().get(method).cloned();
        let mut pending = Pending(&self.0, false);
        if self.0.is_down.load(Ordering::Relaxed) {
            pending.1 = true;
            return Err(Status::unavailable("connection refused"));
        }
        let acted = match act.unwrap_or_default() {
            Act::Answer => Ok(()),
            Act::After(delay) => {
                tokio::time::sleep(delay).await;
                Ok(())
            }
            Act::Hang => std::future::pending().await,
            Act::Fail(status) => Err(status),
        };
        pending.1 = true;
        acted
    }

    async fn asked(&self, method: &'static str) -> Result<(), Status> {
        self.0.asked.fetch_add(1, Ordering::Relaxed);
        self.act(method).await
    }
}

fn coverage() -> Option<v1::Coverage> {
    Some(v1::Coverage::default())
}

#[tonic::async_trait]
impl QueryService for Service {
    type GetTraceStream = Answers<v1::GetTraceResponse>;
    type GetTraceOutlineStream = Answers<v1::GetTraceOutlineResponse>;
    type TailStream = Answers<v1::TailResponse>;
    type ExportStream = Answers<v1::ExportResponse>;
    type ExportQuarantineStream = Answers<v1::ExportQuarantineResponse>;

    async fn get_trace(
        &self,
        _: Request<v1::GetTraceRequest>,
    ) -> Result<Response<Self::GetTraceStream>, Status> {
        self.asked("get_trace").await?;
        let pieces = self.0.trace.lock().unwrap().clone();
        if pieces.is_empty() {
            return Err(Status::not_found(
                "there is no span and no log of the trace",
            ));
        }
        Ok(Response::new(Box::pin(stream::iter(pieces))))
    }

    async fn get_trace_outline(
        &self,
        _: Request<v1::GetTraceOutlineRequest>,
    ) -> Result<Response<Self::GetTraceOutlineStream>, Status> {
        self.asked("get_trace_outline").await?;
        let pieces = self.0.outline.lock().unwrap().clone();
        if pieces.is_empty() {
            return Err(Status::not_found(
                "there is no span and no log of the trace",
            ));
        }
        Ok(Response::new(Box::pin(stream::iter(pieces))))
    }

    async fn search_traces(
        &self,
        _: Request<v1::SearchTracesRequest>,
    ) -> Result<Response<v1::SearchTracesResponse>, Status> {
        self.asked("search_traces").await?;
        Ok(Response::new(v1::SearchTracesResponse::default()))
    }

    async fn search_logs(
        &self,
        _: Request<v1::SearchLogsRequest>,
    ) -> Result<Response<v1::SearchLogsResponse>, Status> {
        self.asked("search_logs").await?;
        Ok(Response::new(v1::SearchLogsResponse::default()))
    }

    async fn histogram(
        &self,
        _: Request<v1::HistogramRequest>,
    ) -> Result<Response<v1::HistogramResponse>, Status> {
        Err(Status::unimplemented("histogram"))
    }

    async fn duration_heatmap(
        &self,
        _: Request<v1::DurationHeatmapRequest>,
    ) -> Result<Response<v1::DurationHeatmapResponse>, Status> {
        Err(Status::unimplemented("duration_heatmap"))
    }

    async fn facets(
        &self,
        _: Request<v1::FacetsRequest>,
    ) -> Result<Response<v1::FacetsResponse>, Status> {
        Err(Status::unimplemented("facets"))
    }

    async fn list_services(
        &self,
        _: Request<v1::ListServicesRequest>,
    ) -> Result<Response<v1::ListServicesResponse>, Status> {
        self.asked("list_services").await?;
        let services = self.0.services.iter().map(|service| v1::ServiceInfo {
            service: (*service).to_owned(),
            span_count: 1,
            ..v1::ServiceInfo::default()
        });
        Ok(Response::new(v1::ListServicesResponse {
            services: services.collect(),
            coverage: coverage(),
        }))
    }

    async fn list_operations(
        &self,
        _: Request<v1::ListOperationsRequest>,
    ) -> Result<Response<v1::ListOperationsResponse>, Status> {
        Err(Status::unimplemented("list_operations"))
    }

    async fn rates(
        &self,
        _: Request<v1::RatesRequest>,
    ) -> Result<Response<v1::RatesResponse>, Status> {
        Err(Status::unimplemented("rates"))
    }

    async fn service_graph(
        &self,
        _: Request<v1::ServiceGraphRequest>,
    ) -> Result<Response<v1::ServiceGraphResponse>, Status> {
        Err(Status::unimplemented("service_graph"))
    }

    async fn wait_for_position(
        &self,
        _: Request<v1::WaitForPositionRequest>,
    ) -> Result<Response<v1::WaitForPositionResponse>, Status> {
        self.asked("wait_for_position").await?;
        Ok(Response::new(v1::WaitForPositionResponse {}))
    }

    async fn tail(
        &self,
        request: Request<v1::TailRequest>,
    ) -> Result<Response<Self::TailStream>, Status> {
        self.asked("tail").await?;
        self.0.tails.lock().unwrap().push(request.into_inner());
        match self.0.tail.lock().unwrap().take() {
            Some(messages) => Ok(Response::new(Box::pin(ReceiverStream::new(messages)))),
            None => Ok(Response::new(Box::pin(stream::pending()))),
        }
    }

    async fn status(
        &self,
        _: Request<v1::StatusRequest>,
    ) -> Result<Response<v1::StatusResponse>, Status> {
        self.act("status").await?;
        Ok(Response::new(self.0.status.lock().unwrap().clone()))
    }

    async fn status_history(
        &self,
        _: Request<v1::StatusHistoryRequest>,
    ) -> Result<Response<v1::StatusHistoryResponse>, Status> {
        Err(Status::unimplemented("status_history"))
    }

    async fn export(
        &self,
        request: Request<v1::ExportRequest>,
    ) -> Result<Response<Self::ExportStream>, Status> {
        self.asked("export").await?;
        self.0.exports.lock().unwrap().push(request.into_inner());
        let mut pages = self.0.export.lock().unwrap();
        let pages = if pages.is_empty() {
            Vec::new()
        } else {
            pages.remove(0)
        };
        Ok(Response::new(Box::pin(stream::iter(pages))))
    }

    async fn export_quarantine(
        &self,
        _: Request<v1::ExportQuarantineRequest>,
    ) -> Result<Response<Self::ExportQuarantineStream>, Status> {
        Err(Status::unimplemented("export_quarantine"))
    }
}
