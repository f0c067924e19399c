//! How much is looked at to count what stands beside a list: as much as [`crate::Config`] allows, or all of it. The address
//! says `count=all` for the latter. What a bound leaves out is said on the page, with a link that counts all.

use log_tracer_proto::v1::{Coverage, FacetsRequest, HistogramResponse, Signal};

use crate::{
    Config, clock,
    fault::Fault,
    params::{Link, Params},
    range::Range,
    units::count,
};

/// How much is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Counting {
    /// So many records at most as the configuration says.
    #[default]
    Bounded,
    All,
}

impl Counting {
    pub(crate) fn read(params: &Params) -> Result<Self, Fault> {
        let counting = params.read("count", |text| match text {
            "all" => Ok(Self::All),
            "bounded" => Ok(Self::Bounded),
            _ => Err(format!("`{text}` is not one of all, bounded")),
        })?;
        Ok(counting.unwrap_or_default())
    }

    pub(crate) fn write(self, link: Link) -> Link {
        link.with("count", if self == Self::All { "all" } else { "" })
    }

    /// Within a bound of the configuration; 0 is none.
    pub(crate) fn records_max(self, bound: u64) -> u64 {
        match self {
            Self::Bounded => bound,
            Self::All => 0,
        }
    }

    /// Asks for the facets that a page shows.
    pub(crate) fn facets(
        self,
        config: &Config,
        signal: Signal,
        query: String,
        range: Range,
    ) -> FacetsRequest {
        FacetsRequest {
            signal: signal.into(),
            query,
            range: Some(range.bounds(clock::now())),
            records_max: self.records_max(config.facet_records_max),
            ..FacetsRequest::default()
        }
    }
}

/// Of records that were looked at in place of all: "the newest 98,304 of 5,000,000". None when nothing was left out.
pub(crate) fn share(coverage: &Coverage) -> Option<String> {
    let all = coverage.scanned.saturating_add(coverage.left_out);
    (coverage.left_out > 0).then(|| format!("{} of {}", count(coverage.scanned), count(all)))
}

/// Why facets do not count everything, when a bound is why.
pub(crate) fn newest_only(coverage: Option<&Coverage>) -> Option<String> {
    let share = share(coverage?)?;
    Some(format!(
        "only the newest {share} records that may match were looked at"
    ))
}

/// Why the counts of a histogram are no exact ones, when a bound is why.
pub(crate) fn estimated(answer: &HistogramResponse) -> Option<String> {
    let share = share(answer.coverage.as_ref()?)?;
    let error = count(answer.count_error);
    Some(format!(
        "estimated from {share} records that may match, within {error} of all in 19 of 20 cases"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(raw: &str) -> Result<Counting, Fault> {
        Counting::read(&Params::parse(raw).unwrap())
    }

    #[test]
    fn all_is_counted_when_the_address_says_so() {
        for (raw, counting, records_max) in [
            ("", Counting::Bounded, 7),
            ("count=all", Counting::All, 0),
            ("count=bounded", Counting::Bounded, 7),
        ] {
            let own = read(raw).unwrap();
            assert_eq!((own, own.records_max(7)), (counting, records_max));
            let link = own.write(Link::to("/logs")).to_string();
            let raw = link.split_once('?').map_or("", |(_, raw)| raw);
            assert_eq!(read(raw).unwrap(), own);
        }
        assert!(
            read("count=some")
                .unwrap_err()
                .message()
                .starts_with("count")
        );
    }

    #[test]
    fn what_was_left_out_is_said_and_nothing_else() {
        let coverage = |left_out| Coverage {
            scanned: 98_304,
            left_out,
            ..Coverage::default()
        };
        assert_eq!(newest_only(Some(&coverage(0))), None);
        assert_eq!(
            newest_only(Some(&coverage(4_901_696))).unwrap(),
            "only the newest 98,304 of 5,000,000 records that may match were looked at"
        );
        let answer = HistogramResponse {
            count_error: 1200,
            coverage: Some(coverage(1_696)),
            ..HistogramResponse::default()
        };
        assert_eq!(
            estimated(&answer).unwrap(),
            "estimated from 98,304 of 100,000 records that may match, within 1,200 of all in 19 of 20 cases"
        );
    }
}
