//! [`ModelOptions`]: how a model is opened.

use std::path::PathBuf;
use std::str::FromStr;

use crate::{DeviceChoice, LoraChoice, Precision};

/// Which model is opened, on which device, and how its requests are computed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelOptions {
    /// Where the networks run.
    pub device: DeviceChoice,
    /// How many cores an engine on the CPU computes with; `None`: all. The thread that opens the model must be the one that uses it.
    pub cores: Option<usize>,
    /// The floating-point precision; `None`: bf16 on a GPU, f32 on the CPU.
    pub precision: Option<Precision>,
    /// The checkpoint's folder or file; `None`: the embedded model that `embedded` names.
    pub model: Option<PathBuf>,
    /// Which of the embedded models is opened without `model`.
    pub embedded: EmbeddedModel,
    /// The folder or file of its refiner; `None`: it has none.
    pub refiner: Option<PathBuf>,
    /// The folder of its control networks; `None`: it has none.
    pub controlnets: Option<PathBuf>,
    /// Adapters that are merged into it.
    pub loras: Vec<LoraChoice>,
    /// Where the embedded model is unpacked; without a folder it cannot be opened.
    pub cache_dir: Option<PathBuf>,
    /// The most images computed at once; 0: all of a request.
    pub max_batch: u32,
    /// Which sizes are generated before the model is ready.
    pub warm_up: WarmUp,
    /// Pixels of the largest image that requests may ask for.
    pub pixels_max: u64,
    /// Keeps the weights of the large text encoder in the host's memory, from where they are copied layer by layer for each
    /// new text.
    pub offload_text_encoder: bool,
}

/// A small checkpoint that is part of the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmbeddedModel {
    /// The NewBie family, prompts in XML.
    #[default]
    Chibi,
    /// The Stable Diffusion XL family, prompts as tags.
    SdAnime,
}

impl EmbeddedModel {
    /// Every embedded model.
    pub const ALL: [Self; 2] = [Self::Chibi, Self::SdAnime];

    /// What `--model` calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chibi => "embedded",
            Self::SdAnime => "embedded-sd-anime",
        }
    }

    /// The embedded model of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|model| model.name() == name)
    }
}

/// Which sizes are generated before the model is ready, so that memory is allocated and kernels are chosen by then.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum WarmUp {
    /// On a GPU the default size and the largest that may be asked for, on the CPU none.
    #[default]
    Auto,
    /// Nothing is drawn before the first job.
    None,
    /// These, as width and height in pixels. Larger images cannot be asked for then.
    Sizes(Vec<(u32, u32)>),
}

/// The text is not a list of sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write `auto`, `none`, or sizes in pixels such as `1024x1024,832x1216`")]
pub struct InvalidSizes;

impl FromStr for WarmUp {
    type Err = InvalidSizes;

    fn from_str(text: &str) -> Result<Self, InvalidSizes> {
        let size = |text: &str| {
            let (width, height) = text.trim().split_once('x').ok_or(InvalidSizes)?;
            let edge = |text: &str| text.parse::<u32>().ok().filter(|edge| *edge > 0).ok_or(InvalidSizes);
            Ok((edge(width)?, edge(height)?))
        };
        match text {
            "auto" => Ok(Self::Auto),
            "none" => Ok(Self::None),
            sizes => sizes.split(',').map(size).collect::<Result<_, _>>().map(Self::Sizes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_embedded_model_has_a_name_of_its_own() {
        for model in EmbeddedModel::ALL {
            assert_eq!(EmbeddedModel::from_name(model.name()), Some(model));
        }
        assert_eq!(EmbeddedModel::from_name("embedded"), Some(EmbeddedModel::default()));
        assert_eq!(EmbeddedModel::from_name("embedded-"), None);
    }

    #[test]
    fn sizes_are_parsed_and_other_texts_refused() {
        assert_eq!("auto".parse(), Ok(WarmUp::Auto));
        assert_eq!("none".parse(), Ok(WarmUp::None));
        assert_eq!("1024x1024, 832x1216".parse(), Ok(WarmUp::Sizes(vec![(1024, 1024), (832, 1216)])));
        for text in ["", "1024", "0x16", "16x", "1024x1024,", "-1x16", "axb"] {
            assert_eq!(text.parse::<WarmUp>(), Err(InvalidSizes), "{text}");
        }
    }
}
