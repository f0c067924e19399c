//! A request that was checked.

use std::marker::PhantomData;

use super::{
    NotPlain,
    check::{DEPTH_MAX, Depth, Head, Once, Walk, below},
    key::{log, of_resource, of_scope, request, resource, span},
    reader::Reader,
    view::{
        Elements, ElementsBuilder, KeyValueView, LogView, SpanView, Text, View, read, service_of,
    },
};
use crate::{
    Place, Rejected, TraceId,
    otlp::{
        logs::{LogRecord, ResourceLogs, ScopeLogs},
        trace::{ResourceSpans, ScopeSpans, Span},
    },
    rejected::invalid_span,
    split::RouteKey,
};

/// Spans: what an `ExportTraceServiceRequest` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spans {}

/// Log records: what an `ExportLogsServiceRequest` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logs {}

/// What a request holds: [`Spans`] or [`Logs`].
pub trait Signal: sealed::Sealed + Copy + std::fmt::Debug {
    /// One record.
    type View<'a>: View<'a>;
}

impl Signal for Spans {
    type View<'a> = SpanView<'a>;
}

impl Signal for Logs {
    type View<'a> = LogView<'a>;
}

/// A request whose every byte was looked at: it is what prost decodes too.
#[derive(Clone, Debug)]
pub struct Request<'a, S> {
    bytes: &'a [u8],
    records: usize,
    rejected: Rejected,
    every_record_has_a_time: bool,
    decoded_bytes: usize,
    signal: PhantomData<S>,
}

impl<'a, S: Signal> Request<'a, S> {
    /// Checks a request, and finds out on the way what is to be known of it.
    ///
    /// # Errors
    /// When views cannot show it, see [the module](super).
    pub fn check(bytes: &'a [u8]) -> Result<Self, NotPlain> {
        Self::check_with(bytes, |_| {})
    }

    /// The same; hands the route of each record that is not [rejected](Self::rejected) to `on_record`, in order. What it
    /// heard of a request that is not plain is void.
    ///
    /// # Errors
    /// When views cannot show it, see [the module](super).
    pub fn check_with(
        bytes: &'a [u8],
        on_record: impl FnMut(RouteKey<'_>),
    ) -> Result<Self, NotPlain> {
        let mut check = Check::<S, _> {
            walk: Walk::default(),
            records: 0,
            rejected: Rejected::default(),
            every_record_has_a_time: true,
            on_record,
            signal: PhantomData,
        };
        check.request(bytes)?;
        Ok(Self {
            bytes,
            records: check.records,
            rejected: check.rejected,
            every_record_has_a_time: check.every_record_has_a_time,
            decoded_bytes: check.walk.heap_bytes,
            signal: PhantomData,
        })
    }

    /// A request of so many records that passed [`check`](Self::check) before. It is not looked at again, and what else
    /// was found out then is not known: it tells its records, and nothing is rejected. Of bytes that never passed, it shows
    /// as much as can be read.
    #[must_use]
    pub fn checked_before(bytes: &'a [u8], records: usize) -> Self {
        Self {
            bytes,
            records,
            rejected: Rejected::default(),
            every_record_has_a_time: false,
            decoded_bytes: 0,
            signal: PhantomData,
        }
    }

    /// The request.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// How many records it holds, with those that are rejected.
    #[must_use]
    pub fn records(&self) -> usize {
        self.records
    }

    /// The spans that OTLP calls invalid: those whose trace id or span id has another length or is all zero. Log records
    /// with such ids belong to no trace or span, and are not rejected.
    #[must_use]
    pub fn rejected(&self) -> &Rejected {
        &self.rejected
    }

    /// Whether each record carries a time that its sender gave it: the start of a span; the time or the observed time of
    /// a log record. True of a request without records.
    ///
    /// A batch is recognised by the hash of its request. Two requests that say the same are then one that was sent
    /// twice; without times, a program that logs the same line twice would lose one of them.
    #[must_use]
    pub fn every_record_has_a_time(&self) -> bool {
        self.every_record_has_a_time
    }

    /// Bytes of memory that the request would take if prost decoded it, lists as they grow and 16 bytes for each
    /// allocation included. Saturates.
    #[must_use]
    pub fn decoded_bytes(&self) -> usize {
        self.decoded_bytes
    }

    /// Its resources.
    pub fn resources(&self) -> impl Iterator<Item = OfResource<'a, S>> + use<'a, S> {
        let mut resources = ElementsBuilder::default();
        read!(self.bytes, fields, before, {
            request::RESOURCES => {
                fields.bytes()?;
                resources.include(before, fields.rest());
            },
        });
        let resources: Elements<'a, OfResource<'a, S>> = resources.finish(request::RESOURCES);
        resources.iter()
    }
}

/// The records of one resource.
#[derive(Clone, Copy, Debug)]
pub struct OfResource<'a, S: Signal> {
    /// The `Resource`; `None` when there is none.
    pub resource: Option<&'a [u8]>,
    /// The schema of the resource.
    pub schema_url: Text<'a>,
    /// Its scopes.
    pub scopes: Elements<'a, OfScope<'a, S>>,
}

impl<'a, S: Signal> View<'a> for OfResource<'a, S> {
    fn of(message: &'a [u8]) -> Self {
        let mut resource = None;
        let mut schema_url = Text::default();
        let mut scopes = ElementsBuilder::default();
        read!(message, fields, before, {
            of_resource::RESOURCE => resource = Some(fields.bytes()?),
            of_resource::SCOPES => {
                fields.bytes()?;
                scopes.include(before, fields.rest());
            },
            of_resource::SCHEMA_URL => schema_url = Text::unchecked(fields.bytes()?),
        });
        Self {
            resource,
            schema_url,
            scopes: scopes.finish(of_resource::SCOPES),
        }
    }
}

impl<S: Signal> OfResource<'_, S> {
    /// The service that it names; see [`ResourceContext::service`](crate::ResourceContext::service).
    #[must_use]
    pub fn service(&self) -> &str {
        service_of(attributes_of(self.resource))
    }
}

/// The records of one scope.
#[derive(Clone, Copy, Debug)]
pub struct OfScope<'a, S: Signal> {
    /// The `InstrumentationScope`; `None` when there is none.
    pub scope: Option<&'a [u8]>,
    /// The schema of the records.
    pub schema_url: Text<'a>,
    /// The records.
    pub records: Elements<'a, S::View<'a>>,
}

impl<'a, S: Signal> View<'a> for OfScope<'a, S> {
    fn of(message: &'a [u8]) -> Self {
        let mut scope = None;
        let mut schema_url = Text::default();
        let mut records = ElementsBuilder::default();
        read!(message, fields, before, {
            of_scope::SCOPE => scope = Some(fields.bytes()?),
            of_scope::RECORDS => {
                fields.bytes()?;
                records.include(before, fields.rest());
            },
            of_scope::SCHEMA_URL => schema_url = Text::unchecked(fields.bytes()?),
        });
        Self {
            scope,
            schema_url,
            records: records.finish(of_scope::RECORDS),
        }
    }
}

fn attributes_of(resource: Option<&[u8]>) -> Elements<'_, KeyValueView<'_>> {
    let mut attributes = ElementsBuilder::default();
    read!(resource.unwrap_or_default(), fields, before, {
        resource::ATTRIBUTES => {
            fields.bytes()?;
            attributes.include(before, fields.rest());
        },
    });
    attributes.finish(resource::ATTRIBUTES)
}

pub(crate) mod sealed {
    use super::super::check::{Depth, Head, Walk};
    use super::NotPlain;

    /// What the walk and the cut have to know of a signal.
    pub trait Sealed {
        /// The messages that prost would make of the lists of a request.
        type OfResource;
        type OfScope;
        type Record;

        /// Checks a record.
        #[allow(private_interfaces)]
        fn check<'a>(
            walk: &mut Walk,
            message: &'a [u8],
            depth: Depth,
        ) -> Result<Head<'a>, NotPlain>;

        /// The same of a record that was checked; without its time.
        #[allow(private_interfaces)]
        fn head(message: &[u8]) -> Head<'_>;

        /// Whether the record is rejected.
        #[allow(private_interfaces)]
        fn is_rejected(head: &Head<'_>) -> bool;
    }
}

impl sealed::Sealed for Spans {
    type OfResource = ResourceSpans;
    type OfScope = ScopeSpans;
    type Record = Span;

    #[allow(private_interfaces)]
    #[inline]
    fn check<'a>(walk: &mut Walk, message: &'a [u8], depth: Depth) -> Result<Head<'a>, NotPlain> {
        walk.span(message, depth)
    }

    #[allow(private_interfaces)]
    fn head(message: &[u8]) -> Head<'_> {
        let mut head = Head::default();
        read!(message, fields, _before, {
            span::TRACE_ID => head.trace_id = fields.bytes()?,
            span::SPAN_ID => head.span_id = fields.bytes()?,
        });
        head
    }

    #[allow(private_interfaces)]
    #[inline]
    fn is_rejected(head: &Head<'_>) -> bool {
        !head.is_valid_span()
    }
}

impl sealed::Sealed for Logs {
    type OfResource = ResourceLogs;
    type OfScope = ScopeLogs;
    type Record = LogRecord;

    #[allow(private_interfaces)]
    #[inline]
    fn check<'a>(walk: &mut Walk, message: &'a [u8], depth: Depth) -> Result<Head<'a>, NotPlain> {
        walk.log(message, depth)
    }

    #[allow(private_interfaces)]
    fn head(message: &[u8]) -> Head<'_> {
        let mut head = Head::default();
        read!(message, fields, _before, {
            log::TRACE_ID => head.trace_id = fields.bytes()?,
        });
        head
    }

    #[allow(private_interfaces)]
    #[inline]
    fn is_rejected(_: &Head<'_>) -> bool {
        false
    }
}

/// The route of a record.
pub(crate) fn route<'a>(trace_id: &[u8], service: impl FnOnce() -> &'a str) -> RouteKey<'a> {
    match TraceId::from_bytes(trace_id) {
        Some(id) => RouteKey::Trace(id),
        None => RouteKey::Service(service()),
    }
}

/// The walk over a request down to its records.
struct Check<S, F> {
    walk: Walk,
    records: usize,
    rejected: Rejected,
    every_record_has_a_time: bool,
    on_record: F,
    signal: PhantomData<S>,
}

impl<S: Signal, F: FnMut(RouteKey<'_>)> Check<S, F> {
    fn request(&mut self, message: &[u8]) -> Result<(), NotPlain> {
        let mut resources = 0;
        let mut fields = Reader::new(message);
        while let Some(key) = fields.key()? {
            match key {
                request::RESOURCES => {
                    self.of_resource(resources, fields.bytes()?, below(DEPTH_MAX)?)?;
                    resources += 1;
                }
                _ => self
                    .walk
                    .unknown(&mut fields, key, request::NUMBERS, DEPTH_MAX)?,
            }
        }
        self.walk.list::<S::OfResource>(resources);
        Ok(())
    }

    fn of_resource(&mut self, index: usize, message: &[u8], depth: Depth) -> Result<(), NotPlain> {
        let (mut resource, mut once) = (None, Once::default());
        let mut scopes = ElementsBuilder::default();
        let mut fields = Reader::new(message);
        loop {
            let before = fields.rest();
            let Some(key) = fields.key()? else {
                break;
            };
            match key {
                of_resource::RESOURCE => {
                    once.see()?;
                    let bytes = fields.bytes()?;
                    self.walk.resource(bytes, below(depth)?)?;
                    resource = Some(bytes);
                }
                of_resource::SCOPES => {
                    fields.bytes()?;
                    scopes.include(before, fields.rest());
                }
                of_resource::SCHEMA_URL => self.walk.text(fields.bytes()?).map(drop)?,
                _ => self
                    .walk
                    .unknown(&mut fields, key, of_resource::NUMBERS, depth)?,
            }
        }
        // After the resource, wherever it stands: records without a trace go by the service.
        let mut count = 0;
        let scopes: Elements<'_, OfScope<'_, S>> = scopes.finish(of_resource::SCOPES);
        for message in scopes.messages() {
            self.of_scope((index, count), resource, message, below(depth)?)?;
            count += 1;
        }
        self.walk.list::<S::OfScope>(count);
        Ok(())
    }

    fn of_scope(
        &mut self,
        (resource, scope): (usize, usize),
        resource_message: Option<&[u8]>,
        message: &[u8],
        depth: Depth,
    ) -> Result<(), NotPlain> {
        let mut once = Once::default();
        let mut records = 0;
        let mut service = None;
        let mut fields = Reader::new(message);
        while let Some(key) = fields.key()? {
            match key {
                of_scope::RECORDS => {
                    let head = S::check(&mut self.walk, fields.bytes()?, below(depth)?)?;
                    self.every_record_has_a_time &= head.is_timed;
                    if S::is_rejected(&head) {
                        let place = Place {
                            resource,
                            scope,
                            record: records,
                        };
                        self.rejected
                            .add(place, || invalid_span(head.trace_id, head.span_id));
                    } else {
                        let service = || {
                            *service
                                .get_or_insert_with(|| service_of(attributes_of(resource_message)))
                        };
                        (self.on_record)(route(head.trace_id, service));
                    }
                    records += 1;
                }
                of_scope::SCOPE => {
                    once.see()?;
                    self.walk.scope(fields.bytes()?, below(depth)?)?;
                }
                of_scope::SCHEMA_URL => self.walk.text(fields.bytes()?).map(drop)?,
                _ => self
                    .walk
                    .unknown(&mut fields, key, of_scope::NUMBERS, depth)?,
            }
        }
        self.records = self.records.saturating_add(records);
        self.walk.list::<S::Record>(records);
        Ok(())
    }
}
