//! The Next-DiT in the published names.
//!
//! A random transformer does not denoise. Three choices imitate denoising. The embedding of the patches and the last
//! layer are a matched pair ([`Init::Place`], [`Init::Readout`]): noise decays along the trajectory and is replaced by
//! what the blocks compute from caption and position. One element of the stream, the keel, is large and constant: the
//! final norm divides by the standard deviation of the whole stream, and without the keel guidance would multiply the
//! difference of two divisors. Queries and keys have large weights, so that attention is selective and, through the
//! rotary positions, varies with the position.

use serde_json::{Value, json};

use crate::checkpoint::synthetic::{Init, Specs, TensorSpec};
use crate::families::newbie::synthetic::preset::{CHANNELS, DitSize, GemmaSize, JinaSize, PATCH, PATCH_DIM};

/// Features of the time sinusoid.
const TIME_FEATURES: usize = 256;

/// Spread that the keel gives to the whole stream.
const KEEL: f64 = 2.0;
/// Rate at which noise leaves the latents; the final norm divides it by the spread of the stream, a little over `KEEL`.
const DECAY: f64 = 12.0;
/// Spread of the velocity that the blocks add. Guidance multiplies what depends on the caption, so it is below `DECAY`.
const DRIVE: f64 = 7.0;
/// Weight of the query and key norms: spread of the attention logits is its square.
const SHARPNESS: f64 = 1.4;
/// Spread of what attention adds to the free zone in each block. It averages over many tokens and is smooth.
const ATTENTION: f64 = 0.6;
/// The same for the feed-forward part, which sees one token with its noise.
const FEED_FORWARD: f64 = 0.12;
/// Share of that which blocks add to the zone of the latents.
const LEAK: f64 = 0.05;

/// `config.json`, with the keys that the published converter writes and those it leaves out.
pub(crate) fn config(dit: &DitSize, gemma: &GemmaSize, jina: &JinaSize) -> Value {
    json!({
        "_class_name": "NextDiT_3B_GQA_patch2_Adaln_Refiner_WHIT_CLIP",
        "model_type": "nextdit_clip",
        "patch_size": PATCH,
        "in_channels": CHANNELS,
        "dim": dit.dim,
        "n_layers": dit.layers,
        "n_refiner_layers": dit.refiner_layers,
        "n_heads": dit.heads,
        "n_kv_heads": dit.kv_heads,
        "axes_dims": dit.axes_dims,
        "axes_lens": dit.axes_lens,
        "cap_feat_dim": gemma.hidden,
        "clip_text_dim": jina.hidden,
        "clip_img_dim": jina.hidden,
        "qk_norm": true,
        "norm_eps": 1e-5,
    })
}

pub(crate) fn tensors(dit: &DitSize, gemma: &GemmaSize, jina: &JinaSize) -> Vec<TensorSpec> {
    let dim = dit.dim;
    let adaln = dim.min(1024);
    let mut specs = Specs::default();

    specs.add("x_embedder.weight", &[dim, PATCH_DIM], Init::Place);
    let keel = KEEL * (dim as f64).sqrt();
    specs.add("x_embedder.bias", &[dim], zones(0.0, keel, 0.0));
    specs.vector("cap_embedder.0.weight", gemma.hidden, 1.0, 0.1);
    specs.matrix("cap_embedder.1.weight", dim, gemma.hidden, 1.0);
    specs.vector("cap_embedder.1.bias", dim, 0.0, 0.05);
    specs.matrix("t_embedder.mlp.0.weight", adaln, TIME_FEATURES, 1.0);
    specs.vector("t_embedder.mlp.0.bias", adaln, 0.0, 0.05);
    specs.matrix("t_embedder.mlp.2.weight", adaln, adaln, 1.5);
    specs.vector("t_embedder.mlp.2.bias", adaln, 0.0, 0.05);
    specs.vector("clip_text_pooled_proj.0.weight", jina.hidden, 1.0, 0.1);
    specs.matrix("clip_text_pooled_proj.1.weight", jina.hidden, jina.hidden, 1.0);
    specs.vector("clip_text_pooled_proj.1.bias", jina.hidden, 0.0, 0.05);
    specs.matrix("time_text_embed.1.weight", adaln, adaln + jina.hidden, 1.5);
    specs.vector("time_text_embed.1.bias", adaln, 0.0, 0.05);

    for i in 0..dit.refiner_layers {
        block(&mut specs, &format!("context_refiner.{i}"), dit, None);
        block(&mut specs, &format!("noise_refiner.{i}"), dit, Some(adaln));
    }
    for i in 0..dit.layers {
        block(&mut specs, &format!("layers.{i}"), dit, Some(adaln));
    }

    specs.add("norm_final.weight", &[dim], Init::Constant(1.0));
    specs.matrix("final_layer.adaLN_modulation.1.weight", dim, adaln, 0.3);
    specs.vector("final_layer.adaLN_modulation.1.bias", dim, 0.0, 0.05);
    let readout = Init::Readout { decay: DECAY, drive: DRIVE, channels: CHANNELS };
    specs.add("final_layer.linear.weight", &[PATCH_DIM, dim], readout);
    specs.add("final_layer.linear.bias", &[PATCH_DIM], Init::Constant(0.0));
    specs.tensors
}

fn block(specs: &mut Specs, name: &str, dit: &DitSize, adaln: Option<usize>) {
    let dim = dit.dim;
    let head_dim = dim / dit.heads;
    let ffn = dit.ffn;
    let depth = (dit.layers + dit.refiner_layers) as f64;
    // The sum of all branches keeps the spread of a few, however deep the network.
    let share = (5.0 / depth).sqrt();
    // No layer reads the keel, and the other elements are scaled back to their spread without it.
    let before = zones((1.0 + KEEL * KEEL).sqrt(), 0.0, (1.0 + KEEL * KEEL).sqrt());
    let after = |spread: f64| zones(LEAK * spread * share, 0.0, spread * share);

    specs.matrix(format!("{name}.attention.qkv.weight"), (dit.heads + 2 * dit.kv_heads) * head_dim, dim, 1.0);
    specs.matrix(format!("{name}.attention.out.weight"), dim, dim, 1.0);
    specs.vector(format!("{name}.attention.q_norm.weight"), head_dim, SHARPNESS, 0.1);
    specs.vector(format!("{name}.attention.k_norm.weight"), head_dim, SHARPNESS, 0.1);
    specs.matrix(format!("{name}.feed_forward.w1.weight"), ffn, dim, 1.0);
    specs.matrix(format!("{name}.feed_forward.w2.weight"), dim, ffn, 1.0);
    specs.matrix(format!("{name}.feed_forward.w3.weight"), ffn, dim, 1.0);
    specs.add(format!("{name}.attention_norm1.weight"), &[dim], before);
    specs.add(format!("{name}.attention_norm2.weight"), &[dim], after(ATTENTION));
    specs.add(format!("{name}.ffn_norm1.weight"), &[dim], before);
    specs.add(format!("{name}.ffn_norm2.weight"), &[dim], after(FEED_FORWARD));
    if let Some(adaln) = adaln {
        specs.matrix(format!("{name}.adaLN_modulation.1.weight"), 4 * dim, adaln, 0.3);
        specs.vector(format!("{name}.adaLN_modulation.1.bias"), 4 * dim, 0.0, 0.5);
    }
}

fn zones(latents: f64, keel: f64, free: f64) -> Init {
    Init::Zones { latents, keel, free, patch: PATCH_DIM }
}
