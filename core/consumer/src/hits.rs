//! Records of an answer, as many as fit into a message.

use std::sync::Arc;

use log_tracer_proto::{
    otlp::{logs::LogRecord, trace::Span},
    v1::{self, ResourceEntry, ScopeEntry},
};
use log_tracer_record::{LogRow, ResourceContext, ScopeContext, SpanRow};
use log_tracer_store::{Hit, RecordKey};
use prost::Message;

use crate::table::Tables;

/// The most that a hit takes beside its record: key, indexes, tags and lengths.
const HIT_FIXED_BYTES: usize = 80;

/// A span or a log record with its key and what it belongs to.
#[derive(Clone, Debug)]
pub(crate) struct AnyHit {
    pub(crate) key: RecordKey,
    pub(crate) resource: Arc<ResourceContext>,
    pub(crate) scope: Arc<ScopeContext>,
    pub(crate) record: AnyRecord,
}

/// A record of one of the two kinds.
#[derive(Clone, Debug)]
pub(crate) enum AnyRecord {
    Span(Span),
    Log(LogRecord),
}

impl AnyHit {
    /// The most that it takes in a message, without its resource and scope.
    pub(crate) fn bytes(&self) -> usize {
        HIT_FIXED_BYTES
            + match &self.record {
                AnyRecord::Span(span) => span.encoded_len(),
                AnyRecord::Log(record) => record.encoded_len(),
            }
    }
}

impl From<Hit<SpanRow>> for AnyHit {
    fn from(hit: Hit<SpanRow>) -> Self {
        Self {
            key: hit.key,
            resource: hit.row.resource,
            scope: hit.row.scope,
            record: AnyRecord::Span(hit.row.span),
        }
    }
}

impl From<Hit<LogRow>> for AnyHit {
    fn from(hit: Hit<LogRow>) -> Self {
        Self {
            key: hit.key,
            resource: hit.row.resource,
            scope: hit.row.scope,
            record: AnyRecord::Log(hit.row.record),
        }
    }
}

/// The hits of one message with the tables that they point into.
#[derive(Debug)]
pub(crate) struct HitList {
    bytes: usize,
    bytes_max: usize,
    tables: Tables,
    spans: Vec<v1::SpanHit>,
    logs: Vec<v1::LogHit>,
}

/// What a hit list holds.
#[derive(Debug, Default)]
pub(crate) struct HitParts {
    pub(crate) spans: Vec<v1::SpanHit>,
    pub(crate) logs: Vec<v1::LogHit>,
    pub(crate) resources: Vec<ResourceEntry>,
    pub(crate) scopes: Vec<ScopeEntry>,
}

/// Why a hit was not added.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It has to wait for the next message.
    Full(Box<AnyHit>),
    /// It fits into no message of this size.
    TooLarge,
}

impl HitList {
    /// An empty list for a message of at most so many bytes.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            bytes: 0,
            bytes_max,
            tables: Tables::default(),
            spans: Vec::new(),
            logs: Vec::new(),
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.spans.is_empty() && self.logs.is_empty()
    }

    pub(crate) fn push(&mut self, hit: AnyHit) -> Result<(), Refused> {
        let bytes = hit.bytes();
        let room = self.bytes_max.saturating_sub(self.bytes);
        let placed = room
            .checked_sub(bytes)
            .and_then(|left| self.tables.place(&hit.resource, &hit.scope, left));
        let Some((place, table_bytes)) = placed else {
            let is_first = self.is_empty();
            return Err(if is_first {
                Refused::TooLarge
            } else {
                Refused::Full(Box::new(hit))
            });
        };
        self.bytes += bytes + table_bytes;
        let key = Some(key_message(hit.key));
        match hit.record {
            AnyRecord::Span(span) => self.spans.push(v1::SpanHit {
                key,
                span: Some(span),
                resource: place.resource,
                scope: place.scope,
            }),
            AnyRecord::Log(record) => self.logs.push(v1::LogHit {
                key,
                record: Some(record),
                resource: place.resource,
                scope: place.scope,
            }),
        }
        Ok(())
    }

    pub(crate) fn into_parts(self) -> HitParts {
        let (resources, scopes) = self.tables.into_entries();
        HitParts {
            spans: self.spans,
            logs: self.logs,
            resources,
            scopes,
        }
    }
}

pub(crate) fn key_message(key: RecordKey) -> v1::RecordKey {
    v1::RecordKey {
        time_unix_nano: key.time_unix_nano,
        partition: u32::from(key.partition),
        offset: key.offset,
        index: key.index,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(body_bytes: usize) -> AnyHit {
        let value = Some(
            log_tracer_proto::otlp::common::any_value::Value::StringValue("x".repeat(body_bytes)),
        );
        AnyHit {
            key: RecordKey {
                time_unix_nano: u64::MAX,
                partition: u16::MAX,
                offset: u64::MAX,
                index: u32::MAX,
            },
            resource: Arc::default(),
            scope: Arc::default(),
            record: AnyRecord::Log(LogRecord {
                body: Some(log_tracer_proto::otlp::common::AnyValue { value }),
                ..LogRecord::default()
            }),
        }
    }

    #[test]
    fn a_list_ends_before_its_message_is_too_large() {
        let mut list = HitList::new(1_000);
        let mut pushed = 0;
        while list.push(hit(50)).is_ok() {
            pushed += 1;
        }
        assert!(pushed > 3, "{pushed}");
        assert!(matches!(list.push(hit(50)), Err(Refused::Full(_))));
        let parts = list.into_parts();
        let message = v1::SearchLogsResponse {
            hits: parts.logs,
            resources: parts.resources,
            scopes: parts.scopes,
            ..v1::SearchLogsResponse::default()
        };
        assert_eq!(message.hits.len(), pushed);
        assert!(message.encoded_len() <= 1_000, "{}", message.encoded_len());
    }

    #[test]
    fn what_fits_into_no_message_is_told_from_what_has_to_wait() {
        let mut list = HitList::new(1_000);
        assert!(matches!(list.push(hit(2_000)), Err(Refused::TooLarge)));
        list.push(hit(10)).unwrap();
        assert!(matches!(list.push(hit(2_000)), Err(Refused::Full(_))));
    }
}
