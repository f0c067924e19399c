//! Opens a log whose engine may not be there yet.

use std::{sync::Arc, time::Duration};

use log_tracer_transport::{OpenError, Transport};
use slog::{Logger, info, warn};
use tokio::time::{Instant, sleep};

use crate::{TransportConfig, open};

/// The first wait between two attempts; it doubles each time.
const AGAIN_AFTER_MIN: Duration = Duration::from_millis(100);
/// The longest: an engine that comes back is noticed this late at most.
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(2);
/// Between two lines of the log while it stays away for the same reason.
const TELL_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// Opens the log that `config` describes, and tries again for as long as it may still work. Says in `log` what it waits
/// for: at once, when the reason changes, and now and then.
///
/// # Errors
///
/// [`OpenError::Invalid`] and [`OpenError::Failed`]: waiting would not help.
pub async fn open_patiently(
    config: &TransportConfig,
    log: &Logger,
) -> Result<Arc<dyn Transport>, OpenError> {
    let began = Instant::now();
    let mut wait = AGAIN_AFTER_MIN;
    let mut told: Option<(String, Instant)> = None;
    loop {
        let cause = match open(config).await {
            Err(OpenError::Transient(cause)) => cause.to_string(),
            Ok(transport) => {
                if told.is_some() {
                    info!(log, "the log is open"; "after_ms" => began.elapsed().as_millis());
                }
                return Ok(transport);
            }
            Err(error) => return Err(error),
        };
        let is_news = told
            .as_ref()
            .is_none_or(|(last, when)| *last != cause || when.elapsed() >= TELL_AGAIN_AFTER);
        if is_news {
            warn!(log, "the log cannot be opened yet and will be tried again"; "error" => &cause);
            told = Some((cause, Instant::now()));
        }
        sleep(wait).await;
        wait = wait.saturating_mul(2).min(AGAIN_AFTER_MAX);
    }
}
