//! Names of modules: those of the authors' files (LDM) and those of diffusers, which the network reads.
//!
//! | LDM | diffusers |
//! |---|---|
//! | `input_blocks.0.0` | `conv_in` |
//! | `input_blocks.N.0`, `.1` | `down_blocks.L.resnets.I`, `down_blocks.L.attentions.I` |
//! | `input_blocks.N.0.op` | `down_blocks.L.downsamplers.0.conv` |
//! | `middle_block.0`, `.1`, `.2` | `mid_block.resnets.0`, `mid_block.attentions.0`, `mid_block.resnets.1` |
//! | `output_blocks.N.0`, `.1` | `up_blocks.L.resnets.I`, `up_blocks.L.attentions.I` |
//! | `output_blocks.N.M.conv`, M the last | `up_blocks.L.upsamplers.0.conv` |
//! | `in_layers.0`, `.2`, `emb_layers.1`, `out_layers.0`, `.3`, `skip_connection` | `norm1`, `conv1`, `time_emb_proj`, `norm2`, `conv2`, `conv_shortcut` |
//! | `time_embed.0`, `.2`, `label_emb.0.0`, `.0.2` | `time_embedding.linear_1`, `_2`, `add_embedding.linear_1`, `_2` |
//! | `out.0`, `out.2` | `conv_norm_out`, `conv_out` |
//! | `input_hint_block.0`, `.2` to `.12`, `.14` | `controlnet_cond_embedding.conv_in`, `.blocks.N`, `.conv_out` |
//! | `zero_convs.N.0`, `middle_block_out.0` | `controlnet_down_blocks.N`, `controlnet_mid_block` |
//!
//! Names of adapters follow either scheme with dots replaced by underscores, which cannot be undone by parsing; so this is a
//! list of modules.

use super::config::{ControlConfig, UnetConfig};
use crate::checkpoint::TensorReader;

/// Prefixes of whole files.
const PREFIXES: [&str; 2] = ["model.diffusion_model.", "control_model."];

/// Modules of a residual block.
const RESNET: [[&str; 2]; 6] = [
    ["in_layers.0", "norm1"],
    ["in_layers.2", "conv1"],
    ["emb_layers.1", "time_emb_proj"],
    ["out_layers.0", "norm2"],
    ["out_layers.3", "conv2"],
    ["skip_connection", "conv_shortcut"],
];

/// Pairs of the names of the same module or group of modules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// LDM's name and diffusers'.
    pairs: Vec<[String; 2]>,
}

impl Names {
    /// The names of a U-Net.
    pub fn new(config: &UnetConfig) -> Self {
        let mut names = Self { pairs: Vec::new() };
        names.add_down(config);
        names.add("out.0", "conv_norm_out");
        names.add("out.2", "conv_out");
        let levels = config.levels.len();
        let layers = config.layers_per_block + 1;
        for (up, level) in config.levels.iter().rev().enumerate() {
            for i in 0..layers {
                let block = format!("output_blocks.{}", up * layers + i);
                names.add_resnet(&format!("{block}.0"), &format!("up_blocks.{up}.resnets.{i}"));
                if level.has_attention {
                    names.add(format!("{block}.1"), format!("up_blocks.{up}.attentions.{i}"));
                }
                if i + 1 == layers && up + 1 < levels {
                    let place = 1 + usize::from(level.has_attention);
                    names.add(format!("{block}.{place}.conv"), format!("up_blocks.{up}.upsamplers.0.conv"));
                }
            }
        }
        names.finished()
    }

    /// The names of a control network.
    pub fn of_control(config: &ControlConfig) -> Self {
        let mut names = Self { pairs: Vec::new() };
        names.add_down(&config.unet);
        let blocks = 2 * (config.image_channels.len() - 1);
        names.add("input_hint_block.0", "controlnet_cond_embedding.conv_in");
        for i in 0..blocks {
            names.add(format!("input_hint_block.{}", 2 * i + 2), format!("controlnet_cond_embedding.blocks.{i}"));
        }
        names.add(format!("input_hint_block.{}", 2 * blocks + 2), "controlnet_cond_embedding.conv_out");
        let levels = config.unet.levels.len();
        for i in 0..levels * (config.unet.layers_per_block + 1) {
            names.add(format!("zero_convs.{i}.0"), format!("controlnet_down_blocks.{i}"));
        }
        names.add("middle_block_out.0", "controlnet_mid_block");
        names.finished()
    }

    /// The diffusers name of a module or tensor; one that is not LDM's stays as it is.
    pub fn diffusers(&self, name: &str) -> String {
        self.translate(name, 0)
    }

    /// The LDM name of a module or tensor under diffusers' name.
    pub fn ldm(&self, name: &str) -> String {
        self.translate(name, 1)
    }

    fn translate(&self, name: &str, from: usize) -> String {
        let found = self.pairs.iter().find_map(|pair| {
            let rest = name.strip_prefix(pair[from].as_str())?;
            (rest.is_empty() || rest.starts_with('.')).then(|| format!("{}{rest}", pair[1 - from]))
        });
        found.unwrap_or_else(|| name.to_owned())
    }

    fn add(&mut self, ldm: impl Into<String>, diffusers: impl Into<String>) {
        self.pairs.push([ldm.into(), diffusers.into()]);
    }

    fn add_resnet(&mut self, ldm: &str, diffusers: &str) {
        for [theirs, ours] in RESNET {
            self.add(format!("{ldm}.{theirs}"), format!("{diffusers}.{ours}"));
        }
    }

    fn add_down(&mut self, config: &UnetConfig) {
        for (i, name) in ["time_embed.0", "time_embed.2"].iter().enumerate() {
            self.add(*name, format!("time_embedding.linear_{}", i + 1));
            self.add(format!("label_emb.0.{}", 2 * i), format!("add_embedding.linear_{}", i + 1));
        }
        self.add("input_blocks.0.0", "conv_in");
        let layers = config.layers_per_block;
        for (down, level) in config.levels.iter().enumerate() {
            let first = 1 + down * (layers + 1);
            for i in 0..layers {
                let block = format!("input_blocks.{}", first + i);
                self.add_resnet(&format!("{block}.0"), &format!("down_blocks.{down}.resnets.{i}"));
                if level.has_attention {
                    self.add(format!("{block}.1"), format!("down_blocks.{down}.attentions.{i}"));
                }
            }
            if down + 1 < config.levels.len() {
                self.add(
                    format!("input_blocks.{}.0.op", first + layers),
                    format!("down_blocks.{down}.downsamplers.0.conv"),
                );
            }
        }
        self.add_resnet("middle_block.0", "mid_block.resnets.0");
        self.add("middle_block.1", "mid_block.attentions.0");
        self.add_resnet("middle_block.2", "mid_block.resnets.1");
    }

    /// With the longest names first, since one may be the beginning of another.
    fn finished(mut self) -> Self {
        self.pairs.sort_by_key(|pair| std::cmp::Reverse(pair[0].len()));
        self
    }
}

/// Gives the tensors diffusers' names.
pub(super) fn apply(names: &Names, weights: &TensorReader) {
    weights.rename(|name| {
        let name = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name);
        names.diffusers(name)
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn base() -> UnetConfig {
        UnetConfig::from_json(&json!({"block_out_channels": [320, 640, 1280], "attention_head_dim": [5, 10, 20],
            "transformer_layers_per_block": [1, 2, 10], "cross_attention_dim": 2048,
            "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
            "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 2816}))
        .expect("a valid configuration")
    }

    #[test]
    fn modules_of_the_base_model() {
        let names = Names::new(&base());
        for (ldm, diffusers) in [
            ("input_blocks.0.0.weight", "conv_in.weight"),
            ("input_blocks.3.0.op.bias", "down_blocks.0.downsamplers.0.conv.bias"),
            (
                "input_blocks.4.1.transformer_blocks.0.attn1.to_q.weight",
                "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q.weight",
            ),
            ("input_blocks.8.0.skip_connection.weight", "down_blocks.2.resnets.1.conv_shortcut.weight"),
            ("middle_block.2.out_layers.3.bias", "mid_block.resnets.1.conv2.bias"),
            ("output_blocks.2.2.conv.weight", "up_blocks.0.upsamplers.0.conv.weight"),
            ("output_blocks.8.0.emb_layers.1.weight", "up_blocks.2.resnets.2.time_emb_proj.weight"),
            ("label_emb.0.2.bias", "add_embedding.linear_2.bias"),
            ("out.2.weight", "conv_out.weight"),
        ] {
            assert_eq!(names.diffusers(ldm), diffusers);
            assert_eq!(names.ldm(diffusers), ldm);
            assert_eq!(names.diffusers(diffusers), diffusers);
        }
    }

    #[test]
    fn modules_of_a_control_network() {
        let names = Names::of_control(&ControlConfig { unet: base(), image_channels: vec![16, 32, 96, 256] });
        for (ldm, diffusers) in [
            ("input_hint_block.14.weight", "controlnet_cond_embedding.conv_out.weight"),
            ("input_hint_block.12.weight", "controlnet_cond_embedding.blocks.5.weight"),
            ("zero_convs.8.0.bias", "controlnet_down_blocks.8.bias"),
            ("middle_block_out.0.bias", "controlnet_mid_block.bias"),
            ("middle_block.1.proj_in.bias", "mid_block.attentions.0.proj_in.bias"),
        ] {
            assert_eq!(names.diffusers(ldm), diffusers);
            assert_eq!(names.ldm(diffusers), ldm);
        }
    }
}
