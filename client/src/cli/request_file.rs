//! A request in JSON where a prompt is expected.

use std::path::Path;

use sakuga_client::proto::generation::v1::GenerateRequest;
use sakuga_client::proto::json::{self, UnknownFields};

use super::input::Input;
use super::output;

/// The largest request that is looked at, in bytes.
const MAX_BYTES: usize = 1 << 20;

/// What to do with an input that is a request in JSON, as `sakuga import` writes it, and no prompt.
pub(crate) fn hint(input: &Input) -> Option<String> {
    let is_small = input.bytes.len() <= MAX_BYTES && input.bytes.trim_ascii_start().starts_with(b"{");
    let text = std::str::from_utf8(&input.bytes).ok().filter(|_| is_small)?;
    let request: GenerateRequest = json::from_str(text.trim(), UnknownFields::Refuse).ok()?;
    request.prompt.as_ref()?;
    let path = input.path.as_deref().unwrap_or(Path::new("-"));
    Some(format!("it is a request in JSON; draw it with `sakuga generate --from {}`", output::shown(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_requests_with_a_prompt_are_requests() {
        let hint = |text: &str| {
            hint(&Input { name: "r.json".into(), path: Some("r.json".into()), bytes: text.as_bytes().to_vec() })
        };
        assert!(hint(r#" {"xml": "1girl", "seed": "7"}"#).is_some_and(|hint| hint.contains("--from r.json")));
        for other in ["1girl", "{}", r#"{"seed": "7"}"#, r#"{"tags": "1girl"}"#, "{ <n>a</n> }"] {
            assert_eq!(hint(other), None, "{other}");
        }
    }
}
