//! Who looks at a page: the choice of light or dark, and where they are.

use http::{HeaderMap, header};
use serde::Serialize;

use crate::params::{Link, Params};

/// The name of the cookie that keeps the choice of light or dark.
pub(crate) const THEME_COOKIE: &str = "log-tracer-theme";

/// Light or dark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Theme {
    /// As the system has it.
    #[default]
    Auto,
    Light,
    Dark,
}

impl Theme {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "auto" => Some(Self::Auto),
            "light" => Some(Self::Light),
            "dark" => Some(Self::Dark),
            _ => None,
        }
    }

    fn next(self) -> Self {
        match self {
            Self::Auto => Self::Dark,
            Self::Dark => Self::Light,
            Self::Light => Self::Auto,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

/// A visitor of a page.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Visitor {
    pub(crate) theme: Theme,
    /// The page they are on, as path and query: where to come back to.
    pub(crate) address: String,
    /// Where a POST chooses the next of light, dark and automatic.
    switch: String,
}

impl Visitor {
    /// From a request; `?theme=dark` goes before the cookie.
    pub(crate) fn new(path: &str, query: &str, headers: &HeaderMap, params: &Params) -> Self {
        let theme = params
            .get("theme")
            .and_then(Theme::parse)
            .or_else(|| theme_cookie(headers));
        let address = match query {
            "" => path.to_owned(),
            query => format!("{path}?{query}"),
        };
        let theme = theme.unwrap_or_default();
        let switch = Link::to("/theme")
            .with("to", theme.next().name())
            .with("back", &*address)
            .to_string();
        Self {
            theme,
            address,
            switch,
        }
    }
}

fn theme_cookie(headers: &HeaderMap) -> Option<Theme> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == THEME_COOKIE)
        .and_then(|(_, value)| Theme::parse(value))
}

/// An address to come back to, when it is one of ours; anything else is the home page, so that nobody is sent away.
pub(crate) fn own_address(text: &str) -> &str {
    let own = text.starts_with('/')
        && !text.starts_with("//")
        && !text.contains('\\')
        && text.bytes().all(|byte| byte.is_ascii_graphic());
    if own { text } else { "/" }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_theme_comes_from_the_url_or_the_cookie() {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::COOKIE,
            HeaderValue::from_static("a=b; log-tracer-theme=dark"),
        );
        let params = Params::default();
        assert_eq!(Visitor::new("/", "", &headers, &params).theme, Theme::Dark);
        let params = Params::parse("theme=light").unwrap();
        assert_eq!(
            Visitor::new("/", "theme=light", &headers, &params).theme,
            Theme::Light
        );
        headers.insert(
            header::COOKIE,
            HeaderValue::from_static("log-tracer-theme=\"><script>"),
        );
        assert_eq!(
            Visitor::new("/", "", &headers, &Params::default()).theme,
            Theme::Auto
        );
    }

    #[test]
    fn nobody_is_sent_to_another_site() {
        for (text, want) in [
            ("/logs?q=a", "/logs?q=a"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("https://evil.example", "/"),
            ("/a\r\nset-cookie: x=y", "/"),
            ("", "/"),
        ] {
            assert_eq!(own_address(text), want);
        }
    }
}
