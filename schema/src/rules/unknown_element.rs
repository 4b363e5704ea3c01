//! `unknown-element`: an element that the language does not have.

use super::renamed_element::rename;
use crate::findings::{Finding, excerpt, remove};
use crate::rule::rule;
use crate::tree::Element;

rule! {
    /// The XSD lists the elements of a character, of the general tags and of the prompt; there are no others. A lenient
    /// check reads a slip of the pen as the element that is nearest, keeps the tags of an unknown one as `appearance`
    /// (in a character) or as `other` (elsewhere), and takes an unknown element inside text for its text.
    "unknown-element", Warning, strict Error;
    bad: "<character_1>\n<n></n>\n<gender>1girl</gender>\n<apperance>long_hair</apperance>\n</character_1>\n";
    good: "<character_1>\n<n></n>\n<gender>1girl</gender>\n<appearance>long_hair</appearance>\n</character_1>\n";
}

/// A name that is nearly one of the language.
pub(crate) fn similar(element: &Element<'_>, name: &str) -> Finding {
    let message = format!("there is no `<{}>`; it is read as `<{name}>`", excerpt(element.name));
    Finding::new(&RULE, element.open.clone(), message).fix(format!("did you mean `<{name}>`?"), rename(element, name))
}

/// A name that is nothing of the language; its tags go to the field `fallback` of the block `home`.
pub(crate) fn moved(element: &Element<'_>, parent: &str, home: &str, fallback: &str, is_empty: bool) -> Finding {
    let name = excerpt(element.name);
    let inside = if parent.is_empty() { String::new() } else { format!(" in `<{parent}>`") };
    let path = if parent.is_empty() { name.clone().into_owned() } else { format!("{parent}/{name}") };
    let finding = if is_empty {
        let message = format!("there is no `<{name}>`{inside}; it holds nothing and is left out");
        Finding::new(&RULE, element.open.clone(), message).fix("remove it", [remove(element.span())])
    } else {
        let target = if home.is_empty() { fallback.to_owned() } else { format!("{home}/{fallback}") };
        let message = format!("there is no `<{name}>`{inside}; its tags are read as `{target}`");
        Finding::new(&RULE, element.open.clone(), message).help(format!("write its tags into `<{fallback}>`"))
    };
    finding.at(path)
}

/// An unknown element inside text.
pub(crate) fn unwrapped(element: &Element<'_>) -> Finding {
    let mut edits = vec![remove(element.open.clone())];
    edits.extend(element.close.as_ref().map(|close| remove(close.tag.clone())));
    let message = format!("there is no `<{}>` inside text; only its text is read", excerpt(element.name));
    Finding::new(&RULE, element.open.clone(), message).fix("remove its tags", edits)
}
