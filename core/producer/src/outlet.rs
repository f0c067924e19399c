//! The way to the log, which a producer may have to wait for.
//!
//! A producer in a process of its own listens before its engine can be reached, and goes on listening when the engine is
//! gone for good and has to be opened anew. In between, requests are refused with a status that lets clients retry, at
//! once: waiting for an engine that is away would only fill the memory for requests.

use std::sync::Arc;

use log_tracer_transport::{Health, Transport};
use tokio::sync::watch;

use crate::{Reason, Refusal, pipeline::Rules};

/// Where a producer publishes to: a transport, or none for the moment. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Outlet {
    state: watch::Sender<State>,
    request_bytes_max: usize,
}

#[derive(Clone, Debug)]
enum State {
    Open(Open),
    /// In words for a person: why.
    Away(Arc<str>),
}

/// A transport, and how requests are cut for it.
#[derive(Clone, Debug)]
pub(crate) struct Open {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) rules: Rules,
}

impl Outlet {
    pub(crate) fn away(why: &str, request_bytes_max: usize) -> Self {
        Self {
            state: watch::Sender::new(State::Away(why.into())),
            request_bytes_max,
        }
    }

    /// Publishes to `transport` from now on. Requests that are under way end with the transport that they began with.
    pub fn open(&self, transport: Arc<dyn Transport>) {
        let rules = Rules::new(
            transport.partitions(),
            transport.capabilities(),
            self.request_bytes_max,
        );
        self.state
            .send_replace(State::Open(Open { transport, rules }));
    }

    /// Refuses requests from now on, which may be tried again, and says why.
    pub fn close(&self, why: &str) {
        self.state.send_replace(State::Away(why.into()));
    }

    /// What the transport says of itself; [`Health::Failed`] while there is none.
    #[must_use]
    pub fn health(&self) -> Health {
        match &*self.state.borrow() {
            State::Open(open) => open.transport.health(),
            State::Away(why) => Health::Failed(why.to_string()),
        }
    }

    pub(crate) fn get(&self) -> Result<Open, Refusal> {
        match &*self.state.borrow() {
            State::Open(open) => Ok(open.clone()),
            State::Away(why) => Err(Refusal::new(
                Reason::Away,
                format!("the log cannot be reached for the moment: {why}"),
            )),
        }
    }
}
