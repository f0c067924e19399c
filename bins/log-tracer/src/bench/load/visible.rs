//! How soon after its ack a trace can be found, of some acks while the load runs.
//!
//! With the positions of the ack it is one call that ends when they are applied (`WaitForPosition`); without them the
//! trace is asked for until it is there.

use std::{sync::Arc, time::Duration};

use log_tracer_proto::v1::{
    GetTraceRequest, WaitForPositionRequest, query_service_client::QueryServiceClient,
};
use tokio::{
    sync::mpsc,
    task::{JoinHandle, JoinSet},
    time::Instant,
};
use tonic::{Code, Status, transport::Channel};

use super::drive::{Acked, Shared};
use crate::bench::{BenchError, questions};

/// Acks that wait to be looked at.
pub(super) const WAITING_MAX: usize = 64;
/// Between two acks that are followed, so that following them does not become a load of its own.
const PAUSE: Duration = Duration::from_millis(50);
/// Acks that are followed side by side: a slow one does not keep others, which are as slow, from being measured.
const FOLLOWED_MAX: usize = 256;
/// Between two looks for a trace.
const LOOK: Duration = Duration::from_millis(2);
const GIVE_UP: Duration = Duration::from_secs(120);

/// Follows acks.
#[derive(Debug)]
pub(super) struct Follower(JoinHandle<()>);

pub(super) async fn start(
    query: &str,
    acks: mpsc::Receiver<Acked>,
    shared: Arc<Shared>,
) -> Result<Follower, BenchError> {
    let client = questions::connect(query).await?;
    Ok(Follower(tokio::spawn(follow(acks, client, shared))))
}

async fn follow(
    mut acks: mpsc::Receiver<Acked>,
    client: QueryServiceClient<Channel>,
    shared: Arc<Shared>,
) {
    let mut followed = JoinSet::new();
    let mut last: Option<Instant> = None;
    while let Some(acked) = acks.recv().await {
        while followed.try_join_next().is_some() {}
        let is_due = last.is_none_or(|last| acked.at.saturating_duration_since(last) >= PAUSE);
        if is_due && followed.len() < FOLLOWED_MAX {
            last = Some(acked.at);
            let (client, shared) = (client.clone(), Arc::clone(&shared));
            followed.spawn(async move {
                match found(client, &acked).await {
                    Ok(()) => shared.tally.visible(acked.at.elapsed()),
                    Err(status) => {
                        let (code, message) = (status.code(), status.message());
                        shared.tally.refusal(&format!("query: {code:?}: {message}"));
                    }
                }
            });
        }
    }
    while followed.join_next().await.is_some() {}
}

impl Follower {
    /// Waits for those that are still followed; no ack comes after.
    pub(super) async fn finish(self) -> Result<(), BenchError> {
        Ok(self.0.await?)
    }
}

async fn found(mut client: QueryServiceClient<Channel>, acked: &Acked) -> Result<(), Status> {
    if !acked.positions.is_empty() {
        let mut request = tonic::Request::new(WaitForPositionRequest {
            positions: acked.positions.clone(),
        });
        request.set_timeout(GIVE_UP);
        client.wait_for_position(request).await?;
        return Ok(());
    }
    let give_up = Instant::now() + GIVE_UP;
    loop {
        let request = GetTraceRequest {
            trace_id: bytes::Bytes::copy_from_slice(&acked.trace_id),
            ..GetTraceRequest::default()
        };
        let answer = match client.get_trace(request).await {
            Ok(pieces) => pieces.into_inner().message().await,
            Err(status) => Err(status),
        };
        match answer {
            Ok(Some(_)) => return Ok(()),
            Err(status) if status.code() != Code::NotFound => return Err(status),
            Ok(None) | Err(_) if Instant::now() > give_up => {
                return Err(Status::deadline_exceeded(format!(
                    "a trace cannot be found {GIVE_UP:?} after its ack"
                )));
            }
            Ok(None) | Err(_) => tokio::time::sleep(LOOK).await,
        }
    }
}
