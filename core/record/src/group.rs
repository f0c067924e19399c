//! Rows back to OTLP.

use std::{collections::HashMap, sync::Arc};

use prost::Message;

use crate::{
    LogRow, ResourceContext, ScopeContext, SpanRow,
    otlp::{
        logs::{ResourceLogs, ScopeLogs},
        resource::Resource,
        trace::{ResourceSpans, ScopeSpans},
    },
};

/// Turns rows into resources with their spans. Equal resources and equal scopes are merged in the order of their first
/// appearance; the spans of a scope keep their order.
#[must_use]
pub fn spans_to_otlp(rows: impl IntoIterator<Item = SpanRow>) -> Vec<ResourceSpans> {
    let rows = rows
        .into_iter()
        .map(|row| (row.resource, row.scope, row.span));
    let of_resource = |(context, scopes): (Arc<ResourceContext>, Vec<_>)| {
        let (resource, schema_url) = resource_of(context);
        ResourceSpans {
            resource,
            scope_spans: scopes,
            schema_url,
        }
    };
    let of_scope = |(context, spans): (Arc<ScopeContext>, Vec<_>)| {
        let ScopeContext { scope, schema_url } = Arc::unwrap_or_clone(context);
        ScopeSpans {
            scope,
            spans,
            schema_url,
        }
    };
    group(rows, of_scope).into_iter().map(of_resource).collect()
}

/// Turns rows into resources with their log records. Equal resources and equal scopes are merged in the order of their
/// first appearance; the records of a scope keep their order.
#[must_use]
pub fn logs_to_otlp(rows: impl IntoIterator<Item = LogRow>) -> Vec<ResourceLogs> {
    let rows = rows
        .into_iter()
        .map(|row| (row.resource, row.scope, row.record));
    let of_resource = |(context, scopes): (Arc<ResourceContext>, Vec<_>)| {
        let (resource, schema_url) = resource_of(context);
        ResourceLogs {
            resource,
            scope_logs: scopes,
            schema_url,
        }
    };
    let of_scope = |(context, log_records): (Arc<ScopeContext>, Vec<_>)| {
        let ScopeContext { scope, schema_url } = Arc::unwrap_or_clone(context);
        ScopeLogs {
            scope,
            log_records,
            schema_url,
        }
    };
    group(rows, of_scope).into_iter().map(of_resource).collect()
}

fn resource_of(context: Arc<ResourceContext>) -> (Option<Resource>, String) {
    let ResourceContext {
        resource,
        schema_url,
        ..
    } = Arc::unwrap_or_clone(context);
    let empty = resource.encoded_len() == 0;
    ((!empty).then_some(resource), schema_url)
}

/// Records by resource and scope; `finish` makes the message of a scope.
fn group<T, S>(
    rows: impl Iterator<Item = (Arc<ResourceContext>, Arc<ScopeContext>, T)>,
    finish: impl Fn((Arc<ScopeContext>, Vec<T>)) -> S,
) -> Vec<(Arc<ResourceContext>, Vec<S>)> {
    let mut resources: Distinct<ResourceContext, Distinct<ScopeContext, Vec<T>>> =
        Distinct::default();
    for (resource, scope, record) in rows {
        if let Some(scopes) = resources.entry(resource)
            && let Some(records) = scopes.entry(scope)
        {
            records.push(record);
        }
    }
    let of_resource = |(resource, scopes): (_, Distinct<ScopeContext, Vec<T>>)| {
        (resource, scopes.finish().into_iter().map(&finish).collect())
    };
    resources.finish().into_iter().map(of_resource).collect()
}

/// A context by its content, told apart bit by bit: `==` would take -0.0 for 0.0 and no NaN for itself.
trait Keyed {
    fn key(&self) -> Vec<u8>;
}

impl Keyed for ResourceContext {
    fn key(&self) -> Vec<u8> {
        let mut key = self.resource.encode_length_delimited_to_vec();
        key.extend_from_slice(self.schema_url.as_bytes());
        key
    }
}

impl Keyed for ScopeContext {
    fn key(&self) -> Vec<u8> {
        let mut key = match &self.scope {
            Some(scope) => scope.encode_length_delimited_to_vec(),
            // No length: longer than any varint starts, so it equals no scope's key.
            None => vec![0xff; 10],
        };
        key.extend_from_slice(self.schema_url.as_bytes());
        key
    }
}

/// Values by distinct context, in the order of first appearance. Rows mostly share contexts by pointer, so the content
/// is looked at once for each pointer.
struct Distinct<C, V> {
    entries: Vec<(Arc<C>, V)>,
    by_content: HashMap<Vec<u8>, usize>,
    by_address: HashMap<usize, usize>,
    /// Every context in `by_address`, held so that no address is used again for another.
    seen: Vec<Arc<C>>,
}

impl<C, V> Default for Distinct<C, V> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            by_content: HashMap::new(),
            by_address: HashMap::new(),
            seen: Vec::new(),
        }
    }
}

impl<C: Keyed, V: Default> Distinct<C, V> {
    /// Never `None`: an index in the maps is one of `entries`.
    fn entry(&mut self, context: Arc<C>) -> Option<&mut V> {
        let address = Arc::as_ptr(&context).addr();
        let index = match self.by_address.get(&address) {
            Some(index) => *index,
            None => {
                let next = self.entries.len();
                let index = *self.by_content.entry(context.key()).or_insert(next);
                if index == next {
                    self.entries.push((Arc::clone(&context), V::default()));
                }
                self.by_address.insert(address, index);
                self.seen.push(context);
                index
            }
        };
        self.entries.get_mut(index).map(|(_, value)| value)
    }

    fn finish(self) -> Vec<(Arc<C>, V)> {
        self.entries
    }
}
