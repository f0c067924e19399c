//! Resources and scopes of an answer, each sent once: records point to them by index.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use log_tracer_proto::v1::{ResourceEntry, ScopeEntry};
use log_tracer_record::{ResourceContext, ScopeContext};
use prost::Message;

/// What a message of this size takes as an element of another one: a tag of one or two bytes, its length, itself.
pub(crate) fn framed_bytes(message: &impl Message) -> usize {
    let bytes = message.encoded_len();
    2 + prost::length_delimiter_len(bytes) + bytes
}

/// The tables of one message, and how many bytes they take.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    resources: Table<ResourceContext, ResourceEntry>,
    scopes: Table<ScopeContext, ScopeEntry>,
}

/// Where a record's resource and scope stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) resource: u32,
    pub(crate) scope: u32,
}

impl Tables {
    /// The place of a resource and a scope, which are added when they are not there yet and fit into `room` bytes
    /// together; returns it with the bytes that were added.
    pub(crate) fn place(
        &mut self,
        resource: &Arc<ResourceContext>,
        scope: &Arc<ScopeContext>,
        room: usize,
    ) -> Option<(Place, usize)> {
        let resource = self.resources.find(resource, |it| ResourceEntry {
            resource: Some(it.resource.clone()),
            schema_url: it.schema_url.clone(),
            service: it.service().to_owned(),
        });
        let scope = self.scopes.find(scope, |it| ScopeEntry {
            scope: it.scope.clone(),
            schema_url: it.schema_url.clone(),
        });
        let bytes = resource.bytes() + scope.bytes();
        if bytes > room {
            return None;
        }
        let place = Place {
            resource: self.resources.take(resource),
            scope: self.scopes.take(scope),
        };
        Some((place, bytes))
    }

    pub(crate) fn into_entries(self) -> (Vec<ResourceEntry>, Vec<ScopeEntry>) {
        (self.resources.entries, self.scopes.entries)
    }
}

/// Equal contexts may stand in several places in memory: the address is looked up first, then the encoded entry.
#[derive(Debug)]
struct Table<C, E> {
    // The contexts are kept alive, so that an address is never used again for another one.
    by_address: HashMap<Address<C>, u32>,
    by_content: HashMap<Vec<u8>, u32>,
    entries: Vec<E>,
}

impl<C, E> Default for Table<C, E> {
    fn default() -> Self {
        Self {
            by_address: HashMap::new(),
            by_content: HashMap::new(),
            entries: Vec::new(),
        }
    }
}

/// A context by where it is, not by what it holds.
#[derive(Debug)]
struct Address<C>(Arc<C>);

impl<C> PartialEq for Address<C> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<C> Eq for Address<C> {}

impl<C> Hash for Address<C> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

enum Found<C, E> {
    Known(u32),
    New {
        context: Arc<C>,
        entry: E,
        encoded: Vec<u8>,
    },
}

impl<C, E: Message> Found<C, E> {
    /// The bytes that taking it adds.
    fn bytes(&self) -> usize {
        match self {
            Self::Known(_) => 0,
            Self::New { entry, .. } => framed_bytes(entry),
        }
    }
}

impl<C, E: Message> Table<C, E> {
    fn find(&mut self, context: &Arc<C>, entry: impl FnOnce(&C) -> E) -> Found<C, E> {
        let address = Address(Arc::clone(context));
        if let Some(index) = self.by_address.get(&address) {
            return Found::Known(*index);
        }
        let entry = entry(context);
        let encoded = entry.encode_to_vec();
        match self.by_content.get(&encoded) {
            Some(index) => {
                self.by_address.insert(address, *index);
                Found::Known(*index)
            }
            None => Found::New {
                context: Arc::clone(context),
                entry,
                encoded,
            },
        }
    }

    fn take(&mut self, found: Found<C, E>) -> u32 {
        match found {
            Found::Known(index) => index,
            Found::New {
                context,
                entry,
                encoded,
            } => {
                // An answer is far too small for more entries than this counts.
                let index = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
                self.by_address.insert(Address(context), index);
                self.by_content.insert(encoded, index);
                self.entries.push(entry);
                index
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use log_tracer_proto::otlp::resource::Resource;

    use super::*;

    fn resource(schema_url: &str) -> Arc<ResourceContext> {
        Arc::new(ResourceContext::new(
            Resource::default(),
            schema_url.to_owned(),
        ))
    }

    #[test]
    fn equal_contexts_share_an_entry_wherever_they_are() {
        let mut tables = Tables::default();
        let scope = Arc::new(ScopeContext::default());
        let (first, bytes) = tables.place(&resource("a"), &scope, 1000).unwrap();
        assert!(bytes > 0);
        let (again, nothing) = tables.place(&resource("a"), &scope, 0).unwrap();
        assert_eq!((again, nothing), (first, 0));
        let (other, _) = tables.place(&resource("b"), &scope, 1000).unwrap();
        assert_eq!(
            other,
            Place {
                resource: 1,
                scope: 0
            }
        );
        let (resources, scopes) = tables.into_entries();
        assert_eq!((resources.len(), scopes.len()), (2, 1));
        assert_eq!(resources[1].schema_url, "b");
        assert_eq!(resources[1].service, "unknown_service");
    }

    #[test]
    fn what_does_not_fit_adds_nothing() {
        let mut tables = Tables::default();
        let scope = Arc::new(ScopeContext::default());
        let large = resource(&"x".repeat(100));
        assert!(tables.place(&large, &scope, 99).is_none());
        let (resources, scopes) = tables.into_entries();
        assert_eq!((resources.len(), scopes.len()), (0, 0));
    }
}
