//! `negative-split`: a negative prompt inside the text of the prompt.

use std::ops::Range;

use crate::findings::{Finding, excerpt};
use crate::rule::rule;
use crate::tree::Element;

rule! {
    /// The negative prompt is a separate text. Where it stands inside the prompt's text and it is clear what it is
    /// (`<negative_prompt>` or `<danbooru_tags>` next to the blocks, a line `Negative prompt:`, a member of a JSON object),
    /// it is split off and used as the negative prompt; nothing of it becomes a part of the prompt. Where it is not clear
    /// it is an error. A label with a word for a prompt (`Negative prompt:`) is clear wherever it stands. A bare word
    /// (`Negative:`) is clear at the beginning of a line; behind a sentence on the same line only if nothing before it
    /// speaks of writing (a sign, a text, a report) and what follows is no sentence. `A sign. Negative: dogs` and
    /// `A girl. Avoid: dogs` are errors that name both readings; in quotes the words belong to the picture.
    "negative-split", Warning, strict Error;
    bad: "<general_tags>\n<count>no_humans</count>\n</general_tags>\n\n<negative_prompt>\n<danbooru_tags>lowres</danbooru_tags>\n</negative_prompt>\n";
    good: "<general_tags>\n<count>no_humans</count>\n</general_tags>\n";
    messages: [
        Warning "what follows is read as the negative prompt",
        Warning "`<…>` is read as the negative prompt",
        Warning "`<…>` inside `…` is read as the negative prompt of the whole picture, all other characters included",
        Error "`<…>` is a negative prompt inside the text of `<…>`",
        Warning "`<…>` belongs to a negative prompt and is read as one",
        Error "`<…>` belongs to a negative prompt, not inside a block",
        Error "`<…>` may hold what must not be drawn, or parts of the picture",
        Error "`…` may hold what must not be drawn, or parts of the picture",
        Error "`…` may hold what must not be drawn",
        Error "`</…>` ends a negative prompt that never begins: what stands before it may be one",
        Error "`<…>` is never closed: `<…>` may belong to it or to the picture",
        Error "`<…>` stands after the text of the negative prompt, and may belong to it or not",
        Error "there is a negative prompt, but no prompt",
        Error "this may be a negative prompt as a whole: nothing but its `<caption>` would be drawn",
        Error "a second negative prompt",
        Error "there are lines with `+` and with `-`: it is not clear whether the latter are wanted",
        Error "the text of a negative prompt holds a prompt as well",
        Error "`…` stands inside a field, so what follows would be drawn",
        Error "`…` may begin the negative prompt, or be words of the picture",
        Error "`…` stands after the negative prompt, and may belong to it or not",
        Error "`…` divides the text in two, and what follows may be the negative prompt",
    ];
}

const HELP: &str = "move it to its own file (`sakuga generate --negative FILE`), or to `negative` of the request";

/// A negative prompt after its label.
pub(crate) fn labelled(label: Range<usize>, content: Range<usize>) -> Finding {
    let span = if label.is_empty() { content } else { label };
    Finding::new(&RULE, span, "what follows is read as the negative prompt").help(HELP)
}

/// An element that is a negative prompt.
pub(crate) fn element(element: &Element<'_>) -> Finding {
    let message = format!("`<{}>` is read as the negative prompt", excerpt(element.name));
    Finding::new(&RULE, element.open.clone(), message).help(HELP)
}

/// An element inside a character that is a negative prompt: there is one negative prompt for the whole picture.
pub(crate) fn of_character(element: &Element<'_>, path: &str) -> Finding {
    let message = format!(
        "`<{}>` inside `{}` is read as the negative prompt of the whole picture, all other characters included",
        excerpt(element.name),
        excerpt(path)
    );
    Finding::new(&RULE, element.open.clone(), message).help(HELP)
}

/// An element inside text that is a negative prompt.
pub(crate) fn in_text(element: &Element<'_>, field: &str) -> Finding {
    let message =
        format!("`<{}>` is a negative prompt inside the text of `<{}>`", excerpt(element.name), excerpt(field));
    Finding::new(&RULE, element.open.clone(), message).into_error().help(HELP)
}

/// An element of the negative grammar next to the blocks.
pub(crate) fn part(element: &Element<'_>) -> Finding {
    let message = format!("`<{}>` belongs to a negative prompt and is read as one", excerpt(element.name));
    Finding::new(&RULE, element.open.clone(), message).help(HELP)
}

/// An element of the negative grammar inside a block.
pub(crate) fn part_in_block(element: &Element<'_>) -> Finding {
    let name = excerpt(element.name);
    Finding::new(&RULE, element.open.clone(), format!("`<{name}>` belongs to a negative prompt, not inside a block"))
        .into_error()
        .help("if its tags are wanted, write them into a field of the block; if not, move it to the negative prompt")
}

/// An element whose name may say that what it holds is not wanted: `<not>`, `<danbooru>`.
pub(crate) fn perhaps_element(element: &Element<'_>) -> Finding {
    let name = excerpt(element.name);
    Finding::new(&RULE, element.open.clone(), format!("`<{name}>` may hold what must not be drawn, or parts of the picture"))
        .into_error()
        .guarded()
        .help("if its tags are wanted, write them into a field of a block; if not, into `<negative_prompt>` next to the blocks")
}

/// A member of a JSON object whose name may say that what it holds is not wanted: `blacklist`.
pub(crate) fn perhaps_member(span: Range<usize>, path: &str) -> Finding {
    Finding::new(&RULE, span, format!("`{}` may hold what must not be drawn, or parts of the picture", excerpt(path)))
        .into_error()
        .guarded()
        .help("if it must not be drawn, name it `negative_prompt`; if it is wanted, write it into `general_tags`")
}

/// An element of HTML with an attribute that says that its content is not wanted: `<span class="negative">`.
pub(crate) fn html_attribute(span: Range<usize>, written: &str) -> Finding {
    Finding::new(&RULE, span, format!("`{}` may hold what must not be drawn", excerpt(written)))
        .into_error()
        .guarded()
        .help("remove the tags if their content is wanted; if not, move it to `<negative_prompt>` next to the blocks")
}

/// The end of a negative prompt that never begins.
pub(crate) fn without_begin(tag: Range<usize>, word: &str) -> Finding {
    let message =
        format!("`</{}>` ends a negative prompt that never begins: what stands before it may be one", excerpt(word));
    Finding::new(&RULE, tag, message)
        .into_error()
        .guarded()
        .help("write the start tag where the negative prompt begins, or remove the end tag if the text has no negative prompt")
}

/// An element that belongs to both grammars, inside a negative prompt that is never closed.
pub(crate) fn perhaps_ended(tag: Range<usize>, name: &str, negative: &str) -> Finding {
    let (name, negative) = (excerpt(name), excerpt(negative));
    let message = format!("`<{negative}>` is never closed: `<{name}>` may belong to it or to the picture");
    Finding::new(&RULE, tag, message)
        .into_error()
        .guarded()
        .help(format!("write `</{negative}>` where the negative prompt ends"))
}

/// An element after the text of a negative prompt.
pub(crate) fn element_behind(tag: Range<usize>, name: &str) -> Finding {
    let name = excerpt(name);
    Finding::new(&RULE, tag, format!("`<{name}>` stands after the text of the negative prompt, and may belong to it or not"))
        .into_error()
        .help("write the negative prompt behind all elements if they describe the picture, or into `<negative_prompt>` with them")
}

/// A text of nothing but a negative prompt.
pub(crate) fn alone(span: Range<usize>) -> Finding {
    Finding::new(&RULE, span, "there is a negative prompt, but no prompt")
        .into_error()
        .help("give a negative prompt by `--negative FILE` or in `negative` of the request, and write what to draw")
}

/// Elements of the negative grammar and a caption, which belongs to both grammars.
pub(crate) fn perhaps_whole(span: Range<usize>) -> Finding {
    Finding::new(&RULE, span, "this may be a negative prompt as a whole: nothing but its `<caption>` would be drawn")
        .into_error()
        .help(
            "give a negative prompt by `--negative FILE` or in `negative` of the request; if the caption is to be drawn, put \
             the other elements into `<negative_prompt>`",
        )
}

/// A second negative prompt.
pub(crate) fn several(span: Range<usize>) -> Finding {
    Finding::new(&RULE, span, "a second negative prompt").into_error().help("make them one")
}

/// Lines with `+` and lines with `-`.
pub(crate) fn signed(span: Range<usize>) -> Finding {
    Finding::new(&RULE, span, "there are lines with `+` and with `-`: it is not clear whether the latter are wanted")
        .into_error()
        .help("write the wanted without marks, and give the rest as the negative prompt")
}

/// A prompt inside the text of a negative prompt.
pub(crate) fn prompt_in_negative(span: Range<usize>) -> Finding {
    Finding::new(&RULE, span, "the text of a negative prompt holds a prompt as well")
        .into_error()
        .help("give the whole text as the prompt, whose negative part is split off, or leave only the negative part")
}

/// A tag or a sentence that begins with the label of a negative prompt.
pub(crate) fn label_in_text(span: Range<usize>, label: &str) -> Finding {
    let message = format!("`{}` stands inside a field, so what follows would be drawn", excerpt(label));
    Finding::new(&RULE, span, message).into_error().help(HELP)
}

/// Words that may begin the negative prompt or be words of the picture.
pub(crate) fn perhaps(span: Range<usize>, label: &str) -> Finding {
    let label = excerpt(label.trim_end());
    Finding::new(&RULE, span, format!("`{label}` may begin the negative prompt, or be words of the picture"))
        .into_error()
        .guarded()
        .help(
            "if what follows must not be drawn, give it as the negative prompt, or put `Negative prompt:` and it on a line of \
             its own; if these are words of the picture, put them in quotes",
        )
}

/// A part with another label after the negative prompt.
pub(crate) fn another_part(span: Range<usize>, label: &str) -> Finding {
    let label = excerpt(label.trim_end());
    Finding::new(&RULE, span, format!("`{label}` stands after the negative prompt, and may belong to it or not"))
        .into_error()
        .help("remove its line, or write it in front of the negative prompt if it describes the picture")
}

/// A line that divides a text without labels.
pub(crate) fn divided(span: Range<usize>, rule: &str) -> Finding {
    let message = format!("`{}` divides the text in two, and what follows may be the negative prompt", excerpt(rule));
    Finding::new(&RULE, span, message).into_error().help(
        "if what follows must not be drawn, write `Negative prompt:` instead of the line; if it is a part of the prompt, \
         remove the line",
    )
}
