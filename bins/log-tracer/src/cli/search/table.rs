//! Columns for a terminal.

use std::fmt::Write;

use crate::text;

/// A table; the columns from the `texts`th on are numbers, which stand to the right.
pub(super) fn table(texts: usize, head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize, title: &str| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let widths = cells.map(|cell| cell.chars().count());
        widths.chain([title.chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = head
        .iter()
        .enumerate()
        .map(|(column, title)| width(column, title))
        .collect();
    let line = |cells: Vec<&str>| {
        let mut line = String::new();
        for (column, (cell, width)) in cells.iter().zip(&widths).enumerate() {
            // A write to a string cannot fail.
            let _ = match column < texts {
                true => write!(line, "{cell:<width$}  "),
                false => write!(line, "{cell:>width$}  "),
            };
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        line
    };
    let rows = rows
        .iter()
        .map(|row| row.iter().map(String::as_str).collect());
    std::iter::once(head.to_vec())
        .chain(rows)
        .map(line)
        .collect()
}

/// So many a second, with as many digits as tell something.
pub(super) fn rate(count: u64, seconds: f64) -> String {
    let rate = count as f64 / seconds.max(1e-9);
    match rate {
        100.0.. => format!("{rate:.0}"),
        10.0.. => format!("{rate:.1}"),
        1.0.. => format!("{rate:.2}"),
        _ => format!("{rate:.4}"),
    }
}

/// A part of all in percent.
pub(super) fn share(part: u64, all: u64) -> String {
    match part {
        0 => "0 %".to_owned(),
        _ => format!("{:.2} %", 100.0 * part as f64 / all.max(1) as f64),
    }
}

/// The quantiles that are shown.
pub(super) const QUANTILES: [f64; 3] = [0.5, 0.95, 0.99];

pub(super) fn durations(nanos: &[u64]) -> impl Iterator<Item = String> {
    nanos.iter().map(|nano| text::duration(*nano))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stand_to_the_left_and_numbers_to_the_right() {
        let rows = [
            vec!["cart".to_owned(), "12".to_owned()],
            vec!["ä".to_owned(), "7".to_owned()],
        ];
        assert_eq!(
            table(1, &["service", "n"], &rows),
            "service   n\ncart     12\nä         7\n"
        );
    }

    #[test]
    fn rates_and_shares_have_digits_that_tell_something() {
        assert_eq!(rate(3_600_000, 3600.0), "1000");
        assert_eq!(rate(5, 2.0), "2.50");
        assert_eq!(rate(1, 3600.0), "0.0003");
        assert_eq!(share(1, 8), "12.50 %");
        assert_eq!(share(0, 0), "0 %");
    }
}
