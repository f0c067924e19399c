//! What a query asks of a record. The store implements [`Record`] for its rows; this crate knows no other shape.

/// A field that a query can name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// A property that every span or log has by its kind.
    Intrinsic(Intrinsic),
    /// An attribute of the record, its scope or its resource, by its key.
    Attribute(String),
}

/// The properties that are not attributes. A record that lacks one has no value for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Intrinsic {
    /// `service`: `service.name` of the resource, a string.
    Service,
    /// `name`: the name of a span, or the event name of a log, a string.
    Name,
    /// `kind`: of a span: "internal", "server", "client", "producer", "consumer", "unspecified".
    Kind,
    /// `status`: of a span: "unset", "ok", "error".
    Status,
    /// `status.message`: of a span, a string.
    StatusMessage,
    /// `duration`: of a span, nanoseconds as an integer; 0 when the end lies before the start.
    Duration,
    /// `trace`: 16 bytes.
    TraceId,
    /// `span`: 8 bytes.
    SpanId,
    /// `parent`: of a span that has one, 8 bytes.
    ParentId,
    /// `severity`: of a log, OTLP's number from 1 to 24 as an integer; none when unspecified.
    Severity,
    /// `body`: of a log: a string, a number, a boolean or bytes; of a map or list, each leaf.
    Body,
    /// `scope`: the name of the instrumentation scope, a string.
    Scope,
    /// `event`: the names of a span's events, strings.
    Event,
    /// `time`: start of a span, time of a log (the observed time when it has none), nanoseconds as an integer.
    Time,
}

/// A value of a field, borrowed from the record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Text.
    Str(&'a str),
    /// A whole number.
    Int(i64),
    /// A number with a fraction.
    Double(f64),
    /// True or false.
    Bool(bool),
    /// Bytes; ids are among them.
    Bytes(&'a [u8]),
}

/// A span or a log record, as far as a query looks at it.
pub trait Record {
    /// Hands each value of a field to `visit` until it returns true; a list gives each of its elements, a map gives the
    /// leaves of the keys below it when the field names them with dots, and an attribute that stands on the record, its
    /// scope and its resource gives all of them. Returns whether `visit` did.
    fn any_value(&self, field: &Field, visit: &mut dyn FnMut(Value<'_>) -> bool) -> bool;

    /// Hands each text that a bare word is searched in to `visit` until it returns true. For a log: body, event name,
    /// attribute values. For a span: name, status message, attribute values, names of events and their attribute
    /// values. Values of resources and scopes are not searched: they have fields. Returns whether `visit` did.
    fn any_text(&self, visit: &mut dyn FnMut(&str) -> bool) -> bool;
}
