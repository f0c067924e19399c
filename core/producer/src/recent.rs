//! The newest refusals: what, when, how often and from what kind of place. Bounded in number; a refusal's message is
//! short and holds nothing of the request's data.
//!
//! Equal refusals (reason, message, port, kind of place) are one entry as long as they follow each other within a minute,
//! so that a flood of one kind does not push out the others.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use log_tracer_proto::v1::RecentRefusal;

use crate::{Reason, Refusal, peer::Whence};

/// Nanoseconds without an equal one after which a refusal is a new entry.
const APART_NANOS: u64 = 60_000_000_000;

/// The newest refusals of a producer.
#[derive(Debug)]
pub(crate) struct Recent {
    kept_max: usize,
    /// By the last time, oldest first.
    entries: Mutex<VecDeque<Entry>>,
}

#[derive(Clone, Debug)]
struct Entry {
    reason: Reason,
    message: String,
    from: Whence,
    count: u64,
    first_unix_nano: u64,
    last_unix_nano: u64,
}

impl Recent {
    pub(crate) fn new(kept_max: usize) -> Self {
        Self {
            kept_max,
            entries: Mutex::new(VecDeque::new()),
        }
    }

    /// Takes note of a refusal of the request that is being answered.
    pub(crate) fn add(&self, refusal: &Refusal, now: u64) {
        if self.kept_max == 0 {
            return;
        }
        let from = Whence::current();
        let mut entries = self.lock();
        let known = entries.iter().position(|entry| {
            entry.reason == refusal.reason
                && entry.from == from
                && entry.message == refusal.message
                && now.saturating_sub(entry.last_unix_nano) <= APART_NANOS
        });
        let entry = known.and_then(|at| entries.remove(at));
        let mut entry = entry.unwrap_or_else(|| Entry {
            reason: refusal.reason,
            message: refusal.message.clone(),
            from,
            count: 0,
            first_unix_nano: now,
            last_unix_nano: now,
        });
        entry.count = entry.count.saturating_add(1);
        entry.last_unix_nano = now;
        if entries.len() >= self.kept_max {
            entries.pop_front();
        }
        entries.push_back(entry);
    }

    /// All of them, the newest first.
    pub(crate) fn messages(&self) -> Vec<RecentRefusal> {
        let message = |entry: &Entry| RecentRefusal {
            reason: entry.reason.label().to_owned(),
            message: entry.message.clone(),
            count: entry.count,
            first_unix_nano: entry.first_unix_nano,
            last_unix_nano: entry.last_unix_nano,
            client: entry.from.class.into(),
            port: entry.from.port.to_owned(),
        };
        self.lock().iter().rev().map(message).collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        // It is whole after every method, so a panic elsewhere does not matter.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(recent: &Recent) -> Vec<(String, u64)> {
        let all = recent.messages().into_iter();
        all.map(|one| (one.message, one.count)).collect()
    }

    #[test]
    fn equal_refusals_are_one_entry_and_the_newest_stands_first() {
        let recent = Recent::new(10);
        let busy = Refusal::new(Reason::Busy, "busy");
        let full = Refusal::new(Reason::Full, "full");
        for (refusal, at) in [(&busy, 1), (&busy, 2), (&full, 3), (&busy, 4)] {
            recent.add(refusal, at);
        }
        assert_eq!(
            told(&recent),
            [("busy".to_owned(), 3), ("full".to_owned(), 1)]
        );
        let first = &recent.messages()[0];
        assert_eq!((first.first_unix_nano, first.last_unix_nano), (1, 4));
        recent.add(&busy, 5 + APART_NANOS);
        assert_eq!(told(&recent)[0], ("busy".to_owned(), 1), "much later");
    }

    #[test]
    fn only_the_newest_are_kept() {
        let recent = Recent::new(2);
        for at in 0..5 {
            recent.add(&Refusal::new(Reason::Malformed, format!("field {at}")), at);
        }
        let kept: Vec<String> = told(&recent)
            .into_iter()
            .map(|(message, _)| message)
            .collect();
        assert_eq!(kept, ["field 4", "field 3"]);
        let none = Recent::new(0);
        none.add(&Refusal::new(Reason::Busy, "busy"), 1);
        assert!(none.messages().is_empty());
    }
}
