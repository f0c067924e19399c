//! What the groups have committed, and which segment is the first: a small file that is replaced now and then.
//!
//! A small file ([`crate::small`]) with magic `LTJC` and version 1. The body is: first segment u64, groups u32, and for
//! each group its name (length u16, UTF-8), cursors u32, and for each cursor partition u16, next offset u64.
//!
//! Segments before the first may be found after a crash and are then removed. The first is written here before any of
//! them is removed, so that a segment which is missing is not taken for one that has left.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut};
use log_tracer_transport::{Group, LogId, Offset, Partition};

use crate::{error::Damage, names, small::Kind};

const KIND: Kind = Kind {
    name: names::CURSORS,
    magic: *b"LTJC",
    version: 1,
};

/// The cursors of all groups.
pub(crate) type Groups = BTreeMap<Group, BTreeMap<Partition, Offset>>;

/// The contents of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cursors {
    pub(crate) first_segment: u64,
    pub(crate) groups: Groups,
}

impl Cursors {
    pub(crate) fn encode(&self, log_id: LogId) -> Vec<u8> {
        let mut body = Vec::new();
        body.put_u64_le(self.first_segment);
        body.put_u32_le(u32::try_from(self.groups.len()).unwrap_or(u32::MAX));
        for (group, cursors) in &self.groups {
            body.put_u16_le(u16::try_from(group.0.len()).unwrap_or(u16::MAX));
            body.put_slice(group.0.as_bytes());
            body.put_u32_le(u32::try_from(cursors.len()).unwrap_or(u32::MAX));
            for (partition, next) in cursors {
                body.put_u16_le(partition.0);
                body.put_u64_le(next.0);
            }
        }
        KIND.encode(log_id, &body)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<(LogId, Self), Damage> {
        let (log_id, body) = KIND.decode(bytes)?;
        let cursors = read(body)
            .ok_or_else(|| Damage::new(names::CURSORS, 24, "the contents cannot be read"))?;
        Ok((log_id, cursors))
    }
}

fn read(mut body: &[u8]) -> Option<Cursors> {
    let first_segment = body.try_get_u64_le().ok()?;
    let mut groups = Groups::new();
    for _ in 0..body.try_get_u32_le().ok()? {
        let length = usize::from(body.try_get_u16_le().ok()?);
        let (name, rest) = body.split_at_checked(length)?;
        body = rest;
        let name = String::from_utf8(name.to_vec()).ok()?;
        let mut cursors = BTreeMap::new();
        for _ in 0..body.try_get_u32_le().ok()? {
            let partition = Partition(body.try_get_u16_le().ok()?);
            cursors.insert(partition, Offset(body.try_get_u64_le().ok()?));
        }
        groups.insert(Group(name), cursors);
    }
    body.is_empty().then_some(Cursors {
        first_segment,
        groups,
    })
}
