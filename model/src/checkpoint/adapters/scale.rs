//! The scale of an adapter module, and its source.

use std::collections::BTreeMap;

use serde_json::Value;

/// Features of PEFT that change the arithmetic and are not implemented.
const UNSUPPORTED: [&str; 5] = ["use_dora", "use_qalora", "use_bdlora", "fan_in_fan_out", "lora_bias"];

/// The scale of modules without an `alpha` tensor.
#[derive(Debug)]
pub(super) struct ScaleRule {
    alpha: Option<f32>,
    alpha_pattern: BTreeMap<String, f32>,
    rank_stabilised: bool,
    source: &'static str,
}

impl ScaleRule {
    /// The rule of a file with this `adapter_config.json` and these metadata. `has_alphas`: its modules have `alpha`
    /// tensors.
    pub(super) fn new(
        config: Option<&Value>,
        metadata: &BTreeMap<String, String>,
        has_alphas: bool,
        problems: &mut Vec<String>,
    ) -> Self {
        let alpha = metadata.get("lora_alpha").and_then(|text| text.parse().ok());
        let source = if alpha.is_some() { "file metadata" } else { "none (1)" };
        let mut rule = Self { alpha, alpha_pattern: BTreeMap::new(), rank_stabilised: false, source };
        if let Some(config) = config {
            rule.read(config, problems);
        }
        if has_alphas {
            rule.source = "alpha tensors";
        }
        rule
    }

    fn read(&mut self, config: &Value, problems: &mut Vec<String>) {
        let flag = |name: &str| config.get(name).and_then(Value::as_bool).unwrap_or(false);
        for name in UNSUPPORTED.into_iter().filter(|name| flag(name)) {
            problems.push(format!("its adapter_config.json sets `{name}`, which is not supported"));
        }
        self.rank_stabilised = flag("use_rslora");
        if let Some(alpha) = ["lora_alpha", "network_alpha"].iter().find_map(|name| config.get(name)?.as_f64()) {
            self.alpha = Some(alpha as f32);
            self.source = "adapter_config.json";
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
    pub(super) fn scale(&self, alpha: Option<f32>, rank: Option<usize>) -> Result<f32, String> {
        let rank = rank.filter(|&rank| rank > 0).ok_or("its rank is 0")? as f32;
        let Some(alpha) = alpha else { return Ok(1.0) };
        let scale = alpha / if self.rank_stabilised { rank.sqrt() } else { rank };
        if scale.is_finite() { Ok(scale) } else { Err(format!("its scale {alpha} / {rank} is not finite")) }
    }
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
        let from_file = ScaleRule::new(None, &metadata, false, &mut problems);
        assert_eq!((from_file.alpha_of("x"), from_file.source()), (Some(3.0), "file metadata"));
        assert_eq!(from_file.scale(Some(3.0), Some(4)), Ok(0.75));
        let configured = ScaleRule::new(Some(&config), &metadata, false, &mut problems);
        assert_eq!(configured.alpha_of("layers.0.attention.qkv"), Some(8.0));
        assert_eq!(configured.alpha_of("layers.0.attention.out"), Some(2.0));
        assert_eq!(configured.alpha_of("layers.0.xattention.out"), Some(8.0));
        assert_eq!(configured.scale(Some(8.0), Some(4)), Ok(4.0));
        assert!(problems.is_empty());
    }

    #[test]
    fn what_cannot_be_honoured_is_refused() {
        let mut problems = Vec::new();
        let config = json!({"use_dora": true, "alpha_pattern": {"^layers.*": 2}});
        let rule = ScaleRule::new(Some(&config), &BTreeMap::new(), true, &mut problems);
        assert_eq!(problems.len(), 2);
        assert_eq!((rule.source(), rule.scale(None, Some(4))), ("alpha tensors", Ok(1.0)));
        assert!(rule.scale(Some(1.0), Some(0)).is_err() && rule.scale(Some(f32::INFINITY), Some(1)).is_err());
    }
}
