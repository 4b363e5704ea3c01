//! Lists all settings, and writes the effective configuration as a file.

use clap::{Arg, Command};

use super::layers::{self, Layers};
use super::{Config, command};
use crate::store::place::DataPlace;

/// One setting, as the help and the example file describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its flag without the dashes, and its key in the file.
    pub name: String,
    /// The heading of its group.
    pub group: String,
    /// What its value is, such as `N`.
    pub value: String,
    /// Its default as the command line writes it; `None`: it has none.
    pub default: Option<String>,
    /// What it does.
    pub help: String,
    /// Whether it can be given several times.
    pub is_list: bool,
}

/// Every setting, in the order of the help.
pub fn settings() -> Vec<Setting> {
    let command = command();
    let setting = |(name, argument): (&str, &Arg)| {
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        Setting {
            name: name.to_owned(),
            group: argument.get_help_heading().unwrap_or_default().to_owned(),
            value: argument
                .get_value_names()
                .and_then(|names| names.first())
                .map(ToString::to_string)
                .unwrap_or_default(),
            default: default(argument),
            help: help.split(" [env: ").next().unwrap_or_default().to_owned(),
            is_list: layers::is_list(argument),
        }
    };
    layers::settings(&command).map(setting).collect()
}

fn default(argument: &Arg) -> Option<String> {
    argument.get_default_values().first().map(|value| value.to_string_lossy().into_owned())
}

/// The effective configuration as a file. Each line has the source of its value; passwords in addresses are masked.
pub(super) fn effective(command: &Command, layers: &Layers, config: &Config) -> String {
    let line = |(name, argument): (&str, &Arg)| match (layers.get(name), default(argument)) {
        (Some(given), _) if layers::is_list(argument) => {
            let values: Vec<String> = given.values.iter().map(|value| quoted(value)).collect();
            format!("{name} = [{}] # {}\n", values.join(", "), given.origin)
        }
        (Some(given), _) => {
            format!("{name} = {} # {}\n", quoted(given.values.last().map_or("", String::as_str)), given.origin)
        }
        (None, Some(_)) if name == "keep-mib" && config.jobs.place == DataPlace::Memory => {
            format!("{name} = {} # the default in memory\n", quoted(&(config.jobs.retention.bytes >> 20).to_string()))
        }
        (None, Some(default)) if layers::is_list(argument) => {
            format!("{name} = [{}] # the default\n", quoted(&default))
        }
        (None, Some(default)) => format!("{name} = {} # the default\n", quoted(&default)),
        (None, None) => format!("# {name} is not set\n"),
    };
    // Hidden ones are those that a role does not have.
    layers::settings(command).filter(|(_, argument)| !argument.is_hide_set()).map(line).collect()
}

/// A text as TOML has it, which is as JSON has it.
fn quoted(value: &str) -> String {
    serde_json::Value::String(masked(value)).to_string()
}

/// The value with user and password of an address replaced.
fn masked(value: &str) -> String {
    let Some((scheme, rest)) = value.split_once("://") else { return value.to_owned() };
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..authority].rfind('@') {
        Some(at) => format!("{scheme}://***{}", &rest[at..]),
        None => value.to_owned(),
    }
}
