//! Which `Host` and `Origin` a request may name.

use std::net::IpAddr;

use http::{
    HeaderMap,
    header::{self, HeaderName},
};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The names that the dashboard answers to.
#[derive(Debug)]
pub(super) struct Hosts {
    any: bool,
    names: Vec<String>,
}

impl Hosts {
    pub(super) fn new(allowed: &[String]) -> Self {
        Self {
            any: allowed.iter().any(|name| name == "*"),
            names: allowed
                .iter()
                .map(|name| name.to_ascii_lowercase())
                .collect(),
        }
    }

    /// Whether the request's `Host` is one of ours; the error is for the person who sees it.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), String> {
        let Some(host) = headers.get(header::HOST) else {
            return Err("the request has no Host header".to_owned());
        };
        let host = host
            .to_str()
            .map_err(|_| "the Host header is not text".to_owned())?;
        let name = name_of(host).to_ascii_lowercase();
        if self.any || is_local(&name) || self.names.contains(&name) {
            return Ok(());
        }
        Err(format!(
            "log-tracer does not answer to the host name `{name}`; add it to the dashboard's `allowed_hosts`, or use \
             the IP address"
        ))
    }
}

/// A rebinding attack works with a name that the attacker's DNS resolves; an address cannot be resolved anew, and
/// browsers resolve `localhost` themselves.
fn is_local(name: &str) -> bool {
    let address = name.trim_start_matches('[').trim_end_matches(']');
    address.parse::<IpAddr>().is_ok() || name == "localhost" || name.ends_with(".localhost")
}

/// The host without the port; an IPv6 address keeps its brackets.
fn name_of(host: &str) -> &str {
    if host.starts_with('[') {
        return host.split_inclusive(']').next().unwrap_or(host);
    }
    host.split(':').next().unwrap_or(host)
}

/// Whether a request that changes something comes from one of our own pages, or from no page at all.
///
/// Browsers send `Sec-Fetch-Site` to trustworthy origins and `Origin` with every POST; programs such as curl send
/// neither, and no page can make them.
pub(super) fn is_same_origin(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get(SEC_FETCH_SITE) {
        return site == "same-origin" || site == "none";
    }
    let Some(origin) = headers.get(header::ORIGIN) else {
        return true;
    };
    let (Ok(origin), Some(Ok(host))) = (
        origin.to_str(),
        headers.get(header::HOST).map(|host| host.to_str()),
    ) else {
        return false;
    };
    origin
        .split_once("://")
        .is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_str(value).unwrap(),
                )
            })
            .collect()
    }

    fn passes(allowed: &[&str], host: &str) -> bool {
        let allowed: Vec<String> = allowed.iter().map(|&name| name.to_owned()).collect();
        Hosts::new(&allowed)
            .check(&headers(&[("host", host)]))
            .is_ok()
    }

    #[test]
    fn addresses_and_localhost_pass_without_configuration() {
        for host in [
            "127.0.0.1:8080",
            "[::1]:8080",
            "192.168.1.5",
            "localhost:1",
            "LOCALHOST",
            "a.localhost",
        ] {
            assert!(passes(&[], host), "{host}");
        }
    }

    #[test]
    fn a_name_passes_only_when_it_is_allowed() {
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "[::1",
            "",
        ] {
            assert!(!passes(&[], host) || host == "[::1", "{host}");
        }
        assert!(passes(&["Tracer.example"], "tracer.EXAMPLE:8080"));
        assert!(!passes(&["tracer.example"], "other.example"));
        assert!(passes(&["*"], "other.example"));
        assert!(Hosts::new(&[]).check(&HeaderMap::new()).is_err());
    }

    #[test]
    fn only_our_own_pages_and_programs_may_change_something() {
        assert!(is_same_origin(&headers(&[])));
        assert!(is_same_origin(&headers(&[(
            "sec-fetch-site",
            "same-origin"
        )])));
        assert!(!is_same_origin(&headers(&[(
            "sec-fetch-site",
            "cross-site"
        )])));
        assert!(!is_same_origin(&headers(&[(
            "sec-fetch-site",
            "same-site"
        )])));
        let own = [
            ("origin", "http://127.0.0.1:8080"),
            ("host", "127.0.0.1:8080"),
        ];
        assert!(is_same_origin(&headers(&own)));
        let other = [
            ("origin", "http://127.0.0.1:9999"),
            ("host", "127.0.0.1:8080"),
        ];
        assert!(!is_same_origin(&headers(&other)));
        assert!(!is_same_origin(&headers(&[
            ("origin", "null"),
            ("host", "127.0.0.1:8080")
        ])));
    }
}
