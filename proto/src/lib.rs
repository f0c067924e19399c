//! Messages and services, generated from the .proto files beside this crate; their comments are the documentation.
//!
//! Byte fields are [`bytes::Bytes`]: decoding from `Bytes` shares the buffer instead of copying ids one by one.

mod generated {
    #![allow(
        missing_docs,
        missing_debug_implementations,
        unreachable_pub,
        clippy::all,
        clippy::pedantic
    )]
    include!(concat!(env!("OUT_DIR"), "/modules.rs"));
}

#[cfg(feature = "arbitrary")]
pub mod arbitrary;

pub mod json;
pub mod outline;

pub use generated::logtracer::v1;

/// The OpenTelemetry protocol, each package under its last name.
pub mod otlp {
    pub use super::generated::opentelemetry::proto::{
        collector::{logs::v1 as collector_logs, trace::v1 as collector_trace},
        common::v1 as common,
        logs::v1 as logs,
        resource::v1 as resource,
        trace::v1 as trace,
    };
}

/// All .proto files as an encoded `FileDescriptorSet`, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
