//! The roles as processes on fixed addresses, so that one that is started again is found where it was.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use log_tracer_runtime::alive;

use crate::{
    engine::{Engine, PARTITIONS, free_address},
    process::Process,
};

/// How long everything may take to serve again on a busy machine.
const READY_MAX: Duration = Duration::from_secs(120);
/// Limits so small that a second of load flushes and merges several times.
const STORE: [&str; 5] = [
    "consumer.store.flush_rows_max=700",
    "consumer.store.flush_age_max_ms=200",
    "consumer.store.block_rows_max=6000",
    "consumer.store.disk_reserve_bytes=0",
    "stop_deadline_ms=30000",
];

pub(crate) struct Topology {
    engine: Engine,
    /// Producers, consumers, the dashboard.
    roles: Vec<Process>,
    /// The gRPC addresses of producers and consumers, which have a health service.
    grpc: Vec<SocketAddr>,
    targets: Vec<String>,
    consumers: Vec<SocketAddr>,
    dashboard: SocketAddr,
    query: SocketAddr,
    directory: PathBuf,
}

impl Topology {
    pub(crate) async fn start(directory: &Path, engine: Engine) -> Self {
        let mut roles = Vec::new();
        let mut grpc = Vec::new();
        let mut targets = Vec::new();
        for number in 1..=2 {
            let (otlp, http) = (free_address(), free_address());
            let arguments = arguments(
                &engine.settings,
                &[
                    ("--grpc-listen", &otlp.to_string()),
                    ("--http-listen", &http.to_string()),
                ],
            );
            let name = format!("producer-{number}");
            roles.push(start(directory, &name, "producer", arguments));
            grpc.push(otlp);
            targets.push(format!("http://{otlp}"));
        }
        let mut consumers = Vec::new();
        for number in 0..2 {
            let name = format!("consumer-{}", number + 1);
            let (process, query) = consumer(directory, &engine, &name, number);
            roles.push(process);
            grpc.push(query);
            consumers.push(query);
        }
        let (dashboard, query) = (free_address(), free_address());
        let arguments = dashboard_arguments(dashboard, query, &consumers);
        roles.push(start(directory, "dashboard", "dashboard", arguments));
        Self {
            engine,
            roles,
            grpc,
            targets,
            consumers,
            dashboard,
            query,
            directory: directory.to_owned(),
        }
    }

    /// How many processes can be killed.
    pub(crate) fn len(&self) -> usize {
        self.engine.len() + self.roles.len()
    }

    /// Where OTLP over gRPC is taken in.
    pub(crate) fn targets(&self) -> Vec<String> {
        self.targets.clone()
    }

    /// The merged QueryService of the dashboard.
    pub(crate) fn query(&self) -> String {
        format!("http://{}", self.query)
    }

    /// Where the pages are.
    pub(crate) fn dashboard(&self) -> SocketAddr {
        self.dashboard
    }

    /// SIGKILL, for good.
    pub(crate) fn kill_role(&mut self, name: &str) {
        let found = self.roles.iter().position(|role| role.name() == name);
        let mut role = self.roles.remove(found.unwrap());
        role.kill();
        // Roles with a health service come first, in the same order.
        self.grpc.remove(found.unwrap());
    }

    /// Starts a consumer with the partitions of the second, and the dashboard anew with its address.
    pub(crate) async fn start_replica_of_the_second(&mut self) {
        let (process, query) = consumer(&self.directory, &self.engine, "replica", 1);
        self.consumers.push(query);
        let place = self.grpc.len();
        self.grpc.push(query);
        self.roles.insert(place, process);
        let arguments = dashboard_arguments(self.dashboard, self.query, &self.consumers);
        let dashboard = self.roles.last_mut().unwrap();
        dashboard.kill();
        dashboard.set_arguments(arguments);
        dashboard.restart();
        self.ready().await;
    }

    /// SIGKILL; says which process it was.
    pub(crate) fn kill(&mut self, which: usize) -> String {
        match which.checked_sub(self.engine.len()) {
            None => self.engine.kill(),
            Some(role) => {
                self.roles[role].kill();
                self.roles[role].name().to_owned()
            }
        }
    }

    pub(crate) async fn restart(&mut self, which: usize) {
        match which.checked_sub(self.engine.len()) {
            None => self.engine.restart().await,
            Some(role) => self.roles[role].restart(),
        }
    }

    /// Waits until all of them serve.
    pub(crate) async fn ready(&mut self) {
        let began = Instant::now();
        loop {
            self.engine.still_runs();
            self.roles.iter_mut().for_each(Process::still_runs);
            let Err(why) = self.serve().await else {
                return;
            };
            if began.elapsed() > READY_MAX {
                let logs = self
                    .roles
                    .iter()
                    .map(|one| format!("--- {}\n{}", one.name(), one.last_lines()));
                let logs = logs.collect::<Vec<_>>().join("\n");
                panic!("not all serve after {READY_MAX:?}: {why}\n{logs}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn serve(&self) -> Result<(), String> {
        for address in &self.grpc {
            alive::grpc(*address).await?;
        }
        alive::http(self.dashboard, "/healthz").await
    }

    /// Stops the roles and then the engine, each cleanly.
    pub(crate) async fn stop(self) {
        for role in self.roles.into_iter().rev() {
            role.stop();
        }
        self.engine.stop().await;
    }
}

/// A consumer of every second partition, from `first` on, and where it can be asked.
fn consumer(directory: &Path, engine: &Engine, name: &str, first: u16) -> (Process, SocketAddr) {
    let query = free_address();
    let owned: Vec<_> = (0..PARTITIONS)
        .filter(|partition| partition % 2 == first)
        .map(|partition| partition.to_string())
        .collect();
    let store = directory.join(name).display().to_string();
    let mut arguments = arguments(
        &engine.settings,
        &[
            ("--name", name),
            ("--partitions", &owned.join(",")),
            ("--store", &store),
            ("--query-listen", &query.to_string()),
        ],
    );
    arguments.extend(STORE.iter().flat_map(|one| ["--set".into(), (*one).into()]));
    (start(directory, name, "consumer", arguments), query)
}

fn dashboard_arguments(
    dashboard: SocketAddr,
    query: SocketAddr,
    consumers: &[SocketAddr],
) -> Vec<String> {
    let asked: Vec<_> = consumers
        .iter()
        .map(|one| format!("http://{one}"))
        .collect();
    arguments(
        &[format!("query_listen={query}")],
        &[
            ("--listen", &dashboard.to_string()),
            ("--query", &asked.join(",")),
        ],
    )
}

fn start(directory: &Path, name: &str, role: &str, arguments: Vec<String>) -> Process {
    let program = program(role);
    assert!(
        program.is_file(),
        "{} is not there: cargo build --workspace --bins",
        program.display()
    );
    Process::start(directory, name, &program, arguments)
}

/// The programs of the roles lie beside ours.
fn program(role: &str) -> PathBuf {
    let own = Path::new(env!("CARGO_BIN_EXE_log-tracer"));
    own.with_file_name(format!("log-tracer-{role}"))
}

fn arguments(settings: &[String], flags: &[(&str, &str)]) -> Vec<String> {
    let flags = flags.iter().flat_map(|(flag, value)| [*flag, *value]);
    let mut all: Vec<String> = flags.map(str::to_owned).collect();
    let settings = settings.iter().flat_map(|one| ["--set", one.as_str()]);
    all.extend(settings.map(str::to_owned));
    all.extend(["--set".to_owned(), "logging.level=warn".to_owned()]);
    all
}
