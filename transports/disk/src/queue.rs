//! The publishes that wait for their turn, within a bound in bytes, in order of arrival.

use std::collections::VecDeque;

use log_tracer_transport::{Acked, Envelope};
use tokio::sync::oneshot;

use crate::error::Error;

/// How a publish ends.
pub(crate) type Outcome = Result<Vec<Acked>, Error>;

/// An envelope with its header as encoded, so that the writer has no checksum of a payload to compute.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) envelope: Envelope,
    pub(crate) header: [u8; Envelope::HEADER_BYTES],
}

/// A publish that waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) ticket: u64,
    pub(crate) bytes: usize,
    pub(crate) envelopes: Vec<Prepared>,
    pub(crate) answer: oneshot::Sender<Outcome>,
}

#[derive(Debug, Default)]
pub(crate) struct Queue {
    entries: VecDeque<Waiting>,
    bytes: usize,
    next_ticket: u64,
}

impl Queue {
    /// Puts a publish at the end, and gives the ticket with which it can be taken out again.
    pub(crate) fn enter(
        &mut self,
        envelopes: Vec<Prepared>,
        bytes_max: usize,
        answer: oneshot::Sender<Outcome>,
    ) -> Result<u64, Error> {
        let bytes = envelopes.iter().map(|one| one.envelope.encoded_len()).sum();
        if self.bytes.saturating_add(bytes) > bytes_max && !self.entries.is_empty() {
            return Err(Error::NoRoom);
        }
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        self.entries.push_back(Waiting {
            ticket,
            bytes,
            envelopes,
            answer,
        });
        Ok(ticket)
    }

    /// Takes a publish out that nobody waits for any more. Says whether it was still there, and so is not stored.
    pub(crate) fn leave(&mut self, ticket: u64) -> bool {
        match self
            .entries
            .binary_search_by_key(&ticket, |entry| entry.ticket)
        {
            Ok(index) => {
                let removed = self.entries.remove(index);
                self.bytes -= removed.map_or(0, |entry| entry.bytes);
                true
            }
            Err(_) => false,
        }
    }

    pub(crate) fn first(&self) -> Option<&Waiting> {
        self.entries.front()
    }

    pub(crate) fn take_first(&mut self) -> Option<Waiting> {
        let first = self.entries.pop_front()?;
        self.bytes -= first.bytes;
        Some(first)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Encoded bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}
