//! The configuration, checked: every problem is reported, not just the first.

use std::ffi::OsString;
use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use sakuga_model_core::{LoraChoice, ModelOptions, Precision, limits};

use crate::engine::scripted::Script;
use crate::limits::Limits;
use crate::retention::Retention;
use crate::settings::Given;
use crate::store::place::DataPlace;
use crate::trace;
use crate::transport::credentials::Credentials;
use crate::transport::{self, TransportConfig};

/// Mebibytes of pictures that a server keeps in memory unless it is told otherwise.
const KEEP_MIB_IN_MEMORY: u64 = 256;

/// All that can be configured.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Limits, keys and tokens of connections and calls.
    pub transport: TransportConfig,
    /// What draws.
    pub engine: EngineChoice,
    /// What a request may ask for.
    pub limits: Limits,
    /// Where jobs are kept, and for how long.
    pub jobs: JobsConfig,
    /// How long the running job may go on at the end.
    pub drain_timeout: Duration,
    /// Where traces and metrics are sent; `None`: nowhere.
    pub otlp_endpoint: Option<String>,
    /// How the log is written.
    pub log_format: LogFormat,
    /// What is logged.
    pub log_filter: String,
}

/// Where jobs are kept, and for how long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobsConfig {
    /// Where.
    pub place: DataPlace,
    /// A URL for their pictures; `None`: beside the jobs.
    pub artifacts: Option<String>,
    /// For how long.
    pub retention: Retention,
}

/// What draws.
#[derive(Clone, Debug)]
pub enum EngineChoice {
    /// Gradients on a timetable.
    Scripted(Script),
    /// The model.
    #[cfg(feature = "burn")]
    Burn(ModelOptions),
}

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A flag does not exist, or the help or the version was asked for.
    #[error(transparent)]
    Flags(#[from] clap::Error),
    /// Values that cannot be; every one is listed.
    #[error("the configuration is wrong:\n{}", .0.iter().map(|problem| format!("  {problem}")).collect::<Vec<_>>().join("\n"))]
    Values(Vec<String>),
}

impl Default for Config {
    /// The defaults, with the scripted engine and a port that the system chooses: what tests start from.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            transport: TransportConfig::default(),
            engine: EngineChoice::Scripted(Script::default()),
            limits: Limits::default(),
            jobs: JobsConfig::default(),
            drain_timeout: Duration::from_secs(30),
            otlp_endpoint: None,
            log_format: LogFormat::Text,
            log_filter: "info".into(),
        }
    }
}

impl Config {
    /// Reads flags, environment and file. `arguments` begins with the program's name.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with every problem that there is.
    pub fn load(
        arguments: impl IntoIterator<Item = OsString>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let given = Given::collect(arguments, &environment, &mut problems)?;
        let mut reader = Reader { given: &given, environment: &environment, problems };
        let config = reader.config();
        match config {
            Some(config) if reader.problems.is_empty() => Ok(config),
            _ => Err(ConfigError::Values(reader.problems)),
        }
    }
}

impl Config {
    /// Whether the program is only to check its configuration, and then the configuration file that says all of it.
    /// Called when [`Config::load`] has found no problem.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if a file that the configuration names cannot be used.
    pub fn check_only(
        &self,
        arguments: impl IntoIterator<Item = OsString>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<String>, ConfigError> {
        let mut problems = Vec::new();
        let given = Given::collect(arguments, environment, &mut problems)?;
        if !given.only_checks() {
            return Ok(None);
        }
        problems.extend(Credentials::problems(&self.transport));
        if problems.is_empty() { Ok(Some(given.effective())) } else { Err(ConfigError::Values(problems)) }
    }
}

/// Reads values and collects what is wrong with them.
pub(crate) struct Reader<'a> {
    given: &'a Given,
    environment: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<String>,
}

impl Reader<'_> {
    fn config(&mut self) -> Option<Config> {
        // Each part is read before any is needed, so that every problem is found.
        let transport = transport::settings::read(self);
        let listen = self.listen();
        let engine = self.engine();
        let limits = self.limits();
        let port = listen.map_or(0, |address| address.port());
        let jobs = self.jobs(port);
        let drain_timeout_s = self.count("drain-timeout", 0..=86_400);
        let otlp_endpoint = trace::settings::read(self);
        let log_format = self.choice("log-format", &[("text", LogFormat::Text), ("json", LogFormat::Json)]);
        let log_filter = self.log_filter();
        Some(Config {
            listen: listen?,
            transport: transport?,
            engine: engine?,
            limits: limits?,
            jobs: jobs?,
            drain_timeout: Duration::from_secs(drain_timeout_s?),
            otlp_endpoint: otlp_endpoint?,
            log_format: log_format?,
            log_filter: log_filter?,
        })
    }

    fn listen(&mut self) -> Option<SocketAddr> {
        let address: Option<SocketAddr> = self.parse("listen", "write an address and a port, such as 127.0.0.1:50051");
        let is_insecure = self.switch("insecure-listen")?;
        let address = address?;
        if !address.ip().is_loopback() && !is_insecure && !self.is_given("tls-cert") {
            self.problems.push(format!(
                "{address} can be reached by other machines, without encryption; encrypt with --tls-cert and --tls-key, \
                 listen on 127.0.0.1, or allow it with --insecure-listen"
            ));
            return None;
        }
        Some(address)
    }

    fn engine(&mut self) -> Option<EngineChoice> {
        let scripted = self.choice("engine", &[("burn", false), ("scripted", true)]);
        let step_ms = self.count("scripted-step-ms", 0..=60_000);
        let burn = self.burn();
        if scripted? {
            let step_ms = step_ms?;
            let default = Script::default();
            return Some(EngineChoice::Scripted(Script {
                step_ms,
                text_encode_ms: default.text_encode_ms.min(step_ms),
                decode_ms: default.decode_ms.min(step_ms),
                ..default
            }));
        }
        #[cfg(feature = "burn")]
        return burn.map(EngineChoice::Burn);
        #[cfg(not(feature = "burn"))]
        {
            let _ = burn;
            self.problems.push("this program was built without the engine `burn`; use `--engine scripted`".into());
            None
        }
    }

    fn burn(&mut self) -> Option<ModelOptions> {
        let device = self.parse("device", "write `auto`, `cpu` or `cuda:N` with N counted from 0");
        let precisions = [
            ("auto", None),
            ("bf16", Some(Precision::Bf16)),
            ("f32", Some(Precision::F32)),
            ("fp8", Some(Precision::Fp8)),
        ];
        let precision = self.choice("precision", &precisions);
        let max_batch = self.count("max-batch", 0..=u64::from(limits::IMAGES.max));
        let warm_up = self.parse("warm-up", "write `auto`, `none`, or sizes in pixels such as `1024x1024,832x1216`");
        // What is wrong with it is said where the limits are read.
        let pixels_max = self.given.get("max-pixels").and_then(|(value, _)| value.trim().parse().ok());
        let offload_text_encoder = self.switch("offload-text-encoders");
        let loras = self.loras();
        let model = self.given.get("model").map(|(value, _)| value).filter(|value| *value != "embedded");
        Some(ModelOptions {
            device: device?,
            precision: precision?,
            model: model.map(PathBuf::from),
            loras: loras?,
            cache_dir: self.given.get("cache-dir").map(|(value, _)| PathBuf::from(value)),
            max_batch: max_batch? as u32,
            warm_up: warm_up?,
            pixels_max: pixels_max?,
            offload_text_encoder: offload_text_encoder?,
        })
    }

    fn loras(&mut self) -> Option<Vec<LoraChoice>> {
        let (values, origin) = self.given.all("lora");
        let read = values.iter().map(|value| {
            let choice = value.parse().ok();
            if choice.is_none() {
                self.problems.push(format!(
                    "{origin}: `{value}` cannot be read; write a path, or a path, `=` and a finite number other than 0"
                ));
            }
            choice
        });
        // Every one is read before any is needed.
        read.collect::<Vec<_>>().into_iter().collect()
    }

    fn limits(&mut self) -> Option<Limits> {
        let queued_max = self.count("queue-size", 1..=100_000);
        let streams_max = self.count("max-streams", 1..=1_000_000);
        let images_max = self.count("max-images", 1..=limits::IMAGES.max.into());
        let steps_max = self.count("max-steps", 1..=limits::STEPS.max.into());
        let pixels_max = self.count("max-pixels", 256..=1 << 28);
        let client_jobs_max = self.count("client-jobs", 0..=100_000);
        let client_rate_max = self.count("client-rate", 0..=1_000_000);
        let job_memory_mib = self.count("job-memory-mib", 0..=1 << 40);
        let silence_max_s = self.count("step-timeout", 0..=1_000_000);
        let attempts_max = self.count("max-attempts", 1..=1_000_000);
        let prompt_bytes_max = self.count("max-prompt-bytes", 1..=limits::PROMPT_BYTES.max as u64);
        Some(Limits {
            prompt_bytes_max: prompt_bytes_max? as usize,
            pixels_max: pixels_max?,
            images_max: images_max? as u32,
            steps_max: steps_max? as u32,
            queued_max: queued_max? as usize,
            streams_max: streams_max? as usize,
            client_jobs_max: client_jobs_max? as usize,
            client_rate_max: client_rate_max? as u32,
            job_memory_max: Some(job_memory_mib? << 20).filter(|bytes| *bytes > 0),
            silence_max: Some(Duration::from_secs(silence_max_s?)).filter(|time| !time.is_zero()),
            attempts_max: attempts_max? as u32,
        })
    }

    fn jobs(&mut self, port: u16) -> Option<JobsConfig> {
        const HOUR: u64 = 3600;
        let place = match self.given.get("data-dir")?.0 {
            "auto" => DataPlace::of_port(port, self.environment),
            "memory" => DataPlace::Memory,
            folder => DataPlace::Folder(folder.into()),
        };
        let artifacts = self.given.get("artifacts").map(|(value, _)| value.to_owned());
        let age_h = self.count("keep-hours", 0..=1_000_000);
        let event_age_h = self.count("keep-steps-hours", 0..=1_000_000);
        let count = self.count("keep-jobs", 0..=10_000_000);
        let mib = self.count("keep-mib", 0..=1 << 40);
        // Memory is dearer than a disk.
        let is_default = self.given.get("keep-mib").is_some_and(|(_, origin)| origin == "the default");
        let mib =
            mib.map(|mib| if place == DataPlace::Memory && is_default { mib.min(KEEP_MIB_IN_MEMORY) } else { mib });
        let retention = Retention {
            age: Duration::from_secs(age_h? * HOUR),
            event_age: Duration::from_secs(event_age_h? * HOUR),
            count: count? as usize,
            bytes: mib? << 20,
        };
        Some(JobsConfig { place, artifacts, retention })
    }

    fn log_filter(&mut self) -> Option<String> {
        let (value, origin) = self.given.get("log")?;
        match tracing_subscriber::EnvFilter::builder().parse(value) {
            Ok(_) => Some(value.to_owned()),
            Err(error) => {
                self.problems.push(format!("{origin}: `{value}` is no filter: {error}"));
                None
            }
        }
    }

    /// Notes a problem.
    pub(crate) fn problem(&mut self, problem: String) {
        self.problems.push(problem);
    }

    pub(crate) fn is_given(&self, name: &str) -> bool {
        self.given.get(name).is_some()
    }

    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        self.given.get(name).map(|(value, _)| PathBuf::from(value))
    }

    /// The values of a list, and where they came from.
    pub(crate) fn list(&self, name: &str) -> (Vec<String>, String) {
        let (values, origin) = self.given.all(name);
        (values.to_vec(), origin.to_owned())
    }

    pub(crate) fn switch(&mut self, name: &str) -> Option<bool> {
        self.choice(name, &[("true", true), ("false", false)])
    }

    /// A value that its type can read.
    pub(crate) fn parse<T: FromStr>(&mut self, name: &str, remedy: impl Display) -> Option<T> {
        let (value, origin) = self.given.get(name)?;
        let parsed = value.trim().parse().ok();
        if parsed.is_none() {
            self.problems.push(format!("{origin}: `{value}` cannot be read; {remedy}"));
        }
        parsed
    }

    pub(crate) fn count(&mut self, name: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let remedy = format!("write a whole number from {} to {}", range.start(), range.end());
        let count = self.parse(name, &remedy)?;
        if range.contains(&count) {
            return Some(count);
        }
        let origin = self.given.get(name).map_or(name, |(_, origin)| origin);
        self.problems.push(format!("{origin}: {count} is out of range; {remedy}"));
        None
    }

    fn choice<T: Copy>(&mut self, name: &str, choices: &[(&str, T)]) -> Option<T> {
        let (value, origin) = self.given.get(name)?;
        let chosen = choices.iter().find(|(word, _)| *word == value.trim()).map(|(_, choice)| *choice);
        if chosen.is_none() {
            let words: Vec<String> = choices.iter().map(|(word, _)| format!("`{word}`")).collect();
            self.problems.push(format!("{origin}: `{value}` is none of {}", words.join(", ")));
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn load(flags: &[&str], environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let arguments = std::iter::once("sakuga-server").chain(flags.iter().copied()).map(OsString::from);
        Config::load(arguments, |name| {
            environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn problems(found: Result<Config, ConfigError>) -> Vec<String> {
        match found {
            Err(ConfigError::Values(problems)) => problems,
            other => panic!("expected problems, found {other:?}"),
        }
    }

    #[test]
    fn the_defaults_are_valid_and_local() {
        let config = load(&[], &[]).expect("defaults");
        assert_eq!(config.listen.to_string(), "127.0.0.1:50051");
        assert_eq!(config.limits, Limits::default());
        assert_eq!(config.jobs.place, DataPlace::Memory, "no home is known here");
        let kept = load(&["--data-dir", "/jobs", "--keep-jobs", "3"], &[]).expect("valid").jobs;
        assert_eq!(kept.place, DataPlace::Folder("/jobs".into()));
        assert_eq!(kept.retention, Retention { count: 3, ..Retention::default() });
    }

    #[test]
    fn flags_win_over_environment_over_file() {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(b"queue-size = 1\nmax-images = 2\nmax-steps = 3\n").expect("a temporary file");
        let path = file.path().to_str().expect("a plain path");
        let flags = ["--config", path, "--max-steps", "5"];
        let config = load(&flags, &[("SAKUGA_MAX_IMAGES", "4"), ("SAKUGA_MAX_STEPS", "9")]).expect("valid");
        assert_eq!((config.limits.queued_max, config.limits.images_max, config.limits.steps_max), (1, 4, 5));
    }

    #[test]
    fn every_problem_is_reported_with_its_origin() {
        let flags = ["--listen", "nowhere", "--device", "tpu", "--max-images", "99", "--log-format", "xml"];
        let found = problems(load(&flags, &[("SAKUGA_QUEUE_SIZE", "many")]));
        for part in ["--listen", "--device", "--max-images: 99", "`text`, `json`", "SAKUGA_QUEUE_SIZE: `many`"] {
            assert!(found.iter().any(|problem| problem.contains(part)), "{part} is not in {found:?}");
        }
        assert_eq!(found.len(), 5, "{found:?}");
    }

    #[test]
    fn other_machines_are_let_in_on_purpose_only() {
        let found = problems(load(&["--listen", "0.0.0.0:1"], &[]));
        assert!(found[0].contains("--insecure-listen"), "{found:?}");
        for flags in [&["--listen", "0.0.0.0:1", "--insecure-listen"][..], &["--listen", "[::1]:1"]] {
            assert!(load(flags, &[]).is_ok(), "{flags:?}");
        }
    }

    #[test]
    fn a_misspelt_key_in_the_file_is_a_problem() {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(b"queue_size = 1\nlisten = [1]\n").expect("a temporary file");
        let found = problems(load(&["--config", file.path().to_str().expect("a plain path")], &[]));
        assert!(found.iter().any(|problem| problem.contains("no setting `queue_size`")), "{found:?}");
        assert!(found.iter().any(|problem| problem.contains("`listen` must be")), "{found:?}");
        assert!(!problems(load(&["--config", "/no/such/file"], &[])).is_empty());
    }

    #[test]
    fn adapters_can_be_given_several_times() {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(b"lora = [\"c\", \"d=2\"]\n").expect("a temporary file");
        let path = file.path().to_str().expect("a plain path");
        let joined = std::env::join_paths(["e=0.5", "f"]).expect("plain paths").into_string().expect("plain paths");
        let given = |flags: &[&str], environment: &[(&str, &str)]| {
            let arguments = std::iter::once("sakuga-server").chain(flags.iter().copied()).map(OsString::from);
            let variable =
                |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
            let mut problems = Vec::new();
            let given = Given::collect(arguments, variable, &mut problems).expect("known flags");
            assert_eq!(problems, Vec::<String>::new());
            given.all("lora").0.to_vec()
        };
        assert_eq!(given(&["--lora", "a=1", "--lora", "b"], &[("SAKUGA_LORA", &joined)]), ["a=1", "b"]);
        assert_eq!(given(&["--config", path], &[("SAKUGA_LORA", &joined)]), ["e=0.5", "f"]);
        assert_eq!(given(&["--config", path], &[]), ["c", "d=2"]);
        let found = problems(load(&["--lora", "a=0", "--lora", "b=inf"], &[]));
        assert!(found.iter().filter(|problem| problem.starts_with("--lora: ")).count() == 2, "{found:?}");
    }

    #[cfg(feature = "burn")]
    #[test]
    fn the_precision_is_one_of_four_words() {
        for (word, choice) in [
            ("auto", None),
            ("bf16", Some(Precision::Bf16)),
            ("f32", Some(Precision::F32)),
            ("fp8", Some(Precision::Fp8)),
        ] {
            match load(&["--engine", "burn", "--precision", word], &[]) {
                Ok(Config { engine: EngineChoice::Burn(burn), .. }) => assert_eq!(burn.precision, choice, "{word}"),
                other => panic!("{word}: {other:?}"),
            }
        }
        let found = problems(load(&["--engine", "burn", "--precision", "int8"], &[]));
        assert!(found.iter().any(|problem| problem.contains("`bf16`, `f32`, `fp8`")), "{found:?}");
    }

    #[test]
    fn unknown_flags_are_clap_s_business() {
        assert!(matches!(load(&["--no-such-flag"], &[]), Err(ConfigError::Flags(_))));
    }
}
