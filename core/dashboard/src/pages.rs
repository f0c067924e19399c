//! The pages. Each reads its state from the URL, asks the consumer, and turns the answer into a view by a pure function;
//! the template of the same name writes it.

pub(crate) mod compare;
pub(crate) mod home;
mod links;
pub(crate) mod live;
pub(crate) mod logs;
pub(crate) mod map;
pub(crate) mod open;
pub(crate) mod pipeline;
pub(crate) mod service;
pub(crate) mod trace;
pub(crate) mod traces;
