//! The text formats, read back by a parser that takes nothing else.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;

use super::*;

/// Of each sample, with its labels as they are written, the value.
pub(crate) type Samples = BTreeMap<String, f64>;

/// Reads a text, and panics at what neither format allows: a sample without its family, a family twice or in two places,
/// a name that is not one, a counter that is not named so, a histogram whose buckets fall.
pub(crate) fn samples(text: &str, format: Format) -> Samples {
    let mut samples = Samples::new();
    let mut seen = HashSet::new();
    let (mut family, mut kind) = (String::new(), String::new());
    let body = match format {
        Format::Text => text,
        Format::OpenMetrics => text.strip_suffix("# EOF\n").unwrap(),
    };
    assert!(body.is_empty() || body.ends_with('\n'));
    for line in body.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, words) = help.split_once(' ').unwrap();
            assert!(!words.is_empty() && words.ends_with('.'), "{line}");
            assert!(seen.insert(name.to_owned()), "{name} comes twice");
            name.clone_into(&mut family);
        } else if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, word) = declared.split_once(' ').unwrap();
            assert_eq!(name, family);
            word.clone_into(&mut kind);
            let is_total = name.ends_with("_total");
            assert_eq!(
                is_total,
                kind == "counter" && format == Format::Text,
                "{line}"
            );
        } else if let Some(unit) = line.strip_prefix("# UNIT ") {
            assert_eq!(format, Format::OpenMetrics);
            let (name, unit) = unit.split_once(' ').unwrap();
            assert!(
                name == family && name.ends_with(&format!("_{unit}")),
                "{line}"
            );
        } else {
            sample(line, &family, &kind, format, &mut samples);
        }
    }
    samples
}

fn sample(line: &str, family: &str, kind: &str, format: Format, samples: &mut Samples) {
    let (sample, value) = line.rsplit_once(' ').unwrap();
    let name = sample.split('{').next().unwrap();
    assert!(
        name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'),
        "{line}"
    );
    let suffix = name
        .strip_prefix(family)
        .unwrap_or_else(|| panic!("{line} in {family}"));
    let allowed: &[&str] = match (kind, format) {
        ("histogram", _) => &["_bucket", "_sum", "_count"],
        ("counter", Format::OpenMetrics) => &["_total"],
        _ => &[""],
    };
    assert!(allowed.contains(&suffix), "{line}");
    if let Some(labels) = sample
        .strip_prefix(name)
        .filter(|labels| !labels.is_empty())
    {
        check_labels(labels);
    }
    let value: f64 = match value {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        value => value.parse().unwrap(),
    };
    assert!(
        samples.insert(sample.to_owned(), value).is_none(),
        "{sample} comes twice"
    );
}

/// `{key="value",…}` with the three escapes.
fn check_labels(labels: &str) {
    let mut rest = labels.strip_prefix('{').unwrap().strip_suffix('}').unwrap();
    loop {
        let (key, after) = rest.split_once("=\"").unwrap();
        assert!(
            key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
            "{labels}"
        );
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next().unwrap() {
                (at, '"') => break at,
                (_, '\\') => assert!(matches!(chars.next().unwrap().1, '\\' | '"' | 'n')),
                (_, c) => assert_ne!(c, '\n'),
            }
        };
        match &after[end + 1..] {
            "" => return,
            more => rest = more.strip_prefix(',').unwrap(),
        }
    }
}

fn page(format: Format) -> String {
    let mut page = Page::new(format);
    page.family("log_tracer_requests", Kind::Counter, "Requests.");
    page.sample(&[("route", "/"), ("status", "200")], 3_u64);
    page.sample(&[("route", "a\"b\\c\nd"), ("status", "200")], u64::MAX);
    page.single("log_tracer_lag_seconds", Kind::Gauge, "Lag.", &[], 0.5);
    page.single("log_tracer_up", Kind::Gauge, "Up.", &[], true);
    page.family("log_tracer_took_seconds", Kind::Histogram, "Took.");
    page.histogram(&[("route", "/")], &[(0.1, 1), (1.0, 3)], 4, 9.25);
    page.finish()
}

#[test]
fn the_text_format_is_written_to_the_letter() {
    assert_eq!(
        page(Format::Text),
        "# HELP log_tracer_requests_total Requests.\n\
         # TYPE log_tracer_requests_total counter\n\
         log_tracer_requests_total{route=\"/\",status=\"200\"} 3\n\
         log_tracer_requests_total{route=\"a\\\"b\\\\c\\nd\",status=\"200\"} 18446744073709551615\n\
         # HELP log_tracer_lag_seconds Lag.\n\
         # TYPE log_tracer_lag_seconds gauge\n\
         log_tracer_lag_seconds 0.5\n\
         # HELP log_tracer_up Up.\n\
         # TYPE log_tracer_up gauge\n\
         log_tracer_up 1\n\
         # HELP log_tracer_took_seconds Took.\n\
         # TYPE log_tracer_took_seconds histogram\n\
         log_tracer_took_seconds_bucket{route=\"/\",le=\"0.1\"} 1\n\
         log_tracer_took_seconds_bucket{route=\"/\",le=\"1\"} 3\n\
         log_tracer_took_seconds_bucket{route=\"/\",le=\"+Inf\"} 4\n\
         log_tracer_took_seconds_sum{route=\"/\"} 9.25\n\
         log_tracer_took_seconds_count{route=\"/\"} 4\n"
    );
}

#[test]
fn both_formats_say_the_same() {
    let text = samples(&page(Format::Text), Format::Text);
    let open = samples(&page(Format::OpenMetrics), Format::OpenMetrics);
    assert_eq!(text, open);
    assert!(page(Format::OpenMetrics).contains("# TYPE log_tracer_requests counter\n"));
    assert!(page(Format::OpenMetrics).contains("# UNIT log_tracer_lag_seconds seconds\n"));
}

#[test]
fn openmetrics_is_written_for_those_who_ask_for_it() {
    let of = |accept: &str| Format::of([accept].into_iter());
    assert_eq!(
        of(
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
        ),
        Format::OpenMetrics
    );
    for accept in [
        "",
        "*/*",
        "text/html",
        "text/plain;version=0.0.4",
        "application/openmetrics-text;q=0",
    ] {
        assert_eq!(of(accept), Format::Text, "{accept}");
    }
}

proptest! {
    #[test]
    fn any_label_can_be_read_back(value in "\\PC{0,20}|[\"\\\\\n{},= ]{0,12}", number in any::<f64>()) {
        let mut page = Page::new(Format::Text);
        page.single("x", Kind::Gauge, "X.", &[("key", &value)], number);
        prop_assert_eq!(samples(&page.finish(), Format::Text).len(), 1);
    }
}
