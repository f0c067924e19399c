//! Traces: the model behind the trace page. Pure: no request, no template, no clock.

pub(crate) mod critical;
pub(crate) mod fields;
pub(crate) mod figures;
pub(crate) mod log_fields;
pub(crate) mod marks;
pub(crate) mod minimap;
pub(crate) mod model;
pub(crate) mod outline;
pub(crate) mod question;
pub(crate) mod self_time;
pub(crate) mod shape;
pub(crate) mod statistics;
pub(crate) mod tree;
pub(crate) mod visible;
mod whole;
pub(crate) mod zoom;
