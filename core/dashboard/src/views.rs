//! Templates: embedded in the program, compiled once, escaped everywhere.

use serde::Serialize;
use tera::{Context, Tera};

use crate::{assets::Assets, fault::Fault, visitor::Visitor};

/// Every template ends in `.html`, which is what turns on escaping.
const TEMPLATES: &[(&str, &str)] = &[
    ("parts.html", include_str!("../templates/parts.html")),
    ("charts.html", include_str!("../templates/charts.html")),
    ("trends.html", include_str!("../templates/trends.html")),
    ("heat.html", include_str!("../templates/heat.html")),
    ("tables.html", include_str!("../templates/tables.html")),
    ("loglist.html", include_str!("../templates/loglist.html")),
    ("lines.html", include_str!("../templates/lines.html")),
    ("livelist.html", include_str!("../templates/livelist.html")),
    (
        "live_rows.html",
        include_str!("../templates/live_rows.html"),
    ),
    ("base.html", include_str!("../templates/base.html")),
    ("home.html", include_str!("../templates/home.html")),
    ("service.html", include_str!("../templates/service.html")),
    ("map.html", include_str!("../templates/map.html")),
    ("traces.html", include_str!("../templates/traces.html")),
    ("trace.html", include_str!("../templates/trace.html")),
    ("timeline.html", include_str!("../templates/timeline.html")),
    (
        "tracelogs.html",
        include_str!("../templates/tracelogs.html"),
    ),
    (
        "tracetables.html",
        include_str!("../templates/tracetables.html"),
    ),
    ("shape.html", include_str!("../templates/shape.html")),
    ("compare.html", include_str!("../templates/compare.html")),
    ("span.html", include_str!("../templates/span.html")),
    ("logs.html", include_str!("../templates/logs.html")),
    ("live.html", include_str!("../templates/live.html")),
    (
        "live_traces.html",
        include_str!("../templates/live_traces.html"),
    ),
    ("pipeline.html", include_str!("../templates/pipeline.html")),
    ("open.html", include_str!("../templates/open.html")),
    ("api.html", include_str!("../templates/api.html")),
    ("notice.html", include_str!("../templates/notice.html")),
];

/// The compiled templates.
#[derive(Clone)]
pub(crate) struct Views {
    tera: Tera,
}

impl std::fmt::Debug for Views {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Views").finish_non_exhaustive()
    }
}

/// What stands around every page.
#[derive(Debug, Serialize)]
pub(crate) struct Shell<'a> {
    /// The title of the window, without the name of the program.
    pub(crate) title: &'a str,
    /// Which entry of the navigation is marked: "home", "traces", "logs", "map", "pipeline" or none.
    pub(crate) section: &'a str,
    /// Seconds after which a browser without scripts loads the page anew.
    pub(crate) refresh_s: Option<u32>,
}

impl Views {
    /// Compiles the templates.
    ///
    /// # Errors
    ///
    /// When one of the embedded templates is wrong, which a test excludes.
    pub(crate) fn new(assets: &Assets, version: &str) -> Result<Self, tera::Error> {
        let mut tera = Tera::new();
        tera.autoescape_on([".html"]);
        tera.add_raw_templates(TEMPLATES.iter().copied())?;
        let globals = tera.global_context();
        for (name, address) in assets.addresses() {
            globals.insert(name, &address);
        }
        globals.insert("version", version);
        Ok(Self { tera })
    }

    /// Renders a page; the fields of `view` are the template's variables.
    pub(crate) fn page(
        &self,
        template: &str,
        shell: &Shell<'_>,
        visitor: &Visitor,
        view: &impl Serialize,
    ) -> Result<String, Fault> {
        let mut context = Context::from_serialize(view).map_err(internal)?;
        context.insert("shell", shell);
        context.insert("visitor", visitor);
        self.tera.render(template, &context).map_err(internal)
    }

    /// Renders a part of a page.
    pub(crate) fn part(&self, template: &str, view: &impl Serialize) -> Result<String, Fault> {
        let context = Context::from_serialize(view).map_err(internal)?;
        self.tera.render(template, &context).map_err(internal)
    }
}

/// A template and its view do not fit together.
fn internal(error: tera::Error) -> Fault {
    Fault::internal(format!("a page could not be rendered: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_template_compiles_and_is_escaped() {
        Views::new(&Assets::new(), "0.0.0").unwrap();
        for (name, text) in TEMPLATES {
            assert!(name.ends_with(".html"), "{name}");
            for way_out in [
                "safe",
                "set_escape_fn",
                "autoescape",
                "style=",
                "onclick",
                "javascript:",
            ] {
                assert!(!text.contains(way_out), "{way_out} in {name}");
            }
        }
    }

    #[test]
    fn values_are_escaped_in_text_and_in_attributes() {
        let mut tera = Tera::new();
        tera.autoescape_on([".html"]);
        let template = "{% component box(text) %}<p title=\"{{ text }}\">{{ body }}</p>{% endcomponent box %}\
                        {% <box text={text}> %}<b>{{ text }}</b>{% </box> %}";
        tera.add_raw_template("t.html", template).unwrap();
        let context = Context::from_serialize(&json!({"text": "\"><script>'&"})).unwrap();
        assert_eq!(
            tera.render("t.html", &context).unwrap(),
            "<p title=\"&quot;&gt;&lt;script&gt;&#39;&amp;\"><b>&quot;&gt;&lt;script&gt;&#39;&amp;</b></p>"
        );
    }
}
