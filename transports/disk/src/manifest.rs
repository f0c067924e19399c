//! What a log is: written once, when the journal is made.
//!
//! A small file ([`crate::small`]) with magic `LTJM` and version 1. Its version is that of the whole journal. The body is:
//! partitions u16, created u64 in milliseconds since 1970-01-01T00:00:00Z.

use std::num::NonZeroU16;

use bytes::{Buf, BufMut};
use log_tracer_transport::LogId;

use crate::{error::Damage, names, small::Kind};

const KIND: Kind = Kind {
    name: names::MANIFEST,
    magic: *b"LTJM",
    version: 1,
};

/// What a log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) log_id: LogId,
    pub(crate) partitions: NonZeroU16,
    pub(crate) created_unix_millis: u64,
}

impl Manifest {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        body.put_u16_le(self.partitions.get());
        body.put_u64_le(self.created_unix_millis);
        KIND.encode(self.log_id, &body)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Damage> {
        let (log_id, mut body) = KIND.decode(bytes)?;
        let mut read = || {
            let partitions = NonZeroU16::new(body.try_get_u16_le().ok()?)?;
            let created_unix_millis = body.try_get_u64_le().ok()?;
            body.is_empty().then_some(Self {
                log_id,
                partitions,
                created_unix_millis,
            })
        };
        read().ok_or_else(|| Damage::new(names::MANIFEST, 24, "the contents cannot be read"))
    }
}
