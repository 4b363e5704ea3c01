//! An adapter on the command line.

use sakuga_client::proto::generation::v1::Adapter;
use sakuga_client::proto::generation::v1::adapter::Source;

/// Hexadecimal digits of a SHA-256.
const SHA256_DIGITS: usize = 64;

/// Parses `NAME[:SCALE[:TEXT_SCALE]]`. A name of 64 hexadecimal digits is the SHA-256 of the adapter's content. A name may hold
/// colons: only numbers after the last ones are scales.
pub(crate) fn parse(text: &str) -> Result<Adapter, String> {
    let mut name = text.trim();
    let mut scales = Vec::new();
    while let Some((head, number)) = name.rsplit_once(':').filter(|_| scales.len() < 2) {
        let Ok(scale) = number.trim().parse::<f32>() else { break };
        if !scale.is_finite() {
            return Err(format!("`{number}` is not a factor; write a finite number, as in `{head}:0.8`"));
        }
        scales.insert(0, scale);
        name = head;
    }
    if scales.len() < 2
        && let Some((head, number)) = name.rsplit_once([':', '=', '@'])
        && !head.is_empty()
        && let with_point = number.trim().replace(',', ".")
        && with_point.parse::<f32>().is_ok()
    {
        return Err(format!("the factor has another form; write `{head}:{with_point}`"));
    }
    let name = name.trim_end_matches(".safetensors");
    if name.is_empty() {
        return Err("name an adapter, as `sakuga adapters` lists it, perhaps with `:` and a factor".to_owned());
    }
    let is_digest = name.len() == SHA256_DIGITS && name.bytes().all(|digit| digit.is_ascii_hexdigit());
    let source = if is_digest { Source::Sha256(name.to_lowercase()) } else { Source::Name(name.to_owned()) };
    Ok(Adapter { source: Some(source), scale: scales.first().copied(), text_scale: scales.get(1).copied() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adapter_is_a_name_and_perhaps_one_or_two_factors() {
        let adapter = |name: &str, scale, text_scale| {
            Ok(Adapter { source: Some(Source::Name(name.to_owned())), scale, text_scale })
        };
        for (text, expected) in [
            ("ink", adapter("ink", None, None)),
            ("ink.safetensors:0.8", adapter("ink", Some(0.8), None)),
            ("ink:-1:0", adapter("ink", Some(-1.0), Some(0.0))),
            ("a:b:0.5", adapter("a:b", Some(0.5), None)),
            ("v:1:2:3", adapter("v:1", Some(2.0), Some(3.0))),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
        let digest = "A1".repeat(32);
        let found = parse(&format!("{digest}:0.5")).expect("a digest").source;
        assert_eq!(found, Some(Source::Sha256(digest.to_lowercase())));
        for (text, right) in
            [("ink:0,8", "`ink:0.8`"), ("ink=0.8", "`ink:0.8`"), ("ink:nan", "finite"), ("", "name an adapter")]
        {
            assert!(parse(text).unwrap_err().contains(right), "{text}: {:?}", parse(text));
        }
    }
}
