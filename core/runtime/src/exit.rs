//! Exit codes, with the numbers of BSD's `sysexits.h` that supervisors and shells know.

use std::process::ExitCode;

/// What the process tells whoever started it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// Done, or stopped as asked.
    Ok = 0,
    /// The command line is wrong: another one is needed.
    Usage = 64,
    /// A fault of the program itself.
    Internal = 70,
    /// Something outside failed that may work later: the same command can be tried again.
    Transient = 75,
    /// The configuration is wrong, or does not fit the machine (a port in use): it has to be changed first.
    Config = 78,
}

impl Code {
    /// The number that the shell sees.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code.number())
    }
}

/// An error that ends the process knows how.
pub trait Exit: std::error::Error {
    /// The code to end with.
    fn exit_code(&self) -> Code;
}
