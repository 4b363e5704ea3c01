//! Writes inputs and results of every network of a checkpoint, for `tests/torch/compare.py` to compute again in
//! PyTorch.
//!
//! ```text
//! cargo run --release -p sakuga-model --features cuda --example full_size_dump -- FOLDER DUMP [SIZE_PX [STEPS [DEVICE]]] \
//!     [--fp8]
//! ```
//!
//! With `--fp8` the Next-DiT's products are in fp8.
//!
//! Without a checkpoint in FOLDER one of the published geometry with random weights is written there first. The prompt
//! is a line of ids that depend on nothing but their place, so that a checkpoint of any vocabulary will do.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;

use burn::tensor::{DType, Tensor};
use safetensors::tensor::{Dtype, TensorView};
use sakuga_model::checkpoint::ModelFolder;
use sakuga_model::device;
use sakuga_model::families::newbie::synthetic::{self, Preset};
use sakuga_model::families::newbie::{Denoiser, LoadOptions, Networks};
use sakuga_model::sampler::{Schedule, noise};
use sakuga_model::tokens::TokenBatch;
use sakuga_model_core::{DeviceChoice, Guidance, Precision, Solver};

/// Ids of the prompt and of the negative: lengths of an ordinary prompt and of a short one.
const LENGTHS: [usize; 2] = [240, 24];
const GUIDANCE: f32 = 4.5;
const SHIFT: f64 = 6.0;
const SEED: u64 = 7;

/// Shape, type and little-endian bytes.
type Stored = (Vec<usize>, Dtype, Vec<u8>);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (flags, arguments): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|argument| argument == "--fp8");
    let precision = (!flags.is_empty()).then_some(Precision::Fp8);
    let mut arguments = arguments.into_iter();
    let folder = PathBuf::from(arguments.next().ok_or("name the checkpoint's folder")?);
    let path = PathBuf::from(arguments.next().ok_or("name the file to write")?);
    let size_px: usize = arguments.next().map_or(Ok(1024), |text| text.parse())?;
    let steps: usize = arguments.next().map_or(Ok(28), |text| text.parse())?;
    let spec: DeviceChoice = arguments.next().map_or(Ok(DeviceChoice::Cuda(0)), |text| text.parse())?;
    if !folder.join("model_index.json").exists() {
        synthetic::write(&folder, &Preset::newbie(), 1)?;
    }
    let options = LoadOptions::new(device::open(spec, precision)?);
    let (networks, _) = Networks::load(&ModelFolder::open(&folder)?, &options)?;
    let device = networks.device().clone();
    let mut dump = BTreeMap::new();

    let ids = LENGTHS.map(|length| (0..length as u32).map(|i| 3 + (i * 37 + length as u32) % 1500).collect::<Vec<_>>());
    let gemma = TokenBatch::padded(&ids, 0, 8)?;
    let jina = TokenBatch::padded(&ids, 1, 1)?;
    let features = networks.encode(&gemma, &jina)?;
    let stored_ids = |pad: u32, width: usize| -> Stored {
        let padded = ids.iter().flat_map(|row| row.iter().copied().chain(std::iter::repeat_n(pad, width - row.len())));
        (vec![2, width], Dtype::I64, padded.flat_map(|id| i64::from(id).to_le_bytes()).collect())
    };
    dump.insert("gemma_ids", stored_ids(0, gemma.width()));
    dump.insert("jina_ids", stored_ids(1, jina.width()));
    dump.insert("gemma_hidden", stored(features.caption.features.clone())?);
    dump.insert("jina_pooled", stored(features.pooled.clone())?);
    dump.insert("caption", stored(features.caption.features.clone())?);
    let lengths = features.caption.lengths.iter();
    dump.insert(
        "caption_lengths",
        (vec![2], Dtype::I64, lengths.flat_map(|&len| (len as i64).to_le_bytes()).collect()),
    );
    dump.insert("pooled", stored(features.pooled.clone())?);

    let channels = networks.transformer.config().in_channels;
    let edge = size_px / networks.vae.config().factor();
    let patches = edge / networks.transformer.config().patch_size;
    let conditioned =
        networks.transformer.condition(&features.caption, Some(features.pooled.clone()), &[[patches; 2]; 2]);
    let latents = noise::batch(SEED + 1, 0, 2, [channels, edge, edge], &device);
    let times = [0.3_f32, 0.3];
    dump.insert("velocity", stored(networks.transformer.velocity(&conditioned, latents.clone(), &times))?);
    dump.insert("latents", stored(latents)?);
    dump.insert("times", scalars(&times));

    let guidance = Guidance::new(GUIDANCE);
    let denoiser = Denoiser::new(&networks.transformer, &features, guidance, 1, [edge; 2]);
    let start = noise::batch(SEED, 0, 1, [channels, edge, edge], &device);
    dump.insert("noise", stored(start.clone())?);
    let schedule = Schedule::new(Solver::Euler, steps, SHIFT);
    let ControlFlow::Continue(last) = denoiser.run(&schedule, start, &mut |_| ControlFlow::Continue(())) else {
        return Err("nobody stopped it".into());
    };
    let image = networks.decode(last.clone()).next().ok_or("a batch of one has an image")?;
    networks.sync()?;
    dump.insert("latents_final", stored(last)?);
    dump.insert("image", stored(image)?);
    dump.insert("steps", scalars(&[steps as f32]));
    dump.insert("guidance", scalars(&[GUIDANCE]));
    dump.insert("shift", scalars(&[SHIFT as f32]));

    let views = dump.iter().map(|(name, (shape, dtype, bytes))| {
        TensorView::new(*dtype, shape.clone(), bytes).map(|view| ((*name).to_owned(), view))
    });
    let views = views.collect::<Result<Vec<_>, _>>()?;
    safetensors::serialize_to_file(views, None, &path)?;
    println!("{}: {size_px} px, {steps} steps, fast: {}", path.display(), networks.transformer.is_fast());
    Ok(())
}

fn stored<const D: usize>(tensor: Tensor<D>) -> Result<Stored, Box<dyn std::error::Error>> {
    let shape = tensor.dims().to_vec();
    let values: Vec<f32> = tensor.cast(DType::F32).try_into_vec_as()?;
    Ok((shape, Dtype::F32, values.iter().flat_map(|value| value.to_le_bytes()).collect()))
}

fn scalars(values: &[f32]) -> Stored {
    (vec![values.len()], Dtype::F32, values.iter().flat_map(|value| value.to_le_bytes()).collect())
}
