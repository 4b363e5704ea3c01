//! `foreign-format`: fields of a prompt in YAML, TOML, a Python dictionary, a table.

use std::ops::Range;

use crate::findings::{Finding, excerpt};
use crate::rule::rule;

rule! {
    /// A text that lists the fields of a prompt in YAML, TOML, CSV, a Python dictionary or a table, a page of HTML, source code, or a
    /// text that holds markup with other brackets than `<` and `>`, is not read: as plain text it would become the
    /// caption, names of fields included. Write the blocks in XML, or send a JSON object with the same members. A single
    /// `style: …` before plain text is a warning.
    "foreign-format", Error;
    bad: "character_1:\n  n: original_character\n  gender: 1girl\ngeneral_tags:\n  count: 1girl\n";
    good: "<character_1>\n<n>original_character</n>\n<gender>1girl</gender>\n</character_1>\n\n<general_tags>\n<count>1girl</count>\n</general_tags>\n";
    messages: [
        Error "this looks like …, which is not read as a prompt",
        Warning "`…` looks like a field of a prompt, but plain text is read as it stands",
    ];
}

/// A format that is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// `character_1:` and lines below
    Yaml,
    /// `[character_1]` and assignments
    Toml,
    /// `{'character_1': …}`
    Dictionary,
    /// A JSON object with other text around it.
    Json,
    /// A JSON array.
    Array,
    /// A Markdown table.
    Table,
    /// `Appearance: …` on lines
    List,
    /// `＜caption＞`, `[caption]…[/caption]`
    OtherBrackets,
    /// `%3Ccaption%3E`
    UrlEncoded,
    /// A line of names with commas or tabs, and lines of values.
    Csv,
    /// A page or a table of HTML.
    Html,
    /// `[('Prompt', '…'), …]`
    Tuples,
    /// `<pic prompt="…">`
    Attribute,
    /// `const prompt = "…";`
    Code,
}

/// The text as a whole.
pub(crate) fn finding(span: Range<usize>, format: Format) -> Finding {
    let looks = match format {
        Format::Yaml => "YAML",
        Format::Toml => "TOML",
        Format::Dictionary => "a Python or JavaScript dictionary",
        Format::Json => "a JSON object with other text around it",
        Format::Array => "a JSON array",
        Format::Table => "a table of fields",
        Format::List => "a list of fields with their values",
        Format::OtherBrackets => "markup with other brackets than `<` and `>`",
        Format::UrlEncoded => "the percent-encoding of addresses",
        Format::Csv => "a table with names in its first line (CSV or TSV)",
        Format::Html => "a page or a table of HTML",
        Format::Tuples => "a list of Python tuples, as logs have it",
        Format::Code => "source code or a command",
        Format::Attribute => "a tag with the prompt in an attribute",
    };
    let help = match format {
        Format::Csv => {
            "give the file to `sakuga generate --batch FILE.csv`, which draws every line, or copy the text of one prompt"
        }
        Format::Html | Format::Tuples | Format::Attribute | Format::Code => {
            "copy the text of the prompt alone, and give the negative prompt as its own text"
        }
        _ => BLOCKS,
    };
    Finding::new(&RULE, span, format!("this looks like {looks}, which is not read as a prompt")).into_error().help(help)
}

/// How fields are written.
const BLOCKS: &str = "write XML blocks, such as `<character_1><gender>1girl</gender></character_1>`, or a JSON object with the members \
     `characters`, `general_tags` and `caption`";

/// The name of a field before plain text, such as `style:`.
pub(crate) fn field_in_plain_text(span: Range<usize>, written: &str) -> Finding {
    let message = format!("`{}` looks like a field of a prompt, but plain text is read as it stands", excerpt(written));
    Finding::new(&RULE, span, message)
        .into_warning()
        .help("write the field in XML, such as `<general_tags><style>…</style></general_tags>`, or leave its name out")
}
