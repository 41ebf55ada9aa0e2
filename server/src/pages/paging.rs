//! The part of a long table that a page shows: links to the pages beside it, and a summary in words. Also the search by a text.

use crate::http::parameters::Parameters;

/// The number of rows of a page.
pub const ROWS_PER_PAGE: i64 = 25;

/// The number of values that a field suggests. Others can be typed.
pub const SUGGESTIONS: i64 = 100;

/// The links below a table, and its summary.
pub struct Paging {
    /// The number of rows before the first one of this page.
    pub offset: i64,
    /// The summary, such as `1 to 25 of 30, filtered from 310`.
    pub summary: String,
    /// The address of the page before this one.
    pub earlier: Option<String>,
    /// The address of the page after this one.
    pub later: Option<String>,
}

impl Paging {
    /// Places page number `page`, or the last one, in a table of `count` rows out of `total`.
    pub fn new(page: i64, count: i64, total: i64, href: impl Fn(i64) -> String) -> Self {
        let pages = (count + ROWS_PER_PAGE - 1) / ROWS_PER_PAGE;
        let page = page.clamp(1, pages.max(1));
        let offset = (page - 1) * ROWS_PER_PAGE;
        let last = (offset + ROWS_PER_PAGE).min(count);
        let shown = if count == 0 { "None".to_owned() } else { format!("{} to {last} of {count}", offset + 1) };
        let filtered = if count < total { format!(", filtered from {total}") } else { String::new() };
        Self {
            offset,
            summary: shown + &filtered,
            earlier: (page > 1).then(|| href(page - 1)),
            later: (last < count).then(|| href(page + 1)),
        }
    }

    /// Whether there are pages beside this one.
    pub fn has_others(&self) -> bool {
        self.earlier.is_some() || self.later.is_some()
    }
}

/// Reads the number of a page from the query. A damaged number counts as absent.
pub fn read_page(parameters: &Parameters) -> i64 {
    parameters.all("page").next().and_then(|page| page.parse().ok()).unwrap_or(1)
}

/// The search by a text above a table.
pub struct Search {
    /// The path of the page.
    pub path: String,
    /// The label of the field.
    pub label: &'static str,
    /// The text.
    pub text: String,
    page: i64,
}

impl Search {
    /// Reads the search from the query of a page.
    pub fn from_query(path: String, label: &'static str, parameters: &Parameters) -> Self {
        let text = parameters.all("q").next().unwrap_or_default().trim().to_owned();
        Self { path, label, text, page: read_page(parameters) }
    }

    /// Places the page in a table of which `count` rows out of `total` are found.
    pub fn paging(&self, count: i64, total: i64) -> Paging {
        Paging::new(self.page, count, total, |page| {
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.append_pair("q", &self.text).append_pair("page", &page.to_string());
            format!("{}?{}", self.path, query.finish())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_knows_the_pages_beside_it_and_a_number_beyond_the_end_is_the_last_page() {
        let check = |page, count, total, offset, summary: &str, beside: (Option<&str>, Option<&str>)| {
            let paging = Paging::new(page, count, total, |page| page.to_string());
            assert_eq!((paging.offset, paging.summary.as_str()), (offset, summary));
            assert_eq!((paging.earlier.as_deref(), paging.later.as_deref()), beside);
        };
        check(1, 0, 0, 0, "None", (None, None));
        check(1, 0, 3, 0, "None, filtered from 3", (None, None));
        check(1, 25, 25, 0, "1 to 25 of 25", (None, None));
        check(2, 310, 1000, 25, "26 to 50 of 310, filtered from 1000", (Some("1"), Some("3")));
        check(i64::MAX, 26, 26, 25, "26 to 26 of 26", (Some("1"), None));
        check(i64::MIN, 26, 26, 0, "1 to 25 of 26", (None, Some("2")));
    }
}
