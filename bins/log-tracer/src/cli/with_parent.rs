//! `log-tracer with-parent`: becomes another program, which ends when the process that started this one does.
//!
//! The wish to be told of the parent's end outlives the change of programs, so that a program that knows nothing of it
//! gets a SIGTERM. That is a feature of Linux, and safe code of a library; what runs elsewhere is started without it.

use std::ffi::OsString;

use log_tracer_runtime::exit::Code;

use super::Failure;

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The process id of the parent
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    parent: u32,
    /// The program and its arguments
    #[arg(last = true, required = true)]
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    command: Vec<OsString>,
}

#[cfg(target_os = "linux")]
pub(super) fn become_program(options: &Options) -> Result<(), Failure> {
    use std::{os::unix::process::CommandExt, process::Command};

    use rustix::process::{Signal, getppid, set_parent_process_death_signal};

    set_parent_process_death_signal(Some(Signal::TERM))
        .map_err(|error| Failure::transient("the end of the parent cannot be watched", &error))?;
    // It may have ended before it was watched.
    let parent = getppid().map(|parent| parent.as_raw_pid().unsigned_abs());
    if parent != Some(options.parent) {
        return Err(Failure::new(
            Code::Transient,
            "the parent has ended already",
        ));
    }
    let Some((program, arguments)) = options.command.split_first() else {
        return Err(Failure::new(Code::Usage, "no program is named"));
    };
    let error = Command::new(program).args(arguments).exec();
    let what = format!("{} cannot be started", program.to_string_lossy());
    Err(Failure::transient(&what, &error))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn become_program(_: &Options) -> Result<(), Failure> {
    Err(Failure::new(
        Code::Usage,
        "only Linux tells a program of the end of its parent",
    ))
}
