//! The page of a comparison as Markdown, with a contact sheet of each case for each model.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::page::{NOTHING, capitalized, distinct, table};
use super::sheet::Sheet;
use crate::case::Case;
use crate::compare::{Comparison, Part, SYSTEMS, System, Tally, Tries, disagreements};
use crate::error::EvalError;
use crate::record::Record;
use crate::store::Results;

/// The page's file.
pub const COMPARED: &str = "COMPARED.md";

/// Writes the page of a comparison and its contact sheets.
///
/// # Errors
///
/// Those of [`Comparison::read`], [`EvalError::File`] and [`EvalError::Decode`].
pub fn write(comparison: &Comparison, out: &Path) -> Result<(), EvalError> {
    let results = &comparison.read()?;
    let folders = Part::ALL.map(|part| comparison.folder(part));
    fs::create_dir_all(out).map_err(EvalError::file(out))?;
    let write = |name: &str, content: &[u8]| {
        let path = out.join(name);
        fs::write(&path, content).map_err(EvalError::file(&path))
    };
    let mut page = head();
    page.push_str(&facts(results));
    page.push_str(&counts(results));
    page.push_str(&tries(results));
    page.push_str(&pairs(results));
    page.push_str(METHOD);
    let mut sheets = String::new();
    for case in cases(results) {
        for (part, (results, folder)) in Part::ALL.into_iter().zip(results.iter().zip(&folders)) {
            let Some(sheet) = Sheet::draw(case, &results.records, folder)? else { continue };
            let name = format!("{}-{}", part.name(), sheet.file_name());
            write(&name, &sheet.png)?;
            let forms = SYSTEMS.iter().filter(|system| system.part == part && sheet.rows.contains(&system.form));
            let rows: Vec<&str> = forms.map(|system| system.title).collect();
            let title = capitalized(case.title());
            let _ = write!(
                sheets,
                "### {title}: {}\n\nRows from the top: {}.\n\n![{title}]({name})\n\n",
                part.name(),
                rows.join("; ")
            );
        }
    }
    if !sheets.is_empty() {
        page.push_str("\n## Pictures\n\nThe first pictures of each case, not chosen; a column is a scene with its noise. A red frame means that an\nattribute of a character is wrong.\n\n");
        page.push_str(&sheets);
    }
    write(COMPARED, page.trim_end().as_bytes())
}

fn head() -> String {
    "# NewBie by XML and by tags, Stable Diffusion XL by tags\n\n\
     Written by `sakuga-eval compare`. Two models were asked for the same scenes with the same seeds, and the oracle of\n\
     `model/training/figures` read each attribute back from each picture. Shares are in percent with Wilson's 95 % interval in\n\
     brackets.\n\n"
        .to_owned()
}

fn facts(results: &[Results; 2]) -> String {
    let rows = Part::ALL.into_iter().zip(results).map(|(part, Results { info, records })| {
        let of_sessions = |value: fn(&crate::store::Session) -> &str| distinct(info.sessions.iter().map(value));
        let is_whole = info.sessions.last().is_some_and(|session| session.ended.is_some());
        vec![
            part.name().to_owned(),
            format!(
                "`{}`, fingerprint `{}`",
                info.settings.model,
                info.settings.fingerprint.chars().take(12).collect::<String>()
            ),
            of_sessions(|session| &session.device),
            of_sessions(|session| &session.server),
            distinct(records.iter().map(|record| record.sampling.as_str())),
            format!("{} pictures{}", records.len(), if is_whole { "" } else { ", **not ended**" }),
        ]
    });
    let [newbie, _] = results;
    let settings = &newbie.info.settings;
    let tries = settings.images_per_request.max(1);
    let scenes = newbie.info.images_per_case / u64::from(tries);
    let options = match settings.sampling_options.as_str() {
        "" => String::new(),
        options => format!(" {options}"),
    };
    table(&["", "model", "device", "server", "sampling", ""], &rows.collect::<Vec<_>>())
        + &format!(
            "```sh\nsakuga-eval compare --server URL --newbie {} --sd {} --scenes {scenes} --tries {tries} --seed {}{options} --out DIR\n```\n\n",
            settings.model, results[1].info.settings.model, settings.seed
        )
}

/// The cases that were measured, in the order of the page.
fn cases(results: &[Results; 2]) -> Vec<Case> {
    let has = |case: &Case| results.iter().any(|results| results.records.iter().any(|record| record.key.case == *case));
    Case::ALL.iter().copied().filter(has).collect()
}

fn records(results: &[Results; 2], system: System) -> &[Record] {
    match system.part {
        Part::Newbie => &results[0].records,
        Part::Sd => &results[1].records,
    }
}

fn tallies(results: &[Results; 2]) -> Vec<(Case, System, Tally)> {
    let systems = |case| SYSTEMS.map(|system| (case, system, Tally::of(records(results, system), case, system.form)));
    let all = cases(results).into_iter().flat_map(systems);
    all.filter(|(_, _, tally)| tally.faultless.trials > 0).collect()
}

fn counts(results: &[Results; 2]) -> String {
    let rows = tallies(results).into_iter().map(|(case, system, tally)| {
        vec![
            case.title().to_owned(),
            system.title.to_owned(),
            tally.faultless.trials.to_string(),
            tally.hair_right.to_string(),
            tally.hair_swapped.to_string(),
            tally.faultless.to_string(),
        ]
    });
    let head =
        ["case", "asked", "pictures", "all hair colours right", "a hair colour swapped", "pictures without a fault"];
    format!("## Pictures\n\n{}", table(&head, &rows.collect::<Vec<_>>()))
}

fn tries(results: &[Results; 2]) -> String {
    let mean = |tries: &Tries| tries.mean_failures().map_or_else(|| NOTHING.to_owned(), |mean| format!("{mean:.2}"));
    let first =
        |tries: &Tries| format!("{} of {}", tries.failures.get(&0).copied().unwrap_or_default(), tries.scenes());
    let never = |tries: &Tries| format!("{} of {}", tries.never, tries.scenes());
    let rows = tallies(results).into_iter().map(|(case, system, tally)| {
        let Tally { hair_tries, faultless_tries, .. } = &tally;
        vec![
            case.title().to_owned(),
            system.title.to_owned(),
            first(hair_tries),
            mean(hair_tries),
            never(hair_tries),
            first(faultless_tries),
            mean(faultless_tries),
            never(faultless_tries),
        ]
    });
    let head = [
        "case",
        "asked",
        "hair right at once",
        "failures before",
        "never",
        "without a fault at once",
        "failures before",
        "never",
    ];
    format!(
        "## Tries until a picture is right\n\n\
         A scene is drawn with several noises in order. *Failures before* is their mean number before the first right picture, over\n\
         the scenes that have one; *never* counts the scenes that have none.\n\n{}",
        table(&head, &rows.collect::<Vec<_>>())
    )
}

/// Pictures of the same scene and noise that are without a fault in one system alone.
fn pairs(results: &[Results; 2]) -> String {
    let mut rows = Vec::new();
    for case in cases(results) {
        for (place, first) in SYSTEMS.iter().enumerate() {
            for second in &SYSTEMS[place + 1..] {
                let of = |system: &System| -> Vec<&Record> {
                    let all = records(results, *system).iter();
                    all.filter(|record| record.key.case == case && record.key.form == system.form).collect()
                };
                let (one, other) = (of(first), of(second));
                if one.is_empty() || other.is_empty() {
                    continue;
                }
                let [only_first, only_second] = disagreements(&one, &other);
                rows.push(vec![
                    case.title().to_owned(),
                    first.title.to_owned(),
                    second.title.to_owned(),
                    only_first.to_string(),
                    only_second.to_string(),
                ]);
            }
        }
    }
    format!(
        "## The same picture in two systems\n\n\
         Pictures of the same scene and seed that are without a fault in one system and not in the other. Where the two numbers are\n\
         near each other, the systems do not differ.\n\n{}",
        table(&["case", "A", "B", "only A is right", "only B is right"], &rows)
    )
}

const METHOD: &str = "## How it was measured\n\n\
     - Scenes and seeds of a case are the same in each system. Both models draw noise from the seed, but of different shapes.\n\
     - *XML* and *NewBie, tags* are the forms of [RESULTS.md](RESULTS.md). Requests of Stable Diffusion XL travel as XML; the server\n  \
       writes the list of tags that its encoders read, without any structure.\n\
     - *Crossed* characters have no attribute in common. *Near colours* are those of neighbours on the colour wheel, for hair, eyes\n  \
       and clothes. *Rare combinations* are those that training holds out, one for each character.\n\
     - The pictures of one scene share it, so the intervals of the first table are somewhat too narrow.\n";
