//! A part of the process that serves until it is told to stop.

use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

use super::Failure;

/// A task that serves, and the token that stops it.
#[derive(Debug)]
pub(super) struct Part {
    name: &'static str,
    stop: CancellationToken,
    task: JoinHandle<Result<(), String>>,
}

impl Part {
    /// Runs `serving` until it ends; it should when `stop` is cancelled. When it ends before, `ended` is cancelled.
    pub(super) fn start<E, F>(
        name: &'static str,
        serving: F,
        stop: CancellationToken,
        ended: CancellationToken,
    ) -> Self
    where
        E: std::error::Error + Send + Sync + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        let asked = stop.clone();
        let task = tokio::spawn(async move {
            // A panic of a part ends the process in order, too.
            let tell = ended.drop_guard();
            let result = serving.await.map_err(|error| error.to_string());
            if asked.is_cancelled() {
                tell.disarm();
                return result;
            }
            result.and(Err("it ended although nobody asked it to".to_owned()))
        });
        Self { name, stop, task }
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// Asks it to stop and waits for it, until `deadline` at most.
    pub(super) async fn stop(mut self, deadline: Instant) -> Result<(), Failure> {
        self.stop.cancel();
        let reason = match tokio::time::timeout_at(deadline, &mut self.task).await {
            Ok(Ok(Ok(()))) => return Ok(()),
            Ok(Ok(Err(reason))) => reason,
            Ok(Err(panic)) => panic.to_string(),
            Err(_) => {
                self.task.abort();
                return Err(Failure::of(
                    self.name,
                    "cut off at the deadline with work under way".to_owned(),
                ));
            }
        };
        Err(Failure {
            part: self.name,
            reason,
            is_fault: true,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, io, time::Duration};

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[tokio::test]
    async fn a_part_that_stops_when_asked_is_no_failure() {
        let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
        let until = stop.clone();
        let serving = async move {
            until.cancelled().await;
            Ok::<_, Infallible>(())
        };
        let part = Part::start("test", serving, stop, ended.clone());
        assert!(part.stop(soon()).await.is_ok());
        assert!(!ended.is_cancelled());
    }

    #[tokio::test]
    async fn a_part_that_fails_or_panics_or_just_ends_is_noticed_and_reported() {
        type Serving = std::pin::Pin<Box<dyn Future<Output = Result<(), io::Error>> + Send>>;
        let cases: [(Serving, &str); 3] = [
            (
                Box::pin(async { Err(io::Error::other("the socket is gone")) }),
                "the socket is gone",
            ),
            (Box::pin(async { panic!("a fault") }), "a fault"),
            (Box::pin(async { Ok(()) }), "nobody asked it to"),
        ];
        for (serving, expected) in cases {
            let ended = CancellationToken::new();
            let part = Part::start("test", serving, CancellationToken::new(), ended.clone());
            ended.cancelled().await;
            let failure = part.stop(soon()).await.unwrap_err();
            assert!(failure.is_fault);
            assert!(failure.reason.contains(expected), "{}", failure.reason);
        }
    }

    #[tokio::test]
    async fn a_part_that_does_not_stop_is_cut_off_at_the_deadline() {
        let serving = std::future::pending::<Result<(), Infallible>>();
        let part = Part::start(
            "test",
            serving,
            CancellationToken::new(),
            CancellationToken::new(),
        );
        let failure = part.stop(Instant::now()).await.unwrap_err();
        assert!(!failure.is_fault);
        assert!(failure.reason.contains("deadline"), "{}", failure.reason);
    }
}
