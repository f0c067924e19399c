//! The tables of resources and scopes that hits point into: those of several answers put into one, equal entries once.

use std::collections::HashMap;

use log_tracer_proto::v1::{ResourceEntry, ScopeEntry};
use prost::Message;

use super::room::framed_bytes;

/// The tables of the merged answer.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    pub(crate) resources: Table<ResourceEntry>,
    pub(crate) scopes: Table<ScopeEntry>,
}

/// One table of the merged answer.
#[derive(Debug)]
pub(crate) struct Table<E> {
    by_content: HashMap<Vec<u8>, u32>,
    pub(crate) entries: Vec<E>,
}

/// The tables of one of the answers, and where their entries stand in the merged one.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) resources: GivenTable<ResourceEntry>,
    pub(crate) scopes: GivenTable<ScopeEntry>,
}

/// One table of one of the answers.
#[derive(Debug)]
pub(crate) struct GivenTable<E>(Vec<(E, Option<u32>)>);

impl<E> Default for Table<E> {
    fn default() -> Self {
        Self {
            by_content: HashMap::new(),
            entries: Vec::new(),
        }
    }
}

impl Given {
    pub(crate) fn new(resources: Vec<ResourceEntry>, scopes: Vec<ScopeEntry>) -> Self {
        Self {
            resources: GivenTable::new(resources),
            scopes: GivenTable::new(scopes),
        }
    }

    /// For another merged answer.
    pub(crate) fn forget_places(&mut self) {
        self.resources.0.iter_mut().for_each(|entry| entry.1 = None);
        self.scopes.0.iter_mut().for_each(|entry| entry.1 = None);
    }

    pub(crate) fn into_entries(self) -> (Vec<ResourceEntry>, Vec<ScopeEntry>) {
        let resources = self.resources.0.into_iter().map(|(entry, _)| entry);
        let scopes = self.scopes.0.into_iter().map(|(entry, _)| entry);
        (resources.collect(), scopes.collect())
    }
}

impl<E: Message + Clone + Default> GivenTable<E> {
    fn new(entries: Vec<E>) -> Self {
        Self(entries.into_iter().map(|entry| (entry, None)).collect())
    }

    /// Where an entry stands in the merged table, and the bytes that it adds there when it is new. An index beyond the
    /// table, which no consumer sends, is an empty entry.
    pub(crate) fn place(&mut self, index: u32, merged: &mut Table<E>) -> (u32, usize) {
        let empty = &mut (E::default(), None);
        let (entry, place) = self.0.get_mut(index as usize).unwrap_or(empty);
        if let Some(place) = place {
            return (*place, 0);
        }
        let (found, bytes) = merged.place(entry);
        *place = Some(found);
        (found, bytes)
    }
}

impl<E: Message + Clone> Table<E> {
    fn place(&mut self, entry: &E) -> (u32, usize) {
        let encoded = entry.encode_to_vec();
        if let Some(place) = self.by_content.get(&encoded) {
            return (*place, 0);
        }
        // An answer is far too small for more entries than this counts.
        let place = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        self.by_content.insert(encoded, place);
        self.entries.push(entry.clone());
        (place, framed_bytes(entry))
    }
}
