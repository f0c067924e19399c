//! Spans and log records as rows, and back to OTLP without a loss.
//!
//! OTLP nests: an export request holds resources, a resource holds scopes, a scope holds records. A [`SpanRow`] or
//! [`LogRow`] is one record that carries its resource and scope by [`Arc`](std::sync::Arc), so that the layers above
//! handle records one by one and a resource is kept once.
//!
//! | module | what it does |
//! |---|---|
//! | [`wire`] | reads requests in place: checks them, finds invalid spans, shows records without decoding them |
//! | [`split`] | cuts a request into parts by partition and size |
//! | [`submit`] | LogService entries to OTLP logs |
//! | `arbitrary` | proptest strategies, behind the feature of the same name |
//!
//! # What is kept
//!
//! Everything that the messages hold comes back from [`spans_to_otlp`] and [`logs_to_otlp`] bit by bit. What may
//! differ is how it is grouped: equal resources and equal scopes are merged, in the order of their first appearance,
//! and the records of a group keep their order; groups without records vanish, and an empty resource and an absent
//! one, which mean the same, both come out absent. Fields that the .proto files do not know are ignored, as OTLP asks.
//!
//! # What OTLP leaves open
//!
//! - **Duplicate attribute keys** are kept, all of them, in the order they came. Where one value is needed, such as
//!   `service.name`, the first counts ([`attribute`]); a query sees every one.
//! - **Invalid ids.** A span whose trace id or span id is not 16 or 8 bytes, or all zero, is refused ([`wire::Request::rejected`]).
//!   A log record with such an id is kept and belongs to no trace or no span. A parent id that is all zero or of
//!   another length is kept and read as no parent. In every case the bytes come out as they came in.
//! - **Flags.** Only bits 0-7 (W3C trace flags), 8 and 9 (whether the parent is remote) are read, through
//!   [`SpanRow::trace_flags`], [`SpanRow::parent_is_remote`] and [`LogRow::trace_flags`]; the others are kept unread.
//! - **Times.** A log record without a time takes its observed time ([`LogRow::time_unix_nano`]). A span that ends
//!   before it starts has a duration of zero ([`SpanRow::duration_nano`]).
//! - **Enums** that this version does not know are kept as their number and read as "unspecified" or "unset".

#[cfg(feature = "arbitrary")]
pub mod arbitrary;
mod attribute;
mod context;
mod group;
mod id;
mod log;
mod rejected;
mod span;
pub mod split;
pub mod submit;
pub mod wire;

pub use log_tracer_proto::otlp;

pub use attribute::attribute;
pub use context::{ResourceContext, ScopeContext, UNKNOWN_SERVICE};
pub use group::{logs_to_otlp, spans_to_otlp};
pub use id::{IdError, SpanId, TraceId};
pub use log::{LogRow, log_rows};
pub use rejected::{Place, Rejected, Rejection};
pub use span::{SpanRow, span_rows};
