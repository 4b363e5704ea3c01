//! Layouts of adapters for other models, recognised by the names of their modules.

/// A layout, and texts of which every key in it contains at least one.
struct Layout {
    name: &'static str,
    markers: &'static [&'static str],
}

/// The known layouts, the more specific first.
const LAYOUTS: [Layout; 10] = [
    Layout {
        name: "Stable Diffusion (1.5 or XL), kohya names",
        markers: &[
            "unet_input_blocks_",
            "unet_output_blocks_",
            "unet_middle_block_",
            "input_blocks.",
            "output_blocks.",
        ],
    },
    Layout {
        name: "Stable Diffusion (1.5 or XL), diffusers names",
        markers: &["down_blocks", "up_blocks", "mid_block"],
    },
    Layout { name: "FLUX.1, diffusers names", markers: &["single_transformer_blocks"] },
    Layout { name: "FLUX.1, original names", markers: &["double_blocks", "single_blocks"] },
    Layout { name: "Stable Diffusion 3", markers: &["joint_blocks"] },
    Layout { name: "Qwen-Image or another of diffusers' transformers", markers: &["transformer_blocks"] },
    Layout { name: "Wan or Anima", markers: &["blocks.", "unet_blocks_"] },
    Layout { name: "a text encoder alone", markers: &["text_model", "text_encoder", "lora_te"] },
    Layout { name: "Lumina 2 or Z-Image", markers: &["noise_refiner", "context_refiner", "layers.", "layers_"] },
    Layout { name: "another kind of adapter (OFT, BOFT, GLoRA)", markers: &["oft_", "glora", ".a1", ".b1"] },
];

/// The layout that most of `keys` belong to. Empty: none.
pub(super) fn nearest<'a>(keys: impl Iterator<Item = &'a str>) -> &'static str {
    let mut counts = [0_usize; LAYOUTS.len()];
    for key in keys {
        let found = LAYOUTS.iter().position(|layout| layout.markers.iter().any(|marker| key.contains(marker)));
        if let Some(index) = found {
            counts[index] += 1;
        }
    }
    let most = counts.iter().enumerate().max_by_key(|(index, count)| (**count, LAYOUTS.len() - index));
    most.filter(|(_, count)| **count > 0).map_or("", |(index, _)| LAYOUTS[index].name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_other_models_are_recognised() {
        for (key, name) in [
            ("lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.alpha", LAYOUTS[0].name),
            ("unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.weight", LAYOUTS[1].name),
            ("transformer.single_transformer_blocks.0.attn.to_q.lora_A.weight", LAYOUTS[2].name),
            ("lora_unet_double_blocks_0_img_attn_qkv.alpha", LAYOUTS[3].name),
            ("transformer.transformer_blocks.0.attn.add_q_proj.lora_A.weight", LAYOUTS[5].name),
            ("diffusion_model.blocks.0.self_attn.q.lora_A.weight", LAYOUTS[6].name),
            ("diffusion_model.layers.3.attention.to_q.lora_A.weight", LAYOUTS[8].name),
            ("lora_te1_text_model_encoder_layers_0_mlp_fc1.alpha", LAYOUTS[7].name),
        ] {
            assert_eq!(nearest([key].into_iter()), name, "{key}");
        }
        assert_eq!(nearest(["something.else"].into_iter()), "");
    }
}
