//! Tests that need a GPU: the fast path agrees with burn's operations, is deterministic, and keeps its memory. Without
//! a GPU every test prints that it is skipped, and passes.
//!
//! ```text
//! cargo test --release -p sakuga-model --features cuda --test cuda -- --test-threads 1
//! ```

mod adapters;
mod autoencoder_kl;
mod clip_text;
mod fp8;
mod host_copy;
mod next_dit;
mod pipeline;
mod reuse;
mod shared;
mod stable_diffusion_xl;
mod text;
mod unet2d;

use std::path::Path;

use sakuga_model::device::{self, OpenDevice};
use sakuga_model_core::{AdapterChoice, DeviceChoice, OpenModel, Precision};

/// The GPU in bf16, or `None` and a message.
fn gpu() -> Option<OpenDevice> {
    match device::open(DeviceChoice::Cuda(0), Some(Precision::Bf16)) {
        Ok(device) => Some(device),
        Err(error) => {
            eprintln!("skipped: {error}");
            None
        }
    }
}

/// Distance of two vectors, relative to the second.
fn relative_error(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len(), "vectors of one length");
    let square = |value: f64| value * value;
    let distance: f64 = found.iter().zip(expected).map(|(a, b)| square(f64::from(*a) - f64::from(*b))).sum();
    let size: f64 = expected.iter().map(|b| square(f64::from(*b))).sum();
    (distance / size).sqrt()
}

/// An adapter that fits the model, at one scale for all parts.
fn choice(open: &OpenModel, path: &Path, scale: f32) -> AdapterChoice {
    let found = open.adapters.as_ref().expect("adapters").inspect(path).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(found.problems_at(scale), Vec::<&str>::new());
    AdapterChoice {
        name: "style".into(),
        path: path.to_owned(),
        sha256: found.sha256,
        scale,
        text_scale: scale,
        device_bytes: 0,
    }
}
