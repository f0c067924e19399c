//! Configuration: the defaults of a program, over them a TOML file, over that the environment, over that flags.
//!
//! A program has one configuration struct `T`, made of the structs of the crates that it runs. `T::default()` is the
//! documentation that the machine reads: every key that exists stands in it. So [`load`] knows what may be written, and
//! says for whatever else is written where it stands and what was probably meant. It reports all mistakes at once.
//!
//! - In a file: `[producer]` and `grpc_listen = "127.0.0.1:4317"`.
//! - In the environment: `LOG_TRACER__PRODUCER__GRPC_LISTEN=127.0.0.1:4317`. Two underscores stand for the dot; with
//!   one, `LOG_TRACER_PORT` and what else a cluster sets for a service of that name would be taken for ours.
//! - As a flag: `--set producer.grpc_listen=127.0.0.1:4317`.
//!
//! A list is written as in TOML, `[1, 2]`, or in the environment and in flags also as `1,2`. An empty text unsets a key
//! that may be absent. Where a table has a `kind`, the kind decides which other keys there are.
//!
//! ```
//! use log_tracer_runtime::config::{self, Override};
//!
//! #[derive(Debug, serde::Deserialize, serde::Serialize)]
//! #[serde(deny_unknown_fields, default)]
//! struct Config {
//!     listen: std::net::SocketAddr,
//! }
//!
//! impl Default for Config {
//!     fn default() -> Self {
//!         Self { listen: ([127, 0, 0, 1], 8080).into() }
//!     }
//! }
//!
//! let env = [("LOG_TRACER__LISTEN".to_owned(), "127.0.0.1:9".to_owned())];
//! let loaded = config::load::<Config>(None, env, &[])?;
//! assert_eq!(loaded.config.listen.port(), 9);
//!
//! let wrong = [Override::set("lisen=127.0.0.1:9")?];
//! let error = config::load::<Config>(None, [], &wrong).unwrap_err();
//! assert_eq!(error.to_string(), "--set lisen: unknown key `lisen`, did you mean `listen`?");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod example;
mod file;
mod given;
mod node;
mod plain;
mod resolve;
mod show;
mod suggest;

use std::{collections::BTreeMap, fmt, net::SocketAddr, path::Path};

use serde::{Serialize, de::DeserializeOwned};

pub use error::{ConfigError, Problem};
pub use example::{check_example, check_example_without};

use given::Given;
use node::Node;

/// What the names of environment variables start with.
pub const ENV_PREFIX: &str = "LOG_TRACER__";

/// The largest file that is read, in bytes.
pub const FILE_BYTES_MAX: u64 = 1 << 20;

/// Loads a configuration. `env` holds all variables of the environment; those without [`ENV_PREFIX`] are not looked at.
///
/// # Errors
/// Every mistake that could be found, each with its place.
pub fn load<T>(
    file: Option<&Path>,
    env: impl IntoIterator<Item = (String, String)>,
    overrides: &[Override],
) -> Result<Loaded<T>, ConfigError>
where
    T: DeserializeOwned + Serialize + Default,
{
    load_over(&T::default(), file, env, overrides)
}

/// The same over other defaults than `T`'s own, for a program that has several ways to run.
///
/// # Errors
/// As [`load`].
pub fn load_over<T>(
    defaults: &T,
    file: Option<&Path>,
    env: impl IntoIterator<Item = (String, String)>,
    overrides: &[Override],
) -> Result<Loaded<T>, ConfigError>
where
    T: DeserializeOwned + Serialize,
{
    let mut given = match file {
        Some(path) => file::read(path)?,
        None => Vec::new(),
    };
    let mut env: Vec<_> = env.into_iter().collect();
    // The order of an environment means nothing; sorted, messages come in the same order each time.
    env.sort();
    given.extend(
        env.iter()
            .filter_map(|(name, value)| Given::of_env(name, value)),
    );
    given.extend(overrides.iter().map(Given::of_override));
    resolve::resolve(defaults, &given)
}

/// A value for a key from the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// As the user wrote it, for messages: `--set producer.grpc_listen`.
    flag: String,
    key: String,
    value: String,
}

impl Override {
    /// From the `KEY=VALUE` of `--set KEY=VALUE`.
    ///
    /// # Errors
    /// There is no `=` in it, or nothing before it.
    pub fn set(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => {
                let key = key.trim();
                Ok(Self::flag(&format!("--set {key}"), key, value))
            }
            _ => Err(format!(
                "expected KEY=VALUE such as producer.grpc_listen=127.0.0.1:4317, found `{text}`"
            )),
        }
    }

    /// From a flag that stands for one key, such as `--grpc-listen`.
    #[must_use]
    pub fn flag(flag: &str, key: &str, value: &str) -> Self {
        Self {
            flag: flag.to_owned(),
            key: key.to_owned(),
            value: value.to_owned(),
        }
    }
}

/// A configuration, and where each value of it comes from.
#[derive(Clone, Debug)]
pub struct Loaded<T> {
    /// The values.
    pub config: T,
    /// All of them as a tree, in the order of the structs.
    tree: Node,
    /// Keys that are not here have their default.
    origins: BTreeMap<String, Origin>,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Origin {
    /// Nobody gave one.
    Default,
    /// A file.
    File {
        /// As it was given.
        path: String,
        /// From 1.
        line: usize,
        /// In characters, from 1.
        column: usize,
    },
    /// A variable of the environment.
    Env(String),
    /// The command line, as the user wrote it.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line, column } => write!(f, "{path}:{line}:{column}"),
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

impl<T> Loaded<T> {
    /// Where the value of a key comes from, such as `producer.grpc_listen`.
    #[must_use]
    pub fn origin(&self, key: &str) -> &Origin {
        self.origins.get(key).unwrap_or(&Origin::Default)
    }

    /// Turns what the structs' own checks found, as pairs of key and message, into an error with the place of each.
    ///
    /// # Errors
    /// When `check` finds something.
    pub fn validate(
        &self,
        check: impl FnOnce(&T) -> Vec<(String, String)>,
    ) -> Result<(), ConfigError> {
        let problems: Vec<_> = check(&self.config)
            .into_iter()
            .map(|(key, message)| Problem {
                origin: self.origin(&key).clone(),
                message,
                key,
            })
            .collect();
        ConfigError::unless_empty(problems)
    }

    /// The listening addresses that other machines can reach, with their keys. A program that is made for one machine
    /// warns of them.
    #[must_use]
    pub fn exposed(&self) -> Vec<(String, SocketAddr)> {
        self.tree
            .leaves()
            .into_iter()
            .filter(|(path, _)| path.last().is_some_and(|name| name.ends_with("listen")))
            .filter_map(|(path, value)| Some((path.join("."), value.as_str()?.parse().ok()?)))
            .filter(|(_, address): &(String, SocketAddr)| !address.ip().is_loopback())
            .collect()
    }

    /// All keys that exist.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        let leaves = self.tree.leaves().into_iter();
        leaves.map(|(path, _)| path.join(".")).collect()
    }

    /// All keys as TOML, each with the place that its value comes from. The text can be used as a file.
    #[must_use]
    pub fn to_toml(&self) -> String {
        show::to_toml(&self.tree, |key| self.origin(key))
    }

    /// All keys as one JSON object: `{"producer.grpc_listen": {"value": .., "origin": ".."}, ..}`.
    #[must_use]
    pub fn to_json(&self) -> String {
        show::to_json(&self.tree, |key| self.origin(key))
    }
}

#[cfg(test)]
mod tests;
