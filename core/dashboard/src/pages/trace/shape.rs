//! The views that are made of the shape of a trace: the flame graph and the graph of its calls.

pub(crate) mod flame;
pub(crate) mod graph;
pub(crate) mod rows;

use log_tracer_query::{Field, Intrinsic, quote};
use serde::Serialize;

use self::rows::End;
use super::{Scene, State, View};
use crate::{
    fault::Fault,
    params::{Link, Params},
    search,
    trace::{
        fields,
        shape::{PathId, Step, Sums, calls::By},
    },
    units::{clip, count, duration, percent, plural},
};

/// What boxes of the graph are coloured by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tint {
    #[default]
    Service,
    Own,
    Total,
}

impl Tint {
    const ALL: [(Self, &str, &str); 3] = [
        (Self::Service, "service", "Service"),
        (Self::Own, "self", "Self time"),
        (Self::Total, "total", "Total time"),
    ];
}

/// How the shape is looked at: a part of the state of the page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Angle {
    /// The path that is the root of the flame graph; none for all of the trace.
    pub(crate) root: Option<PathId>,
    /// What a box of the graph is.
    pub(crate) by: By,
    pub(crate) tint: Tint,
}

impl Angle {
    pub(crate) fn read(params: &Params) -> Result<Self, Fault> {
        let root = params.read("at", |text| {
            let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            PathId::from_str_radix(text, 16)
                .ok()
                .filter(|_| digits)
                .ok_or_else(|| {
                    format!("`{text}` is not a path of the flame graph; follow its links")
                })
        })?;
        let by = params.read("by", |text| match text {
            "operation" => Ok(By::Operation),
            "service" => Ok(By::Service),
            _ => Err(format!("`{text}` is neither operation nor service")),
        })?;
        let tint = params.read("colour", |text| {
            let known = Tint::ALL.iter().find(|(_, key, _)| *key == text);
            known
                .map(|(tint, ..)| *tint)
                .ok_or_else(|| format!("`{text}` is not one of service, self, total"))
        })?;
        Ok(Self {
            root,
            by: by.unwrap_or_default(),
            tint: tint.unwrap_or_default(),
        })
    }

    pub(crate) fn write(self, link: Link) -> Link {
        let tint = Tint::ALL.iter().find(|(tint, ..)| *tint == self.tint);
        link.with("at", self.root.map_or_else(String::new, path_param))
            .with(
                "by",
                match self.by {
                    By::Operation => "",
                    By::Service => "service",
                },
            )
            .with(
                "colour",
                match tint {
                    None | Some((Tint::Service, ..)) => "",
                    Some((_, key, _)) => *key,
                },
            )
    }
}

pub(crate) fn path_param(path: PathId) -> String {
    format!("{path:016x}")
}

/// Where the pictures lead: the filter comes along and nothing of the timeline, so that their many links stay short.
fn link(view: View, state: &State, angle: Angle) -> Link {
    let link = Link::to("")
        .with("tab", view.key())
        .with("f", &*state.filter);
    angle.write(link)
}

/// The same with another page of its table; empty for none.
fn turned(view: View, state: &State, angle: Angle, end: Option<End>, table: &str) -> String {
    let Some(end) = end else {
        return String::new();
    };
    let (key, row) = match end {
        End::First(row) => ("from", row),
        End::Before(row) => ("before", row),
    };
    let link = link(view, state, angle).with(key, row.to_string());
    link.at(table).to_string()
}

/// Nanoseconds of the critical path of the trace: shares are of all of it, whatever a filter leaves of the shape.
fn critical(scene: &Scene<'_>) -> u64 {
    let lengths = scene.path.iter().map(|part| part.end - part.start);
    lengths.sum()
}

/// The spans of a service, or of one of its operations, in the timeline: of those that the filter of the page finds, if
/// there are any.
fn timeline(filtered: &str, service: &str, name: Option<&str>) -> String {
    let filter = search::compose(filtered, &[filter(service, name)]);
    Link::to("").with("f", filter).at("waterfall").to_string()
}

/// Bytes of a name that stand in a query; a longer one is searched by its beginning.
const NAME_BYTES_MAX: usize = 90;

/// The query that finds them; a name that is empty is left away.
pub(crate) fn filter(service: &str, name: Option<&str>) -> String {
    let name = name.map_or_else(String::new, |name| {
        term(Field::Intrinsic(Intrinsic::Name), name)
    });
    let service = term(Field::Intrinsic(Intrinsic::Service), service);
    [service, name].join(" ").trim().to_owned()
}

fn term(field: Field, value: &str) -> String {
    if value.len() > NAME_BYTES_MAX {
        let start = value.floor_char_boundary(NAME_BYTES_MAX);
        let start = value.get(..start).unwrap_or_default();
        return format!("{field}:{}*", quote(start));
    }
    search::term(&field, value).unwrap_or_default()
}

/// How long a text is in HTML.
pub(crate) fn html_bytes(text: &str) -> usize {
    text.bytes()
        .map(|byte| match byte {
            b'"' => 6,
            b'&' | b'\'' => 5,
            b'<' | b'>' => 4,
            _ => 1,
        })
        .sum()
}

/// The numbers of some spans, in words.
#[derive(Debug, Serialize)]
struct SumsView {
    spans: String,
    /// Empty without an error.
    errors: String,
    total: String,
    own: String,
    /// The share of the critical path; empty for none.
    critical: String,
}

impl SumsView {
    /// `path` is the length of the critical path, in nanoseconds.
    fn new(sums: &Sums, path: u64) -> Self {
        Self {
            spans: count(sums.count),
            errors: match sums.errors {
                0 => String::new(),
                errors => count(errors),
            },
            total: duration(sums.total),
            own: duration(sums.own),
            critical: match sums.critical {
                0 => String::new(),
                critical => percent(critical, path),
            },
        }
    }
}

/// The same as a sentence.
fn words(sums: &Sums, path: u64) -> String {
    let mut words = format!(
        "{}, total {}, self {}",
        plural(sums.count, "span", "spans"),
        duration(sums.total),
        duration(sums.own)
    );
    if sums.critical > 0 {
        words.push_str(&format!(
            ", {} of the critical path",
            percent(sums.critical, path)
        ));
    }
    if sums.errors > 0 {
        words.push_str(&format!(", {}", plural(sums.errors, "error", "errors")));
    }
    words
}

/// What is said of what none of its spans matches the filter for itself: it is faded.
fn leads(matched: u64) -> &'static str {
    match matched {
        0 => "; leads to what the filter finds",
        _ => "",
    }
}

/// What a step is called where there is room for a line: service and name.
fn title(step: Option<&Step>) -> String {
    let Some(step) = step else {
        return String::new();
    };
    format!(
        "{} {}",
        clip(&step.service, 40),
        super::super::traces::name(&clip(&step.name, 80))
    )
}

/// The word for a step's kind; empty where it says nothing.
pub(crate) fn kind_word(step: &Step) -> &'static str {
    match fields::kind(step.kind()) {
        "unspecified" | "internal" => "",
        word => word,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(raw: &str) -> Result<Angle, Fault> {
        Angle::read(&Params::parse(raw).unwrap())
    }

    #[test]
    fn a_wrong_parameter_is_named() {
        for raw in ["at=1", "at=+000000000000001", "by=name", "colour=red"] {
            let key = raw.split('=').next().unwrap();
            assert!(read(raw).unwrap_err().message().starts_with(key), "{raw}");
        }
    }

    proptest! {
        #[test]
        fn an_angle_survives_its_link(root in prop::option::of(any::<u64>()), by: bool, tint in 0_usize..3) {
            let angle = Angle {
                root,
                by: if by { By::Service } else { By::Operation },
                tint: Tint::ALL[tint].0,
            };
            let link = angle.write(Link::to("")).to_string();
            prop_assert_eq!(read(link.trim_start_matches('?')).unwrap(), angle);
        }

        #[test]
        fn the_filter_of_any_names_can_be_read_and_is_short(service in "\\PC{0,200}", name in prop::option::of("\\PC{0,200}")) {
            let filter = filter(&service, name.as_deref());
            prop_assert!(log_tracer_query::parse(&filter).is_ok(), "{}", filter);
            // A control character is written with eight.
            prop_assert!(filter.len() < 30 + 2 * 8 * NAME_BYTES_MAX, "{}", filter);
        }
    }
}
