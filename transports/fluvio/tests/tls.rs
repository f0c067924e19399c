//! TLS to the controller and to the storage unit, both of which want to see a certificate.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::{fs, path::Path, time::Duration};

use log_tracer_transport::{OpenError, Transport};
use log_tracer_transport_fluvio::{
    Config, FluvioTransport, Tls,
    cluster::{Cluster, ServerTls},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use support::traffic::{envelope, read_all, soon};

const DOMAIN: &str = "fluvio.example";

/// What signs certificates of its own.
fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Writes a certificate for these names, and its key.
fn issue(by: &CertifiedIssuer<'_, KeyPair>, directory: &Path, file: &str, names: &[&str]) {
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let signed = CertificateParams::new(names).unwrap().signed_by(&key, by);
    fs::write(directory.join(format!("{file}.pem")), signed.unwrap().pem()).unwrap();
    fs::write(directory.join(format!("{file}.key")), key.serialize_pem()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs fluvio-run: on the PATH or named by FLUVIO_RUN, then `cargo make test-live`"]
async fn a_cluster_with_tls_is_used_by_those_who_have_a_certificate_and_by_nobody_else() {
    let (directory, options) = support::options(1);
    let directory = directory.path();
    let ours = authority("ca.fluvio.example");
    let theirs = authority("ca.elsewhere.example");
    fs::write(directory.join("ca.pem"), ours.pem()).unwrap();
    fs::write(directory.join("elsewhere.pem"), theirs.pem()).unwrap();
    issue(
        &ours,
        directory,
        "server",
        &[DOMAIN, "custom-spu-5001.fluvio.example"],
    );
    issue(&ours, directory, "client", &["client"]);
    issue(&theirs, directory, "stranger", &["client"]);
    let server = ServerTls {
        ca_certificate: directory.join("ca.pem"),
        certificate: directory.join("server.pem"),
        key: directory.join("server.key"),
    };
    let cluster = Cluster::start_with_tls(options, server).await.unwrap();
    let with = |ca: &str, client: &str| Config {
        open_timeout_ms: 5_000,
        request_timeout_ms: 2_000,
        tls: Some(Tls {
            domain: DOMAIN.into(),
            ca_certificate: directory.join(ca),
            certificate: directory.join(format!("{client}.pem")),
            key: directory.join(format!("{client}.key")),
        }),
        ..support::config(&cluster.address().to_string())
    };

    let transport = FluvioTransport::open(&with("ca.pem", "client"))
        .await
        .unwrap();
    for number in 0..50 {
        let batch = vec![envelope(number, 10 << 10)];
        transport.publish(batch, soon()).await.unwrap();
    }
    let seen = read_all(&transport, 50).await;
    assert_eq!(seen.numbers, (0..50).collect::<Vec<_>>());
    transport.close(soon()).await.unwrap();

    let without = Config {
        tls: None,
        ..with("ca.pem", "client")
    };
    for (who, config) in [
        (
            "a client that trusts others",
            with("elsewhere.pem", "client"),
        ),
        ("a client that others trust", with("ca.pem", "stranger")),
        ("a client without TLS", without),
    ] {
        let refused = FluvioTransport::open(&config).await;
        assert!(
            matches!(&refused, Err(OpenError::Transient(_))),
            "{who}: {refused:?}"
        );
    }
    cluster.stop(Duration::from_secs(5)).await.unwrap();
}
