//! Values over time as lines from 0 on, with a scale that people can read.

use serde::Serialize;

use super::{percent, spark, ticks};

/// The height of the box that the lines are drawn in, in units of their paths.
const HEIGHT: i64 = 400;

/// Where a mark of the time may stand, in percent: charts stand side by side, and half of its text is beside the mark.
const INNER: std::ops::RangeInclusive<f64> = 8.0..=92.0;

/// A chart, ready to be written.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Trend {
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
    name: String,
    /// The class that has the colour.
    class: String,
    path: String,
    /// The last value, or a dash.
    now: String,
}

/// A line across the chart.
#[derive(Clone, Debug, Serialize)]
struct Level {
    /// In percent from the top.
    y: String,
    label: String,
}

/// What one line shows.
#[derive(Clone, Debug)]
pub(crate) struct Values {
    pub(crate) name: String,
    pub(crate) class: String,
    /// At equal steps; a missing one is a gap.
    pub(crate) values: Vec<Option<f64>>,
}

impl Trend {
    /// None when there is no value. `bounds` is the time of the first and of the last value; `words` writes a value, and
    /// `what` says what all of them are.
    pub(crate) fn new(
        what: &str,
        lines: &[Values],
        bounds: (u64, u64),
        (scale, words): (Scale, impl Fn(f64) -> String),
    ) -> Option<Self> {
        let all = lines.iter().flat_map(|line| line.values.iter().flatten());
        let greatest = all.copied().reduce(f64::max)?;
        let top = scale.top(greatest);
        let shown: Vec<Line> = lines
            .iter()
            .map(|line| Line {
                name: line.name.clone(),
                class: line.class.clone(),
                path: spark::line(&line.values, top, HEIGHT),
                now: match line.values.last().copied().flatten() {
                    Some(value) => words(value),
                    None => "–".to_owned(),
                },
            })
            .collect();
        let now: Vec<String> = shown
            .iter()
            .map(|line| format!("{} {}", line.name, line.now))
            .collect();
        let level = |part: f64| Level {
            y: percent(1.0 - part, 1.0),
            label: words(top * part),
        };
        Some(Self {
            width: lines.first().map_or(0, |line| spark::width(&line.values)),
            height: HEIGHT,
            lines: shown,
            levels: vec![level(1.0), level(0.5)],
            ticks: ticks::times(bounds.0, bounds.1)
                .into_iter()
                .filter(|tick| tick.x.parse().is_ok_and(|x| INNER.contains(&x)))
                .collect(),
            summary: format!(
                "{what} over time, at most {}; now {}",
                words(greatest),
                now.join(", ")
            ),
        })
    }
}

/// In which units people count the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    Decimal,
    /// Bytes: KiB, MiB and so on.
    Binary,
}

impl Scale {
    /// The top of a chart whose greatest value is this.
    fn top(self, greatest: f64) -> f64 {
        let mut unit = 1.0;
        while self == Self::Binary && greatest >= 1024.0 * unit && unit < 1e300 {
            unit *= 1024.0;
        }
        unit * nice(greatest / unit)
    }
}

/// The least of 1, 2 and 5 times a power of ten that is not less; at least 1.
fn nice(value: f64) -> f64 {
    let mut power = 1.0_f64;
    while power < value && power < 1e300 {
        for factor in [1.0, 2.0, 5.0] {
            if factor * power >= value {
                return factor * power;
            }
        }
        power *= 10.0;
    }
    power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(values: &[Option<f64>]) -> Values {
        Values {
            name: "all".to_owned(),
            class: "c0".to_owned(),
            values: values.to_vec(),
        }
    }

    #[test]
    fn the_scale_is_one_that_people_can_read() {
        for (value, top) in [
            (0.0, 1.0),
            (0.3, 1.0),
            (1.0, 1.0),
            (3.0, 5.0),
            (60.0, 100.0),
            (1_200.0, 2_000.0),
        ] {
            assert_eq!(nice(value), top, "{value}");
        }
        assert!(nice(f64::MAX) > 0.0, "it ends");
        let mib = 1024.0 * 1024.0;
        assert_eq!(Scale::Binary.top(87.0 * mib), 100.0 * mib);
        assert_eq!(Scale::Binary.top(700.0), 1_000.0);
        assert_eq!(Scale::Decimal.top(87.0 * mib), 100_000_000.0);
        assert!(Scale::Binary.top(f64::MAX) > 0.0, "it ends");
    }

    #[test]
    fn a_chart_says_its_greatest_and_its_last_value() {
        let scale = (Scale::Decimal, |value: f64| format!("{value:.0}"));
        let values = [Some(4.0), None, Some(2.0)];
        let trend = Trend::new("lag", &[line(&values)], (0, 2), scale).unwrap();
        assert_eq!(trend.summary, "lag over time, at most 4; now all 2");
        assert_eq!(trend.levels[0].label, "5");
        assert!(Trend::new("lag", &[line(&[None])], (0, 1), scale).is_none());
    }
}
