//! Large images are decoded in tiles, and show no seam.

use burn::tensor::{Device, Tensor};
use sakuga_model::checkpoint::ModelFolder;
use sakuga_model::checkpoint::embedded;
use sakuga_model::device::{self, OpenDevice};
use sakuga_model::networks::autoencoder_kl::{AutoencoderKl, AutoencoderKlConfig, Tiling};
use sakuga_model_core::{EmbeddedModel, Precision};

/// The trained autoencoder, if the build contains it.
fn trained() -> Option<AutoencoderKl> {
    if !embedded::is_present(EmbeddedModel::Chibi) {
        println!("skipped: this build has no embedded checkpoint");
        return None;
    }
    let dir = tempfile::tempdir().expect("a temporary folder");
    let folder = dir.path().join("model");
    embedded::write(EmbeddedModel::Chibi, &folder).expect("writable");
    let folder = ModelFolder::open(&folder).expect("a checkpoint");
    let part = folder.component("vae").expect("a part");
    let weights = part.reader(&OpenDevice::cpu().device, device::dtype(Precision::F32)).expect("readable");
    let config = part.parse(AutoencoderKlConfig::from_json).expect("a configuration");
    let vae = AutoencoderKl::load_decoder(&config, &weights);
    weights.finish().expect("complete");
    Some(vae)
}

/// Latents that change slowly, so that differences between tiles are visible.
fn latents(channels: usize, edge: usize) -> Tensor<4> {
    let value = |i: usize| {
        let (channel, y, x) = (i / (edge * edge), i / edge % edge, i % edge);
        let phase = channel as f32 * 1.7;
        0.4 * ((y as f32 * 0.11 + phase).sin() + (x as f32 * 0.17 - phase).cos())
    };
    let values: Vec<f32> = (0..channels * edge * edge).map(value).collect();
    Tensor::<1>::from_data(values.as_slice(), &Device::flex()).reshape([1, channels, edge, edge])
}

#[test]
fn tiles_of_the_trained_decoder_show_no_seam() {
    let Some(vae) = trained() else { return };
    let latents = latents(vae.config().latent_channels, 48);
    let tiling = Tiling { whole_max: 32 * 32, tile: 32, overlap: 16 };
    let whole = vae.decode(latents.clone());
    let tiled = vae.decode_tiled(latents, &tiling);
    assert_eq!(tiled.dims(), whole.dims());
    let difference = (tiled - whole).mul_scalar(255.0);
    let mean_square: f32 = difference.clone().powi_scalar(2).mean().into_scalar();
    let psnr = 10.0 * (255.0_f32.powi(2) / mean_square).log10();
    // A seam would be a jump of the difference where a tile begins or ends, along a whole row or column. A few levels
    // come from patterns of these made-up latents, which a tile draws a little differently all over.
    let factor = vae.config().factor();
    let jump = |axis: usize, at: usize| -> f32 {
        let step = difference.clone().narrow(axis, at, 1) - difference.clone().narrow(axis, at - 1, 1);
        step.mean_dim(5 - axis).abs().max().into_scalar()
    };
    let seams = [jump(2, 16 * factor), jump(2, 32 * factor), jump(3, 16 * factor), jump(3, 32 * factor)];
    println!("PSNR {psnr:.1} dB, seams {seams:?} of 255");
    assert!(psnr > 30.0, "{psnr} dB");
    assert!(seams.iter().all(|seam| *seam < 5.0), "seams of {seams:?} grey levels");
}
