//! The images and compose.yml keep what they promise, as far as can be told without a container engine: users, file
//! systems, capabilities, ports, volumes, health checks, versions, and that everything that they name exists. That the
//! settings of the services are right is tested beside the programs that read them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use cargo_metadata::{Metadata, MetadataCommand};
use serde_json::Value;

/// The user of every final image: nobody else's.
const USER: &str = "65532:65532";
/// Ports that a user needs: OTLP of two producers, and the pages.
const HOST_PORTS: [u16; 5] = [4317, 4318, 4327, 4328, 8080];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn metadata() -> Metadata {
    MetadataCommand::new().no_deps().exec().unwrap()
}

/// An instruction with its words, continued lines joined and comments left out.
#[derive(Debug)]
struct Instruction {
    name: String,
    rest: String,
}

impl Instruction {
    fn words(&self) -> Vec<&str> {
        let words = self.rest.split_whitespace();
        words.filter(|word| !word.starts_with("--")).collect()
    }

    fn is_from_stage(&self) -> bool {
        self.rest
            .split_whitespace()
            .any(|word| word.starts_with("--from="))
    }
}

fn containerfiles() -> Vec<(String, Vec<Instruction>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root().join("images")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(name.ends_with(".Containerfile"), "images/{name}");
        files.push((name, instructions(&fs::read_to_string(&path).unwrap())));
    }
    files.sort_by(|(one, _), (other, _)| one.cmp(other));
    files
}

fn instructions(text: &str) -> Vec<Instruction> {
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    let joined = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let lines = joined
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
            Instruction {
                name: name.to_owned(),
                rest: rest.trim().to_owned(),
            }
        })
        .collect()
}

fn all<'a>(file: &'a [Instruction], name: &'a str) -> impl Iterator<Item = &'a Instruction> {
    file.iter().filter(move |one| one.name == name)
}

fn last_stage(file: &[Instruction]) -> &[Instruction] {
    let start = file.iter().rposition(|one| one.name == "FROM").unwrap();
    &file[start..]
}

fn compose() -> Value {
    let text = fs::read_to_string(root().join("compose.yml")).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

fn services(compose: &Value) -> BTreeMap<&str, &Value> {
    let services = compose["services"].as_object().unwrap();
    services
        .iter()
        .map(|(name, service)| (name.as_str(), service))
        .collect()
}

/// Those that run a program of ours.
fn is_ours(service: &Value) -> bool {
    service["image"].as_str().unwrap().starts_with("log-tracer")
}

fn texts(list: &Value) -> Vec<&str> {
    let list = list.as_array().map_or(&[][..], Vec::as_slice);
    list.iter().map(|one| one.as_str().unwrap()).collect()
}

#[test]
fn there_is_an_image_for_every_program() {
    let files: Vec<_> = containerfiles().into_iter().map(|(name, _)| name).collect();
    let expected = ["consumer", "dashboard", "log-tracer", "producer"];
    let expected: Vec<_> = expected
        .iter()
        .map(|one| format!("{one}.Containerfile"))
        .collect();
    assert_eq!(files, expected);
}

#[test]
fn what_images_copy_and_build_exists() {
    let metadata = metadata();
    let binaries: BTreeMap<String, String> = (metadata.packages.iter())
        .flat_map(|package| package.targets.iter().map(move |target| (package, target)))
        .filter(|(_, target)| target.is_bin())
        .map(|(package, target)| (package.name.to_string(), target.name.clone()))
        .collect();
    for (name, file) in containerfiles() {
        for copy in all(&file, "COPY").filter(|copy| !copy.is_from_stage()) {
            let words = copy.words();
            for source in &words[..words.len() - 1] {
                assert!(
                    root().join(source).exists(),
                    "{name}: {source} does not exist"
                );
            }
        }
        let build = all(&file, "RUN")
            .find(|run| run.rest.contains("cargo build"))
            .unwrap();
        let after = |option: &str| {
            let (_, rest) = build.rest.split_once(option).unwrap();
            rest.split_whitespace().next().unwrap().to_owned()
        };
        let binary = after(" --bin ");
        assert_eq!(binaries.get(&after(" -p ")), Some(&binary), "{name}");
        assert!(build.rest.contains("--release --locked"), "{name}");
        let entry = all(&file, "ENTRYPOINT").next().unwrap();
        assert_eq!(
            entry.rest,
            format!("[\"/usr/local/bin/{binary}\"]"),
            "{name}"
        );
    }
}

#[test]
fn final_images_are_small_and_run_as_nobody() {
    for (name, file) in containerfiles() {
        let last = last_stage(&file);
        assert!(last.len() < file.len(), "{name} has one stage only");
        assert!(
            last[0].rest.contains("distroless"),
            "{name}: {}",
            last[0].rest
        );
        assert!(last[0].rest.ends_with(":nonroot"), "{name}");
        assert_eq!(
            all(last, "RUN").count(),
            0,
            "{name} runs something in its final stage"
        );
        let user = all(last, "USER").last().unwrap();
        assert_eq!(user.rest, USER, "{name}");
        assert_eq!(
            all(last, "STOPSIGNAL").next().unwrap().rest,
            "SIGTERM",
            "{name}"
        );
        let health = all(last, "HEALTHCHECK").next();
        assert!(health.unwrap().rest.ends_with("\"healthcheck\"]"), "{name}");
        for volume in all(last, "VOLUME") {
            let owned = all(last, "COPY").any(|copy| {
                copy.rest.contains(&format!("--chown={USER}")) && copy.rest.ends_with(&volume.rest)
            });
            assert!(owned, "{name}: nobody may write to {}", volume.rest);
        }
    }
}

#[test]
fn nothing_is_fetched_by_address_and_every_base_has_a_version() {
    let rust = metadata().packages[0].rust_version.clone().unwrap();
    let rust = format!("rust:{}.{}-", rust.major, rust.minor);
    for (name, file) in containerfiles() {
        assert_eq!(all(&file, "ADD").count(), 0, "{name}");
        let fetches = |run: &&Instruction| {
            ["curl", "wget", "http:", "https:"]
                .iter()
                .any(|word| run.rest.contains(word))
        };
        assert!(!all(&file, "RUN").any(|run| fetches(&run)), "{name}");
        assert!(
            file[0].rest.contains(&rust),
            "{name}: {} is not {rust}",
            file[0].rest
        );
        for from in all(&file, "FROM") {
            assert!(
                from.rest.contains(':') && !from.rest.contains(":latest"),
                "{name}: {}",
                from.rest
            );
        }
    }
    let compose = compose();
    for (name, service) in services(&compose) {
        let image = service["image"].as_str().unwrap();
        let (_, version) = image
            .rsplit_once(':')
            .unwrap_or_else(|| panic!("{name}: {image}"));
        assert!(
            version.starts_with(|one: char| one.is_ascii_digit()),
            "{name}: {image}"
        );
    }
}

#[test]
fn the_variables_of_images_are_settings_that_exist() {
    let root = root();
    let examples = ["producer", "consumer", "dashboard", "standalone"]
        .map(|name| fs::read_to_string(root.join(format!("etc/{name}.toml"))).unwrap());
    for (name, file) in containerfiles() {
        for env in all(&file, "ENV") {
            for variable in env.words() {
                let (variable, _) = variable.split_once('=').unwrap();
                let key = variable
                    .strip_prefix("LOG_TRACER__")
                    .unwrap()
                    .to_lowercase();
                let key = format!("#{} = ", key.rsplit("__").next().unwrap());
                assert!(
                    examples.iter().any(|text| text.contains(&key)),
                    "{name}: {variable}"
                );
            }
        }
    }
}

#[test]
fn services_may_do_nothing_but_their_work() {
    let compose = compose();
    for (name, service) in services(&compose) {
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(texts(&service["cap_drop"]), ["ALL"], "{name}");
        assert_eq!(
            texts(&service["security_opt"]),
            ["no-new-privileges:true"],
            "{name}"
        );
        assert!(
            service["privileged"].is_null() && service["cap_add"].is_null(),
            "{name}"
        );
        assert!(service["stop_grace_period"].is_string(), "{name}");
        if is_ours(service) {
            assert_eq!(service["user"], USER, "{name}");
        }
    }
}

#[test]
fn only_ports_that_a_user_needs_are_open_and_only_to_the_machine() {
    let compose = compose();
    let mut by_profile: BTreeMap<&str, BTreeSet<u16>> = BTreeMap::new();
    for (name, service) in services(&compose) {
        for port in texts(&service["ports"]) {
            let Some(port) = port.strip_prefix("127.0.0.1:") else {
                panic!("{name}: {port} is open to other machines");
            };
            let (host, _) = port.split_once(':').unwrap();
            let ports = by_profile
                .entry(texts(&service["profiles"])[0])
                .or_default();
            assert!(ports.insert(host.parse().unwrap()), "{name}: {host} twice");
        }
    }
    for profile in ["nats", "fluvio"] {
        assert_eq!(by_profile[profile], BTreeSet::from(HOST_PORTS), "{profile}");
    }
}

#[test]
fn every_profile_has_two_producers_two_consumers_of_all_partitions_and_a_dashboard_over_both() {
    let compose = compose();
    for profile in ["nats", "fluvio"] {
        let of = |role: &str| {
            let image = format!("log-tracer-{role}:");
            let of_profile = services(&compose).into_iter().filter(|(_, service)| {
                texts(&service["profiles"]) == [profile]
                    && service["image"].as_str().unwrap().starts_with(&image)
            });
            of_profile.collect::<Vec<_>>()
        };
        assert_eq!(of("producer").len(), 2);
        let environment = |service: &Value, key: &str| {
            service["environment"][format!("LOG_TRACER__{key}")]
                .as_str()
                .unwrap_or_else(|| panic!("{key} is not set"))
                .to_owned()
        };
        let consumers = of("consumer");
        let mut owned: Vec<u16> = Vec::new();
        let mut asked = Vec::new();
        for (name, service) in &consumers {
            let partitions = environment(service, "CONSUMER__PARTITIONS");
            owned.extend(partitions.split(',').map(|one| one.parse::<u16>().unwrap()));
            assert_eq!(environment(service, "TRANSPORT__PARTITIONS"), "4");
            asked.push(format!("http://{name}:4319"));
        }
        owned.sort_unstable();
        assert_eq!(owned, [0, 1, 2, 3], "{profile}");
        let dashboards = of("dashboard");
        assert_eq!(dashboards.len(), 1);
        assert_eq!(environment(dashboards[0].1, "QUERY"), asked.join(","));
        let names: BTreeSet<_> = consumers
            .iter()
            .map(|(_, service)| environment(service, "CONSUMER__NAME"))
            .collect();
        assert_eq!(names.len(), 2, "{profile}: two consumers of one name");
    }
}

#[test]
fn what_is_kept_lies_in_a_named_volume_of_one_service() {
    let compose = compose();
    let declared: BTreeSet<_> = compose["volumes"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    let mut used = BTreeSet::new();
    for (name, service) in services(&compose) {
        for volume in texts(&service["volumes"]) {
            let (volume, place) = volume.split_once(':').unwrap();
            assert_eq!(place, "/data", "{name}");
            assert!(
                used.insert(volume.to_owned()),
                "{name}: {volume} has two users"
            );
        }
    }
    assert_eq!(used, declared);
}

#[test]
fn everything_that_runs_is_asked_for_its_health_and_waited_for() {
    let compose = compose();
    let all = services(&compose);
    for (name, service) in &all {
        let check = &service["healthcheck"];
        if service["restart"] == "on-failure" {
            assert_eq!(check["disable"], true, "{name} ends, and is not asked");
        } else {
            let test = texts(&check["test"]);
            assert_eq!(test[0], "CMD", "{name}: {test:?}");
            if is_ours(service) {
                let image = service["image"].as_str().unwrap();
                let program = image.split(':').next().unwrap();
                let program = format!("/usr/local/bin/{program}");
                assert_eq!(test[1..], [program.as_str(), "healthcheck"], "{name}");
            }
        }
        let needs = service["depends_on"].as_object();
        for (needed, how) in needs.into_iter().flatten() {
            let needed = all
                .get(needed.as_str())
                .unwrap_or_else(|| panic!("{name}: {needed}"));
            let expected = match needed["restart"] == "on-failure" {
                true => "service_completed_successfully",
                false => "service_healthy",
            };
            assert_eq!(how["condition"], expected, "{name}");
        }
        if is_ours(service) {
            let file = service["build"]["dockerfile"].as_str().unwrap();
            assert!(root().join(file).is_file(), "{name}: {file}");
        }
    }
}
