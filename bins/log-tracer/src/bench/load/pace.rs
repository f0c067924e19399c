//! When each request is due.
//!
//! In a **closed** loop a request is due when the one before it was answered: a server that stalls is sent less, and
//! its stall is measured once for each connection. In an **open** loop requests are due at a rate, whatever the server
//! does, and latencies count from when a request was due: what waited for a stall to end is measured as having waited
//! (no coordinated omission).

use std::time::Duration;

/// How requests follow each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pace {
    Closed,
    Open { records_per_s: f64 },
}

impl Pace {
    /// When a request is due after the start, with so many records before it; none when it is due at once.
    pub(crate) fn due(self, records_before: u64) -> Option<Duration> {
        match self {
            Self::Closed => None,
            Self::Open { records_per_s } => {
                Duration::try_from_secs_f64(records_before as f64 / records_per_s).ok()
            }
        }
    }

    /// After how many records to stop, by either limit; none when only the time tells.
    pub(crate) fn records_max(
        self,
        records: Option<u64>,
        duration: Option<Duration>,
    ) -> Option<u64> {
        let by_time = match (self, duration) {
            (Self::Open { records_per_s }, Some(duration)) => {
                Some((duration.as_secs_f64() * records_per_s) as u64)
            }
            _ => None,
        };
        match (records, by_time) {
            (Some(records), Some(by_time)) => Some(records.min(by_time)),
            (one, other) => one.or(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_an_open_loop_are_due_by_the_records_before_them() {
        let pace = Pace::Open {
            records_per_s: 1_000.0,
        };
        assert_eq!(pace.due(0), Some(Duration::ZERO));
        assert_eq!(pace.due(500), Some(Duration::from_millis(500)));
        assert_eq!(Pace::Closed.due(500), None);
        let two_seconds = Some(Duration::from_secs(2));
        assert_eq!(pace.records_max(None, two_seconds), Some(2_000));
        assert_eq!(pace.records_max(Some(10), two_seconds), Some(10));
        assert_eq!(Pace::Closed.records_max(None, two_seconds), None);
    }
}
