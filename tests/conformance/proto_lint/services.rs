//! Rules about services and their calls.

use std::collections::BTreeMap;

use prost_reflect::{MessageDescriptor, MethodDescriptor};

use super::api::Api;
use super::case::is_pascal;
use super::{Finding, Rule};

/// The rules.
pub const RULES: &[Rule] = &[
    Rule { name: "SERVICE_PASCAL_CASE", check: service_pascal_case },
    Rule { name: "SERVICE_SUFFIX", check: service_suffix },
    Rule { name: "RPC_PASCAL_CASE", check: rpc_pascal_case },
    Rule { name: "RPC_REQUEST_STANDARD_NAME", check: |api| standard_name(api, "Request", MethodDescriptor::input) },
    Rule { name: "RPC_RESPONSE_STANDARD_NAME", check: |api| standard_name(api, "Response", MethodDescriptor::output) },
    Rule { name: "RPC_REQUEST_RESPONSE_UNIQUE", check: request_response_unique },
];

fn service_pascal_case(api: &Api) -> Vec<Finding> {
    let wrong = api.services().into_iter().filter(|service| !is_pascal(service.name()));
    wrong.map(|service| Finding::new(service.full_name(), "write the name in PascalCase")).collect()
}

fn service_suffix(api: &Api) -> Vec<Finding> {
    let wrong = api.services().into_iter().filter(|service| !service.name().ends_with("Service"));
    wrong.map(|service| Finding::new(service.full_name(), "the name must end in Service")).collect()
}

fn rpc_pascal_case(api: &Api) -> Vec<Finding> {
    let wrong = api.methods().into_iter().filter(|method| !is_pascal(method.name()));
    wrong.map(|method| Finding::new(method.full_name(), "write the name in PascalCase")).collect()
}

/// A call's message is named for the call, or for the service and the call.
fn standard_name(api: &Api, suffix: &str, message: fn(&MethodDescriptor) -> MessageDescriptor) -> Vec<Finding> {
    let mut findings = Vec::new();
    for method in api.methods() {
        let short = format!("{}{suffix}", method.name());
        let long = format!("{}{short}", method.parent_service().name());
        let name = message(&method).name().to_owned();
        if name != short && name != long {
            findings.push(Finding::new(method.full_name(), format!("name the message {short}, not {name}")));
        }
    }
    findings
}

/// A message that two calls share could not change for one of them.
fn request_response_unique(api: &Api) -> Vec<Finding> {
    let mut uses: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for method in api.methods() {
        for message in [method.input(), method.output()] {
            uses.entry(message.full_name().to_owned()).or_default().push(method.full_name().to_owned());
        }
    }
    let shared = uses.into_iter().filter(|(_, methods)| methods.len() > 1);
    shared.map(|(name, methods)| Finding::new(name, format!("used by {}", methods.join(" and ")))).collect()
}
