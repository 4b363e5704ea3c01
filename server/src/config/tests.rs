//! Tests of the configuration.

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

fn file(content: &str) -> (tempfile::NamedTempFile, String) {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(content.as_bytes()).expect("a temporary file");
    let path = file.path().to_str().expect("a plain path").to_owned();
    (file, path)
}

#[test]
fn the_command_line_is_one_that_clap_accepts() {
    command().debug_assert();
}

#[test]
fn every_command_has_examples_that_clap_accepts() {
    let mut open = vec![command()];
    let mut examples = 0;
    while let Some(inner) = open.pop() {
        open.extend(inner.get_subcommands().cloned());
        let help = inner.get_after_help().map(ToString::to_string).unwrap_or_default();
        let lines: Vec<&str> = help.lines().filter(|line| line.starts_with("  sakuga-server")).collect();
        assert!(inner.is_subcommand_required_set() || !lines.is_empty(), "{} has no examples", inner.get_name());
        for line in lines {
            command().try_get_matches_from(line.split_whitespace()).unwrap_or_else(|error| panic!("{line}: {error}"));
            examples += 1;
        }
    }
    assert!(examples >= 13, "{examples} examples");
}

#[test]
fn the_defaults_are_valid_and_local() {
    let config = load(&[], &[]).expect("defaults");
    assert_eq!(config.listen.to_string(), "127.0.0.1:50051");
    assert_eq!((config.limits, config.transport), (Limits::default(), TransportConfig::default()));
    assert_eq!(config.jobs.place, DataPlace::Memory, "no home is known here");
    let kept = load(&["--data-dir", "/jobs", "--keep-jobs", "3"], &[]).expect("valid").jobs;
    assert_eq!(kept.place, DataPlace::Folder("/jobs".into()));
    assert_eq!(kept.retention, Retention { count: 3, ..Default::default() });
}

#[test]
fn flags_win_over_environment_over_file() {
    let (_file, path) = file("queue-size = 1\nmax-images = 2\nmax-steps = 3\n");
    let flags = ["--config", &path, "--max-steps", "5"];
    let config = load(&flags, &[("SAKUGA_MAX_IMAGES", "4"), ("SAKUGA_MAX_STEPS", "9")]).expect("valid");
    assert_eq!((config.limits.queued_max, config.limits.images_max, config.limits.steps_max), (1, 4, 5));
}

#[test]
fn every_problem_is_reported_with_its_origin() {
    let (_file, path) = file("max-steps = 0\n");
    let flags = [
        &["--listen", "nowhere", "--device", "tpu", "--max-images", "99", "--log-format", "xml"][..],
        &["--config", &path, "--tls-key", "a"],
    ];
    let found = problems(load(&flags.concat(), &[("SAKUGA_QUEUE_SIZE", "many")]));
    for part in [
        "--listen: `nowhere` is not",
        "--device: `tpu` is not",
        "--max-images: `99` is out of range; write a whole number from 1 to 16",
        "`text`, `json`",
        "SAKUGA_QUEUE_SIZE: `many`",
        "`max-steps` of ",
        "--tls-cert is missing",
    ] {
        assert!(found.iter().any(|problem| problem.contains(part)), "{part} is not in {found:?}");
    }
    assert_eq!(found.len(), 7, "{found:?}");
}

#[test]
fn other_machines_reach_the_server_only_if_that_was_asked_for() {
    let found = problems(load(&["--listen", "0.0.0.0:1"], &[]));
    assert!(found[0].contains("--insecure-listen"), "{found:?}");
    for flags in [
        &["--listen", "0.0.0.0:1", "--insecure-listen"][..],
        &["--listen", "[::1]:1"],
        &["--listen", "[::ffff:127.0.0.1]:1"],
        &["--metrics-listen", "[::ffff:127.0.0.1]:1"],
    ] {
        assert!(load(flags, &[]).is_ok(), "{flags:?}");
    }
    for flags in [["--listen", "[::ffff:10.0.0.1]:1"], ["--metrics-listen", "[::ffff:0.0.0.0]:1"]] {
        assert!(load(&flags, &[]).is_err(), "{flags:?}");
    }
}

#[test]
fn an_unknown_key_of_the_file_is_a_problem_with_a_suggestion() {
    let (_file, path) = file("queue_size = 1\nmax-image = 1\nzzzzzz = 1\nlisten = [1]\n");
    let found = problems(load(&["--config", &path], &[]));
    for part in [
        "no setting `queue_size`; did you mean `queue-size`?",
        "no setting `max-image`; did you mean `max-images`?",
        "no setting `zzzzzz`; there are listen, ",
        "`listen` must be",
    ] {
        assert!(found.iter().any(|problem| problem.contains(part)), "{part} is not in {found:?}");
    }
    assert!(!problems(load(&["--config", "/no/such/file"], &[])).is_empty());
}

#[test]
fn lists_can_be_given_in_every_layer() {
    let (_file, path) = file("lora = [\"c\", \"d=2\"]\ncors-origin = [\"https://a.example\", \"*\"]\n");
    let joined = std::env::join_paths(["e=0.5", "f"]).expect("plain paths").into_string().expect("plain paths");
    let given = |flags: &[&str], environment: &[(&str, &str)], name: &str| {
        let arguments = std::iter::once("sakuga-server").chain(flags.iter().copied()).map(OsString::from);
        let variable =
            |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let command = command();
        let flags = layers::raw(&command).try_get_matches_from(arguments).expect("known flags");
        let mut problems = Vec::new();
        let layers = Layers::collect(&command, &flags, &variable, &mut problems);
        assert_eq!(problems, Vec::<String>::new());
        layers.get(name).map(|given| given.values.clone()).unwrap_or_default()
    };
    assert_eq!(given(&["--lora", "a=1", "--lora", "b"], &[("SAKUGA_LORA", &joined)], "lora"), ["a=1", "b"]);
    assert_eq!(given(&["--config", &path], &[("SAKUGA_LORA", &joined)], "lora"), ["e=0.5", "f"]);
    assert_eq!(given(&["--config", &path], &[], "lora"), ["c", "d=2"]);
    assert_eq!(given(&["--config", &path], &[], "cors-origin"), ["https://a.example", "*"]);
    let variable = [("SAKUGA_CORS_ORIGIN", "https://b.example, https://c.example")];
    let origins = load(&["--config", &path], &variable).expect("valid").transport.cors_origins;
    assert_eq!(origins, ["https://b.example", "https://c.example"]);
    let found = problems(load(&["--lora", "a=0", "--lora", "b=inf"], &[]));
    assert!(found.iter().filter(|problem| problem.starts_with("--lora: ")).count() == 2, "{found:?}");
}

#[test]
fn the_collector_has_two_variables_and_no_encryption() {
    let shared = "OTEL_EXPORTER_OTLP_ENDPOINT";
    let endpoint = |environment: &[(&str, &str)]| load(&[], environment).expect("valid").otlp_endpoint;
    assert_eq!(endpoint(&[(shared, "http://a:1")]).as_deref(), Some("http://a:1/"));
    assert_eq!(endpoint(&[(shared, "")]), None);
    assert_eq!(
        endpoint(&[(shared, "http://a:1"), ("SAKUGA_OTLP_ENDPOINT", "http://b:1")]).as_deref(),
        Some("http://b:1/")
    );
    assert!(problems(load(&["--otlp-endpoint", "https://a:1"], &[]))[0].contains("not an http:// address"));
}

#[cfg(feature = "burn")]
#[test]
fn the_precision_is_one_of_four_words() {
    use sakuga_model_core::Precision;

    for (word, choice) in
        [("auto", None), ("bf16", Some(Precision::Bf16)), ("f32", Some(Precision::F32)), ("fp8", Some(Precision::Fp8))]
    {
        match load(&["--engine", "burn", "--precision", word], &[]) {
            Ok(config) => match &config.models.models[..] {
                [ConfiguredModel { name: None, engine: EngineChoice::Burn(burn) }] => {
                    assert_eq!(burn.precision, choice, "{word}");
                }
                other => panic!("{word}: {other:?}"),
            },
            Err(error) => panic!("{word}: {error}"),
        }
    }
    let found = problems(load(&["--engine", "burn", "--precision", "int8"], &[]));
    assert!(found.iter().any(|problem| problem.contains("`bf16`, `f32`, `fp8`")), "{found:?}");
}

#[test]
fn unknown_flags_are_clap_s_to_report() {
    assert!(matches!(load(&["--no-such-flag"], &[]), Err(ConfigError::Flags(_))));
}

#[test]
fn models_can_be_given_several_times_and_the_first_is_the_default() {
    let names = |config: &Config| config.models.models.iter().map(|model| model.name.clone()).collect::<Vec<_>>();
    let flags = ["--engine", "scripted", "--model", "a=x", "--model", "y", "--memory-budget", "24GiB"];
    let config = load(&flags, &[("SAKUGA_HOST_MEMORY_BUDGET", "1GiB")]).expect("valid");
    assert_eq!(names(&config), [Some("a".into()), None]);
    assert_eq!((config.models.device_budget, config.models.host_budget), (Some(24 << 30), Some(1 << 30)));
    for written in ["model = \"a=./x\"\n", "model = [\"a=./x\"]\n"] {
        let (_file, path) = file(written);
        assert_eq!(names(&load(&["--config", &path], &[]).expect("valid")), [Some("a".into())], "{written}");
    }
    assert_eq!(names(&load(&[], &[]).expect("valid")), [None]);
    let found = problems(load(&["--model", "a=", "--memory-budget", "24"], &[]));
    assert!(found[0].contains("--model: `a=` is not a model") && found[1].contains("such as 24GiB"), "{found:?}");
}

#[cfg(feature = "burn")]
#[test]
fn adapters_change_the_first_model_only() {
    let flags = ["--engine", "burn", "--model", "a=./x", "--model", "b=./y", "--lora", "style=0.5"];
    let config = load(&flags, &[]).expect("valid");
    let adapters = config.models.models.iter().map(|model| match &model.engine {
        EngineChoice::Burn(options) => options.loras.len(),
        EngineChoice::Scripted(_) => panic!("burn was asked for"),
    });
    assert_eq!(adapters.collect::<Vec<_>>(), [1, 0]);
}

#[cfg(feature = "burn")]
#[test]
fn a_refiner_belongs_to_one_model() {
    let models = ["--engine", "burn", "--model", "a=./x", "--model", "b=./y"];
    let with = |refiners: &[&str]| load(&[&models[..], refiners].concat(), &[]);
    let config = with(&["--refiner", "./r", "--refiner", "b=./s"]).expect("valid");
    let refiners = config.models.models.iter().map(|model| match &model.engine {
        EngineChoice::Burn(options) => options.refiner.clone(),
        EngineChoice::Scripted(_) => panic!("burn was asked for"),
    });
    assert_eq!(refiners.collect::<Vec<_>>(), [Some("./r".into()), Some("./s".into())]);
    for (refiners, complaint) in [
        (&["--refiner", "c=./r"][..], "no --model has this NAME"),
        (&["--refiner", "a=./r", "--refiner", "a=./s"], "has one refiner"),
        (&["--refiner", "./r", "--refiner", "a=./s"], "has one refiner"),
        (&["--refiner", "hf:a/refiner"], "--refiner: `hf:a/refiner`"),
    ] {
        let found = problems(with(refiners));
        assert!(found.iter().any(|problem| problem.contains(complaint)), "{found:?}");
    }
}
