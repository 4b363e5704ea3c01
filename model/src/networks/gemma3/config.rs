//! Sizes of the tower, from every known form of `config.json`.

use std::ops::RangeInclusive;

use serde_json::Value;

use crate::checkpoint::ConfigFields;
use crate::error::ConfigError;

const WIDTHS: RangeInclusive<usize> = 1..=1 << 17;

/// Which keys the queries of a layer attend to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerKind {
    /// The last `sliding_window` positions, the query's own included.
    Sliding,
    /// Every earlier position.
    Full,
}

/// Configuration of Gemma 3's text tower.
#[derive(Debug, Clone, PartialEq)]
pub struct Gemma3Config {
    /// Rows of the embedding table.
    pub vocab_size: usize,
    /// Width of the hidden states.
    pub hidden_size: usize,
    /// Width inside the MLP.
    pub intermediate_size: usize,
    /// Attention of each layer: local or global. Its length is the number of layers.
    pub layers: Vec<LayerKind>,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// The attention scale is this to the power of -1/2.
    pub query_pre_attn_scalar: f64,
    /// Epsilon of every norm.
    pub rms_norm_eps: f64,
    /// Window of a sliding layer in positions.
    pub sliding_window: usize,
    /// Rotary base of sliding layers.
    pub rope_base_sliding: f64,
    /// Rotary base of full layers.
    pub rope_base_full: f64,
    /// Divisor of positions in full layers.
    pub rope_factor_full: f64,
}

impl Gemma3Config {
    /// Reads `config.json`: of the multi-modal model (`text_config` nested) or of the text tower alone, with the rotary
    /// keys of transformers 4 (`rope_theta`, `rope_local_base_freq`, `rope_scaling`) or 5 (`rope_parameters`). The
    /// published file leaves out most sizes; the defaults are those of the 4B model.
    ///
    /// # Errors
    /// One error with every invalid field.
    pub fn from_json(config: &Value) -> Result<Self, ConfigError> {
        let top = ConfigFields::new(config);
        let fields = if top.has("text_config") { top.section("text_config") } else { top.clone() };
        let config = Self {
            vocab_size: fields.count_or("vocab_size", 262_208, 1..=1 << 24),
            hidden_size: fields.count("hidden_size", WIDTHS),
            intermediate_size: fields.count("intermediate_size", WIDTHS),
            layers: layers(&fields),
            heads: fields.count_or("num_attention_heads", 8, 1..=1024),
            kv_heads: fields.count_or("num_key_value_heads", 4, 1..=1024),
            head_dim: fields.count_or("head_dim", 256, 2..=4096),
            query_pre_attn_scalar: fields.number_or("query_pre_attn_scalar", 256.0, 1e-6..=1e9),
            rms_norm_eps: fields.number_or("rms_norm_eps", 1e-6, 0.0..=1.0),
            sliding_window: fields.count_or("sliding_window", 4096, 1..=1 << 24),
            rope_base_sliding: 0.0,
            rope_base_full: 0.0,
            rope_factor_full: 1.0,
        };
        let config = with_rope(config, &fields);
        if !config.heads.is_multiple_of(config.kv_heads) {
            fields.reject(format!("{} query heads cannot share {} key heads evenly", config.heads, config.kv_heads));
        }
        if !config.head_dim.is_multiple_of(2) {
            fields.reject(format!("`head_dim` is {}, but rotary embedding needs an even one", config.head_dim));
        }
        let activation = fields.text_or("hidden_activation", "gelu_pytorch_tanh");
        if activation != "gelu_pytorch_tanh" {
            fields.reject(format!("`hidden_activation` is `{activation}`; only gelu_pytorch_tanh is supported"));
        }
        for flag in ["attention_bias", "use_bidirectional_attention"] {
            if fields.flag_or(flag, false) {
                fields.reject(format!("`{flag}` is set, which is not supported"));
            }
        }
        if fields.has("attn_logit_softcapping") {
            fields.reject("`attn_logit_softcapping` is set, which is not supported");
        }
        fields.finish().map(|()| config)
    }
}

/// Layer kinds from `layer_types`, or every `sliding_window_pattern`-th layer full.
fn layers(fields: &ConfigFields<'_>) -> Vec<LayerKind> {
    // The features come from the last layer but one, so there must be two.
    let count = fields.count("num_hidden_layers", 2..=1024);
    if let Some(types) = fields.get("layer_types") {
        let types: Option<Vec<LayerKind>> = types.as_array().and_then(|types| {
            types
                .iter()
                .map(|kind| match kind.as_str()? {
                    "sliding_attention" => Some(LayerKind::Sliding),
                    "full_attention" => Some(LayerKind::Full),
                    _ => None,
                })
                .collect()
        });
        match types {
            Some(types) if types.len() == count => return types,
            _ => fields.reject(format!(
                "`layer_types` must list {count} times sliding_attention or full_attention, as `num_hidden_layers` says"
            )),
        }
    }
    let key = if fields.has("sliding_window_pattern") { "sliding_window_pattern" } else { "_sliding_window_pattern" };
    let pattern = fields.count_or(key, 6, 1..=1024);
    (1..=count).map(|layer| if layer % pattern == 0 { LayerKind::Full } else { LayerKind::Sliding }).collect()
}

fn with_rope(mut config: Gemma3Config, fields: &ConfigFields<'_>) -> Gemma3Config {
    const BASES: RangeInclusive<f64> = 1.0..=1e12;
    if fields.has("rope_parameters") {
        let parameters = fields.section("rope_parameters");
        let (full, sliding) = (parameters.section("full_attention"), parameters.section("sliding_attention"));
        config.rope_base_full = full.number_or("rope_theta", 1e6, BASES);
        config.rope_factor_full = factor(&full);
        config.rope_base_sliding = sliding.number_or("rope_theta", 1e4, BASES);
        if factor(&sliding) != 1.0 {
            sliding.reject("`rope_parameters.sliding_attention` scales positions, which is not supported");
        }
    } else {
        config.rope_base_full = fields.number_or("rope_theta", 1e6, BASES);
        config.rope_base_sliding = fields.number_or("rope_local_base_freq", 1e4, BASES);
        if fields.has("rope_scaling") {
            config.rope_factor_full = factor(&fields.section("rope_scaling"));
        }
    }
    config
}

/// By how much positions are divided.
fn factor(rope: &ConfigFields<'_>) -> f64 {
    let kind =
        if rope.has("rope_type") { rope.text_or("rope_type", "default") } else { rope.text_or("type", "default") };
    match kind.as_str() {
        "default" => 1.0,
        "linear" => rope.number_or("factor", 1.0, 1e-3..=1e6),
        other => {
            rope.reject(format!("rope type `{other}` is not supported; `default` and `linear` are"));
            1.0
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_published_file_relies_on_defaults() {
        let config = Gemma3Config::from_json(&json!({"model_type": "gemma3", "text_config": {
            "hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 34,
            "rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "sliding_window": 1024}}))
        .unwrap();
        let full: Vec<usize> = (0..34).filter(|&i| config.layers[i] == LayerKind::Full).map(|i| i + 1).collect();
        assert_eq!(full, [6, 12, 18, 24, 30]);
        assert_eq!((config.heads, config.kv_heads, config.head_dim, config.vocab_size), (8, 4, 256, 262_208));
        assert_eq!((config.rope_base_sliding, config.rope_base_full, config.rope_factor_full), (1e4, 1e6, 8.0));
    }

    #[test]
    fn both_forms_of_rotary_keys_mean_the_same() {
        let base = json!({"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 2});
        let with = |extra: Value| {
            let mut config = base.as_object().unwrap().clone();
            config.extend(extra.as_object().unwrap().clone());
            Gemma3Config::from_json(&Value::Object(config)).unwrap()
        };
        let old = with(json!({"rope_theta": 5e5, "rope_local_base_freq": 2e4,
            "rope_scaling": {"rope_type": "linear", "factor": 4.0}, "sliding_window_pattern": 2}));
        let new = with(json!({"layer_types": ["sliding_attention", "full_attention"], "rope_parameters": {
            "full_attention": {"rope_theta": 5e5, "rope_type": "linear", "factor": 4.0},
            "sliding_attention": {"rope_theta": 2e4, "rope_type": "default"}}}));
        assert_eq!(old, new);
    }

    #[test]
    fn faults_are_collected() {
        let error = Gemma3Config::from_json(&json!({"hidden_size": 0, "num_hidden_layers": 1, "head_dim": 5,
            "num_attention_heads": 3, "num_key_value_heads": 2, "hidden_activation": "relu",
            "layer_types": ["global"], "rope_scaling": {"rope_type": "yarn"}, "attn_logit_softcapping": 50.0}))
        .unwrap_err();
        assert_eq!(error.problems.len(), 9, "{error}");
        assert!(Gemma3Config::from_json(&json!({"text_config": 3})).is_err());
    }
}
