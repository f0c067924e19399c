//! The engine between the roles: its files, its processes, and the settings by which the roles reach it.
//!
//! | engine | processes | what it is told |
//! |---|---|---|
//! | NATS JetStream | `nats-server`, 2.10 or later | to keep streams on disk, and to sync before it acknowledges |
//! | Fluvio | `fluvio-run sc`, `fluvio-run spu` | one storage unit, registered through the controller |
//!
//! An engine knows nothing of us, so that nothing would stop it when this process is killed. On Linux the system does:
//! it is started by way of `log-tracer with-parent`, which asks for that and then becomes the engine.

use std::{
    env, fs, io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{net::TcpStream, process::Command, time::Instant};

use super::{
    Plan, Spec, TopologyError,
    child::{Child, Ended, Relay},
};

/// How long an engine may take until it takes connections.
const START_MAX: Duration = Duration::from_secs(60);
/// The oldest server that can sync before it acknowledges, and that the transport works with.
const NATS_VERSION_MIN: (u32, u32) = (2, 10);
/// Where clients of NATS connect.
const NATS_PORT: u16 = 4222;

/// An engine that roles can run apart on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// NATS JetStream.
    Nats,
    /// Fluvio.
    Fluvio,
}

impl Kind {
    /// What `transport.kind` calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nats => "nats",
            Self::Fluvio => "fluvio",
        }
    }

    /// The variable that names its program, and the usual name of that.
    #[must_use]
    pub fn program(self) -> (&'static str, &'static str) {
        match self {
            Self::Nats => ("NATS_SERVER", "nats-server"),
            Self::Fluvio => ("FLUVIO_RUN", "fluvio-run"),
        }
    }
}

/// A running engine.
#[derive(Debug)]
pub struct Engine {
    kind: Kind,
    address: String,
    settings: Vec<String>,
    processes: Processes,
}

/// What an engine consists of.
#[derive(Debug)]
pub(super) enum Processes {
    Nats(Box<Child>),
    #[cfg(feature = "fluvio")]
    Fluvio(Box<super::fluvio::Cluster>),
}

impl Engine {
    /// Starts it and waits until it takes connections.
    ///
    /// # Errors
    /// Its program is missing, an address is taken, or it ended.
    pub async fn start(
        kind: Kind,
        program: Option<&Path>,
        plan: &Plan,
        relay: &Relay,
    ) -> Result<Self, TopologyError> {
        let program = found(kind, program)?;
        match kind {
            Kind::Nats => Self::nats(&program, plan, relay).await,
            Kind::Fluvio => super::fluvio::start(&program, plan).await,
        }
    }

    pub(super) fn of(
        kind: Kind,
        address: String,
        settings: Vec<String>,
        processes: Processes,
    ) -> Self {
        Self {
            kind,
            address,
            settings,
            processes,
        }
    }

    async fn nats(program: &Path, plan: &Plan, relay: &Relay) -> Result<Self, TopologyError> {
        let (major, minor) = version(program).await?;
        if (major, minor) < NATS_VERSION_MIN {
            return Err(TopologyError::Missing {
                what: "nats-server 2.10 or later".to_owned(),
                help: format!("{} is {major}.{minor}", program.display()),
            });
        }
        let listen = address(plan, NATS_PORT)?;
        let directory = plan.data_directory.join("nats");
        let config = plan.data_directory.join("nats.conf");
        write(&config, &nats_config(listen, &directory))?;
        let arguments = ["-c".to_owned(), config.to_string_lossy().into_owned()];
        let mut child = Child::start(with_parent("nats", program, &arguments)?, relay)?;
        answers(listen, &mut child).await?;
        let server = format!("nats://{listen}");
        let settings = vec![
            "transport.kind=nats".to_owned(),
            format!("transport.servers=[\"{server}\"]"),
            format!("transport.partitions={}", plan.partitions),
            "transport.sync_interval=always".to_owned(),
        ];
        let processes = Processes::Nats(Box::new(child));
        Ok(Self::of(Kind::Nats, server, settings, processes))
    }

    /// Which one it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where its clients connect.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What roles are told of it, as `--set` takes it.
    #[must_use]
    pub fn settings(&self) -> Vec<String> {
        self.settings.clone()
    }

    /// Its process ids by name.
    pub(super) fn ids(&self) -> Vec<(String, u32)> {
        match &self.processes {
            Processes::Nats(child) => child
                .id()
                .map(|id| (child.name().to_owned(), id))
                .into_iter()
                .collect(),
            #[cfg(feature = "fluvio")]
            Processes::Fluvio(cluster) => super::fluvio::ids(cluster),
        }
    }

    /// Returns when a process of it has ended.
    pub(super) async fn ended(&mut self) -> Ended {
        match &mut self.processes {
            Processes::Nats(child) => child.ended().await,
            #[cfg(feature = "fluvio")]
            Processes::Fluvio(cluster) => super::fluvio::ended(cluster).await,
        }
    }

    /// Asks it to stop, waits until the deadline, and then kills it.
    pub(super) async fn stop(self, deadline: Instant) -> Ended {
        match self.processes {
            Processes::Nats(child) => child.stop(deadline).await,
            #[cfg(feature = "fluvio")]
            Processes::Fluvio(cluster) => super::fluvio::stop(*cluster, deadline).await,
        }
    }
}

/// The program that was given, or that a variable names, or that is on the search path.
///
/// # Errors
/// There is none.
pub fn found(kind: Kind, given: Option<&Path>) -> Result<PathBuf, TopologyError> {
    let (variable, usual) = kind.program();
    let named = given
        .map(Path::to_owned)
        .or_else(|| env::var_os(variable).map(PathBuf::from));
    if let Some(program) = named {
        if program.is_file() {
            return Ok(program);
        }
        return Err(TopologyError::Missing {
            what: program.display().to_string(),
            help: format!("name the program with --program, or in the variable {variable}"),
        });
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path)
        .map(|directory| directory.join(format!("{usual}{}", env::consts::EXE_SUFFIX)))
        .find(|program| program.is_file());
    on_path.ok_or_else(|| TopologyError::Missing {
        what: format!("`{usual}` on the search path"),
        help: format!("install it, or name it with --program or in the variable {variable}"),
    })
}

/// A process that ends with this one, where the system can do that.
fn with_parent(name: &str, program: &Path, arguments: &[String]) -> Result<Spec, TopologyError> {
    let mut words = launcher()?;
    words.push(program.to_string_lossy().into_owned());
    words.extend_from_slice(arguments);
    let program = words.remove(0);
    Ok(Spec {
        name: name.to_owned(),
        program: program.into(),
        arguments: words,
    })
}

/// The words before a command with which it ends when this process does; none where the system cannot do that.
pub(super) fn launcher() -> Result<Vec<String>, TopologyError> {
    if !cfg!(target_os = "linux") {
        return Ok(Vec::new());
    }
    let own = env::current_exe().map_err(|source| TopologyError::Io {
        what: "the path of this program".to_owned(),
        source,
    })?;
    let parent = std::process::id().to_string();
    let own = own.to_string_lossy().into_owned();
    Ok(vec![own, "with-parent".to_owned(), parent, "--".to_owned()])
}

/// Waits until something takes connections at an address, for as long as the process runs.
async fn answers(address: SocketAddr, child: &mut Child) -> Result<(), TopologyError> {
    let deadline = Instant::now() + START_MAX;
    let connected = async {
        while Instant::now() < deadline {
            if TcpStream::connect(address).await.is_ok() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        false
    };
    tokio::select! {
        ended = child.ended() => Err(TopologyError::Ended(vec![ended])),
        connected = connected => match connected {
            true => Ok(()),
            false => Err(TopologyError::NotReady {
                name: address.to_string(),
                why: format!("no connection within {START_MAX:?}"),
            }),
        },
    }
}

/// The usual port, which must be free, or any that is.
fn address(plan: &Plan, usual: u16) -> Result<SocketAddr, TopologyError> {
    let port = if plan.has_free_ports { 0 } else { usual };
    let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpListener::bind(wanted)
        .and_then(|listener| listener.local_addr())
        .map_err(|source| TopologyError::Io {
            what: format!(
                "{wanted} cannot be listened on by the engine (--free-ports takes another)"
            ),
            source,
        })
}

fn write(path: &Path, text: &str) -> Result<(), TopologyError> {
    fs::write(path, text).map_err(|source| TopologyError::Io {
        what: path.display().to_string(),
        source,
    })
}

fn nats_config(listen: SocketAddr, directory: &Path) -> String {
    let directory = directory.to_string_lossy();
    // A quoted text of this format is one of JSON.
    let directory = serde_json::Value::from(directory).to_string();
    format!(
        "# Written by `log-tracer topology nats` at each start.\n\
         listen: \"{listen}\"\n\
         max_payload: 8MB\n\
         jetstream {{\n  store_dir: {directory}\n  sync_interval: always\n}}\n"
    )
}

/// The major and minor version of a `nats-server`.
async fn version(program: &Path) -> Result<(u32, u32), TopologyError> {
    let failed = |source: io::Error| TopologyError::Io {
        what: format!("{} --version", program.display()),
        source,
    };
    let output = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(failed)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    version_of(&text)
        .ok_or_else(|| failed(io::Error::other(format!("no version in `{}`", text.trim()))))
}

/// From `nats-server: v2.10.7`.
fn version_of(text: &str) -> Option<(u32, u32)> {
    let (_, version) = text.rsplit_once('v')?;
    let mut parts = version.trim().split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_compared() {
        assert_eq!(version_of("nats-server: v2.10.7\n"), Some((2, 10)));
        assert_eq!(version_of("nats-server: v2.9.10"), Some((2, 9)));
        assert_eq!(version_of("something else"), None);
        assert!((2, 10) >= NATS_VERSION_MIN && (2, 9) < NATS_VERSION_MIN);
    }

    #[test]
    fn the_server_is_told_to_sync_and_where_to_keep_what_it_has() {
        let listen = "127.0.0.1:4222".parse().unwrap();
        let config = nats_config(listen, Path::new("/data/a \"b\""));
        assert!(config.contains("sync_interval: always"));
        assert!(config.contains(r#"store_dir: "/data/a \"b\"""#), "{config}");
    }

    #[test]
    fn a_program_that_is_not_there_is_told_with_the_ways_to_name_it() {
        let error = found(Kind::Nats, Some(Path::new("/no/such"))).unwrap_err();
        assert!(error.to_string().contains("NATS_SERVER"), "{error}");
    }
}
