//! The text formats of Prometheus: 0.0.4 (<https://prometheus.io/docs/instrumenting/exposition_formats/>) and OpenMetrics 1.0.
//!
//! They differ in three things: a counter's family has no `_total` in OpenMetrics, units are said there, and the text
//! ends with `# EOF`.

use std::fmt::Write;

/// Which of the two is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    OpenMetrics,
}

impl Format {
    /// The one that a client asks for: OpenMetrics when it names it and does not refuse it.
    pub(super) fn of<'a>(accept: impl Iterator<Item = &'a str>) -> Self {
        let is_open = accept.flat_map(|value| value.split(',')).any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default();
            let is_refused =
                parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"));
            kind.eq_ignore_ascii_case("application/openmetrics-text") && !is_refused
        });
        if is_open {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// What a family of samples is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Gauge,
    Counter,
    Histogram,
}

/// A value of a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Whole(u64),
    Real(f64),
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<u32> for Number {
    fn from(value: u32) -> Self {
        Self::Whole(value.into())
    }
}

impl From<usize> for Number {
    fn from(value: usize) -> Self {
        Self::Whole(value as u64)
    }
}

impl From<bool> for Number {
    fn from(value: bool) -> Self {
        Self::Whole(value.into())
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

/// A label with its value.
pub(super) type Label<'a> = (&'static str, &'a str);

/// The text as it grows.
#[derive(Debug)]
pub(super) struct Page {
    format: Format,
    out: String,
    /// The family whose samples follow.
    name: &'static str,
    kind: Kind,
}

impl Page {
    pub(super) fn new(format: Format) -> Self {
        Self {
            format,
            out: String::with_capacity(16 << 10),
            name: "",
            kind: Kind::Gauge,
        }
    }

    /// Begins a family. `name` has the unit at its end, and no `_total`.
    pub(super) fn family(&mut self, name: &'static str, kind: Kind, help: &str) {
        self.name = name;
        self.kind = kind;
        let total = match (self.format, kind) {
            (Format::Text, Kind::Counter) => "_total",
            _ => "",
        };
        let word = match kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
            Kind::Histogram => "histogram",
        };
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        self.line(format_args!("# HELP {name}{total} {help}"));
        self.line(format_args!("# TYPE {name}{total} {word}"));
        if self.format == Format::OpenMetrics {
            let unit = ["seconds", "bytes", "ratio"].into_iter().find(|unit| {
                name.strip_suffix(unit)
                    .is_some_and(|rest| rest.ends_with('_'))
            });
            if let Some(unit) = unit {
                self.line(format_args!("# UNIT {name} {unit}"));
            }
        }
    }

    /// A sample of the family.
    pub(super) fn sample(&mut self, labels: &[Label<'_>], value: impl Into<Number>) {
        let suffix = if self.kind == Kind::Counter {
            "_total"
        } else {
            ""
        };
        self.put(suffix, labels, None, value.into());
    }

    /// A family with one sample.
    pub(super) fn single(
        &mut self,
        name: &'static str,
        kind: Kind,
        help: &str,
        labels: &[Label<'_>],
        value: impl Into<Number>,
    ) {
        self.family(name, kind, help);
        self.sample(labels, value);
    }

    /// The samples of a histogram: of each bound how many values were at most that, then all of them, and their sum.
    pub(super) fn histogram(
        &mut self,
        labels: &[Label<'_>],
        buckets: &[(f64, u64)],
        count: u64,
        sum: f64,
    ) {
        for (bound, below) in buckets {
            let bound = bound.to_string();
            self.put("_bucket", labels, Some(&bound), Number::Whole(*below));
        }
        self.put("_bucket", labels, Some("+Inf"), Number::Whole(count));
        self.put("_sum", labels, None, Number::Real(sum));
        self.put("_count", labels, None, Number::Whole(count));
    }

    pub(super) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }

    fn put(&mut self, suffix: &str, labels: &[Label<'_>], bound: Option<&str>, value: Number) {
        self.out.push_str(self.name);
        self.out.push_str(suffix);
        let bound = bound.map(|bound| ("le", bound));
        let mut open = '{';
        for (key, value) in labels.iter().copied().chain(bound) {
            self.out.push(open);
            self.out.push_str(key);
            self.out.push_str("=\"");
            for c in value.chars() {
                match c {
                    '\\' => self.out.push_str("\\\\"),
                    '"' => self.out.push_str("\\\""),
                    '\n' => self.out.push_str("\\n"),
                    c => self.out.push(c),
                }
            }
            self.out.push('"');
            open = ',';
        }
        if open == ',' {
            self.out.push('}');
        }
        match value {
            Number::Whole(value) => self.line(format_args!(" {value}")),
            Number::Real(value) if value.is_nan() => self.line(format_args!(" NaN")),
            Number::Real(value) if value.is_infinite() => {
                self.line(format_args!(" {}Inf", if value > 0.0 { '+' } else { '-' }));
            }
            Number::Real(value) => self.line(format_args!(" {value}")),
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = self.out.write_fmt(line);
        self.out.push('\n');
    }
}

#[cfg(test)]
pub(super) mod tests;
