//! Installs what the scripts import, once, and runs them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, OnceLock, PoisonError},
};

use serde_json::Value;

static INSTALLING: Mutex<()> = Mutex::new(());

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live")
}

pub(crate) fn home() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("live")
}

/// Sends with an SDK; what it says that it sent.
pub(crate) fn run_sdk(language: &str, protocol: &str, endpoint: &str) -> Value {
    let mut command = match language {
        "python" => {
            let mut command = Command::new(python().join("bin/python"));
            command.arg(scripts().join("send.py"));
            command
        }
        "node" => {
            let mut command = Command::new("node");
            command.arg(node().join("send.mjs"));
            command
        }
        other => panic!("no SDK for {other}"),
    };
    let output = command
        .args([protocol, endpoint])
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{language} over {protocol} failed: {text}"
    );
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

/// Runs a program that a package of `requirements.txt` brings.
pub(crate) fn run_python(program: &str, arguments: &[&str]) {
    run(Command::new(python().join("bin").join(program))
        .args(arguments)
        // It keeps examples where it is started.
        .current_dir(home()));
}

/// Runs a script of this directory; what it says.
pub(crate) fn run_script(script: &str, arguments: &[&str]) -> Value {
    let output = Command::new(python().join("bin/python"))
        .arg(scripts().join(script))
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{script} failed: {text}");
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

/// A virtual environment with `requirements.txt` installed.
fn python() -> PathBuf {
    let _one_at_a_time = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    let (environment, wanted) = (home().join("venv"), scripts().join("requirements.txt"));
    if !is_current(&environment, &wanted) {
        run(Command::new("python3")
            .args(["-m", "venv"])
            .arg(&environment));
        run(Command::new(environment.join("bin/pip"))
            .args(["install", "--quiet", "--retries", "10", "-r"])
            .arg(&wanted));
        mark_current(&environment, &wanted);
    }
    environment
}

/// A directory with `package-lock.json` installed and copies of the scripts, since modules are looked up beside them.
pub(crate) fn node() -> PathBuf {
    // Once: a script that is copied again could be half there when another test's program reads it.
    static INSTALLED: OnceLock<PathBuf> = OnceLock::new();
    INSTALLED.get_or_init(install_node).clone()
}

fn install_node() -> PathBuf {
    let _one_at_a_time = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    let (directory, wanted) = (home().join("node"), scripts().join("package-lock.json"));
    fs::create_dir_all(&directory).unwrap();
    for name in ["package.json", "package-lock.json", "send.mjs"] {
        fs::copy(scripts().join(name), directory.join(name)).unwrap();
    }
    for script in fs::read_dir(scripts().join("browser")).unwrap() {
        let script = script.unwrap();
        fs::copy(script.path(), directory.join(script.file_name())).unwrap();
    }
    if !is_current(&directory, &wanted) {
        run(Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund", "--silent"])
            .args(["--fetch-retries", "10"])
            .current_dir(&directory));
        mark_current(&directory, &wanted);
    }
    directory
}

fn is_current(installed: &Path, wanted: &Path) -> bool {
    fs::read(installed.join("installed"))
        .is_ok_and(|installed| installed == fs::read(wanted).unwrap())
}

fn mark_current(installed: &Path, wanted: &Path) {
    fs::copy(wanted, installed.join("installed")).unwrap();
}

fn run(command: &mut Command) {
    let status = command
        .status()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}
