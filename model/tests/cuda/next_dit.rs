//! The Next-DiT on vendor libraries and our kernels, compared with burn's operations in f32 on the CPU.

use burn::tensor::{DType, Device, Tensor};
use sakuga_model::checkpoint::ModelFolder;
use sakuga_model::device::OpenDevice;
use sakuga_model::families::newbie::load_transformer;
use sakuga_model::families::newbie::synthetic::{self, DitSize, Preset};
use sakuga_model::networks::next_dit::{Caption, NextDit};
use sakuga_model::sampler::noise;

use crate::{gpu, relative_error};

/// Error of rounding to bf16 over a few blocks.
const TOLERANCE: f64 = 2e-2;
pub(crate) const LATENTS: [usize; 3] = [16, 24, 16];

/// Small, but with every kind of part, grouped heads and the published head size. Every width is a multiple of 16.
pub(crate) fn preset() -> Preset {
    Preset {
        dit: DitSize {
            dim: 384,
            ffn: 1024,
            layers: 3,
            refiner_layers: 2,
            heads: 4,
            kv_heads: 2,
            axes_dims: [32; 3],
            axes_lens: [1024, 512, 512],
        },
        ..Preset::tiny()
    }
}

pub(crate) fn load(device: &Device, dtype: DType) -> NextDit {
    load_preset(&preset(), device, dtype)
}

pub(crate) fn load_preset(preset: &Preset, device: &Device, dtype: DType) -> NextDit {
    let dir = tempfile::tempdir().expect("a temporary folder");
    synthetic::write(dir.path(), preset, 1).expect("writable");
    let folder = ModelFolder::open(dir.path()).expect("a checkpoint");
    load_transformer(&folder, device, dtype, &[]).unwrap_or_else(|error| panic!("{error}")).0
}

/// Velocities of a batch whose captions have these lengths.
fn velocities(network: &NextDit, device: &Device, lengths: &[usize], seeds: &[u32], time: f32) -> Vec<f32> {
    velocities_of(network, device, LATENTS, lengths, seeds, time)
}

/// As [`velocities`], of latents of this shape.
pub(crate) fn velocities_of(
    network: &NextDit,
    device: &Device,
    shape: [usize; 3],
    lengths: &[usize],
    seeds: &[u32],
    time: f32,
) -> Vec<f32> {
    let config = network.config();
    let width = lengths.iter().copied().max().expect("a row");
    // Captions and pooled text are noise of the row's seed, so that a row is the same in every batch.
    let rows = |salt: u32, len: usize, features: usize| -> Tensor<2> {
        let image = noise::batch(u64::from(salt), 0, 1, [1, len, features], device);
        image.reshape([len, features])
    };
    let captions = seeds.iter().map(|&seed| rows(100 + seed, width, config.cap_feat_dim).unsqueeze_dim::<3>(0));
    let caption = Caption { features: Tensor::cat(captions.collect(), 0), lengths: lengths.to_vec() };
    let pooled =
        config.clip_text_dim.map(|dim| Tensor::cat(seeds.iter().map(|&seed| rows(200 + seed, 1, dim)).collect(), 0));
    let grid = [shape[1] / config.patch_size, shape[2] / config.patch_size];
    let conditioned = network.condition(&caption, pooled, &vec![grid; seeds.len()]);
    let latents = seeds.iter().map(|&seed| noise::batch(u64::from(seed), 0, 1, shape, device));
    let velocity = network.velocity(&conditioned, Tensor::cat(latents.collect(), 0), &vec![time; seeds.len()]);
    velocity.try_into_vec_as().expect("the device works")
}

#[test]
fn velocities_are_those_of_the_plain_network() {
    let Some(OpenDevice { device, .. }) = gpu() else { return };
    let network = load(&device, DType::BF16);
    assert!(network.is_fast(), "the log says why the fast path is not taken");
    let cpu = Device::flex();
    let reference = load(&cpu, DType::F32);
    for (lengths, seeds) in [(vec![17], vec![1]), (vec![40, 9], vec![1, 2]), (vec![33, 33, 5], vec![3, 1, 2])] {
        for time in [0.0, 0.37, 0.93] {
            let found = velocities(&network, &device, &lengths, &seeds, time);
            let expected = velocities(&reference, &cpu, &lengths, &seeds, time);
            let error = relative_error(&found, &expected);
            println!("captions {lengths:?} at {time}: relative error {error:.2e}");
            assert!(error < TOLERANCE, "captions {lengths:?} at {time}: {error}");
        }
    }
}

#[test]
fn the_plain_network_on_the_gpu_is_no_closer() {
    let Some(OpenDevice { device, .. }) = gpu() else { return };
    let cpu = Device::flex();
    let expected = velocities(&load(&cpu, DType::F32), &cpu, &[40, 9], &[1, 2], 0.37);
    let error = |network: NextDit| relative_error(&velocities(&network, &device, &[40, 9], &[1, 2], 0.37), &expected);
    let fast = error(load(&device, DType::BF16));
    let plain = error(load(&device, DType::BF16).plain());
    println!("relative error: fast {fast:.2e}, plain {plain:.2e}");
    assert!(fast <= 1.1 * plain, "fast {fast}, plain {plain}");
}

#[test]
fn the_same_input_gives_the_same_bits() {
    let Some(OpenDevice { device, .. }) = gpu() else { return };
    let network = load(&device, DType::BF16);
    let first = velocities(&network, &device, &[40, 9], &[1, 2], 0.5);
    for _ in 0..10 {
        assert!(velocities(&network, &device, &[40, 9], &[1, 2], 0.5) == first, "another result");
    }
    assert!(velocities(&load(&device, DType::BF16), &device, &[40, 9], &[1, 2], 0.5) == first, "after loading again");
}

#[test]
fn an_image_does_not_depend_on_its_batch() {
    let Some(OpenDevice { device, .. }) = gpu() else { return };
    let network = load(&device, DType::BF16);
    let alone = velocities(&network, &device, &[40], &[1], 0.5);
    for batch in [2, 4] {
        let seeds: Vec<u32> = (1..=batch).collect();
        let together = velocities(&network, &device, &vec![40; seeds.len()], &seeds, 0.5);
        let error = relative_error(&together[..alone.len()], &alone);
        println!("in a batch of {batch}: relative error {error:.2e}");
        assert!(error < 5e-3, "in a batch of {batch}: {error}");
    }
}
