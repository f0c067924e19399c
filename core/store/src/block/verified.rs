//! A file of which every byte is checked before it is used.
//!
//! The file is divided into extents, and the index file knows the CRC-32C of each. A read takes whole extents, so that
//! one that has rotted is an error that says where, and never wrong data.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use parquet::{
    errors::ParquetError,
    file::reader::{ChunkReader, Length},
};

use super::{BlockError, error::Malformed, wire::Input};

/// What is known of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extents {
    pub(crate) length: u64,
    /// Bytes of an extent; the last may have fewer.
    pub(crate) size: u32,
    pub(crate) checksums: Vec<u32>,
}

/// No extent is larger: reading one must not take much memory.
const SIZE_MAX: u32 = 1 << 24;

impl Extents {
    /// Section 5 of the index: length as u64, size as u32, then a u32 for each extent.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.length.to_le_bytes().to_vec();
        bytes.extend(self.size.to_le_bytes());
        bytes.extend(self.checksums.iter().flat_map(|sum| sum.to_le_bytes()));
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut input = Input::new(bytes);
        let (length, size) = (input.u64()?, input.u32()?);
        if size == 0 || size > SIZE_MAX {
            return Err(Malformed(format!("extents of {size} bytes")));
        }
        if length.div_ceil(u64::from(size)) != (input.remaining() / 4) as u64 {
            return Err(Malformed::new("it has another number of extents"));
        }
        let mut checksums = Vec::with_capacity(input.remaining() / 4);
        while !input.is_empty() {
            checksums.push(input.u32()?);
        }
        Ok(Self {
            length,
            size,
            checksums,
        })
    }

    /// Computes the checksums of bytes that go by.
    pub(crate) fn summing(size: u32) -> Summing {
        Summing {
            extents: Self {
                size,
                ..Self::default()
            },
            current: 0,
            filled: 0,
        }
    }
}

/// The checksums of a file that is being written.
#[derive(Clone, Debug)]
pub(crate) struct Summing {
    extents: Extents,
    current: u32,
    filled: usize,
}

impl Summing {
    pub(crate) fn add(&mut self, mut bytes: &[u8]) {
        self.extents.length += bytes.len() as u64;
        let size = self.extents.size as usize;
        while !bytes.is_empty() {
            let count = bytes.len().min(size - self.filled);
            let (now, later) = bytes.split_at_checked(count).unwrap_or((bytes, &[]));
            self.current = crc32c::crc32c_append(self.current, now);
            self.filled += count;
            bytes = later;
            if self.filled == size {
                self.end_extent();
            }
        }
    }

    fn end_extent(&mut self) {
        self.extents.checksums.push(self.current);
        (self.current, self.filled) = (0, 0);
    }

    pub(crate) fn finish(mut self) -> Extents {
        if self.filled > 0 {
            self.end_extent();
        }
        self.extents
    }
}

/// A file that is read with its checksums.
#[derive(Clone, Debug)]
pub(crate) struct VerifiedFile {
    path: Arc<PathBuf>,
    file: Arc<File>,
    extents: Arc<Extents>,
    /// Why a read failed, for errors that pass through the Parquet reader.
    failure: Arc<Mutex<Option<BlockError>>>,
}

impl VerifiedFile {
    pub(crate) fn new(path: Arc<PathBuf>, file: Arc<File>, extents: Arc<Extents>) -> Self {
        Self {
            path,
            file,
            extents,
            failure: Arc::default(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Why the last read failed, told once.
    pub(crate) fn take_failure(&self) -> Option<BlockError> {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Bytes of the file, verified.
    pub(crate) fn read(&self, start: u64, length: usize) -> Result<Bytes, BlockError> {
        let Extents {
            length: total,
            size,
            ..
        } = *self.extents;
        let end = start.checked_add(length as u64).filter(|end| *end <= total);
        let Some(end) = end else {
            let reason = format!("{length} bytes at {start} are beyond its end at {total}");
            return Err(BlockError::corrupt(&self.path, reason));
        };
        if length == 0 {
            return Ok(Bytes::new());
        }
        let size = u64::from(size);
        let first = start / size;
        let from = first * size;
        let to = end.div_ceil(size).saturating_mul(size).min(total);
        let mut bytes = vec![0; usize::try_from(to - from).unwrap_or(usize::MAX)];
        self.file
            .read_exact_at(&mut bytes, from)
            .map_err(BlockError::io(&self.path))?;
        for (extent, number) in bytes.chunks(size as usize).zip(first..) {
            let expected = usize::try_from(number)
                .ok()
                .and_then(|number| self.extents.checksums.get(number));
            if expected != Some(&crc32c::crc32c(extent)) {
                let at = number * size;
                let reason = format!(
                    "the checksum of the {} bytes at {at} is wrong",
                    extent.len()
                );
                return Err(BlockError::corrupt(&self.path, reason));
            }
        }
        let offset = usize::try_from(start - from).unwrap_or(usize::MAX);
        Ok(Bytes::from(bytes).slice(offset..offset + length))
    }

    /// Reads all extents. Answers what is wrong with those that are not as they were written.
    pub(crate) fn problems(&self) -> Vec<BlockError> {
        let size = u64::from(self.extents.size);
        let starts = (0..self.extents.checksums.len() as u64).map(|number| number * size);
        let length = |start: u64| (self.extents.length - start).min(size) as usize;
        starts
            .filter_map(|start| self.read(start, length(start)).err())
            .collect()
    }

    fn read_for_parquet(&self, start: u64, length: usize) -> io::Result<Bytes> {
        self.read(start, length).map_err(|error| {
            let message = error.to_string();
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            io::Error::other(message)
        })
    }
}

impl Length for VerifiedFile {
    fn len(&self) -> u64 {
        self.extents.length
    }
}

impl ChunkReader for VerifiedFile {
    type T = FromHere;

    fn get_read(&self, start: u64) -> parquet::errors::Result<FromHere> {
        Ok(FromHere {
            file: self.clone(),
            at: start,
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        self.read_for_parquet(start, length)
            .map_err(|error| ParquetError::External(error.into()))
    }
}

/// Reads on from a place, extent by extent.
#[derive(Debug)]
pub(crate) struct FromHere {
    file: VerifiedFile,
    at: u64,
}

impl Read for FromHere {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let left = self.file.extents.length.saturating_sub(self.at);
        let count = target
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        let bytes = self.file.read_for_parquet(self.at, count)?;
        if let Some(target) = target.get_mut(..count) {
            target.copy_from_slice(&bytes);
        }
        self.at += count as u64;
        Ok(count)
    }
}
