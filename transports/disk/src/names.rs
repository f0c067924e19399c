//! The names of the files of a journal, made and read here only.

/// Held by the process that has the journal open.
pub(crate) const LOCK: &str = "lock";
/// What the log is: see `manifest.rs`.
pub(crate) const MANIFEST: &str = "manifest";
/// The cursors of the groups: see `cursors.rs`.
pub(crate) const CURSORS: &str = "cursors";
/// Which batches were stored lately: see `recent.rs`.
pub(crate) const RECENT: &str = "recent";
/// A segment file that is kept to be used again.
pub(crate) const SPARE: &str = "spare";
/// A segment file that is being filled with zeros.
pub(crate) const BUILDING: &str = "building";
/// Room for the small files on a disk that is full.
pub(crate) const BALLAST: &str = "ballast";

const SEGMENT: &str = ".segment";
const INDEX: &str = ".index";

/// The file of a segment.
pub(crate) fn segment(sequence: u64) -> String {
    format!("{sequence:020}{SEGMENT}")
}

/// The file with the index of a segment.
pub(crate) fn index(sequence: u64) -> String {
    format!("{sequence:020}{INDEX}")
}

/// What a file in the directory of a journal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Segment(u64),
    Index(u64),
    /// A file that is written before it replaces another, and means nothing once nobody writes it.
    Temporary,
    /// One of the constants above, or nothing of ours.
    Other,
}

/// Reads a name that one of the functions above made.
pub(crate) fn parse(name: &str) -> Name {
    let number = |suffix| {
        let digits = name.strip_suffix(suffix)?;
        let ours = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
        ours.then(|| digits.parse().ok()).flatten()
    };
    if let Some(sequence) = number(SEGMENT) {
        return Name::Segment(sequence);
    }
    if let Some(sequence) = number(INDEX) {
        return Name::Index(sequence);
    }
    match name.ends_with(".tmp") || name == BUILDING {
        true => Name::Temporary,
        false => Name::Other,
    }
}
