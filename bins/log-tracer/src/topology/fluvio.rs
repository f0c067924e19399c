//! Fluvio's processes: a controller and one storage unit that is registered with it.

/// Without the feature there is no client that could register the storage unit.
#[cfg(not(feature = "fluvio"))]
pub(super) async fn start(
    _: &std::path::Path,
    _: &super::Plan,
) -> Result<super::engine::Engine, super::TopologyError> {
    Err(super::TopologyError::Missing {
        what: "the transport of Fluvio".to_owned(),
        help: "this program was built without it; build it with `--features fluvio`".to_owned(),
    })
}

#[cfg(feature = "fluvio")]
pub(super) use with_client::{Cluster, ended, ids, start, stop};

#[cfg(feature = "fluvio")]
mod with_client {
    use std::{path::Path, time::Duration};

    pub(in super::super) use log_tracer_transports::fluvio_cluster::Cluster;
    use log_tracer_transports::fluvio_cluster::{ClusterError, Options};
    use tokio::time::{Instant, sleep};

    use super::super::{
        Kind, Plan, TopologyError,
        child::Ended,
        engine::{Engine, Processes, launcher},
    };

    /// Where clients of Fluvio connect; the three ports after it are taken as well.
    const FLUVIO_PORT: u16 = 9003;
    /// How often the processes are looked at.
    const LOOK_INTERVAL: Duration = Duration::from_millis(250);

    pub(in super::super) async fn start(
        program: &Path,
        plan: &Plan,
    ) -> Result<Engine, TopologyError> {
        let options = Options {
            program: program.to_owned(),
            directory: plan.data_directory.join("fluvio"),
            spus: 1,
            first_port: (!plan.has_free_ports).then_some(FLUVIO_PORT),
            advertise: Vec::new(),
            launcher: launcher()?.into_iter().map(Into::into).collect(),
        };
        let cluster = Cluster::start(options).await.map_err(not_started)?;
        let address = cluster.address().to_string();
        let settings = vec![
            "transport.kind=fluvio".to_owned(),
            format!("transport.address={address}"),
            format!("transport.partitions={}", plan.partitions),
        ];
        let processes = Processes::Fluvio(Box::new(cluster));
        Ok(Engine::of(Kind::Fluvio, address, settings, processes))
    }

    pub(in super::super) fn ids(cluster: &Cluster) -> Vec<(String, u32)> {
        let ids = [
            ("fluvio-sc", cluster.controller_id()),
            ("fluvio-spu", cluster.spu_id(0)),
        ];
        ids.into_iter()
            .filter_map(|(name, id)| Some((name.to_owned(), id?)))
            .collect()
    }

    pub(in super::super) async fn ended(cluster: &mut Cluster) -> Ended {
        loop {
            if let Err(error) = cluster.check() {
                return ended_as(&error.to_string(), None);
            }
            sleep(LOOK_INTERVAL).await;
        }
    }

    pub(in super::super) async fn stop(cluster: Cluster, deadline: Instant) -> Ended {
        let patience = deadline.saturating_duration_since(Instant::now());
        match cluster.stop(patience).await {
            Ok(()) => ended_as("stopped", Some(0)),
            Err(error) => ended_as(&error.to_string(), None),
        }
    }

    fn ended_as(how: &str, code: Option<i32>) -> Ended {
        Ended {
            name: "fluvio".to_owned(),
            how: how.to_owned(),
            code,
        }
    }

    fn not_started(error: ClusterError) -> TopologyError {
        TopologyError::NotReady {
            name: "fluvio".to_owned(),
            why: error.to_string(),
        }
    }
}
