//! QueryService as its callers like it: answers as rows, streams put together.

use std::sync::Arc;

use log_tracer_proto::v1::{
    Coverage, GetTraceRequest, LogHit, RecordKey, ResourceEntry, ScopeEntry, SearchLogsRequest,
    SearchTracesRequest, SearchTracesResponse, query_service_client::QueryServiceClient,
};
use log_tracer_record::{
    LogRow, ResourceContext, ScopeContext, SpanRow, TraceId, log_rows, span_rows,
};
use tonic::{Code, Status, transport::Channel};

/// The largest message that is read, in bytes: a server can be told to answer more than gRPC's usual 4 MiB.
pub const ANSWER_BYTES_MAX: usize = 64 << 20;

/// A client of QueryService.
#[derive(Clone, Debug)]
pub struct Client {
    service: QueryServiceClient<Channel>,
}

/// One trace with its logs.
#[derive(Clone, Debug, Default)]
pub struct TraceRows {
    /// In the order of the answer.
    pub spans: Vec<SpanRow>,
    /// In the order of the answer.
    pub logs: Vec<LogRow>,
    /// Whether something is missing, and why.
    pub coverage: Coverage,
}

/// Some log records, and where to go on.
#[derive(Clone, Debug, Default)]
pub struct LogPage {
    /// In the order that was asked for.
    pub logs: Vec<LogRow>,
    /// Set when there may be more.
    pub next: Option<RecordKey>,
    /// Whether something is missing, and why.
    pub coverage: Coverage,
}

impl Client {
    /// Over a connection, which may connect when it is first used.
    #[must_use]
    pub fn new(channel: Channel) -> Self {
        Self::of(QueryServiceClient::new(channel))
    }

    /// Over the generated client.
    #[must_use]
    pub fn of(service: QueryServiceClient<Channel>) -> Self {
        Self {
            service: service.max_decoding_message_size(ANSWER_BYTES_MAX),
        }
    }

    /// The generated client, for every other question.
    #[must_use]
    pub fn service(&self) -> QueryServiceClient<Channel> {
        self.service.clone()
    }

    /// One trace, whole; `None` when there is neither a span nor a log of it.
    ///
    /// # Errors
    /// What the server answered.
    pub async fn trace(&self, id: TraceId) -> Result<Option<TraceRows>, Status> {
        let request = GetTraceRequest {
            trace_id: id.to_bytes(),
            ..GetTraceRequest::default()
        };
        let found = self.service().get_trace(request).await;
        let mut pieces = match found {
            Ok(response) => response.into_inner(),
            Err(status) if status.code() == Code::NotFound => return Ok(None),
            Err(status) => return Err(status),
        };
        let mut rows = TraceRows::default();
        loop {
            match pieces.message().await {
                Ok(Some(piece)) => {
                    rows.spans.extend(span_rows(piece.resource_spans));
                    rows.logs.extend(log_rows(piece.resource_logs));
                    rows.coverage = piece.coverage.unwrap_or(rows.coverage);
                }
                Ok(None) => return Ok(Some(rows)),
                Err(status) if status.code() == Code::NotFound => return Ok(None),
                Err(status) => return Err(status),
            }
        }
    }

    /// Traces in a line each.
    ///
    /// # Errors
    /// What the server answered; INVALID_ARGUMENT points at the column of a query that cannot be read.
    pub async fn traces(
        &self,
        request: SearchTracesRequest,
    ) -> Result<SearchTracesResponse, Status> {
        let response = self.service().search_traces(request).await?;
        Ok(response.into_inner())
    }

    /// Log records.
    ///
    /// # Errors
    /// What the server answered; INVALID_ARGUMENT points at the column of a query that cannot be read.
    pub async fn logs(&self, request: SearchLogsRequest) -> Result<LogPage, Status> {
        let page = self.service().search_logs(request).await?.into_inner();
        let logs = logs_of_hits(page.hits, page.resources, page.scopes)?;
        Ok(LogPage {
            logs,
            next: page.next,
            coverage: page.coverage.unwrap_or_default(),
        })
    }
}

/// Hits with what they point to in the tables of their answer.
pub(crate) fn logs_of_hits(
    hits: Vec<LogHit>,
    resources: Vec<ResourceEntry>,
    scopes: Vec<ScopeEntry>,
) -> Result<Vec<LogRow>, Status> {
    let resources: Vec<_> = resources
        .into_iter()
        .map(|entry| {
            let resource = entry.resource.unwrap_or_default();
            Arc::new(ResourceContext::new(resource, entry.schema_url))
        })
        .collect();
    let scopes: Vec<_> = scopes
        .into_iter()
        .map(|entry| {
            Arc::new(ScopeContext {
                scope: entry.scope,
                schema_url: entry.schema_url,
            })
        })
        .collect();
    hits.into_iter()
        .map(|hit| {
            Ok(LogRow {
                resource: Arc::clone(entry(&resources, hit.resource)?),
                scope: Arc::clone(entry(&scopes, hit.scope)?),
                record: hit.record.unwrap_or_default(),
            })
        })
        .collect()
}

fn entry<T>(table: &[T], index: u32) -> Result<&T, Status> {
    usize::try_from(index)
        .ok()
        .and_then(|index| table.get(index))
        .ok_or_else(|| Status::data_loss("the answer points beyond its own tables"))
}
