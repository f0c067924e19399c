//! Collects the records of one partition into parts, with their exact size in protobuf at hand.

use prost::{Message, encoding::encoded_len_varint};

use super::{
    Part,
    signal::{OfResource, OfScope, Signal},
};

/// The resource and the scope of the records that are being added.
pub(super) struct Header<'a, R> {
    /// Which resource and which scope of the request, to tell whether they are open already.
    index: (usize, usize),
    /// Both without their records.
    resource: &'a OfResource<R>,
    scope: &'a OfScope<R>,
    /// Their sizes, without the tag and length before them.
    resource_bytes: usize,
    scope_bytes: usize,
}

impl<'a, R> Header<'a, R> {
    pub(super) fn new(
        (resource_index, resource): (usize, &'a OfResource<R>),
        (scope_index, scope): (usize, &'a OfScope<R>),
    ) -> Self {
        let optional = |len: Option<usize>| len.map_or(0, framed);
        let string = |text: &str| {
            if text.is_empty() {
                0
            } else {
                framed(text.len())
            }
        };
        Self {
            index: (resource_index, scope_index),
            resource,
            scope,
            resource_bytes: optional(resource.resource.as_ref().map(Message::encoded_len))
                + string(&resource.schema_url),
            scope_bytes: optional(scope.scope.as_ref().map(Message::encoded_len))
                + string(&scope.schema_url),
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
pub(super) struct PartBuilder<M: Signal> {
    finished: Vec<Open<M>>,
    open: Open<M>,
}

impl<M: Signal> Default for PartBuilder<M> {
    fn default() -> Self {
        Self {
            finished: Vec::new(),
            open: Open::default(),
        }
    }
}

impl<M: Signal> PartBuilder<M> {
    /// Adds a record to the open part, or to a new one when it would grow beyond `bytes_max`.
    pub(super) fn add(
        &mut self,
        header: &Header<'_, M::Record>,
        record: M::Record,
        bytes_max: usize,
    ) -> Result<(), TooLarge> {
        let record_bytes = record.encoded_len();
        let mut size = self.open.size_with(header, record_bytes);
        if size.total() > bytes_max {
            let alone = Open::<M>::default().size_with(header, record_bytes);
            if alone.total() > bytes_max {
                return Err(TooLarge {
                    bytes: alone.total(),
                });
            }
            size = alone;
            self.finished.push(std::mem::take(&mut self.open));
        }
        self.open.push(header, record);
        self.open.size = size;
        Ok(())
    }

    pub(super) fn finish(mut self, partition: u16) -> Vec<Part<M>> {
        // A part is opened for a record; without one, every record was too large.
        if self.open.records > 0 {
            self.finished.push(self.open);
        }
        let part = |open: Open<M>| Part {
            partition,
            records: open.records,
            is_whole: false,
            request: M::from_groups(open.groups),
        };
        self.finished.into_iter().map(part).collect()
    }
}

/// A part that still grows.
struct Open<M: Signal> {
    groups: Vec<OfResource<M::Record>>,
    /// The resource and the scope of the request that the last group and its last scope are.
    index: Option<(usize, usize)>,
    records: u32,
    size: Size,
}

impl<M: Signal> Default for Open<M> {
    fn default() -> Self {
        Self {
            groups: Vec::new(),
            index: None,
            records: 0,
            size: Size::default(),
        }
    }
}

impl<M: Signal> Open<M> {
    fn size_with(&self, header: &Header<'_, M::Record>, record_bytes: usize) -> Size {
        let mut size = self.size;
        if !self.is_in_resource(header) {
            size.open_resource(header.resource_bytes);
        }
        if self.index != Some(header.index) {
            size.open_scope(header.scope_bytes);
        }
        size.add_record(record_bytes);
        size
    }

    fn push(&mut self, header: &Header<'_, M::Record>, record: M::Record) {
        if !self.is_in_resource(header) {
            self.groups.push(header.resource.clone());
        }
        if let Some(group) = self.groups.last_mut() {
            if self.index != Some(header.index) {
                group.scopes.push(header.scope.clone());
            }
            if let Some(scope) = group.scopes.last_mut() {
                scope.records.push(record);
            }
        }
        self.index = Some(header.index);
        self.records = self.records.saturating_add(1);
    }

    fn is_in_resource(&self, header: &Header<'_, M::Record>) -> bool {
        self.index
            .is_some_and(|(resource, _)| resource == header.index.0)
    }
}

/// The size in protobuf of a request that ends with an open resource that ends with an open scope.
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

/// The size of a field with its tag and length. Every field on the way from a request to a record has a number below
/// 16, and so a tag of one byte.
fn framed(len: usize) -> usize {
    let length = u64::try_from(len).map_or(10, encoded_len_varint);
    1 + length + len
}
