//! `sakuga-server store`: its arguments, and what it prints.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command, value_parser};

use super::folder::DataFolder;
use super::{MaintenanceError, check, export, import, repair};

/// The subcommand's name.
pub const NAME: &str = "store";

/// The subcommand's arguments.
pub fn command() -> Command {
    let folder = || {
        Arg::new("data-dir")
            .long("data-dir")
            .value_name("DIR")
            .required(true)
            .value_parser(value_parser!(PathBuf))
            .help("The data folder of a server that is stopped")
    };
    let artifacts = || {
        Arg::new("artifacts")
            .long("artifacts")
            .value_name("URL")
            .help("Where its pictures are, if --artifacts of the server says so")
    };
    let on_folder =
        |name: &'static str, about: &'static str| Command::new(name).about(about).arg(folder()).arg(artifacts());
    Command::new(NAME)
        .about("Check, repair, export or import the jobs and assets of a server that is stopped")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            on_folder("check", "List what is damaged; change nothing. Exit status 1 if anything is")
                .after_help("Examples:\n  sakuga-server store check --data-dir /var/lib/sakuga"),
        )
        .subcommand(
            on_folder(
                "repair",
                "Make a new database of every job and asset that can be read, and keep the old file next to it. Change nothing if \
                 nothing is damaged",
            )
            .after_help("Examples:\n  sakuga-server store repair --data-dir /var/lib/sakuga"),
        )
        .subcommand(
            on_folder("export", "Write jobs, events and pictures into a tar archive with checksums")
                .arg(
                    Arg::new("out")
                        .long("out")
                        .value_name("FILE")
                        .required(true)
                        .value_parser(value_parser!(PathBuf))
                        .help("The archive, a new file; `-` is standard output"),
                )
                .after_help("Examples:\n  sakuga-server store export --data-dir /var/lib/sakuga --out jobs.tar"),
        )
        .subcommand(
            on_folder("import", "Add the jobs and assets of an archive. Those that are there already are never replaced")
                .arg(
                    Arg::new("archive")
                        .value_name("FILE")
                        .required(true)
                        .value_parser(value_parser!(PathBuf))
                        .help("The archive; `-` is standard input"),
                )
                .after_help("Examples:\n  sakuga-server store import --data-dir /var/lib/sakuga jobs.tar"),
        )
}

/// Runs the command, from its arguments without the program's name, and prints what it did on standard output, or on standard
/// error where an archive goes to standard output. Returns whether all is well.
///
/// # Errors
///
/// clap's own for wrong arguments and the help.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Result<bool, clap::Error> {
    let mut command = command().bin_name("sakuga-server store");
    let matches = command.try_get_matches_from_mut(arguments)?;
    let Some((name, given)) = matches.subcommand() else { return Ok(false) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(work(name, given)),
        Err(error) => Err(MaintenanceError::File { path: "a thread".into(), error }),
    };
    Ok(done.unwrap_or_else(|error| {
        eprintln!("sakuga-server: {error}");
        false
    }))
}

async fn work(name: &str, given: &ArgMatches) -> Result<bool, MaintenanceError> {
    let path = |name: &str| given.get_one::<PathBuf>(name).map(PathBuf::as_path);
    let artifacts = given.get_one::<String>("artifacts").map(String::as_str);
    let folder = DataFolder::open(path("data-dir").unwrap_or(Path::new(".")), artifacts)?;
    let is_stdio = |path: &Path| path.as_os_str() == "-";
    match name {
        "check" => {
            let checked = check::check(&folder).await?;
            Ok(print(&checked) && checked.problems.is_empty())
        }
        "repair" => {
            let repaired = repair::repair(&folder)?;
            Ok(print(&repaired) && repaired.is_whole())
        }
        "export" => {
            let out = path("out").unwrap_or(Path::new("-"));
            if is_stdio(out) {
                let exported = export::export(&folder, io::stdout().lock(), out).await?;
                eprint!("{exported}");
                return Ok(exported.left_out.is_empty());
            }
            let file = new_file(out).map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => MaintenanceError::OutExists(out.to_owned()),
                _ => MaintenanceError::File { path: out.to_owned(), error },
            })?;
            match export::export(&folder, io::BufWriter::new(&file), out).await {
                Ok(exported) => {
                    file.sync_all().map_err(|error| MaintenanceError::File { path: out.to_owned(), error })?;
                    Ok(print(&exported) && exported.left_out.is_empty())
                }
                Err(error) => {
                    // A part of an archive is useless.
                    let _ = std::fs::remove_file(out);
                    Err(error)
                }
            }
        }
        _ => {
            let from = path("archive").unwrap_or(Path::new("-"));
            let imported = match is_stdio(from) {
                true => import::import(&folder, io::stdin().lock()).await?,
                false => import::import(&folder, import::open(from)?).await?,
            };
            Ok(print(&imported) && imported.refused.is_empty())
        }
    }
}

/// A new file that only its owner reads: it has prompts in it.
fn new_file(path: &Path) -> io::Result<std::fs::File> {
    let mut options = std::fs::File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn print(done: &impl Display) -> bool {
    io::stdout().write_all(done.to_string().as_bytes()).is_ok()
}
