//! `sakuga-server models inspect`: what it prints.

use std::fmt::Write as _;
use std::path::Path;

use crate::engine::burn::files::{self, Inspection, Usage};

/// Describes a file or folder as text or as JSON, and says whether this program can use it.
///
/// # Errors
///
/// It cannot be read, in words.
pub fn report(path: &Path, is_json: bool) -> Result<(String, bool), String> {
    let inspection = files::inspect(path)?;
    let is_useful = inspection.usage != Usage::Refused;
    let text = if is_json {
        serde_json::to_string_pretty(&inspection).map_err(|error| error.to_string())? + "\n"
    } else {
        text(&inspection)
    };
    Ok((text, is_useful))
}

fn text(inspection: &Inspection) -> String {
    let mut text = format!("{}: {}\n", inspection.path.display(), inspection.kind);
    // Writing to a String cannot fail.
    let mut line = |name: &str, value: &str| _ = writeln!(text, "  {name}: {value}");
    for fact in &inspection.facts {
        line(fact.name, &fact.value);
    }
    for part in &inspection.parts {
        let precisions: Vec<String> = part
            .precisions
            .iter()
            .map(|found| format!("{} tensors of {}, {} values", found.tensors, found.dtype, found.values))
            .collect();
        line(&part.name, &precisions.join("; "));
    }
    for unused in &inspection.unused {
        line("not used", unused);
    }
    for problem in &inspection.problems {
        line("problem", problem);
    }
    line("what to do", &inspection.advice);
    sakuga_proto::text::lines(&text)
}
