//! Rules about messages, fields and enumerations.

use prost_reflect::{Cardinality, OneofDescriptor};

use super::api::Api;
use super::case::{is_lower_snake, is_pascal, is_upper_snake, to_upper_snake};
use super::{Finding, Rule};

/// The rules.
pub const RULES: &[Rule] = &[
    Rule { name: "MESSAGE_PASCAL_CASE", check: message_pascal_case },
    Rule { name: "FIELD_LOWER_SNAKE_CASE", check: field_lower_snake_case },
    Rule { name: "FIELD_NOT_REQUIRED", check: field_not_required },
    Rule { name: "ONEOF_LOWER_SNAKE_CASE", check: oneof_lower_snake_case },
    Rule { name: "ENUM_PASCAL_CASE", check: enum_pascal_case },
    Rule { name: "ENUM_NO_ALLOW_ALIAS", check: enum_no_allow_alias },
    Rule { name: "ENUM_FIRST_VALUE_ZERO", check: enum_first_value_zero },
    Rule { name: "ENUM_ZERO_VALUE_SUFFIX", check: enum_zero_value_suffix },
    Rule { name: "ENUM_VALUE_UPPER_SNAKE_CASE", check: enum_value_upper_snake_case },
    Rule { name: "ENUM_VALUE_PREFIX", check: enum_value_prefix },
];

fn message_pascal_case(api: &Api) -> Vec<Finding> {
    let wrong = api.messages().into_iter().filter(|message| !is_pascal(message.name()));
    wrong.map(|message| Finding::new(message.full_name(), "write the name in PascalCase")).collect()
}

fn field_lower_snake_case(api: &Api) -> Vec<Finding> {
    let fields = api.messages().into_iter().flat_map(|message| message.fields().collect::<Vec<_>>());
    let wrong = fields.filter(|field| !is_lower_snake(field.name()));
    wrong.map(|field| Finding::new(field.full_name(), "write the name in lower_snake_case")).collect()
}

fn field_not_required(api: &Api) -> Vec<Finding> {
    let fields = api.messages().into_iter().flat_map(|message| message.fields().collect::<Vec<_>>());
    let wrong = fields.filter(|field| field.cardinality() == Cardinality::Required);
    wrong.map(|field| Finding::new(field.full_name(), "a required field can never be removed")).collect()
}

fn oneof_lower_snake_case(api: &Api) -> Vec<Finding> {
    let wrong = oneofs(api).into_iter().filter(|oneof| !is_lower_snake(oneof.name()));
    wrong.map(|oneof| Finding::new(oneof.full_name(), "write the name in lower_snake_case")).collect()
}

/// Every oneof that a person wrote; `optional` makes others.
pub fn oneofs(api: &Api) -> Vec<OneofDescriptor> {
    let all = api.messages().into_iter().flat_map(|message| message.oneofs().collect::<Vec<_>>());
    all.filter(|oneof| !oneof.is_synthetic()).collect()
}

fn enum_pascal_case(api: &Api) -> Vec<Finding> {
    let wrong = api.enums().into_iter().filter(|one| !is_pascal(one.name()));
    wrong.map(|one| Finding::new(one.full_name(), "write the name in PascalCase")).collect()
}

fn enum_no_allow_alias(api: &Api) -> Vec<Finding> {
    let aliased = |one: &prost_reflect::EnumDescriptor| {
        one.enum_descriptor_proto().options.as_ref().is_some_and(|options| options.allow_alias())
    };
    let wrong = api.enums().into_iter().filter(aliased);
    wrong.map(|one| Finding::new(one.full_name(), "two names for one number cannot be told apart in JSON")).collect()
}

fn enum_first_value_zero(api: &Api) -> Vec<Finding> {
    let wrong = api.enums().into_iter().filter(|one| one.values().next().is_some_and(|first| first.number() != 0));
    wrong.map(|one| Finding::new(one.full_name(), "the first value must be 0")).collect()
}

fn enum_zero_value_suffix(api: &Api) -> Vec<Finding> {
    let values = api.enums().into_iter().flat_map(|one| one.values().collect::<Vec<_>>());
    let wrong = values.filter(|value| value.number() == 0 && !value.name().ends_with("_UNSPECIFIED"));
    wrong.map(|value| Finding::new(value.full_name(), "the value 0 must end in _UNSPECIFIED")).collect()
}

fn enum_value_upper_snake_case(api: &Api) -> Vec<Finding> {
    let values = api.enums().into_iter().flat_map(|one| one.values().collect::<Vec<_>>());
    let wrong = values.filter(|value| !is_upper_snake(value.name()));
    wrong.map(|value| Finding::new(value.full_name(), "write the name in UPPER_SNAKE_CASE")).collect()
}

fn enum_value_prefix(api: &Api) -> Vec<Finding> {
    let mut findings = Vec::new();
    for one in api.enums() {
        let prefix = format!("{}_", to_upper_snake(one.name()));
        for value in one.values().filter(|value| !value.name().starts_with(&prefix)) {
            findings.push(Finding::new(value.full_name(), format!("the name must begin with {prefix}")));
        }
    }
    findings
}
