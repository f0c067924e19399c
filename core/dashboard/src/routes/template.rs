//! The templates of addresses, for what is counted by address.

use crate::api;

/// What has no address of its own.
pub(crate) const OTHER: &str = "other";

/// The addresses that are served; a part in braces stands for anything.
const TEMPLATES: [&str; 35] = [
    "/",
    "/traces",
    "/traces/live",
    "/traces/tail",
    "/trace/{id}",
    "/trace/{id}/logs.json",
    "/trace/{id}/spans.csv",
    "/trace/{id}/spans.ndjson",
    "/compare",
    "/logs",
    "/logs/live",
    "/logs/tail",
    "/map",
    "/design",
    "/pipeline",
    "/sample",
    "/theme",
    "/open",
    "/static/{file}",
    "/healthz",
    "/metrics",
    "/api",
    "/api/services",
    "/api/services/{service}/operations",
    "/api/operations",
    "/api/traces",
    "/api/traces/{id}",
    "/api/dependencies",
    "/api/metrics/{measure}",
    "/api/transform",
    "/api/v3/services",
    "/api/v3/operations",
    "/api/v3/traces",
    "/api/v3/traces/{id}",
    "/api/v3/trace-summaries",
];

/// The template of an address.
pub(crate) fn template(path: &str) -> &'static str {
    TEMPLATES
        .into_iter()
        .chain(api::addresses())
        .find(|template| fits(template, path))
        .unwrap_or(OTHER)
}

fn fits(template: &str, path: &str) -> bool {
    let mut parts = path.split('/');
    template.split('/').all(|wanted| match parts.next() {
        Some(part) if wanted.starts_with('{') => !part.is_empty(),
        Some(part) => part == wanted,
        None => false,
    }) && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_the_template_that_it_is_an_example_of() {
        for (path, want) in [
            ("/", "/"),
            ("/trace/0af7", "/trace/{id}"),
            ("/trace/0af7/logs.json", "/trace/{id}/logs.json"),
            (
                "/api/services/a%2Fb/operations",
                "/api/services/{service}/operations",
            ),
            ("/api/v1/traces/0af7", "/api/v1/traces/{traceId}"),
            ("/api/v3/traces/0af7", "/api/v3/traces/{id}"),
            ("/trace/", OTHER),
            ("/trace/0af7/x", OTHER),
            ("", OTHER),
            ("/wp-login.php", OTHER),
        ] {
            assert_eq!(template(path), want, "{path}");
        }
    }
}
