//! The style sheet, the script and the icon, embedded in the program.
//!
//! Their addresses hold a hash of their content, so that a browser may keep them for ever and still sees a new version
//! at once.

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

/// A file that pages refer to.
#[derive(Clone, Debug)]
pub(crate) struct Asset {
    /// What templates call it.
    pub(crate) name: &'static str,
    /// The last part of its address.
    pub(crate) file: String,
    pub(crate) content_type: &'static str,
    pub(crate) content: Bytes,
}

/// All of them.
#[derive(Clone, Debug)]
pub(crate) struct Assets(Vec<Asset>);

impl Assets {
    pub(crate) fn new() -> Self {
        let css = concat!(
            include_str!("../assets/tokens.css"),
            include_str!("../assets/base.css"),
            include_str!("../assets/lists.css"),
            include_str!("../assets/pages.css"),
            include_str!("../assets/trace.css"),
            include_str!("../assets/tracetables.css"),
            include_str!("../assets/shape.css"),
            include_str!("../assets/interfaces.css"),
            include_str!("../assets/heat.css"),
            include_str!("../assets/searches.css"),
            include_str!("../assets/live.css"),
        );
        Self(vec![
            asset("css", "app", "css", "text/css; charset=utf-8", css),
            asset(
                "js",
                "app",
                "js",
                "text/javascript; charset=utf-8",
                include_str!("../assets/app.js"),
            ),
            script("heat_js", "heat", include_str!("../assets/heat.js")),
            script(
                "searches_js",
                "searches",
                include_str!("../assets/searches.js"),
            ),
            asset(
                "live_js",
                "live",
                "js",
                "text/javascript; charset=utf-8",
                include_str!("../assets/live.js"),
            ),
            asset(
                "trace_js",
                "trace",
                "js",
                "text/javascript; charset=utf-8",
                include_str!("../assets/trace.js"),
            ),
            asset(
                "icon",
                "icon",
                "svg",
                "image/svg+xml",
                include_str!("../assets/icon.svg"),
            ),
        ])
    }

    /// The asset with this file name.
    pub(crate) fn find(&self, file: &str) -> Option<&Asset> {
        self.0.iter().find(|asset| asset.file == file)
    }

    /// Name and address of each.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.0
            .iter()
            .map(|asset| (asset.name, format!("/static/{}", asset.file)))
    }
}

/// A script of some pages.
fn script(name: &'static str, stem: &str, content: &'static str) -> Asset {
    asset(name, stem, "js", "text/javascript; charset=utf-8", content)
}

fn asset(
    name: &'static str,
    stem: &str,
    extension: &str,
    content_type: &'static str,
    content: &'static str,
) -> Asset {
    Asset {
        name,
        file: format!("{stem}.{:016x}.{extension}", xxh3_64(content.as_bytes())),
        content_type,
        content: Bytes::from_static(content.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_comes_from_another_host() {
        for asset in Assets::new().0 {
            let text = String::from_utf8(asset.content.to_vec()).unwrap();
            let text = text.replace("http://www.w3.org/2000/svg", "");
            for foreign in ["http://", "https://", "//cdn", "@import", "url("] {
                assert!(!text.contains(foreign), "{foreign} in {}", asset.file);
            }
        }
    }

    #[test]
    fn the_script_stays_small() {
        let assets = Assets::new();
        let script = assets.0.iter().find(|asset| asset.name == "js").unwrap();
        assert!(
            script.content.len() < 22 << 10,
            "{} bytes",
            script.content.len()
        );
    }
}
