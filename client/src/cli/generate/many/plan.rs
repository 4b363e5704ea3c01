//! [`plan`]: the requests of a command that draws several jobs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sakuga_client::proto::generation::v1::GenerateRequest;
use sakuga_client::proto::generation::v1::generate_request::Prompt;
use sakuga_client::proto::text::one_line;

use super::super::arguments::GenerateArguments;
use super::super::compose::{self, Base};
use super::super::expansion::Expander;
use super::super::inherited;
use super::super::results;
use super::super::shown::Shown;
use super::super::texts::Texts;
use super::matrix::Matrix;
use super::rows::Row;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::input::Input;
use crate::cli::output::picture_file;
use crate::cli::terminal::Terminal;

/// A job that is to be drawn.
pub(crate) struct Planned {
    /// The name of its pictures, without ending.
    pub name: String,
    /// The request, or why it cannot be made.
    pub request: Result<GenerateRequest, Failure>,
}

/// The file of one picture of the job called `name`, which has `pictures` pictures.
pub(crate) fn file(name: &str, pictures: usize, image_index: u32) -> PathBuf {
    picture_file(Path::new(&format!("{name}.png")), pictures, image_index)
}

/// The files of all pictures of a job.
pub(crate) fn files(name: &str, request: &GenerateRequest) -> Vec<PathBuf> {
    results::files(Path::new(&format!("{name}.png")), request)
}

/// What the jobs are made from.
pub(crate) enum Source {
    /// One prompt.
    One,
    /// The prompts of a batch.
    Rows(Vec<Row>),
    /// One prompt with every combination of settings.
    Matrix(Matrix),
}

/// The jobs of a command. `seed` is that of choices, and of the pictures of a matrix that has no other.
///
/// # Errors
///
/// The command cannot be carried out as a whole. What is wrong with one prompt is in its item.
pub(crate) fn plan(
    arguments: &GenerateArguments,
    source: &Source,
    seed: u64,
    terminal: &Terminal,
) -> Result<Vec<Planned>, Failure> {
    let base = Base { shown: Some(Shown::default()), ..Base::read(arguments, false)? };
    let given = Texts::read(arguments)?;
    let expander = arguments.expand.expand.map(|_| Expander::new(arguments.expand.wildcards.as_deref(), seed));
    let mut composer = Composer { arguments, base, expander: expander.transpose()?, terminal };
    let variations = arguments.expand.expand.unwrap_or(1);
    let items = match source {
        Source::One => (0..variations)
            .map(|variation| Planned {
                name: format!("{variation:04}"),
                request: composer.compose(given.clone(), variation),
            })
            .collect(),
        Source::Rows(rows) => composer.rows(rows, &given, variations),
        Source::Matrix(matrix) => composer.matrix(matrix, given, seed)?,
    };
    composer.base.shown.iter().for_each(Shown::close);
    check_apart(&items)?;
    Ok(items)
}

struct Composer<'a> {
    arguments: &'a GenerateArguments,
    base: Base,
    expander: Option<Expander>,
    terminal: &'a Terminal,
}

impl Composer<'_> {
    fn expand(&mut self, texts: Texts, variation: u32) -> Result<Texts, Failure> {
        match &mut self.expander {
            Some(expander) => expander.expand(&texts, variation),
            None => Ok(texts),
        }
    }

    fn compose(&mut self, texts: Texts, variation: u32) -> Result<GenerateRequest, Failure> {
        let texts = self.expand(texts, variation)?;
        self.check(texts)
    }

    fn check(&self, texts: Texts) -> Result<GenerateRequest, Failure> {
        match compose::compose(self.arguments, &self.base, texts, self.terminal)? {
            Ok(composed) => Ok(composed.request),
            Err(refusal) => {
                let first =
                    refusal.diagnostics.iter().find(|finding| finding.severity == sakuga_schema::Severity::Error);
                let first = first.map_or_else(String::new, |finding| format!(": {}", one_line(&finding.message)));
                Err(Failure::new(Exit::Invalid, format_args!("the prompt is not valid{first}")))
            }
        }
    }

    fn rows(&mut self, rows: &[Row], given: &Texts, variations: u32) -> Vec<Planned> {
        let mut items = Vec::new();
        for (place, row) in (0..).zip(rows) {
            for variation in 0..variations {
                let name = if variations > 1 { format!("{}-{variation}", row.name) } else { row.name.clone() };
                // Rows with the same text have choices of their own.
                let request = self.row(row, given, place * variations + variation);
                items.push(Planned { name, request });
            }
        }
        items
    }

    fn row(&mut self, row: &Row, given: &Texts, variation: u32) -> Result<GenerateRequest, Failure> {
        let wrong = |error: &String| Failure::new(Exit::Unreadable, error);
        let prompt = row.prompt.as_ref().map_err(wrong)?.clone();
        let negative = row.negative.clone().or_else(|| given.negative.clone());
        let texts = Texts { prompt: Some(prompt), negative, expansion: None, scene: given.scene.clone() };
        let mut request = self.compose(texts, variation)?;
        for (setting, value) in &row.settings {
            setting.set(&mut request, value).map_err(|error| wrong(&error))?;
        }
        inherited::follow_first_pass(&self.base.request, &mut request);
        Ok(request)
    }

    fn matrix(&mut self, matrix: &Matrix, mut given: Texts, seed: u64) -> Result<Vec<Planned>, Failure> {
        if given.prompt.is_none() {
            given.prompt = self.base.request.prompt.as_ref().map(|prompt| Input {
                name: "the prompt".to_owned(),
                path: None,
                bytes: match prompt {
                    Prompt::Xml(text) => text.clone().into_bytes(),
                    Prompt::Typed(typed) => sakuga_schema::Prompt::from(typed).to_xml().into_bytes(),
                },
            });
            given.expansion.clone_from(&self.base.request.expansion);
        }
        // Every combination has the same choices.
        let texts = self.expand(given, 0)?;
        let mut items = Vec::new();
        for (index, cell) in matrix.cells().into_iter().enumerate() {
            let mut texts = texts.clone();
            matrix.put_texts(&cell, &mut texts)?;
            let request = self.check(texts).and_then(|mut request| {
                if !matrix.has_seed() {
                    request.seed = Some(request.seed.unwrap_or(seed));
                }
                matrix.put_settings(&cell, &mut request)?;
                inherited::follow_first_pass(&self.base.request, &mut request);
                Ok(request)
            });
            items.push(Planned { name: matrix.name(index, &cell), request });
        }
        Ok(items)
    }
}

/// Fails if two jobs would write the same file.
fn check_apart(items: &[Planned]) -> Result<(), Failure> {
    let mut writers: BTreeMap<PathBuf, &str> = BTreeMap::new();
    for item in items {
        let Ok(request) = &item.request else { continue };
        for file in files(&item.name, request) {
            if let Some(other) = writers.insert(file.clone(), &item.name) {
                let file = one_line(&file.display().to_string());
                let text = format!("{} and {} would both write {file}", one_line(other), one_line(&item.name));
                return Err(Failure::new(Exit::Unreadable, text).with_help("give each prompt its own name"));
            }
        }
    }
    Ok(())
}
