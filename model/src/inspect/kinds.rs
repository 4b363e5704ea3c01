//! Files that are neither a model of a known family nor an adapter, by the names of their tensors or their first bytes.

use std::path::Path;

/// A kind of file: each alternative is a list of beginnings of names that must all be there.
struct Kind {
    name: &'static str,
    alternatives: &'static [&'static [&'static str]],
    advice: &'static str,
}

const NO_CONTROL: &str = "the server does not offer control networks yet";
const OTHER_MODEL: &str = "this program does not run models of this kind";
const ONE_PART: &str = "it is one part of a model: put it into the folder of a model in place of that part";

/// Kinds whose tensors look like those of a model too: they are asked for first.
const BEFORE_FAMILIES: [Kind; 7] = [
    Kind { name: "a Control-LoRA", alternatives: &[&["lora_controlnet"]], advice: NO_CONTROL },
    Kind {
        name: "a ControlNet Union",
        alternatives: &[&["task_embedding"], &["control_model.task_embedding"], &["controlnet_mode_embedder."]],
        advice: NO_CONTROL,
    },
    Kind {
        name: "a ControlNet (diffusers' names)",
        alternatives: &[&["controlnet_cond_embedding.conv_in."]],
        advice: NO_CONTROL,
    },
    Kind {
        name: "a ControlNet (LDM's names)",
        alternatives: &[&["control_model.input_hint_block."], &["input_hint_block."]],
        advice: NO_CONTROL,
    },
    Kind { name: "a ControlNet-LLLite", alternatives: &[&["lllite_"]], advice: NO_CONTROL },
    Kind {
        name: "a T2I-Adapter",
        alternatives: &[&["adapter.body."], &["conv_in.weight", "body.0."], &["body.0.in_conv."]],
        advice: NO_CONTROL,
    },
    Kind {
        name: "an IP-Adapter",
        alternatives: &[&["ip_adapter."], &["image_proj."]],
        advice: "the server does not offer image prompts",
    },
];

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
    let has = |beginning: &str| names.clone().any(|name| name.starts_with(beginning));
    let kinds: &[Kind] = if is_before_families { &BEFORE_FAMILIES } else { &AFTER_FAMILIES };
    let fits = |kind: &&Kind| kind.alternatives.iter().any(|all| all.iter().all(|beginning| has(beginning)));
    kinds.iter().find(fits).map(|kind| (kind.name, kind.advice))
}

/// Kind and advice of a file that is not of the safetensors format, by its first bytes and the end of its name.
pub(super) fn other_format(begin: &[u8], path: &Path) -> Option<(&'static str, &'static str)> {
    const CONVERT: &str = "files of this kind can run code when they are read, and none is read here. Convert it: `python -c \
                           \"import sys, torch; from safetensors.torch import save_file; state = torch.load(sys.argv[1], \
                           map_location='cpu', weights_only=True); state = state.get('state_dict', state); save_file({name: \
                           value.contiguous().clone() for name, value in state.items() if hasattr(value, 'shape')}, \
                           sys.argv[2])\" IN OUT.safetensors`";
    let has_end = |ends: &[&str]| {
        let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default().to_lowercase();
        ends.contains(&end.as_str())
    };
    // A zip archive, or the first opcode of a pickle.
    let is_pickle = begin.starts_with(b"PK\x03\x04") || begin.first() == Some(&0x80) && begin.get(8) != Some(&b'{');
    if begin.starts_with(b"GGUF") {
        return Some((
            "quantised weights in the GGUF format",
            "the server reads safetensors; get the original weights",
        ));
    }
    (is_pickle || has_end(&["pt", "pth", "ckpt", "bin"])).then_some(("a file of PyTorch (pickle)", CONVERT))
}
