//! For the benches: the steps of a trace's page without a server around them. Not an interface, and not kept stable.

use log_tracer_proto::v1::GetTraceResponse;

use crate::{
    assets::Assets, pages, params::Params, trace::model::Trace, views::Views, visitor::Visitor,
};

/// What renders pages.
#[derive(Debug)]
pub struct Pages {
    views: Views,
    rows_max: usize,
}

/// A trace whose rows are arranged.
#[derive(Debug)]
pub struct Arranged(Trace);

/// Arranges what a consumer answers.
#[must_use]
pub fn arrange(pieces: Vec<GetTraceResponse>) -> Arranged {
    Arranged(Trace::new(pieces))
}

impl Pages {
    /// With the settings that a dashboard has by default.
    ///
    /// # Errors
    ///
    /// When a template is wrong.
    pub fn new() -> Result<Self, String> {
        let views = Views::new(&Assets::new(), "bench").map_err(|error| error.to_string())?;
        Ok(Self {
            views,
            rows_max: crate::Config::default().trace_rows_max,
        })
    }

    /// The page of a trace under the part of its address after `?`.
    ///
    /// # Errors
    ///
    /// What is wrong with the address.
    pub fn trace(&self, trace: &Arranged, id: &str, query: &str) -> Result<String, String> {
        let words = |fault: crate::fault::Fault| fault.message().to_owned();
        let params = Params::parse(query).map_err(words)?;
        let state = pages::trace::State::read(id, &params).map_err(words)?;
        let page = pages::trace::render(
            &self.views,
            &Visitor::default(),
            &trace.0,
            &state,
            pages::trace::Around {
                known: &[],
                rows_max: self.rows_max,
                upload: None,
            },
        );
        page.map(|(_, page)| page).map_err(words)
    }
}
