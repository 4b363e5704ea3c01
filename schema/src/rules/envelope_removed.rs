//! `envelope-removed`: what other tools put around the blocks.

use std::ops::Range;

use super::renamed_element::rename;
use crate::diagnostic::Edit;
use crate::findings::{Finding, excerpt, remove, replace};
use crate::rule::rule;
use crate::source::Change;
use crate::tree::Element;

rule! {
    /// Prompts come in many wrappers: `<img>`, `<image>` or `<document>` around the blocks, braces, a JSON object with
    /// the XML in `tags` or the fields as members, a sentence after `caption:`, the answer of a language model with its
    /// thoughts, talk and code fence, settings of another program. The blocks are taken out, and the canonical form has
    /// none of the wrapper. Numbers in a JSON object, such as a bounding box, are left out with a warning; a member that
    /// says something about the picture and is not read is an error, and so is a text in which it is not clear what is
    /// the prompt.
    "envelope-removed", Advice, strict Error;
    bad: "<img>\n<caption>A girl laughs.</caption>\n</img>\n";
    good: "<caption>A girl laughs.</caption>\n";
    messages: [
        Advice "the blocks are taken out of `<…>`",
        Warning "the blocks are taken out of `<…>`",
        Advice "the brace around the blocks is removed",
        Warning "the text of `<…>` is taken as the caption",
        Warning "the prefix `…` before the names of elements is left out",
        Warning "the tags around the text are removed",
        Advice "the quotes around the text are removed",
        Warning "the marks `>` before the lines are left out",
        Warning "the thoughts of a language model `…` are left out",
        Error "the thoughts that begin here have no end, so it is not clear where the prompt begins",
        Warning "the mark `…` of a language model is left out",
        Warning "`…` is not a part of the prompt and is left out",
        Advice "the label `…` is left out",
        Advice "the prompt is taken out of the code fence",
        Error "the code fence holds a negative prompt, and there is none with the prompt",
        Error "… code fences: it is not clear which one is the prompt",
        Error "there is markup both inside and outside of the code fence",
        Warning "the settings `…` are not a part of the prompt and are left out",
        Error "`…` may begin a remark, or be words of the picture",
        Error "a second prompt in the same text",
        Advice "the sentence after `…` is taken as the caption",
        Advice "the blocks are taken out of a JSON object",
        Warning "this is not quite JSON: it has comments, commas before a bracket, or names and quotes as other languages write them; it is read as JSON",
        Error "`…` cannot be read",
        Warning "`…` has no place in a prompt and is left out",
        Error "the JSON object holds no prompt: neither `tags`, `characters`, `general_tags` nor `caption`",
    ];
}

/// An element around the blocks.
pub(crate) fn element(element: &Element<'_>) -> Finding {
    let mut edits = vec![remove(element.open.clone())];
    edits.extend(element.close.as_ref().map(|close| remove(close.tag.clone())));
    Finding::new(&RULE, element.open.clone(), format!("the blocks are taken out of `<{}>`", excerpt(element.name)))
        .fix("remove its tags", edits)
}

/// A brace around the blocks.
pub(crate) fn brace(span: Range<usize>) -> Finding {
    Finding::new(&RULE, span.clone(), "the brace around the blocks is removed").fix("remove it", [remove(span)])
}

/// An element of an unknown name around the blocks.
pub(crate) fn unknown_element(element: &Element<'_>) -> Finding {
    self::element(element).into_warning()
}

/// An element whose name says that it holds the prompt in words.
pub(crate) fn words(element: &Element<'_>) -> Finding {
    let message = format!("the text of `<{}>` is taken as the caption", excerpt(element.name));
    Finding::new(&RULE, element.open.clone(), message)
        .into_warning()
        .fix("write `<caption>`", rename(element, "caption"))
}

/// Prefixes of a namespace before the names of elements; `prefix` is the first, with its colon.
pub(crate) fn prefixes(prefix: &str, spans: &[Range<usize>]) -> Finding {
    let first = spans.first().cloned().unwrap_or_default();
    let message = format!("the prefix `{}` before the names of elements is left out", excerpt(prefix));
    Finding::new(&RULE, first, message)
        .into_warning()
        .fix("remove it", spans.iter().cloned().map(remove).collect::<Vec<_>>())
}

/// The tags of an unknown element around the whole text.
pub(crate) fn root(open: Range<usize>, close: Range<usize>) -> Finding {
    Finding::new(&RULE, open.clone(), "the tags around the text are removed")
        .into_warning()
        .fix("remove them", [remove(open), remove(close)])
}

/// Quotes around the text.
pub(crate) fn quotes(open: Range<usize>, close: Range<usize>) -> Finding {
    Finding::new(&RULE, open.clone(), "the quotes around the text are removed")
        .fix("remove them", [remove(open), remove(close)])
}

/// The marks of a quotation before every line.
pub(crate) fn quote_marks(spans: &[Range<usize>]) -> Finding {
    let first = spans.first().cloned().unwrap_or_default();
    Finding::new(&RULE, first, "the marks `>` before the lines are left out")
        .into_warning()
        .fix("remove them", spans.iter().cloned().map(remove).collect::<Vec<_>>())
}

/// Thoughts of a language model.
pub(crate) fn thoughts(span: Range<usize>, text: &str) -> Finding {
    let message = format!("the thoughts of a language model `{}` are left out", excerpt(text));
    Finding::new(&RULE, span.clone(), message).into_warning().fix("remove them", [remove(span)])
}

/// Thoughts without an end.
pub(crate) fn endless_thoughts(open: Range<usize>) -> Finding {
    Finding::new(&RULE, open, "the thoughts that begin here have no end, so it is not clear where the prompt begins")
        .into_error()
        .help("remove the thoughts of the language model")
}

/// A mark between the messages of a language model.
pub(crate) fn special_token(span: Range<usize>, text: &str) -> Finding {
    let message = format!("the mark `{}` of a language model is left out", excerpt(text));
    Finding::new(&RULE, span.clone(), message).into_warning().fix("remove it", [remove(span)])
}

/// Talk around the prompt.
pub(crate) fn talk(span: Range<usize>, text: &str) -> Finding {
    let message = format!("`{}` is not a part of the prompt and is left out", excerpt(text));
    Finding::new(&RULE, span.clone(), message).into_warning().fix("remove it", [remove(span)])
}

/// A label before the prompt.
pub(crate) fn label(span: Range<usize>, text: &str) -> Finding {
    Finding::new(&RULE, span.clone(), format!("the label `{}` is left out", excerpt(text)))
        .fix("remove it", [remove(span)])
}

/// A code fence around the prompt.
pub(crate) fn fence(open: Range<usize>, close: Range<usize>) -> Finding {
    Finding::new(&RULE, open.clone(), "the prompt is taken out of the code fence")
        .fix("remove the fence", [remove(open), remove(close)])
}

/// Several code fences, or none that can be the prompt.
pub(crate) fn several_fences(span: Range<usize>, count: usize) -> Finding {
    let message = match count {
        0 => "the code fence holds a negative prompt, and there is none with the prompt".to_owned(),
        _ => format!("{count} code fences: it is not clear which one is the prompt"),
    };
    Finding::new(&RULE, span, message)
        .into_error()
        .help("leave only the prompt, and give the negative prompt separately")
}

/// Blocks outside of the code fence.
pub(crate) fn outside_fence(span: Range<usize>) -> Finding {
    Finding::new(&RULE, span, "there is markup both inside and outside of the code fence")
        .into_error()
        .help("leave only the prompt")
}

/// Settings of another program.
pub(crate) fn settings(span: Range<usize>, text: &str) -> Finding {
    let message = format!("the settings `{}` are not a part of the prompt and are left out", excerpt(text));
    Finding::new(&RULE, span.clone(), message).into_warning().fix(
        "remove them; steps, seed, size and guidance are options of their own (`--steps`, `--seed`, `--size`, `--guidance`)",
        [remove(span)],
    )
}

/// A line of plain text that may be a remark.
pub(crate) fn remark(span: Range<usize>, label: &str) -> Finding {
    let message = format!("`{}` may begin a remark, or be words of the picture", excerpt(label));
    Finding::new(&RULE, span, message)
        .into_error()
        .help("remove the remark, or write `Prompt:` in front of what is to be drawn and the remark behind it")
}

/// Finding: the text has more than one prompt; `span` is the second one.
pub(crate) fn several_prompts(span: Range<usize>) -> Finding {
    Finding::new(&RULE, span, "a second prompt in the same text").into_error().help("leave one of them")
}

/// A sentence after `caption:`; `sentence` is escaped already.
pub(crate) fn trailing_caption(span: Range<usize>, label: &str, sentence: &str) -> Finding {
    let message = format!("the sentence after `{}` is taken as the caption", excerpt(label));
    let element = format!("<caption>{sentence}</caption>");
    Finding::new(&RULE, span.clone(), message).fix("write it as `<caption>`", [replace(span, element)])
}

/// A JSON object; `canonical` is the prompt without it.
pub(crate) fn json(span: Range<usize>, whole: Range<usize>, canonical: Option<String>) -> Finding {
    let finding = Finding::new(&RULE, span, "the blocks are taken out of a JSON object");
    match canonical {
        Some(canonical) => finding.fix("send the blocks alone", [replace(whole, canonical)]),
        None => finding.help("send the blocks alone"),
    }
}

/// An object in the notation of JavaScript or Python; `changes` make JSON of it.
pub(crate) fn relaxed_json(changes: &[Change]) -> Finding {
    let first = changes.first().map(|(span, _)| span.clone()).unwrap_or_default();
    let edits: Vec<Edit> =
        changes.iter().map(|(span, replacement)| replace(span.clone(), replacement.as_ref())).collect();
    Finding::new(
        &RULE,
        first,
        "this is not quite JSON: it has comments, commas before a bracket, or names and quotes as other languages write \
         them; it is read as JSON",
    )
    .into_warning()
    .fix("write JSON", edits)
}

/// A member of the JSON object that is not read; `is_lost` if it says something about the picture.
pub(crate) fn json_member(span: Range<usize>, path: &str, is_lost: bool) -> Finding {
    let path = excerpt(path);
    match is_lost {
        true => Finding::new(&RULE, span, format!("`{path}` cannot be read"))
            .into_error()
            .help("write what it says as text in a field of `characters` or `general_tags`, or remove it"),
        false => Finding::new(&RULE, span, format!("`{path}` has no place in a prompt and is left out")).into_warning(),
    }
}

/// A JSON object without anything to read.
pub(crate) fn json_without_tags(span: Range<usize>) -> Finding {
    Finding::new(
        &RULE,
        span,
        "the JSON object holds no prompt: neither `tags`, `characters`, `general_tags` nor `caption`",
    )
    .into_error()
    .help("put the XML into a text member `tags`, or send it without the JSON")
}
