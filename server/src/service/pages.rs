//! Pages of lists: their most entries and bytes, and where they begin.

use crate::error::{ServerError, Violation};

/// Default and largest number of entries of a page.
const ENTRIES: u32 = 50;
const ENTRIES_MAX: u32 = 200;
/// Most bytes of the entries of a page. Clients refuse messages above 4 MiB by default, and one job may have 3.5 MiB.
pub(crate) const BYTES_MAX: usize = 1024 * 1024;

/// The most entries of the page of a call that asks for `requested`; 0: the default.
pub(crate) fn entries(page_size: u32) -> usize {
    if page_size == 0 { ENTRIES as usize } else { page_size.min(ENTRIES_MAX) as usize }
}

/// Where a page begins, as `parse` reads its token; `None`: at the beginning of the list.
///
/// # Errors
///
/// [`ServerError`] if `parse` cannot read the token.
pub(crate) fn start<T>(token: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, ServerError> {
    if token.is_empty() {
        return Ok(None);
    }
    let text = "this is not a page token; use next_page_token of the page before, or leave it empty";
    let invalid = || ServerError::invalid("page_token", Violation::BAD_TEXT, text);
    parse(token).ok_or_else(invalid).map(Some)
}
