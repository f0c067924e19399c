//! A Fluvio cluster of one's own on this machine: for live tests, and for a topology that is started by one command.
//!
//! The program is `fluvio-run` of a Fluvio release: `fluvio-run sc` is the controller, `fluvio-run spu` a storage unit.
//! Everything binds to loopback. A storage unit is first registered with the controller, with the public address that
//! clients are told; then it is started and shows up as online. Data, metadata and the output of the processes are in one
//! directory, and a cluster that is started there again has its topics, if it has the same ports.

use std::{
    env,
    ffi::OsString,
    fs::File,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use fluvio::{
    Fluvio, FluvioClusterConfig,
    metadata::{customspu::CustomSpuSpec, spu::SpuSpec},
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep, timeout};

/// The number of the first storage unit; Fluvio's own tools begin here as well.
const FIRST_SPU: i32 = 5001;
/// How long a process may take until it answers, and a call until it is made again.
const READY_WITHIN: Duration = Duration::from_secs(60);
const CALL_WITHIN: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(50);

/// The environment variable that names the program.
pub const PROGRAM_VARIABLE: &str = "FLUVIO_RUN";

/// The program: what `FLUVIO_RUN` names, or `fluvio-run` on the `PATH`.
#[must_use]
pub fn find_program() -> Option<PathBuf> {
    if let Some(named) = env::var_os(PROGRAM_VARIABLE) {
        return Some(named.into());
    }
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|directory| directory.join("fluvio-run"))
        .find(|program| program.is_file())
}

/// What a cluster is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program, as [`find_program`] finds it.
    pub program: PathBuf,
    /// Where data, metadata and output go. It is made if it does not exist.
    pub directory: PathBuf,
    /// Storage units, at least 1.
    pub spus: u16,
    /// The first of the ports, which are taken in order: two for the controller (public, private), and two for each
    /// storage unit. `None` takes free ones, which is for a cluster that is not started again.
    pub first_port: Option<u16>,
    /// For each storage unit, the address that clients are told instead of its own: that of a proxy before it.
    pub advertise: Vec<SocketAddr>,
    /// Words before every command: a program that starts another one, as one that ends it with us. Usually none.
    pub launcher: Vec<OsString>,
}

/// The certificates that a cluster shows, and those that its clients' are signed by, in PEM files. Storage unit `n` is
/// known to clients as `custom-spu-n.DOMAIN` (with `n` from 5001), the controller as `DOMAIN`.
#[derive(Clone, Debug)]
pub struct ServerTls {
    /// What the certificates of clients are signed by.
    pub ca_certificate: PathBuf,
    /// The certificate of controller and storage units.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// Why a cluster is not there.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// A process could not be started, or its files not be made.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A process has ended.
    #[error("{what} has ended ({status}); its output is in {}", output.display())]
    Ended {
        /// Which.
        what: String,
        /// How.
        status: String,
        /// Where it says why.
        output: PathBuf,
    },
    /// Something was not ready in time.
    #[error("{what} is not ready after {READY_WITHIN:?}: {reason}")]
    NotReady {
        /// What.
        what: String,
        /// What the last attempt gave.
        reason: String,
    },
}

/// A running cluster. Dropping it kills its processes; what they had acked stays in the directory.
#[derive(Debug)]
pub struct Cluster {
    options: Options,
    tls: Option<ServerTls>,
    address: SocketAddr,
    private: SocketAddr,
    /// Where the controller listens without TLS; nowhere else unless there is TLS.
    plain: SocketAddr,
    controller: Option<Process>,
    spus: Vec<Spu>,
}

#[derive(Debug)]
struct Spu {
    id: i32,
    public: SocketAddr,
    private: SocketAddr,
    /// Where it listens without TLS; nowhere else unless there is TLS.
    plain: SocketAddr,
    process: Option<Process>,
}

#[derive(Debug)]
struct Process {
    what: String,
    output: PathBuf,
    child: Child,
}

impl Cluster {
    /// Starts the controller and the storage units, and waits until they are online.
    ///
    /// # Errors
    ///
    /// A process cannot be started, ends, or is not ready within a minute; those that run are killed.
    pub async fn start(options: Options) -> Result<Self, ClusterError> {
        Self::start_as(options, None).await
    }

    /// [`Cluster::start`], with TLS at the public addresses, where clients have to show a certificate as well.
    ///
    /// # Errors
    ///
    /// As for [`Cluster::start`].
    pub async fn start_with_tls(options: Options, tls: ServerTls) -> Result<Self, ClusterError> {
        Self::start_as(options, Some(tls)).await
    }

    async fn start_as(options: Options, tls: Option<ServerTls>) -> Result<Self, ClusterError> {
        std::fs::create_dir_all(&options.directory)
            .map_err(|source| failed(format!("making {}", options.directory.display()), source))?;
        let listeners = 1 + usize::from(options.spus);
        let count = match &tls {
            None => 2 * listeners,
            Some(_) => 3 * listeners,
        };
        let mut ports = ports(options.first_port, count)
            .map_err(|source| failed("finding free ports".into(), source))?
            .into_iter()
            .map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let mut next = || ports.next().unwrap_or((Ipv4Addr::LOCALHOST, 0).into());
        let (address, private) = (next(), next());
        let mut spus: Vec<Spu> = (0..options.spus)
            .map(|number| {
                let (public, private) = (next(), next());
                Spu {
                    id: FIRST_SPU + i32::from(number),
                    public,
                    private,
                    plain: public,
                    process: None,
                }
            })
            .collect();
        let mut plain = address;
        if tls.is_some() {
            plain = next();
            spus.iter_mut().for_each(|spu| spu.plain = next());
        }
        let mut cluster = Self {
            options,
            tls,
            address,
            private,
            plain,
            controller: None,
            spus,
        };
        cluster.start_controller().await?;
        for index in 0..cluster.spus.len() {
            cluster.register(index).await?;
            cluster.start_spu(index).await?;
        }
        Ok(cluster)
    }

    /// The public address of the controller, for `address` of [`crate::Config`].
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address that a storage unit listens at, for a proxy before it.
    #[must_use]
    pub fn spu_address(&self, index: usize) -> Option<SocketAddr> {
        self.spus.get(index).map(|spu| spu.public)
    }

    /// The process id of the controller, while it runs.
    #[must_use]
    pub fn controller_id(&self) -> Option<u32> {
        self.controller.as_ref().map(|process| process.child.id())
    }

    /// The process id of a storage unit, while it runs.
    #[must_use]
    pub fn spu_id(&self, index: usize) -> Option<u32> {
        let process = self.spus.get(index)?.process.as_ref()?;
        Some(process.child.id())
    }

    /// Starts the controller, if it does not run, and waits until it answers.
    ///
    /// # Errors
    ///
    /// As for [`Cluster::start`].
    pub async fn start_controller(&mut self) -> Result<(), ClusterError> {
        if self.controller.is_none() {
            let metadata = self.options.directory.join("metadata");
            let mut command = self.command();
            command.arg("sc").arg("--local").arg(metadata);
            command.arg("--bind-public").arg(self.address.to_string());
            command.arg("--bind-private").arg(self.private.to_string());
            self.add_tls(&mut command, self.plain);
            self.controller = Some(self.spawn(command, "sc")?);
        }
        let address = self.plain.to_string();
        let process = self.controller.as_mut();
        ready("the controller", process, async || {
            connect(&address).await.map(drop)
        })
        .await
    }

    /// Starts a storage unit, if it does not run, and waits until the controller calls it online.
    ///
    /// # Errors
    ///
    /// As for [`Cluster::start`].
    pub async fn start_spu(&mut self, index: usize) -> Result<(), ClusterError> {
        let Some(spu) = self.spus.get(index) else {
            return Ok(());
        };
        let id = spu.id;
        if spu.process.is_none() {
            let mut command = self.command();
            command.arg("spu").arg("-i").arg(id.to_string());
            command.arg("-p").arg(spu.public.to_string());
            command.arg("-v").arg(spu.private.to_string());
            command.arg("--sc-addr").arg(self.private.to_string());
            let data = self.options.directory.join(format!("spu-{id}"));
            command.arg("--log-base-dir").arg(data);
            self.add_tls(&mut command, spu.plain);
            let process = self.spawn(command, &format!("spu-{id}"))?;
            if let Some(spu) = self.spus.get_mut(index) {
                spu.process = Some(process);
            }
        }
        let address = self.plain.to_string();
        let process = self
            .spus
            .get_mut(index)
            .and_then(|spu| spu.process.as_mut());
        ready(&format!("storage unit {id}"), process, async || {
            let admin = connect(&address).await?.admin().await;
            let known = admin.all::<SpuSpec>().await;
            let known = known.map_err(|error| format!("{error:#}"))?;
            let online = known
                .iter()
                .any(|spu| spu.spec.id == id && spu.status.is_online());
            online.then_some(()).ok_or_else(|| "it is offline".into())
        })
        .await
    }

    /// Kills the controller, as a crash would.
    ///
    /// # Errors
    ///
    /// The process cannot be killed.
    pub fn kill_controller(&mut self) -> Result<(), ClusterError> {
        self.controller.take().map_or(Ok(()), Process::kill)
    }

    /// Kills a storage unit, as a crash would.
    ///
    /// # Errors
    ///
    /// The process cannot be killed.
    pub fn kill_spu(&mut self, index: usize) -> Result<(), ClusterError> {
        let process = self.spus.get_mut(index).and_then(|spu| spu.process.take());
        process.map_or(Ok(()), Process::kill)
    }

    /// Asks all processes to end, storage units first, and kills those that have not ended within `patience`.
    ///
    /// # Errors
    ///
    /// A process can be neither asked nor killed.
    pub async fn stop(mut self, patience: Duration) -> Result<(), ClusterError> {
        let spus = self.spus.iter_mut().filter_map(|spu| spu.process.take());
        let processes: Vec<Process> = spus.chain(self.controller.take()).collect();
        for process in processes {
            process.stop(patience).await?;
        }
        Ok(())
    }

    /// Says when a process has ended by itself, and otherwise nothing.
    ///
    /// # Errors
    ///
    /// Which process has ended, how, and where its output is.
    pub fn check(&mut self) -> Result<(), ClusterError> {
        let spus = self.spus.iter_mut().filter_map(|spu| spu.process.as_mut());
        for process in spus.chain(self.controller.as_mut()) {
            process.check()?;
        }
        Ok(())
    }

    async fn register(&self, index: usize) -> Result<(), ClusterError> {
        let Some(spu) = self.spus.get(index) else {
            return Ok(());
        };
        let public = self.options.advertise.get(index).unwrap_or(&spu.public);
        let (public_host, private_host) = (public.ip().to_string(), spu.private.ip().to_string());
        register_spu(
            &self.plain.to_string(),
            spu.id,
            (&public_host, public.port()),
            (&private_host, spu.private.port()),
        )
        .await
    }

    /// The program behind its launcher.
    fn command(&self) -> Command {
        let program = self.options.program.as_os_str();
        let mut words = self.options.launcher.iter().map(OsString::as_os_str);
        let mut command = Command::new(words.next().unwrap_or(program));
        command.args(words);
        if !self.options.launcher.is_empty() {
            command.arg(program);
        }
        command
    }

    fn add_tls(&self, command: &mut Command, plain: SocketAddr) {
        if let Some(tls) = &self.tls {
            command.arg("--tls").arg("--enable-client-cert");
            command.arg("--ca-cert").arg(&tls.ca_certificate);
            command.arg("--server-cert").arg(&tls.certificate);
            command.arg("--server-key").arg(&tls.key);
            command.arg("--bind-non-tls-public").arg(plain.to_string());
        }
    }

    fn spawn(&self, mut command: Command, name: &str) -> Result<Process, ClusterError> {
        let output = self.options.directory.join(format!("{name}.log"));
        let what = format!("starting {} {name}", self.options.program.display());
        let file = File::options().create(true).append(true).open(&output);
        let file = file.map_err(|source| failed(format!("making {}", output.display()), source))?;
        let copy = file.try_clone();
        let copy = copy.map_err(|source| failed(what.clone(), source))?;
        command.stdin(Stdio::null()).stdout(file).stderr(copy);
        // What it says of every request at its usual level is more than what it stores.
        if env::var_os("RUST_LOG").is_none() {
            command.env("RUST_LOG", "warn");
        }
        let child = command.spawn().map_err(|source| failed(what, source))?;
        Ok(Process {
            what: name.to_owned(),
            output,
            child,
        })
    }
}

/// Tells the controller at `host:port` of a storage unit that is to come, with the addresses that clients and other
/// storage units are told, unless it knows of it already.
///
/// # Errors
///
/// The controller does not answer within a minute, or knows of the storage unit at another address.
pub async fn register_spu(
    controller: &str,
    id: i32,
    public: (&str, u16),
    private: (&str, u16),
) -> Result<(), ClusterError> {
    let private = SpuSpec::new_private_addr(id, private.1, private.0.to_owned());
    let spec = SpuSpec {
        private_endpoint: private.private_endpoint,
        ..SpuSpec::new_public_addr(id, public.1, public.0.to_owned())
    };
    let spec = CustomSpuSpec::from(spec.set_custom());
    let wanted = spec.public_endpoint.addr();
    let what = format!("registering storage unit {id}");
    ready(&what, None, async || {
        let admin = connect(controller).await?.admin().await;
        let known = admin.all::<SpuSpec>().await;
        let known = known.map_err(|error| format!("{error:#}"))?;
        if let Some(known) = known.iter().find(|known| known.spec.id == id) {
            let at = known.spec.public_endpoint.addr();
            let text = format!("it is registered at {at}, and now it is to be at {wanted}");
            return (at == wanted).then_some(()).ok_or(text);
        }
        let registered = admin.create(format!("custom-spu-{id}"), false, spec.clone());
        registered.await.map_err(|error| format!("{error:#}"))
    })
    .await
}

impl Process {
    fn check(&mut self) -> Result<(), ClusterError> {
        let ended = self.child.try_wait();
        match ended.map_err(|source| failed(format!("looking at {}", self.what), source))? {
            None => Ok(()),
            Some(status) => Err(ClusterError::Ended {
                what: self.what.clone(),
                status: status.to_string(),
                output: self.output.clone(),
            }),
        }
    }

    fn kill(mut self) -> Result<(), ClusterError> {
        let killed = self.child.kill().and_then(|()| self.child.wait());
        killed
            .map(drop)
            .map_err(|source| failed(format!("killing {}", self.what), source))
    }

    async fn stop(mut self, patience: Duration) -> Result<(), ClusterError> {
        if self.check().is_err() {
            return Ok(());
        }
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(id) = id {
            let asked = kill_process(id, Signal::TERM);
            asked.map_err(|error| failed(format!("ending {}", self.what), error.into()))?;
        }
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if self.check().is_err() {
                return Ok(());
            }
            sleep(PAUSE).await;
        }
        self.kill()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // What has ended already cannot be killed, and needs not to be.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn failed(what: String, source: io::Error) -> ClusterError {
    ClusterError::Io { what, source }
}

async fn connect(address: &str) -> Result<Fluvio, String> {
    let cluster = FluvioClusterConfig::new(address);
    let connected = timeout(CALL_WITHIN, Fluvio::connect_with_config(&cluster)).await;
    connected
        .map_err(|_| "no answer".to_owned())?
        .map_err(|error| format!("{error:#}"))
}

/// Tries until it works, the process ends, or the time is up.
async fn ready(
    what: &str,
    mut process: Option<&mut Process>,
    attempt: impl AsyncFn() -> Result<(), String>,
) -> Result<(), ClusterError> {
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        if let Some(process) = process.as_mut() {
            process.check()?;
        }
        let reason = match timeout(CALL_WITHIN, attempt()).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(reason)) => reason,
            Err(_) => "no answer".to_owned(),
        };
        if Instant::now() > deadline {
            let what = what.to_owned();
            return Err(ClusterError::NotReady { what, reason });
        }
        sleep(PAUSE).await;
    }
}

/// So many ports: from the first one on, or free ones that nobody holds at this moment.
fn ports(first: Option<u16>, count: usize) -> io::Result<Vec<u16>> {
    if let Some(first) = first {
        return Ok((first..).take(count).collect());
    }
    // Held together, so that none is given twice.
    let held = (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    let held: Vec<TcpListener> = held.collect::<io::Result<_>>()?;
    held.iter()
        .map(|listener| Ok(listener.local_addr()?.port()))
        .collect()
}
