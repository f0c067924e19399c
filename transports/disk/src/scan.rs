//! Reads frames and groups from a segment, and believes nothing that has no checksum.

use std::io;

use bytes::Bytes;
use crc32c::{crc32c, crc32c_append};
use log_tracer_transport::{Envelope, Offset, Partition};

use crate::{
    base::Base,
    files,
    frame::{self, Frame, FrameKind},
    segment::{self, Segment},
};

/// Bytes that are read at a time; more for a frame that is larger.
const WINDOW_BYTES: usize = 1 << 20;

/// A view of a part of a segment. What is given out shares the memory that was read into.
#[derive(Debug)]
pub(crate) struct Window<'a> {
    segment: &'a Segment,
    /// Nothing is read from here on.
    limit: u64,
    at: u64,
    bytes: Bytes,
}

/// The header of a frame as it stands in the file.
type Encoded = [u8; frame::HEADER_BYTES];

/// A frame, its header as it stands in the file, and its verified body; or what is there instead.
pub(crate) type Found = Result<(Frame, Encoded, Contents), String>;

/// A verified body.
#[derive(Clone, Debug)]
pub(crate) enum Contents {
    Envelope(Envelope),
    Base(Base),
    Nothing,
}

impl<'a> Window<'a> {
    pub(crate) fn new(segment: &'a Segment, limit: u64) -> Self {
        Self {
            segment,
            limit: limit.min(segment.bytes),
            at: 0,
            bytes: Bytes::new(),
        }
    }

    /// The header of the frame at a place, verified; its body is not read.
    pub(crate) fn header(&mut self, at: u64) -> io::Result<Result<Frame, String>> {
        Ok(self.encoded_header(at)?.map(|(frame, _)| frame))
    }

    fn encoded_header(&mut self, at: u64) -> io::Result<Result<(Frame, Encoded), String>> {
        let Some(header) = self.get(at, frame::HEADER_BYTES as u64)? else {
            return Ok(Err("there is no room for another frame".into()));
        };
        let Some(header) = header.first_chunk() else {
            return Ok(Err("there is no frame".into()));
        };
        Ok(match Frame::decode(header) {
            Ok(frame) if frame.salt == self.segment.salt => Ok((frame, *header)),
            Ok(_) => Err("there is a frame of an earlier use of the file".into()),
            Err(error) => Err(error.to_string()),
        })
    }

    /// The frame at a place, header and body verified.
    pub(crate) fn frame(&mut self, at: u64) -> io::Result<Found> {
        let (frame, header) = match self.encoded_header(at)? {
            Ok(found) => found,
            Err(what) => return Ok(Err(what)),
        };
        let body_at = at + frame::HEADER_BYTES as u64;
        let Some(body) = self.get(body_at, frame.body_bytes)? else {
            return Ok(Err("the frame goes beyond the end".into()));
        };
        Ok(verify(&frame, body).map(|contents| (frame, header, contents)))
    }

    /// The next frame of a later group than this, anywhere from `at` on. Its header is enough: such a group was written
    /// only after everything before it was durable.
    pub(crate) fn later_group(&mut self, at: u64, group: u64) -> io::Result<Option<(u64, Frame)>> {
        let mut at = at.next_multiple_of(frame::ALIGNMENT);
        while at + frame::HEADER_BYTES as u64 <= self.limit {
            let piece = (self.limit - at).min(WINDOW_BYTES as u64);
            let Some(bytes) = self.get(at, piece)? else {
                break;
            };
            let words = bytes.chunks_exact(frame::ALIGNMENT as usize);
            let candidates = (0_u64..)
                .zip(words)
                .filter(|(_, word)| word.starts_with(&frame::MAGIC));
            for (word, _) in candidates {
                let at = at + word * frame::ALIGNMENT;
                if let Ok(frame) = self.header(at)?
                    && frame.group > group
                {
                    return Ok(Some((at, frame)));
                }
            }
            at += piece.next_multiple_of(frame::ALIGNMENT);
        }
        Ok(None)
    }

    fn get(&mut self, at: u64, bytes: u64) -> io::Result<Option<Bytes>> {
        let end = at.saturating_add(bytes);
        if end > self.limit {
            return Ok(None);
        }
        if at < self.at || end > self.at + self.bytes.len() as u64 {
            let wanted = bytes.max(WINDOW_BYTES as u64).min(self.limit - at);
            // What fits into a file that is read at once fits into memory.
            let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
            self.bytes = files::read_up_to(&*self.segment.file, at, wanted)?.into();
            self.at = at;
        }
        let start = usize::try_from(at - self.at).unwrap_or(usize::MAX);
        let length = usize::try_from(bytes).unwrap_or(usize::MAX);
        let there = start.saturating_add(length) <= self.bytes.len();
        Ok(there.then(|| self.bytes.slice(start..start + length)))
    }
}

fn verify(frame: &Frame, body: Bytes) -> Result<Contents, String> {
    let checked = match frame.kind {
        FrameKind::Envelope => body.get(..Envelope::HEADER_BYTES),
        FrameKind::Base | FrameKind::Seal => Some(&*body),
        FrameKind::Trailer => None,
    };
    if checked.is_some_and(|checked| crc32c(checked) != frame.body_checksum) {
        return Err("the body of the frame is not the one that was written with its header".into());
    }
    match frame.kind {
        FrameKind::Envelope => {
            let envelope = Envelope::decode(Partition(frame.partition), body)
                .map_err(|error| format!("the envelope: {error}"))?;
            if (envelope.batch, envelope.part) != (frame.batch, frame.part) {
                return Err("the envelope is of another batch than its frame".into());
            }
            Ok(Contents::Envelope(envelope))
        }
        FrameKind::Base => Base::decode(&body)
            .map(Contents::Base)
            .ok_or_else(|| "the base cannot be read".into()),
        FrameKind::Seal | FrameKind::Trailer => match body.is_empty() {
            true => Ok(Contents::Nothing),
            false => Err("a frame without a body has one".into()),
        },
    }
}

/// A whole group: its trailer is there, and everything before it.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) number: u64,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) base: Option<Base>,
    pub(crate) envelopes: Vec<Placed>,
    /// Whether it says that the journal was closed.
    pub(crate) seal: bool,
    pub(crate) written_unix_millis: u64,
}

/// An envelope and where it is.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) at: u64,
    pub(crate) offset: Offset,
    pub(crate) envelope: Envelope,
}

/// The groups of a segment, one after the other.
#[derive(Debug)]
pub(crate) struct Groups<'a> {
    window: Window<'a>,
    /// Where the next group starts.
    at: u64,
    /// The number that it must have; the first group of a segment says its own.
    expected: Option<u64>,
}

/// What a group was looked for and not found as.
#[derive(Debug)]
pub(crate) struct Stop {
    pub(crate) at: u64,
    pub(crate) what: String,
}

impl<'a> Groups<'a> {
    pub(crate) fn new(segment: &'a Segment, limit: u64) -> Self {
        Self {
            window: Window::new(segment, limit),
            at: segment::HEADER_BYTES,
            expected: None,
        }
    }

    /// The next group, or what stands there instead.
    pub(crate) fn next(&mut self) -> io::Result<Result<Group, Stop>> {
        let mut group = Group {
            number: self.expected.unwrap_or_default(),
            start: self.at,
            end: self.at,
            base: None,
            envelopes: Vec::new(),
            seal: false,
            written_unix_millis: 0,
        };
        let mut headers_checksum = 0;
        let mut frames = 0;
        loop {
            let at = group.end;
            let stop = |what: String| Ok(Err(Stop { at, what }));
            let (frame, header, contents) = match self.window.frame(at)? {
                Ok(found) => found,
                Err(what) => return stop(what),
            };
            if frames == 0 && self.expected.is_none() {
                group.number = frame.group;
            }
            if frame.group != group.number || frame.index != frames {
                return stop(format!(
                    "frame {} of group {}, expected frame {frames} of group {}",
                    frame.index, frame.group, group.number
                ));
            }
            group.end = at + frame.total_bytes();
            group.written_unix_millis = frame.written_unix_millis;
            match contents {
                Contents::Envelope(envelope) => group.envelopes.push(Placed {
                    at,
                    offset: Offset(frame.offset),
                    envelope,
                }),
                Contents::Base(base) if frames == 0 => group.base = Some(base),
                Contents::Base(_) => return stop("a base within a group".into()),
                Contents::Nothing if frame.kind == FrameKind::Seal => group.seal = true,
                Contents::Nothing => {
                    if frame.body_checksum != headers_checksum || frame.offset != group.start {
                        return stop("the trailer is of another group".into());
                    }
                    break;
                }
            }
            headers_checksum = crc32c_append(headers_checksum, &header);
            frames += 1;
        }
        if group.start == segment::HEADER_BYTES {
            let expected = group
                .base
                .as_ref()
                .map(|base| base.last_group.saturating_add(1));
            if expected != Some(group.number) {
                let what = "the first group of the segment does not fit its base".into();
                return Ok(Err(Stop {
                    at: group.start,
                    what,
                }));
            }
        }
        self.at = group.end;
        self.expected = Some(group.number.saturating_add(1));
        Ok(Ok(group))
    }

    /// Goes on at another place, where a group of this number should start.
    pub(crate) fn skip_to(&mut self, at: u64, group: u64) {
        self.at = at;
        self.expected = Some(group);
    }

    /// Whether a group later than this stands anywhere from a place on.
    pub(crate) fn later_group(&mut self, at: u64, group: u64) -> io::Result<Option<(u64, Frame)>> {
        self.window.later_group(at, group)
    }
}
