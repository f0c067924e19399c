//! What the tests share: a dashboard on a free port, a client for it, and consumers to put behind it.

#![allow(dead_code, unreachable_pub)]

pub mod canned;
pub mod hostile;
pub mod html;
pub mod large;
pub mod otlp;
pub mod real;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use log_tracer_dashboard::{About, Config, Producer, ServeError, serve};
use slog::{Discard, Logger, o};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

pub fn log() -> Logger {
    Logger::root(Discard, o!())
}

/// A running dashboard; it stops when this is dropped.
pub struct Site {
    pub authority: String,
    client: Client<HttpConnector, Full<Bytes>>,
    stop: CancellationToken,
    pub served: Option<JoinHandle<Result<(), ServeError>>>,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

impl Site {
    pub async fn start(query: Channel) -> Self {
        Self::with(Config::default(), query, None).await
    }

    pub async fn with(config: Config, query: Channel, ingest: Option<Channel>) -> Self {
        Self::among(config, query, ingest, Vec::new()).await
    }

    /// With producers that are asked what they refused.
    pub async fn among(
        config: Config,
        query: Channel,
        ingest: Option<Channel>,
        producers: Vec<Producer>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let stop = CancellationToken::new();
        let about = About {
            otlp_grpc: "http://127.0.0.1:4317".to_owned(),
            otlp_http: "http://127.0.0.1:4318".to_owned(),
            version: "1.2.3".to_owned(),
            producers,
        };
        let served = tokio::spawn(serve(
            config,
            listener,
            query,
            ingest,
            about,
            log(),
            stop.clone(),
        ));
        Self {
            authority,
            client: Client::builder(TokioExecutor::new()).build_http(),
            stop,
            served: Some(served),
        }
    }

    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Sends a request and hands out the answer with its body unread.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
    ) -> http::Response<Incoming> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.authority));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.ask(request.body(Full::default()).unwrap()).await
    }

    async fn ask(&self, request: Request<Full<Bytes>>) -> http::Response<Incoming> {
        let answer = self.client.request(request);
        tokio::time::timeout(Duration::from_secs(60), answer)
            .await
            .unwrap()
            .unwrap()
    }

    /// Sends a body.
    pub async fn post(&self, path: &str, content_type: &str, body: impl Into<Bytes>) -> Answer {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("http://{}{path}", self.authority))
            .header(header::CONTENT_TYPE, content_type)
            .body(Full::new(body.into()))
            .unwrap();
        Self::read(self.ask(request).await).await
    }

    pub async fn request(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        Self::read(self.send(method, path, headers).await).await
    }

    async fn read(answer: http::Response<Incoming>) -> Answer {
        let (head, body) = answer.into_parts();
        let body = tokio::time::timeout(Duration::from_secs(60), body.collect());
        Answer {
            status: head.status,
            headers: head.headers,
            body: body.await.unwrap().unwrap().to_bytes(),
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.request(Method::GET, path, &[]).await
    }

    /// A page that must be there.
    pub async fn page(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
        assert_eq!(
            answer.header(header::CONTENT_TYPE.as_str()),
            "text/html; charset=utf-8"
        );
        answer.text()
    }
}
