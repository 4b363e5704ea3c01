//! Files that are neither a model of a known family nor an adapter, by the names of their tensors.

use crate::networks::unet2d::ControlKind;

/// A kind of file: each alternative is a list of beginnings of names that must all be there.
struct Kind {
    name: &'static str,
    alternatives: &'static [&'static [&'static str]],
    advice: &'static str,
}

const CONTROL: &str = "put it into the folder of `--controlnets`; the server says whether it fits its model";
const OTHER_CONTROL: &str = "the server offers ControlNets alone";
const OTHER_MODEL: &str = "this program does not run models of this kind";
const ONE_PART: &str = "it is one part of a model: put it into the folder of a model in place of that part";

/// Kinds whose tensors look like those of a model too: they are asked for first.
const BEFORE_FAMILIES: [Kind; 1] = [Kind {
    name: "an IP-Adapter",
    alternatives: &[&["ip_adapter."], &["image_proj."]],
    advice: "the server does not offer image prompts",
}];

const AFTER_FAMILIES: [Kind; 7] = [
    Kind {
        name: "a Stable Diffusion 1 or 2 checkpoint",
        alternatives: &[&["model.diffusion_model.input_blocks.0.0.", "cond_stage_model."]],
        advice: OTHER_MODEL,
    },
    Kind {
        name: "a FLUX.1 model",
        alternatives: &[&["double_blocks.0."], &["model.diffusion_model.double_blocks.0."]],
        advice: OTHER_MODEL,
    },
    Kind {
        name: "a Stable Diffusion 3 model",
        alternatives: &[&["joint_blocks.0."], &["model.diffusion_model.joint_blocks.0."]],
        advice: OTHER_MODEL,
    },
    Kind {
        name: "an autoencoder alone",
        alternatives: &[&["encoder.conv_in.", "decoder.conv_in."], &["first_stage_model."]],
        advice: ONE_PART,
    },
    Kind {
        name: "a text encoder alone",
        alternatives: &[
            &["text_model.encoder.layers.0."],
            &["transformer.resblocks.0."],
            &["model.layers.0.self_attn."],
        ],
        advice: ONE_PART,
    },
    Kind {
        name: "a text encoder alone (of a single file)",
        alternatives: &[&["conditioner.embedders.0."], &["cond_stage_model."]],
        advice: ONE_PART,
    },
    Kind {
        name: "a U-Net of another model",
        alternatives: &[&["down_blocks.0.resnets.0.", "conv_out."]],
        advice: OTHER_MODEL,
    },
];

/// Name and advice of the kind that these tensors are of, among those that look like a model or, afterwards, the others.
pub(super) fn of_tensors<'n>(
    names: impl Iterator<Item = &'n str> + Clone,
    is_before_families: bool,
) -> Option<(&'static str, &'static str)> {
    if is_before_families && let Some(kind) = ControlKind::of_tensors(names.clone()) {
        return Some((kind.name(), if kind.is_supported() { CONTROL } else { OTHER_CONTROL }));
    }
    let has = |beginning: &str| names.clone().any(|name| name.starts_with(beginning));
    let kinds: &[Kind] = if is_before_families { &BEFORE_FAMILIES } else { &AFTER_FAMILIES };
    let fits = |kind: &&Kind| kind.alternatives.iter().any(|all| all.iter().all(|beginning| has(beginning)));
    kinds.iter().find(fits).map(|kind| (kind.name, kind.advice))
}
