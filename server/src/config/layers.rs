//! Resolves each setting: its flag wins over its environment variable, then the configuration file, then the default.
//!
//! Settings are declared once, as clap arguments, and the layers below the flags are parsed with the same clap parsers. A layered
//! reader such as `figment` was not used: it deserialises the merged layers with serde, which would state every setting a second
//! time and stop at the first error. Here a value is checked by the parser of its argument (ranges included), an unknown key gets a
//! suggestion, and all problems of all layers are reported at once.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::builder::StringValueParser;
use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::named_file;

/// The flag that names the file.
const FILE: &str = "config";
/// Bytes of that file.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// The flag that only checks.
const CHECK: &str = "check-config";
/// How similar a known key has to be to be suggested for an unknown one, from 0 to 1.
const SIMILARITY_MIN: f64 = 0.75;

/// The valid values that were given, by setting.
pub(crate) struct Layers {
    given: BTreeMap<String, Given>,
}

/// The values of a setting, one unless it is a list, and the layer that they are from.
pub(crate) struct Given {
    pub(crate) values: Vec<String>,
    pub(crate) origin: String,
}

/// Adds the flags that are not settings, and the variable of each setting to its help.
pub(crate) fn with_own_flags(command: Command) -> Command {
    let command = command.mut_args(|argument| {
        let help = argument.get_long_help().or(argument.get_help()).map(ToString::to_string).unwrap_or_default();
        let variable = argument.get_long().map(variable).unwrap_or_default();
        argument.long_help(None::<&str>).help(format!("{} [env: {variable}]", help.replace('\n', " ")))
    });
    command
        .next_help_heading("Configuration")
        .arg(Arg::new(FILE).long(FILE).value_name("FILE").help("A TOML file with settings [env: SAKUGA_CONFIG]"))
        .arg(Arg::new(CHECK).long(CHECK).action(ArgAction::SetTrue).help(
            "Check the configuration and the files and folders that it names without loading a model, print it as a \
             configuration file, and exit: 0 if it is right, 64 if not",
        ))
}

/// The command without the parsers of settings, so that one value that is not valid does not hide the next.
pub(crate) fn raw(command: &Command) -> Command {
    command.clone().mut_args(|argument| {
        if is_setting(&argument) { argument.value_parser(StringValueParser::new()) } else { argument }
    })
}

/// Whether the configuration is only to be checked.
pub(crate) fn only_checks(flags: &ArgMatches) -> bool {
    flags.get_flag(CHECK)
}

/// The settings of a command, as its arguments.
pub(crate) fn settings(command: &Command) -> impl Iterator<Item = (&str, &Arg)> {
    command
        .get_arguments()
        .filter(|argument| is_setting(argument))
        .filter_map(|argument| Some((argument.get_long()?, argument)))
}

fn is_setting(argument: &Arg) -> bool {
    !matches!(argument.get_long(), Some(FILE | CHECK | "help" | "version"))
}

/// Whether a setting can be given several times.
pub(crate) fn is_list(argument: &Arg) -> bool {
    matches!(argument.get_action(), ArgAction::Append)
}

/// The environment variable of a setting.
pub(crate) fn variable(name: &str) -> String {
    format!("SAKUGA_{}", name.replace('-', "_").to_uppercase())
}

/// A second variable of a setting that is a convention of other programs. An empty one counts as not set.
fn shared_variable(name: &str) -> Option<&'static str> {
    (name == "otlp-endpoint").then_some("OTEL_EXPORTER_OTLP_ENDPOINT")
}

impl Layers {
    /// Collects the values of flags, environment and file. Each that is not valid, and what is wrong with the file, goes to
    /// `problems`.
    pub(crate) fn collect(
        command: &Command,
        flags: &ArgMatches,
        environment: &dyn Fn(&str) -> Option<String>,
        problems: &mut Vec<String>,
    ) -> Self {
        let path = flags.get_one::<String>(FILE).cloned().or_else(|| environment("SAKUGA_CONFIG")).map(PathBuf::from);
        let mut file = path.map(|path| read_file(command, &path, problems)).unwrap_or_default();
        let mut given = BTreeMap::new();
        for (name, argument) in settings(command) {
            let found = from_flags(flags, argument, name)
                .or_else(|| from_environment(argument, &variable(name), environment))
                .or_else(|| {
                    from_environment(argument, shared_variable(name)?, environment)
                        .filter(|found| found.values.iter().any(|value| !value.is_empty()))
                })
                .or_else(|| file.remove(name));
            let Some(found) = found else { continue };
            let before = problems.len();
            problems.extend(found.values.iter().filter_map(|value| problem(argument, value, &found.origin)));
            if problems.len() == before {
                given.insert(name.to_owned(), found);
            }
        }
        Self { given }
    }

    /// What was given for a setting.
    pub(crate) fn get(&self, name: &str) -> Option<&Given> {
        self.given.get(name)
    }

    /// Whether a setting has a valid value that is not its default.
    pub(crate) fn is_given(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    /// Treats settings as not given.
    pub(crate) fn remove(&mut self, names: &[&str]) {
        self.given.retain(|name, _| !names.contains(&name.as_str()));
    }

    /// The equivalent command line.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = OsString> {
        let flags = self.given.iter().flat_map(|(name, given)| given.values.iter().map(move |value| flag(name, value)));
        std::iter::once("sakuga-server".into()).chain(flags)
    }
}

fn flag(name: &str, value: &str) -> OsString {
    format!("--{name}={value}").into()
}

/// What is wrong with a value.
fn problem(argument: &Arg, value: &str, origin: &str) -> Option<String> {
    let name = argument.get_long()?;
    let command = Command::new("value").arg(argument.clone().required(false));
    let error = command.try_get_matches_from(["value".into(), flag(name, value)]).err()?;
    let reason = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_else(|| {
        let Some(ContextValue::Strings(choices)) = error.get(ContextKind::ValidValue) else {
            return "is not valid".to_owned();
        };
        let choices: Vec<String> = choices.iter().map(|choice| format!("`{choice}`")).collect();
        format!("is not one of {}", choices.join(", "))
    });
    Some(format!("{origin}: `{value}` {reason}"))
}

fn from_flags(flags: &ArgMatches, argument: &Arg, name: &str) -> Option<Given> {
    let id = argument.get_id().as_str();
    if flags.value_source(id) != Some(ValueSource::CommandLine) {
        return None;
    }
    let values = flags.get_many::<String>(id)?.cloned().collect();
    Some(Given { values, origin: format!("--{name}") })
}

/// The value of a variable. A list has its own separator, or that of the folders of `PATH`.
fn from_environment(argument: &Arg, variable: &str, environment: &dyn Fn(&str) -> Option<String>) -> Option<Given> {
    let value = environment(variable)?;
    let values = match argument.get_value_delimiter() {
        _ if !is_list(argument) => vec![value],
        Some(delimiter) => {
            value.split(delimiter).map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
        }
        None => std::env::split_paths(&value)
            .map(|path| path.to_string_lossy().into_owned())
            .filter(|path| !path.is_empty())
            .collect(),
    };
    Some(Given { values, origin: variable.to_owned() })
}

/// The settings of a file. An unknown key is a problem: it may be a misspelt limit.
fn read_file(command: &Command, path: &Path, problems: &mut Vec<String>) -> BTreeMap<String, Given> {
    let shown = path.display();
    let table = named_file::read_text(path, FILE_BYTES_MAX)
        .map_err(|problem| format!("{shown}: {problem}"))
        .and_then(|text| text.parse::<toml::Table>().map_err(|error| format!("{shown}: {error}")));
    let table = match table {
        Ok(table) => table,
        Err(problem) => {
            problems.push(problem);
            return BTreeMap::new();
        }
    };
    let mut values = BTreeMap::new();
    for (key, value) in table {
        let Some((name, argument)) = settings(command).find(|(name, _)| *name == key) else {
            problems.push(format!("{shown}: there is no setting `{key}`; {}", suggestion(command, &key)));
            continue;
        };
        let written = match value {
            toml::Value::Array(values) if is_list(argument) => values,
            value => vec![value],
        };
        let texts: Option<Vec<String>> = written.into_iter().map(scalar).collect();
        match texts {
            Some(values_of_key) => {
                let given = Given { values: values_of_key, origin: format!("`{key}` of {shown}") };
                _ = values.insert(name.to_owned(), given);
            }
            None if is_list(argument) => problems.push(format!("{shown}: `{key}` must be a text or a list of texts")),
            None => problems.push(format!("{shown}: `{key}` must be a text, a number, true or false")),
        }
    }
    values
}

/// A value of the file as flags have it.
fn scalar(value: toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(switch) => Some(switch.to_string()),
        _ => None,
    }
}

/// The known key that is similar to an unknown one, else all known keys.
fn suggestion(command: &Command, key: &str) -> String {
    let wanted = key.to_lowercase().replace('_', "-");
    let scored = settings(command).map(|(name, _)| (strsim::jaro_winkler(name, &wanted), name));
    match scored.max_by(|one, other| one.0.total_cmp(&other.0)) {
        Some((similarity, name)) if similarity >= SIMILARITY_MIN => format!("did you mean `{name}`?"),
        _ => {
            let names: Vec<&str> = settings(command).map(|(name, _)| name).collect();
            format!("there are {}", names.join(", "))
        }
    }
}
