//! Durations over time, a dot for each trace; the scale of the durations is logarithmic.

use serde::Serialize;

use super::{percent, position, ticks};
use crate::units;

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
}

/// The shortest and the longest duration of the scale; both ends are powers of ten, and the ends differ.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    low: u32,
    high: u32,
}

impl Scatter {
    /// Between the first and the last of the points.
    pub(crate) fn new(points: Vec<Point>) -> Option<Self> {
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
        Some(Self {
            dots,
            ticks: ticks::times(start, end),
            levels: scale.levels(),
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
        let step = ((self.high - self.low) / 4).max(1);
        (self.low..=self.high)
            .rev()
            .step_by(step as usize)
            .map(|exponent| {
                let nanos = 10_u64.checked_pow(exponent).unwrap_or(u64::MAX);
                Level {
                    y: self.y(nanos),
                    label: units::duration(nanos),
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
            let chart = Scatter::new(points).unwrap();
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
