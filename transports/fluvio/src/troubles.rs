//! What does not work at the moment, for people to look at.

use std::{
    collections::BTreeMap,
    fmt::Display,
    sync::{Mutex, MutexGuard, PoisonError},
};

use log_tracer_transport::{Health, Partition};

use crate::error::Error;

/// What every task that talks to the cluster reports.
#[derive(Debug, Default)]
pub(crate) struct Troubles(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// What cannot be made good.
    failed: Option<Error>,
    /// By what is being done; readers of the same partition share a line.
    current: BTreeMap<(&'static str, Partition), String>,
}

impl Troubles {
    pub(crate) fn report(&self, doing: &'static str, partition: Partition, error: &dyn Display) {
        let text = error.to_string();
        let mut state = self.lock();
        let known = state.current.insert((doing, partition), text.clone());
        if known.as_ref() != Some(&text) {
            log::warn!("{doing} partition {}: {text}", partition.0);
        }
    }

    pub(crate) fn over(&self, doing: &'static str, partition: Partition) {
        if self.lock().current.remove(&(doing, partition)).is_some() {
            log::info!("{doing} partition {} works again", partition.0);
        }
    }

    /// Nothing will work any more, for the reason that was given first.
    pub(crate) fn fail(&self, error: &Error) {
        let mut state = self.lock();
        if state.failed.is_none() {
            log::error!("{error}");
            state.failed = Some(error.clone());
        }
    }

    pub(crate) fn failed(&self) -> Option<Error> {
        self.lock().failed.clone()
    }

    pub(crate) fn health(&self) -> Health {
        let state = self.lock();
        if let Some(error) = &state.failed {
            return Health::Failed(error.to_string());
        }
        let mut lines = state.current.iter();
        let Some(((doing, partition), text)) = lines.next() else {
            return Health::Ready;
        };
        let more = match lines.count() {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        Health::Degraded(format!("{doing} partition {}: {text}{more}", partition.0))
    }

    /// A panic of another thread leaves nothing half-done in here.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
