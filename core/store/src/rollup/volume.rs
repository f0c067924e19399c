//! How many log records there are, by service and level.

use std::{collections::BTreeMap, sync::Arc};

use log_tracer_sketch::BitReader;

use super::{
    OTHER_NAME, RatesError, RatesSpec, Settings,
    cells::MINUTE_NANO,
    section::Places,
    source::{Minutes, Source, for_each_source},
};
use crate::{
    Coverage, Stop, TimeRange,
    block::{BlockError, Malformed},
    chunk::{Chunk, LogChunk},
    stop::Progress,
    table::Snapshot,
};

/// Log records by service and level.
#[derive(Clone, Debug, PartialEq)]
pub struct LogVolume {
    /// By service, then from the least to the most severe.
    pub series: Vec<VolumeSeries>,
    /// What was asked for, in whole minutes.
    pub range: TimeRange,
    /// The width of a step in nanoseconds; 0 for one step of all.
    pub step_nano: u64,
    /// What was covered.
    pub coverage: Coverage,
}

/// The log records of a service with a level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeSeries {
    /// The service.
    pub service: String,
    /// The range of their severity: "trace", "debug", "info", "warn", "error", "fatal", "unspecified".
    pub level: &'static str,
    /// All of the range.
    pub count: u64,
    /// The start of each step that has any, in order, and how many; empty when there is one step only.
    pub steps: Vec<(u64, u64)>,
}

/// Takes range, step and service of the question.
pub(crate) fn log_volume(
    snapshot: &Snapshot<LogChunk>,
    spec: &RatesSpec,
    settings: Settings,
    answer_bytes_max: u64,
    stop: &Stop,
) -> Result<LogVolume, RatesError> {
    let minutes = spec.check()?;
    let mut progress = Progress::start(stop);
    snapshot.cover(minutes.range(), &mut progress.coverage);
    let mut volume = Volume {
        step_minutes: u32::try_from(spec.step_nano / MINUTE_NANO).unwrap_or(u32::MAX),
        counts: BTreeMap::new(),
        cells: 0,
        cells_max: usize::try_from(answer_bytes_max).unwrap_or(usize::MAX) / CELL_BYTES,
    };
    for_each_source(
        snapshot,
        minutes,
        settings,
        &mut progress,
        |source, progress| volume.add_source(source, minutes, spec, progress),
    );
    let series = volume.counts.into_iter().map(|((service, level), steps)| {
        let has_steps = spec.step_nano > 0;
        VolumeSeries {
            service: service.to_string(),
            level: LogChunk::LEVELS
                .get(usize::from(level))
                .copied()
                .unwrap_or("unspecified"),
            count: steps.values().sum(),
            steps: steps
                .into_iter()
                .filter(|_| has_steps)
                .map(|(step, count)| (u64::from(step) * spec.step_nano, count))
                .collect(),
        }
    });
    let series: Vec<VolumeSeries> = series.collect();
    progress.coverage.matched = series.iter().map(|one| one.count).sum();
    Ok(LogVolume {
        series,
        range: minutes.range(),
        step_nano: spec.step_nano,
        coverage: progress.finish(),
    })
}

/// What a count takes in its tree, with its part of the series.
const CELL_BYTES: usize = 64;

struct Volume {
    step_minutes: u32,
    counts: BTreeMap<(Arc<str>, u8), BTreeMap<u32, u64>>,
    cells: usize,
    cells_max: usize,
}

impl Volume {
    fn add_source(
        &mut self,
        source: &Source<'_, LogChunk>,
        minutes: Minutes,
        spec: &RatesSpec,
        progress: &mut Progress<'_>,
    ) -> Result<bool, BlockError> {
        for part in source.parts(minutes) {
            if !progress.look() {
                return Ok(false);
            }
            let (bytes, _) = source.read(part)?;
            let step = part.minute.checked_div(self.step_minutes).unwrap_or(0);
            self.add_part(source, &bytes, step, spec)
                .map_err(|reason| source.corrupt(reason))?;
            if self.cells > self.cells_max {
                progress
                    .coverage
                    .miss("the series and steps take more bytes than an answer may: ask for fewer");
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn add_part(
        &mut self,
        source: &Source<'_, LogChunk>,
        bytes: &[u8],
        step: u32,
        spec: &RatesSpec,
    ) -> Result<(), Malformed> {
        let head = source.head();
        let (mut bits, mut places) = (BitReader::new(bytes), Places::default());
        while let Some(number) = places.next(bits.take_gamma()?)? {
            let count = bits.take_gamma()?;
            let series = head.series.get(number as usize);
            let series = series.ok_or_else(|| Malformed::new("a cell is of no series"))?;
            let service = head.services.get(series.service as usize);
            let service = service.map_or_else(|| OTHER_NAME.into(), Arc::clone);
            if spec
                .service
                .as_ref()
                .is_some_and(|wanted| **wanted != *service)
            {
                continue;
            }
            let steps = self.counts.entry((service, series.level)).or_default();
            let cell = steps.entry(step).or_insert_with(|| {
                self.cells += 1;
                0
            });
            *cell = cell.saturating_add(count);
        }
        Ok(bits.check()?)
    }
}
