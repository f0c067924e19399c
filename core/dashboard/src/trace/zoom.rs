//! A part of the time of a trace, and bars and marks cut to it.
//!
//! In an address a zoom is two offsets from the start of the trace, as the query language writes durations:
//! `12ms..45.5ms`. It is written without loss (up to a hundred days), in nanoseconds where nothing shorter is exact.

use std::fmt;

use crate::units::{duration_term, parse_duration};

/// Less is not shown: bars of a few nanoseconds say nothing.
const LENGTH_MIN: u64 = 10;

/// A part of the time of a trace: offsets from its start in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Zoom {
    pub(crate) from: u64,
    /// After `from`.
    pub(crate) to: u64,
}

impl fmt::Display for Zoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (duration_term(self.from), duration_term(self.to));
        write!(f, "{from}..{to}")
    }
}

impl Zoom {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (from, to) = text.split_once("..").ok_or_else(|| {
            format!("`{text}` is not a part of a trace's time; write two offsets: 12ms..45.5ms")
        })?;
        let (from, to) = (parse_duration(from)?, parse_duration(to)?);
        if from < to {
            Ok(Self { from, to })
        } else {
            Err(format!("`{text}` ends before it starts"))
        }
    }

    /// This part with something around it, so that its ends can be seen.
    pub(crate) fn around(from: u64, to: u64) -> Self {
        let margin = ((to.saturating_sub(from)) / 20).max(LENGTH_MIN);
        Self {
            from: from.saturating_sub(margin),
            to: to.saturating_add(margin),
        }
    }

    fn length(self) -> u64 {
        self.to - self.from
    }
}

/// The time that bars are drawn over, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Axis {
    pub(crate) start: u64,
    /// Never before `start`.
    pub(crate) end: u64,
    /// The start and the end of the whole trace.
    whole: (u64, u64),
}

impl Axis {
    /// The part of a trace from `start` to `end` that a zoom shows; of one that lies beyond the trace, its end.
    pub(crate) fn new(start: u64, end: u64, zoom: Option<Zoom>) -> Self {
        let end = end.max(start);
        let whole = (start, end);
        let Some(zoom) = zoom else {
            return Self { start, end, whole };
        };
        let length = end - start;
        let to = zoom.to.min(length);
        let shown_min = LENGTH_MIN.min(length);
        let from = zoom.from.min(to.saturating_sub(shown_min));
        let to = to.max(from + shown_min).min(length);
        Self {
            start: start + from,
            end: start + to,
            whole,
        }
    }

    /// Whether it is not all of the trace.
    pub(crate) fn is_part(&self) -> bool {
        (self.start, self.end) != self.whole
    }

    /// The zoom that shows it.
    pub(crate) fn zoom(&self) -> Zoom {
        Zoom {
            from: self.start - self.whole.0,
            to: self.end - self.whole.0,
        }
    }

    pub(crate) fn length(&self) -> u64 {
        self.end - self.start
    }

    /// Whether something that lasts from `start` to `end` can be seen. What ends where the axis begins, and the other way
    /// round, can.
    pub(crate) fn shows(&self, start: u64, end: u64) -> bool {
        start <= self.end && end.max(start) >= self.start
    }

    /// Where a moment is, in percent; none outside.
    pub(crate) fn position(&self, time: u64) -> Option<f64> {
        self.shows(time, time).then(|| self.share(time))
    }

    /// The part of a bar that can be seen: its start and its width in percent, at least `width_min`. None outside.
    pub(crate) fn bar(&self, start: u64, end: u64, width_min: f64) -> Option<(f64, f64)> {
        if !self.shows(start, end) {
            return None;
        }
        let (from, to) = (self.share(start), self.share(end.max(start)));
        let width = (to - from).max(width_min).min(100.0);
        Some((from.min(100.0 - width), width))
    }

    fn share(&self, time: u64) -> f64 {
        let time = time.clamp(self.start, self.end) - self.start;
        match self.length() {
            0 => 0.0,
            length => 100.0 * time as f64 / length as f64,
        }
    }

    /// The middle half of it; none when that would be too little.
    pub(crate) fn closer(&self) -> Option<Zoom> {
        let Zoom { from, to } = self.zoom();
        let quarter = self.length() / 4;
        (self.length() / 2 >= LENGTH_MIN).then_some(Zoom {
            from: from + quarter,
            to: to - quarter,
        })
    }

    /// Twice as much, as far as the trace goes; none when it is all there already.
    pub(crate) fn wider(&self) -> Option<Zoom> {
        let Zoom { from, to } = self.zoom();
        let half = (self.length() / 2).max(1);
        self.is_part().then(|| Zoom {
            from: from.saturating_sub(half),
            to: to.saturating_add(half).min(self.whole.1 - self.whole.0),
        })
    }

    /// Half of its length earlier, or as far as the trace goes; none at its start.
    pub(crate) fn earlier(&self) -> Option<Zoom> {
        let zoom = self.zoom();
        let by = (zoom.length() / 2).max(1).min(zoom.from);
        (by > 0).then(|| Zoom {
            from: zoom.from - by,
            to: zoom.to - by,
        })
    }

    /// Half of its length later; none at the end of the trace.
    pub(crate) fn later(&self) -> Option<Zoom> {
        let zoom = self.zoom();
        let by = (zoom.length() / 2).max(1).min(self.whole.1 - self.end);
        (by > 0).then(|| Zoom {
            from: zoom.from + by,
            to: zoom.to + by,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn axis(zoom: &str) -> Axis {
        Axis::new(1_000, 2_000, Some(Zoom::parse(zoom).unwrap()))
    }

    #[test]
    fn a_zoom_is_two_offsets() {
        let zoom = Zoom::parse("1.5ms..2s").unwrap();
        assert_eq!((zoom.from, zoom.to), (1_500_000, 2_000_000_000));
        assert_eq!(zoom.to_string(), "1500us..2s");
        for wrong in [
            "",
            "1ms",
            "1ms..1ms",
            "2ms..1ms",
            "a..b",
            "1ms..2parsecs",
            "-1ms..2ms",
        ] {
            assert!(Zoom::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn bars_are_cut_to_what_is_shown() {
        let axis = axis("200ns..400ns");
        assert_eq!(axis.bar(1_000, 2_000, 0.1), Some((0.0, 100.0)));
        assert_eq!(axis.bar(1_250, 1_300, 0.1), Some((25.0, 25.0)));
        assert_eq!(axis.bar(1_350, 9_000, 0.1), Some((75.0, 25.0)));
        assert_eq!(axis.bar(1_000, 1_100, 0.1), None);
        assert_eq!(axis.bar(1_500, 1_600, 0.1), None);
        assert_eq!(axis.position(1_300), Some(50.0));
        assert_eq!(axis.position(1_500), None);
    }

    #[test]
    fn a_zoom_beyond_the_trace_shows_its_end() {
        let beyond = axis("1h..2h");
        assert_eq!((beyond.start, beyond.end), (1_990, 2_000));
        assert_eq!(axis("0ns..2h"), Axis::new(1_000, 2_000, None));
        let empty = Axis::new(5, 5, Some(Zoom::parse("1ms..2ms").unwrap()));
        assert_eq!((empty.start, empty.end, empty.is_part()), (5, 5, false));
    }

    #[test]
    fn steps_lead_through_the_trace_and_end_where_it_ends() {
        let axis = axis("400ns..600ns");
        let zoom = |from, to| Some(Zoom { from, to });
        assert_eq!(axis.closer(), zoom(450, 550));
        assert_eq!(axis.wider(), zoom(300, 700));
        assert_eq!(axis.earlier(), zoom(300, 500));
        assert_eq!(axis.later(), zoom(500, 700));
        let whole = Axis::new(1_000, 2_000, None);
        assert_eq!(
            (whole.wider(), whole.earlier(), whole.later()),
            (None, None, None)
        );
        assert_eq!(Axis::new(0, 15, None).closer(), None);
    }

    proptest! {
        #[test]
        fn nothing_is_ever_drawn_outside(
            (start, length) in (0_u64..1 << 62, 0_u64..1 << 52),
            zoom in prop::option::of((0_u64..1 << 62, 1_u64..1 << 62)),
            bar in (any::<u64>(), any::<u64>()),
        ) {
            let zoom = zoom.map(|(from, length)| Zoom { from, to: from + length });
            let axis = Axis::new(start, start + length, zoom);
            prop_assert!(axis.start >= start && axis.end <= start + length && axis.start <= axis.end);
            if let Some((x, width)) = axis.bar(bar.0, bar.1, 0.15) {
                prop_assert!(x >= 0.0 && width >= 0.15 && x + width <= 100.0 + 1e-9, "{} {}", x, width);
            }
            for next in [axis.closer(), axis.wider(), axis.earlier(), axis.later()].into_iter().flatten() {
                prop_assert!(next.from < next.to && next.to <= length, "{}", next);
                prop_assert_eq!(Zoom::parse(&next.to_string()).map(|read| read.to_string()), Ok(next.to_string()));
            }
        }

        #[test]
        fn zooming_out_ends_at_the_whole_trace(length in 10_u64..1 << 50, from in 0_u64..1 << 50) {
            let mut axis = Axis::new(0, length, Some(Zoom { from, to: from + 1 }));
            let mut steps = 0;
            while let Some(wider) = axis.wider() {
                axis = Axis::new(0, length, Some(wider));
                steps += 1;
                prop_assert!(steps < 120);
            }
            prop_assert!(!axis.is_part());
        }
    }
}
