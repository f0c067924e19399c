//! Lines of values at equal steps: small ones in a table, larger ones with a scale.
//!
//! A line is the `d` of an SVG path in a box that the template stretches: [`STEP`] units for each step, and so many units
//! high as is asked for. Whole units, each step relative to the one before, keep a table of many lines small. A value
//! that is missing is a gap, never a zero.

use std::fmt::Write;

use serde::Serialize;

/// The width of a step, and the height of a small line.
const STEP: usize = 4;
pub(crate) const HEIGHT: i64 = 24;

/// A small line with the area below it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Spark {
    /// The width of its box.
    width: usize,
    /// Empty when there is no value.
    line: String,
    area: String,
}

impl Spark {
    /// From 0 to the greatest value.
    pub(crate) fn new(values: &[Option<f64>]) -> Self {
        let top = values.iter().flatten().copied().fold(0.0, f64::max);
        Self {
            width: width(values),
            line: line(values, top, HEIGHT),
            area: area(values, top),
        }
    }
}

/// The width of the box of a line.
pub(crate) fn width(values: &[Option<f64>]) -> usize {
    values.len() * STEP
}

/// The path of a line in a box of a height; 0 is its bottom, `top` its top.
pub(crate) fn line(values: &[Option<f64>], top: f64, height: i64) -> String {
    let mut path = String::new();
    for run in runs(values) {
        let Some(((first, value), rest)) = run.split_first() else {
            continue;
        };
        let start = y(*value, top, height);
        // Writing to a String cannot fail.
        let _ = write!(path, "M{} {start}", x(*first));
        steps(&mut path, start, rest, top, height);
        if rest.is_empty() {
            // A lone value is a short dash, as a point has no length.
            path.push_str("h1");
        }
    }
    path
}

fn area(values: &[Option<f64>], top: f64) -> String {
    let mut path = String::new();
    for run in runs(values) {
        let (Some(((first, value), rest)), Some((last, _))) = (run.split_first(), run.last())
        else {
            continue;
        };
        let start = y(*value, top, HEIGHT);
        let _ = write!(path, "M{} {HEIGHT}V{start}", x(*first));
        steps(&mut path, start, rest, top, HEIGHT);
        let _ = write!(path, "V{HEIGHT}H{}z", x(*first).min(x(*last)));
    }
    path
}

/// The steps after the first of a run.
fn steps(path: &mut String, start: i64, rest: &[(usize, f64)], top: f64, height: i64) {
    let mut before = start;
    for (at, (_, value)) in rest.iter().enumerate() {
        let own = y(*value, top, height);
        let rise = own - before;
        // A minus needs no space before it.
        let (command, space) = (
            if at == 0 { "l" } else { " " },
            if rise < 0 { "" } else { " " },
        );
        let _ = write!(path, "{command}{STEP}{space}{rise}");
        before = own;
    }
}

/// Neighbouring steps that have a value.
fn runs(values: &[Option<f64>]) -> Vec<Vec<(usize, f64)>> {
    let mut runs = Vec::new();
    let mut run = Vec::new();
    for (step, value) in values.iter().enumerate() {
        match value {
            Some(value) => run.push((step, *value)),
            None if run.is_empty() => {}
            None => runs.push(std::mem::take(&mut run)),
        }
    }
    if !run.is_empty() {
        runs.push(run);
    }
    runs
}

/// The middle of a step.
fn x(step: usize) -> usize {
    step * STEP + STEP / 2
}

/// A unit of room is left at the top, so that a stroke is not cut.
fn y(value: f64, top: f64, height: i64) -> i64 {
    let share = if top > 0.0 {
        (value / top).clamp(0.0, 1.0)
    } else {
        0.0
    };
    // What is no number rounds to 0.
    height - (share * (height - 1) as f64).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_from_step_to_step_and_skips_what_is_missing() {
        let spark = Spark::new(&[Some(0.0), Some(2.0), Some(1.0), None, Some(1.0)]);
        assert_eq!(spark.line, "M2 24l4-23 4 11M18 12h1");
        assert_eq!(spark.area, "M2 24V24l4-23 4 11V24H2zM18 24V12V24H18z");
        assert_eq!(spark.width, 20);
    }

    #[test]
    fn no_value_is_no_line() {
        assert_eq!(Spark::new(&[]), Spark::default());
        assert_eq!(Spark::new(&[None, None]).line, "");
    }

    #[test]
    fn values_that_are_no_numbers_stay_in_the_box() {
        let line = line(&[Some(f64::NAN), Some(f64::INFINITY), Some(-1.0)], 1.0, 24);
        assert_eq!(line, "M2 24l4-23 4 23");
    }
}
