//! Durations over time as lines, such as quantiles; the scale is logarithmic, as in the scatter plot.

use serde::Serialize;

use super::{
    scatter::{Level, Scale},
    spark, ticks,
};
use crate::units;

/// The height of the box that the lines are drawn in, in units of their paths.
const HEIGHT: i64 = 400;

/// A chart, ready to be written.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Lines {
    width: usize,
    height: i64,
    lines: Vec<Line>,
    levels: Vec<Level>,
    ticks: Vec<ticks::TimeTick>,
    /// Read out in place of the picture.
    summary: String,
}

#[derive(Clone, Debug, Serialize)]
struct Line {
    name: &'static str,
    path: String,
}

impl Lines {
    /// Of named values in nanoseconds, at equal steps from the start to the end of `bounds`; none when there is no value.
    pub(crate) fn new(
        named: &[(&'static str, Vec<Option<f64>>)],
        bounds: (u64, u64),
    ) -> Option<Self> {
        let all = || named.iter().flat_map(|(_, values)| values.iter().flatten());
        let greatest = all().copied().reduce(f64::max)?;
        let scale = Scale::new(all().map(|value| *value as u64));
        let lines = named
            .iter()
            .map(|(name, values)| {
                let shares: Vec<Option<f64>> = values
                    .iter()
                    .map(|value| value.map(|value| scale.share(value as u64)))
                    .collect();
                Line {
                    name,
                    path: spark::line(&shares, 1.0, HEIGHT),
                }
            })
            .collect();
        let names: Vec<&str> = named.iter().map(|(name, _)| *name).collect();
        Some(Self {
            width: named.first().map_or(0, |(_, values)| spark::width(values)),
            height: HEIGHT,
            lines,
            levels: scale.levels(),
            ticks: ticks::times(bounds.0, bounds.1),
            summary: format!(
                "{} over time, at most {}",
                names.join(", "),
                units::duration(greatest as u64)
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slower_line_is_above_the_faster() {
        let lines = Lines::new(
            &[
                ("p50", vec![Some(1e6), None]),
                ("p99", vec![Some(1e8), Some(1e9)]),
            ],
            (0, 10),
        )
        .unwrap();
        let height = |at: usize| -> i64 {
            let path = &lines.lines[at].path;
            let rest = path.split(' ').nth(1).unwrap();
            rest.split(['l', 'h']).next().unwrap().parse().unwrap()
        };
        assert!(height(1) < height(0), "{lines:?}");
        assert!(lines.summary.ends_with("at most 1 s"));
        assert!(Lines::new(&[("p50", vec![None])], (0, 10)).is_none());
    }
}
