//! The example configuration, generated from the settings themselves.

use sakuga_server::config::{Setting, settings};

use crate::process;
use crate::program::{deployed, read, text};
use crate::support::Authority;

/// Settings that the example sets, for a server on an open network.
const SET: &[(&str, &str)] = &[
    ("listen", "\"0.0.0.0:50051\""),
    ("data-dir", "\"/var/lib/sakuga\""),
    ("tls-cert", "\"/etc/sakuga/server.pem\""),
    ("tls-key", "\"/etc/sakuga/server.key\""),
    ("tokens", "\"/etc/sakuga/tokens\""),
    ("metrics-listen", "\"127.0.0.1:9464\""),
    ("log-format", "\"json\""),
];
/// Examples of settings without a default, or whose default depends on the program.
const EXAMPLES: &[(&str, &str)] = &[
    // The default of a program with the model.
    ("engine", "\"burn\""),
    ("models", "\"/var/lib/sakuga-models\""),
    ("memory-budget", "\"24GiB\""),
    ("host-memory-budget", "\"64GiB\""),
    ("adapters", "\"/var/lib/sakuga/adapters\""),
    ("refiner", "[\"/var/lib/sakuga-models/refiner\"]"),
    ("controlnets", "\"/var/lib/sakuga/controlnets\""),
    ("lora", "[\"/var/lib/sakuga/style.safetensors=0.8\"]"),
    ("cache-dir", "\"/var/cache/sakuga\""),
    ("artifacts", "\"s3://bucket/sakuga\""),
    ("tls-client-ca", "\"/etc/sakuga/clients-ca.pem\""),
    ("tls-client-crl", "\"/etc/sakuga/clients-crl.pem\""),
    ("admin-certificate", "[\"CN=ops\"]"),
    ("cors-origin", "[\"https://studio.example\"]"),
    ("studio-host", "[\"studio.example\"]"),
    ("otlp-endpoint", "\"http://localhost:4317\""),
];
/// Characters of a line.
const WIDTH: usize = 120;

fn of<'a>(table: &[(&str, &'a str)], name: &str) -> Option<&'a str> {
    table.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

/// A comment, broken into lines.
fn comment(text: &str) -> String {
    let mut lines = vec![String::from("#")];
    for word in text.split_whitespace() {
        let last = lines.last_mut().expect("a line");
        if last.len() + 1 + word.len() > WIDTH {
            lines.push(format!("# {word}"));
        } else {
            last.push(' ');
            last.push_str(word);
        }
    }
    lines.join("\n")
}

/// A default as TOML writes it.
fn toml(default: &str) -> String {
    let is_plain = default == "true" || default == "false" || default.parse::<u64>().is_ok();
    if is_plain { default.to_owned() } else { format!("\"{default}\"") }
}

fn entry(setting: &Setting) -> String {
    let name = &setting.name;
    let line = match (of(SET, name), of(EXAMPLES, name), &setting.default) {
        (Some(value), ..) => format!("{name} = {value}"),
        (None, Some(example), _) => format!("# {name} = {example}"),
        (None, None, Some(default)) => format!("# {name} = {}", toml(default)),
        (None, None, None) => panic!("give an example of `{name}`"),
    };
    format!("{}\n{line}\n", comment(&format!("{}.", setting.help.trim_end_matches('.'))))
}

fn example() -> String {
    let mut text = comment(
        "Configuration of the Sakuga server. Every setting is here; what is commented out is the default, or an example \
         if there is no default. A flag `--name` and an environment variable `SAKUGA_NAME` win over this file.",
    );
    text.push('\n');
    let mut group = String::new();
    for setting in settings() {
        if setting.group != group {
            group.clone_from(&setting.group);
            text.push_str(&format!("\n# --- {group} ---\n"));
        }
        text.push('\n');
        text.push_str(&entry(&setting));
    }
    text
}

#[test]
fn the_example_is_what_the_settings_say() {
    let file = deployed("sakuga-server.toml");
    if std::env::var_os("SAKUGA_WRITE_EXAMPLE").is_some() {
        std::fs::write(&file, example()).expect("written");
    }
    assert_eq!(
        read("sakuga-server.toml"),
        example(),
        "write it with `SAKUGA_WRITE_EXAMPLE=1 cargo test -p sakuga-server --test transport example`"
    );
}

#[test]
fn the_example_is_a_configuration_also_with_all_that_is_commented_out() {
    let authority = Authority::new();
    authority.sign_server();
    std::fs::write(authority.path("clients-ca.pem"), authority.pem()).expect("written");
    std::fs::write(authority.path("clients-crl.pem"), authority.revoke(&[1], false)).expect("written");
    std::fs::write(authority.path("tokens"), "").expect("written");
    let folder = text(authority.folder.path());
    let here =
        example().replace("/etc/sakuga", folder).replace("/var/lib/sakuga", folder).replace("/var/cache", folder);
    let uncommented =
        |line: &str| line.strip_prefix("# ").filter(|line| line.contains(" = ")).unwrap_or(line).to_owned();
    // A place for pictures elsewhere needs a feature.
    let is_known = |line: &String| cfg!(feature = "s3") || !line.starts_with("artifacts = ");
    let all_of_it: Vec<String> = here.lines().map(uncommented).filter(is_known).collect();
    let file = authority.path("example.toml");
    for example in [here, all_of_it.join("\n")] {
        std::fs::write(&file, example).expect("written");
        let (checked, _, complained) = process::run(&["--check-config", "--engine=scripted", "--config", text(&file)]);
        assert_eq!(checked, Some(0), "{complained}");
    }
}
