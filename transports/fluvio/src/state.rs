//! What the ledger says: which log the topic is, and how far its groups are. Plain data, no waiting.
//!
//! An entry is the whole state as its writer knew it, in JSON, so that people can read it with `fluvio consume`, and so
//! that the newest entries are enough: the old ones leave by size.
//!
//! ```json
//! {"version":1,"generation":1,"log_id":"0f…","reached":{"0":12},"groups":{"consumer-1":{"0":7}}}
//! ```
//!
//! Entries are read in the order of the ledger, which every reader sees alike:
//! - of a higher generation: the log was made anew, everything known so far is of another log;
//! - of the same generation and log: of every number the higher one stays;
//! - of the same generation and another log: it lost a race to begin the generation, and is passed over;
//! - of a lower generation: from somebody who has not noticed yet, and is passed over.

use std::collections::BTreeMap;

use log_tracer_transport::{Cursor, Group, LogId, Offset, Partition};
use serde::{Deserialize, Serialize};

/// What this build writes and reads.
const VERSION: u32 = 1;
/// Groups that are kept; one is a consumer, so that this is far beyond what a cluster has.
pub(crate) const GROUPS_MAX: usize = 1024;

/// What is known of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    /// How often the topic was found to be made anew, from 1; 0 before the first entry.
    generation: u64,
    log_id: Option<LogId>,
    /// Where each partition was known to end: a topic that is empty although it had reached this is another one.
    reached: BTreeMap<Partition, Offset>,
    groups: BTreeMap<Group, BTreeMap<Partition, Offset>>,
}

impl State {
    /// The state of a log that was made anew, after this one.
    pub(crate) fn next_generation(&self, log_id: LogId) -> Self {
        Self {
            generation: self.generation.saturating_add(1),
            log_id: Some(log_id),
            ..Self::default()
        }
    }

    pub(crate) fn log_id(&self) -> Option<LogId> {
        self.log_id
    }

    /// Whether any partition ever held anything.
    pub(crate) fn has_reached_anything(&self) -> bool {
        self.reached.values().any(|end| end.0 > 0)
    }

    pub(crate) fn reached(&self, partition: Partition) -> Offset {
        self.reached.get(&partition).copied().unwrap_or_default()
    }

    pub(crate) fn reach(&mut self, partition: Partition, end: Offset) {
        raise(&mut self.reached, partition, end);
    }

    /// Moves the cursors of a group, and never back. Gives whether anything changed, and nothing when there are too many
    /// groups.
    pub(crate) fn commit(&mut self, group: &Group, upto: &[Cursor]) -> Option<bool> {
        if !self.groups.contains_key(group) && self.groups.len() >= GROUPS_MAX {
            return None;
        }
        let mut changed = false;
        if !upto.is_empty() {
            let cursors = self.groups.entry(group.clone()).or_default();
            for cursor in upto {
                changed |= raise(cursors, cursor.partition, cursor.next);
            }
        }
        for cursor in upto {
            self.reach(cursor.partition, cursor.next);
        }
        Some(changed)
    }

    pub(crate) fn committed(&self, group: &Group) -> Vec<Cursor> {
        let cursors = self.groups.get(group).into_iter().flatten();
        cursors
            .map(|(&partition, &next)| Cursor { partition, next })
            .collect()
    }

    /// Takes what an entry says that comes after all that this state is made of.
    pub(crate) fn take(&mut self, entry: Self) {
        if entry.generation > self.generation {
            *self = entry;
        } else if entry.generation == self.generation && entry.log_id == self.log_id {
            for (partition, end) in entry.reached {
                self.reach(partition, end);
            }
            for (group, cursors) in entry.groups {
                let known = self.groups.entry(group).or_default();
                for (partition, next) in cursors {
                    raise(known, partition, next);
                }
            }
        }
    }

    /// An entry of the ledger.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        let numbers = |of: &BTreeMap<Partition, Offset>| {
            let numbers = of.iter().map(|(partition, offset)| (partition.0, offset.0));
            numbers.collect::<BTreeMap<u16, u64>>()
        };
        let groups = self.groups.iter();
        serde_json::to_vec(&Entry {
            version: VERSION,
            generation: self.generation,
            log_id: self.log_id.unwrap_or(LogId(0)).to_string(),
            reached: numbers(&self.reached),
            groups: groups
                .map(|(group, cursors)| (group.0.clone(), numbers(cursors)))
                .collect(),
        })
    }

    /// Reads an entry.
    ///
    /// # Errors
    ///
    /// A sentence that says what does not fit.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let entry: Entry = serde_json::from_slice(bytes)
            .map_err(|error| format!("it is not an entry of a ledger: {error}"))?;
        if entry.version != VERSION {
            return Err(format!(
                "an entry of version {}, this build reads version {VERSION}",
                entry.version
            ));
        }
        if entry.generation == 0 {
            return Err("an entry of generation 0, expected at least 1".into());
        }
        let log_id = entry
            .log_id
            .parse()
            .map_err(|_| format!("the log id {:?}, expected 32 hex digits", entry.log_id))?;
        let offsets = |numbers: BTreeMap<u16, u64>| {
            let numbers = numbers.into_iter();
            numbers.map(|(partition, offset)| (Partition(partition), Offset(offset)))
        };
        Ok(Self {
            generation: entry.generation,
            log_id: Some(log_id),
            reached: offsets(entry.reached).collect(),
            groups: entry
                .groups
                .into_iter()
                .map(|(group, cursors)| (Group(group), offsets(cursors).collect()))
                .collect(),
        })
    }
}

/// Gives whether it became higher than it was, or is there now.
fn raise(of: &mut BTreeMap<Partition, Offset>, partition: Partition, to: Offset) -> bool {
    match of.get_mut(&partition) {
        Some(known) if *known >= to => false,
        Some(known) => {
            *known = to;
            true
        }
        None => {
            of.insert(partition, to);
            true
        }
    }
}

#[derive(Debug, Deserialize, Serialize)]
struct Entry {
    version: u32,
    generation: u64,
    log_id: String,
    reached: BTreeMap<u16, u64>,
    groups: BTreeMap<String, BTreeMap<u16, u64>>,
}

#[cfg(test)]
mod tests;
