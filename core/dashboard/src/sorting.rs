//! Tables that are sorted by a link in the head of each column; the choice stands in the URL.

use serde::Serialize;

use crate::{
    fault::Fault,
    params::{Link, Params},
};

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    /// Its parameter; empty for one that cannot be sorted by.
    pub(crate) key: &'static str,
    pub(crate) label: &'static str,
    /// Numbers stand on the right, and their greatest comes first; texts are sorted from A to Z.
    pub(crate) numeric: bool,
}

impl Column {
    pub(crate) const fn text(key: &'static str, label: &'static str) -> Self {
        Self {
            key,
            label,
            numeric: false,
        }
    }

    pub(crate) const fn number(key: &'static str, label: &'static str) -> Self {
        Self {
            key,
            label,
            numeric: true,
        }
    }
}

/// The head of a column.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Head {
    label: &'static str,
    numeric: bool,
    /// Leads to the table sorted by it; empty where it cannot be.
    href: String,
    /// "ascending" or "descending" when the table is sorted by it.
    sorted: &'static str,
}

/// Reads `sort`; without it the table is sorted by `default`.
pub(crate) fn read(
    params: &Params,
    columns: &[Column],
    default: &'static str,
) -> Result<&'static str, Fault> {
    let keys = || {
        columns
            .iter()
            .map(|column| column.key)
            .filter(|key| !key.is_empty())
    };
    let chosen = params.read("sort", |text| {
        keys().find(|key| *key == text).ok_or_else(|| {
            let known: Vec<&str> = keys().collect();
            format!(
                "`{text}` is not a column to sort by; it is one of {}",
                known.join(", ")
            )
        })
    })?;
    Ok(chosen.unwrap_or(default))
}

/// The heads of a table that stands at `anchor` on the page of `link`.
pub(crate) fn heads(
    columns: &[Column],
    chosen: &str,
    default: &str,
    link: &Link,
    anchor: &str,
) -> Vec<Head> {
    columns
        .iter()
        .map(|column| Head {
            label: column.label,
            numeric: column.numeric,
            href: match column.key {
                "" => String::new(),
                key => write(link.clone(), key, default).at(anchor).to_string(),
            },
            sorted: match (column.key == chosen, column.numeric) {
                (false, _) => "",
                (true, true) => "descending",
                (true, false) => "ascending",
            },
        })
        .collect()
}

/// A link with the choice; the default is left away.
pub(crate) fn write(link: Link, chosen: &str, default: &str) -> Link {
    link.with("sort", if chosen == default { "" } else { chosen })
}

/// A table that is too long for one page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pages {
    /// Rows before the first of the page.
    pub(crate) skipped: usize,
    rows_max: usize,
    total: usize,
    page: usize,
    pages: usize,
}

/// Where a page stands in its table.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Pager {
    /// "41 to 80 of 93"; empty when all rows are on the page.
    place: String,
    previous: String,
    next: String,
}

impl Pages {
    /// The page with this number, from 1 on, or the last.
    pub(crate) fn new(total: usize, rows_max: usize, page: u64) -> Self {
        let pages = total.div_ceil(rows_max.max(1)).max(1);
        let page = usize::try_from(page).unwrap_or(pages).clamp(1, pages);
        Self {
            skipped: (page - 1) * rows_max,
            rows_max,
            total,
            page,
            pages,
        }
    }

    /// `link` leads to the first page.
    pub(crate) fn pager(&self, link: &Link) -> Pager {
        if self.pages == 1 {
            return Pager::default();
        }
        let to = |is_there: bool, page: usize| match (is_there, page) {
            (false, _) => String::new(),
            (true, 1) => link.clone().with("page", "").to_string(),
            (true, page) => link.clone().with("page", page.to_string()).to_string(),
        };
        let last = (self.skipped + self.rows_max).min(self.total);
        Pager {
            place: format!("{} to {last} of {}", self.skipped + 1, self.total),
            previous: to(self.page > 1, self.page - 1),
            next: to(self.page < self.pages, self.page + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_of_a_table_lead_to_each_other() {
        let link = Link::to("/").at("t");
        let pager = Pages::new(93, 40, 2).pager(&link);
        assert_eq!(pager.place, "41 to 80 of 93");
        assert_eq!(
            (pager.previous.as_str(), pager.next.as_str()),
            ("/#t", "/?page=3#t")
        );
        let last = Pages::new(93, 40, u64::MAX);
        assert_eq!((last.skipped, last.pager(&link).next.as_str()), (80, ""));
        assert_eq!(Pages::new(0, 40, 1).pager(&link).place, "");
    }

    const COLUMNS: [Column; 3] = [
        Column::text("name", "Name"),
        Column::number("p95", "p95"),
        Column::text("", "Links"),
    ];

    #[test]
    fn the_chosen_column_is_marked_and_the_others_lead_to_theirs() {
        let params = Params::parse("sort=p95").unwrap();
        let chosen = read(&params, &COLUMNS, "name").unwrap();
        let heads = heads(&COLUMNS, chosen, "name", &Link::to("/"), "t");
        let sorted: Vec<&str> = heads.iter().map(|head| head.sorted).collect();
        assert_eq!(sorted, ["", "descending", ""]);
        let hrefs: Vec<&str> = heads.iter().map(|head| head.href.as_str()).collect();
        assert_eq!(hrefs, ["/#t", "/?sort=p95#t", ""]);
    }

    #[test]
    fn an_unknown_column_is_refused_with_those_there_are() {
        let params = Params::parse("sort=colour").unwrap();
        let fault = read(&params, &COLUMNS, "name").unwrap_err();
        assert!(fault.message().ends_with("one of name, p95"));
        assert_eq!(read(&Params::default(), &COLUMNS, "name").unwrap(), "name");
    }
}
