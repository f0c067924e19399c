//! What is odd about a span, in words.

use super::{
    model::{SpanItem, Trace},
    tree::{Root, Row},
};
use crate::units::{duration, plural};

/// Something odd about a span. None of it is refused: a page shows what was sent and says what it makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Its parent was not sent, is not here yet, or is no longer kept.
    MissingParent,
    /// It is among its own ancestors.
    Cycle,
    /// It begins before its parent in another process, by so many nanoseconds.
    Skew(u64),
    /// It begins before its parent in the same process.
    Early(u64),
    /// It ends before it starts.
    Backwards(u64),
    /// It has no start.
    NoStart,
    /// It has no end.
    NoEnd,
    /// It came so many times.
    Copies(u32),
    /// Another span has the same id.
    SharedId,
}

impl Mark {
    /// A few words for the row.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::MissingParent => "parent missing",
            Self::Cycle => "parent cycle",
            Self::Skew(_) => "clock skew",
            Self::Early(_) => "before its parent",
            Self::Backwards(_) => "ends before it starts",
            Self::NoStart => "no start time",
            Self::NoEnd => "no end time",
            Self::Copies(_) => "sent more than once",
            Self::SharedId => "id used twice",
        }
    }

    /// A sentence for the details.
    pub(crate) fn words(self) -> String {
        match self {
            Self::MissingParent => {
                "The parent that it names is not in this trace: it was not sent, or is not here yet.".to_owned()
            }
            Self::Cycle => {
                "It is among its own ancestors. The cycle is cut here, at its earliest span.".to_owned()
            }
            Self::Skew(nanos) => format!(
                "It starts {} before its parent, which another process sent: their clocks differ at least by that.",
                duration(nanos)
            ),
            Self::Early(nanos) => {
                format!("It starts {} before its parent, in the same process.", duration(nanos))
            }
            Self::Backwards(nanos) => {
                format!("It ends {} before it starts, and is drawn without a length.", duration(nanos))
            }
            Self::NoStart => "It was sent without a start time, and is drawn at the start of the trace.".to_owned(),
            Self::NoEnd => "It was sent without an end time, and is drawn without a length.".to_owned(),
            Self::Copies(copies) => {
                format!("Exactly this span came {}; it is shown once.", plural(copies.into(), "time", "times"))
            }
            Self::SharedId => {
                "Other spans of this trace have the same id; what is below them may belong to either.".to_owned()
            }
        }
    }
}

/// All that is odd about the span in a row.
pub(crate) fn marks(trace: &Trace, row: &Row, item: &SpanItem) -> Vec<Mark> {
    let (start, end) = (item.start, item.end);
    let mut marks = Vec::new();
    match row.root {
        Some(Root::Orphan(_)) => marks.push(Mark::MissingParent),
        Some(Root::Cycle) => marks.push(Mark::Cycle),
        Some(Root::First | Root::Stray) | None => {}
    }
    if start == 0 {
        marks.push(Mark::NoStart);
    } else if end == 0 {
        marks.push(Mark::NoEnd);
    } else if end < start {
        marks.push(Mark::Backwards(start - end));
    }
    marks.extend(early(trace, row, item));
    if item.copies > 1 {
        marks.push(Mark::Copies(item.copies));
    }
    if item.shares_id {
        marks.push(Mark::SharedId);
    }
    marks
}

fn early(trace: &Trace, row: &Row, item: &SpanItem) -> Option<Mark> {
    let above = trace.rows.get(row.parent?)?;
    let parent = trace.span(above)?;
    let start = item.start;
    let before = parent.start.checked_sub(start).filter(|nanos| *nanos > 0)?;
    match start {
        0 => None,
        _ if parent.process != item.process => Some(Mark::Skew(before)),
        _ => Some(Mark::Early(before)),
    }
}
