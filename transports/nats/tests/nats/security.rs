//! Who may come in: TLS with certificates made here, and every way to log in.

use std::{
    fs,
    path::{Path, PathBuf},
};

use log_tracer_transport::{OpenError, Transport};
use log_tracer_transport_nats::{Config, NatsTransport};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::time::Instant;

use crate::{
    load::{Load, PATIENCE, read},
    support::{Servers, Sync},
};

/// The way in works: it connects, stores and reads.
async fn expect_in(config: &Config) {
    let transport = NatsTransport::open(config).await.unwrap();
    let transport = std::sync::Arc::new(transport);
    let load = Load::new(&transport);
    load.publish_until_acked(vec![load.envelope(100)]).await;
    assert_eq!(read(&transport, 1).await.len(), 1);
    transport.close(Instant::now() + PATIENCE).await.unwrap();
}

/// It does not, and what is said has no secret in it.
async fn expect_out(config: &Config, says: &str) {
    let refused = NatsTransport::open(config).await.map(|log| log.log_id());
    let error = refused.unwrap_err();
    let text = format!("{error} {error:?} {config:?}");
    assert!(text.contains(says), "{text}");
    assert!(!text.contains("s3cret"), "{text}");
}

fn file(directory: &Path, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, text).unwrap();
    path
}

/// An authority, and a certificate of it for the server and one for us.
fn certificates(directory: &Path) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = authority.self_signed(&key).unwrap();
    file(directory, "ca.pem", &certificate.pem());
    let issuer = Issuer::new(authority, key);
    for name in ["server", "client"] {
        let key = KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let params = CertificateParams::new(names).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        file(directory, &format!("{name}.pem"), &certificate.pem());
        file(directory, &format!("{name}-key.pem"), &key.serialize_pem());
    }
}

fn install_crypto() {
    // Another test of this process may have been first.
    let _ = async_nats::rustls::crypto::aws_lc_rs::default_provider().install_default();
}

#[tokio::test]
#[ignore = "needs nats-server: cargo make test-live"]
async fn tls_is_verified_on_both_sides() {
    install_crypto();
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    certificates(home);
    let servers = Servers::single_with(Sync::Periodic, |_| {
        format!(
            "tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {:?}, verify: true }}\n",
            home.join("server.pem"),
            home.join("server-key.pem"),
            home.join("ca.pem"),
        )
    })
    .await;
    let address = servers.the().address;
    let good = Config {
        servers: vec![format!("tls://localhost:{}", address.port())],
        tls_ca_file: home.join("ca.pem"),
        tls_certificate_file: home.join("client.pem"),
        tls_key_file: home.join("client-key.pem"),
        ..servers.config()
    };
    expect_in(&good).await;
    let by_need = Config {
        servers: vec![format!("nats://{address}")],
        tls_required: true,
        ..good.clone()
    };
    expect_in(&by_need).await;

    let unknown = KeyPair::generate().unwrap();
    let stranger = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let stranger = stranger.self_signed(&unknown).unwrap();
    let other = file(home, "other.pem", &stranger.pem());
    let distrusted = Config {
        tls_ca_file: other.clone(),
        ..good.clone()
    };
    expect_out(&distrusted, "certificate").await;
    let without_certificate = Config {
        tls_certificate_file: PathBuf::new(),
        tls_key_file: PathBuf::new(),
        ..good.clone()
    };
    let refused = NatsTransport::open(&without_certificate)
        .await
        .map(|log| log.log_id());
    assert!(
        matches!(refused, Err(OpenError::Transient(_))),
        "{refused:?}"
    );
    let nowhere = Config {
        tls_ca_file: home.join("nowhere.pem"),
        ..good
    };
    expect_out(&nowhere, "nowhere.pem").await;
}

#[tokio::test]
#[ignore = "needs nats-server: cargo make test-live"]
async fn a_user_with_a_password_comes_in_and_a_wrong_one_does_not() {
    let home = tempfile::tempdir().unwrap();
    let right = file(home.path(), "right", "s3cret\n");
    let wrong = file(home.path(), "wrong", "s3cret2\n");
    let servers = Servers::single_with(Sync::Periodic, |_| {
        "authorization { user: lt, password: s3cret }\n".into()
    })
    .await;
    let good = Config {
        user: "lt".into(),
        password_file: right,
        ..servers.config()
    };
    expect_in(&good).await;
    let bad = Config {
        password_file: wrong,
        ..good
    };
    expect_out(&bad, "authorization").await;
    expect_out(&servers.config(), "authorization").await;
}

#[tokio::test]
#[ignore = "needs nats-server: cargo make test-live"]
async fn a_token_comes_in() {
    let home = tempfile::tempdir().unwrap();
    let token = file(home.path(), "token", "s3cret\n");
    let servers = Servers::single_with(Sync::Periodic, |_| {
        "authorization { token: s3cret }\n".into()
    })
    .await;
    let config = Config {
        token_file: token,
        ..servers.config()
    };
    expect_in(&config).await;
}

#[tokio::test]
#[ignore = "needs nats-server: cargo make test-live"]
async fn an_nkey_comes_in() {
    let home = tempfile::tempdir().unwrap();
    let key = nkeys::KeyPair::new_user();
    let seed = file(home.path(), "seed", &key.seed().unwrap());
    let servers = Servers::single_with(Sync::Periodic, |_| {
        format!(
            "authorization {{ users: [ {{ nkey: {} }} ] }}\n",
            key.public_key()
        )
    })
    .await;
    let config = Config {
        nkey_seed_file: seed,
        ..servers.config()
    };
    expect_in(&config).await;
}

/// With an operator, an account and a user as `nsc` would make them.
#[tokio::test]
#[ignore = "needs nats-server: cargo make test-live"]
async fn a_credentials_file_comes_in() {
    let home = tempfile::tempdir().unwrap();
    let operator = nkeys::KeyPair::new_operator();
    let account = nkeys::KeyPair::new_account();
    let user = nkeys::KeyPair::new_user();
    let system = nkeys::KeyPair::new_account();
    let limits = serde_json::json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
        "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1,
    });
    let of_operator = jwt(
        &operator,
        &operator.public_key(),
        serde_json::json!({ "type": "operator", "version": 2 }),
    );
    let of_account = jwt(
        &operator,
        &account.public_key(),
        serde_json::json!({
            "type": "account", "version": 2, "limits": limits,
        }),
    );
    let of_system = jwt(
        &operator,
        &system.public_key(),
        serde_json::json!({ "type": "account", "version": 2 }),
    );
    let of_user = jwt(
        &account,
        &user.public_key(),
        serde_json::json!({
            "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1, "pub": {}, "sub": {},
        }),
    );
    let credentials = format!(
        "-----BEGIN NATS USER JWT-----\n{of_user}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
        user.seed().unwrap()
    );
    let credentials = file(home.path(), "user.creds", &credentials);
    let servers = Servers::single_with(Sync::Periodic, |_| {
        format!(
            "operator: {of_operator}\nsystem_account: {system}\nresolver: MEMORY\n\
             resolver_preload: {{ {account}: {of_account}, {system}: {of_system} }}\n",
            account = account.public_key(),
            system = system.public_key(),
        )
    })
    .await;
    let config = Config {
        credentials_file: credentials,
        ..servers.config()
    };
    expect_in(&config).await;
    expect_out(&servers.config(), "authorization").await;
}

/// A signed claim, with nkeys as NATS uses them.
fn jwt(issuer: &nkeys::KeyPair, subject: &str, nats: serde_json::Value) -> String {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as base64};
    let header = base64.encode(r#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
    let claims = serde_json::json!({
        "jti": format!("{:032X}", rand::random::<u128>()), "iat": 1_700_000_000, "iss": issuer.public_key(),
        "name": "test", "sub": subject, "nats": nats,
    });
    let signed = format!("{header}.{}", base64.encode(claims.to_string()));
    let signature = issuer.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", base64.encode(signature))
}
