//! How soon everything can be found again after `kill -9`.

use std::time::{Duration, Instant};

use log_tracer_proto::v1::{PartitionStatus, StatusRequest};

use super::{BenchError, closed, report::Restart, server::Server, table::Options};

const GIVE_UP: Duration = Duration::from_secs(120);

/// Sends records that are acked and not in a block yet, kills the server, and starts it again.
pub(super) async fn measure(options: &Options, server: &mut Server) -> Result<Restart, BenchError> {
    let unwritten = Options {
        records: options.records.min(100_000),
        seed: options.seed.wrapping_add(2),
        ..options.clone()
    };
    closed::send_only(&unwritten, server, closed::Signal::Spans).await?;
    let started = Instant::now();
    server.kill_and_start().await?;
    let ready = started.elapsed();
    let mut client = server.query().await?;
    loop {
        let status = client.status(StatusRequest {}).await?.into_inner();
        let is_behind = |partition: &PartitionStatus| partition.applied_next < partition.log_end;
        if status.replaying.is_empty() && !status.partitions.iter().any(is_behind) {
            break;
        }
        if started.elapsed() > GIVE_UP {
            return Err(BenchError::Wrong(format!(
                "the log is not replayed {GIVE_UP:?} after a start"
            )));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(Restart::new(unwritten.records, ready, started.elapsed()))
}
