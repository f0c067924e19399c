//! How many spans took how long, minute by minute.

use log_tracer_sketch::{BitReader, Sketch};

use super::{
    Settings,
    cells::MINUTE_NANO,
    rates::ERROR_LEVEL,
    section::{Part, Places},
    source::{Minutes, for_each_source},
};
use crate::{TimeRange, block::Malformed, chunk::SpanChunk, stop::Progress, table::Snapshot};

/// Spans of one minute that are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DurationCount {
    /// When the minute starts.
    pub(crate) minute_unix_nano: u64,
    /// The bucket of a sketch.
    pub(crate) bucket: u16,
    pub(crate) count: u64,
    pub(crate) is_error: bool,
}

/// Hands out all counts of a range of whole minutes. What cannot be read makes the answer partial, and so does a stop.
pub(crate) fn durations(
    snapshot: &Snapshot<SpanChunk>,
    range: TimeRange,
    settings: Settings,
    progress: &mut Progress<'_>,
    mut add: impl FnMut(DurationCount),
) {
    let minutes = Minutes::of(range);
    let settings = Settings {
        with_edges: false,
        ..settings
    };
    let mut scratch = Sketch::default();
    for_each_source(snapshot, minutes, settings, progress, |source, progress| {
        let is_error = |series: u32| {
            let series = source.head().series.get(series as usize);
            series.is_some_and(|series| series.level == ERROR_LEVEL)
        };
        for part in source.parts(minutes) {
            if !progress.look() {
                return Ok(false);
            }
            let (bytes, series) = source.read(part)?;
            let bytes = bytes.get(..series).unwrap_or_default();
            of_part(part, bytes, is_error, &mut scratch, &mut add)
                .map_err(|reason| source.corrupt(reason))?;
        }
        Ok(true)
    });
}

fn of_part(
    part: &Part,
    bytes: &[u8],
    is_error: impl Fn(u32) -> bool,
    scratch: &mut Sketch,
    add: &mut impl FnMut(DurationCount),
) -> Result<(), Malformed> {
    if bytes.is_empty() {
        return Ok(());
    }
    let minute_unix_nano = u64::from(part.minute).saturating_mul(MINUTE_NANO);
    let (mut bits, mut places) = (BitReader::new(bytes), Places::default());
    while let Some(series) = places.next(bits.take_gamma()?)? {
        scratch.clear();
        scratch.merge_encoded(&mut bits)?;
        let is_error = is_error(series);
        for (bucket, count) in scratch.buckets() {
            add(DurationCount {
                minute_unix_nano,
                bucket,
                count,
                is_error,
            });
        }
    }
    Ok(())
}
