//! Copies of rows that share nothing with the envelope they came in: ids are slices of its payload, and a few queued
//! records would keep all of it in memory.

use std::sync::Arc;

use log_tracer_record::{LogRow, ResourceContext, ScopeContext, SpanRow};
use log_tracer_store::RecordKey;
use prost::Message;

use crate::hits::{AnyHit, AnyRecord};

/// A row of which readers may get a copy.
pub(crate) trait Detach {
    fn time_unix_nano(&self) -> u64;

    fn detach(&self, key: RecordKey, detacher: &mut Detacher) -> AnyHit;
}

impl Detach for SpanRow {
    fn time_unix_nano(&self) -> u64 {
        self.start_unix_nano()
    }

    fn detach(&self, key: RecordKey, detacher: &mut Detacher) -> AnyHit {
        AnyHit {
            key,
            resource: detacher.resource(&self.resource),
            scope: detacher.scope(&self.scope),
            record: AnyRecord::Span(copy(&self.span)),
        }
    }
}

impl Detach for LogRow {
    fn time_unix_nano(&self) -> u64 {
        Self::time_unix_nano(self)
    }

    fn detach(&self, key: RecordKey, detacher: &mut Detacher) -> AnyHit {
        AnyHit {
            key,
            resource: detacher.resource(&self.resource),
            scope: detacher.scope(&self.scope),
            record: AnyRecord::Log(copy(&self.record)),
        }
    }
}

/// Copies the resources and scopes of an envelope once for the rows that follow each other.
#[derive(Debug, Default)]
pub(crate) struct Detacher {
    resource: Option<(Arc<ResourceContext>, Arc<ResourceContext>)>,
    scope: Option<(Arc<ScopeContext>, Arc<ScopeContext>)>,
}

impl Detacher {
    fn resource(&mut self, original: &Arc<ResourceContext>) -> Arc<ResourceContext> {
        remembered(&mut self.resource, original, |it| {
            ResourceContext::new(copy(&it.resource), it.schema_url.clone())
        })
    }

    fn scope(&mut self, original: &Arc<ScopeContext>) -> Arc<ScopeContext> {
        remembered(&mut self.scope, original, |it| ScopeContext {
            scope: it.scope.as_ref().map(copy),
            schema_url: it.schema_url.clone(),
        })
    }
}

/// The copy of the last original, or a new one.
fn remembered<T>(
    last: &mut Option<(Arc<T>, Arc<T>)>,
    original: &Arc<T>,
    copy: impl FnOnce(&T) -> T,
) -> Arc<T> {
    if let Some((of, copied)) = last
        && Arc::ptr_eq(of, original)
    {
        return Arc::clone(copied);
    }
    let copied = Arc::new(copy(original));
    *last = Some((Arc::clone(original), Arc::clone(&copied)));
    copied
}

/// Decoding from a slice copies bytes, where decoding from `Bytes` shares them.
fn copy<M: Message + Default + Clone>(message: &M) -> M {
    // It was decoded before, so it can be again; were that wrong, sharing memory is better than losing a record.
    M::decode(message.encode_to_vec().as_slice()).unwrap_or_else(|_| message.clone())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use log_tracer_proto::otlp::trace::Span;

    use super::*;

    #[test]
    fn a_copy_is_equal_and_does_not_hold_the_payload() {
        let payload = Bytes::from(vec![7_u8; 1 << 20]);
        let span = Span {
            trace_id: payload.slice(100..116),
            name: "checkout".to_owned(),
            ..Span::default()
        };
        let copied = copy(&span);
        assert_eq!(copied, span);
        drop(span);
        assert!(payload.is_unique(), "the copy shares the payload");
        assert_eq!(copied.trace_id, vec![7_u8; 16]);
    }

    #[test]
    fn rows_of_one_resource_share_its_copy() {
        let mut detacher = Detacher::default();
        let (one, other) = (
            Arc::new(ResourceContext::default()),
            Arc::new(ResourceContext::default()),
        );
        let first = detacher.resource(&one);
        assert!(Arc::ptr_eq(&first, &detacher.resource(&one)));
        assert!(!Arc::ptr_eq(&first, &detacher.resource(&other)));
    }
}
