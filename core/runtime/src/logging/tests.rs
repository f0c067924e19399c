use std::{
    io::{self, Write},
    sync::{Arc, Condvar, Mutex},
};

use super::*;

/// Collects what is written; while it is shut, a write waits.
#[derive(Clone, Default)]
struct Sink(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    text: Vec<u8>,
    shut: bool,
    waiting: bool,
}

impl Sink {
    fn shut(&self, shut: bool) {
        self.0.0.lock().unwrap().shut = shut;
        self.0.1.notify_all();
    }

    /// Returns once a write waits.
    fn until_a_write_waits(&self) {
        let state = self.0.0.lock().unwrap();
        drop(self.0.1.wait_while(state, |state| !state.waiting).unwrap());
    }

    fn lines(&self) -> Vec<String> {
        let text = self.0.0.lock().unwrap().text.clone();
        String::from_utf8(text)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect()
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.0.lock().unwrap();
        state.waiting = state.shut;
        self.0.1.notify_all();
        let mut state = self.0.1.wait_while(state, |state| state.shut).unwrap();
        state.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn json_config() -> Config {
    Config {
        format: Format::Json,
        ..Config::default()
    }
}

#[test]
fn a_json_line_holds_time_level_message_and_keys() {
    let sink = Sink::default();
    let (log, guard) = to_writer(&json_config(), sink.clone());
    slog::warn!(log, "the log is nearly full"; "bytes" => 12, "partition" => 3);
    drop(guard);
    let lines = sink.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    let line: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(line["level"], "WARN");
    assert_eq!(line["msg"], "the log is nearly full");
    assert_eq!(line["bytes"], 12);
    assert_eq!(line["partition"], 3);
    assert!(line["ts"].as_str().unwrap().ends_with('Z'), "{line}");
}

#[test]
fn a_line_for_a_person_has_no_colour_where_it_is_no_terminal() {
    let sink = Sink::default();
    let (log, guard) = to_writer(&Config::default(), sink.clone());
    slog::info!(log, "listening"; "address" => "127.0.0.1:4317");
    drop(guard);
    let lines = sink.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].ends_with("INFO listening, address: 127.0.0.1:4317"),
        "{lines:?}"
    );
    assert!(!lines[0].contains('\u{1b}'), "{lines:?}");
}

#[test]
fn records_below_the_level_are_not_written() {
    let sink = Sink::default();
    let (log, guard) = to_writer(&json_config(), sink.clone());
    slog::debug!(log, "no");
    slog::info!(log, "yes");
    drop(guard);
    assert_eq!(sink.lines().len(), 1);

    let off = Config {
        level: Level::Off,
        ..json_config()
    };
    let sink = Sink::default();
    let (log, guard) = to_writer(&off, sink.clone());
    slog::crit!(log, "no");
    drop(guard);
    assert_eq!(sink.lines().len(), 0);
}

#[test]
fn dropped_records_are_counted_and_the_count_is_written_even_at_the_very_end() {
    let sink = Sink::default();
    sink.shut(true);
    let config = Config {
        queue_records_max: 1,
        when_full: Overflow::Drop,
        ..json_config()
    };
    let (log, guard) = to_writer(&config, sink.clone());
    slog::info!(log, "in the hands of the writer");
    sink.until_a_write_waits();
    slog::info!(log, "queued");
    for _ in 0..5 {
        slog::info!(log, "dropped");
    }
    sink.shut(false);
    drop(guard);
    let lines = sink.lines();
    assert_eq!(lines.len(), 3, "{lines:?}");
    let report: serde_json::Value = serde_json::from_str(&lines[2]).unwrap();
    assert_eq!(report["records"], 5, "{lines:?}");
    assert_eq!(report["level"], "ERRO");
}

#[test]
fn nothing_is_lost_when_a_full_queue_blocks() {
    let sink = Sink::default();
    let config = Config {
        queue_records_max: 1,
        when_full: Overflow::Block,
        ..json_config()
    };
    let (log, guard) = to_writer(&config, sink.clone());
    for number in 0..500 {
        slog::info!(log, "one of many"; "number" => number);
    }
    drop(guard);
    assert_eq!(sink.lines().len(), 500);
}

#[test]
fn a_record_after_the_guard_is_lost_without_harm() {
    let sink = Sink::default();
    let (log, guard) = to_writer(&json_config(), sink.clone());
    drop(guard);
    slog::info!(log, "too late");
    assert_eq!(sink.lines().len(), 0);
}

#[test]
fn a_queue_of_no_records_is_refused() {
    let config = Config {
        queue_records_max: 0,
        ..Config::default()
    };
    assert_eq!(
        config.validate(),
        Err("queue_records_max must be at least 1".to_owned())
    );
}
