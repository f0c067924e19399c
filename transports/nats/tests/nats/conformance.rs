//! The suite that every transport passes, on a real server and on a real cluster of three.

use std::sync::{Arc, Mutex, OnceLock};

use async_trait::async_trait;
use log_tracer_conformance::{Clock, Gap, Harness, OptOut, Setup};
use log_tracer_transport::{FullPolicy, OpenError, Transport};
use log_tracer_transport_nats::{Config, NatsTransport, WhenFull};

use crate::support::{Servers, Sync, declared};

/// Logs on servers that all tests of this process share, each with a name of its own.
#[derive(Debug)]
struct NatsHarness {
    servers: &'static Servers,
    /// Those that were made; the last one is opened again.
    configs: Mutex<Vec<Config>>,
}

impl NatsHarness {
    fn on(servers: &'static Servers) -> Self {
        Self {
            servers,
            configs: Mutex::default(),
        }
    }

    fn single() -> Self {
        static SERVER: OnceLock<Servers> = OnceLock::new();
        Self::on(SERVER.get_or_init(|| block_on(Servers::single(Sync::Periodic))))
    }

    fn cluster() -> Self {
        static CLUSTER: OnceLock<Servers> = OnceLock::new();
        Self::on(CLUSTER.get_or_init(|| block_on(Servers::cluster(Sync::Periodic))))
    }
}

#[async_trait]
impl Harness for NatsHarness {
    async fn create(&self, setup: &Setup) -> Result<Arc<dyn Transport>, OpenError> {
        let config = Config {
            sync_interval: declared(Sync::Periodic),
            partitions: setup.partitions,
            retained_bytes_max: setup.retained_bytes_max as u64,
            envelope_bytes_max: setup.envelope_bytes_max,
            // Less than the smallest log, so that every test asks several times.
            read_ahead_envelopes_max: 32,
            when_full: match setup.when_full {
                FullPolicy::Reject => WhenFull::Reject,
                FullPolicy::DropOldest => WhenFull::DropOldest,
            },
            ..self.servers.config()
        };
        self.configs.lock().unwrap().push(config.clone());
        Ok(Arc::new(NatsTransport::open(&config).await?))
    }

    async fn reopen(&self, _: &Setup) -> Result<Option<Arc<dyn Transport>>, OpenError> {
        let config = self.configs.lock().unwrap().last().unwrap().clone();
        Ok(Some(Arc::new(NatsTransport::open(&config).await?)))
    }

    fn gaps(&self) -> Vec<OptOut> {
        vec![OptOut {
            gap: Gap::AtomicCalls,
            reason: "each envelope is a message, and streams do not share transactions",
        }]
    }

    fn clock(&self) -> Clock {
        Clock::Real
    }
}

impl Drop for NatsHarness {
    /// Deletes the streams, of which the servers would otherwise keep thousands.
    fn drop(&mut self) {
        let configs = std::mem::take(&mut *self.configs.lock().unwrap());
        let urls = self.servers.urls();
        block_on(async move {
            let client = async_nats::connect(urls).await.unwrap();
            for config in configs {
                let partitions = (0..config.partitions.get()).map(|one| format!("p{one:02}"));
                for stream in partitions.chain(["groups".into()]) {
                    let subject = format!("$JS.API.STREAM.DELETE.{}-{stream}", config.name);
                    // What was not made is not there.
                    let _ = client.request(subject, "".into()).await;
                }
            }
        });
    }
}

/// On a thread and a runtime of its own, since a test has one already.
fn block_on<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let thread = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(work)
    });
    thread.join().unwrap()
}

mod single {
    log_tracer_conformance::suite!(
        super::NatsHarness::single(),
        ignore = "needs nats-server: cargo make test-live"
    );
}

mod cluster {
    log_tracer_conformance::suite!(
        super::NatsHarness::cluster(),
        ignore = "needs nats-server: cargo make test-live"
    );
}
