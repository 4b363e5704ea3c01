//! The warning that a size is outside of those that the model was trained with.

use sakuga_model_core::ModelInfo;
use sakuga_schema::{Diagnostic, Fix, Position, Severity};

/// The prompt language's name for it; its reference documents the rule.
const CODE: &str = "unknown-to-model";

/// A warning if the model states its training sizes and this one is not covered by them. `field` is what the size follows from.
pub(super) fn finding(model: &ModelInfo, [width_px, height_px]: [u32; 2], field: &str) -> Option<Diagnostic> {
    let vocabulary = model.vocabulary.as_deref().filter(|known| !known.covers_size(width_px, height_px))?;
    let mut sizes: Vec<String> =
        vocabulary.sizes_px.iter().map(|[width, height]| format!("{width}x{height}")).collect();
    sizes.truncate(SIZES_SHOWN_MAX);
    let sizes = sizes.join(", ");
    Some(Diagnostic {
        code: CODE,
        severity: Severity::Warning,
        message: format!("the model was not trained with pictures like {width_px}x{height_px} and may draw them badly"),
        span: 0..0,
        start: Position::of("", 0),
        end: Position::of("", 0),
        path: field.to_owned(),
        fix: Some(Fix { description: format!("use a size near those of training: {sizes}"), edits: Vec::new() }),
    })
}

/// Most sizes that are named.
const SIZES_SHOWN_MAX: usize = 8;

#[cfg(test)]
mod tests {
    #[test]
    fn the_prompt_language_knows_the_code() {
        assert!(sakuga_schema::rules::all().iter().any(|rule| rule.code == super::CODE));
    }
}
