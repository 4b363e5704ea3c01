//! The page: Markdown with tables, a contact sheet of each case, and a chart of errors.

mod chart;
mod compared;
mod goals;
mod page;
mod sheet;

use std::fs;
use std::path::Path;

use crate::error::EvalError;
use crate::score::Scores;
use crate::store::Results;

pub use compared::COMPARED;
pub use compared::write as write_comparison;
pub use goals::{Goal, Verdict, goals};
pub use sheet::{SHEET_BYTES_MAX, SHEET_COLUMNS, Sheet};

/// The page's file.
pub const PAGE: &str = "RESULTS.md";

/// The chart's file.
pub const CHART: &str = "right_and_swapped.svg";

/// Writes the page and its pictures. `folder` is where the results were read from; the pictures of the contact sheets
/// lie there.
///
/// # Errors
///
/// [`EvalError::File`], [`EvalError::Decode`] and [`EvalError::Chart`].
pub fn write(results: &Results, folder: &Path, out: &Path) -> Result<(), EvalError> {
    fs::create_dir_all(out).map_err(EvalError::file(out))?;
    let scores = Scores::count(&results.records);
    let write = |name: &str, content: &[u8]| {
        let path = out.join(name);
        fs::write(&path, content).map_err(EvalError::file(&path))
    };
    let mut sheets = Vec::new();
    for case in scores.cases() {
        if let Some(sheet) = Sheet::draw(case, &results.records, folder)? {
            write(&sheet.file_name(), &sheet.png)?;
            sheets.push(sheet);
        }
    }
    write(CHART, chart::draw(&scores)?.as_bytes())?;
    write(PAGE, page::write(results, &scores, &sheets).as_bytes())
}
