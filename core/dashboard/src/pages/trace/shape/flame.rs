//! The flame graph: the merged tree of a trace as boxes, and as a table.

use serde::Serialize;

use super::{
    Angle, SumsView, critical, html_bytes, kind_word, leads, link,
    rows::{End, Page, Room},
    title, turned, words,
};
use crate::{
    charts::percent,
    pages::{
        trace::{Scene, View},
        traces::name,
    },
    trace::shape::{
        Shape,
        flame::{Content, Flame, Frame, Unit, flame},
    },
    units::{clip, compact, duration, plural},
};

/// The height of a level.
const LEVEL_HEIGHT: usize = 22;

/// Rows of the table on one page.
const ROWS_MAX: usize = 40;

/// Frames that are drawn, without those that gather: fewer where names are long, so that the page stays small.
const FRAMES_TRIED: [usize; 5] = [120, 80, 50, 25, 12];

/// Bytes of HTML that the picture takes at most, but for the least number of frames; and of a frame without its texts.
const PICTURE_BYTES_MAX: usize = 48_000;
const FRAME_BYTES: usize = 210;

/// Bytes of HTML of the table at most, and of a row without its texts.
const TABLE_BYTES_MAX: usize = 20_000;
const ROW_BYTES: usize = 385;

/// Deeper rows are not moved further to the right.
const DEPTH_MAX: usize = 24;

/// Characters that fit across the picture on a wide screen; a text is cut to its share of them, and clipped where the
/// screen is narrower.
const CHARS_ACROSS: f64 = 165.0;

/// Frames with room for fewer characters have none.
const CHARS_MIN: usize = 3;

/// What stands above the root of the picture, at most.
const ABOVE_MAX: usize = 6;

/// The flame graph.
#[derive(Debug, Serialize)]
pub(crate) struct FlameView {
    frames: Vec<FrameView>,
    height: usize,
    /// What the picture shows and what its widths are.
    summary: String,
    measure: &'static str,
    /// What is not drawn; empty when all is.
    left_out: String,
    /// The way back up, from the root on; empty for the whole trace.
    above: Vec<Above>,
    whole_href: String,
    rows: Vec<RowView>,
    place: String,
    previous: String,
    next: String,
    /// Whether a filter leaves out what it does not find.
    filtered: bool,
}

#[derive(Debug, Serialize)]
struct Above {
    name: String,
    href: String,
}

#[derive(Debug, Serialize)]
struct FrameView {
    colour: usize,
    is_more: bool,
    error: bool,
    /// Faded: none of its spans matches the filter itself.
    dim: bool,
    x: String,
    y: usize,
    width: String,
    label: String,
    title: String,
    /// Makes it the root; empty for what is the root, and where it would show nothing else.
    href: String,
}

impl FrameView {
    /// How long it is in HTML.
    fn bytes(&self) -> usize {
        let texts = [&self.label, &self.title, &self.href];
        FRAME_BYTES
            + texts
                .into_iter()
                .map(|text| html_bytes(text))
                .sum::<usize>()
    }
}

/// A path in the table.
#[derive(Debug, Serialize)]
struct RowView {
    depth: usize,
    service: String,
    colour: usize,
    name: String,
    kind: &'static str,
    dim: bool,
    href: String,
    sums: SumsView,
}

impl RowView {
    /// How long it is in HTML.
    fn bytes(&self) -> usize {
        let texts = [&self.service, &self.name, &self.href];
        ROW_BYTES
            + texts
                .into_iter()
                .map(|text| html_bytes(text))
                .sum::<usize>()
    }
}

pub(crate) fn view(scene: &Scene<'_>) -> FlameView {
    let shape = Shape::narrowed(scene.trace, scene.path, scene.sieve.matches.as_deref());
    let angle = scene.state.angle;
    // A path that this trace does not have, or not yet, shows all of it.
    let root = angle.root.and_then(|path| shape.find(path));
    let angle = Angle {
        root: root.and(angle.root),
        ..angle
    };
    let path = critical(scene);
    let mut tries = FRAMES_TRIED.iter().peekable();
    let (canvas, frames) = loop {
        let canvas = Canvas {
            scene,
            shape: &shape,
            flame: flame(&shape, root, tries.next().copied().unwrap_or(1)),
            angle,
            root,
            path,
        };
        let frames: Vec<FrameView> = canvas
            .flame
            .frames
            .iter()
            .filter_map(|frame| canvas.frame(frame))
            .collect();
        let bytes: usize = frames.iter().map(FrameView::bytes).sum();
        if bytes <= PICTURE_BYTES_MAX || tries.peek().is_none() {
            break (canvas, frames);
        }
    };
    let page = canvas.table();
    let turned = |end| turned(View::Flame, scene.state, angle, end, "paths");
    FlameView {
        frames,
        height: canvas.flame.levels * LEVEL_HEIGHT,
        summary: canvas.summary(),
        measure: match canvas.flame.unit {
            Unit::Time => {
                "A frame is as wide as the self time of its spans and of all below: what ran side by side counts each for itself, so it can be wider than the trace was long."
            }
            Unit::Spans => {
                "No span here took any time, so a frame is as wide as its number of spans."
            }
        },
        left_out: canvas.left_out(),
        above: canvas.above(),
        whole_href: match root {
            None => String::new(),
            Some(_) => canvas.zoom(None),
        },
        place: page.place(),
        previous: turned(page.previous()),
        next: turned(page.next()),
        rows: page.rows,
        filtered: scene.sieve.matches.is_some(),
    }
}

struct Canvas<'a> {
    scene: &'a Scene<'a>,
    shape: &'a Shape,
    flame: Flame,
    angle: Angle,
    root: Option<usize>,
    /// The length of the critical path.
    path: u64,
}

impl Canvas<'_> {
    /// The picture with a node as its root.
    fn zoom(&self, root: Option<usize>) -> String {
        let root = root.and_then(|root| self.shape.nodes.get(root));
        let angle = Angle {
            root: root.map(|node| node.path),
            ..self.angle
        };
        link(View::Flame, self.scene.state, angle).to_string()
    }

    fn amount(&self, amount: u64) -> String {
        match self.flame.unit {
            Unit::Time => duration(amount),
            Unit::Spans => plural(amount, "span", "spans"),
        }
    }

    fn summary(&self) -> String {
        let (spans, paths) = match self.root.and_then(|root| self.shape.nodes.get(root)) {
            Some(node) => (node.whole.count, node.size),
            None => (self.shape.whole().count, self.shape.nodes.len()),
        };
        let all = format!(
            "{} in {}",
            plural(spans, "span", "spans"),
            plural(paths as u64, "path", "paths")
        );
        match self.flame.unit {
            Unit::Time => format!("{all}, {} of self time", duration(self.flame.whole)),
            Unit::Spans => all,
        }
    }

    fn left_out(&self) -> String {
        match self.flame.flat {
            0 => String::new(),
            flat => format!(
                "{} without self time, and so without a width, in the table only.",
                plural(flat as u64, "path", "paths")
            ),
        }
    }

    fn frame(&self, frame: &Frame) -> Option<FrameView> {
        let x = percent(frame.x, 1.0);
        let width = percent(frame.width, 1.0);
        let y = frame.level * LEVEL_HEIGHT;
        let room = (frame.width * CHARS_ACROSS).floor() as usize;
        let fit = |label: &str| match room {
            room if room < CHARS_MIN => String::new(),
            room => clip(label, room),
        };
        Some(match frame.content {
            Content::Node(number) => {
                let node = self.shape.nodes.get(number)?;
                let step = self.shape.step(node)?;
                let mut label = name(&clip(&step.name, 80));
                if node.sums.count > 1 {
                    label = format!("{label} ×{}", compact(node.sums.count));
                }
                let with_all = match node.size {
                    1 => String::new(),
                    _ => format!("; with all below {}", self.amount(self.weight(number))),
                };
                FrameView {
                    colour: self.scene.palette.colour(&step.service),
                    is_more: false,
                    error: node.sums.errors > 0,
                    dim: node.sums.matched == 0,
                    label: fit(&format!("{} {label}", clip(&step.service, 40))),
                    title: format!(
                        "{}: {}{with_all}{}",
                        title(Some(step)),
                        words(&node.sums, self.path),
                        leads(node.sums.matched)
                    ),
                    href: match self.root == Some(number) {
                        true => String::new(),
                        false => self.zoom(Some(number)),
                    },
                    x,
                    y,
                    width,
                }
            }
            Content::More {
                parent,
                nodes,
                sums,
            } => FrameView {
                colour: 0,
                is_more: true,
                error: sums.errors > 0,
                dim: false,
                label: fit(&format!("{} more", compact(nodes as u64))),
                title: format!(
                    "{} more: {}, self {}{}",
                    plural(nodes as u64, "path", "paths"),
                    plural(sums.count, "span", "spans"),
                    duration(sums.own),
                    match sums.errors {
                        0 => String::new(),
                        errors => format!(", {}", plural(errors, "error", "errors")),
                    }
                ),
                href: match parent == self.root {
                    true => String::new(),
                    false => self.zoom(parent),
                },
                x,
                y,
                width,
            },
        })
    }

    fn weight(&self, node: usize) -> u64 {
        let whole = self.shape.nodes.get(node).map(|node| node.whole);
        let whole = whole.unwrap_or_default();
        match self.flame.unit {
            Unit::Time => whole.own,
            Unit::Spans => whole.count,
        }
    }

    /// The nodes above the root, from the uppermost on; of many the nearest.
    fn above(&self) -> Vec<Above> {
        let parent = |at: usize| self.shape.nodes.get(at).and_then(|node| node.parent);
        let chain = std::iter::successors(self.root.and_then(parent), |at| parent(*at));
        let mut above: Vec<Above> = chain
            .take(ABOVE_MAX)
            .filter_map(|at| {
                let node = self.shape.nodes.get(at)?;
                Some(Above {
                    name: clip(&title(self.shape.step(node)), 60),
                    href: self.zoom(Some(at)),
                })
            })
            .collect();
        above.reverse();
        above
    }

    /// A page of the paths of the picture, in the order of the tree.
    fn table(&self) -> Page<RowView> {
        let nodes = &self.shape.nodes;
        let first = self.root.unwrap_or(0);
        let top = nodes.get(first).filter(|_| self.root.is_some());
        let total = top.map_or(nodes.len(), |node| node.size);
        let depth = top.map_or(0, |node| node.depth);
        let room = Room {
            rows: ROWS_MAX,
            bytes: TABLE_BYTES_MAX,
        };
        Page::cut(total, End::of(self.scene.state), room, |row| {
            let row = self.row(first + row, depth)?;
            let bytes = row.bytes();
            Some((row, bytes))
        })
    }

    /// The row of a node, below a root that stands so deep.
    fn row(&self, at: usize, depth: usize) -> Option<RowView> {
        let node = self.shape.nodes.get(at)?;
        let step = self.shape.step(node)?;
        Some(RowView {
            depth: node.depth.saturating_sub(depth).min(DEPTH_MAX),
            service: clip(&step.service, 40),
            colour: self.scene.palette.colour(&step.service),
            name: name(&clip(&step.name, 80)),
            kind: kind_word(step),
            dim: node.sums.matched == 0,
            href: match Some(at) == self.root {
                true => String::new(),
                false => self.zoom(Some(at)),
            },
            sums: SumsView::new(&node.sums, self.path),
        })
    }
}
