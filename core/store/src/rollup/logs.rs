//! Log records as they are counted: by minute, service and level.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use log_tracer_sketch::BitWriter;

use super::{
    Settings,
    cells::{END, minute_of},
    names::{Names, OTHER, Texts},
    section::{Head, SectionWriter, Series, Table},
};
use crate::{
    block::{Picked, Storable},
    chunk::{Chunk, LogChunk},
};

/// Log records that are counted.
#[derive(Debug)]
pub(crate) struct LogRollup {
    settings: Settings,
    services: Texts,
    series: Names<Series>,
    counts: HashMap<(u32, u32), u64>,
}

/// The number of a service that is not known yet.
const UNKNOWN: u32 = u32::MAX - 1;

impl LogRollup {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            services: Texts::default(),
            series: Names::default(),
            counts: HashMap::new(),
        }
    }

    /// Counts rows.
    pub(crate) fn add(&mut self, picked: Picked<'_, LogChunk>) {
        let mut known: Vec<Vec<u32>> = vec![Vec::new(); picked.chunks.len()];
        // Neighbours are mostly counted together.
        let mut run = ((OTHER, 0, 0), 0);
        for place in picked.places {
            let number = place.chunk as usize;
            if let (Some(chunk), Some(known)) = (picked.chunks.get(number), known.get_mut(number)) {
                let row = place.row as usize;
                if known.is_empty() {
                    *known = vec![UNKNOWN; chunk.resources.all().len()];
                }
                let service = self.service(chunk, row, known);
                let level = LogChunk::level_of(chunk.grade(row)) as u8;
                let key = (service, level, minute_of(chunk.time(row)));
                if run.0 == key {
                    run.1 += 1;
                } else {
                    let ended = std::mem::replace(&mut run, (key, 1));
                    self.count(ended);
                }
            }
        }
        self.count(run);
    }

    fn service(&mut self, chunk: &LogChunk, row: usize, known: &mut [u32]) -> u32 {
        let Some(known) = known.get_mut(chunk.resources.number(row)) else {
            return OTHER;
        };
        if *known == UNKNOWN {
            let max = self.settings.series_max;
            *known = self.services.number(chunk.service(row), max);
        }
        *known
    }

    fn count(&mut self, ((service, level, minute), count): ((u32, u8, u32), u64)) {
        if count > 0 {
            let series = self.series.number_of(
                Series {
                    service,
                    name: OTHER,
                    kind: 0,
                    level,
                },
                OTHER,
            );
            *self.counts.entry((minute, series)).or_default() += count;
        }
    }

    /// The section of the index.
    pub(crate) fn finish(self) -> Vec<u8> {
        let counts: BTreeMap<(u32, u32), u64> = self.counts.into_iter().collect();
        let counts: Vec<((u32, u32), u64)> = counts.into_iter().collect();
        let mut section = SectionWriter::new(Head {
            table: Table::Logs,
            settings: self.settings,
            services: self.services.into_all(),
            names: Vec::new(),
            peers: Vec::new(),
            series: self.series.into_all(),
            edges: Vec::new(),
            unlisted: (0, 0),
            parts: Vec::new(),
            links: Default::default(),
        });
        for minute in counts.chunk_by(|((a, _), _), ((b, _), _)| a == b) {
            let mut bits = BitWriter::default();
            let mut next = 0;
            for ((_, series), count) in minute {
                bits.put_gamma(u64::from(series - next) + 1);
                bits.put_gamma(*count);
                next = series + 1;
            }
            bits.put_gamma(END);
            let number = minute.first().map_or(0, |((minute, _), _)| *minute);
            section.add(number, &bits.finish(), &[]);
        }
        section.finish(&[])
    }
}
