//! `sakuga models`: where the weights of a server's models are, and commands that move them.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use sakuga_client::proto::model::v1::{
    ListModelsRequest, ListModelsResponse, LoadModelRequest, ModelState, ModelStatus, UnloadModelRequest,
};
use sakuga_client::proto::system::v1 as system;
use sakuga_client::proto::text::one_line;

use super::exit::{self, Exit};
use super::failure::Failure;
use super::server::{self, ServerArguments, answer, answer_without_limit};
use super::{clock, output, units};

/// Most training sizes of a model that are shown.
const SIZES_SHOWN_MAX: usize = 8;

/// List the models of a server, load them and unload them
///
/// A model that is not on the device is loaded for its next job. Loading and unloading need a token with the scope `admin`
/// where the server requires one.
#[derive(Debug, Args)]
#[command(after_long_help = exit::MANUAL, args_conflicts_with_subcommands = true)]
pub(crate) struct ModelsArguments {
    #[command(subcommand)]
    action: Option<Action>,

    #[command(flatten)]
    list: ListArguments,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the models, and where their weights are
    List(ListArguments),
    /// Put a model on the device, and wait until it is there
    Load(OneArguments),
    /// Take a model off the device and out of the server's memory, once its running job has ended
    Unload(OneArguments),
}

#[derive(Debug, Args)]
struct ListArguments {
    #[command(flatten)]
    server: ServerArguments,

    /// Print protobuf JSON (sakuga.model.v1.ListModelsResponse)
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct OneArguments {
    /// The model, as `sakuga models` lists it
    #[arg(value_name = "NAME")]
    name: String,

    #[command(flatten)]
    server: ServerArguments,

    /// Print the model as protobuf JSON (sakuga.model.v1.ModelStatus)
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(arguments: &ModelsArguments) -> Result<Exit, Failure> {
    let runtime = server::runtime()?;
    match arguments.action.as_ref() {
        None => list(&runtime, &arguments.list),
        Some(Action::List(arguments)) => list(&runtime, arguments),
        Some(Action::Load(arguments)) => show(arguments, runtime.block_on(load(arguments))?),
        Some(Action::Unload(arguments)) => show(arguments, runtime.block_on(unload(arguments))?),
    }
}

fn list(runtime: &tokio::runtime::Runtime, arguments: &ListArguments) -> Result<Exit, Failure> {
    let (models, described) = runtime.block_on(async {
        let client = arguments.server.connect().await?;
        let models = answer(&client, client.models().list_models(ListModelsRequest {})).await?;
        // A server that does not describe its models still lists them.
        let described = answer(&client, client.system().list_models(system::ListModelsRequest {})).await;
        let described = described.map(|listed| listed.models).unwrap_or_default();
        Ok::<_, Failure>((models, described))
    })?;
    output::print_answer(arguments.json, &models, |models| table(models) + &training_lines(&described))?;
    Ok(Exit::Ok)
}

async fn load(arguments: &OneArguments) -> Result<ModelStatus, Failure> {
    let client = arguments.server.connect().await?;
    let request = LoadModelRequest { name: arguments.name.clone() };
    let loaded = answer_without_limit(&client, client.models().load_model(request)).await?;
    Ok(loaded.model.unwrap_or_default())
}

async fn unload(arguments: &OneArguments) -> Result<ModelStatus, Failure> {
    let client = arguments.server.connect().await?;
    let request = UnloadModelRequest { name: arguments.name.clone() };
    let unloaded = answer_without_limit(&client, client.models().unload_model(request)).await?;
    Ok(unloaded.model.unwrap_or_default())
}

fn show(arguments: &OneArguments, model: ModelStatus) -> Result<Exit, Failure> {
    output::print_answer(arguments.json, &model, |model| {
        table(&ListModelsResponse { models: vec![model.clone()], ..ListModelsResponse::default() })
    })?;
    Ok(Exit::Ok)
}

/// One model a line: name, state, sizes, last use, reason of a failure. Then the limits of the memory, if there are any.
fn table(listed: &ListModelsResponse) -> String {
    let rows: Vec<[String; 4]> = listed.models.iter().map(row).collect();
    let mut text = output::columns(&rows, &[2]);
    if let Some(budget) = listed.memory_budget_bytes {
        let host = match listed.host_memory_budget_bytes {
            0 => "; no copies are kept in host memory".to_owned(),
            bytes => format!(" and {} in host memory", units::bytes(bytes)),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "weights may take {} on the device{host}", units::bytes(budget));
    }
    text
}

/// One line for each model that states what it was trained with.
fn training_lines(models: &[system::Model]) -> String {
    models.iter().fold(String::new(), |mut text, model| {
        if let Some(vocabulary) = &model.vocabulary {
            let _ = writeln!(text, "{} was trained with {}", one_line(&model.name), trained_with(vocabulary));
        }
        text
    })
}

/// `156 tags, up to 4 characters, 256x256, 320x192`.
pub(crate) fn trained_with(vocabulary: &system::ModelVocabulary) -> String {
    let tags = vocabulary.elements.iter().map(|element| element.tags.len()).sum();
    let sizes = vocabulary.sizes.iter().map(|size| format!("{}x{}", size.width, size.height)).take(SIZES_SHOWN_MAX);
    let parts =
        [units::count(tags, "tag"), format!("up to {}", units::count(vocabulary.max_characters as usize, "character"))];
    parts.into_iter().chain(sizes).collect::<Vec<_>>().join(", ")
}

fn row(model: &ModelStatus) -> [String; 4] {
    let default = if model.is_default { " (default)" } else { "" };
    let mut rest = Vec::new();
    if model.host_bytes > 0 {
        rest.push(format!("{} in host memory", units::bytes(model.host_bytes)));
    }
    if let Some(time) = model.last_used {
        rest.push(format!("last used {}", clock::seconds(time)));
    }
    if !model.failure.is_empty() {
        rest.push(one_line(&model.failure));
    }
    let name = format!("{}{default}", one_line(&model.name));
    [name, state(model.state()).to_owned(), units::bytes(model.weight_bytes), rest.join(", ")]
}

/// Where the weights are, in a word or two.
pub(crate) fn state(state: ModelState) -> &'static str {
    match state {
        ModelState::Unspecified => "unknown",
        ModelState::Unloaded => "unloaded",
        ModelState::OnHost => "on host",
        ModelState::Loading => "loading",
        ModelState::Loaded => "loaded",
        ModelState::Failed => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_a_line() {
        let mut anime =
            ModelStatus { name: "anime".into(), is_default: true, weight_bytes: 3 << 30, ..Default::default() };
        anime.set_state(ModelState::Loaded);
        let mut photo = ModelStatus { name: "p".into(), weight_bytes: 512, host_bytes: 1024, ..Default::default() };
        photo.set_state(ModelState::Failed);
        photo.failure = "no\u{1b}[2J file".into();
        let mut listed = ListModelsResponse { models: vec![anime, photo], ..Default::default() };
        let lines = "anime (default)  loaded  3.0 GiB\np                failed    512 B  1.0 KiB in host memory, no";
        assert!(table(&listed).starts_with(lines), "{}", table(&listed));
        assert!(!table(&listed).contains('\u{1b}') && !table(&listed).contains("weights may take"));
        listed.memory_budget_bytes = Some(4 << 30);
        assert!(
            table(&listed).ends_with("weights may take 4.0 GiB on the device; no copies are kept in host memory\n")
        );
    }
}
