//! Rules about comments: generated documentation is the only one that a caller in another language has.

use std::collections::HashSet;

use prost_reflect::FileDescriptor;

use super::api::Api;
use super::{Finding, Rule, elements};

/// The rules. Buf has them too, outside its STANDARD set.
pub const RULES: &[Rule] = &[
    Rule { name: "COMMENT_MESSAGE", check: comment_message },
    Rule { name: "COMMENT_FIELD", check: comment_field },
    Rule { name: "COMMENT_ONEOF", check: comment_oneof },
    Rule { name: "COMMENT_ENUM", check: comment_enum },
    Rule { name: "COMMENT_ENUM_VALUE", check: comment_enum_value },
    Rule { name: "COMMENT_SERVICE", check: comment_service },
    Rule { name: "COMMENT_RPC", check: comment_rpc },
];

/// What is to have a comment: its full name, its file, and its path within the file's descriptor.
type Place = (String, FileDescriptor, Vec<i32>);

fn comment_message(api: &Api) -> Vec<Finding> {
    let all = api.messages().into_iter();
    without_comment(all.map(|one| (one.full_name().to_owned(), one.parent_file(), one.path().to_vec())))
}

fn comment_field(api: &Api) -> Vec<Finding> {
    let all = api.messages().into_iter().flat_map(|message| message.fields().collect::<Vec<_>>());
    without_comment(all.map(|one| (one.full_name().to_owned(), one.parent_file(), one.path().to_vec())))
}

fn comment_oneof(api: &Api) -> Vec<Finding> {
    let all = elements::oneofs(api).into_iter();
    without_comment(all.map(|one| (one.full_name().to_owned(), one.parent_file(), one.path().to_vec())))
}

fn comment_enum(api: &Api) -> Vec<Finding> {
    let all = api.enums().into_iter();
    without_comment(all.map(|one| (one.full_name().to_owned(), one.parent_file(), one.path().to_vec())))
}

fn comment_enum_value(api: &Api) -> Vec<Finding> {
    let all = api.enums().into_iter().flat_map(|one| one.values().collect::<Vec<_>>());
    without_comment(all.map(|one| (one.full_name().to_owned(), one.parent_file(), one.path().to_vec())))
}

fn comment_service(api: &Api) -> Vec<Finding> {
    let all = api.services().into_iter();
    without_comment(all.map(|one| (one.full_name().to_owned(), one.parent_file(), one.path().to_vec())))
}

fn comment_rpc(api: &Api) -> Vec<Finding> {
    let all = api.methods().into_iter();
    without_comment(all.map(|one| (one.full_name().to_owned(), one.parent_file(), one.path().to_vec())))
}

fn without_comment(places: impl Iterator<Item = Place>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, file, path) in places {
        if !commented(&file).contains(&path) {
            findings.push(Finding::new(name, "say what it is in a comment above it"));
        }
    }
    findings
}

/// The paths of everything in the file that has words above it.
fn commented(file: &FileDescriptor) -> HashSet<Vec<i32>> {
    let info = file.file_descriptor_proto().source_code_info.as_ref().expect("compiled with comments");
    let said = info.location.iter().filter(|location| !location.leading_comments().trim().is_empty());
    said.map(|location| location.path.clone()).collect()
}
