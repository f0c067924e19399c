//! What holds for every request and every answer, whichever route is behind it.
//!
//! Requests: the `Host` must be one of ours (DNS rebinding), and what changes something must come from our own pages
//! (cross-site request forgery). Pages of other origins may read the interfaces when they are configured (`cors`). Answers: a strict content security policy and its companions, and gzip.

mod cors;
mod gzip;
mod host;

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{self, HeaderName},
};
use http_body_util::{BodyExt, Empty, Full, combinators::BoxBody};
use hyper::body::Incoming;
use tower_service::Service;

use self::{cors::Origins, host::Hosts};
use crate::Config;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of every answer.
pub(crate) type Body = BoxBody<Bytes, BoxError>;

/// Everything comes from this origin, nothing is inline, nobody frames a page.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
     connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

const SECURITY_HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// The checks and headers, as configured.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    hosts: Arc<Hosts>,
    origins: Arc<Origins>,
}

impl Guard {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            hosts: Arc::new(Hosts::new(&config.allowed_hosts)),
            origins: Arc::new(Origins::new(&config.allowed_origins)),
        }
    }

    /// Answers a request through `routes` if it may pass.
    pub(crate) async fn answer<S, B>(
        &self,
        mut request: Request<Incoming>,
        mut routes: S,
    ) -> Response<Body>
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
        B: http_body::Body<Data = Bytes> + Send + Sync + 'static,
        B::Error: Into<BoxError>,
    {
        let granted = self.origins.grant(&request);
        let accepts_gzip = gzip::accepted(request.headers());
        let head_only = request.method() == Method::HEAD;
        if head_only {
            // Routes know GET only; the body is left away below.
            *request.method_mut() = Method::GET;
        }
        let mut response = match self.refusal(&request, granted.is_some()) {
            Some(refusal) => refusal,
            None if granted.is_some() && cors::is_preflight(&request) => cors::preflight(),
            None => match routes.call(request).await {
                Ok(response) => response.map(|body| BodyExt::map_err(body, Into::into).boxed()),
                Err(impossible) => match impossible {},
            },
        };
        add_headers(response.headers_mut());
        self.origins.add_headers(granted, response.headers_mut());
        if head_only {
            response.headers_mut().remove(header::CONTENT_LENGTH);
            return response.map(|_| empty());
        }
        if accepts_gzip {
            response = gzip::compress(response);
        }
        response
    }

    fn refusal(&self, request: &Request<Incoming>, granted: bool) -> Option<Response<Body>> {
        let headers = request.headers();
        // A probe asks by whatever name it has, and learns nothing but that the process runs.
        if request.uri().path() != "/healthz"
            && let Err(reason) = self.hosts.check(headers)
        {
            return Some(plain(StatusCode::MISDIRECTED_REQUEST, &reason));
        }
        let changes_something = !matches!(*request.method(), Method::GET | Method::OPTIONS);
        // What an origin is granted, it reads; no address that it is granted changes anything.
        if changes_something && !granted && !host::is_same_origin(headers) {
            return Some(plain(
                StatusCode::FORBIDDEN,
                "this request was made by another site's page; it is only taken from log-tracer's own pages",
            ));
        }
        None
    }
}

fn add_headers(headers: &mut HeaderMap) {
    for (name, value) in SECURITY_HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // What a page shows changes with every record that comes in.
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-cache, private"));
}

fn plain(status: StatusCode, text: &str) -> Response<Body> {
    let body = Full::new(Bytes::from(format!("{text}\n")));
    let mut response =
        Response::new(BodyExt::map_err(body, |never: Infallible| match never {}).boxed());
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

fn empty() -> Body {
    BodyExt::map_err(Empty::new(), |never: Infallible| match never {}).boxed()
}
