//! The table of addresses.

use std::sync::Arc;

use slog::Logger;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use warp::{Filter, filters::BoxedFilter, reply::Reply};

use crate::{About, Config};

/// What every request shares.
#[derive(Debug)]
#[expect(dead_code, reason = "read by the pages, which follow")]
pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) query: Channel,
    pub(crate) ingest: Option<Channel>,
    pub(crate) about: About,
    pub(crate) log: Logger,
    pub(crate) shutdown: CancellationToken,
}

impl App {
    pub(crate) fn new(
        config: Config,
        query: Channel,
        ingest: Option<Channel>,
        about: About,
        log: Logger,
        shutdown: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {
            config,
            query,
            ingest,
            about,
            log,
            shutdown,
        })
    }
}

/// All routes as one filter.
pub(crate) fn all(_app: &Arc<App>) -> BoxedFilter<(impl Reply + use<>,)> {
    warp::path!("healthz").map(|| "ok\n").boxed()
}
