//! A client of OTLP over HTTP, on sockets of its own.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client as Hyper, connect::HttpConnector},
    rt::TokioExecutor,
};
use prost::Message;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic_types::pb;

pub(crate) const PROTOBUF: &str = "application/x-protobuf";
pub(crate) const JSON: &str = "application/json";

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) version: Version,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The body as `google.rpc.Status`, in whichever encoding it says it is.
    pub(crate) fn error(&self) -> pb::Status {
        if self.header("content-type") == Some(PROTOBUF) {
            return pb::Status::decode(self.body.clone()).unwrap();
        }
        let json = self.json();
        pb::Status {
            code: json["code"].as_i64().unwrap() as i32,
            message: json["message"].as_str().unwrap().to_owned(),
            details: Vec::new(),
        }
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.header("content-type"), Some(JSON));
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn message<M: Message + Default>(&self) -> M {
        assert_eq!(self.header("content-type"), Some(PROTOBUF));
        M::decode(self.body.clone()).unwrap()
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Client {
    address: SocketAddr,
    http1: Hyper<HttpConnector, Full<Bytes>>,
    http2: Hyper<HttpConnector, Full<Bytes>>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            http1: Hyper::builder(TokioExecutor::new()).build_http(),
            http2: Hyper::builder(TokioExecutor::new())
                .http2_only(true)
                .build_http(),
        }
    }

    pub(crate) async fn protobuf(&self, path: &str, message: &impl Message) -> Reply {
        self.post(path, &[("content-type", PROTOBUF)], message.encode_to_vec())
            .await
    }

    pub(crate) async fn json(&self, path: &str, body: &str) -> Reply {
        self.post(path, &[("content-type", JSON)], body.to_owned())
            .await
    }

    pub(crate) async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Reply {
        self.send(&self.http1, Method::POST, path, headers, body.into())
            .await
    }

    pub(crate) async fn post_http2(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Reply {
        self.send(&self.http2, Method::POST, path, headers, body.into())
            .await
    }

    pub(crate) async fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Reply {
        self.send(&self.http1, method, path, headers, Bytes::new())
            .await
    }

    async fn send(
        &self,
        client: &Hyper<HttpConnector, Full<Bytes>>,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Reply {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).unwrap();
        let (parts, body) = client.request(request).await.unwrap().into_parts();
        Reply {
            status: parts.status,
            headers: parts.headers,
            version: parts.version,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }
}

/// Writes bytes to a socket and reads what comes back until it is closed; an abrupt end is an end.
pub(crate) async fn raw(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let _ = socket.write_all(bytes).await;
    let _ = socket.shutdown().await;
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer).await;
    answer
}
