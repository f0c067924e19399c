//! A TCP proxy for tests: everything goes through as it is, until a test says what goes wrong.
//!
//! It listens on a free port of loopback and connects to one upstream address for each connection that it takes. What
//! goes wrong is set for each direction, for all connections at once, those that are open and those that come, and
//! can be changed at any moment:
//!
//! | [`Fault`] | what happens in that direction | what a client sees |
//! |---|---|---|
//! | `None` | bytes go through | nothing |
//! | `Delay` | bytes go through so much later, as many at a time as before | a slow network |
//! | `Drop` | bytes are taken and never arrive | a network that swallows everything |
//! | `Stall` | bytes are not taken, the sockets stay open | a half-open connection; writes fill the buffers and then wait |
//! | `Reset` | the next bytes reset both sides instead of arriving | with `to_client`: the request arrived, and the reply is cut off |
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use log_tracer_fault_proxy::{Fault, FaultProxy, Faults};
//! # let broker = std::net::SocketAddr::from(([127, 0, 0, 1], 4222));
//! let proxy = FaultProxy::start(broker).await?;
//! // ... connect to proxy.address(), and then cut off every reply:
//! proxy.set(Faults { to_client: Fault::Reset, ..Faults::NONE });
//! // ... and be kind again:
//! proxy.set(Faults::NONE);
//! # Ok(())
//! # }
//! ```
//!
//! It has no chance in it: which bytes are hit depends only on when the test changes the faults. A connection of which
//! bytes were dropped is never used for others: it is reset as soon as bytes could arrive again, since TCP delivers
//! either everything in order or nothing.
//!
//! Dropping the proxy closes all connections and the port.

mod connection;

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// What goes wrong with bytes on their way in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// They arrive so much later.
    Delay(Duration),
    /// They are taken from the sender and never arrive.
    Drop,
    /// They are not taken from the sender, and both sockets stay open.
    Stall,
    /// The next bytes reset the connection instead of arriving.
    Reset,
}

/// What goes wrong, in both directions and with new connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// From the client to the upstream server.
    pub to_server: Fault,
    /// From the upstream server to the client.
    pub to_client: Fault,
    /// New connections are reset as soon as they are there.
    pub refuse: bool,
}

impl Faults {
    /// Nothing goes wrong.
    pub const NONE: Self = Self {
        to_server: Fault::None,
        to_client: Fault::None,
        refuse: false,
    };
    /// Both directions swallow everything.
    pub const BLACK_HOLE: Self = Self {
        to_server: Fault::Drop,
        to_client: Fault::Drop,
        refuse: false,
    };
    /// Both directions stop, and no connection is closed.
    pub const HALF_OPEN: Self = Self {
        to_server: Fault::Stall,
        to_client: Fault::Stall,
        refuse: false,
    };
    /// The request arrives, and its reply is cut off with the connection.
    pub const RESET_BEFORE_REPLY: Self = Self {
        to_server: Fault::None,
        to_client: Fault::Reset,
        refuse: false,
    };
}

/// What went through a proxy since it was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that were taken and had an upstream.
    pub connections: u64,
    /// Those of them that are open.
    pub open: usize,
    /// Connections that were reset at once, because of [`Faults::refuse`] or for want of an upstream.
    pub refused: u64,
    /// Bytes that arrived at the server.
    pub to_server_bytes: u64,
    /// Bytes that arrived at the client.
    pub to_client_bytes: u64,
    /// Bytes that were taken and dropped, in both directions.
    pub dropped_bytes: u64,
}

/// A proxy in front of one upstream address.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    control: watch::Sender<Control>,
    counters: Arc<Counters>,
    accepting: JoinHandle<()>,
}

/// What all connections obey.
#[derive(Clone, Copy, Debug)]
struct Control {
    faults: Faults,
    /// Goes up with every [`FaultProxy::cut`]; a connection that is older is reset.
    cuts: u64,
    upstream: SocketAddr,
}

#[derive(Debug, Default)]
struct Counters {
    connections: AtomicU64,
    open: AtomicUsize,
    refused: AtomicU64,
    to_server_bytes: AtomicU64,
    to_client_bytes: AtomicU64,
    dropped_bytes: AtomicU64,
}

impl FaultProxy {
    /// Listens on a free port of loopback. The upstream does not have to be there yet.
    ///
    /// # Errors
    ///
    /// When there is no port to listen on.
    pub async fn start(upstream: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let control = Control {
            faults: Faults::NONE,
            cuts: 0,
            upstream,
        };
        let (control, obeyed) = watch::channel(control);
        let counters = Arc::new(Counters::default());
        let accepting = tokio::spawn(accept(listener, obeyed, Arc::clone(&counters)));
        Ok(Self {
            address,
            control,
            counters,
            accepting,
        })
    }

    /// Where clients connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what goes wrong from now on, for connections that are open and those that come.
    pub fn set(&self, faults: Faults) {
        self.control.send_modify(|control| control.faults = faults);
    }

    /// Resets every connection that is open now.
    pub fn cut(&self) {
        self.control.send_modify(|control| control.cuts += 1);
    }

    /// Sends connections that come from now on to another address, as after a server moved.
    pub fn redirect(&self, upstream: SocketAddr) {
        self.control
            .send_modify(|control| control.upstream = upstream);
    }

    /// What went through until now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let counters = &self.counters;
        Counts {
            connections: counters.connections.load(Ordering::Relaxed),
            open: counters.open.load(Ordering::Relaxed),
            refused: counters.refused.load(Ordering::Relaxed),
            to_server_bytes: counters.to_server_bytes.load(Ordering::Relaxed),
            to_client_bytes: counters.to_client_bytes.load(Ordering::Relaxed),
            dropped_bytes: counters.dropped_bytes.load(Ordering::Relaxed),
        }
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        // The task owns the listener and all connections.
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, control: watch::Receiver<Control>, counters: Arc<Counters>) {
    let mut connections = JoinSet::new();
    loop {
        // A connection that could not be taken, as when there are no file descriptors left, is the client's loss.
        let Ok((client, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        while connections.try_join_next().is_some() {}
        let (control, counters) = (control.clone(), Arc::clone(&counters));
        connections.spawn(async move {
            let Control {
                faults,
                cuts,
                upstream,
            } = *control.borrow();
            let server = match faults.refuse {
                true => None,
                false => TcpStream::connect(upstream).await.ok(),
            };
            let Some(server) = server else {
                counters.refused.fetch_add(1, Ordering::Relaxed);
                connection::reset(&client);
                return;
            };
            counters.connections.fetch_add(1, Ordering::Relaxed);
            counters.open.fetch_add(1, Ordering::Relaxed);
            connection::run(client, server, control, cuts, &counters).await;
            counters.open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}
