//! Sizes of a CLIP text encoder.

use serde_json::Value;

use crate::checkpoint::ConfigFields;
use crate::error::ConfigError;

/// The activation of the feed-forward layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x sigmoid(1.702 x)`, of OpenAI's models.
    QuickGelu,
    /// GELU by the error function, of OpenCLIP's.
    Gelu,
}

/// Configuration of a CLIP text encoder.
#[derive(Debug, Clone, PartialEq)]
pub struct ClipTextConfig {
    /// Entries of the vocabulary.
    pub vocab_size: usize,
    /// Width of the network.
    pub hidden_size: usize,
    /// Width of the feed-forward layers.
    pub intermediate_size: usize,
    /// Number of transformer layers.
    pub layers: usize,
    /// Attention heads of a layer.
    pub heads: usize,
    /// Tokens of a text, start and end included: 77.
    pub tokens: usize,
    /// Of the feed-forward layers.
    pub activation: Activation,
    /// Added to the variance by every norm.
    pub layer_norm_eps: f64,
    /// Width of the pooled vector, of an encoder that has a projection for it.
    pub projection_dim: Option<usize>,
}

impl ClipTextConfig {
    /// Reads transformers' `config.json`. Its `bos_token_id`, `eos_token_id` and `pad_token_id` are ignored: those of the
    /// published files are wrong.
    ///
    /// # Errors
    /// One error with every invalid field.
    pub fn from_json(config: &Value) -> Result<Self, ConfigError> {
        let fields = ConfigFields::new(config);
        let has_projection = match config["architectures"][0].as_str() {
            Some("CLIPTextModelWithProjection") => true,
            Some("CLIPTextModel") | None => false,
            Some(other) => {
                fields.reject(format!(
                    "`architectures` is `{other}`; supported are CLIPTextModel and CLIPTextModelWithProjection"
                ));
                false
            }
        };
        let activation = match fields.text_or("hidden_act", "quick_gelu").as_str() {
            "gelu" => Activation::Gelu,
            "quick_gelu" => Activation::QuickGelu,
            other => {
                fields.reject(format!("`hidden_act` is `{other}`; supported are gelu and quick_gelu"));
                Activation::QuickGelu
            }
        };
        let config = Self {
            vocab_size: fields.count_or("vocab_size", 49408, 1..=1 << 24),
            hidden_size: fields.count("hidden_size", 1..=1 << 16),
            intermediate_size: fields.count("intermediate_size", 1..=1 << 18),
            layers: fields.count("num_hidden_layers", 1..=256),
            heads: fields.count("num_attention_heads", 1..=1024),
            tokens: fields.count_or("max_position_embeddings", 77, 3..=1 << 16),
            activation,
            layer_norm_eps: fields.number_or("layer_norm_eps", 1e-5, 0.0..=1.0),
            projection_dim: has_projection.then(|| fields.count("projection_dim", 1..=1 << 16)),
        };
        if !config.hidden_size.is_multiple_of(config.heads) {
            fields.reject(format!(
                "`hidden_size` is {}, which {} heads (`num_attention_heads`) do not divide",
                config.hidden_size, config.heads
            ));
        }
        fields.finish().map(|()| config)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_the_second_encoder_of_stable_diffusion_xl() {
        let config = ClipTextConfig::from_json(&json!({"architectures": ["CLIPTextModelWithProjection"],
            "hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 20,
            "hidden_act": "gelu", "projection_dim": 1280, "eos_token_id": 2}))
        .unwrap();
        assert_eq!((config.activation, config.projection_dim, config.tokens), (Activation::Gelu, Some(1280), 77));
    }

    #[test]
    fn faults_are_collected() {
        let error = ClipTextConfig::from_json(&json!({"architectures": ["BertModel"], "hidden_act": "relu",
            "hidden_size": 10, "intermediate_size": 0, "num_hidden_layers": 1, "num_attention_heads": 3}))
        .unwrap_err();
        assert_eq!(error.problems.len(), 4, "{error}");
    }
}
