//! From arguments and files to the request. Invalid prompts are reported here, before the server is asked.

use sakuga_client::proto::generation::v1::generate_request::{Negative, Prompt};
use sakuga_client::proto::generation::v1::{AppliedAdapter, GenerateRequest, PreviewMethod};
use sakuga_client::proto::prompt::v1::Strictness;
use sakuga_client::proto::text::one_line;
use sakuga_schema::{Diagnostic, Severity};

use super::arguments::{GenerateArguments, Seed};
use super::expansion;
use super::images::with_hashes;
use super::inherited;
use super::origin::{self, Origin};
use super::sampling::is_guidance_off;
use super::scene_file::PassTexts;
use super::shown::Shown;
use super::texts::Texts;
use crate::cli::check::{self, Checker, Kind, Outcome};
use crate::cli::failure::Failure;
use crate::cli::input::Input;
use crate::cli::output::{self, say};
use crate::cli::render::{self, Finding};
use crate::cli::request_file;
use crate::cli::scene_text;
use crate::cli::terminal::{Stream, Terminal};
use crate::cli::units;

/// A request that is ready to be sent.
pub(crate) struct Composed {
    pub request: GenerateRequest,
    /// The texts that were read, with their findings; none for a request from a picture.
    pub texts: Vec<CheckedText>,
    /// The picture that the request comes from.
    pub origin: Option<Origin>,
    /// Notes for the user: what was done without being requested, and arguments without effect; one sentence each.
    pub notes: Vec<String>,
}

/// A text and the findings of the check on this machine.
#[derive(Clone)]
pub(crate) struct CheckedText {
    /// Whether it is the prompt or the negative prompt.
    pub kind: Kind,
    /// Whether it belongs to the scene.
    pub is_of_scene: bool,
    pub input: Input,
    pub findings: Vec<Finding>,
}

/// The findings of an invalid prompt, already printed to stderr unless `--json` is on.
pub(crate) struct Refusal {
    /// The findings of both texts.
    pub diagnostics: Vec<Diagnostic>,
}

/// The common part of all requests of a command.
pub(crate) struct Base {
    /// The request of `--from`, or an empty one.
    pub request: GenerateRequest,
    /// The picture that it comes from.
    pub origin: Option<Origin>,
    /// Checks the texts.
    pub checker: Checker,
    /// Whether the terminal can show previews.
    pub shows_pictures: bool,
    /// The findings that were printed, if the request is one of many: then each finding is printed once, and no notes.
    pub shown: Option<Shown>,
}

impl Base {
    /// Reads the request of `--from`, and the tag list.
    pub(crate) fn read(arguments: &GenerateArguments, shows_pictures: bool) -> Result<Self, Failure> {
        let checker = Checker::new(&arguments.check)?;
        let (request, origin) = match &arguments.from {
            Some(path) => origin::read(path)?,
            None => (GenerateRequest::default(), None),
        };
        Ok(Self { request, origin, checker, shows_pictures, shown: None })
    }
}

/// Checks the texts and fills in the request.
pub(crate) fn compose(
    arguments: &GenerateArguments,
    base: &Base,
    given: Texts,
    terminal: &Terminal,
) -> Result<Result<Composed, Refusal>, Failure> {
    let Base { checker, shows_pictures, .. } = base;
    let (mut request, mut origin) = (base.request.clone(), base.origin.clone());
    let before = request.clone();
    let mut texts = Vec::new();
    let mut refused = false;
    let mut diagnostics = Vec::new();
    let mut take = |kind: Kind, is_of_scene: bool, input: &Input| {
        let mut outcome = checker.check(kind, input);
        report(kind, input, &outcome, (arguments, base), terminal);
        let text = String::from_utf8_lossy(&input.bytes).into_owned();
        texts.push(CheckedText { kind, is_of_scene, input: input.clone(), findings: outcome.findings() });
        refused |= !outcome.is_valid;
        diagnostics.append(&mut outcome.diagnostics);
        (text, outcome)
    };
    // The texts of one pass: the prompt with its outcome, and the negative prompt.
    let mut take_pass = |is_of_scene: bool, prompt: Option<&Input>, negative: Option<&Input>| {
        let prompt = prompt.map(|input| {
            let (text, outcome) = take(Kind::Prompt, is_of_scene, input);
            check::one_negative((input, &outcome), negative).map(|()| (text, outcome))
        });
        let prompt = prompt.transpose()?;
        let negative = negative.map(|input| take(Kind::Negative, is_of_scene, input).0);
        Ok::<_, Failure>((prompt, negative))
    };
    if let Some(scene) = given.scene {
        let PassTexts { prompt, negative } = &scene.scene_texts;
        take_pass(true, Some(prompt), negative.as_ref())?;
        scene.apply(&mut request, arguments.check.strict);
    }
    let mut has_negative = false;
    let names = [&given.prompt, &given.negative].map(|input| input.as_ref().map(|input| one_line(&input.name)));
    if names != [None, None] {
        request.expansion = given.expansion;
    }
    let (prompt, negative) = take_pass(false, given.prompt.as_ref(), given.negative.as_ref())?;
    if let Some((text, outcome)) = prompt {
        request.prompt = Some(Prompt::Xml(text));
        let strictness = if arguments.check.strict { Strictness::Strict } else { Strictness::Lenient };
        request.strictness = strictness.into();
        // Parts of the text replace those of the picture.
        if outcome.system_prompt.is_some() {
            request.system_prompt = None;
        }
        has_negative = outcome.has_negative();
        if has_negative {
            (request.negative, request.negative_system_prompt) = (None, None);
        }
    }
    if let Some(text) = negative {
        (request.negative, request.negative_system_prompt) = (Some(Negative::NegativeText(text)), None);
    }
    if refused {
        return Ok(Err(Refusal { diagnostics }));
    }
    apply_settings(&mut request, arguments);
    arguments.images.apply(&mut request)?;
    inherited::follow_first_pass(&before, &mut request);
    if let Some(origin) = &mut origin {
        // Which pictures of a batch are drawn changes none of them, and records name files by their hashes.
        let request = with_hashes(request.clone());
        origin.is_changed = GenerateRequest { image_indices: before.image_indices.clone(), ..request } != before;
    }
    apply_previews(&mut request, arguments, *shows_pictures);
    request.profile = arguments.profile;
    let mut notes = without_effect(&request, has_negative, arguments, *shows_pictures);
    if let Some(path) = &arguments.from {
        notes.extend(arguments.images.notes(&before, &one_line(&path.display().to_string())));
    }
    notes.extend(inherited::notes(&request, arguments));
    notes.extend(origin.as_ref().and_then(|origin| origin.batch_note(&request, &arguments.out)));
    if request.adapters == before.adapters {
        notes.extend(origin.iter().flat_map(|origin| &origin.adapters).map(adapter_note));
    }
    if let (true, [Some(prompt), _]) = (has_negative, &names) {
        notes.insert(0, format!("the negative prompt inside {prompt} is used"));
    }
    notes.extend(request.expansion.as_ref().filter(|_| names != [None, None]).map(expansion::note));
    if !arguments.quiet && base.shown.is_none() {
        notes.iter().for_each(|note| say(format_args!("note: {note}")));
    }
    Ok(Ok(Composed { request, texts, origin, notes }))
}

/// The name of an adapter that the request has by its content.
fn adapter_note(adapter: &AppliedAdapter) -> String {
    let AppliedAdapter { name, sha256, scale, text_scale } = adapter;
    let (name, sha256) = (one_line(name), one_line(sha256));
    format!("the adapter `{name}` at {scale} (text encoders: {text_scale}) is the one with the SHA-256 {sha256}")
}

/// Arguments that change nothing, with what to do instead.
fn without_effect(
    request: &GenerateRequest,
    has_inner_negative: bool,
    arguments: &GenerateArguments,
    shows_pictures: bool,
) -> Vec<String> {
    let mut notes = Vec::new();
    let has_negative = has_inner_negative || request.negative.is_some() || request.negative_system_prompt.is_some();
    if request.sampling.as_ref().is_some_and(is_guidance_off) && has_negative {
        notes.push(
            "guidance is off (--guidance 1 or --guidance-until 0), so the negative prompt has no effect; use a larger \
             --guidance"
                .to_owned(),
        );
    }
    let previews = &arguments.previews;
    let method = request.preview.unwrap_or_default().method();
    let is_wanted = !matches!(method, PreviewMethod::Unspecified | PreviewMethod::None);
    if is_wanted && previews.preview.is_some() && !shows_pictures && previews.preview_dir.is_none() {
        notes.push(
            "previews are drawn and not shown: this terminal cannot show pictures; write them with --preview-dir DIR"
                .to_owned(),
        );
    }
    if !is_wanted {
        for (option, is_given) in [
            ("--preview-dir", previews.preview_dir.is_some()),
            ("--preview-format", previews.preview_format.is_some()),
            ("--preview-max-edge", previews.preview_max_edge.is_some()),
            ("--preview-every", previews.preview_every.is_some()),
        ] {
            if is_given {
                notes.push(format!(
                    "{option} has no effect without previews; add --preview linear and --preview-dir DIR"
                ));
            }
        }
    }
    notes
}

fn report(
    kind: Kind,
    input: &Input,
    outcome: &Outcome,
    (arguments, base): (&GenerateArguments, &Base),
    terminal: &Terminal,
) {
    if arguments.json && !outcome.is_valid {
        return;
    }
    let findings = outcome.findings();
    let serious: Vec<Finding> =
        findings.iter().filter(|finding| finding.severity() > Severity::Advice).cloned().collect();
    if arguments.quiet && outcome.is_valid {
        return;
    }
    let is_advised = findings.len() > serious.len() && base.shown.is_none();
    let serious = match &base.shown {
        Some(shown) if outcome.is_valid => shown.new_of(serious),
        _ => serious,
    };
    let shown = render::findings(&input.name, &input.bytes, &serious, terminal, Stream::Stderr);
    if !shown.is_empty() {
        say(shown.trim_end());
        say("");
    }
    let name = one_line(&input.name);
    if let Some(hint) = request_file::hint(input) {
        say(format_args!("help: {name}: {hint}"));
    }
    if !outcome.is_valid {
        say(format_args!("{name}: not valid, nothing was sent; {}", render::tally(&findings)));
    } else if is_advised {
        let advice = findings.iter().filter(|finding| finding.severity() == Severity::Advice).count();
        let pieces = units::count(advice, "piece");
        say(format_args!("{name}: {pieces} of advice, shown by `{}`", validate_command(kind, input, arguments)));
    }
}

/// The command that shows every finding in a text.
fn validate_command(kind: Kind, input: &Input, arguments: &GenerateArguments) -> String {
    let option = if kind == Kind::Negative { "--negative " } else { "" };
    match (&input.path, &arguments.file) {
        (Some(path), _) => format!("sakuga validate {option}{}", output::shown(path)),
        // A text within the file of a scene.
        (None, Some(file)) if scene_text::is_named(file) => format!("sakuga validate {}", output::shown(file)),
        (None, _) => format!("sakuga validate {option}-"),
    }
}

fn apply_settings(request: &mut GenerateRequest, arguments: &GenerateArguments) {
    arguments.sampling.apply(&mut request.sampling);
    if let Some(size) = arguments.size {
        request.width = size.width_px;
        request.height = size.height_px;
    }
    request.images = arguments.count.unwrap_or(request.images);
    if !arguments.image_indices.is_empty() {
        request.image_indices.clone_from(&arguments.image_indices);
    }
    match arguments.seed {
        Some(Seed::Fixed(seed)) => request.seed = Some(seed),
        Some(Seed::Random) => request.seed = None,
        None => {}
    }
    if let Some(model) = &arguments.model {
        request.model.clone_from(model);
    }
    if !arguments.adapters.is_empty() || arguments.no_adapters {
        request.adapters.clone_from(&arguments.adapters);
    }
    if let Some(switch_at) = arguments.refiner {
        request.refiner.get_or_insert_default().switch_at = Some(switch_at);
    }
    if let Some(system_prompt) = &arguments.system_prompt {
        request.system_prompt = Some(system_prompt.clone());
    }
    if let Some(system_prompt) = &arguments.negative_system_prompt {
        request.negative_system_prompt = Some(system_prompt.clone());
    }
}

/// Requests previews if something can show them. They change no pixel, but the record in the file names them: a request
/// from a picture keeps its own unless an argument changes them, so that the same file comes out.
fn apply_previews(request: &mut GenerateRequest, arguments: &GenerateArguments, shows_pictures: bool) {
    let previews = &arguments.previews;
    let target = request.preview.get_or_insert_default();
    let is_unset = matches!(target.method(), PreviewMethod::Unspecified | PreviewMethod::None);
    match previews.preview {
        Some(method) => target.method = method.value.into(),
        None if is_unset && previews.preview_dir.is_some() => target.method = PreviewMethod::Linear.into(),
        None if is_unset && shows_pictures && arguments.from.is_none() => target.method = PreviewMethod::Linear.into(),
        None if is_unset => target.method = PreviewMethod::None.into(),
        None => {}
    }
    if let Some(format) = previews.preview_format {
        target.format = format.value.into();
    }
    target.max_edge = previews.preview_max_edge.unwrap_or(target.max_edge);
    target.every_steps = previews.preview_every.unwrap_or(target.every_steps);
}
