//! The ledger of a run: what was acked, in a file of bounded size, for `log-tracer bench verify`. Totals are exact; of
//! the traces it holds a sample, chosen by their ids and not by their fate.

use std::{collections::BTreeMap, fs, io, path::Path};

use serde::{Deserialize, Serialize};

use super::load::tally::{Counts, SampledTrace, SignalCounts};
use crate::workload::encoded::{order_of, trace_id_of};

/// The layout of the file.
const VERSION: u32 = 1;

/// What was acked in a run. JSON in the file; a field that is not known is refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// Of the layout, 1.
    pub version: u32,
    /// The value of the resource attribute `load.run` that every record carries.
    pub run: String,
    /// With which the run can be sent again.
    pub seed: u64,
    /// The earliest and the latest start of a trace, nanoseconds since 1970-01-01T00:00:00Z.
    pub first_unix_nano: u64,
    /// See `first_unix_nano`.
    pub last_unix_nano: u64,
    /// Of all spans that were acked.
    pub spans: Total,
    /// Of all log records that were acked.
    pub logs: Total,
    /// A sample of the traces.
    pub traces: Vec<Trace>,
}

/// Counts of one kind of record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Total {
    /// Records that were acked.
    pub acked: u64,
    /// Records of requests of which nobody knows whether they were taken: so many may be there beyond those acked.
    pub unknown: u64,
    /// The acked ones by `service.name`.
    pub by_service: BTreeMap<String, u64>,
}

/// A trace of the sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trace {
    /// 32 hexadecimal digits.
    pub id: String,
    /// Where its start lies, nanoseconds since 1970-01-01T00:00:00Z.
    pub start_unix_nano: u64,
    /// Spans that were acked.
    pub spans: u64,
    /// Log records that were acked.
    pub logs: u64,
    /// Records of which nobody knows.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unknown: u64,
    /// A word that no other trace has, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub word: Option<Word>,
}

/// A rare word.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Word {
    /// As a query in quotes finds it.
    pub text: String,
    /// Acked log records that hold it.
    pub logs: u64,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands a reference over"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Why a ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file cannot be read or written.
    #[error("the ledger {path}: {source}")]
    Io {
        /// Which file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It holds something else.
    #[error("{path} is not a ledger of `log-tracer bench load --verify-file`: {reason}")]
    Unreadable {
        /// Which file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Ledger {
    pub(super) fn new<'a>(
        run: String,
        seed: u64,
        counts: &Counts,
        sample: impl Iterator<Item = &'a SampledTrace>,
    ) -> Self {
        let (first_unix_nano, last_unix_nano) = counts.starts.unwrap_or_default();
        Self {
            version: VERSION,
            run,
            seed,
            first_unix_nano,
            last_unix_nano,
            spans: Total::of(&counts.spans),
            logs: Total::of(&counts.logs),
            traces: sample.map(Trace::of).collect(),
        }
    }

    /// Reads a ledger.
    ///
    /// # Errors
    /// When there is no such file, or it holds something else.
    pub fn read(path: &Path) -> Result<Self, LedgerError> {
        let shown = || path.display().to_string();
        let text = fs::read(path).map_err(|source| LedgerError::Io {
            path: shown(),
            source,
        })?;
        let unreadable = |reason| LedgerError::Unreadable {
            path: shown(),
            reason,
        };
        let ledger: Self =
            serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?;
        if ledger.version != VERSION {
            return Err(unreadable(format!(
                "its version is {}, not {VERSION}",
                ledger.version
            )));
        }
        Ok(ledger)
    }

    /// Writes it, over a file that is there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), LedgerError> {
        let failed = |source| LedgerError::Io {
            path: path.display().to_string(),
            source,
        };
        let text = serde_json::to_vec(self).map_err(|error| failed(io::Error::from(error)))?;
        fs::write(path, text).map_err(failed)
    }
}

impl Total {
    fn of(counts: &SignalCounts) -> Self {
        let by_service = counts.by_service.iter();
        Self {
            acked: counts.acked,
            unknown: counts.unknown,
            by_service: by_service
                .map(|(service, count)| (service.name().to_owned(), *count))
                .collect(),
        }
    }
}

impl Trace {
    fn of(sampled: &SampledTrace) -> Self {
        Self {
            id: format!("{:032x}", u128::from_be_bytes(trace_id_of(sampled.key))),
            start_unix_nano: sampled.start_unix_nano,
            spans: sampled.spans,
            logs: sampled.logs,
            unknown: sampled.unknown,
            word: (sampled.order_logs > 0).then(|| Word {
                text: order_of(sampled.key),
                logs: sampled.order_logs,
            }),
        }
    }
}
