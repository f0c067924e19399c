//! Where an export is written: a stream of lines, or files of Parquet.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use log_tracer_consumer::parquet::{ParquetLogs, ParquetSpans};
use log_tracer_proto::{json, v1::ExportResponse};
use log_tracer_record::{log_rows, span_rows};
use log_tracer_runtime::exit::Code;

use super::{Failure, Format, Options, Which, complain};

/// Bytes of rows in memory before a file of Parquet is written and the next one begun.
const PARQUET_BYTES_MAX: usize = 256 << 20;
/// Rows of a file of Parquet at most.
const PARQUET_ROWS_MAX: usize = 1 << 20;

/// An export under way. What it writes has a temporary name until it is whole.
pub(super) enum Output {
    Lines(Lines),
    Parquet(Parquet),
}

/// One export request a line.
pub(super) struct Lines {
    which: Which,
    writer: BufWriter<Box<dyn Write>>,
    /// The file as it is called until it is whole, and then.
    names: Option<(PathBuf, PathBuf)>,
}

/// Rows that are gathered for one file after the other.
pub(super) struct Parquet {
    path: PathBuf,
    rows: Rows,
    /// Files that are written.
    files: usize,
}

enum Rows {
    Spans(Box<ParquetSpans>),
    Logs(Box<ParquetLogs>),
}

impl Output {
    pub(super) fn open(options: &Options) -> Result<Self, Failure> {
        let path = options.output.clone().filter(|path| path != Path::new("-"));
        if let Some(path) = &path
            && path.exists()
        {
            let message = format!("{} exists already: name another file", path.display());
            return Err(Failure::new(Code::Usage, message));
        }
        match (options.format, path) {
            (Format::OtlpJson, None) => Ok(Self::Lines(Lines {
                which: options.signal,
                writer: BufWriter::new(Box::new(io::stdout().lock())),
                names: None,
            })),
            (Format::OtlpJson, Some(path)) => {
                let partial = partial_name(&path);
                let file = File::create(&partial).map_err(|error| unwritable(&partial, &error))?;
                Ok(Self::Lines(Lines {
                    which: options.signal,
                    writer: BufWriter::new(Box::new(file)),
                    names: Some((partial, path)),
                }))
            }
            (Format::Parquet, Some(path)) => Ok(Self::Parquet(Parquet {
                path,
                rows: Rows::new(options.signal),
                files: 0,
            })),
            (Format::Parquet, None) => {
                let message = "--output: parquet is written to a file, name one";
                Err(Failure::new(Code::Usage, message))
            }
        }
    }

    pub(super) fn write(&mut self, page: ExportResponse) -> Result<(), Failure> {
        match self {
            Self::Lines(lines) => lines.write(&page),
            Self::Parquet(parquet) => parquet.write(page),
        }
    }

    /// Everything was written.
    pub(super) fn finish(self) -> Result<(), Failure> {
        match self {
            Self::Lines(lines) => lines.finish(),
            Self::Parquet(mut parquet) if !parquet.rows.is_empty() => parquet.end_file(),
            Self::Parquet(parquet) => {
                if parquet.files == 0 {
                    complain("nothing matches: no file is written");
                }
                Ok(())
            }
        }
    }

    /// Something went wrong: what was written of a file is taken away.
    pub(super) fn abandon(self) {
        if let Self::Lines(Lines {
            names: Some((partial, _)),
            ..
        }) = self
        {
            // It is called partial, and says by its name that it is not whole.
            fs::remove_file(partial).ok();
        }
    }
}

impl Lines {
    fn write(&mut self, page: &ExportResponse) -> Result<(), Failure> {
        if page.records == 0 {
            return Ok(());
        }
        let line = match self.which {
            Which::Logs => json::logs_to_json(&page.resource_logs),
            Which::Spans => json::traces_to_json(&page.resource_spans),
        };
        let written = writeln!(self.writer, "{line}");
        written.map_err(|error| self.failed(&error))
    }

    fn finish(mut self) -> Result<(), Failure> {
        let flushed = self.writer.flush();
        flushed.map_err(|error| self.failed(&error))?;
        match &self.names {
            None => Ok(()),
            Some((partial, path)) => {
                fs::rename(partial, path).map_err(|error| unwritable(path, &error))
            }
        }
    }

    fn failed(&self, error: &io::Error) -> Failure {
        match &self.names {
            Some((partial, _)) => unwritable(partial, error),
            None => unwritable(Path::new("the standard output"), error),
        }
    }
}

impl Parquet {
    fn write(&mut self, page: ExportResponse) -> Result<(), Failure> {
        match &mut self.rows {
            Rows::Spans(rows) => rows.push(&span_rows(page.resource_spans)),
            Rows::Logs(rows) => rows.push(&log_rows(page.resource_logs)),
        }
        if self.rows.bytes() >= PARQUET_BYTES_MAX || self.rows.len() >= PARQUET_ROWS_MAX {
            self.end_file()?;
        }
        Ok(())
    }

    /// Writes the rows that were gathered; the next go to another file.
    fn end_file(&mut self) -> Result<(), Failure> {
        self.files += 1;
        let path = numbered(&self.path, self.files);
        let written = match &mut self.rows {
            Rows::Spans(rows) => rows.write(&path),
            Rows::Logs(rows) => rows.write(&path),
        };
        written.map_err(|error| Failure::new(Code::Transient, error.to_string()))?;
        if self.files > 1 {
            complain(&format!("it goes on in {}", path.display()));
        }
        Ok(())
    }
}

impl Rows {
    fn new(which: Which) -> Self {
        match which {
            Which::Spans => Self::Spans(Box::default()),
            Which::Logs => Self::Logs(Box::default()),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Spans(rows) => rows.len(),
            Self::Logs(rows) => rows.len(),
        }
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory.
    fn bytes(&self) -> usize {
        match self {
            Self::Spans(rows) => rows.bytes(),
            Self::Logs(rows) => rows.bytes(),
        }
    }
}

/// `day.parquet`, `day-2.parquet`, `day-3.parquet`.
fn numbered(path: &Path, number: usize) -> PathBuf {
    if number < 2 {
        return path.to_owned();
    }
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{number}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

fn partial_name(path: &Path) -> PathBuf {
    let mut name = OsString::from(path.file_name().unwrap_or_default());
    name.push(".partial");
    path.with_file_name(name)
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    let message = format!("{} cannot be written: {error}", path.display());
    Failure::new(Code::Transient, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_files_have_a_number_before_the_extension() {
        let name = |number| numbered(Path::new("out/day.parquet"), number);
        assert_eq!(name(1), Path::new("out/day.parquet"));
        assert_eq!(name(2), Path::new("out/day-2.parquet"));
        assert_eq!(numbered(Path::new("day"), 3), Path::new("day-3"));
        assert_eq!(
            partial_name(Path::new("out/day.jsonl")),
            Path::new("out/day.jsonl.partial")
        );
    }
}
