//! The process of one role: its command line, its settings, its log, its signals. What the role does is its own.
//!
//! ```text
//! main -> run: arguments -> settings -> log -> threads -> Role::serve -> exit code
//! ```
//!
//! Every role has the same command line: `--config FILE`, `--set KEY=VALUE`, flags for the settings that are given most
//! often, `--print-config`, `--check-config`, `--json`, `--exit-with-parent`; and the commands `healthcheck` and
//! `completions`.

use std::{
    ffi::OsString,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use clap_complete::Shell;
use serde::{Serialize, de::DeserializeOwned};
use slog::{Logger, warn};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{self, Loaded, Override},
    crypto,
    env::Environment,
    exit::Code,
    failure::Failure,
    logging, shutdown,
};

/// How long tasks that were cut off may take to notice, before the process ends without them.
const LAST_TASKS: Duration = Duration::from_secs(1);

/// A role that runs as a process of its own.
pub trait Role {
    /// All of its settings.
    type Config: DeserializeOwned + Serialize + Default;

    /// The name of the program.
    const NAME: &'static str;
    /// Its version.
    const VERSION: &'static str;
    /// What it is, in a sentence.
    const ABOUT: &'static str;
    /// Lines of examples for the help.
    const EXAMPLES: &'static str;
    /// Flags that stand for a setting each.
    const FLAGS: &'static [Flag];

    /// Everything that the types of the settings alone do not rule out, as pairs of a key and what is wrong with it.
    fn problems(config: &Self::Config) -> Vec<(String, String)>;

    /// How the process logs.
    fn logging(config: &mut Self::Config) -> &mut logging::Config;

    /// Does what the role is for until [`Host::shutdown`] is cancelled, then stops in order.
    fn serve(
        loaded: &Loaded<Self::Config>,
        host: &Host,
    ) -> impl Future<Output = Result<(), Failure>>;

    /// Asks a process of the role with these settings, on this machine, whether it serves.
    fn health(config: &Self::Config) -> impl Future<Output = Result<(), String>>;
}

/// A flag that stands for one setting.
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    /// Without the dashes.
    pub name: &'static str,
    /// What stands for its value in the help.
    pub value: &'static str,
    /// The key of the setting.
    pub key: &'static str,
    /// A sentence for the help.
    pub help: &'static str,
}

impl Flag {
    /// Of every role.
    pub const LOG_LEVEL: Self = Self {
        name: "log-level",
        value: "LEVEL",
        key: "logging.level",
        help: "off, error, warn, info, debug or trace",
    };
    /// Of every role.
    pub const LOG_FORMAT: Self = Self {
        name: "log-format",
        value: "FORMAT",
        key: "logging.format",
        help: "terminal or json",
    };
    /// Of the roles that have an engine between them.
    pub const TRANSPORT: Self = Self {
        name: "transport",
        value: "KIND",
        key: "transport.kind",
        help: "The engine: nats or fluvio",
    };
}

/// What a role is given by its process.
#[derive(Debug)]
pub struct Host {
    /// The log of the process.
    pub log: Logger,
    /// Cancelled when the process is to stop.
    pub shutdown: CancellationToken,
    is_json: bool,
}

impl Host {
    /// Tells whoever started the process where it listens: a sentence for a person, or one JSON object for a program.
    pub fn announce(&self, text: &str, json: &serde_json::Value) {
        let line = if self.is_json {
            format!("{json}\n")
        } else {
            format!("{text}\n")
        };
        let mut output = io::stdout().lock();
        if let Err(error) = output
            .write_all(line.as_bytes())
            .and_then(|()| output.flush())
        {
            warn!(self.log, "the address cannot be printed"; "error" => %error);
        }
    }
}

/// Runs the role as `arguments` and `variables` say, and says how it ended.
pub fn run<R: Role>(
    arguments: impl IntoIterator<Item = OsString>,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> ExitCode {
    crypto::install();
    let environment = Environment::of_variables(variables);
    let parsed = command::<R>()
        .try_get_matches_from(arguments)
        .map_err(Failure::of_usage);
    match parsed.and_then(|matches| execute::<R>(&matches, &environment)) {
        Ok(()) => Code::Ok.into(),
        Err(failure) => {
            failure.print(R::NAME);
            failure.code().into()
        }
    }
}

/// The command line of a role.
#[must_use]
pub fn command<R: Role>() -> Command {
    let switch = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .help(help)
            .action(ArgAction::SetTrue)
    };
    let flags = R::FLAGS.iter().map(|flag| {
        Arg::new(flag.name)
            .long(flag.name)
            .value_name(flag.value)
            .help(format!("{} [{}]", flag.help, flag.key))
    });
    Command::new(R::NAME)
        .version(R::VERSION)
        .about(R::ABOUT)
        .after_help(R::EXAMPLES)
        .args_conflicts_with_subcommands(false)
        .arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .env("LOG_TRACER_CONFIG")
                .value_parser(value_parser!(PathBuf))
                .help("A file with settings; those in etc/ show all of them"),
        )
        .arg(
            Arg::new("set")
                .long("set")
                .value_name("KEY=VALUE")
                .value_parser(Override::set)
                .action(ArgAction::Append)
                .help("One setting; may be given again"),
        )
        .args(flags)
        .arg(switch(
            "print-config",
            "Show every setting and where its value comes from, and end",
        ))
        .arg(switch(
            "check-config",
            "Say whether the settings are right, and end",
        ))
        .arg(switch(
            "json",
            "One line of JSON with the addresses once it listens, for programs that start it",
        ))
        .arg(switch(
            "exit-with-parent",
            "Stop when the standard input ends, as it does when the program that started this one ends",
        ))
        .subcommand(
            Command::new("healthcheck")
                .about("Ask the process with these settings on this machine whether it serves: exit code 0 or 75"),
        )
        .subcommand(
            Command::new("completions")
                .about("Print completions for a shell")
                .arg(
                    Arg::new("shell")
                        .required(true)
                        .value_parser(value_parser!(Shell)),
                ),
        )
}

fn execute<R: Role>(matches: &ArgMatches, environment: &Environment) -> Result<(), Failure> {
    if let Some(("completions", chosen)) = matches.subcommand() {
        return completions::<R>(chosen);
    }
    let mut loaded = load::<R>(matches, environment)?;
    if matches.get_flag("print-config") {
        return print(loaded.to_toml().as_bytes());
    }
    if matches.get_flag("check-config") {
        return Ok(());
    }
    if matches.subcommand_name() == Some("healthcheck") {
        let asked = threads()?.block_on(R::health(&loaded.config));
        return asked.map_err(|why| Failure::new(Code::Transient, why));
    }
    let options = R::logging(&mut loaded.config);
    environment.apply_to(options);
    let (log, _written_last) =
        logging::init(options).map_err(|error| Failure::new(Code::Internal, error.to_string()))?;
    let threads = threads()?;
    let result = threads.block_on(serve::<R>(&loaded, matches, log));
    threads.shutdown_timeout(LAST_TASKS);
    result
}

async fn serve<R: Role>(
    loaded: &Loaded<R::Config>,
    matches: &ArgMatches,
    log: Logger,
) -> Result<(), Failure> {
    for (key, address) in loaded.exposed() {
        warn!(log, "other machines can reach this address, and whoever does may use it: there is no authentication";
            "key" => key, "address" => %address);
    }
    let shutdown = shutdown::on_signals(log.clone())
        .map_err(|error| Failure::transient("signals cannot be watched", &error))?;
    if matches.get_flag("exit-with-parent") {
        shutdown::on_end_of(io::stdin(), shutdown.clone(), log.clone())
            .map_err(|error| Failure::transient("the standard input cannot be watched", &error))?;
    }
    let host = Host {
        log: log.clone(),
        shutdown,
        is_json: matches.get_flag("json"),
    };
    R::serve(loaded, &host).await?;
    slog::info!(log, "stopped cleanly");
    Ok(())
}

fn load<R: Role>(
    matches: &ArgMatches,
    environment: &Environment,
) -> Result<Loaded<R::Config>, Failure> {
    let flags = R::FLAGS.iter().filter_map(|flag| {
        let value = matches.get_one::<String>(flag.name)?;
        Some(Override::flag(&format!("--{}", flag.name), flag.key, value))
    });
    let set = matches.get_many::<Override>("set").into_iter().flatten();
    let overrides: Vec<_> = flags.chain(set.cloned()).collect();
    let file = matches.get_one::<PathBuf>("config").map(PathBuf::as_path);
    let variables = environment.variables.iter().cloned();
    let loaded = config::load::<R::Config>(file, variables, &overrides)?;
    loaded.validate(R::problems)?;
    Ok(loaded)
}

fn completions<R: Role>(chosen: &ArgMatches) -> Result<(), Failure> {
    let Some(shell) = chosen.get_one::<Shell>("shell") else {
        return Ok(());
    };
    let mut script = Vec::new();
    clap_complete::generate(*shell, &mut command::<R>(), R::NAME, &mut script);
    print(&script)
}

fn print(text: &[u8]) -> Result<(), Failure> {
    io::stdout()
        .write_all(text)
        .map_err(|error| Failure::transient("the answer cannot be written", &error))
}

fn threads() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::transient("the threads of the program cannot be started", &error))
}

/// The keys of all settings of a role, with their defaults.
#[must_use]
pub fn keys<R: Role>() -> Vec<String> {
    let loaded = config::load::<R::Config>(None, [], &[]);
    loaded.map_or_else(|_| Vec::new(), |loaded| loaded.keys())
}

/// The pairs of key and message that the check of a section gives, whose message starts with its own key.
#[must_use]
pub fn problem_of(section: &str, checked: Result<(), String>) -> Option<(String, String)> {
    let message = checked.err()?;
    let key = message.split([':', ' ']).next().unwrap_or_default();
    Some((format!("{section}.{key}"), format!("{section}.{message}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, serde::Deserialize, Serialize)]
    #[serde(deny_unknown_fields, default)]
    struct Config {
        number: u8,
        logging: logging::Config,
    }

    struct Test;

    impl Role for Test {
        type Config = Config;
        const NAME: &'static str = "test";
        const VERSION: &'static str = "1";
        const ABOUT: &'static str = "A test";
        const EXAMPLES: &'static str = "";
        const FLAGS: &'static [Flag] = &[Flag {
            name: "number",
            value: "N",
            key: "number",
            help: "A number",
        }];

        fn problems(config: &Config) -> Vec<(String, String)> {
            let odd = config.number % 2 == 1;
            odd.then(|| ("number".to_owned(), "number must be even".to_owned()))
                .into_iter()
                .collect()
        }

        fn logging(config: &mut Config) -> &mut logging::Config {
            &mut config.logging
        }

        async fn serve(_: &Loaded<Config>, _: &Host) -> Result<(), Failure> {
            Ok(())
        }

        async fn health(_: &Config) -> Result<(), String> {
            Err("it is a test".to_owned())
        }
    }

    fn code(args: &[&str]) -> Code {
        let args = ["test"].iter().chain(args).map(OsString::from);
        let parsed = command::<Test>().try_get_matches_from(args);
        let done = parsed
            .map_err(Failure::of_usage)
            .and_then(|matches| execute::<Test>(&matches, &Environment::default()));
        done.map_or_else(|failure| failure.code(), |()| Code::Ok)
    }

    #[test]
    fn the_command_line_is_sound() {
        command::<Test>().debug_assert();
    }

    #[test]
    fn mistakes_end_with_the_code_for_them() {
        assert_eq!(code(&["--nmber", "2"]), Code::Usage);
        assert_eq!(code(&["--check-config", "--number", "many"]), Code::Config);
        assert_eq!(code(&["--check-config", "--number", "3"]), Code::Config);
        assert_eq!(code(&["--check-config", "--set", "nmber=2"]), Code::Config);
        assert_eq!(code(&["--check-config", "--number", "2"]), Code::Ok);
        assert_eq!(code(&["--help"]), Code::Ok);
        assert_eq!(code(&["healthcheck"]), Code::Transient);
        assert_eq!(code(&["--number", "2", "healthcheck"]), Code::Transient);
    }

    #[test]
    fn the_check_of_a_section_is_told_by_its_whole_key() {
        assert_eq!(problem_of("a", Ok(())), None);
        assert_eq!(
            problem_of("a", Err("b: expected 1".to_owned())),
            Some(("a.b".to_owned(), "a.b: expected 1".to_owned()))
        );
    }
}
