//! `log-tracer register-spu`: tells a Fluvio controller of a storage unit that is to come.
//!
//! A controller takes no storage unit that it has not been told of. Where containers start them, nobody is there to do that
//! with Fluvio's own tools.

#[cfg(not(feature = "fluvio"))]
use log_tracer_runtime::exit::Code;

use super::Failure;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  log-tracer register-spu --controller fluvio-sc:9003 --id 5001 --public fluvio-spu:9010 --private fluvio-spu:9011")]
#[cfg_attr(not(feature = "fluvio"), allow(dead_code))]
pub(super) struct Options {
    /// The public address of the controller (SC)
    #[arg(long, value_name = "HOST:PORT", value_parser = endpoint)]
    controller: Endpoint,
    /// The number of the storage unit (SPU)
    #[arg(long, value_name = "NUMBER")]
    id: i32,
    /// Where clients reach it
    #[arg(long, value_name = "HOST:PORT", value_parser = endpoint)]
    public: Endpoint,
    /// Where other storage units reach it
    #[arg(long, value_name = "HOST:PORT", value_parser = endpoint)]
    private: Endpoint,
}

#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "fluvio"), allow(dead_code))]
struct Endpoint {
    host: String,
    port: u16,
}

fn endpoint(text: &str) -> Result<Endpoint, String> {
    let parts = text.rsplit_once(':');
    let parts = parts.and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)));
    match parts {
        Some((host, port)) if !host.is_empty() => Ok(Endpoint { host, port }),
        _ => Err(format!("expected HOST:PORT, found `{text}`")),
    }
}

#[cfg(feature = "fluvio")]
pub(super) fn register(options: &Options) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            Failure::transient("the threads of the program cannot be started", &error)
        })?;
    let controller = format!("{}:{}", options.controller.host, options.controller.port);
    let registered = log_tracer_transports::fluvio_cluster::register_spu(
        &controller,
        options.id,
        (&options.public.host, options.public.port),
        (&options.private.host, options.private.port),
    );
    runtime
        .block_on(registered)
        .map_err(|error| Failure::transient("the storage unit is not registered", &error))
}

#[cfg(not(feature = "fluvio"))]
pub(super) fn register(_: &Options) -> Result<(), Failure> {
    let message = "this program was built without Fluvio; build it with `--features fluvio`";
    Err(Failure::new(Code::Config, message))
}
