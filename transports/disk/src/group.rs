//! Builds the bytes of a group: frames and their trailer, in pieces, so that large payloads are written from where they
//! are.

use std::{io::IoSlice, ops::Range};

use bytes::Bytes;
use crc32c::{crc32c, crc32c_append};
use log_tracer_transport::{BatchId, Envelope, Offset, Part};

use crate::{
    base::Base,
    frame::{self, Frame, FrameKind},
};

/// Payloads up to this are copied between their headers, larger ones are not: a piece of its own costs about as much as
/// copying so many bytes.
const COPIED_BYTES_MAX: usize = 4 << 10;

/// A group that is being built. The same builder is used again for the next group, with its memory.
#[derive(Debug, Default)]
pub(crate) struct GroupBuilder {
    salt: u64,
    group: u64,
    written_unix_millis: u64,
    start: u64,
    /// Where the next frame goes.
    at: u64,
    frames: u32,
    headers_checksum: u32,
    copied: Vec<u8>,
    pieces: Vec<Piece>,
}

#[derive(Debug)]
enum Piece {
    Copied(Range<usize>),
    Shared(Bytes),
}

impl GroupBuilder {
    /// Starts a group that will stand at `start` in the segment of that salt.
    pub(crate) fn start(&mut self, salt: u64, group: u64, start: u64, written_unix_millis: u64) {
        self.copied.clear();
        self.pieces.clear();
        self.salt = salt;
        self.group = group;
        self.written_unix_millis = written_unix_millis;
        self.start = start;
        self.at = start;
        self.frames = 0;
        self.headers_checksum = 0;
    }

    pub(crate) fn base(&mut self, base: &Base) {
        let body = base.encode();
        let mut frame = self.frame(FrameKind::Base);
        frame.body_checksum = crc32c(&body);
        frame.body_bytes = body.len() as u64;
        self.header(&frame);
        self.copy(&body);
        self.finish_frame(&frame);
    }

    /// Adds an envelope, given with its header as encoded, and says where its frame starts.
    pub(crate) fn envelope(
        &mut self,
        envelope: &Envelope,
        header: &[u8; Envelope::HEADER_BYTES],
        offset: Offset,
    ) -> u64 {
        let mut frame = self.frame(FrameKind::Envelope);
        frame.partition = envelope.partition.0;
        frame.body_checksum = crc32c(header);
        frame.offset = offset.0;
        frame.body_bytes = envelope.encoded_len() as u64;
        frame.batch = envelope.batch;
        frame.part = envelope.part;
        let at = self.at;
        self.header(&frame);
        self.copy(header);
        if envelope.payload.len() <= COPIED_BYTES_MAX {
            self.copy(&envelope.payload);
        } else {
            self.pieces.push(Piece::Shared(envelope.payload.clone()));
        }
        self.finish_frame(&frame);
        at
    }

    pub(crate) fn seal(&mut self) {
        let mut frame = self.frame(FrameKind::Seal);
        frame.body_checksum = crc32c(&[]);
        self.header(&frame);
        self.finish_frame(&frame);
    }

    /// Ends the group with its trailer and says where the next one starts.
    pub(crate) fn end(&mut self) -> u64 {
        let mut frame = self.frame(FrameKind::Trailer);
        frame.body_checksum = self.headers_checksum;
        frame.offset = self.start;
        self.header(&frame);
        self.finish_frame(&frame);
        self.at
    }

    /// The bytes of the group, in pieces.
    pub(crate) fn slices(&self) -> Vec<IoSlice<'_>> {
        let bytes = self.pieces.iter().map(|piece| match piece {
            Piece::Copied(range) => self.copied.get(range.clone()).unwrap_or_default(),
            Piece::Shared(bytes) => bytes,
        });
        bytes.map(IoSlice::new).collect()
    }

    fn frame(&self, kind: FrameKind) -> Frame {
        Frame {
            kind,
            partition: 0,
            salt: self.salt,
            group: self.group,
            index: self.frames,
            body_checksum: 0,
            offset: 0,
            body_bytes: 0,
            written_unix_millis: self.written_unix_millis,
            batch: BatchId(0),
            part: Part { index: 0, count: 0 },
        }
    }

    fn header(&mut self, frame: &Frame) {
        let header = frame.encode();
        self.headers_checksum = crc32c_append(self.headers_checksum, &header);
        self.copy(&header);
    }

    fn finish_frame(&mut self, frame: &Frame) {
        let filled = frame.total_bytes() - frame::HEADER_BYTES as u64 - frame.body_bytes;
        // Less than the alignment.
        self.copy([0; 8].get(..filled as usize).unwrap_or_default());
        self.at += frame.total_bytes();
        self.frames += 1;
    }

    fn copy(&mut self, bytes: &[u8]) {
        let start = self.copied.len();
        self.copied.extend_from_slice(bytes);
        let end = self.copied.len();
        match self.pieces.last_mut() {
            Some(Piece::Copied(range)) => range.end = end,
            _ => self.pieces.push(Piece::Copied(start..end)),
        }
    }
}
