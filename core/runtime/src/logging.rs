//! Logging: slog, to the standard error, for a person at a terminal or as one JSON object a line.
//!
//! The standard output belongs to answers, so that it can be piped. A [`Logger`] is passed to whoever needs one; the only
//! global one serves the `log` and `tracing` records of libraries, which have no other way to us.
//!
//! Records pass a bounded queue to a thread that writes them, so that a slow terminal does not stop the work at once.
//! What happens when the queue is full is a choice, [`Overflow`], and never silent.

mod queue;

use std::{
    io::{self, IsTerminal, LineWriter, Write},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use slog::{Drain, FnValue, Logger, Never, Record, o};

use queue::Queue;

/// How to log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The least serious level that is written.
    pub level: Level,
    /// The same for the records of libraries (HTTP, gRPC), which are of use mostly to those who look for a fault.
    pub libraries_level: Level,
    /// Lines for a person or for a machine.
    pub format: Format,
    /// Whether lines for a person are coloured.
    pub colour: Colour,
    /// Records that wait to be written at most; at least 1.
    pub queue_records_max: usize,
    /// What happens to a record that finds the queue full.
    pub when_full: Overflow,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            level: Level::Info,
            libraries_level: Level::Warn,
            format: Format::Terminal,
            colour: Colour::Auto,
            queue_records_max: 4096,
            when_full: Overflow::Block,
        }
    }
}

impl Config {
    /// Checks what types cannot say.
    ///
    /// # Errors
    /// The key and what is wrong with it.
    pub fn validate(&self) -> Result<(), String> {
        if self.queue_records_max == 0 {
            return Err("queue_records_max must be at least 1".to_owned());
        }
        Ok(())
    }
}

/// How serious a record is; `off` writes none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing.
    Off,
    /// Something failed that should not have.
    Error,
    /// It works, with a reservation that someone should know of.
    Warn,
    /// The steps of the process: started, listening, stopping.
    Info,
    /// For those who look for a fault.
    Debug,
    /// Everything; compiled into debug builds only.
    Trace,
}

/// What a line looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For a person.
    Terminal,
    /// One JSON object a line: `ts` (RFC 3339, UTC), `level`, `msg`, then the record's own keys.
    Json,
}

/// Whether lines for a person are coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Colour {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What happens to a record that finds the queue full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Overflow {
    /// Whoever logs waits: nothing is lost, and a reader of the log that stands still stops the program.
    Block,
    /// It is dropped, counted, and the count is logged as soon as there is room: the program never waits.
    Drop,
}

/// A logger to the standard error, which the records of libraries also go to. Call it once, in `main`.
///
/// # Errors
/// [`InitError`] when the process has a logger for libraries already.
pub fn init(config: &Config) -> Result<(Logger, Guard), InitError> {
    let colour = match config.colour {
        Colour::Auto => io::stderr().is_terminal(),
        Colour::Always => true,
        Colour::Never => false,
    };
    let (queue, log) = match config.format {
        Format::Json => start(config, json(io::stderr())),
        Format::Terminal => {
            let decorator = slog_term::TermDecorator::new().stderr();
            let decorator = if colour {
                decorator.force_color().build()
            } else {
                decorator.force_plain().build()
            };
            start(config, people(decorator))
        }
    };
    bridge(config, &queue)?;
    Ok((log, Guard { queue }))
}

/// A logger to `output`, for a process or a test that has its own; libraries are not bridged.
pub fn to_writer(config: &Config, output: impl Write + Send + 'static) -> (Logger, Guard) {
    let (queue, log) = match config.format {
        Format::Json => start(config, json(output)),
        Format::Terminal => start(config, people(slog_term::PlainDecorator::new(output))),
    };
    (log, Guard { queue })
}

/// Writes what is queued, and what was dropped if anything was, when it goes. Keep it in `main`, so that it goes last;
/// records that come later are lost.
#[derive(Debug)]
#[must_use = "records are lost when the guard goes before the logger"]
pub struct Guard {
    queue: Queue,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.queue.finish(Duration::from_secs(1));
    }
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("this process has a logger for libraries already")]
pub struct InitError(#[from] log::SetLoggerError);

impl Level {
    fn filter(self) -> slog::FilterLevel {
        match self {
            Self::Off => slog::FilterLevel::Off,
            Self::Error => slog::FilterLevel::Error,
            Self::Warn => slog::FilterLevel::Warning,
            Self::Info => slog::FilterLevel::Info,
            Self::Debug => slog::FilterLevel::Debug,
            Self::Trace => slog::FilterLevel::Trace,
        }
    }

    fn of_log(self) -> Option<log::Level> {
        match self {
            Self::Off => None,
            Self::Error => Some(log::Level::Error),
            Self::Warn => Some(log::Level::Warn),
            Self::Info => Some(log::Level::Info),
            Self::Debug => Some(log::Level::Debug),
            Self::Trace => Some(log::Level::Trace),
        }
    }
}

fn start<D>(config: &Config, drain: D) -> (Queue, Logger)
where
    D: Drain<Ok = (), Err = Never> + Send + 'static,
{
    let queue = Queue::start(drain, config.queue_records_max, config.when_full);
    let log = logger(&queue, config.level);
    (queue, log)
}

fn logger(queue: &Queue, level: Level) -> Logger {
    let level = level.filter();
    let drain = slog::Filter::new(queue.drain(), move |record: &Record<'_>| {
        level.accepts(record.level())
    });
    Logger::root(drain.ignore_res(), o!())
}

/// A line is written as a whole, so that lines of several processes on one terminal do not mix.
fn json(output: impl Write + Send + 'static) -> impl Drain<Ok = (), Err = Never> + Send {
    slog_json::Json::default(LineWriter::new(output)).ignore_res()
}

fn people<D>(decorator: D) -> impl Drain<Ok = (), Err = Never> + Send
where
    D: slog_term::Decorator + Send + 'static,
{
    slog_term::FullFormat::new(decorator)
        .use_utc_timestamp()
        .use_original_order()
        .build()
        .ignore_res()
}

/// `log` records come to slog by `slog-stdlog`; `tracing` events become `log` records by a feature of `tracing`, as no
/// subscriber is ever set.
fn bridge(config: &Config, queue: &Queue) -> Result<(), InitError> {
    let Some(level) = config.libraries_level.of_log() else {
        return Ok(());
    };
    let libraries = logger(queue, config.libraries_level)
        .new(o!("library" => FnValue(|record: &Record<'_>| record.tag().to_owned())));
    // Resetting would leave a logger that panics; after the guard, records go nowhere instead.
    slog_scope::set_global_logger(libraries).cancel_reset();
    slog_stdlog::init_with_level(level)?;
    Ok(())
}

#[cfg(test)]
mod tests;
