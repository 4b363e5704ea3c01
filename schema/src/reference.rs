//! The grammar reference: a page of Markdown made from the XSD's documentation and from the rules.

use std::fmt::Write as _;

use crate::checked::Envelope;
use crate::grammar::{self, Content, ElementDecl};
use crate::prompt::{Character, Gender, GeneralTags, Prompt};
use crate::rules;
use crate::tags::TagList;

/// Appends to a page; writing to a `String` cannot fail.
macro_rules! push {
    ($page:expr, $($format:tt)+) => {{
        let _ = write!($page, $($format)+);
    }};
}

/// The page that stands in the repository as `schema/REFERENCE.md`.
#[must_use]
pub fn markdown() -> String {
    let mut page = String::new();
    introduction(&mut page);
    elements(&mut page);
    texts(&mut page);
    renderings(&mut page);
    envelopes(&mut page);
    rule_pages(&mut page);
    page
}

fn introduction(page: &mut String) {
    page.push_str(concat!(
        "# Prompt grammar\n\n",
        "<!-- Made from prompt.xsd and the rules; `SAKUGA_REGENERATE=1 cargo test -p sakuga-schema` makes it again. -->\n\n",
        "A prompt is a few XML blocks, one for each character and one for what they share. It is defined by ",
        "[`prompt.xsd`](prompt.xsd); this page is made from it. A file holds the blocks without a root:\n\n",
        "```xml\n",
        include_str!("../examples/one_girl.xml"),
        "```\n\n",
        "`sakuga validate FILE` says what is wrong with a prompt and how to fix it, `sakuga fmt FILE` writes it in the ",
        "canonical form. For completion in an editor, put the blocks into the root and name the schema there:\n\n",
        "```xml\n",
        "<prompt xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:noNamespaceSchemaLocation=\"prompt.xsd\">\n",
        "```\n\n",
    ));
}

fn elements(page: &mut String) {
    page.push_str("## Elements\n\n");
    element_section(page, &grammar::PROMPT);
    for child in grammar::PROMPT.children() {
        // All characters hold the same, so one section stands for them.
        let is_later_character = number_of(child).is_some_and(|number| number > 1);
        if !child.children().is_empty() && !is_later_character {
            element_section(page, child);
        }
    }
    element_section(page, &grammar::NEGATIVE_PROMPT);
}

fn element_section(page: &mut String, decl: &ElementDecl) {
    let heading = match number_of(decl) {
        Some(_) => "character_N",
        None => decl.name,
    };
    let said = if decl.type_documentation.is_empty() { decl.documentation } else { decl.type_documentation };
    push!(page, "### `{heading}`\n\n{said}\n\n");
    page.push_str("| element | how often | holds | what goes there | example |\n|---|---|---|---|---|\n");
    let characters: Vec<_> = decl.children().iter().filter(|child| number_of(child).is_some()).collect();
    for child in decl.children() {
        let (name, said) = match (number_of(child), characters.as_slice()) {
            (Some(1), [first, second, .., last]) => {
                // The second says what holds for all that follow it.
                (
                    format!("`{}` … `{}`", first.name, last.name),
                    format!("{} {}", first.documentation, second.documentation),
                )
            }
            (Some(number), _) if number > 1 => continue,
            _ => (format!("`{}`", child.name), child.documentation.to_owned()),
        };
        let how_often = match (child.min_occurs, child.max_occurs) {
            (0, 1) => "at most once".to_owned(),
            (1, 1) => "once".to_owned(),
            (min, max) => format!("{min} to {max} times"),
        };
        let holds = match &child.content {
            Content::Children(_) => "elements".to_owned(),
            Content::Text(text) => format!("[{0}](#{1})", text.type_name, text.type_name.to_lowercase()),
        };
        let example = if child.example.is_empty() { String::new() } else { format!("`{}`", child.example) };
        push!(page, "| {name} | {how_often} | {holds} | {said} | {example} |\n");
    }
    page.push('\n');
}

/// N of `character_N`.
fn number_of(decl: &ElementDecl) -> Option<u32> {
    decl.name.strip_prefix("character_")?.parse().ok()
}

fn texts(page: &mut String) {
    page.push_str("## Texts\n\n");
    for text_type in &grammar::TEXT_TYPES {
        push!(page, "### {}\n\n{}\n\nExample: `{}`\n\n", text_type.name, text_type.documentation, text_type.example);
        let Some(text) = find_text(&grammar::PROMPT, text_type.name) else { continue };
        if text.values.is_empty() {
            continue;
        }
        page.push_str("| value | meaning |\n|---|---|\n");
        for (value, meaning) in text.values.iter().zip(text.value_documentation) {
            push!(page, "| `{value}` | {meaning} |\n");
        }
        page.push('\n');
    }
}

/// A text of that type, anywhere below the element.
fn find_text(decl: &'static ElementDecl, type_name: &str) -> Option<&'static grammar::TextDecl> {
    match &decl.content {
        Content::Text(text) => (text.type_name == type_name).then_some(text),
        Content::Children(children) => children.iter().find_map(|child| find_text(child, type_name)),
    }
}

fn renderings(page: &mut String) {
    let prompt = Prompt {
        characters: vec![Character {
            n: "original_character".to_owned(),
            gender: Some(Gender::Girl),
            expression: TagList::new([">_<"]),
            ..Character::default()
        }],
        general_tags: Some(GeneralTags { count: TagList::new(["1girl", "solo"]), ..GeneralTags::default() }),
        caption: None,
    };
    push!(
        page,
        "## Canonical form and model text\n\n\
         The canonical form has the blocks in the order above, a blank line between them, every element on a line of \
         its own, tags joined by a comma and a space, `<n>` always and no other element without content:\n\n\
         ```xml\n{}```\n\n\
         The encoders read the same text with nothing escaped, which is how the training data was written; the two are \
         equal when there is nothing to escape. A prompt of nothing but a caption reaches them as the bare caption.\n\n\
         ```text\n{}\n```\n\n",
        prompt.to_xml(),
        prompt.to_model_text()
    );
}

/// The forms in which prompts are found, in the order in which they are shown.
const ENVELOPES: [Envelope; 12] = [
    Envelope::Bare,
    Envelope::Prompt,
    Envelope::Img,
    Envelope::Image,
    Envelope::Document,
    Envelope::Braces,
    Envelope::Json,
    Envelope::TrailingCaption,
    Envelope::Plain,
    Envelope::Answer,
    Envelope::Infotext,
    Envelope::Escaped,
];

/// What an envelope is, and how one looks.
fn envelope_form(envelope: Envelope) -> (&'static str, &'static str) {
    match envelope {
        Envelope::Bare => {
            ("sibling blocks: the canonical form", "<character_1>…</character_1> <general_tags>…</general_tags>")
        }
        Envelope::Prompt => ("the root that the XSD has", "<prompt><character_1>…</character_1></prompt>"),
        Envelope::Img => {
            ("blocks and caption in `<img>`", "<img><character_1>…</character_1> <caption>…</caption></img>")
        }
        Envelope::Image => {
            ("blocks in `<image>`, often after a style", "<style>…</style> <image><caption>…</caption> …</image>")
        }
        Envelope::Document => (
            "a `<document>` whose characters are named by their elements",
            "<document><miku><name>…</name></miku> …</document>",
        ),
        Envelope::Braces => ("blocks in braces", "{ <character_1>…</character_1> … }"),
        Envelope::Json => {
            ("a JSON object with the XML and the caption", r#"{"image": {"tags": "<character_1>…", "caption": "…"}}"#)
        }
        Envelope::TrailingCaption => ("blocks, then a caption as text", "<general_tags>…</general_tags> caption: …"),
        Envelope::Plain => ("plain tags or sentences", "1girl, solo, smile"),
        Envelope::Answer => (
            "the answer of a language model: thoughts and talk are left out",
            "<think>…</think> Here is the prompt: ```xml <character_1>… ```",
        ),
        Envelope::Infotext => (
            "a text with labels and settings, as AUTOMATIC1111's program writes it",
            "1girl, solo Negative prompt: lowres Steps: 24, Sampler: …",
        ),
        Envelope::Escaped => ("markup that was escaped once too often", "&lt;character_1&gt;…&lt;/character_1&gt;"),
    }
}

fn envelopes(page: &mut String) {
    page.push_str(
        "## Envelopes\n\n\
         Prompts are found in several wrappings. All of them are read, with or without a system prompt in front, which \
         is split off; what was removed or changed is reported, and the canonical form is written.\n\n\
         | form | looks like |\n|---|---|\n",
    );
    for envelope in ENVELOPES {
        let (form, looks) = envelope_form(envelope);
        push!(page, "| {form} | `{looks}` |\n");
    }
    page.push('\n');
}

fn rule_pages(page: &mut String) {
    page.push_str(
        "## Rules\n\n\
         Every finding carries the code of its rule. A lenient check repairs what can be repaired without loss and says \
         so; in a strict check whatever the XSD refuses is an error. Findings that are not errors never make a prompt \
         invalid. Under each rule are its messages with their severities in a lenient check, where `…` stands for words of \
         the text. A rule that is an error in a strict check reports nothing but errors there.\n\n\
         | code | lenient | strict |\n|---|---|---|\n",
    );
    for rule in rules::all() {
        push!(page, "| [`{0}`](#{0}) | {1} | {2} |\n", rule.code, rule.severity, rule.strict_severity);
    }
    page.push('\n');
    for rule in rules::all() {
        push!(page, "### {}\n\n", rule.code);
        for line in rule.documentation.trim().lines() {
            push!(page, "{}\n", line.strip_prefix(' ').unwrap_or(line));
        }
        page.push_str("\nMessages:\n\n");
        for (severity, message) in rule.messages {
            push!(page, "- {severity}: {message}\n");
        }
        push!(page, "\nBad:\n\n{}\n\nGood:\n\n{}\n\n", fenced(rule.bad), fenced(rule.good));
    }
    page.truncate(page.trim_end().len());
    page.push('\n');
}

/// The text in a code block whose fence it does not contain; control characters are written as Rust writes them.
fn fenced(text: &str) -> String {
    let is_hidden = |character: char| character.is_control() && character != '\n';
    let text = text.chars().fold(String::with_capacity(text.len()), |mut shown, character| {
        match is_hidden(character) {
            true => shown.extend(character.escape_default()),
            false => shown.push(character),
        }
        shown
    });
    let mut fence = "```".to_owned();
    while text.contains(&fence) {
        fence.push('`');
    }
    format!("{fence}text\n{}\n{fence}", text.trim_matches('\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_and_rule_is_on_the_page() {
        fn walk(decl: &ElementDecl, page: &str) {
            let is_run = number_of(decl).is_some_and(|number| number != 1 && number != 16);
            assert!(is_run || page.contains(&format!("`{}`", decl.name)), "{}", decl.name);
            decl.children().iter().for_each(|child| walk(child, page));
        }
        let page = markdown();
        walk(&grammar::PROMPT, &page);
        walk(&grammar::NEGATIVE_PROMPT, &page);
        for rule in rules::all() {
            assert!(page.contains(&format!("\n### {}\n", rule.code)), "{}", rule.code);
        }
        assert!(page.lines().all(|line| !line.starts_with('|') || line.ends_with('|')));
    }

    #[test]
    fn a_fence_is_longer_than_what_it_holds() {
        assert_eq!(fenced("a\u{7}\n"), "```text\na\\u{7}\n```");
        assert_eq!(fenced("````"), "`````text\n````\n`````");
    }
}
