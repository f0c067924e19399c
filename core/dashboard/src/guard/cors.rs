//! Which other origins may read the interfaces from a browser (CORS, the Fetch standard).
//!
//! Only addresses below `/api/` are for others, and only what changes nothing there. Without configuration no origin is
//! let in, and no answer differs.

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{self, HeaderName},
};

use super::Body;

const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The origins that are let in.
#[derive(Debug)]
pub(super) struct Origins {
    any: bool,
    names: Vec<String>,
}

impl Origins {
    pub(super) fn new(allowed: &[String]) -> Self {
        Self {
            any: allowed.iter().any(|name| name == "*"),
            names: allowed
                .iter()
                .map(|name| name.to_ascii_lowercase())
                .collect(),
        }
    }

    /// The origin of a request when it may read the answer.
    pub(super) fn grant<B>(&self, request: &Request<B>) -> Option<HeaderValue> {
        let origin = request.headers().get(header::ORIGIN)?;
        let path = request.uri().path();
        let is_open = path.starts_with("/api/")
            && (matches!(
                *request.method(),
                Method::GET | Method::HEAD | Method::OPTIONS
            ) || path == "/api/transform" && *request.method() == Method::POST);
        let name = origin.to_str().ok()?.to_ascii_lowercase();
        (is_open && (self.any || self.names.contains(&name))).then(|| origin.clone())
    }

    /// Tells the browser so.
    pub(super) fn add_headers(&self, granted: Option<HeaderValue>, headers: &mut HeaderMap) {
        if self.any || !self.names.is_empty() {
            // A cache must not hand the answer for one origin to another.
            headers.append(header::VARY, HeaderValue::from_static("origin"));
        }
        if let Some(origin) = granted {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
        }
    }
}

/// Whether a browser asks before it sends the request itself.
pub(super) fn is_preflight<B>(request: &Request<B>) -> bool {
    *request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to it.
pub(super) fn preflight() -> Response<Body> {
    let mut response = Response::new(super::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, POST"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "content-type, accept"),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ] {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(allowed: &[&str], method: Method, path: &str, origin: &str) -> bool {
        let allowed: Vec<String> = allowed.iter().map(|&name| name.to_owned()).collect();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("origin", origin)
            .body(())
            .unwrap();
        Origins::new(&allowed).grant(&request).is_some()
    }

    #[test]
    fn no_origin_is_let_in_without_configuration() {
        assert!(!granted(
            &[],
            Method::GET,
            "/api/services",
            "https://a.example"
        ));
        assert!(!granted(&[], Method::GET, "/api/services", "null"));
    }

    #[test]
    fn an_origin_that_is_configured_reads_the_interfaces_and_nothing_else() {
        let own = ["https://A.example"];
        assert!(granted(
            &own,
            Method::GET,
            "/api/services",
            "https://a.example"
        ));
        assert!(granted(
            &own,
            Method::POST,
            "/api/transform",
            "https://a.example"
        ));
        for (method, path, origin) in [
            (Method::GET, "/traces", "https://a.example"),
            (Method::GET, "/metrics", "https://a.example"),
            (Method::POST, "/sample", "https://a.example"),
            (Method::POST, "/api/services", "https://a.example"),
            (Method::GET, "/api/services", "http://a.example"),
            (Method::GET, "/api/services", "https://a.example.evil"),
        ] {
            assert!(
                !granted(&own, method.clone(), path, origin),
                "{method} {path} {origin}"
            );
        }
        assert!(granted(&["*"], Method::GET, "/api/v1/traces", "null"));
    }
}
