//! Collects the records of one partition into parts, with their exact size at hand.

use bytes::{BufMut, Bytes};
use prost::encoding::{encode_varint, encoded_len_varint};

use super::Part;
use crate::wire::{OfResource, OfScope, Signal, Text};

/// The fields on the way from a request to a record have the same numbers for spans and for log records, all of them
/// below 16: a key has one byte.
const RESOURCES: u8 = 0x0a;
const RESOURCE: u8 = 0x0a;
const SCOPES: u8 = 0x12;
const SCOPE: u8 = 0x0a;
const RECORDS: u8 = 0x12;
const SCHEMA_URL: u8 = 0x1a;

/// A resource or a scope without what is below it.
#[derive(Clone, Copy, Debug)]
struct Head<'a> {
    /// The resource or the scope.
    message: Option<&'a [u8]>,
    schema_url: Text<'a>,
}

impl Head<'_> {
    /// Its size, without the key and length before it.
    fn len(&self) -> usize {
        let schema_url = match self.schema_url.as_bytes() {
            [] => 0,
            url => framed(url.len()),
        };
        self.message.map_or(0, |message| framed(message.len())) + schema_url
    }
}

/// The resource and the scope of the records that are being added.
pub(super) struct Header<'a> {
    /// Which resource and which scope of the request, to tell whether they are open already.
    index: (usize, usize),
    resource: Head<'a>,
    scope: Head<'a>,
}

impl<'a> Header<'a> {
    pub(super) fn new<S: Signal>(
        (resource_index, resource): (usize, &OfResource<'a, S>),
        (scope_index, scope): (usize, &OfScope<'a, S>),
    ) -> Self {
        Self {
            index: (resource_index, scope_index),
            resource: Head {
                message: resource.resource,
                schema_url: resource.schema_url,
            },
            scope: Head {
                message: scope.scope,
                schema_url: scope.schema_url,
            },
        }
    }
}

/// A record that does not fit into a part of its own.
#[derive(Debug)]
pub(super) struct TooLarge {
    /// How large that part would be.
    pub(super) bytes: usize,
}

/// Takes the records of one partition.
#[derive(Default)]
pub(super) struct PartBuilder<'a> {
    finished: Vec<Finished>,
    open: Open<'a>,
}

struct Finished {
    records: u32,
    payload: Bytes,
}

impl<'a> PartBuilder<'a> {
    /// Adds a record to the open part, or to a new one when it would grow beyond `bytes_max`.
    pub(super) fn add(
        &mut self,
        header: &Header<'a>,
        record: &'a [u8],
        bytes_max: usize,
    ) -> Result<(), TooLarge> {
        let mut size = self.open.size_with(header, record.len());
        if size.total() > bytes_max {
            let alone = Open::default().size_with(header, record.len());
            if alone.total() > bytes_max {
                return Err(TooLarge {
                    bytes: alone.total(),
                });
            }
            size = alone;
            self.close();
        }
        self.open.push(header, record);
        self.open.size = size;
        Ok(())
    }

    pub(super) fn finish(mut self, partition: u16) -> Vec<Part> {
        self.close();
        let part = |Finished { records, payload }| Part {
            partition,
            records,
            payload,
        };
        self.finished.into_iter().map(part).collect()
    }

    /// A part is opened for a record; without one, every record was too large.
    fn close(&mut self) {
        if self.open.records > 0 {
            self.finished.push(std::mem::take(&mut self.open).write());
        }
    }
}

/// A part that still grows.
#[derive(Default)]
struct Open<'a> {
    resources: Vec<OpenResource<'a>>,
    /// The resource and the scope of the request that the last resource and its last scope are.
    index: Option<(usize, usize)>,
    records: u32,
    size: Size,
}

struct OpenResource<'a> {
    head: Head<'a>,
    scopes: Vec<OpenScope<'a>>,
}

struct OpenScope<'a> {
    head: Head<'a>,
    records: Vec<&'a [u8]>,
}

impl<'a> Open<'a> {
    fn size_with(&self, header: &Header<'_>, record_bytes: usize) -> Size {
        let mut size = self.size;
        if !self.is_in_resource(header) {
            size.open_resource(header.resource.len());
        }
        if self.index != Some(header.index) {
            size.open_scope(header.scope.len());
        }
        size.add_record(record_bytes);
        size
    }

    fn push(&mut self, header: &Header<'a>, record: &'a [u8]) {
        if !self.is_in_resource(header) {
            self.resources.push(OpenResource {
                head: header.resource,
                scopes: Vec::new(),
            });
        }
        if let Some(resource) = self.resources.last_mut() {
            if self.index != Some(header.index) {
                resource.scopes.push(OpenScope {
                    head: header.scope,
                    records: Vec::new(),
                });
            }
            if let Some(scope) = resource.scopes.last_mut() {
                scope.records.push(record);
            }
        }
        self.index = Some(header.index);
        self.records = self.records.saturating_add(1);
    }

    fn is_in_resource(&self, header: &Header<'_>) -> bool {
        self.index
            .is_some_and(|(resource, _)| resource == header.index.0)
    }

    fn write(self) -> Finished {
        let mut payload = Vec::with_capacity(self.size.total());
        for resource in &self.resources {
            put_head(&mut payload, RESOURCES, resource.len());
            put_message(&mut payload, RESOURCE, resource.head.message);
            for scope in &resource.scopes {
                put_head(&mut payload, SCOPES, scope.len());
                put_message(&mut payload, SCOPE, scope.head.message);
                for record in &scope.records {
                    put(&mut payload, RECORDS, record);
                }
                put_schema_url(&mut payload, scope.head.schema_url);
            }
            put_schema_url(&mut payload, resource.head.schema_url);
        }
        debug_assert_eq!(payload.len(), self.size.total());
        Finished {
            records: self.records,
            payload: payload.into(),
        }
    }
}

impl OpenResource<'_> {
    fn len(&self) -> usize {
        let scopes = self.scopes.iter().map(|scope| framed(scope.len()));
        self.head.len() + scopes.sum::<usize>()
    }
}

impl OpenScope<'_> {
    fn len(&self) -> usize {
        let records = self.records.iter().map(|record| framed(record.len()));
        self.head.len() + records.sum::<usize>()
    }
}

fn put_message(payload: &mut Vec<u8>, key: u8, message: Option<&[u8]>) {
    if let Some(message) = message {
        put(payload, key, message);
    }
}

fn put_schema_url(payload: &mut Vec<u8>, url: Text<'_>) {
    if !url.as_bytes().is_empty() {
        put(payload, SCHEMA_URL, url.as_bytes());
    }
}

fn put(payload: &mut Vec<u8>, key: u8, bytes: &[u8]) {
    put_head(payload, key, bytes.len());
    payload.put_slice(bytes);
}

fn put_head(payload: &mut Vec<u8>, key: u8, len: usize) {
    payload.put_u8(key);
    encode_varint(len as u64, payload);
}

/// The size of a request that ends with an open resource that ends with an open scope.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    /// Everything before the open resource.
    closed: usize,
    /// The open resource without its open scope; `None` before the first.
    resource: Option<usize>,
    /// The open scope; `None` before the first of a resource.
    scope: Option<usize>,
}

impl Size {
    fn open_resource(&mut self, bytes: usize) {
        *self = Self {
            closed: self.total(),
            resource: Some(bytes),
            scope: None,
        };
    }

    fn open_scope(&mut self, bytes: usize) {
        self.resource = self.resource_total();
        self.scope = Some(bytes);
    }

    fn add_record(&mut self, bytes: usize) {
        self.scope = self.scope.map(|scope| scope + framed(bytes));
    }

    fn total(&self) -> usize {
        self.closed + self.resource_total().map_or(0, framed)
    }

    fn resource_total(&self) -> Option<usize> {
        self.resource
            .map(|resource| resource + self.scope.map_or(0, framed))
    }
}

/// The size of a field with its key and length.
fn framed(len: usize) -> usize {
    1 + encoded_len_varint(len as u64) + len
}
