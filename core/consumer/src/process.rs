//! What the system says of the memory of this process. Linux tells; elsewhere nothing is known.

use std::fs;

/// Memory of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Resident.
    pub(crate) bytes: Option<u64>,
    /// What the control group of the process allows, where it has a limit of its own.
    pub(crate) bytes_max: Option<u64>,
}

/// How it is now. Reads two small files that are made by the system and never wait for a disk.
pub(crate) fn memory() -> Memory {
    let read = |path| fs::read_to_string(path).ok();
    Memory {
        bytes: read("/proc/self/status").and_then(|text| resident_bytes(&text)),
        bytes_max: read("/sys/fs/cgroup/memory.max").and_then(|text| text.trim().parse().ok()),
    }
}

/// proc(5): a line `VmRSS:     12345 kB`, where a kB is 1,024 bytes.
fn resident_bytes(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resident_size_is_in_bytes() {
        let status = "Name:\tlog-tracer\nVmHWM:\t  90000 kB\nVmRSS:\t  12345 kB\n";
        assert_eq!(resident_bytes(status), Some(12_345 * 1024));
        assert_eq!(resident_bytes("VmRSS: many\n"), None);
        assert_eq!(resident_bytes(""), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_takes_memory() {
        assert!(memory().bytes.is_some_and(|bytes| bytes > 100_000));
    }
}
