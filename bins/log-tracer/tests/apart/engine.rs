//! The engine under the roles: a real one, on free ports.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process,
    sync::atomic::{AtomicU32, Ordering},
};

#[cfg(feature = "fluvio")]
use log_tracer_transports::fluvio_cluster::{Cluster, Options};

use log_tracer::topology::{Kind, engine::found};

use crate::process::Process;

/// Partitions of the log.
pub(crate) const PARTITIONS: u16 = 4;

pub(crate) struct Engine {
    /// What the roles are told, as `--set` takes it.
    pub(crate) settings: Vec<String>,
    processes: Processes,
}

enum Processes {
    Nats(Process),
    #[cfg(feature = "fluvio")]
    Fluvio(Box<Cluster>),
}

/// An address that nobody listens on, never the same twice. Its port lies below those that the system hands out, so that
/// nobody gets it before the process that it is meant for listens.
pub(crate) fn free_address() -> SocketAddr {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = process::id() * 100 + TAKEN.fetch_add(1, Ordering::Relaxed);
        let port = 10_000 + (number % 20_000) as u16;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

impl Engine {
    /// One server that syncs before it acknowledges.
    pub(crate) async fn nats(directory: &Path) -> Self {
        let program = found(Kind::Nats, None).unwrap();
        let address = free_address();
        let config = directory.join("nats.conf");
        let store = directory.join("nats");
        let text = format!(
            "listen: \"{address}\"\njetstream {{ store_dir: \"{}\", sync_interval: always }}\n",
            store.display()
        );
        std::fs::write(&config, text).unwrap();
        let arguments = vec!["-c".to_owned(), config.display().to_string()];
        Self {
            settings: vec![
                "transport.kind=nats".to_owned(),
                format!("transport.servers=[\"nats://{address}\"]"),
                format!("transport.partitions={PARTITIONS}"),
                "transport.sync_interval=always".to_owned(),
            ],
            processes: Processes::Nats(Process::start(directory, "nats", &program, arguments)),
        }
    }

    /// A controller and a storage unit. It does not sync, so that it survives the end of a process and no loss of power.
    #[cfg(feature = "fluvio")]
    pub(crate) async fn fluvio(directory: &Path) -> Self {
        let options = Options {
            program: found(Kind::Fluvio, None).unwrap(),
            directory: directory.join("fluvio"),
            spus: 1,
            first_port: None,
            advertise: Vec::new(),
            launcher: Vec::new(),
        };
        let cluster = Cluster::start(options).await.unwrap();
        Self {
            settings: vec![
                "transport.kind=fluvio".to_owned(),
                format!("transport.address={}", cluster.address()),
                format!("transport.partitions={PARTITIONS}"),
            ],
            processes: Processes::Fluvio(Box::new(cluster)),
        }
    }

    /// How many of its processes can be killed.
    pub(crate) fn len(&self) -> usize {
        match &self.processes {
            Processes::Nats(_) => 1,
            // Its storage unit, where records are. A controller of 0.18 that was killed several times under load may take
            // connections and answer nothing any more, until somebody starts it again.
            #[cfg(feature = "fluvio")]
            Processes::Fluvio(_) => 1,
        }
    }

    pub(crate) fn kill(&mut self) -> String {
        match &mut self.processes {
            Processes::Nats(process) => {
                process.kill();
                "nats".to_owned()
            }
            #[cfg(feature = "fluvio")]
            Processes::Fluvio(cluster) => {
                cluster.kill_spu(0).unwrap();
                "storage unit".to_owned()
            }
        }
    }

    pub(crate) async fn restart(&mut self) {
        match &mut self.processes {
            Processes::Nats(process) => process.restart(),
            #[cfg(feature = "fluvio")]
            Processes::Fluvio(cluster) => cluster.start_spu(0).await.unwrap(),
        }
    }

    pub(crate) fn still_runs(&mut self) {
        match &mut self.processes {
            Processes::Nats(process) => process.still_runs(),
            #[cfg(feature = "fluvio")]
            Processes::Fluvio(cluster) => cluster.check().unwrap(),
        }
    }

    pub(crate) async fn stop(self) {
        match self.processes {
            Processes::Nats(process) => process.stop(),
            #[cfg(feature = "fluvio")]
            Processes::Fluvio(cluster) => cluster
                .stop(std::time::Duration::from_secs(30))
                .await
                .unwrap(),
        }
    }
}
