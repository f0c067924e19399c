//! Hands the requests of a corpus out, in order.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Corpus, Instance, Template, factor_of, scaled};

/// When an instance starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// So that it ends at this time, in nanoseconds since 1970-01-01T00:00:00Z: what an SDK would send now.
    EndingAt(u64),
    /// One instance after another: the first at this time, each a step later, both in nanoseconds.
    Spread { first_unix_nano: u64, step: u64 },
}

/// One request to be sent.
#[derive(Debug)]
pub(crate) struct Ticket {
    /// Records in all requests before it.
    pub(crate) records_before: u64,
    template: usize,
    /// One for each piece of the template.
    pub(crate) instances: Vec<Instance>,
}

/// The corpus, and how far it was used.
#[derive(Debug)]
pub(crate) struct Source {
    pub(super) corpus: Arc<Corpus>,
    cursor: Mutex<Cursor>,
}

#[derive(Debug)]
struct Cursor {
    records: u64,
    round: u64,
    template: usize,
    /// The round and the start of each trace of the pool when it was last used.
    starts: Vec<Option<(u64, u64)>>,
}

impl Source {
    pub(crate) fn new(corpus: Arc<Corpus>) -> Self {
        let cursor = Cursor {
            records: 0,
            round: 0,
            template: 0,
            starts: vec![None; corpus.traces()],
        };
        Self {
            corpus,
            cursor: Mutex::new(cursor),
        }
    }

    /// The template of a ticket; none for the ticket of another corpus.
    pub(crate) fn template(&self, ticket: &Ticket) -> Option<&Template> {
        self.corpus.templates.get(ticket.template)
    }

    /// The next request, unless so many records have been handed out. Its traces start when `moment` says for the
    /// records before it.
    pub(crate) fn next(
        &self,
        records_max: Option<u64>,
        moment: impl FnOnce(u64) -> Moment,
    ) -> Option<Ticket> {
        // A panic in between leaves at most a number unused.
        let mut cursor = self.cursor.lock().unwrap_or_else(PoisonError::into_inner);
        let cursor = &mut *cursor;
        if records_max.is_some_and(|max| cursor.records >= max) {
            return None;
        }
        if cursor.template >= self.corpus.templates.len() {
            cursor.template = 0;
            cursor.round += 1;
        }
        let template = self.corpus.templates.get(cursor.template)?;
        let moment = moment(cursor.records);
        let instances = template
            .pieces
            .iter()
            .map(|piece| self.instance(cursor, piece.trace, moment))
            .collect();
        let ticket = Ticket {
            records_before: cursor.records,
            template: cursor.template,
            instances,
        };
        cursor.template += 1;
        cursor.records += template.records;
        Some(ticket)
    }

    fn instance(&self, cursor: &mut Cursor, trace: usize, moment: Moment) -> Instance {
        let round = cursor.round;
        let key = self.corpus.key(round, trace);
        let known = cursor.starts.get(trace).copied().flatten();
        if let Some((_, start)) = known.filter(|(used, _)| *used == round) {
            return Instance::new(key, start);
        }
        let start = match moment {
            Moment::EndingAt(end) => {
                let duration = self.corpus.traces.get(trace).copied().unwrap_or(0);
                end.saturating_sub(scaled(duration, factor_of(key)))
            }
            Moment::Spread {
                first_unix_nano,
                step,
            } => {
                let number = round * self.corpus.traces() as u64 + trace as u64;
                first_unix_nano.saturating_add(number.saturating_mul(step))
            }
        };
        if let Some(place) = cursor.starts.get_mut(trace) {
            *place = Some((round, start));
        }
        Instance::new(key, start)
    }
}
