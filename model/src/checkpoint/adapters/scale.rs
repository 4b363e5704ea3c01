//! The scale of an adapter module, and its source.

use std::collections::BTreeMap;

use serde_json::Value;

/// Features of PEFT that change the arithmetic and are not implemented.
const UNSUPPORTED: [&str; 4] = ["use_qalora", "use_bdlora", "fan_in_fan_out", "lora_bias"];

/// The scale of modules without an `alpha` tensor.
#[derive(Debug)]
pub(super) struct ScaleRule {
    alpha: Option<f32>,
    alpha_pattern: BTreeMap<String, f32>,
    rank_stabilised: bool,
    source: &'static str,
}

impl ScaleRule {
    /// The rule of a file with this `adapter_config.json` and these metadata, of which `part` names what is for one part of the
    /// model. `has_alphas`, `has_magnitudes`: its modules have tensors with them.
    pub(super) fn new(
        config: Option<&Value>,
        (metadata, part): (&BTreeMap<String, String>, &str),
        [has_alphas, has_magnitudes]: [bool; 2],
        problems: &mut Vec<String>,
    ) -> Self {
        let alpha = metadata.get("lora_alpha").and_then(|text| text.parse().ok());
        let source = if alpha.is_some() { "file metadata" } else { "none (1)" };
        let mut rule = Self { alpha, alpha_pattern: BTreeMap::new(), rank_stabilised: false, source };
        if let Some(config) = config {
            rule.read(config, "adapter_config.json", has_magnitudes, problems);
        } else if let Some(config) = of_metadata(metadata, part) {
            rule.read(&config, "file metadata", has_magnitudes, problems);
        }
        if has_alphas {
            rule.source = "alpha tensors";
        }
        rule
    }

    fn read(&mut self, config: &Value, source: &'static str, has_magnitudes: bool, problems: &mut Vec<String>) {
        let flag = |name: &str| config.get(name).and_then(Value::as_bool).unwrap_or(false);
        for name in UNSUPPORTED.into_iter().filter(|name| flag(name)) {
            problems.push(format!("its {source} sets `{name}`, which is not supported"));
        }
        if flag("use_dora") && !has_magnitudes {
            problems.push(format!("its {source} sets `use_dora`, but it has no magnitudes"));
        }
        self.rank_stabilised = flag("use_rslora");
        if let Some(alpha) = ["lora_alpha", "network_alpha"].iter().find_map(|name| config.get(name)?.as_f64()) {
            self.alpha = Some(alpha as f32);
            self.source = source;
        }
        for (pattern, alpha) in config.get("alpha_pattern").and_then(Value::as_object).into_iter().flatten() {
            match alpha.as_f64() {
                Some(alpha) if pattern.chars().all(|c| c.is_alphanumeric() || "._".contains(c)) => {
                    self.alpha_pattern.insert(pattern.clone(), alpha as f32);
                }
                _ => problems
                    .push(format!("alpha_pattern `{pattern}`: only plain module names with a number are supported")),
            }
        }
    }

    /// The source of the scale, for reports.
    pub(super) fn source(&self) -> &'static str {
        self.source
    }

    /// The file's alpha for a module without an `alpha` tensor.
    pub(super) fn alpha_of(&self, path: &str) -> Option<f32> {
        let ends =
            |pattern: &str| path == pattern || path.strip_suffix(pattern).is_some_and(|head| head.ends_with('.'));
        self.alpha_pattern.iter().find(|(pattern, _)| ends(pattern)).map(|(_, &alpha)| alpha).or(self.alpha)
    }

    /// `alpha / rank`, or `alpha / sqrt(rank)` for rank-stabilised adapters (<https://arxiv.org/abs/2312.03732>); 1
    /// without an alpha.
    pub(super) fn scale(&self, alpha: Option<f32>, rank: usize) -> Result<f32, String> {
        if rank == 0 {
            return Err("its rank is 0".to_owned());
        }
        let rank = rank as f32;
        let Some(alpha) = alpha else { return Ok(1.0) };
        let scale = alpha / if self.rank_stabilised { rank.sqrt() } else { rank };
        if scale.is_finite() { Ok(scale) } else { Err(format!("its scale {alpha} / {rank} is not finite")) }
    }
}

/// The configuration of one part in diffusers' `lora_adapter_metadata`, whose keys are `PART.NAME`.
fn of_metadata(metadata: &BTreeMap<String, String>, part: &str) -> Option<Value> {
    let all: Value = serde_json::from_str(metadata.get("lora_adapter_metadata")?).ok()?;
    let of_part =
        |(key, value): (&String, &Value)| Some((key.strip_prefix(part)?.strip_prefix('.')?.to_owned(), value.clone()));
    Some(Value::Object(all.as_object()?.iter().filter_map(of_part).collect()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_configuration_overrules_metadata_and_patterns_overrule_both() {
        let metadata = BTreeMap::from([("lora_alpha".to_owned(), "3".to_owned())]);
        let config = json!({"lora_alpha": 8, "use_rslora": true, "alpha_pattern": {"attention.out": 2}});
        let mut problems = Vec::new();
        let from_file = ScaleRule::new(None, (&metadata, "unet"), [false; 2], &mut problems);
        assert_eq!((from_file.alpha_of("x"), from_file.source()), (Some(3.0), "file metadata"));
        assert_eq!(from_file.scale(Some(3.0), 4), Ok(0.75));
        let configured = ScaleRule::new(Some(&config), (&metadata, "unet"), [false; 2], &mut problems);
        assert_eq!(configured.alpha_of("layers.0.attention.qkv"), Some(8.0));
        assert_eq!(configured.alpha_of("layers.0.attention.out"), Some(2.0));
        assert_eq!(configured.alpha_of("layers.0.xattention.out"), Some(8.0));
        assert_eq!(configured.scale(Some(8.0), 4), Ok(4.0));
        assert!(problems.is_empty());
    }

    #[test]
    fn metadata_of_diffusers_are_read_for_each_part() {
        let all = r#"{"unet.lora_alpha": 2, "text_encoder.lora_alpha": 5, "text_encoder_2.lora_alpha": 7}"#;
        let metadata = BTreeMap::from([("lora_adapter_metadata".to_owned(), all.to_owned())]);
        for (part, alpha) in [("unet", 2.0), ("text_encoder", 5.0), ("text_encoder_2", 7.0)] {
            let rule = ScaleRule::new(None, (&metadata, part), [false; 2], &mut Vec::new());
            assert_eq!((rule.alpha_of("x"), rule.source()), (Some(alpha), "file metadata"));
        }
    }

    #[test]
    fn what_cannot_be_honoured_is_refused() {
        let mut problems = Vec::new();
        let config = json!({"use_dora": true, "alpha_pattern": {"^layers.*": 2}});
        let rule = ScaleRule::new(Some(&config), (&BTreeMap::new(), "unet"), [true, false], &mut problems);
        assert_eq!(problems.len(), 2);
        assert_eq!((rule.source(), rule.scale(None, 4)), ("alpha tensors", Ok(1.0)));
        assert!(rule.scale(Some(1.0), 0).is_err() && rule.scale(Some(f32::INFINITY), 1).is_err());
    }
}
