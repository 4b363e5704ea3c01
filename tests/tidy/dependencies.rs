//! Which crates of ours may depend on each other, and which crates they must not reach, even indirectly.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::assert_none;
use crate::metadata::{cargo, metadata};

/// Our crates, and those that each may depend on, also for its tests and its build.
const EDGES: &[(&str, &[&str])] = &[
    // Its feature `schema` converts prompts.
    ("sakuga-proto", &["sakuga-schema"]),
    ("sakuga-schema", &[]),
    ("sakuga-model-core", &[]),
    ("sakuga-model", &["sakuga-model-core"]),
    ("sakuga-bench", &["sakuga-proto", "sakuga-schema"]),
    ("sakuga-client", &["sakuga-bench", "sakuga-figures", "sakuga-proto", "sakuga-schema"]),
    // Its roles `gateway` and `worker` use the fleet, by a feature.
    ("sakuga-server", &["sakuga-fleet", "sakuga-proto", "sakuga-schema", "sakuga-model-core", "sakuga-model"]),
    // The shared state of many hosts knows messages, no engine and no service.
    ("sakuga-fleet", &["sakuga-proto"]),
    ("sakuga-tests", &["sakuga-proto", "sakuga-schema", "sakuga-model-core", "sakuga-client", "sakuga-server"]),
    ("sakuga-figures", &["sakuga-schema"]),
    ("sakuga-eval", &["sakuga-schema", "sakuga-client", "sakuga-figures", "sakuga-tests"]),
    ("sakuga-dist", &[]),
    ("sakuga-tidy", &[]),
    ("xtask", &[]),
];

/// Crates that a package must not depend on, even indirectly, when it is built with these arguments.
const NEVER: &[(&str, &[&str], &[&str])] = &[
    // A program that only uses the protocol compiles no runtime and no tensors.
    ("sakuga-proto", &[], &["burn", "prost-reflect", "quick-xml", "sakuga-schema", "sha2"]),
    // The prompt language is text in, values out.
    ("sakuga-schema", &[], &["tokio", "prost", "tonic", "burn"]),
    // Plain data and traits: their users compile neither tensors nor a runtime.
    ("sakuga-model-core", &[], &["burn", "burn-tensor", "tokio", "prost", "tonic", "serde"]),
    // The numerics have no runtime, no wire format and no image format.
    ("sakuga-model", &[], &["tokio", "tonic", "prost", "png", "image", "clap"]),
    ("sakuga-client", &[], &["burn", "burn-tensor", "sakuga-model", "sakuga-server"]),
    // Records, figures and charts need no connection.
    ("sakuga-bench", &[], &["burn", "clap", "quick-xml", "sakuga-client"]),
    (
        "sakuga-client",
        &["--no-default-features"],
        &["clap", "image", "indicatif", "jiff", "miette", "ratatui", "sakuga-bench", "sakuga-figures"],
    ),
    // The whole service runs without burn, for tests and for authors of clients.
    (
        "sakuga-server",
        &["--no-default-features"],
        &["async-nats", "burn", "burn-tensor", "sakuga-fleet", "sakuga-model"],
    ),
    ("sakuga-server", &[], &["sakuga-client"]),
];

/// Edges among our crates that [`EDGES`] does not allow, and crates that it does not list.
fn wrong_edges(metadata: &Value) -> Vec<String> {
    let packages = metadata["packages"].as_array().expect("cargo metadata lists packages");
    let name = |value: &Value| value["name"].as_str().expect("a package has a name").to_owned();
    let ours: BTreeSet<String> = packages.iter().map(name).collect();
    let mut findings = Vec::new();
    for package in packages {
        let from = name(package);
        let Some((_, allowed)) = EDGES.iter().find(|(listed, _)| *listed == from) else {
            findings.push(format!("{from}: say in EDGES what it may depend on"));
            continue;
        };
        for dependency in package["dependencies"].as_array().expect("a package has dependencies") {
            let to = name(dependency);
            if ours.contains(&to) && !allowed.contains(&to.as_str()) {
                findings.push(format!("{from} depends on {to}"));
            }
        }
    }
    findings
}

/// What a crate reaches though it must not. `tree` is `cargo tree` without its lines, one `name version` a line.
fn forbidden<'a>(tree: &str, never: &[&'a str]) -> Vec<&'a str> {
    let reached: BTreeSet<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    never.iter().copied().filter(|name| reached.contains(name)).collect()
}

#[test]
fn our_crates_depend_on_each_other_as_allowed() {
    assert_none(&wrong_edges(&metadata()));
}

/// Differences between our crates and those that the manifest compiles with less optimisation in test builds.
fn wrong_levels(manifest: &str, ours: &BTreeSet<String>) -> Vec<String> {
    let lines = manifest.lines().skip_while(|line| *line != "[profile.dev.package]").skip(1);
    let listed: BTreeSet<String> = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(" = { opt-level = ").filter(|(_, level)| ["0 }", "1 }"].contains(level)))
        .map(|(name, _)| name.to_owned())
        .collect();
    let missing = ours.difference(&listed).map(|name| format!("{name}: list it in [profile.dev.package]"));
    let unknown = listed.difference(ours).map(|name| format!("[profile.dev.package]: there is no {name}"));
    missing.chain(unknown).collect()
}

#[test]
fn our_crates_are_compiled_with_less_optimisation() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().expect("packages").iter();
    let ours = packages.map(|package| package["name"].as_str().expect("a name").to_owned()).collect();
    assert_none(&wrong_levels(&sakuga_tidy::read("Cargo.toml"), &ours));
}

#[test]
fn a_crate_without_its_level_is_found() {
    let ours = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
    let manifest = "[profile.dev.package]\na = { opt-level = 0 }\nb = { opt-level = 2 }\nc = { opt-level = 1 }\n\nb = { opt-level = 1 }\n";
    let expected = ["b: list it in [profile.dev.package]", "[profile.dev.package]: there is no c"];
    assert_eq!(wrong_levels(manifest, &ours), expected);
}

#[test]
fn the_server_can_do_without_the_model() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().expect("packages");
    let server = packages.iter().find(|package| package["name"] == "sakuga-server").expect("the server is a member");
    let dependencies = server["dependencies"].as_array().expect("dependencies");
    let model = dependencies.iter().find(|dependency| dependency["name"] == "sakuga-model").expect("it uses the model");
    assert_eq!(model["optional"], true);
}

#[test]
fn nothing_reaches_what_it_must_not() {
    let mut findings = Vec::new();
    for (package, arguments, never) in NEVER {
        let mut all = vec!["tree", "--package", package, "--edges", "normal", "--prefix", "none", "--format", "{p}"];
        all.extend(*arguments);
        let tree = cargo(&all);
        assert!(tree.starts_with(package), "cargo tree begins with {:?}", tree.lines().next());
        for name in forbidden(&tree, never) {
            findings.push(format!("{package} {}reaches {name}", arguments.concat()));
        }
    }
    assert_none(&findings);
}

#[test]
fn a_wrong_edge_and_an_unlisted_crate_are_found() {
    let metadata = serde_json::json!({"packages": [
        {"name": "sakuga-schema", "dependencies": [{"name": "serde"}, {"name": "sakuga-proto", "kind": "dev"}]},
        {"name": "sakuga-proto", "dependencies": []},
        {"name": "sakuga-new", "dependencies": []},
    ]});
    let expected = ["sakuga-schema depends on sakuga-proto", "sakuga-new: say in EDGES what it may depend on"];
    assert_eq!(wrong_edges(&metadata), expected);
}

#[test]
fn a_forbidden_crate_is_found_wherever_it_stands() {
    let tree = "sakuga-schema v0.1.0 (path)\nserde v1.0.0\ntokio v1.54.0\ntokio-util v0.7.0 (*)\n";
    assert_eq!(forbidden(tree, &["tokio", "prost"]), ["tokio"]);
    assert!(forbidden("a v1\ntokio-stream v0.1.0\n", &["tokio"]).is_empty());
}
