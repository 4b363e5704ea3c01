//! Every setting of the server in one table, and where its value comes from: flag, then environment, then file, then
//! default.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::auth::token_command;
use crate::trace;
use crate::transport;

/// One setting. The flag is `--name`, the environment variable `SAKUGA_NAME` in capitals with `_`, the key of the
/// configuration file `name`.
pub struct Setting {
    /// Its name in kebab case.
    pub name: &'static str,
    /// What its value is, for the help; empty for a switch.
    pub value: &'static str,
    /// Its value unless one is given; empty: none.
    pub default: &'static str,
    /// What it does. `--help` is the manual.
    pub help: &'static str,
}

/// Those of the service, in the order of the help.
pub const SETTINGS: &[Setting] = &[
    Setting {
        name: "listen",
        value: "ADDR:PORT",
        default: "127.0.0.1:50051",
        help: "Where to listen. With port 0 the system chooses one; the address is printed on standard output as \
               `listening on http://ADDR:PORT`.",
    },
    Setting {
        name: "insecure-listen",
        value: "",
        default: "false",
        help: "Allow an address that other machines can reach without --tls-cert. Without encryption everybody between \
               reads along, and without --tokens or --tls-client-ca whoever reaches the port can draw.",
    },
    Setting {
        name: "engine",
        value: "burn|scripted",
        default: if cfg!(feature = "burn") { "burn" } else { "scripted" },
        help: "What draws. `burn` runs the model; `scripted` draws gradients on a timetable, for tests and for writing \
               clients.",
    },
    Setting {
        name: "device",
        value: "auto|cpu|cuda:N",
        default: "auto",
        help: "The device. `auto` is the first GPU if this program was built with GPU code, else the CPU; a machine \
               without the GPU that was built for is an error, never a silent fall to the CPU.",
    },
    Setting {
        name: "precision",
        value: "auto|bf16|f32|fp8",
        default: "auto",
        help: "How tensors are computed. `auto` is bf16 on a GPU and f32 on the CPU. `fp8` computes the denoiser's \
               matrix products in 8 bits (e4m3, a scale for each token and each output) and everything else in bf16; it needs an NVIDIA GPU of \
               compute capability 9.0 (H100, H200) and cuBLASLt 12.9 or newer, and the server says at its start what is \
               missing.",
    },
    Setting {
        name: "model",
        value: "DIR|embedded",
        default: "embedded",
        help: "The model: a diffusers folder as published (model_index.json, transformer, text_encoder, clip_model, \
               vae), or the small one that this program brings.",
    },
    Setting {
        name: "lora",
        value: "PATH[=SCALE]",
        default: "",
        help: "A LoRA or LoKr adapter to merge into the model: a .safetensors file or a PEFT folder, with a factor on its \
               effect (1 is as trained). Can be given several times; a list in the file, and in the environment \
               separated like the folders of PATH.",
    },
    Setting {
        name: "cache-dir",
        value: "DIR",
        default: "",
        help: "Where the embedded model is unpacked. By default $XDG_CACHE_HOME/sakuga, or ~/.cache/sakuga.",
    },
    Setting {
        name: "max-batch",
        value: "N",
        default: "0",
        help: "Most pictures of one request that are computed at once; a larger request is computed in turns. 0: all.",
    },
    Setting {
        name: "warm-up",
        value: "auto|none|WxH,WxH",
        default: "auto",
        help: "Sizes in pixels that are drawn once before the server is ready, so that the device's memory is taken and \
               kernels are chosen by then. Nothing larger is accepted afterwards. `auto` is, on a GPU, the model's default \
               size and the largest that `max-pixels` lets, and nothing on the CPU.",
    },
    Setting {
        name: "offload-text-encoders",
        value: "",
        default: "false",
        help: "Keeps the weights of the large text encoder in the host's memory, 7.8 GB for NewBie; a \
               prompt that was not seen before then takes some tenths of a second longer. For GPUs with less memory.",
    },
    Setting {
        name: "queue-size",
        value: "N",
        default: "64",
        help: "Jobs that may wait. Further ones are refused with RESOURCE_EXHAUSTED and told when to come again.",
    },
    Setting {
        name: "max-streams",
        value: "N",
        default: "1024",
        help: "Streams of events and pictures that may be open.",
    },
    Setting { name: "max-images", value: "N", default: "8", help: "Pictures that one request may ask for, 1 to 16." },
    Setting { name: "max-steps", value: "N", default: "200", help: "Steps that one request may ask for, 1 to 200." },
    Setting {
        name: "max-pixels",
        value: "N",
        default: "4194304",
        help: "Pixels that one picture may have; the default is 2048 x 2048.",
    },
    Setting {
        name: "max-prompt-bytes",
        value: "N",
        default: "65536",
        help: "Bytes that the text of a prompt may have, at most 65536. The encoders read about 2 KiB.",
    },
    Setting {
        name: "data-dir",
        value: "DIR|memory|auto",
        default: "auto",
        help: "Where jobs, events and pictures are kept. `auto` is a folder for the port under $XDG_STATE_HOME/sakuga or \
               ~/.local/state/sakuga, and memory with port 0. With `memory` they end with the server.",
    },
    Setting {
        name: "artifacts",
        value: "URL",
        default: "",
        help: "Where pictures are kept instead, such as `s3://bucket/folder`, with credentials, region and endpoint from \
               the AWS_ variables. Needs a program that was built with the feature `s3`.",
    },
    Setting { name: "keep-hours", value: "HOURS", default: "168", help: "How long a job is kept after its end." },
    Setting {
        name: "keep-steps-hours",
        value: "HOURS",
        default: "24",
        help: "How long its steps are kept; the pictures and the end stay.",
    },
    Setting { name: "keep-jobs", value: "N", default: "10000", help: "How many ended jobs are kept." },
    Setting {
        name: "keep-mib",
        value: "MIB",
        default: "10240",
        help: "How many MiB their pictures may have together; 256 with `--data-dir memory` unless it is given. The oldest \
               go first.",
    },
    Setting {
        name: "client-jobs",
        value: "N",
        default: "0",
        help: "Jobs that one client may have queued and running. A client is its token or certificate if calls need \
               one, else what its calls say in `sakuga-client-id`, else its address. 0: as many as it likes.",
    },
    Setting {
        name: "client-rate",
        value: "N",
        default: "0",
        help: "Jobs that one client may ask for in a minute. 0: as many as it likes.",
    },
    Setting {
        name: "job-memory-mib",
        value: "MIB",
        default: "0",
        help: "Device memory that a job may need by estimate, weights included. 0: as much as the device has.",
    },
    Setting {
        name: "step-timeout",
        value: "SECONDS",
        default: "900",
        help: "How long a step, or another part of a job, may take before the engine counts as hung: the job fails and the \
               engine is opened anew. 0: as long as it takes.",
    },
    Setting {
        name: "max-attempts",
        value: "N",
        default: "5",
        help: "How often a job is begun if the server is stopped under it; then it fails.",
    },
    Setting {
        name: "drain-timeout",
        value: "SECONDS",
        default: "30",
        help: "How long the running job may go on after SIGTERM or Ctrl-C. Jobs that wait are kept for the next start, or \
               given up at once with `--data-dir memory`.",
    },
    Setting {
        name: "scripted-step-ms",
        value: "MS",
        default: "50",
        help: "With `--engine scripted`: how long a step takes, and at the most the encoders and the decoder.",
    },
    Setting {
        name: "log-format",
        value: "text|json",
        default: "text",
        help: "How the log is written, on standard error.",
    },
    Setting {
        name: "log",
        value: "FILTER",
        default: "info",
        help: "What is logged: a level, or directives such as `info,sakuga_server=debug`. Prompts are logged at `debug` \
               only.",
    },
];

/// Those of the whole program: these, those of the transport and those of traces.
pub fn all() -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().chain(transport::settings::SETTINGS).chain(trace::settings::SETTINGS)
}

/// Settings that can be given several times.
const LISTS: &[&str] = &["lora", "cors-origin"];

/// The values that were given, each with where it came from.
pub struct Given {
    values: BTreeMap<&'static str, Values>,
    only_checks: bool,
}

/// What was given for a setting, one value unless it is a list, and where.
type Values = (Vec<String>, String);

impl Given {
    /// Collects the values of flags, environment and configuration file; what is wrong with the file goes to `problems`.
    ///
    /// # Errors
    ///
    /// clap's own for flags that do not exist, `--help` and `--version`.
    pub fn collect(
        arguments: impl IntoIterator<Item = OsString>,
        environment: impl Fn(&str) -> Option<String>,
        problems: &mut Vec<String>,
    ) -> Result<Self, clap::Error> {
        let flags = command().try_get_matches_from(arguments)?;
        let file = config_file(&flags, &environment).map(|path| read_file(&path, problems)).unwrap_or_default();
        let mut values = BTreeMap::new();
        for setting in all() {
            let variable = variable(setting.name);
            let flag = flags
                .get_many::<String>(setting.name)
                .map(|values| (values.cloned().collect(), format!("--{}", setting.name)));
            let from_variable =
                |name: &str| Some((from_environment(setting.name, environment(name)?), name.to_owned()));
            let given = flag
                .or_else(|| from_variable(&variable))
                .or_else(|| from_variable(shared_variable(setting.name)?).filter(|(values, _)| values != &[""]))
                .or_else(|| file.get(setting.name).cloned());
            if let Some(given) = given {
                values.insert(setting.name, given);
            }
        }
        Ok(Self { values, only_checks: flags.get_flag(CHECK) })
    }

    /// All values of a setting that can be given several times, and where they came from.
    pub fn all(&self, name: &str) -> (&[String], &str) {
        self.values.get(name).map_or((&[][..], ""), |(values, origin)| (values.as_slice(), origin.as_str()))
    }

    /// Whether the configuration is only to be checked.
    pub fn only_checks(&self) -> bool {
        self.only_checks
    }

    /// The configuration file that says all this, each line with where it came from. Passwords in addresses are masked.
    pub fn effective(&self) -> String {
        let line = |setting: &Setting| {
            // A text in JSON is one in TOML.
            let text = |value: &str| serde_json::Value::String(masked(value)).to_string();
            match self.values.get(setting.name) {
                Some((values, origin)) if LISTS.contains(&setting.name) => {
                    let values: Vec<String> = values.iter().map(|value| text(value)).collect();
                    format!("{} = [{}] # {origin}\n", setting.name, values.join(", "))
                }
                _ => self.get(setting.name).map_or_else(
                    || format!("# {} is not set\n", setting.name),
                    |(value, origin)| format!("{} = {} # {origin}\n", setting.name, text(value)),
                ),
            }
        };
        all().map(line).collect()
    }

    /// The value of a setting and where it came from; its default if none was given, `None` if it has none.
    pub fn get(&self, name: &str) -> Option<(&str, &str)> {
        if let Some((values, origin)) = self.values.get(name) {
            return values.last().map(|value| (value.as_str(), origin.as_str()));
        }
        let setting = all().find(|setting| setting.name == name)?;
        Some((setting.default, "the default")).filter(|(value, _)| !value.is_empty())
    }
}

/// The values in an environment variable.
fn from_environment(name: &str, value: String) -> Vec<String> {
    if !LISTS.contains(&name) {
        return vec![value];
    }
    if name == "cors-origin" {
        return value.split(',').map(|origin| origin.trim().to_owned()).filter(|origin| !origin.is_empty()).collect();
    }
    let paths = std::env::split_paths(&value).map(|path| path.to_string_lossy().into_owned());
    paths.filter(|path| !path.is_empty()).collect()
}

/// A value of the file as flags would have it.
fn scalar(value: toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(switch) => Some(switch.to_string()),
        _ => None,
    }
}

/// The value with what stands for user and password in an address taken out.
fn masked(value: &str) -> String {
    let Some((scheme, rest)) = value.split_once("://") else { return value.to_owned() };
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..authority].rfind('@') {
        Some(at) => format!("{scheme}://***{}", &rest[at..]),
        None => value.to_owned(),
    }
}

/// The environment variable of a setting.
fn variable(name: &str) -> String {
    format!("SAKUGA_{}", name.replace('-', "_").to_uppercase())
}

/// The environment variable, beside its own, that programs of every maker read for the same thing. One that is empty
/// counts as not set.
fn shared_variable(name: &str) -> Option<&'static str> {
    (name == "otlp-endpoint").then_some("OTEL_EXPORTER_OTLP_ENDPOINT")
}

/// The flag that only checks.
const CHECK: &str = "check-config";

fn command() -> Command {
    let command = Command::new("sakuga-server")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Draws anime pictures from typed XML prompts, over gRPC.")
        .after_help(
            "Every option can also be given as an environment variable or, under the same name without the dashes, in \
             the TOML file of --config. Flags win over the environment, and that over the file.\n\n\
             Exit status: 0 after a shutdown by signal, 1 if the server cannot start or fails, 64 if the configuration \
             is wrong.",
        )
        .arg(
            Arg::new("config").long("config").value_name("FILE").help("A TOML file with settings [env: SAKUGA_CONFIG]"),
        )
        .arg(Arg::new(CHECK).long(CHECK).action(ArgAction::SetTrue).help(
            "Check the configuration and the files that it names, print it as a configuration file, and exit: 0 if it \
             is right, 64 if not",
        ))
        .args_conflicts_with_subcommands(true)
        .subcommand(token_command::command());
    all().fold(command, |command, setting| {
        let origin = match setting.default {
            "" => format!("[env: {}]", variable(setting.name)),
            default => format!("[default: {default}] [env: {}]", variable(setting.name)),
        };
        let action = if LISTS.contains(&setting.name) { ArgAction::Append } else { ArgAction::Set };
        let argument =
            Arg::new(setting.name).long(setting.name).action(action).help(format!("{} {origin}", setting.help));
        command.arg(match setting.value {
            "" => argument.value_name("true|false").num_args(0..=1).require_equals(true).default_missing_value("true"),
            value => argument.value_name(value),
        })
    })
}

fn config_file(flags: &ArgMatches, environment: &impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let flag = flags.get_one::<String>("config").cloned();
    flag.or_else(|| environment("SAKUGA_CONFIG")).map(PathBuf::from)
}

/// The settings of a file. An unknown key is a problem: it may be a misspelt limit.
fn read_file(path: &std::path::Path, problems: &mut Vec<String>) -> BTreeMap<String, Values> {
    let shown = path.display();
    let table = std::fs::read_to_string(path)
        .map_err(|error| format!("{shown}: {error}; name a file that can be read"))
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
        if !all().any(|setting| setting.name == key) {
            let known: Vec<&str> = all().map(|setting| setting.name).collect();
            problems.push(format!("{shown}: there is no setting `{key}`; there are {}", known.join(", ")));
            continue;
        }
        let is_list = LISTS.contains(&key.as_str());
        let written = match value {
            toml::Value::Array(values) if is_list => values,
            value => vec![value],
        };
        let texts: Option<Vec<String>> = written.into_iter().map(scalar).collect();
        match texts {
            Some(texts) => _ = values.insert(key.clone(), (texts, format!("`{key}` of {shown}"))),
            None if is_list => problems.push(format!("{shown}: `{key}` must be a text or a list of texts")),
            None => problems.push(format!("{shown}: `{key}` must be a text, a number, true or false")),
        }
    }
    values
}
