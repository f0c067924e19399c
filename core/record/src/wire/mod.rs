//! OTLP export requests as they lie in memory: checked once, and then read in place.
//!
//! Decoding a request into structs takes an allocation for each text, list and value. Most of what is done to a request
//! needs none of them: it is counted, cut and copied into columns. So [`Request::check`] walks once over the bytes, and
//! what it lets pass is read by **views**: structs on the stack that borrow from the bytes.
//!
//! # What is plain
//!
//! The law is that views show exactly what prost decodes. Protobuf allows more than encoders write, and the rarest of
//! it would make views slow: so the walk lets **plain** requests pass and says [`NotPlain`] to all others, which then go
//! through prost: it refuses them, or reads them, and what it writes again is plain.
//!
//! | on the wire | |
//! |---|---|
//! | fields in any order; unknown fields | plain: unknown ones are skipped |
//! | a number, a text or bytes twice; several alternatives of a value | plain: the last one counts |
//! | lengths and numbers in more bytes than they need | plain |
//! | a resource, scope, status, body or value twice; two lists or maps in one value | not plain: prost merges them |
//! | groups | not plain, even unknown ones |
//! | whatever prost refuses: wrong wire types, text that is not UTF-8, a message that ends early or late, more than 100 messages in each other | not plain |
//!
//! Nothing here allocates but [`Request::check`] where it describes invalid spans.

mod check;
mod key;
mod reader;
mod request;
mod view;

pub(crate) use request::route;
pub use request::{Logs, OfResource, OfScope, Request, Signal, Spans};
pub use view::{
    AnyValueView, Elements, EventView, KeyValueView, LinkView, LogView, SpanView, StatusView, Text,
    ValueView, View,
};

/// The bytes are no request that views can show: prost may read it, or refuse it and say why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an export request in the plain form of protobuf")]
pub struct NotPlain;
