//! Just enough of HTML to look at the pages.

/// The values of an attribute, unescaped.
pub fn attributes(page: &str, name: &str) -> Vec<String> {
    let open = format!(" {name}=\"");
    page.match_indices(&open)
        .map(|(at, _)| {
            let rest = &page[at + open.len()..];
            unescape(&rest[..rest.find('"').unwrap()])
        })
        .collect()
}

/// The links of a page, as whole addresses: `here` is the path of the page itself.
pub fn links(page: &str, here: &str) -> Vec<String> {
    attributes(page, "href")
        .into_iter()
        .filter_map(|href| {
            let href = href.split('#').next().unwrap().to_owned();
            match href.chars().next() {
                None => None,
                Some('?') => Some(format!("{here}{href}")),
                Some(_) => Some(href),
            }
        })
        .collect()
}

pub fn unescape(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&amp;", "&")
}
