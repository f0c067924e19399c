//! Draws curves: a panel for each figure, lines over a logarithmic axis, numbers at both ends. No script and no style
//! sheet from elsewhere; readable on a light and on a dark page.

use std::fmt::Write;

use super::{Against, Curve, CurvesReport, Point};

const PANEL_WIDTH: f64 = 380.0;
const PANEL_HEIGHT: f64 = 250.0;
/// Room for the numbers beside the lines.
const LEFT: f64 = 54.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 40.0;
const COLUMNS: usize = 2;
const COLOURS: [&str; 16] = [
    "#3b82c4", "#d9822b", "#2f9e6e", "#b5489a", "#8a63d2", "#c4453b", "#6b8e23", "#5f7c8a",
    "#1f4e79", "#8a4b08", "#14523a", "#d48ac6", "#4b2e83", "#f08a80", "#a9c75b", "#9fb6c2",
];

/// A panel: lines with a name each.
struct Panel {
    title: String,
    x_title: &'static str,
    is_log_y: bool,
    lines: Vec<(String, Vec<(f64, f64)>)>,
}

/// The picture.
pub(super) fn draw(report: &CurvesReport) -> String {
    let panels: Vec<Panel> = report.curves.iter().flat_map(panels_of).collect();
    let mut places = Vec::new();
    let mut next = 0_usize;
    for panel in &panels {
        // The names of the lines stand in the place beside them.
        let (columns, from) = match panel.is_named() {
            true => (COLUMNS, next.next_multiple_of(COLUMNS)),
            false => (1, next),
        };
        places.push(from);
        next = from + columns;
    }
    let rows = next.div_ceil(COLUMNS).max(1);
    let (width, height) = (PANEL_WIDTH * COLUMNS as f64, PANEL_HEIGHT * rows as f64);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"system-ui, sans-serif\" font-size=\"11\" fill=\"#777\">\n"
    );
    for (panel, index) in panels.iter().zip(places) {
        let x = PANEL_WIDTH * (index % COLUMNS) as f64;
        let y = PANEL_HEIGHT * (index / COLUMNS) as f64;
        // Writing to a String cannot fail.
        write!(svg, "<g transform=\"translate({x} {y})\">").ok();
        panel.draw(&mut svg);
        svg.push_str("</g>\n");
    }
    svg.push_str("</svg>\n");
    svg
}

fn panels_of(curve: &Curve) -> Vec<Panel> {
    let line = |value: &dyn Fn(&Point) -> Option<f64>| {
        let points = curve.points.iter();
        points
            .filter_map(|point| Some((point.x as f64, value(point)?)))
            .collect::<Vec<_>>()
    };
    let panel = |title: &str, lines| Panel {
        title: title.to_owned(),
        x_title: curve.against.title(),
        is_log_y: false,
        lines,
    };
    let cpu = line(&|point| point.ingest.cpu_s_per_million);
    let resident = line(&|point| Some(point.resident_bytes? as f64 / f64::from(1 << 20)));
    let mut panels = vec![
        panel("CPU seconds a million records", vec![(String::new(), cpu)]),
        panel("resident memory, MiB", vec![(String::new(), resident)]),
    ];
    if curve.against == Against::Stored {
        let names = curve.points.first().map(|point| point.queries.as_slice());
        let names = names.unwrap_or_default().iter().map(|query| &query.name);
        let of = |name: &String, value: fn(&super::Query) -> Option<f64>| {
            let values = line(&|point| {
                let mut queries = point.queries.iter();
                value(queries.find(|query| query.name == *name)?)
            });
            (name.clone(), values)
        };
        let cpu = names.clone().map(|name| of(name, |query| query.cpu_ms));
        let latency = names.map(|name| of(name, |query| Some(query.latency.p50_ms)));
        for (title, lines) in [
            ("CPU of an answer, ms", cpu.collect()),
            ("time until an answer, p50, ms", latency.collect()),
        ] {
            panels.push(Panel {
                is_log_y: true,
                ..panel(title, lines)
            });
        }
    }
    panels
}

/// From a value to a place between 0 and 1.
struct Scale {
    low: f64,
    high: f64,
    is_log: bool,
}

impl Scale {
    fn new(values: impl Iterator<Item = f64> + Clone, is_log: bool) -> Self {
        let high = values.clone().fold(0.0, f64::max);
        if !is_log {
            let high = if high > 0.0 { high * 1.08 } else { 1.0 };
            return Self {
                low: 0.0,
                high,
                is_log,
            };
        }
        // Below a hundredth of a millisecond, or of a record, nothing is told apart.
        let low = values
            .fold(f64::INFINITY, f64::min)
            .clamp(0.01, 1e15)
            .log10();
        let high = high.max(0.01).log10();
        let room = if high > low { 0.0 } else { 0.5 };
        Self {
            low: low - room,
            high: high + room,
            is_log,
        }
    }

    fn place(&self, value: f64) -> f64 {
        let value = if self.is_log {
            value.max(0.01).log10()
        } else {
            value
        };
        (value - self.low) / (self.high - self.low)
    }

    fn value(&self, place: f64) -> f64 {
        let value = self.low + (self.high - self.low) * place;
        if self.is_log {
            10_f64.powf(value)
        } else {
            value
        }
    }
}

impl Panel {
    fn is_named(&self) -> bool {
        self.lines.iter().any(|(name, _)| !name.is_empty())
    }

    fn draw(&self, svg: &mut String) {
        let all = || self.lines.iter().flat_map(|(_, points)| points);
        let xs = Scale::new(all().map(|(x, _)| *x), true);
        let ys = Scale::new(all().map(|(_, y)| *y), self.is_log_y);
        let (width, height) = (PANEL_WIDTH - LEFT - RIGHT, PANEL_HEIGHT - TOP - BOTTOM);
        let x = |value: f64| LEFT + xs.place(value) * width;
        let y = |value: f64| TOP + (1.0 - ys.place(value)) * height;
        write!(
            svg,
            "<text x=\"{LEFT}\" y=\"18\" font-size=\"13\" font-weight=\"600\">{}</text>",
            escaped(&self.title)
        )
        .ok();
        for step in 0..=4 {
            let value = ys.value(f64::from(step) / 4.0);
            let (at, right) = (y(value), PANEL_WIDTH - RIGHT);
            write!(
                svg,
                "<line x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#8884\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 6.0,
                at + 4.0,
                short(value)
            )
            .ok();
        }
        let mut ticks: Vec<f64> = all().map(|(x, _)| *x).collect();
        ticks.sort_by(f64::total_cmp);
        ticks.dedup();
        for tick in ticks {
            write!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                x(tick),
                TOP + height + 15.0,
                short(tick)
            )
            .ok();
        }
        write!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            LEFT + width / 2.0,
            TOP + height + 31.0,
            self.x_title
        )
        .ok();
        for ((name, points), colour) in self.lines.iter().zip(COLOURS.iter().cycle()) {
            let places: Vec<String> = points
                .iter()
                .map(|(px, py)| format!("{:.1},{:.1}", x(*px), y(*py)))
                .collect();
            write!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.8\"><title>{}</title></polyline>",
                places.join(" "),
                escaped(name)
            )
            .ok();
            for (px, py) in points {
                write!(
                    svg,
                    "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"><title>{} {}: {}</title></circle>",
                    x(*px),
                    y(*py),
                    escaped(name),
                    short(*px),
                    short(*py)
                )
                .ok();
            }
        }
        self.draw_names(svg);
    }

    fn draw_names(&self, svg: &mut String) {
        let named = self.lines.iter().filter(|(name, _)| !name.is_empty());
        for (index, ((name, _), colour)) in named.zip(COLOURS.iter().cycle()).enumerate() {
            let y = TOP + 14.0 * index as f64;
            write!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\" fill=\"{colour}\"/><text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                PANEL_WIDTH + 10.0,
                y - 4.0,
                PANEL_WIDTH + 20.0,
                y,
                escaped(name)
            )
            .ok();
        }
    }
}

/// `1.5k`, `10M`, `0.25`.
fn short(value: f64) -> String {
    let (value, unit) = match value {
        value if value >= 1e6 => (value / 1e6, "M"),
        value if value >= 1e3 => (value / 1e3, "k"),
        value => (value, ""),
    };
    let digits = match value {
        value if value >= 100.0 => 0,
        value if value >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    let text = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => &text,
    };
    format!("{text}{unit}")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(short(50e6), "50M");
        assert_eq!(short(1_536.0), "1.54k");
        assert_eq!(short(0.25), "0.25");
        assert_eq!(short(300.0), "300");
    }

    #[test]
    fn a_panel_stays_within_its_frame_whatever_the_values() {
        for points in [
            vec![],
            vec![(1.0, 0.0)],
            vec![(1.0, 0.0), (256.0, 1e9)],
            vec![(5.0, 7.0), (5.0, 7.0)],
        ] {
            for is_log_y in [true, false] {
                let panel = Panel {
                    title: "a < b".to_owned(),
                    x_title: "x",
                    is_log_y,
                    lines: vec![("\"q\"".to_owned(), points.clone())],
                };
                let mut svg = String::new();
                panel.draw(&mut svg);
                assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
                // The last circle belongs to the name.
                for part in svg.split("cx=\"").skip(1).take(points.len()) {
                    let x: f64 = part.split('"').next().unwrap().parse().unwrap();
                    assert!((LEFT..=PANEL_WIDTH - RIGHT).contains(&x), "{svg}");
                }
                assert!(svg.contains("a &lt; b"));
            }
        }
    }
}
