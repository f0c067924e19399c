//! Each fault does what it says, can be switched at any moment, and only to the direction that it is set for.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::{io::ErrorKind, net::SocketAddr, time::Duration};

use log_tracer_fault_proxy::{Counts, Fault, FaultProxy, Faults};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, timeout},
};

/// What must come comes within this.
const PATIENCE: Duration = Duration::from_secs(30);
/// What must not come is waited for so long.
const QUIET: Duration = Duration::from_millis(100);

/// A server that answers every byte with the same byte.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    address
}

struct Stage {
    proxy: FaultProxy,
    client: TcpStream,
}

impl Stage {
    async fn new() -> Self {
        let proxy = FaultProxy::start(echo().await).await.unwrap();
        let client = TcpStream::connect(proxy.address()).await.unwrap();
        let mut stage = Self { proxy, client };
        stage.say(b"hello").await;
        assert_eq!(stage.hear(5).await.unwrap(), b"hello");
        stage
    }

    async fn say(&mut self, bytes: &[u8]) {
        self.client.write_all(bytes).await.unwrap();
    }

    async fn hear(&mut self, bytes: usize) -> std::io::Result<Vec<u8>> {
        let mut buffer = vec![0; bytes];
        timeout(PATIENCE, self.client.read_exact(&mut buffer))
            .await
            .unwrap()?;
        Ok(buffer)
    }

    async fn hear_nothing(&mut self) {
        let mut buffer = [0; 1];
        let heard = timeout(QUIET, self.client.read(&mut buffer)).await;
        assert!(heard.is_err(), "{heard:?}");
    }

    /// Waits until a number is what it must become; bytes are counted a moment after they were moved.
    async fn counts<T: PartialEq + std::fmt::Debug>(&self, of: impl Fn(Counts) -> T, wanted: T) {
        let waits = timeout(PATIENCE, async {
            while of(self.proxy.counts()) != wanted {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        let found = || of(self.proxy.counts());
        assert!(waits.await.is_ok(), "{:?} and not {wanted:?}", found());
    }

    async fn hear_a_reset(&mut self) {
        let error = self.hear(1).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
}

#[tokio::test]
async fn without_a_fault_every_byte_goes_through_and_is_counted() {
    let mut stage = Stage::new().await;
    let sent: Vec<u8> = (0..3_000_000_u32).map(|number| number as u8).collect();
    let (mut from, mut to) = stage.client.split();
    let mut heard = vec![0; sent.len()];
    let (said, read) = tokio::join!(to.write_all(&sent), from.read_exact(&mut heard));
    said.unwrap();
    read.unwrap();
    assert!(heard == sent);
    let moved = |counts: Counts| (counts.to_server_bytes, counts.to_client_bytes);
    stage.counts(moved, (3_000_005, 3_000_005)).await;
    let counts = stage.proxy.counts();
    assert_eq!((counts.connections, counts.open, counts.refused), (1, 1, 0));
}

#[tokio::test]
async fn the_end_of_one_direction_leaves_the_other_open() {
    let mut stage = Stage::new().await;
    stage.say(b"last words").await;
    stage.client.shutdown().await.unwrap();
    let mut heard = Vec::new();
    timeout(PATIENCE, stage.client.read_to_end(&mut heard))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(heard, b"last words");
}

#[tokio::test]
async fn a_delay_holds_back_every_byte_and_not_the_number_of_them() {
    let mut stage = Stage::new().await;
    let delay = Duration::from_millis(200);
    stage.proxy.set(Faults {
        to_server: Fault::Delay(delay),
        ..Faults::NONE
    });
    let start = Instant::now();
    stage.say(b"slow").await;
    assert_eq!(stage.hear(4).await.unwrap(), b"slow");
    assert!(start.elapsed() >= delay);

    // Many pieces are under way at once: a delay for each in turn would take a minute.
    let start = Instant::now();
    let sent = vec![7; 4 << 20];
    let (mut from, mut to) = stage.client.split();
    let mut heard = vec![0; sent.len()];
    let (said, read) = tokio::join!(to.write_all(&sent), from.read_exact(&mut heard));
    said.unwrap();
    read.unwrap();
    assert!(start.elapsed() >= delay);
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
}

#[tokio::test]
async fn what_is_dropped_never_arrives_and_its_connection_is_not_used_again() {
    let mut stage = Stage::new().await;
    stage.proxy.set(Faults {
        to_server: Fault::Drop,
        ..Faults::NONE
    });
    stage.say(b"lost").await;
    stage.hear_nothing().await;
    stage.counts(|counts| counts.dropped_bytes, 4).await;
    assert_eq!(stage.proxy.counts().to_server_bytes, 5);
    stage.proxy.set(Faults::NONE);
    stage.say(b"after a hole").await;
    stage.hear_a_reset().await;
}

#[tokio::test]
async fn what_is_on_the_way_is_lost_when_dropping_begins() {
    let mut stage = Stage::new().await;
    stage.proxy.set(Faults {
        to_client: Fault::Delay(PATIENCE * 10),
        ..Faults::NONE
    });
    stage.say(b"reply").await;
    stage.hear_nothing().await;
    stage.proxy.set(Faults::BLACK_HOLE);
    stage.hear_nothing().await;
    stage.counts(|counts| counts.dropped_bytes, 5).await;
}

#[tokio::test]
async fn a_half_open_connection_is_silent_and_goes_on_where_it_stopped() {
    let mut stage = Stage::new().await;
    stage.proxy.set(Faults::HALF_OPEN);
    stage.say(b"waits").await;
    stage.hear_nothing().await;
    assert_eq!(stage.proxy.counts().open, 1);
    assert_eq!(stage.proxy.counts().to_server_bytes, 5);

    // A sender that goes on fills the buffers and then waits.
    let block = vec![1; 1 << 20];
    let filled = timeout(QUIET * 5, async {
        loop {
            stage.client.write_all(&block).await.unwrap();
        }
    });
    assert!(filled.await.is_err());
    stage.proxy.set(Faults::NONE);
    assert_eq!(stage.hear(5).await.unwrap(), b"waits");
}

#[tokio::test]
async fn a_reset_before_the_reply_comes_after_the_request_has_arrived() {
    let mut stage = Stage::new().await;
    stage.proxy.set(Faults::RESET_BEFORE_REPLY);
    // Nothing is reset until the server answers.
    stage.hear_nothing().await;
    stage.say(b"request").await;
    stage.hear_a_reset().await;
    let moved = |counts: Counts| (counts.to_server_bytes, counts.to_client_bytes);
    stage.counts(moved, (12, 5)).await;
    stage.counts(|counts| counts.open, 0).await;
}

#[tokio::test]
async fn a_cut_resets_what_is_open_and_nothing_that_comes_later() {
    let mut stage = Stage::new().await;
    stage.proxy.cut();
    stage.hear_a_reset().await;
    stage.client = TcpStream::connect(stage.proxy.address()).await.unwrap();
    stage.say(b"again").await;
    assert_eq!(stage.hear(5).await.unwrap(), b"again");
}

#[tokio::test]
async fn new_connections_are_refused_while_those_that_are_open_go_on() {
    let mut stage = Stage::new().await;
    stage.proxy.set(Faults {
        refuse: true,
        ..Faults::NONE
    });
    stage.say(b"still here").await;
    assert_eq!(stage.hear(10).await.unwrap(), b"still here");
    let mut refused = TcpStream::connect(stage.proxy.address()).await.unwrap();
    let read = timeout(PATIENCE, refused.read(&mut [0; 1])).await.unwrap();
    assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(stage.proxy.counts().refused, 1);
    stage.proxy.set(Faults::NONE);
    stage.client = TcpStream::connect(stage.proxy.address()).await.unwrap();
    stage.say(b"back").await;
    assert_eq!(stage.hear(4).await.unwrap(), b"back");
}

#[tokio::test]
async fn without_an_upstream_a_connection_is_reset_until_there_is_one() {
    let nobody = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let proxy = FaultProxy::start(address).await.unwrap();
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    let read = timeout(PATIENCE, client.read(&mut [0; 1])).await.unwrap();
    assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);

    proxy.redirect(echo().await);
    let client = TcpStream::connect(proxy.address()).await.unwrap();
    let mut stage = Stage { proxy, client };
    stage.say(b"found").await;
    assert_eq!(stage.hear(5).await.unwrap(), b"found");
}

#[tokio::test]
async fn dropping_the_proxy_closes_the_port_and_the_connections() {
    let Stage { proxy, mut client } = Stage::new().await;
    let address = proxy.address();
    drop(proxy);
    let read = timeout(PATIENCE, client.read(&mut [0; 1])).await.unwrap();
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    assert!(TcpStream::connect(address).await.is_err());
}
