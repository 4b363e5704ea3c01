//! `unknown-attribute`: an attribute that the language does not have.

use crate::findings::{Finding, excerpt, remove};
use crate::phrases::{is_doubtful_name, is_negative_name};
use crate::rule::rule;
use crate::tree::Element;

rule! {
    /// Everything in a prompt is said by elements. The two attributes that the XSD knows, `number` and `after`, are
    /// filled in by the validator and never written. A lenient check leaves an attribute out, but for one that
    /// would make its element a negative prompt, which is an error.
    "unknown-attribute", Warning, strict Error;
    bad: "<character_1 id=\"miku\">\n<n>hatsune_miku</n>\n<gender>1girl</gender>\n</character_1>\n";
    good: "<character_1>\n<n>hatsune_miku</n>\n<gender>1girl</gender>\n</character_1>\n";
}

/// An attribute that no element has.
pub(crate) fn unknown(element: &Element<'_>, name: &str, value: &str) -> Finding {
    let element_name = excerpt(element.name);
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
    let plain = name.to_ascii_lowercase();
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
