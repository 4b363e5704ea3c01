//! Which kind of control network a file has, by the names of its tensors.

/// A kind of network that steers a U-Net by an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlKind {
    /// A ControlNet under diffusers' names.
    Diffusers,
    /// A ControlNet under the names of its authors, LDM's.
    Ldm,
    /// The difference of a ControlNet to its U-Net in low rank.
    ControlLora,
    /// One ControlNet for several kinds of images.
    Union,
    /// Additions to the attention alone.
    LlLite,
    /// A small network whose features are added to the U-Net's way down.
    T2iAdapter,
}

impl ControlKind {
    /// All kinds and their alternatives, each a list of beginnings of names that must all be there. A kind comes before those whose
    /// names it has as well.
    const ALL: [(Self, &'static [&'static [&'static str]]); 6] = [
        (Self::ControlLora, &[&["lora_controlnet"]]),
        (Self::Union, &[&["task_embedding"], &["control_model.task_embedding"], &["controlnet_mode_embedder."]]),
        (Self::Diffusers, &[&["controlnet_cond_embedding.conv_in."]]),
        (Self::Ldm, &[&["control_model.input_hint_block."], &["input_hint_block."]]),
        (Self::LlLite, &[&["lllite_"]]),
        (Self::T2iAdapter, &[&["adapter.body."], &["conv_in.weight", "body.0."], &["body.0.in_conv."]]),
    ];

    /// The kind of a file with these tensors; `None`: of no known kind.
    pub fn of_tensors<'n>(names: impl Iterator<Item = &'n str> + Clone) -> Option<Self> {
        let has = |beginning: &str| names.clone().any(|name| name.starts_with(beginning));
        let fits = |all: &&[&str]| all.iter().all(|beginning| has(beginning));
        Self::ALL.iter().find(|(_, alternatives)| alternatives.iter().any(fits)).map(|(kind, _)| *kind)
    }

    /// The name in texts for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Diffusers => "a ControlNet (diffusers' names)",
            Self::Ldm => "a ControlNet (LDM's names)",
            Self::ControlLora => "a Control-LoRA",
            Self::Union => "a ControlNet Union",
            Self::LlLite => "a ControlNet-LLLite",
            Self::T2iAdapter => "a T2I-Adapter",
        }
    }

    /// Whether [`ControlNet`](super::ControlNet) reads it.
    pub const fn is_supported(self) -> bool {
        matches!(self, Self::Diffusers | Self::Ldm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_distinguished_by_their_tensors() {
        for (names, kind) in [
            (&["conv_in.weight", "controlnet_cond_embedding.conv_in.weight"][..], Some(ControlKind::Diffusers)),
            (&["control_model.input_hint_block.0.weight"], Some(ControlKind::Ldm)),
            (&["input_hint_block.0.weight"], Some(ControlKind::Ldm)),
            (&["lora_controlnet", "input_hint_block.0.weight"], Some(ControlKind::ControlLora)),
            (&["task_embedding", "controlnet_cond_embedding.conv_in.weight"], Some(ControlKind::Union)),
            (&["lllite_unet_input_blocks_4_1.depth"], Some(ControlKind::LlLite)),
            (&["body.0.resnets.0.block1.weight", "conv_in.weight"], Some(ControlKind::T2iAdapter)),
            (&["conv_in.weight"], None),
        ] {
            let found = ControlKind::of_tensors(names.iter().copied());
            assert_eq!(found, kind, "{names:?}");
            assert!(found.is_none_or(|kind| !kind.name().is_empty()));
        }
    }
}
