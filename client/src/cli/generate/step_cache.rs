//! Settings of the step cache as text: `front=1,back=1,threshold=0.1,warmup=4,consecutive=2,order=0`, or with fixed steps
//! `front=1,back=1,steps=5+6+8`.

use std::fmt;
use std::str::FromStr;

use sakuga_client::proto::generation::v1::{ReuseByChange, ReuseInSteps, StepCache, step_cache::Rule};

/// How the settings are written, for the help and for errors.
pub(crate) const FORM: &str = "front=1,back=1,threshold=0.1,warmup=4,consecutive=2,order=0";

/// Reads settings. A key that is absent is 0; one of `threshold` and `steps` is required.
///
/// # Errors
///
/// What is wrong with the text. Ranges are the server's business.
pub(crate) fn parse(text: &str) -> Result<StepCache, String> {
    let mut cache = StepCache::default();
    let mut change = ReuseByChange::default();
    let (mut has_change, mut steps, mut seen) = (false, None, Vec::new());
    for part in text.split(',') {
        let (key, value) = part.split_once('=').ok_or_else(|| format!("`{part}` is not a setting, as in {FORM}"))?;
        let (key, value) = (key.trim(), value.trim());
        if seen.contains(&key) {
            return Err(format!("`{key}` is there twice"));
        }
        seen.push(key);
        match key {
            "front" => cache.front_blocks = number(key, value)?,
            "back" => cache.back_blocks = number(key, value)?,
            "order" => cache.taylor_order = number(key, value)?,
            "threshold" => (change.threshold, has_change) = (number(key, value)?, true),
            "warmup" => (change.warmup_steps, has_change) = (number(key, value)?, true),
            "consecutive" => (change.max_consecutive, has_change) = (number(key, value)?, true),
            "steps" => steps = Some(value.split('+').map(|step| number(key, step)).collect::<Result<Vec<u32>, _>>()?),
            _ => {
                return Err(format!("there is no setting `{key}`; write {FORM}, or steps=5+6+8 instead of the change"));
            }
        }
    }
    cache.rule = match (steps, has_change) {
        (Some(_), true) => return Err("`steps` goes without threshold, warmup and consecutive".to_owned()),
        (Some(steps), false) => Some(Rule::InSteps(ReuseInSteps { steps })),
        (None, true) => Some(Rule::ByChange(change)),
        (None, false) => return Err("write `threshold=` or `steps=`".to_owned()),
    };
    Ok(cache)
}

fn number<T: FromStr>(key: &str, value: &str) -> Result<T, String>
where
    T::Err: fmt::Display,
{
    value.parse().map_err(|error| format!("{key}: `{value}`: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_from_one_text() {
        let change = ReuseByChange { threshold: 0.1, warmup_steps: 4, max_consecutive: 2 };
        let expected =
            StepCache { front_blocks: 1, back_blocks: 1, taylor_order: 0, rule: Some(Rule::ByChange(change)) };
        assert_eq!(parse(FORM), Ok(expected));
        let steps = Some(Rule::InSteps(ReuseInSteps { steps: vec![5, 6, 8] }));
        assert_eq!(
            parse("steps=5+6+8,order=1"),
            Ok(StepCache { taylor_order: 1, rule: steps, ..StepCache::default() })
        );
    }

    #[test]
    fn anything_else_is_named() {
        for (text, part) in [
            ("", "is not a setting"),
            ("front=x,threshold=1", "front: `x`"),
            ("front=1", "threshold="),
            ("front=1,front=2,threshold=0", "twice"),
            ("middle=1,threshold=0", "no setting `middle`"),
            ("threshold=0.1,steps=3", "goes without"),
            ("steps=", "steps: ``"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
