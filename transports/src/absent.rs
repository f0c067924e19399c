//! Configurations of engines that this build does without.

use serde::{Deserialize, Serialize};

/// The keys of an engine that this build knows nothing of: any of them is read, and none is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Absent {}

/// Why a configuration of that kind is refused.
pub(crate) fn refusal(kind: &str) -> String {
    format!(
        "kind is \"{kind}\", which this program was built without; build it with `--features {kind}`"
    )
}
