//! `sakuga-server models`: its arguments, and what it prints.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use parking_lot::Mutex;
use reqwest::Url;

use super::checksum::is_hex;
use super::disk::SystemDisk;
use super::error::{Bytes, PullError, shown};
use super::find;
use super::folder::ModelsFolder;
use super::http::Timing;
use super::inspect;
use super::licence::{Decision, Licence};
use super::progress::Progress;
use super::source::PullSource;
use super::transfer::{PullOptions, Pulled, pull};

/// The subcommand's name.
pub const NAME: &str = "models";
/// URL of the hub.
const ENDPOINT_DEFAULT: &str = "https://huggingface.co";

/// The subcommand's arguments.
pub fn command() -> Command {
    let folder = || {
        Arg::new("models")
            .long("models")
            .value_name("FOLDER")
            .env("SAKUGA_MODELS")
            .value_parser(value_parser!(PathBuf))
            .help("The folder of models. By default $XDG_DATA_HOME/sakuga/models, or ~/.local/share/sakuga/models")
    };
    let name = || Arg::new("name").value_name("NAME").required(true).help("The name, as `models list` shows it");
    Command::new(NAME)
        .about("Download models, list those that are there, delete them, and say what a file is")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("pull")
                .about("Download a model, so that `--model NAME` finds it. A pull that was stopped continues when it is repeated")
                .arg(
                    Arg::new("source")
                        .value_name("SOURCE")
                        .required(true)
                        .value_parser(|text: &str| text.parse::<PullSource>())
                        .help("`hf:OWNER/NAME` or `hf:OWNER/NAME@REVISION`, or the https:// URL of a .safetensors file"),
                )
                .arg(Arg::new("name").long("name").value_name("NAME").help("The name that the model gets. By default that of the source"))
                .arg(
                    Arg::new("sha256")
                        .long("sha256")
                        .value_name("HEX")
                        .value_parser(sha256)
                        .help("SHA-256 that the file at the URL must have. Files of a hub are compared with what the hub states"),
                )
                .arg(
                    Arg::new("accept-licence")
                        .long("accept-licence")
                        .alias("accept-license")
                        .action(ArgAction::SetTrue)
                        .help("Accept the licence without being asked, for scripts"),
                )
                .arg(folder())
                .after_help(
                    "Examples:\n  sakuga-server models pull hf:NewBie-AI/NewBie-image-Exp0.1\n  \
                     sakuga-server models pull https://example.org/anime.safetensors --name anime\n\n\
                     Environment: HF_TOKEN is sent to the hub, and to no other server. HF_ENDPOINT is the address of the hub. \
                     HTTPS_PROXY, HTTP_PROXY and NO_PROXY apply, except to this machine.\n\n\
                     Exit status: 0 if the model is there, 1 if not, 64 if the arguments are wrong.",
                ),
        )
        .subcommand(
            Command::new("list")
                .about("List the downloaded models and the unfinished downloads")
                .arg(folder())
                .after_help("Examples:\n  sakuga-server models list"),
        )
        .subcommand(
            Command::new("inspect")
                .about("Say what a file or a folder is, from its headers, and what to do with it. Exit status 1 if the server has no use for it")
                .arg(
                    Arg::new("path")
                        .value_name("FILE|FOLDER|NAME")
                        .required(true)
                        .value_parser(value_parser!(PathBuf))
                        .help("A file, a folder, or the name of a pulled model"),
                )
                .arg(Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print JSON"))
                .arg(folder())
                .after_help("Examples:\n  sakuga-server models inspect anime.safetensors"),
        )
        .subcommand(
            Command::new("remove")
                .about("Delete a model that was pulled")
                .arg(name())
                .arg(folder())
                .after_help("Examples:\n  sakuga-server models remove anime"),
        )
}

fn sha256(text: &str) -> Result<String, String> {
    let text = text.to_lowercase();
    is_hex(&text, 64).then_some(text).ok_or_else(|| "is not a SHA-256; write 64 hexadecimal digits".to_owned())
}

/// Runs the command, from its arguments without the program's name. Returns whether all is well.
///
/// # Errors
///
/// clap's own for wrong arguments and the help.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<bool, clap::Error> {
    let mut command = command().bin_name("sakuga-server models");
    let matches = command.try_get_matches_from_mut(arguments)?;
    let Some((name, given)) = matches.subcommand() else { return Ok(false) };
    let done = work(name, given, variable).unwrap_or_else(|error| {
        eprintln!("sakuga-server: {error}");
        false
    });
    Ok(done)
}

fn work(name: &str, given: &ArgMatches, variable: &dyn Fn(&str) -> Option<String>) -> Result<bool, PullError> {
    let chosen = given.get_one::<PathBuf>("models").map(PathBuf::as_path);
    let no_home = || PullError::Setup("there is no home for the models; name a folder with --models".to_owned());
    let folder = ModelsFolder::chosen(chosen, variable);
    if name == "inspect" {
        let path = given.get_one::<PathBuf>("path").cloned().unwrap_or_default();
        let path = if path.exists() { Ok(path) } else { find::checkpoint(&path, folder.as_ref()) };
        let (text, is_useful) =
            path.and_then(|path| inspect::report(&path, given.get_flag("json"))).map_err(PullError::Setup)?;
        return Ok(print(&text) && is_useful);
    }
    let folder = folder.ok_or_else(no_home)?;
    let text = |name: &str| given.get_one::<String>(name).cloned();
    match name {
        "list" => Ok(print(&list(&folder))),
        "remove" => {
            let name = text("name").unwrap_or_default();
            let bytes = folder.remove(&name)?;
            Ok(print(&format!("deleted {name}, {}\n", Bytes(bytes))))
        }
        _ => {
            let Some(source) = given.get_one::<PullSource>("source").cloned() else { return Ok(false) };
            let (name, sha256) = (text("name"), text("sha256"));
            if sha256.is_some() && matches!(source, PullSource::Hub(_)) {
                let text = "--sha256 is for a single file; the hub states the checksums of its files";
                return Err(PullError::Setup(text.to_owned()));
            }
            let is_accepted = given.get_flag("accept-licence");
            let progress = Bar::new();
            let options = PullOptions {
                source,
                name,
                folder,
                endpoint: endpoint(variable("HF_ENDPOINT"))?,
                token: variable("HF_TOKEN"),
                sha256,
                decide: &|licence| progress.bar.suspend(|| decide(licence, is_accepted)),
                progress: &progress,
                disk: &SystemDisk,
                timing: Timing::default(),
            };
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| PullError::Setup(format!("no thread can be made: {error}")))?;
            let pulled = runtime.block_on(pull(&options));
            progress.bar.finish_and_clear();
            Ok(print(&report(&pulled?)))
        }
    }
}

fn endpoint(text: Option<String>) -> Result<Url, PullError> {
    let text = text.filter(|text| !text.is_empty()).unwrap_or_else(|| ENDPOINT_DEFAULT.to_owned());
    let url = Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or_else(|| PullError::Setup(format!("HF_ENDPOINT is `{}`, which is not an https:// address", shown(&text))))
}

/// Shows a licence, and asks on a terminal.
fn decide(licence: &Licence, is_accepted: bool) -> Decision {
    eprintln!("{licence}");
    if is_accepted {
        return Decision::Accepted;
    }
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Decision::NobodyAsked;
    }
    eprint!("Do you accept it? [y/N] ");
    let mut answer = String::new();
    // An answer that cannot be read is no acceptance.
    let _ = io::stdin().read_line(&mut answer);
    if matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") { Decision::Accepted } else { Decision::Refused }
}

fn report(pulled: &Pulled) -> String {
    let done = if pulled.was_there { "is there already" } else { "is complete" };
    format!(
        "{} {done}: {}, {}\nserve it with: sakuga-server --model {}\n",
        pulled.name,
        Bytes(pulled.bytes),
        pulled.checkpoint.display(),
        pulled.name
    )
}

fn list(folder: &ModelsFolder) -> String {
    let (models, unfinished) = (folder.models(), folder.unfinished());
    let mut lines: Vec<String> = models
        .iter()
        .map(|model| match &model.record {
            Some(record) => {
                let short = |commit: &str| format!(" at {}", shown(&commit.chars().take(12).collect::<String>()));
                let commit = record.commit.as_deref().map(short);
                let (size, licence) = (Bytes(record.bytes()), shown(&record.licence));
                let source = shown(&record.source);
                format!("{}  {size}  {source}{}  licence: {licence}", model.name, commit.unwrap_or_default())
            }
            None => format!("{}  not pulled, put there by hand", model.name),
        })
        .collect();
    lines.extend(unfinished.iter().map(|(name, bytes)| {
        format!("{name}  unfinished, {} are there; repeat `sakuga-server models pull` to continue", Bytes(*bytes))
    }));
    if lines.is_empty() {
        lines.push(format!("no models in {}", folder.path().display()));
    }
    lines.join("\n") + "\n"
}

/// A bar on a terminal, and a line for each file elsewhere.
struct Bar {
    bar: ProgressBar,
    file: Mutex<String>,
}

impl Bar {
    fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        Self { bar, file: Mutex::default() }
    }

    fn say(&self, text: &str) {
        self.bar.suspend(|| eprintln!("{text}"));
    }
}

impl Progress for Bar {
    fn at(&self, file: &str, done: u64, total: Option<u64>) {
        if let Some(total) = total
            && self.bar.length() != Some(total)
        {
            self.bar.set_length(total);
            let template = "{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left  {msg}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                self.bar.set_style(style);
            }
        }
        self.bar.set_position(done);
        let mut last = self.file.lock();
        if *last != file {
            file.clone_into(&mut last);
            let of = total.map(|total| format!(" of {}", Bytes(total))).unwrap_or_default();
            if self.bar.is_hidden() {
                eprintln!("{}{of}: {}", Bytes(done), shown(file));
            }
            self.bar.set_message(shown(file));
        }
    }

    fn note(&self, text: &str) {
        self.say(text);
    }
}

fn print(text: &str) -> bool {
    io::stdout().write_all(text.as_bytes()).is_ok()
}
