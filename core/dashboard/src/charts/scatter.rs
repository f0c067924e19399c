//! Durations over time, a dot for each trace; the scale of the durations is logarithmic.

use serde::Serialize;

use super::{percent, position, ticks};
use crate::{clock::Moment, units};

/// Parts of the time that lead to what lies in them.
const BANDS_MAX: u64 = 12;

/// A trace to draw.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub(crate) time: u64,
    pub(crate) duration: u64,
    pub(crate) error: bool,
    pub(crate) colour: usize,
    pub(crate) title: String,
    pub(crate) href: String,
}

/// A scatter plot, ready to be written.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Scatter {
    dots: Vec<Dot>,
    ticks: Vec<ticks::TimeTick>,
    levels: Vec<Level>,
    bands: Vec<Band>,
    /// Its ends for the script with which a part of it can be chosen: times in milliseconds since 1970, durations as
    /// powers of ten in nanoseconds.
    start_ms: u64,
    end_ms: u64,
    low: u32,
    high: u32,
}

/// A stretch of time between two marks, which leads to what lies in it.
#[derive(Clone, Debug, Serialize)]
struct Band {
    x: String,
    width: String,
    from: Moment,
    to: Moment,
    href: String,
}

/// Where parts of the chart lead.
pub(crate) trait Leads {
    /// To the traces that start between two times.
    fn between(&self, from: u64, to: u64) -> String;
    /// To the traces of a duration and longer.
    fn at_least(&self, nanos: u64) -> String;
}

#[derive(Clone, Debug, Serialize)]
struct Dot {
    x: String,
    y: String,
    error: bool,
    colour: usize,
    title: String,
    href: String,
}

/// A line at a round duration.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Level {
    y: String,
    label: String,
    /// Empty where it leads nowhere.
    href: String,
}

/// The shortest and the longest duration of the scale; both ends are powers of ten, and the ends differ.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    low: u32,
    high: u32,
}

impl Scatter {
    /// Between the first and the last of the points.
    pub(crate) fn new(points: Vec<Point>, leads: &impl Leads) -> Option<Self> {
        let start = points.iter().map(|point| point.time).min()?;
        let end = points.iter().map(|point| point.time).max()?;
        // A little room, so that no dot stands on the edge.
        let room = (end - start) / 50 + 1_000_000;
        let (start, end) = (start.saturating_sub(room), end.saturating_add(room));
        let scale = Scale::new(points.iter().map(|point| point.duration));
        let mut points = points;
        // Errors are drawn last, above the others.
        points.sort_by_key(|point| point.error);
        let dots = points
            .into_iter()
            .map(|point| Dot {
                x: position(point.time, start, end),
                y: scale.y(point.duration),
                error: point.error,
                colour: point.colour,
                title: point.title,
                href: point.href,
            })
            .collect();
        let mut levels = scale.levels();
        for (level, nanos) in levels.iter_mut().zip(scale.level_nanos()) {
            level.href = leads.at_least(nanos);
        }
        Some(Self {
            dots,
            ticks: ticks::times(start, end),
            levels,
            bands: bands(start, end, leads),
            start_ms: start / 1_000_000,
            end_ms: end.div_ceil(1_000_000),
            low: scale.low,
            high: scale.high,
        })
    }
}

impl Scale {
    pub(super) fn new(durations: impl Iterator<Item = u64> + Clone) -> Self {
        // A microsecond is short enough to stand at the bottom.
        let low = durations.clone().min().unwrap_or(0).max(1_000).ilog10();
        let high = durations.max().unwrap_or(0).max(1_000).ilog10() + 1;
        Self { low, high }
    }

    fn y(self, duration: u64) -> String {
        percent(1.0 - self.share(duration), 1.0)
    }

    /// How high a duration stands, from 0 to 1.
    pub(super) fn share(self, duration: u64) -> f64 {
        let exponent = (duration.max(1) as f64).log10();
        (exponent - f64::from(self.low)) / f64::from(self.high - self.low)
    }

    pub(super) fn levels(self) -> Vec<Level> {
        self.level_nanos()
            .map(|nanos| Level {
                y: self.y(nanos),
                label: units::duration(nanos),
                href: String::new(),
            })
            .collect()
    }

    fn level_nanos(self) -> impl Iterator<Item = u64> {
        let step = ((self.high - self.low) / 4).max(1);
        (self.low..=self.high)
            .rev()
            .step_by(step as usize)
            .map(|exponent| 10_u64.checked_pow(exponent).unwrap_or(u64::MAX))
    }
}

/// The chart in a dozen parts at most, at round times.
fn bands(start: u64, end: u64, leads: &impl Leads) -> Vec<Band> {
    let step = ticks::step(end.saturating_sub(start), BANDS_MAX - 1);
    std::iter::successors(Some(start / step * step), |from| from.checked_add(step))
        .take_while(|from| *from < end)
        .take(BANDS_MAX as usize)
        .map(|from| {
            let to = from.saturating_add(step);
            let (left, right) = (from.max(start), to.min(end));
            Band {
                x: position(left, start, end),
                width: percent((right - left) as f64, (end - start) as f64),
                from: Moment::new(from),
                to: Moment::new(to),
                href: leads.between(from, to),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Nowhere;

    impl Leads for Nowhere {
        fn between(&self, from: u64, to: u64) -> String {
            format!("{from}-{to}")
        }

        fn at_least(&self, nanos: u64) -> String {
            nanos.to_string()
        }
    }

    #[test]
    fn a_part_of_the_chart_leads_to_what_lies_in_it() {
        let point = |time, duration| Point {
            time,
            duration,
            error: false,
            colour: 0,
            title: String::new(),
            href: String::new(),
        };
        let minute = units::MINUTE;
        let points = vec![point(10 * minute, 1_000_000), point(20 * minute, 9_000_000)];
        let chart = Scatter::new(points, &Nowhere).unwrap();
        assert!(chart.bands.len() <= BANDS_MAX as usize);
        let (from, to) = chart.bands[1].href.split_once('-').unwrap();
        assert_eq!(
            (from.parse(), to.parse()),
            (Ok(10 * minute), Ok(11 * minute))
        );
        assert_eq!(chart.levels[0].href, "10000000");
    }

    proptest! {
        #[test]
        fn every_trace_is_a_dot_within_the_chart(
            points in prop::collection::vec((any::<u64>(), any::<u64>(), any::<bool>()), 1..20),
        ) {
            let count = points.len();
            let points = points
                .into_iter()
                .map(|(time, duration, error)| Point { time, duration, error, colour: 0, title: String::new(), href: String::new() })
                .collect();
            let chart = Scatter::new(points, &Nowhere).unwrap();
            prop_assert_eq!(chart.dots.len(), count);
            for dot in &chart.dots {
                for place in [&dot.x, &dot.y] {
                    let place: f64 = place.parse().unwrap();
                    prop_assert!((0.0..=100.0).contains(&place));
                }
            }
            prop_assert!(chart.levels.len() <= 8);
        }
    }
}
