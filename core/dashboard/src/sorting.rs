//! Tables that are sorted by a link in the head of each column; the choice stands in the URL.

use serde::Serialize;

use crate::{
    fault::Fault,
    params::{Link, Params},
    units::clip,
};

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    /// Its parameter; empty for one that cannot be sorted by.
    pub(crate) key: &'static str,
    pub(crate) label: &'static str,
    /// Numbers stand on the right, texts on the left.
    pub(crate) numeric: bool,
    /// Whether the least comes first: of texts the first in the alphabet, of numbers only where that says more.
    pub(crate) rising: bool,
}

impl Column {
    pub(crate) const fn text(key: &'static str, label: &'static str) -> Self {
        Self {
            key,
            label,
            numeric: false,
            rising: true,
        }
    }

    pub(crate) const fn number(key: &'static str, label: &'static str) -> Self {
        Self {
            key,
            label,
            numeric: true,
            rising: false,
        }
    }

    /// Numbers whose least comes first: a place or a time.
    pub(crate) const fn place(key: &'static str, label: &'static str) -> Self {
        Self {
            key,
            label,
            numeric: true,
            rising: true,
        }
    }
}

/// A column that a table is sorted by, which may be turned round: `duration`, `-duration`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) key: &'static str,
    /// The other way round than the column has it.
    pub(crate) turned: bool,
}

impl Order {
    pub(crate) const fn by(key: &'static str) -> Self {
        Self { key, turned: false }
    }

    /// Reads `sort`.
    pub(crate) fn read(
        params: &Params,
        columns: &[Column],
        default: &'static str,
    ) -> Result<Self, Fault> {
        let Some(text) = params.get("sort") else {
            return Ok(Self::by(default));
        };
        let (turned, name) = match text.strip_prefix('-') {
            Some(name) => (true, name),
            None => (false, text),
        };
        let key = find(columns, name).map_err(|reason| Fault::input(format!("sort: {reason}")))?;
        Ok(Self { key, turned })
    }

    /// The value of `sort`; empty for the default.
    pub(crate) fn write(self, default: &str) -> String {
        match self {
            Self { key, turned: false } if key == default => String::new(),
            Self { key, turned: false } => key.to_owned(),
            Self { key, turned: true } => format!("-{key}"),
        }
    }

    /// The heads of a table that stands at `anchor` on the page of `link`. That of the chosen column turns the order.
    pub(crate) fn heads(
        self,
        columns: &[Column],
        default: &str,
        link: &Link,
        anchor: &str,
    ) -> Vec<Head> {
        columns
            .iter()
            .map(|column| {
                let chosen = column.key == self.key && !column.key.is_empty();
                let order = Self {
                    key: column.key,
                    turned: chosen && !self.turned,
                };
                let link = || link.clone().with("sort", order.write(default)).at(anchor);
                Head {
                    label: column.label,
                    numeric: column.numeric,
                    href: match column.key {
                        "" => String::new(),
                        _ => link().to_string(),
                    },
                    sorted: match (chosen, column.rising != self.turned) {
                        (false, _) => "",
                        (true, true) => "ascending",
                        (true, false) => "descending",
                    },
                }
            })
            .collect()
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
    let chosen = params.read("sort", |text| find(columns, text))?;
    Ok(chosen.unwrap_or(default))
}

/// The column of a key.
fn find(columns: &[Column], text: &str) -> Result<&'static str, String> {
    let keys = || {
        columns
            .iter()
            .map(|column| column.key)
            .filter(|key| !key.is_empty())
    };
    keys().find(|key| *key == text).ok_or_else(|| {
        let known: Vec<&str> = keys().collect();
        format!(
            "`{}` is not a column to sort by; it is one of {}",
            clip(text, 60),
            known.join(", ")
        )
    })
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
            sorted: match (column.key == chosen, column.rising) {
                (false, _) => "",
                (true, false) => "descending",
                (true, true) => "ascending",
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

    #[test]
    fn a_second_click_on_a_head_turns_the_order() {
        let columns = [
            Column::place("start", "Start"),
            Column::number("time", "Time"),
        ];
        let heads = |raw: &str| {
            let order = Order::read(&Params::parse(raw).unwrap(), &columns, "start").unwrap();
            order
                .heads(&columns, "start", &Link::to("/"), "t")
                .into_iter()
                .map(|head| (head.sorted, head.href))
                .collect::<Vec<_>>()
        };
        let head = |sorted, href: &str| (sorted, href.to_owned());
        assert_eq!(
            heads(""),
            [
                head("ascending", "/?sort=-start#t"),
                head("", "/?sort=time#t")
            ]
        );
        assert_eq!(
            heads("sort=time"),
            [head("", "/#t"), head("descending", "/?sort=-time#t")]
        );
        assert_eq!(
            heads("sort=-time"),
            [head("", "/#t"), head("ascending", "/?sort=time#t")]
        );
        let unknown = Params::parse("sort=-colour").unwrap();
        let fault = Order::read(&unknown, &columns, "start").unwrap_err();
        assert_eq!(
            fault.message(),
            "sort: `colour` is not a column to sort by; it is one of start, time"
        );
    }
}
