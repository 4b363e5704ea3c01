//! Sizes of a checkpoint.

/// Sizes of all parts of a checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Preset {
    /// Becomes part of the model's name.
    pub name: String,
    /// Default width and height in pixels.
    pub default_size_px: usize,
    /// Tokens that Gemma reads at most, a multiple of 8 below the caption's positions of the Next-DiT.
    pub gemma_tokens_max: usize,
    /// Sizes of the Next-DiT.
    pub dit: DitSize,
    /// Sizes of Gemma 3's text tower.
    pub gemma: GemmaSize,
    /// Sizes of Jina CLIP's text tower.
    pub jina: JinaSize,
    /// Sizes of the VAE.
    pub vae: VaeSize,
}

/// Channels of the latents.
pub(super) const CHANNELS: usize = 16;
/// Edge of a patch.
pub(super) const PATCH: usize = 2;
/// Elements of a patch.
pub(super) const PATCH_DIM: usize = PATCH * PATCH * CHANNELS;

/// Sizes of the Next-DiT. Patches are 2 x 2 and latents have 16 channels.
#[derive(Clone, Debug, PartialEq)]
pub struct DitSize {
    /// Width of the stream.
    pub dim: usize,
    /// Width inside the feed-forward part.
    pub ffn: usize,
    /// Joint blocks.
    pub layers: usize,
    /// Blocks of each refiner.
    pub refiner_layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Elements of a head that each axis rotates.
    pub axes_dims: [usize; 3],
    /// Positions of each axis.
    pub axes_lens: [usize; 3],
}

/// Sizes of Gemma 3's text tower.
#[derive(Clone, Debug, PartialEq)]
pub struct GemmaSize {
    /// Rows of the embedding table.
    pub vocabulary: usize,
    /// Width.
    pub hidden: usize,
    /// Width inside the feed-forward part.
    pub ffn: usize,
    /// Blocks.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Elements of a head.
    pub head_dim: usize,
    /// Positions that a local block sees.
    pub sliding_window: usize,
}

/// Sizes of Jina CLIP's text tower.
#[derive(Clone, Debug, PartialEq)]
pub struct JinaSize {
    /// Rows of the embedding table.
    pub vocabulary: usize,
    /// Width.
    pub hidden: usize,
    /// Width inside the feed-forward part.
    pub ffn: usize,
    /// Blocks.
    pub layers: usize,
    /// Attention heads of a block.
    pub heads: usize,
    /// Rank of the task adapters.
    pub lora_rank: usize,
}

/// Sizes of the VAE. Latents have 16 channels, images 3.
#[derive(Clone, Debug, PartialEq)]
pub struct VaeSize {
    /// Channels of each level, from the image inwards; every level but the last halves the size.
    pub channels: Vec<usize>,
    /// Residual blocks per level of the encoder; the decoder has one more.
    pub blocks_per_level: usize,
    /// Groups of channels that each group norm normalises.
    pub norm_groups: usize,
}

impl Preset {
    /// A toy that draws 256 x 256 pixels in seconds on a CPU.
    pub fn tiny() -> Self {
        Self {
            name: "tiny".into(),
            default_size_px: 256,
            // Its tokenizer has 1 800 pieces where Gemma's has 262 144, so the same text is more tokens.
            gemma_tokens_max: 1016,
            dit: DitSize {
                dim: 96,
                ffn: 512,
                layers: 4,
                refiner_layers: 1,
                heads: 4,
                kv_heads: 2,
                axes_dims: [8, 8, 8],
                axes_lens: [1024, 128, 128],
            },
            gemma: GemmaSize {
                vocabulary: 2048,
                hidden: 64,
                ffn: 192,
                layers: 4,
                heads: 4,
                kv_heads: 2,
                head_dim: 16,
                sliding_window: 64,
            },
            jina: JinaSize { vocabulary: 2048, hidden: 64, ffn: 192, layers: 2, heads: 4, lora_rank: 4 },
            vae: VaeSize { channels: vec![16, 24, 32, 32], blocks_per_level: 1, norm_groups: 8 },
        }
    }

    /// The published geometry: 3.5 billion parameters in the Next-DiT, about 8 billion in all.
    pub fn newbie() -> Self {
        Self {
            name: "newbie".into(),
            default_size_px: 1024,
            gemma_tokens_max: 512,
            dit: DitSize {
                dim: 2304,
                ffn: 9216,
                layers: 36,
                refiner_layers: 2,
                heads: 24,
                kv_heads: 8,
                axes_dims: [32; 3],
                axes_lens: [1024, 512, 512],
            },
            gemma: GemmaSize {
                vocabulary: 262_208,
                hidden: 2560,
                ffn: 10_240,
                layers: 34,
                heads: 8,
                kv_heads: 4,
                head_dim: 256,
                sliding_window: 1024,
            },
            jina: JinaSize { vocabulary: 250_002, hidden: 1024, ffn: 4096, layers: 24, heads: 16, lora_rank: 4 },
            vae: VaeSize { channels: vec![128, 256, 512, 512], blocks_per_level: 2, norm_groups: 32 },
        }
    }

    /// Why the sizes cannot be a network, if they cannot.
    pub(super) fn check(&self) -> Result<(), String> {
        let Self { dit, gemma, jina, vae, .. } = self;
        let divides = |what: &str, part: usize, whole: usize| match part {
            0 => Err(format!("{what} is 0")),
            _ if whole.is_multiple_of(part) => Ok(()),
            _ => Err(format!("{what} {part} does not divide {whole}")),
        };
        divides("dit.heads", dit.heads, dit.dim)?;
        divides("dit.kv_heads", dit.kv_heads, dit.heads)?;
        divides("gemma.kv_heads", gemma.kv_heads, gemma.heads)?;
        divides("jina.heads", jina.heads, jina.hidden)?;
        if dit.axes_dims.iter().sum::<usize>() != dit.dim / dit.heads {
            return Err(format!(
                "dit.axes_dims {:?} do not add up to the head size {}",
                dit.axes_dims,
                dit.dim / dit.heads
            ));
        }
        let occupied = PATCH_DIM + 1;
        if dit.dim <= occupied {
            return Err(format!("dit.dim {} must be more than {occupied}", dit.dim));
        }
        let vocabulary = super::tokenizer::VOCABULARY;
        if gemma.vocabulary < vocabulary || jina.vocabulary < vocabulary {
            return Err(format!("both vocabularies must be at least {vocabulary}, the size of the tokenizer"));
        }
        if vae.channels.is_empty() {
            return Err("vae.channels is empty".into());
        }
        vae.channels.iter().try_for_each(|&channels| divides("vae.norm_groups", vae.norm_groups, channels))
    }
}
