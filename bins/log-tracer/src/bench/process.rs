//! What the operating system says about a process that is measured. Linux only: elsewhere every figure is absent.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio::task::JoinHandle;

/// How often resident memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Points of a curve of memory at most: with more, every second one leaves, and looks are half as often kept.
const POINTS_MAX: usize = 240;

/// What a process has used so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// User and system time of all its threads, those that ended included.
    pub(crate) cpu: Duration,
    pub(crate) resident_bytes: u64,
    /// The most that was resident since it started.
    pub(crate) peak_resident_bytes: u64,
    /// Handed to the disk; none where only its owner may know.
    pub(crate) written_bytes: Option<u64>,
}

/// What a process has used so far; `None` where there is no /proc, or no such process.
pub(crate) fn usage(pid: u32) -> Option<Usage> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let io = fs::read_to_string(format!("/proc/{pid}/io")).ok();
    let written = io.and_then(|io| number(&io, "write_bytes:"));
    Some(Usage {
        cpu: cpu(pid)?,
        resident_bytes: number(&status, "VmRSS:")? * 1024,
        peak_resident_bytes: number(&status, "VmHWM:")? * 1024,
        written_bytes: written,
    })
}

fn number(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// CPU time of a process, to the nanosecond.
#[cfg(target_os = "linux")]
pub(crate) fn cpu(pid: u32) -> Option<Duration> {
    use nix::{time::clock_getcpuclockid, unistd::Pid};
    let clock = clock_getcpuclockid(Pid::from_raw(i32::try_from(pid).ok()?)).ok()?;
    Some(Duration::from(clock.now().ok()?))
}

/// CPU time of a process: not told here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn cpu(_pid: u32) -> Option<Duration> {
    None
}

/// CPU time of this process.
pub(crate) fn own_cpu() -> Option<Duration> {
    cpu(std::process::id())
}

/// Bytes of all files below a directory, as much as can be read; files that leave meanwhile are not counted.
pub(crate) fn directory_bytes(directory: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(directory) else {
        return 0;
    };
    entries
        .filter_map(Result::ok)
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => directory_bytes(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

/// A point of a curve of memory.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MemoryPoint {
    /// Seconds since the start.
    pub s: f64,
    /// Resident bytes.
    pub bytes: u64,
}

/// Looks at the resident memory of a process until it is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    points: Arc<Mutex<Vec<MemoryPoint>>>,
    looks: JoinHandle<()>,
}

impl Watch {
    pub(crate) fn start(pid: u32) -> Self {
        let points = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&points);
        let looks = tokio::spawn(async move {
            let started = Instant::now();
            let mut every = 1_u64;
            for look in 0_u64.. {
                if look % every == 0 {
                    let Some(usage) = usage(pid) else { return };
                    let mut points = kept.lock().unwrap_or_else(PoisonError::into_inner);
                    points.push(MemoryPoint {
                        s: started.elapsed().as_secs_f64(),
                        bytes: usage.resident_bytes,
                    });
                    if points.len() >= POINTS_MAX {
                        let mut index = 0;
                        points.retain(|_| {
                            index += 1;
                            index % 2 == 1
                        });
                        every *= 2;
                    }
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        });
        Self { points, looks }
    }

    /// What was seen so far.
    pub(crate) fn points(&self) -> Vec<MemoryPoint> {
        self.points
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.looks.abort();
    }
}

/// Waits until a process has used next to no CPU for a while, so that work in the background is counted; not for
/// longer than this.
pub(crate) async fn settle(pid: u32, give_up_after: Duration) {
    const LOOK: Duration = Duration::from_millis(300);
    /// A runtime that only wakes up for its timers stays below.
    const QUIET: Duration = Duration::from_millis(5);
    let give_up = Instant::now() + give_up_after;
    let Some(mut before) = cpu(pid) else { return };
    while Instant::now() < give_up {
        tokio::time::sleep(LOOK).await;
        let Some(now) = cpu(pid) else { return };
        if now.saturating_sub(before) < QUIET {
            return;
        }
        before = now;
    }
}
