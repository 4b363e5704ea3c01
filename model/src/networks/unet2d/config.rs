//! Sizes of the U-Net and of its control network.

use serde_json::Value;

use crate::checkpoint::ConfigFields;
use crate::error::ConfigError;
use crate::nn::conv::GroupNormKind;

/// The most levels of a U-Net.
const LEVELS_MAX: usize = 8;

/// What each level of the network has, from the full resolution inwards. Every level but the last halves height and width.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    /// Channels of the level's residual blocks.
    pub channels: usize,
    /// Attention heads of each transformer.
    pub heads: usize,
    /// Blocks of each transformer.
    pub depth: usize,
    /// Whether a transformer follows each residual block.
    pub has_attention: bool,
}

/// Configuration of diffusers' UNet2DConditionModel or ControlNetModel with `text_time` embeddings, as Stable Diffusion XL has
/// them.
#[derive(Debug, Clone, PartialEq)]
pub struct UnetConfig {
    /// Channels of the input: those of the latents, and of mask and masked latents in a network for inpainting.
    pub in_channels: usize,
    /// Channels of the output.
    pub out_channels: usize,
    /// From the full resolution inwards.
    pub levels: Vec<Level>,
    /// Residual blocks of each level on the way down; there is one more on the way up.
    pub layers_per_block: usize,
    /// Width of the text's features.
    pub cross_attention_dim: usize,
    /// The channels of each group norm are normalised in this many groups.
    pub norm_num_groups: usize,
    /// Added to the variance by the norms of residual blocks and of the output.
    pub norm_eps: f64,
    /// Width of the sinusoid of each size.
    pub size_features: usize,
    /// Width of the pooled text and all sinusoids of sizes together.
    pub added_features: usize,
}

impl UnetConfig {
    /// Reads diffusers' `config.json`.
    ///
    /// `attention_head_dim` has the number of heads: the name is a mistake that the published files kept.
    ///
    /// # Errors
    /// One error with every invalid field, or a feature that is not supported.
    pub fn from_json(config: &Value) -> Result<Self, ConfigError> {
        let fields = ConfigFields::new(config);
        let channels = fields.count_list("block_out_channels", LEVELS_MAX, 1..=1 << 14);
        let count = channels.len();
        let heads_name = if fields.has("num_attention_heads") { "num_attention_heads" } else { "attention_head_dim" };
        let heads = per_level(&fields, heads_name, 8, count, 1 << 10);
        let depths = per_level(&fields, "transformer_layers_per_block", 1, count, 1 << 8);
        let attention = down_attention(&fields, count);
        let level =
            |i: usize| Level { channels: channels[i], heads: heads[i], depth: depths[i], has_attention: attention[i] };
        let config = Self {
            in_channels: fields.count_or("in_channels", 4, 1..=1024),
            out_channels: fields.count_or("out_channels", 4, 1..=1024),
            levels: (0..count).map(level).collect(),
            layers_per_block: fields.count_or("layers_per_block", 2, 1..=64),
            cross_attention_dim: fields.count("cross_attention_dim", 1..=1 << 16),
            norm_num_groups: fields.count_or("norm_num_groups", 32, 1..=1 << 14),
            norm_eps: fields.number_or("norm_eps", 1e-5, 0.0..=1.0),
            size_features: fields.count("addition_time_embed_dim", 2..=1 << 16),
            added_features: fields.count("projection_class_embeddings_input_dim", 1..=1 << 16),
        };
        config.check(&fields);
        fields.finish().map(|()| config)
    }

    fn check(&self, fields: &ConfigFields<'_>) {
        for level in &self.levels {
            if !level.channels.is_multiple_of(self.norm_num_groups) {
                fields.reject(format!(
                    "`block_out_channels` has {}, which {} groups (`norm_num_groups`) do not divide",
                    level.channels, self.norm_num_groups
                ));
            }
            if !level.channels.is_multiple_of(level.heads) && level.has_attention {
                fields.reject(format!("{} channels are not divided by {} heads", level.channels, level.heads));
            }
        }
        if !self.size_features.is_multiple_of(2) || !self.levels[0].channels.is_multiple_of(2) {
            fields.reject("`addition_time_embed_dim` and the first of `block_out_channels` must be even");
        }
        for (name, supported) in [
            ("addition_embed_type", "text_time"),
            ("act_fn", "silu"),
            ("resnet_time_scale_shift", "default"),
            ("mid_block_type", "UNetMidBlock2DCrossAttn"),
        ] {
            let given = fields.text_or(name, supported);
            if given != supported {
                fields.reject(format!("`{name}` is `{given}`; only {supported} is supported"));
            }
        }
        for (name, supported) in [("flip_sin_to_cos", true), ("center_input_sample", false)] {
            if fields.flag_or(name, supported) != supported {
                fields.reject(format!("`{name}` must be {supported}"));
            }
        }
        for (name, supported) in [("freq_shift", 0.0), ("downsample_padding", 1.0), ("mid_block_scale_factor", 1.0)] {
            if fields.number_or(name, supported, -1e6..=1e6) != supported {
                fields.reject(format!("`{name}` must be {supported}"));
            }
        }
        let up: Vec<bool> = self.levels.iter().rev().map(|level| level.has_attention).collect();
        if let Some(types) = fields.get("up_block_types") {
            let expected = up.iter().map(|&attends| if attends { "CrossAttnUpBlock2D" } else { "UpBlock2D" });
            let mirrors = types.as_array().is_some_and(|types| types.iter().map(Value::as_str).eq(expected.map(Some)));
            if !mirrors {
                fields.reject("`up_block_types` must be `down_block_types` in reverse order");
            }
        }
    }

    /// Width of the time embedding.
    pub fn time_dim(&self) -> usize {
        4 * self.levels[0].channels
    }

    /// How many sizes the network reads with the pooled text: 6 in the base model, 5 in the refiner.
    pub fn sizes(&self, pooled_dim: usize) -> usize {
        self.added_features.saturating_sub(pooled_dim) / self.size_features
    }

    /// The norms of residual blocks and of the output.
    pub(super) fn norm(&self) -> GroupNormKind {
        GroupNormKind { groups: self.norm_num_groups, eps: self.norm_eps }
    }
}

/// Configuration of a control network.
#[derive(Debug, Clone, PartialEq)]
pub struct ControlConfig {
    /// The part that it has in common with the U-Net.
    pub unet: UnetConfig,
    /// Channels of the layers that read the image; each but the first halves height and width.
    pub image_channels: Vec<usize>,
}

impl ControlConfig {
    /// Reads diffusers' `config.json` of a ControlNetModel.
    ///
    /// # Errors
    /// One error with every invalid field, or a feature that is not supported.
    pub fn from_json(config: &Value) -> Result<Self, ConfigError> {
        let unet = UnetConfig::from_json(config);
        let fields = ConfigFields::new(config);
        let image_channels = if fields.has("conditioning_embedding_out_channels") {
            fields.count_list("conditioning_embedding_out_channels", 8, 1..=1 << 14)
        } else {
            vec![16, 32, 96, 256]
        };
        if fields.text_or("controlnet_conditioning_channel_order", "rgb") != "rgb" {
            fields.reject("`controlnet_conditioning_channel_order` must be rgb");
        }
        if fields.flag_or("global_pool_conditions", false) {
            fields.reject("`global_pool_conditions` is set, which is not supported");
        }
        match (unet, fields.finish()) {
            (Ok(unet), Ok(())) => Ok(Self { unet, image_channels }),
            (unet, own) => {
                let problems = [unet.err(), own.err()].into_iter().flatten().flat_map(|error| error.problems);
                Err(ConfigError { problems: problems.collect() })
            }
        }
    }

    /// Pixels of the image for each latent position: 8.
    pub fn factor(&self) -> usize {
        1 << (self.image_channels.len() - 1)
    }
}

/// A number for each level, or one for all.
fn per_level(fields: &ConfigFields<'_>, name: &str, default: usize, count: usize, max: usize) -> Vec<usize> {
    if !fields.get(name).is_some_and(Value::is_array) {
        return vec![fields.count_or(name, default, 1..=max); count];
    }
    let mut list = fields.count_list(name, LEVELS_MAX, 1..=max);
    if list.len() != count {
        fields.reject(format!("`{name}` must have {count} numbers, as `block_out_channels` has"));
        list.resize(count, 1);
    }
    list
}

/// Which levels have transformers, by `down_block_types`.
fn down_attention(fields: &ConfigFields<'_>, count: usize) -> Vec<bool> {
    let kinds = fields.get("down_block_types").and_then(Value::as_array);
    let kind = |value: &Value| match value.as_str()? {
        "DownBlock2D" => Some(false),
        "CrossAttnDownBlock2D" => Some(true),
        _ => None,
    };
    let levels = kinds.and_then(|kinds| kinds.iter().map(kind).collect::<Option<Vec<bool>>>());
    match levels.filter(|levels| levels.len() == count) {
        Some(levels) => levels,
        None => {
            fields.reject(format!("`down_block_types` must be {count} of DownBlock2D and CrossAttnDownBlock2D"));
            vec![false; count]
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_base_and_refiner() {
        let base = UnetConfig::from_json(&json!({"block_out_channels": [320, 640, 1280],
            "attention_head_dim": [5, 10, 20], "transformer_layers_per_block": [1, 2, 10], "cross_attention_dim": 2048,
            "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
            "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
            "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 2816}))
        .unwrap();
        assert_eq!((base.time_dim(), base.sizes(1280)), (1280, 6));
        assert_eq!(base.levels[2], Level { channels: 1280, heads: 20, depth: 10, has_attention: true });
        let refiner = UnetConfig::from_json(&json!({"block_out_channels": [384, 768, 1536, 1536],
            "attention_head_dim": [6, 12, 24, 24], "transformer_layers_per_block": 4, "cross_attention_dim": 1280,
            "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
            "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 2560}))
        .unwrap();
        assert_eq!((refiner.sizes(1280), refiner.levels[3].depth), (5, 4));
    }

    #[test]
    fn what_is_not_supported_is_named() {
        let error = UnetConfig::from_json(&json!({"block_out_channels": [32, 64], "attention_head_dim": [8],
            "down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "cross_attention_dim": 768,
            "addition_embed_type": "image", "addition_time_embed_dim": 256, "flip_sin_to_cos": false,
            "projection_class_embeddings_input_dim": 2816}))
        .unwrap_err()
        .to_string();
        for name in ["`attention_head_dim`", "`down_block_types`", "`addition_embed_type`", "`flip_sin_to_cos`"] {
            assert!(error.contains(name), "{error}");
        }
    }
}
