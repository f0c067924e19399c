//! Names of fields: the intrinsic ones with their aliases and help, and how any field is spelt in a query.

use std::fmt;

use crate::record::{Field, Intrinsic};

/// What a person should know about an intrinsic field: the data of a help sheet and of completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldHelp {
    /// The canonical name.
    pub name: &'static str,
    /// Other names that mean the same field; like the name, in any case.
    pub aliases: &'static [&'static str],
    /// Which records have it.
    pub signals: Signals,
    /// One line that says what it is.
    pub summary: &'static str,
    /// Terms to learn from; each is a query.
    pub examples: &'static [&'static str],
    /// The values to complete, for a field that takes only these.
    pub values: &'static [&'static str],
}

/// Which kind of record has a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signals {
    /// Spans and logs.
    Both,
    /// Spans only.
    Spans,
    /// Logs only.
    Logs,
}

/// What a field's values are, which decides what may be asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    /// Any value: an attribute.
    Any,
    /// A string that is compared whole.
    Name,
    /// Longer text: `:` searches words in it.
    Prose,
    /// One of the words of [`FieldHelp::values`].
    Choice,
    /// Nanoseconds.
    Duration,
    /// A number from 1 to 24.
    Severity,
    /// Nanoseconds since 1970.
    Time,
    /// Bytes of an id, so many.
    Id(usize),
}

impl Intrinsic {
    /// Every intrinsic field, in the order of a help sheet.
    pub const ALL: [Intrinsic; 14] = [
        Intrinsic::Service,
        Intrinsic::Name,
        Intrinsic::Duration,
        Intrinsic::Status,
        Intrinsic::StatusMessage,
        Intrinsic::Kind,
        Intrinsic::Severity,
        Intrinsic::Body,
        Intrinsic::TraceId,
        Intrinsic::SpanId,
        Intrinsic::ParentId,
        Intrinsic::Event,
        Intrinsic::Scope,
        Intrinsic::Time,
    ];

    /// The canonical name, as a query is printed.
    pub fn name(self) -> &'static str {
        self.help().name
    }

    /// The intrinsic field of this name or alias, in any case of ASCII letters.
    pub fn named(name: &str) -> Option<Intrinsic> {
        let is_name = |known: &str| known.eq_ignore_ascii_case(name);
        Self::ALL.into_iter().find(|field| {
            let help = field.help();
            is_name(help.name) || help.aliases.iter().any(|alias| is_name(alias))
        })
    }

    /// Name, aliases, meaning and examples.
    pub fn help(self) -> &'static FieldHelp {
        match self {
            Intrinsic::Service => &FieldHelp {
                name: "service",
                aliases: &["service.name"],
                signals: Signals::Both,
                summary: "the service that sent the record: service.name of its resource",
                examples: &["service:checkout", "service:pay*"],
                values: &[],
            },
            Intrinsic::Name => &FieldHelp {
                name: "name",
                aliases: &["operation", "span.name", "event_name"],
                signals: Signals::Both,
                summary: "the name of a span, or the event name of a log",
                examples: &["name:\"GET /cart\"", "name:/^(GET|HEAD) /"],
                values: &[],
            },
            Intrinsic::Duration => &FieldHelp {
                name: "duration",
                aliases: &["dur"],
                signals: Signals::Spans,
                summary: "how long a span took: ns, us, ms, s, m, h or d",
                examples: &["duration>250ms", "duration>=1.5s duration<1m"],
                values: &[],
            },
            Intrinsic::Status => &FieldHelp {
                name: "status",
                aliases: &["status.code", "span.status"],
                signals: Signals::Spans,
                summary: "the status of a span: unset, ok or error",
                examples: &["status:error", "-status:ok"],
                values: &["unset", "ok", "error"],
            },
            Intrinsic::StatusMessage => &FieldHelp {
                name: "status.message",
                aliases: &["status_message"],
                signals: Signals::Spans,
                summary: "words of the message beside a span's status",
                examples: &["status.message:\"deadline exceeded\""],
                values: &[],
            },
            Intrinsic::Kind => &FieldHelp {
                name: "kind",
                aliases: &["span.kind"],
                signals: Signals::Spans,
                summary: "the kind of a span: internal, server, client, producer or consumer",
                examples: &["kind:server", "kind:(producer OR consumer)"],
                values: &[
                    "internal",
                    "server",
                    "client",
                    "producer",
                    "consumer",
                    "unspecified",
                ],
            },
            Intrinsic::Severity => &FieldHelp {
                name: "severity",
                aliases: &["level", "lvl", "severity_number"],
                signals: Signals::Logs,
                summary: "the severity of a log: trace, debug, info, warn, error or fatal, or a number from 1 to 24",
                examples: &["severity>=warn", "severity:error"],
                values: &["trace", "debug", "info", "warn", "error", "fatal"],
            },
            Intrinsic::Body => &FieldHelp {
                name: "body",
                aliases: &["msg", "message"],
                signals: Signals::Logs,
                summary: "words of a log's body",
                examples: &["body:\"connection refused\"", "body:/took \\d+ms/"],
                values: &[],
            },
            Intrinsic::TraceId => &FieldHelp {
                name: "trace",
                aliases: &["trace_id", "traceid", "trace.id"],
                signals: Signals::Both,
                summary: "the id of the trace: 32 hexadecimal digits, or the first of them",
                examples: &["trace:5b8efff798038103d269b633813fc60c", "trace:5b8efff7"],
                values: &[],
            },
            Intrinsic::SpanId => &FieldHelp {
                name: "span",
                aliases: &["span_id", "spanid", "span.id"],
                signals: Signals::Both,
                summary: "the id of the span: 16 hexadecimal digits, or the first of them",
                examples: &["span:eee19b7ec3c1b174"],
                values: &[],
            },
            Intrinsic::ParentId => &FieldHelp {
                name: "parent",
                aliases: &["parent_id", "parent_span_id", "parentspanid", "parent.id"],
                signals: Signals::Spans,
                summary: "the id of the parent span; roots have none",
                examples: &["-parent:*", "parent:eee19b7ec3c1b174"],
                values: &[],
            },
            Intrinsic::Event => &FieldHelp {
                name: "event",
                aliases: &["span.event"],
                signals: Signals::Spans,
                summary: "the names of a span's events",
                examples: &["event:exception", "event:*"],
                values: &[],
            },
            Intrinsic::Scope => &FieldHelp {
                name: "scope",
                aliases: &["scope.name", "otel.scope.name"],
                signals: Signals::Both,
                summary: "the name of the instrumentation scope, often a library or a module",
                examples: &["scope:io.opentelemetry.*"],
                values: &[],
            },
            Intrinsic::Time => &FieldHelp {
                name: "time",
                aliases: &["timestamp", "@timestamp", "ts"],
                signals: Signals::Both,
                summary: "the start of a span or the time of a log: RFC 3339, or a day (UTC)",
                examples: &["time>=2026-03-01T09:30:00Z", "time:2026-03-01"],
                values: &[],
            },
        }
    }

    pub(crate) fn value_type(self) -> Type {
        match self {
            Intrinsic::Service | Intrinsic::Name | Intrinsic::Scope | Intrinsic::Event => {
                Type::Name
            }
            Intrinsic::StatusMessage | Intrinsic::Body => Type::Prose,
            Intrinsic::Kind | Intrinsic::Status => Type::Choice,
            Intrinsic::Duration => Type::Duration,
            Intrinsic::Severity => Type::Severity,
            Intrinsic::Time => Type::Time,
            Intrinsic::TraceId => Type::Id(16),
            Intrinsic::SpanId | Intrinsic::ParentId => Type::Id(8),
        }
    }
}

impl Field {
    /// The field that an unquoted name means: an intrinsic one by its name or alias in any case, else the attribute.
    pub fn named(name: &str) -> Field {
        match Intrinsic::named(name) {
            Some(intrinsic) => Field::Intrinsic(intrinsic),
            None => Field::Attribute(name.to_owned()),
        }
    }

    pub(crate) fn value_type(&self) -> Type {
        match self {
            Field::Intrinsic(intrinsic) => intrinsic.value_type(),
            Field::Attribute(_) => Type::Any,
        }
    }
}

/// As in a query: the canonical name of an intrinsic field; the key of an attribute, in quotes when it would be read
/// as something else without.
impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Field::Intrinsic(intrinsic) => f.write_str(intrinsic.name()),
            Field::Attribute(key) if is_plain_key(key) => f.write_str(key),
            Field::Attribute(key) => crate::print::write_quoted(f, key),
        }
    }
}

/// Whether an attribute key can stand without quotes.
fn is_plain_key(key: &str) -> bool {
    key.chars().next().is_some_and(can_start_field)
        && key.chars().all(can_be_in_field)
        && !crate::parse::is_keyword(key)
        && Intrinsic::named(key).is_none()
}

/// Whether an unquoted field name may begin with this; digits do not, so that `10:30` is a text.
pub(crate) fn can_start_field(c: char) -> bool {
    can_be_in_field(c)
        && !c.is_numeric()
        && !matches!(
            c,
            '-' | '/' | '\'' | '`' | '\u{201c}' | '\u{201d}' | '\u{2018}' | '\u{2019}'
        )
}

/// Whether this may stand in an unquoted field name.
pub(crate) fn can_be_in_field(c: char) -> bool {
    !c.is_whitespace()
        && !c.is_control()
        && !matches!(c, '"' | '(' | ')' | '*' | ':' | '=' | '<' | '>' | '!')
}
