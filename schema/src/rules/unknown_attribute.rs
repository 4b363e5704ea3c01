//! `unknown-attribute`: an attribute that the language does not have.

use crate::findings::{Finding, excerpt, remove, replace};
use crate::names::{self, Kind};
use crate::phrases::{is_doubtful_name, is_negative_name};
use crate::rule::rule;
use crate::tree::Element;

rule! {
    /// Everything in a prompt is said by elements. The two attributes that the XSD knows, `number` and `after`, are
    /// filled in by the validator and never written. A lenient check leaves an attribute out, but for one that
    /// would make its element a negative prompt (`type="negative"`) or that holds the text of an element
    /// (`<appearance value="blue_hair"/>`, `<character_1 gender="1girl">`): these are errors. Identifiers such as `id`
    /// name an element, whatever words they are made of.
    "unknown-attribute", Warning, strict Error;
    bad: "<character_1 id=\"miku\">\n<n>hatsune_miku</n>\n<gender>1girl</gender>\n</character_1>\n";
    good: "<character_1>\n<n>hatsune_miku</n>\n<gender>1girl</gender>\n</character_1>\n";
    messages: [
        Error "`…=\"…\"`: an attribute does not make a negative prompt",
        Error "`…=\"…\"` of `<…>` holds text, which is not read from an attribute",
        Warning "`<…>` has no attribute `…`; its value `…` is left out",
        Warning "the attribute `…` of `<…>` is always …, not `…`",
    ];
}

/// An attribute that no element has.
pub(crate) fn unknown(element: &Element<'_>, name: &str, value: &str) -> Finding {
    let element_name = excerpt(element.name);
    if let Some(place) = content_place(element, name, value) {
        return content(element, name, value, place);
    }
    if is_against(name, value.trim()) {
        let message =
            format!("`{}=\"{}\"`: an attribute does not make a negative prompt", excerpt(name), excerpt(value));
        return Finding::new(&RULE, element.open.clone(), message)
            .into_error()
            .guarded()
            .help("write the negative prompt into `<negative_prompt>` next to the blocks, or into its own file");
    }
    let message =
        format!("`<{element_name}>` has no attribute `{}`; its value `{}` is left out", excerpt(name), excerpt(value));
    with_fix(Finding::new(&RULE, element.open.clone(), message), element)
}

/// Where the text of an attribute belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ContentPlace {
    /// Between the tags of the element, which is empty.
    Between,
    /// Between its tags, where something stands already.
    NextTo,
    /// In an element inside, of the attribute's name.
    Inside,
}

/// Where the text of an attribute belongs, if it holds text: `<other value="rain"/>`, `<character_1 gender="1girl">`.
fn content_place(element: &Element<'_>, name: &str, value: &str) -> Option<ContentPlace> {
    const WORDS: &[&str] = &[
        "value",
        "values",
        "val",
        "v",
        "text",
        "txt",
        "content",
        "contents",
        "prompt",
        "prompts",
        "positive",
        "positive_prompt",
        "tag",
        "tags",
        "data",
        "body",
        "description",
        "desc",
        "caption",
        "words",
        "string",
        "list",
        "items",
        "keywords",
    ];
    /// Of an element that is empty.
    const NAMES: &[&str] = &["name", "n", "label", "title"];
    if !value.contains(char::is_alphabetic) || name.contains(':') {
        return None;
    }
    let plain = name.to_ascii_lowercase();
    let is_empty = element.children.is_empty();
    let is_container = matches!(names::kind(element.name), Some(Kind::Container));
    let is_field = is_container && plain != "name" && matches!(names::kind(&plain), Some(Kind::Leaf));
    let is_word = WORDS.contains(&plain.as_str()) || plain == element.name;
    match is_empty && !is_container {
        _ if is_field => Some(ContentPlace::Inside),
        true if is_word || NAMES.contains(&plain.as_str()) => Some(ContentPlace::Between),
        _ if is_word => Some(ContentPlace::NextTo),
        _ => None,
    }
}

/// An attribute that holds text of the prompt.
fn content(element: &Element<'_>, name: &str, value: &str, place: ContentPlace) -> Finding {
    let (element_name, name, short) = (excerpt(element.name), excerpt(name), excerpt(value));
    let message = format!("`{name}=\"{short}\"` of `<{element_name}>` holds text, which is not read from an attribute");
    let finding = Finding::new(&RULE, element.open.clone(), message).into_error().guarded();
    let written = quick_xml::escape::partial_escape(value.trim());
    match place {
        ContentPlace::Between if element.attributes.len() == 1 => {
            let text = format!("<{0}>{written}</{0}>", element.name);
            finding.fix("write it between the tags", [replace(element.span(), text)])
        }
        ContentPlace::Between | ContentPlace::NextTo => {
            finding.help(format!("write it between the tags: `<{element_name}>{short}</{element_name}>`"))
        }
        ContentPlace::Inside => {
            finding.help(format!("write an element inside `<{element_name}>`: `<{name}>{short}</{name}>`"))
        }
    }
}

/// An attribute with another value than its only one.
pub(crate) fn wrong_value(element: &Element<'_>, name: &str, value: &str, fixed: &str) -> Finding {
    let message =
        format!("the attribute `{name}` of `<{}>` is always {fixed}, not `{}`", excerpt(element.name), excerpt(value));
    with_fix(Finding::new(&RULE, element.open.clone(), message), element)
}

/// Whether an attribute makes an element one that is not wanted.
pub(crate) fn is_negative(element: &Element<'_>) -> bool {
    element.attributes.iter().any(|attribute| is_against(&attribute.name, attribute.value.trim()))
}

/// Whether an attribute says that its element is not wanted: `type="negative"`, `not="1"`, `polarity="-"`, `weight="-1"`.
fn is_against(name: &str, value: &str) -> bool {
    const SWITCHES: &[&str] =
        &["include", "included", "wanted", "enabled", "positive", "show", "draw", "allowed", "keep"];
    const OFF: &[&str] = &["0", "no", "false", "off", "none", "never"];
    const AMOUNTS: &[&str] = &["weight", "strength", "emphasis", "scale", "amount", "w"];
    const IDENTIFIERS: &[&str] = &["id", "xml:id", "uid", "key", "ref", "name", "slug"];
    /// Of the names of a negative prompt, those that may name anything.
    const EVERYDAY: &[&str] = &["bad", "uc", "without", "avoid"];
    let plain = name.to_ascii_lowercase();
    if IDENTIFIERS.contains(&plain.as_str()) {
        return is_negative_name(value) && !EVERYDAY.contains(&value.to_ascii_lowercase().as_str());
    }
    let is_off = || OFF.contains(&value.to_ascii_lowercase().as_str());
    let is_nothing = || value.replace(',', ".").parse::<f32>().is_ok_and(|amount| amount <= 0.0);
    // `no="1"` is a number.
    let is_doubtful = is_doubtful_name(name) && !plain.ends_with("no") && !is_off();
    let is_word = !value.contains(|mark: char| !mark.is_alphabetic()) && !is_off();
    is_negative_name(name)
        || is_doubtful
        || is_negative_name(value)
        || (is_word && is_doubtful_name(value))
        || value.starts_with(['-', '−', '!'])
        || (SWITCHES.contains(&plain.as_str()) && is_off())
        || (AMOUNTS.contains(&plain.as_str()) && is_nothing())
}

fn with_fix(finding: Finding, element: &Element<'_>) -> Finding {
    // `>` or `/>`
    let is_single = element.close.is_none() && element.children.is_empty() && element.end == element.open.end;
    let end = element.open.end - if is_single { 2 } else { 1 };
    finding.fix("remove the attributes", [remove(element.name_span.end..end.max(element.name_span.end))])
}
