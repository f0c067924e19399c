//! A reader of a tail that comes back: where it left off, and whether what came in the meantime is all there.
//!
//! Every event of records carries the key of the newest one as its id. A browser that lost its connection says it as
//! `Last-Event-ID`, or as the parameter `last` when the script connects anew by itself. The tail then begins with a
//! longer backlog. Where that does not reach back to the last record that the reader has, records in between may be
//! missing, and the reader is told.

use http::HeaderMap;
use log_tracer_proto::v1::RecordKey;

use crate::{
    fault::Fault,
    lines::{key_param, parse_key},
    params::Params,
};

/// The header with which a browser says which event it has seen last.
const LAST_EVENT_ID: &str = "last-event-id";

/// Records that are repeated to a reader that comes back; as many as a consumer repeats by default.
const BACKLOG_AGAIN: u32 = 1_000;

/// What a reader has seen.
#[derive(Debug, Default)]
pub(super) struct Resume {
    last: Option<RecordKey>,
    /// The oldest record of the backlog.
    oldest: Option<RecordKey>,
    newest: Option<RecordKey>,
    is_past_backlog: bool,
}

impl Resume {
    /// A header that cannot be read is that of another program and counts as none; a parameter is one of ours.
    pub(super) fn read(params: &Params, headers: &HeaderMap) -> Result<Self, Fault> {
        let of_header = headers
            .get(LAST_EVENT_ID)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| parse_key(text).ok());
        Ok(Self {
            last: params.read("last", parse_key)?.or(of_header),
            ..Self::default()
        })
    }

    /// Whether the reader was here before.
    pub(super) fn is_again(&self) -> bool {
        self.last.is_some()
    }

    /// How many records are repeated, when a reader that is new gets so many.
    pub(super) fn backlog(&self, of_new: u32) -> u32 {
        if self.is_again() {
            BACKLOG_AGAIN
        } else {
            of_new
        }
    }

    /// Takes note of records that are sent. True once: when the backlog is over and leaves a gap.
    pub(super) fn see<'a>(
        &mut self,
        keys: impl Iterator<Item = &'a RecordKey>,
        backlog_done: bool,
    ) -> bool {
        for key in keys {
            if self.newest.is_none_or(|newest| order(&newest) < order(key)) {
                self.newest = Some(*key);
            }
            let is_older = self.oldest.is_none_or(|oldest| order(key) < order(&oldest));
            if !self.is_past_backlog && is_older {
                self.oldest = Some(*key);
            }
        }
        if self.is_past_backlog || !backlog_done {
            return false;
        }
        self.is_past_backlog = true;
        match (self.last, self.oldest) {
            (Some(last), Some(oldest)) => order(&last) < order(&oldest),
            _ => false,
        }
    }

    /// The id of an event with the records that were seen; empty before there is one.
    pub(super) fn id(&self) -> String {
        self.newest
            .or(self.last)
            .as_ref()
            .map(key_param)
            .unwrap_or_default()
    }
}

fn order(key: &RecordKey) -> (u64, u32, u64, u32) {
    (key.time_unix_nano, key.partition, key.offset, key.index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(time: u64) -> RecordKey {
        RecordKey {
            time_unix_nano: time,
            ..RecordKey::default()
        }
    }

    fn again(last: &str) -> Resume {
        let mut headers = HeaderMap::new();
        headers.insert(LAST_EVENT_ID, last.parse().unwrap());
        Resume::read(&Params::default(), &headers).unwrap()
    }

    #[test]
    fn a_new_reader_gets_the_short_backlog_and_no_gap() {
        let mut new = Resume::default();
        assert_eq!(new.backlog(100), 100);
        assert!(!new.see([key(5)].iter(), true));
        assert_eq!(new.id(), "5-0-0-0");
    }

    #[test]
    fn a_backlog_that_reaches_back_leaves_no_gap() {
        let mut reader = again("5-0-0-0");
        assert_eq!(reader.backlog(100), BACKLOG_AGAIN);
        assert!(!reader.see([key(9), key(5)].iter(), false));
        assert!(!reader.see([key(10)].iter(), true));
        assert_eq!(reader.id(), "10-0-0-0");
    }

    #[test]
    fn a_backlog_that_does_not_reach_back_leaves_a_gap_once() {
        let mut reader = again("5-0-0-0");
        assert!(!reader.see([key(8)].iter(), false));
        assert!(reader.see([key(9)].iter(), true));
        assert!(!reader.see([key(20)].iter(), true));
    }

    #[test]
    fn nothing_kept_is_no_gap_and_keeps_the_place() {
        let mut reader = again("5-0-0-0");
        assert!(!reader.see([].iter(), true));
        assert_eq!(reader.id(), "5-0-0-0");
    }

    #[test]
    fn a_foreign_id_counts_as_none_and_a_wrong_parameter_is_refused() {
        assert!(!again("42").is_again());
        let params = Params::parse("last=42").unwrap();
        assert!(Resume::read(&params, &HeaderMap::new()).is_err());
    }
}
