//! Messages as they lie in a request that was checked. Nothing here allocates; what an absent field means is what prost
//! gives for it.

use super::{
    NotPlain,
    key::{any_value, event, key_value, link, log, span, status},
    reader::Reader,
};
use crate::context::UNKNOWN_SERVICE;

/// A text of a checked request: UTF-8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Text<'a>(&'a [u8]);

impl<'a> Text<'a> {
    #[inline]
    pub(super) fn checked(bytes: &'a [u8]) -> Result<Self, NotPlain> {
        match std::str::from_utf8(bytes) {
            Ok(_) => Ok(Self(bytes)),
            Err(_) => Err(NotPlain),
        }
    }

    /// Of a request that was checked, or of bytes that are known to be ASCII.
    #[inline]
    pub(super) fn unchecked(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Its bytes, for those who only compare or copy.
    #[must_use]
    #[inline]
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The text.
    #[must_use]
    #[inline]
    pub fn as_str(self) -> &'a str {
        // Without unsafe code this looks at the bytes again. They were checked, so that it does not fail.
        std::str::from_utf8(self.0).unwrap_or_default()
    }
}

/// A view of a message.
pub trait View<'a>: Copy + std::fmt::Debug {
    /// The view of a message of a checked request. Of other bytes, as much as can be read.
    fn of(message: &'a [u8]) -> Self;
}

/// The elements of a repeated field of messages, in the order of the wire.
#[derive(Clone, Copy, Debug)]
pub struct Elements<'a, T> {
    /// From the key of the first element on to the end of the last, and what else stands between them.
    fields: &'a [u8],
    key: u32,
    view: std::marker::PhantomData<T>,
}

impl<T> Default for Elements<'_, T> {
    fn default() -> Self {
        Self {
            fields: &[],
            key: 0,
            view: std::marker::PhantomData,
        }
    }
}

impl<'a, T: View<'a>> Elements<'a, T> {
    /// Whether there is none.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The view of each element.
    #[inline]
    pub fn iter(self) -> impl Iterator<Item = T> + use<'a, T> {
        self.messages().map(T::of)
    }

    /// The bytes of each element.
    #[inline]
    pub fn messages(self) -> impl Iterator<Item = &'a [u8]> + use<'a, T> {
        let mut fields = Reader::new(self.fields);
        std::iter::from_fn(move || {
            while let Ok(Some(key)) = fields.key() {
                if key == self.key {
                    return fields.bytes().ok();
                }
                fields.skip(key).ok()?;
            }
            None
        })
    }
}

/// Finds where the elements of a repeated field lie.
#[derive(Default)]
pub(super) struct ElementsBuilder<'a> {
    from_first: Option<&'a [u8]>,
    after_last: usize,
}

impl<'a> ElementsBuilder<'a> {
    /// Takes in an element that stands between what was left before its key and what is left after it.
    #[inline]
    pub(super) fn include(&mut self, before: &'a [u8], after: &'a [u8]) {
        self.from_first.get_or_insert(before);
        self.after_last = after.len();
    }

    #[inline]
    pub(super) fn finish<T>(self, key: u32) -> Elements<'a, T> {
        let fields = self.from_first.and_then(|from_first| {
            let len = from_first.len().checked_sub(self.after_last)?;
            from_first.get(..len)
        });
        Elements {
            fields: fields.unwrap_or_default(),
            key,
            view: std::marker::PhantomData,
        }
    }
}

/// Reads the fields of a message with an arm for each key; keys without one are skipped.
macro_rules! read {
    ($message:expr, $fields:ident, $before:ident, { $($key:pat => $read:expr,)* }) => {{
        let mut read = || -> Result<(), NotPlain> {
            let mut $fields = Reader::new($message);
            loop {
                let $before = $fields.rest();
                let Some(key) = $fields.key()? else {
                    return Ok(());
                };
                match key {
                    $($key => $read,)*
                    _ => drop($fields.skip(key)?),
                }
            }
        };
        // The bytes were checked, so that reading does not fail.
        let _: Result<(), NotPlain> = read();
    }};
}
pub(super) use read;

/// A span.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)] // The names are those of the .proto file, which says what they mean.
pub struct SpanView<'a> {
    pub trace_id: &'a [u8],
    pub span_id: &'a [u8],
    pub trace_state: Text<'a>,
    pub parent_span_id: &'a [u8],
    pub flags: u32,
    pub name: Text<'a>,
    pub kind: i32,
    pub start_time_unix_nano: u64,
    pub end_time_unix_nano: u64,
    pub attributes: Elements<'a, KeyValueView<'a>>,
    pub dropped_attributes_count: u32,
    pub events: Elements<'a, EventView<'a>>,
    pub dropped_events_count: u32,
    pub links: Elements<'a, LinkView<'a>>,
    pub dropped_links_count: u32,
    pub status: Option<StatusView<'a>>,
}

impl<'a> View<'a> for SpanView<'a> {
    fn of(message: &'a [u8]) -> Self {
        let mut view = Self::default();
        let mut attributes = ElementsBuilder::default();
        let mut events = ElementsBuilder::default();
        let mut links = ElementsBuilder::default();
        read!(message, fields, before, {
            span::ATTRIBUTES => {
                fields.bytes()?;
                attributes.include(before, fields.rest());
            },
            span::TRACE_ID => view.trace_id = fields.bytes()?,
            span::SPAN_ID => view.span_id = fields.bytes()?,
            span::TRACE_STATE => view.trace_state = Text(fields.bytes()?),
            span::PARENT_SPAN_ID => view.parent_span_id = fields.bytes()?,
            span::FLAGS => view.flags = fields.fixed32()?,
            span::NAME => view.name = Text(fields.bytes()?),
            span::KIND => view.kind = fields.varint()? as i32,
            span::START => view.start_time_unix_nano = fields.fixed64()?,
            span::END => view.end_time_unix_nano = fields.fixed64()?,
            span::DROPPED_ATTRIBUTES => view.dropped_attributes_count = fields.varint()? as u32,
            span::EVENTS => {
                fields.bytes()?;
                events.include(before, fields.rest());
            },
            span::DROPPED_EVENTS => view.dropped_events_count = fields.varint()? as u32,
            span::LINKS => {
                fields.bytes()?;
                links.include(before, fields.rest());
            },
            span::DROPPED_LINKS => view.dropped_links_count = fields.varint()? as u32,
            span::STATUS => view.status = Some(StatusView::of(fields.bytes()?)),
        });
        view.attributes = attributes.finish(span::ATTRIBUTES);
        view.events = events.finish(span::EVENTS);
        view.links = links.finish(span::LINKS);
        view
    }
}

/// How a span ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // As in the .proto file.
pub struct StatusView<'a> {
    pub message: Text<'a>,
    pub code: i32,
}

impl<'a> View<'a> for StatusView<'a> {
    fn of(message: &'a [u8]) -> Self {
        let mut view = Self::default();
        read!(message, fields, _before, {
            status::MESSAGE => view.message = Text(fields.bytes()?),
            status::CODE => view.code = fields.varint()? as i32,
        });
        view
    }
}

/// An event of a span.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)] // As in the .proto file.
pub struct EventView<'a> {
    pub time_unix_nano: u64,
    pub name: Text<'a>,
    pub attributes: Elements<'a, KeyValueView<'a>>,
    pub dropped_attributes_count: u32,
}

impl<'a> View<'a> for EventView<'a> {
    fn of(message: &'a [u8]) -> Self {
        let mut view = Self::default();
        let mut attributes = ElementsBuilder::default();
        read!(message, fields, before, {
            event::TIME => view.time_unix_nano = fields.fixed64()?,
            event::NAME => view.name = Text(fields.bytes()?),
            event::ATTRIBUTES => {
                fields.bytes()?;
                attributes.include(before, fields.rest());
            },
            event::DROPPED_ATTRIBUTES => view.dropped_attributes_count = fields.varint()? as u32,
        });
        view.attributes = attributes.finish(event::ATTRIBUTES);
        view
    }
}

/// A link of a span.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)] // As in the .proto file.
pub struct LinkView<'a> {
    pub trace_id: &'a [u8],
    pub span_id: &'a [u8],
    pub trace_state: Text<'a>,
    pub attributes: Elements<'a, KeyValueView<'a>>,
    pub dropped_attributes_count: u32,
    pub flags: u32,
}

impl<'a> View<'a> for LinkView<'a> {
    fn of(message: &'a [u8]) -> Self {
        let mut view = Self::default();
        let mut attributes = ElementsBuilder::default();
        read!(message, fields, before, {
            link::TRACE_ID => view.trace_id = fields.bytes()?,
            link::SPAN_ID => view.span_id = fields.bytes()?,
            link::TRACE_STATE => view.trace_state = Text(fields.bytes()?),
            link::ATTRIBUTES => {
                fields.bytes()?;
                attributes.include(before, fields.rest());
            },
            link::DROPPED_ATTRIBUTES => view.dropped_attributes_count = fields.varint()? as u32,
            link::FLAGS => view.flags = fields.fixed32()?,
        });
        view.attributes = attributes.finish(link::ATTRIBUTES);
        view
    }
}

/// A log record.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)] // As in the .proto file.
pub struct LogView<'a> {
    pub time_unix_nano: u64,
    pub observed_time_unix_nano: u64,
    pub severity_number: i32,
    pub severity_text: Text<'a>,
    pub body: Option<AnyValueView<'a>>,
    pub attributes: Elements<'a, KeyValueView<'a>>,
    pub dropped_attributes_count: u32,
    pub flags: u32,
    pub trace_id: &'a [u8],
    pub span_id: &'a [u8],
    pub event_name: Text<'a>,
}

impl<'a> View<'a> for LogView<'a> {
    fn of(message: &'a [u8]) -> Self {
        let mut view = Self::default();
        let mut attributes = ElementsBuilder::default();
        read!(message, fields, before, {
            log::ATTRIBUTES => {
                fields.bytes()?;
                attributes.include(before, fields.rest());
            },
            log::TIME => view.time_unix_nano = fields.fixed64()?,
            log::OBSERVED_TIME => view.observed_time_unix_nano = fields.fixed64()?,
            log::SEVERITY_NUMBER => view.severity_number = fields.varint()? as i32,
            log::SEVERITY_TEXT => view.severity_text = Text(fields.bytes()?),
            log::BODY => view.body = Some(AnyValueView::of(fields.bytes()?)),
            log::DROPPED_ATTRIBUTES => view.dropped_attributes_count = fields.varint()? as u32,
            log::FLAGS => view.flags = fields.fixed32()?,
            log::TRACE_ID => view.trace_id = fields.bytes()?,
            log::SPAN_ID => view.span_id = fields.bytes()?,
            log::EVENT_NAME => view.event_name = Text(fields.bytes()?),
        });
        view.attributes = attributes.finish(log::ATTRIBUTES);
        view
    }
}

impl LogView<'_> {
    /// When it happened, or was observed; see [`LogRow::time_unix_nano`](crate::LogRow::time_unix_nano).
    #[must_use]
    #[inline]
    pub fn time(&self) -> u64 {
        match self.time_unix_nano {
            0 => self.observed_time_unix_nano,
            time => time,
        }
    }
}

/// An attribute.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)] // As in the .proto file.
pub struct KeyValueView<'a> {
    pub key: Text<'a>,
    pub value: Option<AnyValueView<'a>>,
    pub key_strindex: i32,
}

impl<'a> View<'a> for KeyValueView<'a> {
    #[inline]
    fn of(message: &'a [u8]) -> Self {
        let mut view = Self::default();
        read!(message, fields, _before, {
            key_value::KEY => view.key = Text(fields.bytes()?),
            key_value::VALUE => view.value = Some(AnyValueView::of(fields.bytes()?)),
            key_value::KEY_STRINDEX => view.key_strindex = fields.varint()? as i32,
        });
        view
    }
}

/// The value of an attribute, or a body.
#[derive(Clone, Copy, Debug, Default)]
pub struct AnyValueView<'a> {
    /// The whole message.
    pub message: &'a [u8],
    /// What it holds; `None` for the empty value.
    pub value: Option<ValueView<'a>>,
}

/// What a value holds.
#[derive(Clone, Copy, Debug)]
pub enum ValueView<'a> {
    /// A text.
    String(Text<'a>),
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Double(f64),
    /// An `ArrayValue`.
    Array(&'a [u8]),
    /// A `KeyValueList`.
    Map(&'a [u8]),
    /// Bytes.
    Bytes(&'a [u8]),
    /// An index into a table that only profiles have.
    Strindex(i32),
}

impl<'a> View<'a> for AnyValueView<'a> {
    #[inline]
    fn of(message: &'a [u8]) -> Self {
        let mut value = None;
        read!(message, fields, _before, {
            any_value::STRING => value = Some(ValueView::String(Text(fields.bytes()?))),
            any_value::BOOL => value = Some(ValueView::Bool(fields.varint()? != 0)),
            any_value::INT => value = Some(ValueView::Int(fields.varint()?.cast_signed())),
            any_value::DOUBLE => value = Some(ValueView::Double(f64::from_bits(fields.fixed64()?))),
            any_value::ARRAY => value = Some(ValueView::Array(fields.bytes()?)),
            any_value::MAP => value = Some(ValueView::Map(fields.bytes()?)),
            any_value::BYTES => value = Some(ValueView::Bytes(fields.bytes()?)),
            any_value::STRINDEX => value = Some(ValueView::Strindex(fields.varint()? as i32)),
        });
        Self { message, value }
    }
}

/// The service that the attributes of a resource name; see
/// [`ResourceContext::service`](crate::ResourceContext::service).
pub(super) fn service_of<'a>(attributes: Elements<'a, KeyValueView<'a>>) -> &'a str {
    let mut named = attributes
        .iter()
        .filter(|attribute| attribute.key.as_bytes() == b"service.name");
    let value = named.next().and_then(|attribute| attribute.value?.value);
    match value {
        Some(ValueView::String(name)) if !name.as_bytes().is_empty() => name.as_str(),
        _ => UNKNOWN_SERVICE,
    }
}
