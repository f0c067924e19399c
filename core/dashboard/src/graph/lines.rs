//! Lines, arrows and what is written beside them, as SVG has them; for every drawing that `layout` makes.

use std::fmt::Write;

use serde::Serialize;

use super::layout::Point;

/// Room around the drawing, for strokes and arrows.
pub(crate) const MARGIN: f64 = 12.0;

/// The widths of the thinnest and the thickest line.
const STROKES: (f64, f64) = (1.0, 4.0);

/// What is written beside a line.
#[derive(Debug, Serialize)]
pub(crate) struct Label {
    x: i64,
    y: i64,
    text: String,
}

/// Where labels stand already: their middles and their widths.
pub(crate) type Taken = Vec<(f64, f64, f64)>;

/// A name cut in its middle, since the ends of the names of services tell them apart: `checkout-se…-v2-canary`.
pub(crate) fn middle_cut(name: &str, chars_max: usize) -> String {
    let chars: Vec<char> = name.chars().collect();
    if chars.len() <= chars_max {
        return name.to_owned();
    }
    let tail = (chars_max - 1) / 2;
    let head = chars_max - 1 - tail;
    let start: String = chars.iter().take(head).collect();
    let end: String = chars.iter().skip(chars.len() - tail).collect();
    format!("{start}…{end}")
}

/// A line that is ten times as thick as another would hide the rest: the width grows with the logarithm of the calls.
pub(crate) fn stroke(calls: u64, busiest: u64) -> String {
    let share = (calls.max(1) as f64).ln_1p() / (busiest.max(1) as f64).ln_1p();
    let (thin, thick) = STROKES;
    format!(
        "{:.1}",
        thin + (thick - thin) * share.powi(3).clamp(0.0, 1.0)
    )
}

/// A smooth line through the points, level at each.
pub(crate) fn curve(route: &[Point]) -> String {
    let mut path = String::new();
    let place = |(x, y): Point| ((x + MARGIN).round() as i64, (y + MARGIN).round() as i64);
    let Some(first) = route.first() else {
        return path;
    };
    let (mut x, mut y) = place(*first);
    // Writing to a String cannot fail.
    let _ = write!(path, "M{x} {y}");
    for point in route.iter().skip(1) {
        let (to_x, to_y) = place(*point);
        let (across, down) = (to_x - x, to_y - y);
        let half = across / 2;
        let _ = match down {
            0 => write!(path, "h{across}"),
            _ => write!(path, "c{half} 0 {half} {down} {across} {down}"),
        };
        (x, y) = (to_x, to_y);
    }
    path
}

/// The call of a node of this width to itself: a small loop at its upper right corner.
pub(crate) fn own_loop((x, y): Point, width: f64) -> String {
    let (x, y) = (x + MARGIN + width - 30.0, y + MARGIN);
    format!("M{x} {y}c0 -16 22 -16 22 0")
}

/// A triangle at the end of the route, in the direction that it arrives from.
pub(crate) fn arrow(route: &[Point]) -> String {
    let (Some((x, y)), Some((from, _))) = (route.last(), route.iter().rev().nth(1)) else {
        return String::new();
    };
    let back = if from < x { -8 } else { 8 };
    format!(
        "M{} {}l{back} -4v8z",
        (x + MARGIN).round() as i64,
        (y + MARGIN).round() as i64
    )
}

/// A text beside a line where it touches no other; without such a place there is none.
pub(crate) fn label(text: String, route: &[Point], taken: &mut Taken) -> Option<Label> {
    // The font has about so many units a character.
    let width = text.chars().count() as f64 * 5.8;
    let pairs = || route.iter().zip(route.iter().skip(1));
    let curves: Vec<(&Point, &Point)> = [pairs().next_back(), pairs().next()]
        .into_iter()
        .flatten()
        .collect();
    let places = curves.into_iter().flat_map(|(from, to)| {
        [0.5, 0.38, 0.62, 0.27, 0.73]
            .into_iter()
            .map(|share| on_curve(*from, *to, share))
    });
    for (x, y) in places {
        let touches = |(other_x, other_y, other_width): &(f64, f64, f64)| {
            (x - other_x).abs() < (width + other_width) / 2.0 + 4.0 && (y - other_y).abs() < 13.0
        };
        if !taken.iter().any(touches) {
            taken.push((x, y, width));
            return Some(Label {
                x: (x + MARGIN).round() as i64,
                y: (y + MARGIN).round() as i64,
                text,
            });
        }
    }
    None
}

/// A point of the curve that [`curve`] draws between two points.
fn on_curve((x, y): Point, (to_x, to_y): Point, share: f64) -> Point {
    let rest = 1.0 - share;
    let (two, three) = (
        3.0 * share * rest * rest,
        3.0 * share * share * rest + share * share * share,
    );
    let across = 0.5 * two + 0.5 * 3.0 * share * share * rest + share * share * share;
    (x + (to_x - x) * across, y + (to_y - y) * three)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_keeps_both_ends() {
        assert_eq!(middle_cut("checkout", 21), "checkout");
        let cut = middle_cut("checkout-service-in-europe-v2-canary", 21);
        assert_eq!(cut, "checkout-s…-v2-canary");
        assert_eq!(cut.chars().count(), 21);
    }

    #[test]
    fn a_curve_is_level_at_its_ends_and_its_middle_is_on_it() {
        assert_eq!(
            curve(&[(0.0, 0.0), (100.0, 40.0), (200.0, 40.0)]),
            "M12 12c50 0 50 40 100 40h100"
        );
        assert_eq!(on_curve((0.0, 0.0), (100.0, 40.0), 0.5), (50.0, 20.0));
        assert_eq!(on_curve((0.0, 0.0), (100.0, 40.0), 1.0), (100.0, 40.0));
    }

    #[test]
    fn the_busiest_line_is_the_thickest() {
        assert_eq!(stroke(1_000_000, 1_000_000), "4.0");
        assert_eq!(stroke(0, 0), "4.0");
        assert!(stroke(10, 1_000_000) < stroke(1_000, 1_000_000));
    }

    #[test]
    fn an_arrow_points_the_way_that_the_call_goes() {
        assert_eq!(arrow(&[(0.0, 0.0), (50.0, 10.0)]), "M62 22l-8 -4v8z");
        assert_eq!(arrow(&[(50.0, 0.0), (0.0, 10.0)]), "M12 22l8 -4v8z");
        assert_eq!(arrow(&[]), "");
    }
}
