//! `stray-text`: text where only elements stand.

use std::ops::Range;

use super::renamed_element::surround;
use crate::findings::{Finding, excerpt, insert, remove};
use crate::outline::Field;
use crate::rule::rule;

rule! {
    /// Text stands inside the fields; between blocks and between fields there is only white space. A lenient check keeps
    /// tags: inside a character as `appearance`, elsewhere as `other`. A sentence outside of the blocks is an error, since
    /// it may be a caption or the talk of a language model. So is a label such as `Mood:` that names no part of a prompt,
    /// since what follows it may be unwanted. Punctuation alone is left out.
    "stray-text", Warning, strict Error;
    bad: "<general_tags>\n<style>anime_style</style>\nfalling_leaves, bench\n</general_tags>\n";
    good: "<general_tags>\n<style>anime_style</style>\n<other>falling_leaves, bench</other>\n</general_tags>\n";
    messages: [
        Error "`…` stands outside of all blocks, and may or may not be a part of the prompt",
        Error "`…` outside of all blocks is not the label of a part of a prompt",
        Warning "a space that XML does not know stands between elements and is left out",
        Warning "`…` stands between elements and is left out",
        Warning "`…` stands outside of all fields; it is read as `…`",
        Warning "`…` stands outside of all blocks; it is read as `…`",
        Error "`…` stands after the JSON object and is left out",
    ];
}

/// Whether a text is only commas, full stops, brackets and the like.
pub(crate) fn is_punctuation(text: &str) -> bool {
    const NOTHING: &str = ",.;:|/\\{}[]()\"'`、。，";
    text.chars().all(|character| character.is_whitespace() || NOTHING.contains(character))
}

/// Whether a line only frames what stands next to it: `---`, `=== END ===`, `'''xml`, `[code]`, `BEGIN PROMPT`.
pub(crate) fn is_frame(line: &str) -> bool {
    const LONGEST: usize = 40;
    const MARKS: &[char] = &['-', '=', '*', '~', '_', '#', '+', '`', '\'', '"', '´', '｀', '<', '>', ':'];
    const WORDS: &[&str] = &[
        "",
        "xml",
        "html",
        "json",
        "text",
        "txt",
        "code",
        "[code]",
        "[/code]",
        "[xml]",
        "[/xml]",
        "code:xml",
        "begin",
        "end",
        "start",
        "prompt",
        "begin prompt",
        "start prompt",
        "end prompt",
        "prompt begin",
        "prompt end",
        "begin xml",
        "end xml",
        "begin_src xml",
        "end_src",
        "\\begin{verbatim",
        "\\end{verbatim",
        "\\begin{lstlisting",
        "\\end{lstlisting",
    ];
    let line = line.trim();
    if line.is_empty() || line.len() > LONGEST {
        return false;
    }
    // A run of one mark at each end.
    let (first, last) = (line.chars().next().unwrap_or_default(), line.chars().next_back().unwrap_or_default());
    let line = if MARKS.contains(&first) { line.trim_start_matches(first) } else { line };
    let line = if MARKS.contains(&last) { line.trim_end_matches(last) } else { line };
    WORDS.contains(&line.trim_matches([' ', '+']).to_lowercase().as_str())
}

/// A sentence between blocks: a caption, or talk of a language model.
pub(crate) fn sentence(span: Range<usize>, text: &str) -> Finding {
    let message =
        format!("`{}` stands outside of all blocks, and may or may not be a part of the prompt", excerpt(text));
    Finding::new(&RULE, span, message)
        .into_error()
        .help("write it inside `<caption>` if the encoders are to read it; else remove it")
}

/// A label between blocks that names no part of a prompt.
pub(crate) fn labelled(span: Range<usize>, label: &str) -> Finding {
    let message = format!("`{}` outside of all blocks is not the label of a part of a prompt", excerpt(label));
    Finding::new(&RULE, span, message).into_error().help(
        "write what follows it into an element if it is wanted, give it as the negative prompt if it is not, or remove it",
    )
}

/// Punctuation between elements.
pub(crate) fn punctuation(span: Range<usize>, text: &str) -> Finding {
    let message = match excerpt(text) {
        blank if blank.is_empty() => {
            "a space that XML does not know stands between elements and is left out".to_owned()
        }
        marks => format!("`{marks}` stands between elements and is left out"),
    };
    Finding::new(&RULE, span.clone(), message).fix("remove it", [remove(span)])
}

/// Text inside a block; it is read as the field `fallback`.
pub(crate) fn in_block(span: Range<usize>, text: &str, fallback: &str, source: &str) -> Finding {
    let message = format!("`{}` stands outside of all fields; it is read as `{fallback}`", excerpt(text));
    let mut edits = surround(span.start, span.end, fallback).to_vec();
    let raw = source.get(span.clone()).unwrap_or_default();
    if raw.contains("]]>") || raw.contains("<!") {
        edits.clear();
    }
    Finding::new(&RULE, span, message).fix(format!("write it inside `<{fallback}>`"), edits)
}

/// Text between blocks; it is read as the field's element.
pub(crate) fn between_blocks(
    field: &Field<'_>,
    has_caption: bool,
    general_end: Option<usize>,
    source: &str,
) -> Finding {
    let (span, name) = (field.span.clone(), field.decl.name);
    let raw = source.get(span.clone()).unwrap_or_default();
    let finding = Finding::new(
        &RULE,
        span.clone(),
        format!("`{}` stands outside of all blocks; it is read as `{name}`", excerpt(raw)),
    );
    let is_caption = field.tags.is_empty();
    match general_end {
        _ if raw.contains(['<', '&']) => finding.help(format!("write it inside `<{name}>`")),
        _ if is_caption && has_caption => finding.help("write it inside the caption"),
        _ if is_caption => finding.fix("write it as the caption", surround(span.start, span.end, name)),
        Some(end) if end <= span.start || end >= span.end => finding.fix(
            format!("write it inside the general tags as `<{name}>`"),
            [insert(end, format!("<{name}>{raw}</{name}>")), remove(span)],
        ),
        _ => finding.fix(
            format!("write it inside `<general_tags>` as `<{name}>`"),
            [
                insert(span.start, format!("<general_tags><{name}>")),
                insert(span.end, format!("</{name}></general_tags>")),
            ],
        ),
    }
}

/// Text after a JSON object.
pub(crate) fn behind_json(span: Range<usize>, text: &str) -> Finding {
    let message = format!("`{}` stands after the JSON object and is left out", excerpt(text));
    let finding = Finding::new(&RULE, span.clone(), message).into_error();
    // Of several prompts only a person knows which one to keep.
    match text.trim_start_matches([',', ';', ' ']).starts_with('{') {
        true => finding.help("leave one object; draw several prompts with one file each"),
        false => finding.fix("remove it, or put it inside", [remove(span)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_recognised() {
        for line in
            ["---", "===", "***", ">", ":::xml", "'''xml", "´´´", "=== END ===", "BEGIN PROMPT", "[code]", "xml"]
        {
            assert!(is_frame(line), "{line}");
        }
        for line in ["", "rain", ">_<", "^_^", "-_-", "=_=", "xml_tag", "end_of_days", "- rain"] {
            assert!(!is_frame(line), "{line}");
        }
    }
}
