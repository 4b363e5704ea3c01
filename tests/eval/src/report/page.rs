//! The page as Markdown.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sakuga_figures::attributes::Attribute;

use crate::case::{Case, EIGHT};
use crate::form::Form;
use crate::record::{Key, Record};
use crate::report::{CHART, Sheet, goals};
use crate::score::{Score, Scores, Share};
use crate::store::{Results, RunInfo, Session};

/// The text of a cell without a value.
pub(super) const NOTHING: &str = "–";

/// The report as one HTML page.
pub(super) fn write(results: &Results, scores: &Scores, sheets: &[Sheet]) -> String {
    let mut page = String::new();
    page.push_str(
        "# Does each attribute stay with its character?\n\n\
         Written by `sakuga-eval report`. A server was asked for pictures of characters whose attributes are known, and\n\
         the oracle of `model/training/figures` read each attribute back from each picture. Shares are in percent with Wilson's\n\
         95 % interval in brackets.\n\n",
    );
    page.push_str(&facts(results));
    page.push_str(&goal_table(scores));
    page.push_str(&overview(results, scores));
    page.push_str(&attribute_tables(scores));
    page.push_str(&swap_tables(scores));
    page.push_str(&shuffle_note(&results.records));
    page.push_str(&sheet_list(sheets));
    page.push_str(&method(&results.info));
    page
}

/// A Markdown table.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut text = String::from("|");
        cells.for_each(|cell| text.push_str(&format!(" {cell} |")));
        text + "\n"
    };
    let mut text = line(&mut head.iter().copied());
    text.push_str(&line(&mut head.iter().map(|_| "---")));
    rows.iter().for_each(|row| text.push_str(&line(&mut row.iter().map(String::as_str))));
    text + "\n"
}

/// Different values, in order of appearance, joined by semicolons.
pub(super) fn distinct<'a>(values: impl Iterator<Item = &'a str>) -> String {
    let mut seen: Vec<&str> = Vec::new();
    for value in values.filter(|value| !value.is_empty()) {
        if !seen.contains(&value) {
            seen.push(value);
        }
    }
    if seen.is_empty() { NOTHING.to_owned() } else { seen.join("; ") }
}

fn facts(results: &Results) -> String {
    let RunInfo { settings, images_per_case, sessions } = &results.info;
    let of_sessions = |value: fn(&Session) -> &str| distinct(sessions.iter().map(value));
    let began = sessions.first().map_or(NOTHING, |session| session.began.as_str());
    let ended = match sessions.last().and_then(|session| session.ended.as_deref()) {
        Some(ended) => format!("to {ended}"),
        None => "and not ended: **what follows is of a part only**".to_owned(),
    };
    let sampling = distinct(results.records.iter().map(|record| record.sampling.as_str()));
    let mut rows = vec![
        ("Model", format!("`{}`, fingerprint `{}`", settings.model, settings.fingerprint)),
        ("Device", of_sessions(|session| &session.device)),
        ("Precision", of_sessions(|session| &session.precision)),
        ("Server", of_sessions(|session| &session.server)),
        ("Sampling", sampling),
        ("When", format!("{began} {ended}, in {} session{}", sessions.len(), plural(sessions.len()))),
        ("Seed", settings.seed.to_string()),
    ];
    if !settings.notice.is_empty() {
        rows.insert(1, ("What the server says of it", settings.notice.clone()));
    }
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    let mut cases: Vec<&str> = results.records.iter().map(|record| record.key.case.name()).collect();
    cases.dedup();
    let cases = if cases.len() == Case::ALL.len() { String::new() } else { format!(" --cases {}", cases.join(",")) };
    let batch = match settings.images_per_request {
        1 => String::new(),
        images => format!(" --batch {images}"),
    };
    let sampling = match settings.sampling_options.as_str() {
        "" => String::new(),
        options => format!(" {options}"),
    };
    let command = format!(
        "sakuga-eval run --server URL --out DIR --images-per-case {images_per_case} --seed {}{cases}{batch}{sampling}",
        settings.seed
    );
    table(&["", ""], &rows)
        + &format!(
            "```sh\ncargo build --release -p sakuga-eval\n{command}\nsakuga-eval report --in DIR --out tests/eval/results\n```\n\n"
        )
}

pub(super) fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn goal_table(scores: &Scores) -> String {
    let rows: Vec<Vec<String>> = goals(scores)
        .into_iter()
        .map(|goal| {
            vec![
                goal.what.to_owned(),
                goal.bound,
                goal.measured.map_or(NOTHING.to_owned(), |share| share.to_string()),
                goal.verdict.as_str().to_owned(),
                goal.with_tags.map_or(NOTHING.to_owned(), |share| share.to_string()),
            ]
        })
        .collect();
    let head = ["of the eight attributes", "goal", "XML", "", "plain tags, for comparison"];
    format!("## Goals\n\n{}", table(&head, &rows))
}

fn overview(results: &Results, scores: &Scores) -> String {
    let mut rows = Vec::new();
    let mut is_partial = false;
    for case in scores.cases() {
        for &form in Form::ALL {
            let Some(score) = scores.get(case, form) else { continue };
            let pictures = score.faultless.trials;
            let is_short = form != Form::Drawn && pictures < results.info.images_per_case;
            is_partial |= is_short;
            rows.push(vec![
                case.title().to_owned(),
                form.title().to_owned(),
                format!("{pictures}{}", if is_short { " ⚠" } else { "" }),
                score.over(EIGHT).right.to_string(),
                score.over(EIGHT).swapped.to_string(),
                score.over(Attribute::OF_FIGURE).right.to_string(),
                score.over(Attribute::OF_FIGURE).swapped.to_string(),
                score.faultless.to_string(),
            ]);
        }
    }
    let head = [
        "case",
        "form",
        "pictures",
        "eight: right",
        "eight: swapped",
        "all eleven: right",
        "all eleven: swapped",
        "pictures without a fault",
    ];
    let eight = EIGHT.iter().map(|attribute| attribute.name()).collect::<Vec<_>>().join(", ");
    let mut text = format!(
        "## Right and swapped\n\n\
         The eight are {eight}; the eleven are these with gender, skin and action. *As drawn* is no model: the figure\n\
         generator drew the same scenes, and what is read wrong there is **the oracle's own error**. *Swapped* counts, of\n\
         the attributes that another character of the picture was asked to have differently, those that came out as the\n\
         other's. A picture is *without a fault* if all eleven of every character are right.\n\n\
         ![Right and swapped by case and form]({CHART})\n\n{}",
        table(&head, &rows)
    );
    if is_partial {
        let wanted = results.info.images_per_case;
        let _ = write!(text, "⚠ Fewer than the {wanted} pictures that were asked for: the run has not ended.\n\n");
    }
    text
}

/// The forms that a case was measured in.
fn forms(scores: &Scores, case: Case) -> Vec<(Form, &Score)> {
    Form::ALL.iter().filter_map(|&form| Some((form, scores.get(case, form)?))).collect()
}

/// One table: a row an attribute, a column a form.
fn by_attribute(
    scores: &Scores,
    case: Case,
    attributes: &[&[Attribute]],
    share: impl Fn(&Score, Attribute) -> Share,
) -> String {
    let forms = forms(scores, case);
    let head: Vec<&str> = std::iter::once("").chain(forms.iter().map(|(form, _)| form.title())).collect();
    let row = |&attribute: &Attribute| -> Vec<String> {
        let cells = forms.iter().map(|(_, score)| share(score, attribute).to_string());
        std::iter::once(attribute.name().to_owned()).chain(cells).collect()
    };
    table(&head, &attributes.iter().copied().flatten().map(row).collect::<Vec<_>>())
}

fn attribute_tables(scores: &Scores) -> String {
    let mut text = "## Right, by attribute\n\n".to_owned();
    for case in scores.cases() {
        let attributes = [Attribute::OF_FIGURE, Attribute::OF_SCENE];
        let table = by_attribute(scores, case, &attributes, |score, attribute| score.of(attribute).right);
        let _ = write!(text, "### {}\n\n{table}", capitalized(case.title()));
    }
    text
}

fn swap_tables(scores: &Scores) -> String {
    let cases: Vec<Case> = scores.cases().filter(|case| case.characters() > 1).collect();
    if cases.is_empty() {
        return String::new();
    }
    let mut text = "## Swapped, by attribute\n\n\
         A wrong reading can be the other's by chance: one in eleven with twelve hair colours, one in two with three skins.\n\n"
        .to_owned();
    for case in cases {
        let table = by_attribute(scores, case, &[Attribute::OF_FIGURE], |score, attribute| score.of(attribute).swapped);
        let _ = write!(text, "### {}: swapped\n\n{table}", capitalized(case.title()));
    }
    text
}

pub(super) fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

/// How many pictures of shuffled XML are those of XML, byte for byte.
fn shuffle_note(records: &[Record]) -> String {
    let pixels: BTreeMap<Key, &str> =
        records.iter().map(|record| (record.key, record.pixels_sha256.as_str())).collect();
    let mut same = Share::default();
    for (&key, &mine) in pixels.iter().filter(|(key, _)| key.form == Form::Shuffled) {
        if let Some(&other) = pixels.get(&Key { form: Form::Xml, ..key }) {
            same.trials += 1;
            same.hits += u64::from(mine == other);
        }
    }
    if same.trials == 0 {
        return String::new();
    }
    let Share { hits, trials } = same;
    let why = if hits == trials {
        "The server reads a prompt into its canonical order before the\nmodel sees it, so the order in which somebody \
         writes the children does not matter."
    } else {
        "Where they differ, the order in which the children were written did\nmatter."
    };
    format!(
        "## Shuffled children\n\n{hits} of {trials} pictures of shuffled XML are, pixel by pixel, those of XML. {why}\n\n"
    )
}

fn sheet_list(sheets: &[Sheet]) -> String {
    if sheets.is_empty() {
        return String::new();
    }
    let mut text = "## Pictures\n\n\
         The first pictures of each case, not chosen; a column is a scene with its noise. A red frame means that an\n\
         attribute of a character is wrong; under the picture, at the character's side, stands a red square for each\n\
         wrong attribute and a violet one if it is swapped.\n\n"
        .to_owned();
    for sheet in sheets {
        let title = capitalized(sheet.case.title());
        let rows = sheet.rows.iter().map(|form| form.title()).collect::<Vec<_>>().join("; ");
        let _ = write!(
            text,
            "### {title}: pictures\n\nRows from the top: {rows}.\n\n![{title}]({})\n\n",
            sheet.file_name()
        );
        sheet.wrong.iter().for_each(|line| {
            let _ = writeln!(text, "- {line}");
        });
        text.push_str(if sheet.wrong.is_empty() { "Nothing is wrong in these.\n\n" } else { "\n" });
    }
    text
}

fn method(info: &RunInfo) -> String {
    let batch = match info.settings.images_per_request {
        1 => "Every picture has its own scene.".to_owned(),
        images => format!(
            "Each scene has {images} pictures with different noise, so the pictures are not independent and the intervals\n\
             are too narrow."
        ),
    };
    format!(
        "## How it was measured\n\n\
         - The scenes of a case and the noise of their pictures follow from the seed and are the same in every form.\n  \
           {batch}\n\
         - *One character* has all eight attributes and none of the combinations that training holds out.\n\
         - *Crossed* characters have no attribute in common, so that each swap is visible; eyes are open and everybody has\n  \
           an accessory. Gender has two values only: every other scene has one boy, the rest have girls alone, so that\n  \
           characters who share it are measured as well.\n\
         - *Unseen* characters each have a combination of hair colour and style, hair and eye colour, or clothes and their\n  \
           colour that training never draws (`model/training/figures/src/heldout.rs`); everything else is as training draws it. The\n  \
           goal takes one and two characters together.\n\
         - *XML* is the canonical prompt, *XML, shuffled* the same with the children of each character and of the general\n  \
           tags in a random order, *plain tags* the same tags in one line. All travel as text through\n  \
           `sakuga.generation.v1.GenerationService`, without previews. The server writes XML in its canonical\n  \
           order before the encoders read it, so that *shuffled* must give the very pictures of *XML*: it measures the service,\n  \
           not the model.\n\
         - The colour of eyes is not asked for where they are to be shut; where they are shut and should not be, it counts as\n  \
           wrong. The attributes of one picture are counted\n  \
           as independent, which they are not quite: the true intervals are somewhat wider.\n"
    )
}
