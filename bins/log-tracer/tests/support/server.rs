//! The built binary in its in-memory mode.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use log_tracer_proto::v1::query_service_client::QueryServiceClient;
use serde::Deserialize;
use tonic::transport::Channel;

/// A server that runs until this is dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) otlp_grpc: String,
    pub(crate) otlp_http: String,
    pub(crate) dashboard: String,
    query_grpc: String,
}

#[derive(Deserialize)]
struct Addresses {
    otlp_grpc: String,
    otlp_http: String,
    dashboard: String,
    query_grpc: String,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts it with settings of the form `key=value`.
    pub(crate) fn start_with(settings: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_log-tracer"))
            .args(["run", "--in-memory"])
            .args(settings.iter().flat_map(|setting| ["--set", setting]))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let addresses: Addresses =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: `{line}`"));
        Self {
            child,
            otlp_grpc: addresses.otlp_grpc,
            otlp_http: addresses.otlp_http,
            dashboard: addresses.dashboard.trim_end_matches('/').to_owned(),
            query_grpc: addresses.query_grpc,
        }
    }

    /// The most resident memory that it had, in bytes; `None` where there is no /proc.
    pub(crate) fn peak_resident_bytes(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
        let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kilobytes * 1024)
    }

    pub(crate) async fn query(&self) -> QueryServiceClient<Channel> {
        QueryServiceClient::connect(self.query_grpc.clone())
            .await
            .unwrap()
            .max_decoding_message_size(64 << 20)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
