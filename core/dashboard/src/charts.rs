//! Charts as shapes in percent of their width and height; templates write them as SVG.
//!
//! Percentages let one SVG fit every width without a script and without distorting text or dots.

pub(crate) mod heat;
pub(crate) mod histogram;
pub(crate) mod lines;
pub(crate) mod scatter;
pub(crate) mod spark;
pub(crate) mod ticks;
pub(crate) mod trend;

/// A share of a whole in percent, with enough digits for a wide screen.
pub(crate) fn percent(part: f64, whole: f64) -> String {
    let share = if whole > 0.0 {
        (100.0 * part / whole).clamp(0.0, 100.0)
    } else {
        0.0
    };
    let text = format!("{share:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    text.to_owned()
}

/// Where a time lies between two others, in percent.
pub(crate) fn position(time: u64, start: u64, end: u64) -> String {
    percent(
        time.saturating_sub(start) as f64,
        end.saturating_sub(start) as f64,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_stay_within_the_chart() {
        assert_eq!(position(5, 0, 10), "50");
        assert_eq!(position(1, 0, 3), "33.33");
        assert_eq!(position(0, 5, 10), "0");
        assert_eq!(position(20, 5, 10), "100");
        assert_eq!(position(5, 5, 5), "0");
    }
}
