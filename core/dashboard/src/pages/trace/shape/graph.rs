//! The calls of a trace as a graph: operations or services as boxes, calls as lines, and both as a table.

use serde::Serialize;

use super::{
    Angle, SumsView, Tint, critical, html_bytes, leads, link,
    rows::{End, Page, Room},
    timeline, turned,
};
use crate::{
    graph::{
        layout::{Begin, Drawing, Point, Sizes, draw},
        lines::{self, Label, MARGIN},
    },
    pages::{
        trace::{Scene, View},
        traces::name,
    },
    trace::shape::{
        Shape, Sums,
        calls::{By, Call, Calls, Node},
    },
    units::{clip, compact, count, duration, percent, plural},
};

/// Boxes and lines that are drawn: what can still be read.
const NODES_TRIED: [usize; 6] = [100, 70, 50, 35, 20, 10];
const LINES_MAX: usize = 120;

/// Bytes of HTML that the picture takes at most, but for the least number of boxes.
const PICTURE_BYTES_MAX: usize = 64_000;

/// Bytes of HTML of a box and of a line without the texts that differ.
const NODE_BYTES: usize = 200;
const LINE_BYTES: usize = 190;

/// Bytes of HTML of the table at most, and of a row without its texts.
const TABLE_BYTES_MAX: usize = 12_000;
const ROW_BYTES: usize = 375;

/// The size of a box.
const WIDTH: f64 = 190.0;
const HEIGHT: f64 = 60.0;

/// Up to so many lines have their numbers beside them.
const LABELLED_MAX: usize = 45;

/// Characters that fit into a box.
const NAME_CHARS_MAX: usize = 20;

/// Rows of the table on one page; fewer beside a large picture, so that the page stays small.
const ROWS_MAX: usize = 30;
const ROWS_BESIDE_MANY_MAX: usize = 12;

/// So many boxes make a picture large.
const MANY: usize = 50;

/// Widths of lines, as classes of the style sheet.
const WIDTHS: u64 = 4;

/// Callers of a node that are named in the table.
const CALLERS_MAX: usize = 5;

/// The graph.
#[derive(Debug, Serialize)]
pub(crate) struct GraphView {
    width: u32,
    height: u32,
    nodes: Vec<NodeShape>,
    lines: Vec<LineShape>,
    /// "12 operations, 14 calls".
    summary: String,
    left_out: String,
    by: Vec<Choice>,
    by_service: bool,
    tints: Vec<Choice>,
    /// What the steps of the scale stand for; empty when services are coloured.
    scale: Vec<Scale>,
    rows: Vec<RowView>,
    place: String,
    previous: String,
    next: String,
    /// Whether a filter leaves out what it does not find.
    filtered: bool,
}

#[derive(Debug, Serialize)]
struct Choice {
    label: &'static str,
    href: String,
    chosen: bool,
}

/// A step of the scale of times.
#[derive(Debug, Serialize)]
struct Scale {
    step: usize,
    label: String,
}

#[derive(Debug, Serialize)]
struct NodeShape {
    number: usize,
    x: i64,
    y: i64,
    label: String,
    /// The second line.
    service: String,
    /// The third: "12× · 340 ms".
    numbers: String,
    title: String,
    colour: usize,
    /// The step of the scale; none when services are coloured.
    step: Option<usize>,
    error: bool,
    /// Faded: none of its spans matches the filter itself.
    dim: bool,
    is_more: bool,
    href: String,
}

impl NodeShape {
    /// How long it is in HTML.
    fn bytes(&self) -> usize {
        let texts = [
            &self.label,
            &self.service,
            &self.numbers,
            &self.title,
            &self.href,
        ];
        NODE_BYTES
            + texts
                .into_iter()
                .map(|text| html_bytes(text))
                .sum::<usize>()
    }
}

fn line_bytes(drawn: &Calls, call: &Call) -> usize {
    let ends = [call.caller, call.callee];
    let names = ends.into_iter().filter_map(|end| drawn.nodes.get(end));
    LINE_BYTES
        + names
            .map(|node| html_bytes(&clip(&label(node), 30)))
            .sum::<usize>()
}

#[derive(Debug, Serialize)]
struct LineShape {
    ends: String,
    path: String,
    arrow: String,
    /// A step of the widths.
    width: u64,
    error: bool,
    title: String,
    label: Option<Label>,
}

/// A node in the table.
#[derive(Debug, Serialize)]
struct RowView {
    name: String,
    service: String,
    colour: usize,
    is_more: bool,
    dim: bool,
    href: String,
    sums: SumsView,
    callers: Vec<CallerView>,
    more_callers: String,
}

impl RowView {
    /// How long it is in HTML.
    fn bytes(&self) -> usize {
        let callers = self.callers.iter().map(|caller| &caller.name);
        let texts = [&self.name, &self.service, &self.href].into_iter();
        ROW_BYTES
            + texts
                .chain(callers)
                .map(|text| html_bytes(text))
                .sum::<usize>()
    }
}

#[derive(Debug, Serialize)]
struct CallerView {
    name: String,
    spans: String,
}

pub(crate) fn view(scene: &Scene<'_>) -> GraphView {
    let shape = Shape::narrowed(scene.trace, scene.path, scene.sieve.matches.as_deref());
    let angle = scene.state.angle;
    let all = Calls::new(&shape, angle.by);
    let times = all.nodes.iter();
    let canvas = Canvas {
        scene,
        angle,
        path: critical(scene),
        most: times
            .filter_map(|node| tinted(angle.tint, &node.sums))
            .max()
            .unwrap_or(0),
    };
    let (drawn, calls) = canvas.fitting(&all);
    let edges: Vec<(usize, usize, u64)> = calls
        .iter()
        .map(|call| (call.caller, call.callee, call.sums.count))
        .collect();
    let is_labelled = calls.len() <= LABELLED_MAX;
    let sizes = Sizes {
        width: WIDTH,
        height: HEIGHT,
        gap_y: 18.0,
        gap_x: if is_labelled { 120.0 } else { 90.0 },
    };
    let drawing = draw(drawn.nodes.len(), &edges, sizes, Begin::OnTop);
    let side = |length: f64| (length + 2.0 * MARGIN).ceil() as u32;
    let page = canvas.table(&all);
    let turned = |end| turned(View::Graph, scene.state, angle, end, "operations");
    GraphView {
        width: side(drawing.width),
        height: side(drawing.height),
        nodes: drawn
            .nodes
            .iter()
            .zip(&drawing.nodes)
            .enumerate()
            .map(|(number, (node, place))| canvas.node(number, node, *place))
            .collect(),
        lines: canvas.lines(&drawn, &calls, &drawing, is_labelled),
        summary: summary(&all, angle.by),
        left_out: left_out(&all, &drawn, calls.len()),
        by: canvas.by(),
        by_service: angle.by == By::Service,
        tints: canvas.tints(),
        scale: canvas.scale(),
        place: page.place(),
        previous: turned(page.previous()),
        next: turned(page.next()),
        rows: page.rows,
        filtered: scene.sieve.matches.is_some(),
    }
}

/// What of a node is coloured.
fn tinted(tint: Tint, sums: &Sums) -> Option<u64> {
    match tint {
        Tint::Service => None,
        Tint::Own => Some(sums.own),
        Tint::Total => Some(sums.total),
    }
}

fn summary(all: &Calls, by: By) -> String {
    let nodes = all.nodes.len() as u64;
    let calls = plural(all.calls.len() as u64, "kind of call", "kinds of calls");
    match by {
        By::Operation => format!("{}, {calls}", plural(nodes, "operation", "operations")),
        By::Service => format!("{}, {calls}", plural(nodes, "service", "services")),
    }
}

fn left_out(all: &Calls, drawn: &Calls, lines: usize) -> String {
    let gathered = drawn
        .nodes
        .iter()
        .map(|node| node.gathered)
        .max()
        .unwrap_or(0) as u64;
    let missing = drawn.calls.len().saturating_sub(lines) as u64;
    let mut parts = Vec::new();
    if gathered > 0 {
        parts.push(format!(
            "{} of {} with the least time and without an error are one box",
            count(gathered),
            count(all.nodes.len() as u64)
        ));
    }
    if missing > 0 {
        let verb = if missing == 1 { "is" } else { "are" };
        parts.push(format!(
            "{} with the least time {verb} not drawn",
            plural(missing, "line", "lines")
        ));
    }
    match parts.is_empty() {
        true => String::new(),
        false => format!("{}; the table has all.", parts.join(", and ")),
    }
}

struct Canvas<'a> {
    scene: &'a Scene<'a>,
    angle: Angle,
    /// The length of the critical path.
    path: u64,
    /// The longest time that is coloured.
    most: u64,
}

/// Steps of the scale above the first, which stands for no time.
const STEPS: u64 = 4;

impl Canvas<'_> {
    fn at(&self, angle: Angle) -> String {
        link(View::Graph, self.scene.state, angle).to_string()
    }

    fn by(&self) -> Vec<Choice> {
        let all = [(By::Operation, "Operations"), (By::Service, "Services")];
        all.into_iter()
            .map(|(by, label)| Choice {
                label,
                href: self.at(Angle { by, ..self.angle }),
                chosen: by == self.angle.by,
            })
            .collect()
    }

    fn tints(&self) -> Vec<Choice> {
        Tint::ALL
            .into_iter()
            .map(|(tint, _, label)| Choice {
                label,
                href: self.at(Angle { tint, ..self.angle }),
                chosen: tint == self.angle.tint,
            })
            .collect()
    }

    /// Which step of the scale a time is.
    fn step(&self, nanos: u64) -> usize {
        let parts = (u128::from(nanos) * u128::from(STEPS)).div_ceil(u128::from(self.most.max(1)));
        parts.min(u128::from(STEPS)) as usize
    }

    fn scale(&self) -> Vec<Scale> {
        if self.angle.tint == Tint::Service || self.most == 0 {
            return Vec::new();
        }
        let most = u128::from(self.most);
        (1..=STEPS)
            .map(|step| Scale {
                step: step as usize,
                label: format!(
                    "up to {}",
                    duration((most * u128::from(step) / u128::from(STEPS)) as u64)
                ),
            })
            .collect()
    }

    fn node(&self, number: usize, node: &Node, (x, y): Point) -> NodeShape {
        let label = label(node);
        let sums = &node.sums;
        let time = match self.angle.tint {
            Tint::Own => format!("self {}", duration(sums.own)),
            Tint::Service | Tint::Total => duration(sums.total),
        };
        let numbers = format!("{}× · {time}", compact(sums.count));
        NodeShape {
            number,
            x: (x + MARGIN).round() as i64,
            y: (y + MARGIN).round() as i64,
            label: lines::middle_cut(&label, NAME_CHARS_MAX),
            service: match node.name {
                Some(_) => lines::middle_cut(&node.service, NAME_CHARS_MAX + 6),
                None => String::new(),
            },
            numbers: match sums.errors {
                0 => numbers,
                errors => format!("{numbers} · {}", plural(errors, "error", "errors")),
            },
            title: match node.name {
                Some(_) => format!(
                    "{} {label}: {}{}",
                    clip(&node.service, 40),
                    self.times(sums),
                    leads(sums.matched)
                ),
                None => format!("{label}: {}{}", self.times(sums), leads(sums.matched)),
            },
            colour: self.scene.palette.colour(&node.service),
            step: tinted(self.angle.tint, sums).map(|nanos| self.step(nanos)),
            error: sums.errors > 0,
            dim: sums.matched == 0,
            is_more: node.gathered > 0,
            href: self.timeline(node),
        }
    }

    /// What the box itself does not say.
    fn times(&self, sums: &Sums) -> String {
        let time = match self.angle.tint {
            Tint::Own => format!("total {}", duration(sums.total)),
            Tint::Service | Tint::Total => format!("self {}", duration(sums.own)),
        };
        match sums.critical {
            0 => time,
            critical => format!("{time}, critical path {}", percent(critical, self.path)),
        }
    }

    /// What is drawn: fewer nodes where their names are long, so that the page stays small.
    fn fitting(&self, all: &Calls) -> (Calls, Vec<Call>) {
        let mut tries = NODES_TRIED.iter().peekable();
        while let Some(nodes_max) = tries.next() {
            let drawn = all.gathered(*nodes_max);
            let calls = drawn.busiest(LINES_MAX.min(nodes_max * 2));
            let nodes = drawn.nodes.iter().enumerate();
            let bytes: usize = nodes
                .map(|(number, node)| self.node(number, node, (0.0, 0.0)).bytes())
                .chain(calls.iter().map(|call| line_bytes(&drawn, call)))
                .sum();
            if bytes <= PICTURE_BYTES_MAX || tries.peek().is_none() {
                return (drawn, calls);
            }
        }
        (Calls::default(), Vec::new())
    }

    fn timeline(&self, node: &Node) -> String {
        // A box that only leads to what the filter finds has none of it.
        let filtered = match node.sums.matched {
            0 => "",
            _ => &*self.scene.state.filter,
        };
        match node.gathered {
            0 => timeline(filtered, &node.service, node.name.as_deref()),
            _ => "#operations".to_owned(),
        }
    }

    fn lines(
        &self,
        drawn: &Calls,
        calls: &[Call],
        drawing: &Drawing,
        is_labelled: bool,
    ) -> Vec<LineShape> {
        let busiest = calls.iter().map(|call| call.sums.count).max().unwrap_or(0);
        let mut taken = lines::Taken::default();
        let mut shapes: Vec<LineShape> = calls
            .iter()
            .zip(&drawing.routes)
            .filter_map(|(call, route)| {
                let (caller, callee) =
                    (drawn.nodes.get(call.caller)?, drawn.nodes.get(call.callee)?);
                let sums = &call.sums;
                let text = match sums.count {
                    1 => duration(sums.total),
                    calls => format!("{}× · {}", compact(calls), duration(sums.total)),
                };
                Some(LineShape {
                    ends: format!("{} {}", call.caller, call.callee),
                    path: match route.as_slice() {
                        [] => lines::own_loop(*drawing.nodes.get(call.caller)?, WIDTH),
                        route => lines::curve(route),
                    },
                    arrow: lines::arrow(route),
                    width: width(sums.count, busiest),
                    error: sums.errors > 0,
                    title: format!(
                        "{} → {}: {}{}",
                        clip(&label(caller), 30),
                        clip(&label(callee), 30),
                        plural(sums.count, "call", "calls"),
                        match sums.errors {
                            0 => format!(", {}", duration(sums.total)),
                            errors => format!(
                                ", {}, {}",
                                duration(sums.total),
                                plural(errors, "error", "errors")
                            ),
                        }
                    ),
                    label: match is_labelled {
                        true => lines::label(text, route, &mut taken),
                        false => None,
                    },
                })
            })
            .collect();
        // Lines with errors are drawn last, above the others.
        shapes.sort_by_key(|shape| shape.error);
        shapes
    }

    /// A page of all nodes, those with the most time first.
    fn table(&self, all: &Calls) -> Page<RowView> {
        let total = all.nodes.len();
        let room = Room {
            rows: match total > MANY {
                true => ROWS_BESIDE_MANY_MAX,
                false => ROWS_MAX,
            },
            bytes: TABLE_BYTES_MAX,
        };
        Page::cut(total, End::of(self.scene.state), room, |at| {
            let row = self.row(all, at, all.nodes.get(at)?);
            let bytes = row.bytes();
            Some((row, bytes))
        })
    }

    fn row(&self, all: &Calls, at: usize, node: &Node) -> RowView {
        let mut calls: Vec<&Call> = all.to(at).collect();
        calls.sort_by_key(|call| std::cmp::Reverse(call.sums.count));
        let more = calls.iter().skip(CALLERS_MAX);
        let more_spans: u64 = more.clone().map(|call| call.sums.count).sum();
        RowView {
            name: label(node),
            service: match node.name {
                Some(_) => clip(&node.service, 40),
                None => String::new(),
            },
            colour: self.scene.palette.colour(&node.service),
            is_more: node.gathered > 0,
            dim: node.sums.matched == 0,
            href: self.timeline(node),
            sums: SumsView::new(&node.sums, self.path),
            callers: calls
                .iter()
                .take(CALLERS_MAX)
                .filter_map(|call| {
                    let caller = all.nodes.get(call.caller)?;
                    Some(CallerView {
                        name: match call.caller == at {
                            true => "itself".to_owned(),
                            false => clip(&label(caller), 50),
                        },
                        spans: compact(call.sums.count),
                    })
                })
                .collect(),
            more_callers: match more.count() as u64 {
                0 => String::new(),
                callers => format!(
                    "{} ×{}",
                    plural(callers, "other", "others"),
                    compact(more_spans)
                ),
            },
        }
    }
}

/// The step of a line's width: with the logarithm of the calls, since one that is ten times as thick would hide the rest.
fn width(calls: u64, busiest: u64) -> u64 {
    if busiest <= 1 {
        return 1;
    }
    let share = (calls.max(1) as f64).ln_1p() / (busiest.max(1) as f64).ln_1p();
    // Between 1 and WIDTHS.
    1 + ((WIDTHS - 1) as f64 * share.powi(3).clamp(0.0, 1.0)).round() as u64
}

/// What a node is called.
fn label(node: &Node) -> String {
    match (node.gathered, &node.name) {
        (0, Some(own)) => name(&clip(own, 80)),
        (0, None) => name(&clip(&node.service, 60)),
        (gathered, _) => format!("{} more", count(gathered as u64)),
    }
}
