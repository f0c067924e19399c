//! Decompression that stops at a limit, whatever the compressed bytes claim.

use std::io::{self, Read};

use flate2::bufread::{MultiGzDecoder, ZlibDecoder};

use crate::{
    budget::{Memory, NoRoom, grow},
    refusal::{Reason, Refusal},
};

/// The largest window that a zstd frame may ask the decoder to keep, as a power of two: 8 MiB, which RFC 9659 sets as
/// the limit for HTTP. It is memory outside of the budget, in as many copies as there are threads that decode.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// No deflate stream grows by more than this factor, and zstd is not believed to.
const CLAIMED_RATIO_MAX: usize = 1_032;
/// What a stream that does not say its size is first taken to grow by; telemetry compresses to about an eighth.
const USUAL_RATIO: usize = 8;

/// How a request's bytes are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Not at all.
    Identity,
    /// RFC 1952, any number of members.
    Gzip,
    /// Zlib's format (RFC 1950), which is what HTTP and gRPC call deflate.
    Deflate,
    /// RFC 8878, any number of frames.
    Zstd,
}

impl Encoding {
    /// The names that are understood, for `grpc-accept-encoding` and `accept-encoding`.
    pub(crate) const ACCEPTED: &'static str = "gzip,zstd,deflate,identity";

    /// The encoding that a header names, whatever the case.
    pub(crate) fn from_name(name: &str) -> Result<Self, Refusal> {
        match name.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Self::Identity),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "deflate" => Ok(Self::Deflate),
            "zstd" => Ok(Self::Zstd),
            _ => Err(Refusal::new(
                Reason::Encoding,
                format!("unknown compression: expected one of {}", Self::ACCEPTED),
            )),
        }
    }

    /// How large `compressed` becomes, as far as it tells: a reason to take memory, nothing to rely on.
    pub(crate) fn expected_len(self, compressed: &[u8], len_max: usize) -> usize {
        let len = compressed.len();
        let expected = match self {
            Self::Identity => len,
            Self::Gzip => compressed
                .last_chunk()
                .map_or(0, |size| u32::from_le_bytes(*size) as usize),
            Self::Deflate => len.saturating_mul(USUAL_RATIO),
            Self::Zstd => match zstd::zstd_safe::get_frame_content_size(compressed) {
                Ok(Some(size)) => usize::try_from(size).unwrap_or(usize::MAX),
                Ok(None) | Err(_) => len.saturating_mul(USUAL_RATIO),
            },
        };
        expected
            .min(len.saturating_mul(CLAIMED_RATIO_MAX))
            .clamp(len.min(len_max), len_max)
    }

    /// Decompresses at most `len_max` bytes into memory that `memory` pays for.
    pub(crate) fn decompress(
        self,
        compressed: &[u8],
        len_max: usize,
        memory: &mut dyn Memory,
    ) -> Result<Vec<u8>, Refusal> {
        let expected = self.expected_len(compressed, len_max);
        let mut read = |reader: &mut dyn Read| read_limited(reader, expected, len_max, memory);
        let result = match self {
            Self::Identity => read(&mut { compressed }),
            Self::Gzip => read(&mut MultiGzDecoder::new(compressed)),
            Self::Deflate => read(&mut ZlibDecoder::new(compressed)),
            Self::Zstd => zstd_reader(compressed)
                .map_err(Stopped::Corrupt)
                .and_then(|mut reader| read(&mut reader)),
        };
        result.map_err(|stopped| self.refusal(stopped, len_max))
    }

    fn refusal(self, stopped: Stopped, len_max: usize) -> Refusal {
        match stopped {
            Stopped::TooLarge => Refusal::new(
                Reason::TooLarge,
                format!("the request decompresses to more than {len_max} bytes, the limit"),
            ),
            Stopped::NoRoom(no_room) => Refusal::from(no_room),
            Stopped::Corrupt(error) => Refusal::new(
                Reason::Malformed,
                format!("the body is not valid {}: {error}", self.name()),
            ),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Zstd => "zstd",
        }
    }
}

impl From<NoRoom> for Refusal {
    fn from(no_room: NoRoom) -> Self {
        match no_room {
            NoRoom::Taken => Self::new(
                Reason::Memory,
                "the memory for requests under way is taken: try again later",
            ),
            NoRoom::Never { bytes, max } => Self::new(
                Reason::TooLarge,
                format!(
                    "the request needs {bytes} bytes of memory where {max} are allowed: send it in parts"
                ),
            ),
        }
    }
}

enum Stopped {
    TooLarge,
    NoRoom(NoRoom),
    Corrupt(io::Error),
}

fn zstd_reader(compressed: &[u8]) -> io::Result<zstd::stream::read::Decoder<'_, &[u8]>> {
    let mut reader = zstd::stream::read::Decoder::with_buffer(compressed)?;
    reader.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    Ok(reader)
}

/// Reads to the end, or to the first byte beyond `len_max`.
fn read_limited(
    mut reader: &mut dyn Read,
    expected: usize,
    len_max: usize,
    memory: &mut dyn Memory,
) -> Result<Vec<u8>, Stopped> {
    let stop = len_max.saturating_add(1);
    let mut out = Vec::new();
    // One more than expected, so that the end is seen without growing.
    grow(memory, &mut out, expected.saturating_add(1), stop).map_err(Stopped::NoRoom)?;
    loop {
        let room = out.capacity() - out.len();
        let read = Read::by_ref(&mut reader)
            .take(room as u64)
            .read_to_end(&mut out)
            .map_err(Stopped::Corrupt)?;
        if out.len() > len_max {
            return Err(Stopped::TooLarge);
        }
        if read < room {
            return Ok(out);
        }
        let len = out.len().saturating_add(1);
        grow(memory, &mut out, len, stop).map_err(Stopped::NoRoom)?;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{
        Compression,
        write::{GzEncoder, ZlibEncoder},
    };

    use super::*;
    use crate::budget::ByteLimit;

    const COMPRESSED: [Encoding; 3] = [Encoding::Gzip, Encoding::Deflate, Encoding::Zstd];

    fn compress(encoding: Encoding, bytes: &[u8]) -> Vec<u8> {
        match encoding {
            Encoding::Identity => bytes.to_vec(),
            Encoding::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Encoding::Deflate => {
                let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            // As a stream, which does not say its size.
            Encoding::Zstd => zstd::encode_all(bytes, 1).unwrap(),
        }
    }

    fn decompress(encoding: Encoding, bytes: &[u8], len_max: usize) -> Result<Vec<u8>, Refusal> {
        encoding.decompress(bytes, len_max, &mut ByteLimit(4 << 20))
    }

    #[test]
    fn every_encoding_gives_back_what_was_compressed() {
        let text = b"a line of a log, and ".repeat(700);
        for encoding in COMPRESSED {
            let compressed = compress(encoding, &text);
            assert_eq!(decompress(encoding, &compressed, text.len()).unwrap(), text);
        }
    }

    #[test]
    fn several_gzip_members_and_zstd_frames_are_one_stream() {
        for encoding in [Encoding::Gzip, Encoding::Zstd] {
            let both = [compress(encoding, b"one"), compress(encoding, b"two")].concat();
            assert_eq!(decompress(encoding, &both, 100).unwrap(), b"onetwo");
        }
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let bomb = vec![0; 900_000];
        for encoding in COMPRESSED {
            let compressed = compress(encoding, &bomb);
            assert!(compressed.len() < 10_000);
            let refusal = decompress(encoding, &compressed, 899_999).unwrap_err();
            assert_eq!(refusal.reason, Reason::TooLarge, "{encoding:?}");
            assert!(refusal.message.contains("899999"), "{refusal}");
            assert!(decompress(encoding, &compressed, 900_000).is_ok());
        }
    }

    #[test]
    fn what_memory_does_not_hold_is_not_decompressed() {
        let compressed = compress(Encoding::Zstd, &vec![0; 900_000]);
        let refusal = Encoding::Zstd
            .decompress(&compressed, 1 << 20, &mut ByteLimit(500_000))
            .unwrap_err();
        assert_eq!(refusal.reason, Reason::TooLarge);
    }

    #[test]
    fn a_window_beyond_the_limit_of_http_is_refused() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(ZSTD_WINDOW_LOG_MAX + 1).unwrap();
        encoder.write_all(b"small").unwrap();
        let compressed = encoder.finish().unwrap();
        let refusal = decompress(Encoding::Zstd, &compressed, 100).unwrap_err();
        assert_eq!(refusal.reason, Reason::Malformed);
    }

    #[test]
    fn cut_and_foreign_streams_are_malformed() {
        for encoding in COMPRESSED {
            let compressed = compress(encoding, b"something to be cut");
            let cut = &compressed[..compressed.len() - 1];
            for bytes in [cut, b"", b"plain text"] {
                let refusal = decompress(encoding, bytes, 100).unwrap_err();
                assert_eq!(refusal.reason, Reason::Malformed, "{encoding:?} {bytes:?}");
            }
        }
    }

    #[test]
    fn a_lying_size_takes_no_more_memory_than_the_stream_can_become() {
        let mut compressed = compress(Encoding::Gzip, b"short");
        let len = compressed.len();
        compressed[len - 4..].fill(0xff);
        let expected = Encoding::Gzip.expected_len(&compressed, usize::MAX);
        assert_eq!(expected, len * CLAIMED_RATIO_MAX);
    }

    #[test]
    fn names_are_read_in_any_case_and_unknown_ones_are_refused() {
        assert_eq!(Encoding::from_name("GZip "), Ok(Encoding::Gzip));
        assert_eq!(Encoding::from_name("identity"), Ok(Encoding::Identity));
        let refusal = Encoding::from_name("br").unwrap_err();
        assert_eq!(refusal.reason, Reason::Encoding);
        assert!(refusal.message.contains("zstd"), "{refusal}");
    }
}
