//! `duplicate-element`: the same element twice.

use crate::diagnostic::Edit;
use crate::findings::{Finding, insert, remove, replace};
use crate::grammar::TextKind;
use crate::outline::{Block, Field};
use crate::rule::rule;
use crate::tree::Element;

rule! {
    /// Each element stands at most once where it belongs. A lenient check adds the tags of a second one to the first
    /// and a second caption as another line; a character number that is used twice makes two characters. Two names or
    /// two genders for one character are an error, since one of them would be lost.
    "duplicate-element", Warning, strict Error;
    bad: "<general_tags>\n<style>anime_style</style>\n<style>watercolor</style>\n</general_tags>\n";
    good: "<general_tags>\n<style>anime_style, watercolor</style>\n</general_tags>\n";
    messages: [
        Warning "a second `<…>`; its tags are added to the first",
        Warning "a second `<…>`; it is added to the first as another line",
        Error "a second `<…>`: `…` and `…` cannot both hold",
        Warning "a second `<…>`, which says nothing new",
        Warning "a second `<…>`; what it holds is added to the first",
        Warning "a second `<…>`; it is read as `<character_…>`",
    ];
}

/// A second field of that name.
pub(crate) fn field(second: &Field<'_>, first: &Field<'_>, source: &str) -> Finding {
    let name = second.decl.name;
    let kind = second.decl.text().map_or(TextKind::Prose, |text| text.kind);
    let raw = source.get(second.content.clone()).unwrap_or_default().trim();
    // The first one may be text without tags, or `<n/>`, where nothing can be added.
    let can_add = !first.content.is_empty() && first.content.end <= second.span.start;
    let joined = |separator: &str| -> Option<Vec<Edit>> {
        can_add.then(|| {
            let end = first.content.start + source[first.content.clone()].trim_end().len();
            vec![insert(end, format!("{separator}{raw}")), remove(second.span.clone())]
        })
    };
    let (message, edits) = match kind {
        TextKind::Tags => (format!("a second `<{name}>`; its tags are added to the first"), joined(", ")),
        TextKind::Prose => (format!("a second `<{name}>`; it is added to the first as another line"), joined("\n")),
        TextKind::Token => {
            let is_lost = !first.text.is_empty() && !second.text.is_empty() && first.text != second.text;
            if is_lost {
                let message = format!("a second `<{name}>`: `{}` and `{}` cannot both hold", first.text, second.text);
                return Finding::new(&RULE, second.span.clone(), message).into_error().help("remove one of them");
            }
            (format!("a second `<{name}>`, which says nothing new"), Some(vec![remove(second.span.clone())]))
        }
    };
    let finding = Finding::new(&RULE, second.span.clone(), message);
    match edits {
        Some(edits) => finding.fix("make them one", edits),
        None => finding.help("make them one"),
    }
}

/// A second block of that name whose fields are added to the first, which ends at `inside_end`.
pub(crate) fn block(second: &Element<'_>, inside_end: Option<usize>, source: &str) -> Finding {
    let message = format!("a second `<{}>`; what it holds is added to the first", second.name);
    let finding = Finding::new(&RULE, second.open.clone(), message);
    match inside_end {
        Some(end) if end <= second.open.start => {
            let raw = source.get(second.content()).unwrap_or_default().to_owned();
            finding.fix("make them one", [insert(end, raw), remove(second.span())])
        }
        _ => finding.help("make them one"),
    }
}

/// A second character of that number; it becomes the character `number`.
pub(crate) fn character(second: &Block<'_>, number: u32) -> Finding {
    let message = format!("a second `<{}>`; it is read as `<character_{number}>`", second.path);
    let edits: Vec<Edit> =
        second.names.iter().map(|name| replace(name.clone(), format!("character_{number}"))).collect();
    Finding::new(&RULE, second.open.clone(), message)
        .at(second.path.clone())
        .fix(format!("write `<character_{number}>`"), edits)
}
