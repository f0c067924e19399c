//! What every request shares.

use std::{sync::Arc, time::Duration};

use slog::Logger;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::{
    About, Config, ServeError, ask::Ask, assets::Assets, fault::Fault, metrics::Own, producers,
    views::Views,
};

/// Bodies of requests that are read and held at the same time; bounds the memory together with `upload_bytes_max`.
const BODIES_MAX: usize = 4;

/// What every request shares.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) ask: Ask,
    /// Where the sample trace is sent; none when no producer is known.
    pub(crate) ingest: Option<Channel>,
    pub(crate) about: About,
    /// Those that are asked what they refused.
    pub(crate) producers: Vec<producers::Link>,
    pub(crate) assets: Assets,
    pub(crate) views: Views,
    /// One for each trace page that may be built at a time.
    pub(crate) trace_slots: Semaphore,
    /// One for each body that may be read at a time.
    pub(crate) body_slots: Semaphore,
    /// One for each live tail that may be open at a time.
    pub(crate) tail_slots: Arc<Semaphore>,
    /// What the dashboard counts of itself.
    pub(crate) own: Own,
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
    ) -> Result<Arc<Self>, ServeError> {
        let assets = Assets::new();
        let mut producers: Vec<producers::Link> = about
            .producers
            .iter()
            .map(|one| producers::Link::new(one.address.clone(), one.channel.clone()))
            .collect();
        if let (true, Some(ingest)) = (producers.is_empty(), &ingest) {
            producers.push(producers::Link::new(
                about.otlp_grpc.clone(),
                ingest.clone(),
            ));
        }
        let views = Views::new(&assets, &about.version)
            .map_err(|error| ServeError::Templates(error.to_string()))?;
        Ok(Arc::new(Self {
            ask: Ask::new(query, &config),
            trace_slots: Semaphore::new(config.trace_pages_max),
            body_slots: Semaphore::new(BODIES_MAX),
            tail_slots: Arc::new(Semaphore::new(config.tails_max)),
            own: Own::default(),
            config,
            ingest,
            about,
            producers,
            assets,
            views,
            log,
            shutdown,
        }))
    }

    /// Room to build a trace, which takes much memory: only a few are built at a time.
    pub(crate) async fn trace_slot(&self) -> Result<SemaphorePermit<'_>, Fault> {
        self.slot(
            &self.trace_slots,
            "too many traces are being opened at the moment",
        )
        .await
    }

    /// Room to read the body of a request and to work on it.
    pub(crate) async fn body_slot(&self) -> Result<SemaphorePermit<'_>, Fault> {
        self.slot(
            &self.body_slots,
            "too many files are being sent at the moment",
        )
        .await
    }

    async fn slot<'a>(
        &self,
        slots: &'a Semaphore,
        words: &str,
    ) -> Result<SemaphorePermit<'a>, Fault> {
        let wait = Duration::from_millis(self.config.query_deadline_ms);
        match tokio::time::timeout(wait, slots.acquire()).await {
            Ok(Ok(slot)) => Ok(slot),
            _ => Err(Fault::busy(words)),
        }
    }
}
