//! Names of FLUX's own single file (`ae.safetensors`) to diffusers' names.
//!
//! | FLUX | diffusers |
//! |---|---|
//! | `encoder.down.i.block.j` | `encoder.down_blocks.i.resnets.j` |
//! | `encoder.down.i.downsample.conv` | `encoder.down_blocks.i.downsamplers.0.conv` |
//! | `decoder.up.i.block.j` | `decoder.up_blocks.(n-1-i).resnets.j` |
//! | `mid.block_1`, `mid.attn_1`, `mid.block_2` | `mid_block.resnets.0`, `mid_block.attentions.0`, `mid_block.resnets.1` |
//! | `nin_shortcut`, `norm_out` | `conv_shortcut`, `conv_norm_out` |
//! | `attn_1.{norm,q,k,v,proj_out}` | `attentions.0.{group_norm,to_q,to_k,to_v,to_out.0}` |

use crate::checkpoint::TensorReader;

/// Prefixes that full pipelines in one file put before the autoencoder.
const PREFIXES: [&str; 2] = ["first_stage_model.", "vae."];

/// Gives the tensors diffusers' names.
pub(super) fn apply(weights: &TensorReader) {
    let levels = weights.names().iter().filter_map(|name| decoder_level(strip(name))).max().map_or(0, |max| max + 1);
    weights.rename(|name| canonical(strip(name), levels));
}

fn strip(name: &str) -> &str {
    PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name)
}

/// The level of a decoder tensor under FLUX's names.
fn decoder_level(name: &str) -> Option<usize> {
    name.strip_prefix("decoder.up.")?.split('.').next()?.parse().ok().filter(|&level| level < 64)
}

/// `levels` is how many the decoder has: FLUX counts them from the pixels, diffusers from the latents.
fn canonical(name: &str, levels: usize) -> String {
    let parts: Vec<&str> = name.split('.').collect();
    match parts[..] {
        ["encoder", "down", level, "block", index, ref rest @ ..] => {
            format!("encoder.down_blocks.{level}.resnets.{index}.{}", resnet(rest))
        }
        ["encoder", "down", level, "downsample", ref rest @ ..] => {
            format!("encoder.down_blocks.{level}.downsamplers.0.{}", rest.join("."))
        }
        ["decoder", "up", _, "block", index, ref rest @ ..] => match decoder_level(name) {
            Some(level) => format!("decoder.up_blocks.{}.resnets.{index}.{}", levels - 1 - level, resnet(rest)),
            None => name.to_owned(),
        },
        ["decoder", "up", _, "upsample", ref rest @ ..] => match decoder_level(name) {
            Some(level) => format!("decoder.up_blocks.{}.upsamplers.0.{}", levels - 1 - level, rest.join(".")),
            None => name.to_owned(),
        },
        [half, "mid", "block_1", ref rest @ ..] => format!("{half}.mid_block.resnets.0.{}", resnet(rest)),
        [half, "mid", "block_2", ref rest @ ..] => format!("{half}.mid_block.resnets.1.{}", resnet(rest)),
        [half, "mid", "attn_1", part, ref rest @ ..] => {
            let part = match part {
                "norm" => "group_norm",
                "q" => "to_q",
                "k" => "to_k",
                "v" => "to_v",
                "proj_out" => "to_out.0",
                other => other,
            };
            format!("{half}.mid_block.attentions.0.{part}.{}", rest.join("."))
        }
        [half, "norm_out", ref rest @ ..] => format!("{half}.conv_norm_out.{}", rest.join(".")),
        _ => name.to_owned(),
    }
}

fn resnet(rest: &[&str]) -> String {
    rest.join(".").replace("nin_shortcut", "conv_shortcut")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flux_names_become_diffusers_names() {
        for (flux, diffusers) in [
            ("encoder.down.1.block.0.nin_shortcut.bias", "encoder.down_blocks.1.resnets.0.conv_shortcut.bias"),
            ("encoder.down.2.downsample.conv.weight", "encoder.down_blocks.2.downsamplers.0.conv.weight"),
            ("decoder.up.3.block.2.norm1.weight", "decoder.up_blocks.0.resnets.2.norm1.weight"),
            ("decoder.up.1.upsample.conv.bias", "decoder.up_blocks.2.upsamplers.0.conv.bias"),
            ("decoder.mid.block_2.conv1.bias", "decoder.mid_block.resnets.1.conv1.bias"),
            ("encoder.mid.attn_1.proj_out.weight", "encoder.mid_block.attentions.0.to_out.0.weight"),
            ("encoder.mid.attn_1.norm.weight", "encoder.mid_block.attentions.0.group_norm.weight"),
            ("decoder.norm_out.bias", "decoder.conv_norm_out.bias"),
            ("decoder.conv_in.weight", "decoder.conv_in.weight"),
        ] {
            assert_eq!(canonical(flux, 4), diffusers);
            assert_eq!(canonical(diffusers, 0), diffusers);
        }
        assert_eq!(strip("first_stage_model.decoder.conv_in.weight"), "decoder.conv_in.weight");
        assert_eq!(canonical("decoder.up.x.block.0.y", 0), "decoder.up.x.block.0.y");
    }
}
