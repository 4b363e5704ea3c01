//! `foreign-syntax`: what other programs do with a prompt before it is read.

use crate::findings::{Finding, excerpt};
use crate::patterns::Instruction;
use crate::rule::rule;

rule! {
    /// Other programs read `<lora:x:0.8>`, `embedding:x`, `__wildcard__`, `{a|b}`, `[a:b:0.5]`, `BREAK` and `AND` as
    /// instructions, `--ar 3:2` as a parameter, `steps: 30` as a setting and `cat:: dog` as two parts. Nothing here does: the encoders read every
    /// character of them. Each finding says what to do instead.
    "foreign-syntax", Warning;
    bad: "<character_1>\n<n></n>\n<gender>1girl</gender>\n<appearance>{long|short}_hair, __eyes__</appearance>\n</character_1>\n";
    good: "<character_1>\n<n></n>\n<gender>1girl</gender>\n<appearance>short_hair, blue_eyes</appearance>\n</character_1>\n";
    messages: [
        Warning "`…` is read literally: adapters are a field of the request (`sakuga generate --adapter NAME:SCALE`), not of the prompt",
        Warning "`…` is read literally: hypernetworks are not supported",
        Warning "`…` is read literally: a comment is written `<!-- -->`, between elements",
        Warning "`…` is read literally: textual inversions are not supported",
        Warning "`…` is read literally: nothing is chosen or expanded here",
        Warning "`…` is read literally: a prompt holds for every step",
        Warning "`…` is read literally: a prompt is not split into parts",
        Warning "`…` is read literally: texts are not blended or swapped here",
        Warning "`…` is read literally: nothing here follows such a tag",
        Warning "`…` is read literally: settings are not a part of the prompt",
        Warning "`…` is read literally: an address is not opened",
    ];
}

/// An instruction that nothing here follows.
pub(crate) fn finding(span: std::ops::Range<usize>, written: &str, instruction: Instruction) -> Finding {
    let written = excerpt(written);
    let (what, help) = match instruction {
        Instruction::Adapter => (
            "adapters are a field of the request (`sakuga generate --adapter NAME:SCALE`), not of the prompt",
            "remove it",
        ),
        Instruction::Hypernetwork => ("hypernetworks are not supported", "remove it, and describe what it stands for"),
        Instruction::Comment => ("a comment is written `<!-- -->`, between elements", "remove it"),
        Instruction::Embedding => {
            ("textual inversions are not supported", "remove it, and describe what it stands for")
        }
        Instruction::Wildcard => (
            "nothing is chosen or expanded here",
            "choose before the prompt is sent, as `sakuga generate --expand` does",
        ),
        Instruction::Schedule => ("a prompt holds for every step", "write one of the two, or both"),
        Instruction::Keyword => {
            ("a prompt is not split into parts", "remove it; characters are kept apart by their blocks")
        }
        Instruction::Function => ("texts are not blended or swapped here", "write one of the texts, or what both show"),
        Instruction::Tag => ("nothing here follows such a tag", "remove it"),
        Instruction::Parameter | Instruction::Setting => {
            ("settings are not a part of the prompt", parameter_help(&written))
        }
        Instruction::Address => (
            "an address is not opened",
            "remove it, and describe what it shows; a picture to start from is given by `--init FILE`",
        ),
    };
    Finding::new(&RULE, span, format!("`{written}` is read literally: {what}")).help(help)
}

/// What to do instead of a parameter such as `--ar 3:2`.
fn parameter_help(written: &str) -> &'static str {
    let written = written.trim_start_matches(['-', '—', '–', '*']).to_lowercase();
    let name = written.split([' ', ':', '：', '=', '_']).next().unwrap_or_default();
    match name {
        "ar" | "aspect" | "w" | "width" | "h" | "height" | "size" | "resolution" | "ratio" => {
            "remove it, and give the size as an option (`--size WIDTHxHEIGHT`)"
        }
        "seed" => "remove it, and give the seed as an option (`--seed`)",
        "steps" | "cfg" | "cfgscale" | "scale" | "guidance" => {
            "remove it, and give it as an option (`--steps`, `--guidance`)"
        }
        "sampler" | "sampling" | "scheduler" | "schedule" => {
            "remove it, and give it as an option (`--solver`, `--schedule`)"
        }
        "iw" | "sref" | "cref" | "oref" => "remove it; a picture to start from is given by `--init FILE`",
        "repeat" | "r" => "remove it, and give the number of pictures as an option (`--images`)",
        _ => "remove it; settings are options such as `--size` or `--seed`, and the rest is not known here",
    }
}
