//! What one publish asks of one partition, and how it ends.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use log_tracer_transport::{Envelope, PublishError};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::error::Error;

/// Envelopes of one call for one partition, in their order.
#[derive(Debug)]
pub(crate) struct Job {
    envelopes: Vec<Envelope>,
    /// Their offsets, as far as they are stored.
    stored: Vec<u64>,
    state: JobState,
    answer: oneshot::Sender<Answer>,
    /// The bytes of the whole call, which are given back with its last job.
    _room: Arc<OwnedSemaphorePermit>,
}

/// The offsets of all of them, or why not.
pub(crate) type Answer = Result<Vec<u64>, Refused>;

/// Why a job failed, and whether something of it may be stored.
#[derive(Clone, Debug)]
pub(crate) enum Refused {
    /// Nothing is.
    Nothing(PublishError),
    /// Some or all of it may be.
    Unknown(Error),
}

/// Whether a job was sent, which only one side decides: the writer that sends it, or the caller that gives it up.
#[derive(Clone, Debug, Default)]
pub(crate) struct JobState(Arc<AtomicU8>);

const WAITING: u8 = 0;
const SENT: u8 = 1;
const GIVEN_UP: u8 = 2;

impl JobState {
    /// Gives it up, if nothing of it was sent yet.
    pub(crate) fn give_up(&self) -> bool {
        self.change(WAITING, GIVEN_UP) || self.0.load(Ordering::Acquire) == GIVEN_UP
    }

    fn change(&self, from: u8, to: u8) -> bool {
        self.0
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

impl Job {
    pub(crate) fn new(
        envelopes: Vec<Envelope>,
        room: Arc<OwnedSemaphorePermit>,
    ) -> (Self, JobState, oneshot::Receiver<Answer>) {
        let (answer, answered) = oneshot::channel();
        let state = JobState::default();
        let job = Self {
            stored: Vec::with_capacity(envelopes.len()),
            envelopes,
            state: state.clone(),
            answer,
            _room: room,
        };
        (job, state, answered)
    }

    /// What is not stored yet.
    pub(crate) fn rest(&self) -> &[Envelope] {
        self.envelopes.get(self.stored.len()..).unwrap_or_default()
    }

    /// Whether some of it is stored.
    pub(crate) fn has_begun(&self) -> bool {
        !self.stored.is_empty()
    }

    /// Whether nobody waits for it any more, and nothing of it was sent.
    pub(crate) fn is_given_up(&self) -> bool {
        (self.answer.is_closed() && !self.has_begun() && self.state.give_up())
            || self.state.0.load(Ordering::Acquire) == GIVEN_UP
    }

    /// Called before it is sent; false when it was given up.
    pub(crate) fn begin(&self) -> bool {
        self.state.change(WAITING, SENT) || self.has_begun()
    }

    /// Called when an SPU refused it for certain, so that it can be sent again, or given up.
    pub(crate) fn wait_again(&self) {
        if !self.has_begun() {
            self.state.change(SENT, WAITING);
        }
    }

    /// Takes the offsets of its next `count` envelopes. Gives the job back when there are more.
    pub(crate) fn store(mut self, first: u64, count: usize) -> Option<Self> {
        self.stored.extend((first..).take(count));
        if self.rest().is_empty() {
            // Whoever does not wait any more has been told that the outcome is unknown.
            let _ = self.answer.send(Ok(self.stored));
            return None;
        }
        Some(self)
    }

    /// Ends it: nothing more of it was stored.
    pub(crate) fn refuse(self, error: PublishError) {
        let refused = match self.has_begun() {
            false => Refused::Nothing(error),
            true => Refused::Unknown(Error::Invalid(format!(
                "{} of {} envelopes are stored, and then: {error}",
                self.stored.len(),
                self.envelopes.len()
            ))),
        };
        let _ = self.answer.send(Err(refused));
    }

    /// Ends it: something more of it may be stored.
    pub(crate) fn lose(self, error: Error) {
        let _ = self.answer.send(Err(Refused::Unknown(error)));
    }
}
