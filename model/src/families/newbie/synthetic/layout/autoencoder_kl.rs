//! The VAE in diffusers' names.
//!
//! Convolutions mix channels at random but blur in space ([`Init::Blur`]): the decoder then draws smooth areas with
//! soft borders out of smooth latents, where independent weights would draw grain.

use serde_json::{Value, json};

use crate::checkpoint::synthetic::{Init, Specs, TensorSpec};
use crate::families::newbie::synthetic::preset::VaeSize;

const LATENT_CHANNELS: usize = 16;
/// Spread of a convolution's response to a smooth input of spread 1.
const MIX: f64 = 1.4;
/// The same for its grain.
const GRAIN: f64 = 0.12;

/// `config.json` with FLUX.1's scale and shift.
pub(crate) fn config(vae: &VaeSize, sample_size: usize) -> Value {
    let levels = vae.channels.len();
    json!({
        "_class_name": "AutoencoderKL",
        "act_fn": "silu",
        "block_out_channels": vae.channels,
        "down_block_types": vec!["DownEncoderBlock2D"; levels],
        "up_block_types": vec!["UpDecoderBlock2D"; levels],
        "in_channels": 3,
        "out_channels": 3,
        "latent_channels": LATENT_CHANNELS,
        "layers_per_block": vae.blocks_per_level,
        "norm_num_groups": vae.norm_groups,
        "mid_block_add_attention": true,
        "use_quant_conv": false,
        "use_post_quant_conv": false,
        "sample_size": sample_size,
        "scaling_factor": 0.3611,
        "shift_factor": 0.1159,
    })
}

/// All tensors, encoder and decoder.
pub(crate) fn tensors(vae: &VaeSize) -> Vec<TensorSpec> {
    let mut specs = Specs::default();
    let (first, last) = (vae.channels[0], vae.channels[vae.channels.len() - 1]);

    conv(&mut specs, "encoder.conv_in", first, 3, MIX);
    let mut width = first;
    for (level, &channels) in vae.channels.iter().enumerate() {
        for i in 0..vae.blocks_per_level {
            resnet(&mut specs, &format!("encoder.down_blocks.{level}.resnets.{i}"), width, channels);
            width = channels;
        }
        if level + 1 < vae.channels.len() {
            conv(&mut specs, &format!("encoder.down_blocks.{level}.downsamplers.0.conv"), channels, channels, MIX);
        }
    }
    middle(&mut specs, "encoder.mid_block", last);
    norm(&mut specs, "encoder.conv_norm_out", last);
    conv(&mut specs, "encoder.conv_out", 2 * LATENT_CHANNELS, last, 1.0);

    conv(&mut specs, "decoder.conv_in", last, LATENT_CHANNELS, MIX);
    middle(&mut specs, "decoder.mid_block", last);
    let mut width = last;
    for (level, &channels) in vae.channels.iter().rev().enumerate() {
        for i in 0..=vae.blocks_per_level {
            resnet(&mut specs, &format!("decoder.up_blocks.{level}.resnets.{i}"), width, channels);
            width = channels;
        }
        if level + 1 < vae.channels.len() {
            conv(&mut specs, &format!("decoder.up_blocks.{level}.upsamplers.0.conv"), channels, channels, 1.0);
        }
    }
    norm(&mut specs, "decoder.conv_norm_out", first);
    conv(&mut specs, "decoder.conv_out", 3, first, 0.75);
    specs.tensors
}

fn conv(specs: &mut Specs, name: &str, outputs: usize, inputs: usize, gain: f64) {
    specs.add(format!("{name}.weight"), &[outputs, inputs, 3, 3], Init::Blur { std: gain, grain: GRAIN * gain });
    specs.vector(format!("{name}.bias"), outputs, 0.0, 0.1);
}

fn norm(specs: &mut Specs, name: &str, channels: usize) {
    specs.vector(format!("{name}.weight"), channels, 1.2, 0.2);
    specs.vector(format!("{name}.bias"), channels, 0.0, 0.3);
}

fn resnet(specs: &mut Specs, name: &str, inputs: usize, outputs: usize) {
    norm(specs, &format!("{name}.norm1"), inputs);
    conv(specs, &format!("{name}.conv1"), outputs, inputs, MIX);
    norm(specs, &format!("{name}.norm2"), outputs);
    conv(specs, &format!("{name}.conv2"), outputs, outputs, MIX);
    if inputs != outputs {
        specs.add(format!("{name}.conv_shortcut.weight"), &[outputs, inputs, 1, 1], Init::fan_in(inputs, 1.0));
        specs.vector(format!("{name}.conv_shortcut.bias"), outputs, 0.0, 0.05);
    }
}

fn middle(specs: &mut Specs, name: &str, channels: usize) {
    resnet(specs, &format!("{name}.resnets.0"), channels, channels);
    norm(specs, &format!("{name}.attentions.0.group_norm"), channels);
    for part in ["to_q", "to_k", "to_v", "to_out.0"] {
        let name = format!("{name}.attentions.0.{part}");
        specs.matrix(format!("{name}.weight"), channels, channels, 1.0);
        specs.vector(format!("{name}.bias"), channels, 0.0, 0.05);
    }
    resnet(specs, &format!("{name}.resnets.1"), channels, channels);
}
