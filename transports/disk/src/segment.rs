//! A segment: one file of the journal, of fixed size, filled with zeros or with what it held before.
//!
//! # Layout
//!
//! Version 1, little endian. The file starts with this header; frames ([`crate::frame`]) follow at byte 128.
//!
//! | at | bytes | field | notes |
//! |---:|---:|---|---|
//! | 0 | 4 | magic | `LTJS` |
//! | 4 | 2 | version | 1 |
//! | 6 | 2 | reserved | 0 |
//! | 8 | 16 | log id | |
//! | 24 | 8 | sequence | the number of the segment, also its name |
//! | 32 | 8 | salt | random; every frame of this use of the file carries it |
//! | 40 | 8 | created | milliseconds since 1970-01-01T00:00:00Z |
//! | 48 | 76 | reserved | 0 |
//! | 124 | 4 | checksum | crc32c of bytes 0 to 123 |

use std::{
    io::{self, IoSlice},
    num::NonZeroU16,
    path::PathBuf,
    sync::Arc,
};

use bytes::{Buf, BufMut};
use crc32c::crc32c;
use log_tracer_transport::LogId;

use crate::{
    base,
    error::{Damage, Error},
    files::{self, File, Files},
    frame, names,
};

/// Where the frames start.
pub(crate) const HEADER_BYTES: u64 = 128;
const MAGIC: [u8; 4] = *b"LTJS";
const VERSION: u16 = 1;
const HEADER: usize = HEADER_BYTES as usize;
const CHECKED_BYTES: usize = HEADER - 4;

/// An open segment file.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) sequence: u64,
    pub(crate) salt: u64,
    /// The size of the file in bytes.
    pub(crate) bytes: u64,
    pub(crate) file: Arc<dyn File>,
}

/// What a directory and a log give to each of their segments.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) files: Arc<dyn Files>,
    pub(crate) directory: PathBuf,
    pub(crate) log_id: LogId,
}

impl Place {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Makes a segment that can be written to: durable under its name, with a header and no frame.
    ///
    /// A file that is left over is used again if it has the right size.
    pub(crate) fn create_segment(&self, sequence: u64, bytes: u64) -> io::Result<Arc<Segment>> {
        let (spare, building) = (self.path(names::SPARE), self.path(names::BUILDING));
        let used_before = match self.files.open(&spare, true) {
            Ok(file) if file.len()? == bytes => Some(file),
            Ok(_) => None,
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let (file, path) = match used_before {
            Some(file) => (file, spare),
            None => {
                files::remove_if_there(&*self.files, &building)?;
                let file = self.files.create(&building)?;
                files::fill_with_zeros(&*file, bytes)?;
                (file, building)
            }
        };
        let header = Header {
            log_id: self.log_id,
            sequence,
            salt: rand::random(),
        };
        let encoded = header.encode(self.files.unix_millis());
        files::write_all(&*file, &mut [IoSlice::new(&encoded)], 0)?;
        files::sync(&*file)?;
        // Only now: a file under this name has a header.
        self.files
            .rename(&path, &self.path(&names::segment(sequence)))?;
        self.files.sync_dir(&self.directory)?;
        Ok(Arc::new(Segment {
            sequence,
            salt: header.salt,
            bytes,
            file,
        }))
    }

    /// Keeps the file of a segment that is no longer needed for one that will be.
    ///
    /// Durable before it returns: under its old name it must never be seen with a new header.
    pub(crate) fn keep_as_spare(&self, sequence: u64) -> io::Result<()> {
        let name = self.path(&names::segment(sequence));
        self.files.rename(&name, &self.path(names::SPARE))?;
        self.files.sync_dir(&self.directory)
    }

    /// Opens a segment that is there and reads its header.
    pub(crate) fn open_segment(&self, sequence: u64, write: bool) -> Result<Segment, Error> {
        let name = names::segment(sequence);
        let path = self.path(&name);
        let failed = |source| Error::io(format_args!("reading {}", path.display()), source);
        let file = self.files.open(&path, write).map_err(failed)?;
        let bytes = file.len().map_err(failed)?;
        let start = files::read_up_to(&*file, 0, HEADER).map_err(failed)?;
        let header = Header::decode(&start).and_then(|header| header.check(self, sequence));
        let header = header.map_err(|what| Damage::new(&name, 0, what))?;
        Ok(Segment {
            sequence,
            salt: header.salt,
            bytes,
            file,
        })
    }
}

/// Bytes of a segment that holds one group of a base and an envelope of so many encoded bytes.
pub(crate) fn bytes_for(partitions: NonZeroU16, envelope_bytes: u64) -> u64 {
    let base = frame::total_bytes(base::body_bytes(partitions.get()));
    let trailer = frame::HEADER_BYTES as u64;
    (HEADER_BYTES + base + trailer).saturating_add(frame::total_bytes(envelope_bytes))
}

struct Header {
    log_id: LogId,
    sequence: u64,
    salt: u64,
}

impl Header {
    fn encode(&self, created_unix_millis: u64) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        let (fields, checksum) = header.split_at_mut(CHECKED_BYTES);
        let mut out = &mut *fields;
        out.put_slice(&MAGIC);
        out.put_u16_le(VERSION);
        out.put_u16_le(0);
        out.put_u128_le(self.log_id.0);
        out.put_u64_le(self.sequence);
        out.put_u64_le(self.salt);
        out.put_u64_le(created_unix_millis);
        checksum.copy_from_slice(&crc32c(fields).to_le_bytes());
        header
    }

    fn decode(bytes: &[u8]) -> Result<Self, String> {
        let Some(header) = bytes.first_chunk::<HEADER>() else {
            return Err(format!(
                "the file ends after {} bytes, within the header of the segment",
                bytes.len()
            ));
        };
        let (fields, mut checksum) = header.split_at(CHECKED_BYTES);
        let mut input = fields;
        let mut magic = [0; 4];
        input.copy_to_slice(&mut magic);
        if magic != MAGIC {
            return Err("this is not a segment".into());
        }
        if crc32c(fields) != checksum.get_u32_le() {
            return Err(
                "the header of the segment does not have the checksum that was written with it"
                    .into(),
            );
        }
        let version = input.get_u16_le();
        if version != VERSION {
            return Err(format!(
                "a segment of version {version}, this build reads version {VERSION}"
            ));
        }
        input.advance(2);
        Ok(Self {
            log_id: LogId(input.get_u128_le()),
            sequence: input.get_u64_le(),
            salt: input.get_u64_le(),
        })
    }

    fn check(self, place: &Place, sequence: u64) -> Result<Self, String> {
        if self.log_id != place.log_id {
            return Err(format!(
                "a segment of the log {}, this directory is of the log {}",
                self.log_id, place.log_id
            ));
        }
        if self.sequence != sequence {
            return Err(format!("this is segment {}", self.sequence));
        }
        Ok(self)
    }
}
