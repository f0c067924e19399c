//! Which pages' scripts may send, and the headers by which browsers find out.
//!
//! Whatever a person's browser opens can try to send to ports of that person's machine. So a request that names an
//! origin which is not allowed is refused, and not only unreadable for the page: it stores nothing. A page that had its
//! own name point to this machine (DNS rebinding) names itself as the origin and is refused as well.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use crate::{POSITIONS_HEADER, Reason, Refusal};

/// How long a browser may remember the answer to a preflight, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");
const REQUEST_PRIVATE_NETWORK: HeaderName =
    HeaderName::from_static("access-control-request-private-network");
const ALLOW_PRIVATE_NETWORK: HeaderName =
    HeaderName::from_static("access-control-allow-private-network");

/// The origins that are allowed.
#[derive(Clone, Debug)]
pub(super) struct Cors {
    origins: Vec<String>,
}

impl Cors {
    pub(super) fn new(origins: &[String]) -> Self {
        let origins = origins.iter().map(|origin| origin.to_ascii_lowercase());
        Self {
            origins: origins.collect(),
        }
    }

    /// Refuses a request that a browser sent for a page that is not allowed. What names no origin comes from no page.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(origin) = headers.get(header::ORIGIN) else {
            return Ok(());
        };
        let origin = origin.to_str().unwrap_or_default().to_ascii_lowercase();
        if self.origins.iter().any(|allowed| matches(allowed, &origin)) {
            return Ok(());
        }
        Err(Refusal::new(
            Reason::Origin,
            "pages of this origin may not send: add it to cors_origins of the producer",
        ))
    }

    /// Adds what a browser wants to see in the response to a request that was checked.
    pub(super) fn allow(request: &HeaderMap, response: &mut HeaderMap) {
        let Some(origin) = request.get(header::ORIGIN) else {
            return;
        };
        response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        response.insert(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static(POSITIONS_HEADER),
        );
        response.insert(header::VARY, HeaderValue::from_static("origin"));
    }

    /// The answer to the question whether a POST would be allowed, if it is that.
    pub(super) fn preflight(
        method: &Method,
        request: &HeaderMap,
    ) -> Option<(StatusCode, HeaderMap)> {
        if method != Method::OPTIONS || !request.contains_key(header::ORIGIN) {
            return None;
        }
        let mut response = HeaderMap::new();
        response.insert(
            header::ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("POST"),
        );
        // Exporters can be told to send headers of any name; the origin is what decides.
        if let Some(names) = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
            response.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
        }
        if request.contains_key(REQUEST_PRIVATE_NETWORK) {
            response.insert(ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true"));
        }
        response.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        Some((StatusCode::NO_CONTENT, response))
    }
}

/// Whether an origin is the allowed one, on any port if that is `*`.
fn matches(allowed: &str, origin: &str) -> bool {
    if allowed == "*" || allowed == origin {
        return true;
    }
    let Some(host) = allowed.strip_suffix(":*") else {
        return false;
    };
    let Some(port) = origin.strip_prefix(host) else {
        return false;
    };
    let is_port = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    port.is_empty() || port.strip_prefix(':').is_some_and(is_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_compared_whole_and_a_star_stands_for_the_port_only() {
        for (allowed, origin, expected) in [
            ("http://localhost:*", "http://localhost:3000", true),
            ("http://localhost:*", "http://localhost", true),
            ("http://localhost:*", "https://localhost:3000", false),
            ("http://localhost:*", "http://localhost.evil.example", false),
            (
                "http://localhost:*",
                "http://localhost:1.evil.example",
                false,
            ),
            ("https://shop.example", "https://shop.example", true),
            ("https://shop.example", "https://shop.example:8443", false),
            ("https://shop.example", "https://shop.example.evil", false),
            ("*", "null", true),
            ("http://localhost:*", "null", false),
        ] {
            assert_eq!(matches(allowed, origin), expected, "{allowed} {origin}");
        }
    }
}
