//! Faults of typed data only: values that the XML would not give back.

use crate::findings::{Findings, excerpt};
use crate::prompt::Prompt;
use crate::rules::{empty_element, invalid_value};
use crate::tags::{TagList, collapse};
use crate::xml::is_xml_char;

/// Checks every value of a prompt whose XML is `xml`.
pub(super) fn check(prompt: &Prompt, xml: &str, findings: &mut Findings) {
    let mut at = 0;
    let words = prompt.characters.iter().map(|character| &character.n).chain(&prompt.caption);
    let tags = prompt.characters.iter().flat_map(|character| character.tag_lists()).map(|(_, tags)| tags);
    let general = prompt.general_tags.iter().flat_map(|general| general.tag_lists()).map(|(_, tags)| tags);
    for text in words.chain(tags.chain(general).flatten()) {
        if let Some(character) = text.chars().find(|character| !is_xml_char(*character)) {
            let message =
                format!("`{}` holds the character U+{:04X}, which XML cannot", excerpt(text), u32::from(character));
            findings.push(invalid_value::unwritable(0..0, message));
        }
    }
    for (index, character) in prompt.characters.iter().enumerate() {
        let block = format!("character_{}", index + 1);
        at = find(xml, at, &block);
        if collapse(&character.n) != character.n {
            let message =
                format!("the name `{}` holds a line break, or blanks that do not count", excerpt(&character.n));
            findings.push(invalid_value::unwritable(place(xml, at, "n"), message).at(format!("{block}/n")));
        }
        for (name, tags) in character.tag_lists() {
            check_list(tags, &block, name, xml, at, findings);
        }
    }
    if let Some(general) = &prompt.general_tags {
        at = find(xml, at, "general_tags");
        for (name, tags) in general.tag_lists() {
            check_list(tags, "general_tags", name, xml, at, findings);
        }
    }
    if let Some(caption) = &prompt.caption {
        let span = place(xml, at, "caption");
        if caption.trim().is_empty() {
            findings.push(empty_element::typed_caption(span).at("caption"));
        } else if caption.trim().len() != caption.len() {
            let message = "the caption has blanks at its ends, which do not count".to_owned();
            findings.push(invalid_value::unwritable(span, message).at("caption"));
        }
    }
}

fn check_list(tags: &TagList, block: &str, name: &str, xml: &str, at: usize, findings: &mut Findings) {
    for tag in tags {
        let fault = if tag.trim().is_empty() {
            "a tag is empty".to_owned()
        } else if tag.contains(',') {
            format!("the tag `{}` holds a comma, so it would be read as several", excerpt(tag))
        } else if collapse(tag) != *tag {
            format!("the tag `{}` holds a line break, or blanks that do not count", excerpt(tag))
        } else {
            continue;
        };
        findings.push(invalid_value::unwritable(place(xml, at, name), fault).at(format!("{block}/{name}")));
    }
}

/// Where the element of that name begins, from `at` on; `at` if it is not written.
fn find(xml: &str, at: usize, name: &str) -> usize {
    xml[at..].find(&format!("<{name}>")).map_or(at, |offset| at + offset)
}

/// What stands inside the first element of that name from `at` on; nothing if it is not written.
fn place(xml: &str, at: usize, name: &str) -> std::ops::Range<usize> {
    let open = format!("<{name}>");
    let Some(offset) = xml[at..].find(&open) else { return at..at };
    let start = at + offset + open.len();
    let end = xml[start..].find("</").map_or(start, |offset| start + offset);
    start..end
}
