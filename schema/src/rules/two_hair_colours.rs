//! `two-hair-colours`: one character, two colours of hair.

use crate::findings::{Finding, Findings};
use crate::outline::{Outline, Tag};
use crate::rule::rule;

rule! {
    /// A character with `blue_hair` and `red_hair` gets one of them, or a mixture, or lends one to the neighbour. Where
    /// two colours are meant, a tag such as `multicolored_hair`, `gradient_hair` or `streaked_hair` says so.
    "two-hair-colours", Warning;
    bad: "<character_1>\n<n></n>\n<gender>1girl</gender>\n<appearance>blue_hair, long_hair, red_hair</appearance>\n</character_1>\n";
    good: "<character_1>\n<n></n>\n<gender>1girl</gender>\n<appearance>blue_hair, long_hair, red_hair, multicolored_hair</appearance>\n</character_1>\n";
    messages: [
        Warning "`…` has both `…` and `…`",
    ];
}

const COLOURS: &[&str] = &[
    "aqua", "black", "blonde", "blue", "brown", "green", "grey", "gray", "orange", "pink", "purple", "red", "silver",
    "white",
];

/// Tags that say that there is more than one colour.
const SEVERAL: &[&str] = &[
    "multicolored_hair",
    "multicoloured_hair",
    "two-tone_hair",
    "two_tone_hair",
    "gradient_hair",
    "streaked_hair",
    "split-color_hair",
    "colored_inner_hair",
    "colored_tips",
    "rainbow_hair",
    "highlights",
];

/// Looks at the appearance of each character.
pub(crate) fn check(outline: &Outline<'_>, findings: &mut Findings) {
    for character in &outline.characters {
        let tags = character.tags("appearance");
        let mut first: Option<(&str, &Tag<'_>)> = None;
        for tag in tags {
            let Some(colour) = hair_colour(&tag.text) else { continue };
            match first {
                None => first = Some((colour, tag)),
                Some((other, earlier)) if !are_one(other, colour) => {
                    if !tags.iter().any(|tag| says_several(&tag.text)) {
                        let message = format!("`{}` has both `{}` and `{}`", character.path, earlier.text, tag.text);
                        findings.push(
                            Finding::new(&RULE, tag.span.clone(), message)
                                .at(format!("{}/appearance", character.path))
                                .help("keep one, or add `multicolored_hair`"),
                        );
                    }
                    break;
                }
                Some(_) => {}
            }
        }
    }
}

/// The colour in `blue_hair`, `light blue hair`.
fn hair_colour(tag: &str) -> Option<&'static str> {
    let stem = tag.strip_suffix("hair")?.strip_suffix(['_', ' '])?;
    let colour = stem.rsplit(['_', ' ']).next()?;
    COLOURS.iter().find(|known| **known == colour).copied()
}

/// The two spellings of grey are one, and nobody tells grey from silver.
fn are_one(left: &str, right: &str) -> bool {
    let plain = |colour: &str| ["grey", "gray", "silver"].contains(&colour);
    left == right || (plain(left) && plain(right))
}

fn says_several(tag: &str) -> bool {
    SEVERAL.iter().any(|word| tag.len() == word.len() && tag.replace(' ', "_") == *word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_found_in_hair_only() {
        assert_eq!(hair_colour("blue_hair"), Some("blue"));
        assert_eq!(hair_colour("light blue hair"), Some("blue"));
        assert_eq!(hair_colour("long_hair"), None);
        assert_eq!(hair_colour("blue_eyes"), None);
        assert_eq!(hair_colour("hair"), None);
    }
}
