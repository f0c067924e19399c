//! Which processes a topology has, with which arguments.

use std::{
    env,
    path::{Path, PathBuf},
};

use super::TopologyError;

/// Ports of the processes of one kind are so far apart.
const PORT_STEP: u16 = 10;
/// More of a kind would run into the ports of the next.
const OF_A_KIND_MAX: u16 = 64;

/// How many of what, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Below which everything lies.
    pub data_directory: PathBuf,
    /// Producers, each taking any request.
    pub producers: u16,
    /// Sets of partitions, each with consumers of its own.
    pub consumers: u16,
    /// Consumers of each set: one and its replicas.
    pub copies: u16,
    /// Partitions of the log.
    pub partitions: u16,
    /// Whether every address has a free port instead of its usual one.
    pub has_free_ports: bool,
    /// Settings for every role, as `--set` takes them; those of a key that a role does not have are its mistake.
    pub settings: Vec<String>,
}

/// A process that is to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// What it is called in the log and in reports.
    pub name: String,
    /// Its program.
    pub program: PathBuf,
    /// What it is started with.
    pub arguments: Vec<String>,
}

/// The programs of the roles.
#[derive(Clone, Debug)]
pub struct Programs {
    directory: PathBuf,
}

impl Programs {
    /// Those that lie beside the program that runs.
    ///
    /// # Errors
    /// One is not there.
    pub fn beside_this_one() -> Result<Self, TopologyError> {
        let own = env::current_exe().map_err(|source| TopologyError::Io {
            what: "the path of this program".to_owned(),
            source,
        })?;
        Self::in_directory(own.parent().unwrap_or(Path::new(".")))
    }

    /// Those in a directory.
    ///
    /// # Errors
    /// One is not there.
    pub fn in_directory(directory: &Path) -> Result<Self, TopologyError> {
        let programs = Self {
            directory: directory.to_owned(),
        };
        for role in ["producer", "consumer", "dashboard"] {
            let path = programs.of(role);
            if !path.is_file() {
                return Err(TopologyError::Missing {
                    what: path.display().to_string(),
                    help: "it is built with `cargo build --release --workspace --bins`".to_owned(),
                });
            }
        }
        Ok(programs)
    }

    fn of(&self, role: &str) -> PathBuf {
        let name = format!("log-tracer-{role}{}", env::consts::EXE_SUFFIX);
        self.directory.join(name)
    }
}

impl Plan {
    /// Whether the numbers fit together.
    ///
    /// # Errors
    /// The option and what was expected.
    pub fn check(&self) -> Result<(), TopologyError> {
        let wrong = |message: String| Err(TopologyError::Plan(message));
        for (option, number) in [
            ("--producers", self.producers),
            ("--consumers", self.consumers),
            ("--copies", self.copies),
            ("--partitions", self.partitions),
        ] {
            if number == 0 {
                return wrong(format!("{option} must be at least 1"));
            }
        }
        if self.consumers > self.partitions {
            return wrong(format!(
                "--consumers must be at most --partitions, {}: a consumer without a partition has nothing to do; for replicas there is --copies",
                self.partitions
            ));
        }
        let consumers = self.consumers.saturating_mul(self.copies);
        if self.producers > OF_A_KIND_MAX || consumers > OF_A_KIND_MAX {
            return wrong(format!(
                "at most {OF_A_KIND_MAX} producers and {OF_A_KIND_MAX} consumers can be started on one machine"
            ));
        }
        Ok(())
    }

    /// The partitions of each consumer: every so many, then the same for each copy.
    #[must_use]
    pub fn owned(&self) -> Vec<Vec<u16>> {
        let of = |consumer: u16| {
            let all = 0..self.partitions;
            all.filter(|partition| partition % self.consumers == consumer)
                .collect::<Vec<_>>()
        };
        let sets = (0..self.consumers).map(of).collect::<Vec<_>>();
        let copies = usize::from(self.copies);
        sets.iter()
            .cycle()
            .take(sets.len() * copies)
            .cloned()
            .collect()
    }

    /// The producers, with the settings of the transport.
    #[must_use]
    pub fn producers(&self, programs: &Programs, transport: &[String]) -> Vec<Spec> {
        let spec = |index: u16| {
            let mut arguments = self.common(transport);
            let grpc = self.address(4317, index);
            let http = self.address(4318, index);
            arguments.extend(["--grpc-listen".to_owned(), grpc]);
            arguments.extend(["--http-listen".to_owned(), http]);
            Spec {
                name: format!("producer-{}", index + 1),
                program: programs.of("producer"),
                arguments,
            }
        };
        (0..self.producers).map(spec).collect()
    }

    /// The consumers, first one of each set of partitions, then the copies.
    #[must_use]
    pub fn consumers(&self, programs: &Programs, transport: &[String]) -> Vec<Spec> {
        let spec = |(index, partitions): (u16, Vec<u16>)| {
            let name = format!("consumer-{}", index + 1);
            let store = self.data_directory.join(&name);
            let partitions: Vec<_> = partitions.iter().map(u16::to_string).collect();
            let mut arguments = self.common(transport);
            arguments.extend(["--name".to_owned(), name.clone()]);
            arguments.extend(["--partitions".to_owned(), partitions.join(",")]);
            arguments.extend(["--store".to_owned(), store.to_string_lossy().into_owned()]);
            arguments.extend(["--query-listen".to_owned(), self.address(4319, index)]);
            Spec {
                name,
                program: programs.of("consumer"),
                arguments,
            }
        };
        (0..).zip(self.owned()).map(spec).collect()
    }

    /// The dashboard over consumers, which shows where the first producer is, and what all of them refused.
    #[must_use]
    pub fn dashboard(
        &self,
        programs: &Programs,
        query: &[String],
        otlp_grpc: &[String],
        otlp_http: &[String],
    ) -> Spec {
        let mut arguments = self.common(&[]);
        arguments.extend(["--listen".to_owned(), self.address(8080, 0)]);
        arguments.extend(["--query".to_owned(), query.join(",")]);
        for (key, addresses) in [("otlp_grpc", otlp_grpc), ("otlp_http", otlp_http)] {
            let setting = addresses.first().map(|address| format!("{key}={address}"));
            arguments.extend(
                setting
                    .into_iter()
                    .flat_map(|one| ["--set".to_owned(), one]),
            );
        }
        if !otlp_grpc.is_empty() {
            let producers = format!("producers={}", otlp_grpc.join(","));
            arguments.extend(["--set".to_owned(), producers]);
        }
        Spec {
            name: "dashboard".to_owned(),
            program: programs.of("dashboard"),
            arguments,
        }
    }

    fn common(&self, transport: &[String]) -> Vec<String> {
        let mut arguments = vec!["--json".to_owned(), "--exit-with-parent".to_owned()];
        // Those of the user come last, so that they win.
        let settings = transport.iter().chain(&self.settings);
        arguments.extend(settings.flat_map(|one| ["--set".to_owned(), one.clone()]));
        arguments
    }

    fn address(&self, port: u16, index: u16) -> String {
        let port = match self.has_free_ports {
            true => 0,
            false => port + PORT_STEP * index,
        };
        format!("127.0.0.1:{port}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan {
            data_directory: PathBuf::from("data"),
            producers: 2,
            consumers: 2,
            copies: 1,
            partitions: 4,
            has_free_ports: false,
            settings: Vec::new(),
        }
    }

    fn programs() -> Programs {
        Programs {
            directory: PathBuf::from("bin"),
        }
    }

    #[test]
    fn every_partition_has_one_consumer_of_each_copy() {
        for (consumers, copies, partitions) in [(1, 1, 1), (2, 1, 4), (2, 2, 4), (3, 2, 7)] {
            let plan = Plan {
                consumers,
                copies,
                partitions,
                ..plan()
            };
            let owned = plan.owned();
            assert_eq!(owned.len(), usize::from(consumers * copies));
            for partition in 0..partitions {
                let owners = owned.iter().filter(|set| set.contains(&partition));
                assert_eq!(owners.count(), usize::from(copies), "{owned:?}");
            }
        }
    }

    #[test]
    fn processes_have_names_stores_and_ports_of_their_own() {
        let plan = plan();
        let transport = ["transport.kind=nats".to_owned()];
        let specs: Vec<_> = (plan.producers(&programs(), &transport).into_iter())
            .chain(plan.consumers(&programs(), &transport))
            .chain([plan.dashboard(&programs(), &["http://a:1".to_owned()], &[], &[])])
            .collect();
        let names: Vec<_> = specs.iter().map(|spec| spec.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "producer-1",
                "producer-2",
                "consumer-1",
                "consumer-2",
                "dashboard"
            ]
        );
        let mut addresses: Vec<_> = (specs.iter().flat_map(|spec| &spec.arguments))
            .filter(|argument| argument.starts_with("127.0.0.1:"))
            .collect();
        let count = addresses.len();
        addresses.sort();
        addresses.dedup();
        assert_eq!((count, addresses.len()), (7, 7), "{addresses:?}");
        assert!(specs[3].arguments.contains(&"1,3".to_owned()));
        assert!(specs[3].arguments.contains(&"data/consumer-2".to_owned()));
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused_by_their_option() {
        for (wrong, option) in [
            (
                Plan {
                    producers: 0,
                    ..plan()
                },
                "--producers",
            ),
            (
                Plan {
                    consumers: 5,
                    ..plan()
                },
                "--consumers",
            ),
            (
                Plan {
                    copies: 0,
                    ..plan()
                },
                "--copies",
            ),
            (
                Plan {
                    copies: 40,
                    ..plan()
                },
                "at most 64",
            ),
        ] {
            let error = wrong.check().unwrap_err().to_string();
            assert!(error.starts_with(option), "{error}");
        }
        plan().check().unwrap();
    }
}
