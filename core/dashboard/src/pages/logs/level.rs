//! The least severity of log records that is asked for, as a choice beside a query.

use crate::{fault::Fault, params::Params, search::Choice};

/// The severities to choose from: the value of `level`, and what it is called.
pub(super) const LEVELS: [(&str, &str); 5] = [
    ("", "Any severity"),
    ("debug", "Debug and above"),
    ("info", "Info and above"),
    ("warn", "Warn and above"),
    ("error", "Error and above"),
];

/// Reads `level`: the least severity, or nothing.
pub(crate) fn read(params: &Params) -> Result<&'static str, Fault> {
    let level = params.read("level", |text| {
        let level = LEVELS.iter().find(|(name, _)| *name == text);
        level.map(|(name, _)| *name).ok_or_else(|| {
            format!("`{text}` is not a severity; it is one of debug, info, warn, error")
        })
    })?;
    Ok(level.unwrap_or_default())
}

/// The query for a least severity.
pub(crate) fn term(level: &str) -> String {
    match level {
        "" => String::new(),
        level => format!("severity>={level}"),
    }
}

/// The severities to choose from.
pub(crate) fn choices(chosen: &str) -> Vec<Choice> {
    LEVELS
        .iter()
        .map(|(value, label)| Choice {
            value: (*value).to_owned(),
            label: (*label).to_owned(),
            selected: *value == chosen,
        })
        .collect()
}
