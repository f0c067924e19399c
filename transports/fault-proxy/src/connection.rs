//! One connection: two pumps that obey the same control.

use std::{
    collections::VecDeque,
    io,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    time::{Instant, sleep_until},
};

use crate::{Control, Counters, Fault, Faults};

const READ_BYTES: usize = 64 << 10;
/// Bytes on their way in one direction at most; a delay holds back that many and then the sender.
const ON_THE_WAY_BYTES_MAX: usize = 8 << 20;

/// Ends a connection with a reset when it is dropped.
pub(crate) fn reset(stream: &TcpStream) {
    // It fails only for a socket that is gone already.
    let _ = stream.set_zero_linger();
}

/// Carries bytes in both directions until both sides are done, or until a fault ends it.
pub(crate) async fn run(
    mut client: TcpStream,
    mut server: TcpStream,
    control: watch::Receiver<Control>,
    cuts: u64,
    counters: &Counters,
) {
    // Small messages go at once, so that what is delayed is delayed by us.
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let ended = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let up = Pump::new(|faults| faults.to_server, cuts, &counters.to_server_bytes);
        let down = Pump::new(|faults| faults.to_client, cuts, &counters.to_client_bytes);
        tokio::try_join!(
            up.run(
                from_client,
                to_server,
                control.clone(),
                &counters.dropped_bytes
            ),
            down.run(from_server, to_client, control, &counters.dropped_bytes),
        )
    };
    if ended.is_err() {
        reset(&client);
        reset(&server);
    }
}

/// One direction of one connection.
struct Pump<'a> {
    fault_of: fn(&Faults) -> Fault,
    cuts: u64,
    arrived_bytes: &'a AtomicU64,
    on_the_way: VecDeque<(Instant, Vec<u8>)>,
    on_the_way_bytes: usize,
    /// Bytes are missing, so that none of what comes after them may arrive.
    holed: bool,
    /// The sender has closed its side.
    ended: bool,
}

/// What ends a connection before its time.
struct Reset;

impl From<io::Error> for Reset {
    fn from(_: io::Error) -> Self {
        Self
    }
}

impl<'a> Pump<'a> {
    fn new(fault_of: fn(&Faults) -> Fault, cuts: u64, arrived_bytes: &'a AtomicU64) -> Self {
        Self {
            fault_of,
            cuts,
            arrived_bytes,
            on_the_way: VecDeque::new(),
            on_the_way_bytes: 0,
            holed: false,
            ended: false,
        }
    }

    async fn run(
        mut self,
        mut from: ReadHalf<'_>,
        mut to: WriteHalf<'_>,
        mut control: watch::Receiver<Control>,
        dropped_bytes: &AtomicU64,
    ) -> Result<(), Reset> {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let (fault, cuts) = {
                let control = control.borrow_and_update();
                ((self.fault_of)(&control.faults), control.cuts)
            };
            if cuts != self.cuts {
                return Err(Reset);
            }
            if fault == Fault::Drop {
                self.lose(dropped_bytes);
            }
            if self.ended
                && self.on_the_way.is_empty()
                && !matches!(fault, Fault::Drop | Fault::Stall)
            {
                // Half a connection may go on without the other half.
                to.shutdown().await?;
                return Ok(());
            }
            let reads = !self.ended
                && fault != Fault::Stall
                && self.on_the_way_bytes < ON_THE_WAY_BYTES_MAX;
            let due = self.on_the_way.front().map(|(due, _)| *due);
            let due = due.filter(|_| fault != Fault::Stall);
            tokio::select! {
                changed = control.changed() => {
                    changed.map_err(|_| Reset)?;
                }
                read = from.read(&mut buffer), if reads => {
                    let bytes = buffer.get(..read?).unwrap_or_default();
                    self.take(bytes, fault, dropped_bytes)?;
                }
                written = self.deliver(&mut to, due), if due.is_some() => written?,
            }
        }
    }

    /// What was read from the sender, under the fault that is set now.
    fn take(&mut self, bytes: &[u8], fault: Fault, dropped_bytes: &AtomicU64) -> Result<(), Reset> {
        if bytes.is_empty() {
            self.ended = true;
            return Ok(());
        }
        let delay = match fault {
            Fault::Drop => {
                self.holed = true;
                dropped_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                return Ok(());
            }
            Fault::Reset => return Err(Reset),
            Fault::None | Fault::Stall => Duration::ZERO,
            Fault::Delay(delay) => delay,
        };
        if self.holed {
            return Err(Reset);
        }
        self.on_the_way_bytes += bytes.len();
        self.on_the_way
            .push_back((Instant::now() + delay, bytes.to_vec()));
        Ok(())
    }

    /// Writes the first of what is on the way once it is due. Cancel-safe: what was written is taken off.
    async fn deliver(&mut self, to: &mut WriteHalf<'_>, due: Option<Instant>) -> Result<(), Reset> {
        if let Some(due) = due {
            sleep_until(due).await;
        }
        let Some((_, bytes)) = self.on_the_way.front_mut() else {
            return Ok(());
        };
        let written = to.write(bytes).await?;
        self.arrived_bytes
            .fetch_add(written as u64, Ordering::Relaxed);
        self.on_the_way_bytes = self.on_the_way_bytes.saturating_sub(written);
        bytes.drain(..written);
        if bytes.is_empty() {
            self.on_the_way.pop_front();
        }
        Ok(())
    }

    /// Loses what is on the way.
    fn lose(&mut self, dropped_bytes: &AtomicU64) {
        if self.on_the_way_bytes > 0 {
            self.holed = true;
            dropped_bytes.fetch_add(self.on_the_way_bytes as u64, Ordering::Relaxed);
        }
        self.on_the_way.clear();
        self.on_the_way_bytes = 0;
    }
}
