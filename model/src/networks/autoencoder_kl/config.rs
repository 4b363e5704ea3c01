//! Sizes of the autoencoder.

use serde_json::Value;

use crate::checkpoint::ConfigFields;
use crate::error::ConfigError;

/// Configuration of diffusers' AutoencoderKL, as FLUX.1 (16 latent channels) and Stable Diffusion (4) have it.
#[derive(Debug, Clone, PartialEq)]
pub struct AutoencoderKlConfig {
    /// Channels of the latents: 16 in FLUX.1's, 4 in Stable Diffusion XL's.
    pub latent_channels: usize,
    /// Channels of each level, from the pixels inwards; each level but the last halves height and width.
    pub block_out_channels: Vec<usize>,
    /// Residual blocks of each encoder level; decoder levels have one more.
    pub layers_per_block: usize,
    /// The channels of each group norm are normalised in this many groups.
    pub norm_num_groups: usize,
    /// Factor from the autoencoder's own space to model latents.
    pub scaling_factor: f64,
    /// Subtracted before scaling.
    pub shift_factor: f64,
    /// Whether the middle has an attention block.
    pub mid_block_attention: bool,
    /// Whether a convolution of width 1 follows the encoder and another one precedes the decoder. `None`: if the weights have
    /// them.
    pub quant_conv: Option<bool>,
}

impl AutoencoderKlConfig {
    /// Reads diffusers' `config.json`.
    ///
    /// # Errors
    /// One error with every invalid field, or a feature that is not supported.
    pub fn from_json(config: &Value) -> Result<Self, ConfigError> {
        let fields = ConfigFields::new(config);
        let config = Self {
            latent_channels: fields.count("latent_channels", 1..=1024),
            block_out_channels: fields.count_list("block_out_channels", 8, 1..=1 << 14),
            layers_per_block: fields.count_or("layers_per_block", 2, 1..=64),
            norm_num_groups: fields.count_or("norm_num_groups", 32, 1..=1 << 14),
            scaling_factor: fields.number_or("scaling_factor", 0.18215, 1e-6..=1e6),
            shift_factor: fields.number_or("shift_factor", 0.0, -1e6..=1e6),
            mid_block_attention: fields.flag_or("mid_block_add_attention", true),
            quant_conv: fields.has("use_quant_conv").then(|| fields.flag_or("use_quant_conv", true)),
        };
        for &channels in &config.block_out_channels {
            if !channels.is_multiple_of(config.norm_num_groups) {
                fields.reject(format!(
                    "`block_out_channels` has {channels}, which {} groups (`norm_num_groups`) do not divide",
                    config.norm_num_groups
                ));
            }
        }
        for name in ["in_channels", "out_channels"] {
            if fields.count_or(name, 3, 1..=1024) != 3 {
                fields.reject(format!("`{name}` must be 3 (RGB)"));
            }
        }
        let post = fields.has("use_post_quant_conv").then(|| fields.flag_or("use_post_quant_conv", true));
        if post.is_some() && config.quant_conv.is_some() && post != config.quant_conv {
            fields.reject("`use_quant_conv` and `use_post_quant_conv` differ; only autoencoders with both or neither are supported");
        }
        let activation = fields.text_or("act_fn", "silu");
        if activation != "silu" {
            fields.reject(format!("`act_fn` is `{activation}`; only silu is supported"));
        }
        for (name, supported) in [("down_block_types", "DownEncoderBlock2D"), ("up_block_types", "UpDecoderBlock2D")] {
            if let Some(types) = fields.get(name) {
                let fits = types.as_array().is_some_and(|types| {
                    types.len() == config.block_out_channels.len() && types.iter().all(|kind| kind == supported)
                });
                if !fits {
                    fields.reject(format!("`{name}` must be {} times {supported}", config.block_out_channels.len()));
                }
            }
        }
        fields.finish().map(|()| config)
    }

    /// Pixels per latent position: 8 for FLUX.
    pub fn factor(&self) -> usize {
        1 << (self.block_out_channels.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_flux() {
        let config =
            AutoencoderKlConfig::from_json(&json!({"latent_channels": 16, "block_out_channels": [128, 256, 512, 512],
            "scaling_factor": 0.3611, "shift_factor": 0.1159, "use_quant_conv": false, "latents_mean": null}))
            .unwrap();
        assert_eq!((config.factor(), config.layers_per_block, config.norm_num_groups), (8, 2, 32));
        assert_eq!(config.quant_conv, Some(false));
    }

    #[test]
    fn reads_stable_diffusion_xl() {
        let config = AutoencoderKlConfig::from_json(&json!({"latent_channels": 4, "scaling_factor": 0.13025,
            "block_out_channels": [128, 256, 512, 512], "force_upcast": true}))
        .unwrap();
        assert_eq!((config.latent_channels, config.shift_factor, config.quant_conv), (4, 0.0, None));
    }

    #[test]
    fn faults_are_collected() {
        let error = AutoencoderKlConfig::from_json(&json!({"latent_channels": 0, "block_out_channels": [30],
            "use_quant_conv": true, "use_post_quant_conv": false, "act_fn": "relu", "out_channels": 4, "down_block_types": ["X"]}))
        .unwrap_err();
        assert_eq!(error.problems.len(), 6, "{error}");
        assert!(AutoencoderKlConfig::from_json(&json!({"latent_channels": 4, "block_out_channels": []})).is_err());
    }
}
