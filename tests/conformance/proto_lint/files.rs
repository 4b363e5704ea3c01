//! Rules about files, packages and imports.

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::{FileDescriptor, Kind};

use super::api::{Api, messages_of};
use super::case::is_lower_snake;
use super::{Finding, Rule};

/// The rules.
pub const RULES: &[Rule] = &[
    Rule { name: "SYNTAX_SPECIFIED", check: syntax_specified },
    Rule { name: "FILE_LOWER_SNAKE_CASE", check: file_lower_snake_case },
    Rule { name: "PACKAGE_DEFINED", check: package_defined },
    Rule { name: "PACKAGE_LOWER_SNAKE_CASE", check: package_lower_snake_case },
    Rule { name: "PACKAGE_VERSION_SUFFIX", check: package_version_suffix },
    Rule { name: "PACKAGE_DIRECTORY_MATCH", check: package_directory_match },
    Rule { name: "PACKAGE_SAME_DIRECTORY", check: package_same_directory },
    Rule { name: "DIRECTORY_SAME_PACKAGE", check: directory_same_package },
    Rule { name: "PACKAGE_SAME_OPTIONS", check: package_same_options },
    Rule { name: "PACKAGE_NO_IMPORT_CYCLE", check: package_no_import_cycle },
    Rule { name: "IMPORT_NO_PUBLIC", check: import_no_public },
    Rule { name: "IMPORT_NO_WEAK", check: import_no_weak },
    Rule { name: "IMPORT_USED", check: import_used },
];

/// A descriptor cannot tell a file without `syntax` from one that says proto2, and we want neither.
fn syntax_specified(api: &Api) -> Vec<Finding> {
    let wrong = api.files().filter(|file| file.file_descriptor_proto().syntax() != "proto3");
    wrong.map(|file| Finding::new(file.name(), "begin with syntax = \"proto3\";")).collect()
}

fn file_lower_snake_case(api: &Api) -> Vec<Finding> {
    let stem = |file: &FileDescriptor| {
        let name = file.name().rsplit('/').next().unwrap_or_default().to_owned();
        name.strip_suffix(".proto").map(str::to_owned)
    };
    let wrong = api.files().filter(|file| !stem(file).is_some_and(|stem| is_lower_snake(&stem)));
    wrong.map(|file| Finding::new(file.name(), "write the name in lower_snake_case.proto")).collect()
}

fn package_defined(api: &Api) -> Vec<Finding> {
    let wrong = api.files().filter(|file| file.package_name().is_empty());
    wrong.map(|file| Finding::new(file.name(), "declare a package")).collect()
}

fn package_lower_snake_case(api: &Api) -> Vec<Finding> {
    let wrong = packaged(api).filter(|file| !file.package_name().split('.').all(is_lower_snake));
    wrong.map(|file| Finding::new(file.name(), "write the package in lower_snake_case")).collect()
}

fn package_version_suffix(api: &Api) -> Vec<Finding> {
    let wrong = packaged(api).filter(|file| !is_version(file.package_name().rsplit('.').next().unwrap_or_default()));
    wrong.map(|file| Finding::new(file.name(), "end the package in a version, such as v1")).collect()
}

/// `v1`, `v2beta1`, `v1alpha`
fn is_version(part: &str) -> bool {
    let number = |text: &str| !text.is_empty() && !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
    let Some(rest) = part.strip_prefix('v') else { return false };
    match ["alpha", "beta"].into_iter().find_map(|stage| rest.split_once(stage)) {
        Some((major, minor)) => number(major) && (minor.is_empty() || number(minor)),
        None => number(rest),
    }
}

fn package_directory_match(api: &Api) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in packaged(api) {
        let expected = file.package_name().replace('.', "/");
        if directory(file) != expected {
            findings.push(Finding::new(file.name(), format!("package {} belongs in {expected}", file.package_name())));
        }
    }
    findings
}

fn package_same_directory(api: &Api) -> Vec<Finding> {
    let pairs = packaged(api).map(|file| (file.package_name().to_owned(), directory(file).to_owned()));
    several(pairs).map(|(package, found)| Finding::new(package, format!("lies in {found}; keep it in one"))).collect()
}

fn directory_same_package(api: &Api) -> Vec<Finding> {
    let pairs = api.files().map(|file| (directory(file).to_owned(), file.package_name().to_owned()));
    several(pairs).map(|(folder, found)| Finding::new(folder, format!("holds {found}; keep it to one"))).collect()
}

/// Options that name a package in some language must be the same in all its files.
fn package_same_options(api: &Api) -> Vec<Finding> {
    let named = |file: &FileDescriptor| {
        let options = file.file_descriptor_proto().options.clone().unwrap_or_default();
        format!(
            "csharp_namespace {:?}, go_package {:?}, java_multiple_files {:?}, java_package {:?}, php_namespace {:?}, \
             ruby_package {:?}, swift_prefix {:?}",
            options.csharp_namespace,
            options.go_package,
            options.java_multiple_files,
            options.java_package,
            options.php_namespace,
            options.ruby_package,
            options.swift_prefix
        )
    };
    let pairs = packaged(api).map(|file| (file.package_name().to_owned(), named(file)));
    several(pairs).map(|(package, found)| Finding::new(package, format!("has the options {found}"))).collect()
}

fn package_no_import_cycle(api: &Api) -> Vec<Finding> {
    let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in api.files() {
        let targets = imports.entry(file.package_name().to_owned()).or_default();
        let others = file.dependencies().map(|other| other.package_name().to_owned());
        targets.extend(others.filter(|other| other != file.package_name()));
    }
    let mut findings = Vec::new();
    for package in imports.keys() {
        let mut seen = BTreeSet::new();
        let mut open: Vec<&String> = imports[package].iter().collect();
        while let Some(next) = open.pop() {
            if seen.insert(next) {
                open.extend(imports.get(next).into_iter().flatten());
            }
        }
        if seen.contains(package) {
            findings.push(Finding::new(package, "its imports lead back to it"));
        }
    }
    findings
}

fn import_no_public(api: &Api) -> Vec<Finding> {
    let wrong = api.files().filter(|file| !file.file_descriptor_proto().public_dependency.is_empty());
    wrong.map(|file| Finding::new(file.name(), "import without public")).collect()
}

fn import_no_weak(api: &Api) -> Vec<Finding> {
    let wrong = api.files().filter(|file| !file.file_descriptor_proto().weak_dependency.is_empty());
    wrong.map(|file| Finding::new(file.name(), "import without weak")).collect()
}

fn import_used(api: &Api) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in api.files() {
        let used = files_used_by(file);
        for import in file.dependencies().filter(|import| !used.contains(import.name())) {
            findings.push(Finding::new(file.name(), format!("does not use {}", import.name())));
        }
    }
    findings
}

/// The files of the types that a file's fields and calls name.
fn files_used_by(file: &FileDescriptor) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    let mut name = |kind: Kind| match kind {
        Kind::Message(message) => used.insert(message.parent_file().name().to_owned()),
        Kind::Enum(one) => used.insert(one.parent_file().name().to_owned()),
        _ => false,
    };
    for field in messages_of(file).iter().flat_map(|message| message.fields().collect::<Vec<_>>()) {
        if let Kind::Message(entry) = field.kind()
            && entry.is_map_entry()
        {
            name(entry.map_entry_value_field().kind());
        }
        name(field.kind());
    }
    for method in file.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
        name(Kind::Message(method.input()));
        name(Kind::Message(method.output()));
    }
    used
}

fn packaged(api: &Api) -> impl Iterator<Item = &FileDescriptor> {
    api.files().filter(|file| !file.package_name().is_empty())
}

fn directory(file: &FileDescriptor) -> &str {
    file.name().rsplit_once('/').map_or("", |(directory, _)| directory)
}

/// The keys that come with more than one value, and those values in words.
fn several(pairs: impl Iterator<Item = (String, String)>) -> impl Iterator<Item = (String, String)> {
    let mut values: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (key, value) in pairs {
        values.entry(key).or_default().insert(value);
    }
    values
        .into_iter()
        .filter(|(_, values)| values.len() > 1)
        .map(|(key, values)| (key, values.into_iter().collect::<Vec<_>>().join(" and ")))
}
