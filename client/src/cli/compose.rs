//! From arguments and files to the request that is sent. What is wrong with a prompt is told here, before anybody is
//! asked.

use std::path::Path;

use sakuga_client::picture;
use sakuga_client::proto::generation::v1::generate_request::{Negative, Prompt};
use sakuga_client::proto::generation::v1::{GenerateRequest, PreviewMethod};
use sakuga_client::proto::prompt::v1::Strictness;
use sakuga_schema::Severity;

use super::check::{Checker, Kind, Outcome};
use super::failure::Failure;
use super::generate::GenerateArguments;
use super::input::{self, Input};
use super::output::say;
use super::render::{self, Finding};
use super::terminal::{Stream, Terminal};
use super::units;

/// A request that is ready to be sent.
pub struct Composed {
    /// The request.
    pub request: GenerateRequest,
    /// The text of the prompt and what was found in it; `None` if the request comes from a picture.
    pub prompt: Option<(Input, Vec<Finding>)>,
    /// The picture that the request comes from.
    pub origin: Option<Origin>,
}

/// A picture whose request is sent again.
pub struct Origin {
    /// The file, as the user named it.
    pub name: String,
    /// Which picture of its request it was.
    pub image_index: u32,
    /// SHA-256 of its pixels.
    pub pixels_sha256: String,
    /// The device that drew it.
    pub device: String,
    /// Whether something but the previews was changed on the command line.
    pub is_changed: bool,
}

/// What was wrong with the prompt, already told on stderr unless `--json` is on.
pub struct Refusal {
    /// The checks that were made, by input.
    pub outcomes: Vec<Outcome>,
}

/// Reads the inputs, checks the prompts and fills in the request. `shows_pictures` says whether the terminal can show
/// previews.
pub fn compose(
    arguments: &GenerateArguments,
    shows_pictures: bool,
    terminal: &Terminal,
) -> Result<Result<Composed, Refusal>, Failure> {
    let checker = Checker::new(&arguments.check)?;
    let (mut request, mut origin) = match &arguments.from {
        Some(path) => {
            let (request, origin) = read_origin(path)?;
            (request, Some(origin))
        }
        None => (GenerateRequest::default(), None),
    };
    let before = request.clone();
    let mut outcomes = Vec::new();
    let mut prompt = None;
    if let Some(path) = &arguments.file {
        let input = input::read_prompt(path)?;
        let outcome = checker.check(Kind::Prompt, &input);
        tell(&input, &outcome, arguments, terminal);
        request.prompt = Some(Prompt::Xml(String::from_utf8_lossy(&input.bytes).into_owned()));
        let strictness = if arguments.check.strict { Strictness::Strict } else { Strictness::Lenient };
        request.strictness = strictness.into();
        prompt = Some((input, outcome.findings()));
        outcomes.push(outcome);
    }
    if let Some(path) = &arguments.negative {
        let input = input::read_prompt(path)?;
        let outcome = checker.check(Kind::Negative, &input);
        tell(&input, &outcome, arguments, terminal);
        request.negative = Some(Negative::NegativeText(String::from_utf8_lossy(&input.bytes).into_owned()));
        outcomes.push(outcome);
    }
    if outcomes.iter().any(|outcome| !outcome.is_valid) {
        return Ok(Err(Refusal { outcomes }));
    }
    apply_settings(&mut request, arguments);
    if let Some(origin) = &mut origin {
        origin.is_changed = request != before;
    }
    apply_previews(&mut request, arguments, shows_pictures);
    request.profile = arguments.profile;
    Ok(Ok(Composed { request, prompt, origin }))
}

fn read_origin(path: &Path) -> Result<(GenerateRequest, Origin), Failure> {
    let input = input::read_picture(path)?;
    let record = picture::read_record(&input.bytes).map_err(|error| Failure::unreadable(path, error))?;
    let pixels_sha256 = picture::pixels_sha256(&input.bytes).map_err(|error| Failure::unreadable(path, error))?;
    let metadata = record.metadata;
    let Some(mut request) = metadata.request else {
        return Err(Failure::unreadable(path, "its record holds no request"));
    };
    // The name was that of another job.
    request.request_id.clear();
    let origin = Origin {
        name: input.name,
        image_index: metadata.image_index,
        pixels_sha256,
        device: metadata.device,
        is_changed: false,
    };
    Ok((request, origin))
}

fn tell(input: &Input, outcome: &Outcome, arguments: &GenerateArguments, terminal: &Terminal) {
    if arguments.json && !outcome.is_valid {
        return;
    }
    let findings = outcome.findings();
    let serious: Vec<Finding> =
        findings.iter().filter(|finding| finding.severity() > Severity::Advice).cloned().collect();
    if arguments.quiet && outcome.is_valid {
        return;
    }
    let shown = render::findings(&input.name, &input.bytes, &serious, terminal, Stream::Stderr);
    if !shown.is_empty() {
        say(shown.trim_end());
        say("");
    }
    let name = render::plain(&input.name);
    if !outcome.is_valid {
        say(format_args!("{name}: not valid, nothing was sent; {}", render::tally(&findings)));
    } else if findings.len() > serious.len() {
        let pieces = units::count(findings.len() - serious.len(), "piece");
        say(format_args!("{name}: {pieces} of advice, shown by `sakuga validate`"));
    }
}

fn apply_settings(request: &mut GenerateRequest, arguments: &GenerateArguments) {
    let sampling = &arguments.sampling;
    if sampling.is_given() {
        let target = request.sampling.get_or_insert_default();
        if let Some(solver) = sampling.solver {
            target.solver = solver.to_wire().into();
        }
        target.steps = sampling.steps.unwrap_or(target.steps);
        target.guidance_scale = sampling.guidance.or(target.guidance_scale);
        target.guidance_until = sampling.guidance_until.or(target.guidance_until);
        target.guidance_renorm = sampling.guidance_renorm.or(target.guidance_renorm);
        target.shift = sampling.shift.or(target.shift);
    }
    if let Some(size) = arguments.size {
        request.width = size.width_px;
        request.height = size.height_px;
    }
    request.images = arguments.images.unwrap_or(request.images);
    request.seed = arguments.seed.or(request.seed);
    if let Some(model) = &arguments.model {
        request.model.clone_from(model);
    }
    if let Some(system_prompt) = &arguments.system_prompt {
        request.system_prompt = Some(system_prompt.clone());
    }
}

/// Previews are asked for if there is a place to show them. They do not change the pixels, but the record in the file
/// names them: a request from a picture keeps its own unless others are asked for, so that the same file comes out.
fn apply_previews(request: &mut GenerateRequest, arguments: &GenerateArguments, shows_pictures: bool) {
    let previews = &arguments.previews;
    let target = request.preview.get_or_insert_default();
    let is_unset = matches!(target.method(), PreviewMethod::Unspecified | PreviewMethod::None);
    match previews.preview {
        Some(method) => target.method = method.to_wire().into(),
        None if is_unset && previews.preview_dir.is_some() => target.method = PreviewMethod::Linear.into(),
        None if is_unset && shows_pictures && arguments.from.is_none() => target.method = PreviewMethod::Linear.into(),
        None if is_unset => target.method = PreviewMethod::None.into(),
        None => {}
    }
    if let Some(format) = previews.preview_format {
        target.format = format.to_wire().into();
    }
    target.max_edge = previews.preview_max_edge.unwrap_or(target.max_edge);
    target.every_steps = previews.preview_every.unwrap_or(target.every_steps);
}
