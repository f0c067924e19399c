//! What was sent and what was acked, kept outside of the process that is killed.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
};

/// The kind of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Log,
    Span,
}

/// Names a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RequestKey {
    pub(crate) kind: Kind,
    pub(crate) client: u64,
    pub(crate) sequence: u64,
}

/// A request that was sent at least once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    /// Its records, numbered from 0.
    pub(crate) records: u32,
    pub(crate) acked: bool,
    /// How often it was sent again after an error.
    pub(crate) retries: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<HashMap<RequestKey, Sent>>);

impl Ledger {
    pub(crate) fn lock(&self) -> MutexGuard<'_, HashMap<RequestKey, Sent>> {
        self.0.lock().unwrap()
    }

    pub(crate) fn sending(&self, key: RequestKey, records: u32) {
        let sent = Sent {
            records,
            acked: false,
            retries: 0,
        };
        self.lock().insert(key, sent);
    }

    pub(crate) fn acked(&self, key: RequestKey) {
        self.lock().get_mut(&key).unwrap().acked = true;
    }

    pub(crate) fn retried(&self, key: RequestKey) {
        self.lock().get_mut(&key).unwrap().retries += 1;
    }
}

/// The text of a record, from which all that was sent can be told: `log 3 17 5 <check>`.
pub(crate) fn text(key: RequestKey, index: u32) -> String {
    let RequestKey {
        kind,
        client,
        sequence,
    } = key;
    let kind = match kind {
        Kind::Log => "log",
        Kind::Span => "span",
    };
    let padding = "x".repeat((check(client, sequence, index) % 300) as usize);
    format!(
        "{kind} {client} {sequence} {index} {:016x} {padding}",
        check(client, sequence, index)
    )
}

/// Which record a text is of; `None` when a byte of it is not as it was sent.
pub(crate) fn parse(sent: &str) -> Option<(RequestKey, u32)> {
    let mut parts = sent.split(' ');
    let kind = match parts.next()? {
        "log" => Kind::Log,
        "span" => Kind::Span,
        _ => return None,
    };
    let key = RequestKey {
        kind,
        client: parts.next()?.parse().ok()?,
        sequence: parts.next()?.parse().ok()?,
    };
    let index = parts.next()?.parse().ok()?;
    (text(key, index) == sent).then_some((key, index))
}

/// A number that no other record has, as far as matters.
fn check(client: u64, sequence: u64, index: u32) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in [client, sequence, u64::from(index)] {
        for byte in part.to_le_bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    hash
}
