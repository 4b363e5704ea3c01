//! Parts of a template that were not filled in.

/// What stands for something in the templates of prompts, with blanks for `_`.
const WORDS: &[&str] = &[
    "name",
    "character name",
    "n",
    "gender",
    "appearance",
    "clothing",
    "clothes",
    "outfit",
    "body type",
    "expression",
    "action",
    "pose",
    "interaction",
    "position",
    "count",
    "artist",
    "artists",
    "style",
    "background",
    "environment",
    "perspective",
    "atmosphere",
    "mood",
    "lighting",
    "quality",
    "resolution",
    "objects",
    "other",
    "caption",
    "description",
    "character",
    "subject",
    "tag",
    "tags",
    "prompt",
    "scene",
    "setting",
    "hair",
    "hair color",
    "hair colour",
    "hair style",
    "eyes",
    "eye color",
    "eye colour",
    "color",
    "colour",
    "placeholder",
    "text",
    "value",
    "todo",
    "tbd",
    "fill in",
    "x",
    "xxx",
];

/// Whether a word in two braces is filled in by a chat program: `{{char}}`.
pub(super) fn is_macro(word: &str) -> bool {
    const MACROS: &[&str] = &[
        "char",
        "user",
        "prompt",
        "description",
        "personality",
        "scenario",
        "persona",
        "input",
        "input_prompt",
        "last_message",
    ];
    MACROS.contains(&word.to_ascii_lowercase().as_str())
}

/// Pairs of brackets around such a word.
const BRACKETS: &[(&str, &str)] =
    &[("{{", "}}"), ("{", "}"), ("[[", "]]"), ("[", "]"), ("<", ">"), ("$", "$"), ("%", "%")];

/// Whether a text as a whole is such a part: `{name}`, `[hair color]`, `...`, `TODO`.
pub(super) fn is_placeholder(text: &str, is_tag: bool) -> bool {
    const LONGEST: usize = 60;
    if text.len() > LONGEST {
        return false;
    }
    if matches!(text, "TODO" | "TBD" | "FIXME") || (is_tag && matches!(text, "..." | "…" | "....")) {
        return true;
    }
    if !text.bytes().any(|byte| byte.is_ascii_lowercase()) {
        let spaced = text.replace('_', " ");
        if spaced.starts_with("YOUR ") || spaced.starts_with("(INSERT ") {
            return true;
        }
    }
    if ["(insert ", "(your ", "(add "].iter().any(|start| text.starts_with(start)) && text.ends_with(" here)") {
        return true;
    }
    // The placeholder that the model was trained with.
    if text.starts_with("$character") {
        return false;
    }
    let inside = BRACKETS.iter().find_map(|(open, close)| text.strip_prefix(open)?.strip_suffix(close));
    inside.is_some_and(|inside| {
        let plain = inside.trim().to_lowercase().replace(['_', '-'], " ");
        let words = plain.trim_end_matches(|end: char| end.is_ascii_digit()).trim();
        WORDS.contains(&words)
            || words.ends_with(" here")
            || ["insert ", "your ", "add ", "describe "].iter().any(|start| words.starts_with(start))
    })
}
