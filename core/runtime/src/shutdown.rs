//! Shutdown: the first SIGINT (Ctrl-C) or SIGTERM asks for a clean stop, the second ends the process at once.
//!
//! Signals are watched on a thread of their own with a runtime of its own. The second one has to work exactly when the
//! program hangs, and a program that hangs may have every thread of its main runtime blocked.

use std::{
    io::{self, Read},
    thread,
};

use slog::Logger;
use tokio_util::sync::CancellationToken;

/// Watches for signals from now on, until the process ends. The token is cancelled by the first of them; the second
/// ends the process at once with 128 plus the signal's number, as a shell reports a process that a signal ended.
///
/// # Errors
/// The operating system refused a thread or the signal handlers.
pub fn on_signals(log: Logger) -> io::Result<CancellationToken> {
    let token = CancellationToken::new();
    let asked = token.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let mut signals = {
        let _within = runtime.enter();
        Signals::install()?
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            runtime.block_on(async move {
                let first = signals.next().await;
                slog::info!(log, "stopping, a second signal ends the process at once"; "signal" => first.name);
                asked.cancel();
                let second = signals.next().await;
                std::process::exit(128 + second.number);
            });
        })?;
    Ok(token)
}

/// Cancels `token` when `input` ends: with the standard input, a process that was started by another one stops with
/// it, whatever ended the other. What is read is thrown away.
///
/// The thread that reads stays until then; it does not keep the process alive.
///
/// # Errors
/// The operating system refused a thread.
pub fn on_end_of(
    mut input: impl Read + Send + 'static,
    token: CancellationToken,
    log: Logger,
) -> io::Result<()> {
    thread::Builder::new()
        .name("end-of-input".to_owned())
        .spawn(move || {
            let mut buffer = [0; 1024];
            loop {
                match input.read(&mut buffer) {
                    Ok(1..) => {}
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Ok(0) => break,
                    Err(error) => {
                        slog::warn!(log, "the standard input cannot be read"; "error" => %error);
                        break;
                    }
                }
            }
            slog::info!(log, "stopping, the standard input has ended");
            token.cancel();
        })?;
    Ok(())
}

/// A signal that asks the process to end.
#[derive(Clone, Copy, Debug)]
struct Signal {
    name: &'static str,
    number: i32,
}

const INTERRUPT: Signal = Signal {
    name: "SIGINT",
    number: 2,
};

#[cfg(unix)]
#[derive(Debug)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn install() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> Signal {
        const TERMINATE: Signal = Signal {
            name: "SIGTERM",
            number: 15,
        };
        tokio::select! {
            _ = self.interrupt.recv() => INTERRUPT,
            _ = self.terminate.recv() => TERMINATE,
        }
    }
}

/// Where there is no SIGTERM, Ctrl-C alone.
#[cfg(not(unix))]
#[derive(Debug)]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn install() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> Signal {
        if tokio::signal::ctrl_c().await.is_err() {
            // Without a handler the system's own ends the process.
            std::future::pending::<()>().await;
        }
        INTERRUPT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_token_is_cancelled_when_the_input_ends_and_not_before() {
        let (reader, writer) = io::pipe().unwrap();
        let token = CancellationToken::new();
        on_end_of(
            reader,
            token.clone(),
            Logger::root(slog::Discard, slog::o!()),
        )
        .unwrap();
        io::Write::write_all(&mut &writer, b"still here").unwrap();
        assert!(!token.is_cancelled());
        drop(writer);
        token.cancelled().await;
    }
}
