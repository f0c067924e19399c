//! Rows as files of Parquet, in the columns of a block, for whoever wants to look at them with other tools.

use std::{
    ffi::OsString,
    fs, io, mem,
    path::{Path, PathBuf},
    sync::Arc,
};

use log_tracer_record::{LogRow, SpanRow};

use crate::{
    Origin,
    block::{self, BlockCache, BlockError, BlockId, Options, Storable},
    chunk::{ChunkBuilder, LogChunk, SpanChunk},
};

/// Rows that are frozen together.
const CHUNK_ROWS: u32 = 8_192;
/// What is read back of a file that was written.
const CACHE_BYTES: u64 = 1 << 20;

/// Why a file was not written. Names it.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be written: {source}", path.display())]
pub struct ParquetError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    #[source]
    pub source: io::Error,
}

/// Spans that are gathered in memory for a file.
#[derive(Debug, Default)]
pub struct ParquetSpans(Gathered<SpanChunk>);

/// Log records that are gathered in memory for a file.
#[derive(Debug, Default)]
pub struct ParquetLogs(Gathered<LogChunk>);

impl ParquetSpans {
    /// Adds spans.
    pub fn push(&mut self, rows: &[SpanRow]) {
        self.0.push(rows);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.rows
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.rows == 0
    }

    /// Bytes of memory that they take, about.
    pub fn bytes(&self) -> usize {
        self.0.bytes()
    }

    /// Writes them to a new file, sorted by their start; afterwards there are none.
    ///
    /// # Errors
    /// The file is there already, there are no spans, or the file system refuses. They are lost.
    pub fn write(&mut self, path: &Path) -> Result<(), ParquetError> {
        mem::take(&mut self.0).write(path)
    }
}

impl ParquetLogs {
    /// Adds log records.
    pub fn push(&mut self, rows: &[LogRow]) {
        self.0.push(rows);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.rows
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.rows == 0
    }

    /// Bytes of memory that they take, about.
    pub fn bytes(&self) -> usize {
        self.0.bytes()
    }

    /// Writes them to a new file, sorted by their time; afterwards there are none.
    ///
    /// # Errors
    /// The file is there already, there are no records, or the file system refuses. They are lost.
    pub fn write(&mut self, path: &Path) -> Result<(), ParquetError> {
        mem::take(&mut self.0).write(path)
    }
}

#[derive(Debug)]
struct Gathered<C: Storable> {
    frozen: Vec<Arc<C>>,
    open: C::Builder,
    rows: usize,
}

impl<C: Storable> Default for Gathered<C> {
    fn default() -> Self {
        Self {
            frozen: Vec::new(),
            open: C::Builder::default(),
            rows: 0,
        }
    }
}

impl<C: Storable> Gathered<C> {
    fn push(&mut self, rows: &[C::Row]) {
        for row in rows {
            // No envelope: the order in which they came is all that is known.
            let origin = Origin {
                partition: 0,
                offset: self.rows as u64,
            };
            self.open.append(origin, 0, row);
            self.rows += 1;
            if self.open.rows() >= CHUNK_ROWS {
                self.freeze();
            }
        }
        self.open.release();
    }

    fn freeze(&mut self) {
        self.frozen
            .push(Arc::new(mem::take(&mut self.open).freeze()));
    }

    fn bytes(&self) -> usize {
        let frozen: usize = self.frozen.iter().map(|chunk| chunk.bytes()).sum();
        frozen + self.open.bytes()
    }

    fn write(mut self, path: &Path) -> Result<(), ParquetError> {
        self.freeze();
        self.frozen.retain(|chunk| chunk.rows() > 0);
        let failed = |source| ParquetError {
            path: path.to_owned(),
            source,
        };
        if path.exists() {
            return Err(failed(io::ErrorKind::AlreadyExists.into()));
        }
        // A block has an index, too, and is made in a directory of its own.
        let mut name = OsString::from(path.file_name().unwrap_or_default());
        name.push(".partial");
        let partial = path.with_file_name(name);
        fs::create_dir(&partial).map_err(failed)?;
        let written = self.write_in(&partial, path);
        let cleared = fs::remove_dir_all(&partial);
        written.and(cleared).map_err(failed)
    }

    fn write_in(&self, directory: &Path, path: &Path) -> io::Result<()> {
        let options = Options::new(&BlockCache::new(CACHE_BYTES));
        let id = BlockId(0);
        let written = block::write(
            directory,
            id,
            &self.frozen,
            block::Arrival::default(),
            &options,
        );
        written.map_err(|error| match error {
            BlockError::Io { source, .. } => source,
            other => io::Error::other(other),
        })?;
        fs::rename(block::rows_path::<C>(directory, id), path)
    }
}

#[cfg(test)]
mod tests {
    use log_tracer_record::otlp::trace::Span;

    use super::*;

    fn span(name: &str) -> SpanRow {
        SpanRow {
            resource: Arc::default(),
            scope: Arc::default(),
            span: Span {
                name: name.to_owned(),
                start_time_unix_nano: 7,
                ..Span::default()
            },
        }
    }

    #[test]
    fn a_file_holds_the_rows_and_nothing_stays_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("spans.parquet");
        let mut spans = ParquetSpans::default();
        spans.push(&vec![span("work"); 10_000]);
        assert_eq!(spans.len(), 10_000);
        spans.write(&path).unwrap();
        assert!(spans.is_empty());
        let bytes = fs::read(&path).unwrap();
        assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_is_there_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("logs.parquet");
        fs::write(&path, "mine").unwrap();
        let mut logs = ParquetLogs::default();
        let refused = logs.write(&path).unwrap_err();
        assert!(
            refused
                .to_string()
                .contains("logs.parquet cannot be written"),
            "{refused}"
        );
        assert_eq!(fs::read(&path).unwrap(), b"mine");
    }

    #[test]
    fn no_rows_make_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("spans.parquet");
        ParquetSpans::default().write(&path).unwrap_err();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
