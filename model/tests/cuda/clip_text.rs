//! The text encoders of Stable Diffusion XL on vendor libraries and our kernels, compared with burn's operations in f32 on
//! the CPU.

use std::path::Path;

use burn::tensor::{DType, Device, Tensor};
use sakuga_model::checkpoint::{TensorReader, weight_files};
use sakuga_model::device::OpenDevice;
use sakuga_model::families::sdxl::synthetic::{self, Geometry};
use sakuga_model::networks::clip_text::{ClipText, ClipTextConfig, TextFeatures, TextToken};
use sakuga_model::sampler::noise;

use crate::{gpu, relative_error};

/// Error of rounding to bf16 over a few layers.
const TOLERANCE: f64 = 2e-2;

fn load(dir: &Path, device: &Device, dtype: DType) -> ClipText {
    let text = std::fs::read_to_string(dir.join("config.json")).expect("a configuration");
    let config = ClipTextConfig::from_json(&serde_json::from_str(&text).expect("JSON")).expect("a text encoder");
    let weights = TensorReader::open("text", &weight_files(dir).expect("weights"), device, dtype).expect("readable");
    ClipText::rename(&weights);
    let network = ClipText::load(&config, &weights);
    weights.finish().unwrap_or_else(|error| panic!("{error}"));
    network
}

/// Texts of `length` tokens, the third of which is a vector.
fn texts(count: usize, length: usize) -> Vec<Vec<TextToken>> {
    let token = |text: usize, place: usize| match place {
        2 => TextToken::Vector(0),
        place => TextToken::Id((1000 * text + 37 * place) as u32),
    };
    (0..count).map(|text| (0..length).map(|place| token(text, place)).collect()).collect()
}

fn values(features: TextFeatures) -> [Vec<f32>; 2] {
    [features.state, features.last].map(|state| state.cast(DType::F32).try_into_vec_as().expect("the device works"))
}

#[test]
fn features_are_those_of_burns_operations() {
    let Some(OpenDevice { device, .. }) = gpu() else { return };
    let Geometry { clip_l, clip_g, .. } = Geometry::small();
    let dir = tempfile::tempdir().expect("a temporary folder");
    for (part, config, width) in [("text_encoder", clip_l, 64), ("text_encoder_2", clip_g, 128)] {
        synthetic::write_part(dir.path(), part, &config, 1).expect("writable");
        let cpu = Device::flex();
        let reference = load(&dir.path().join(part), &cpu, DType::F32);
        let network = load(&dir.path().join(part), &device, DType::BF16);
        assert!(network.is_fast() && !reference.is_fast(), "the log says why the fast path is not taken");
        let vectors =
            |device: &Device| -> Tensor<2> { noise::batch(4, 0, 1, [1, 1, width], device).reshape([1, width]) };
        for (count, length, state) in [(1, 77, 2), (3, 77, 1), (2, 20, 4), (2, 77, 3)] {
            let texts = texts(count, length);
            let expected = values(reference.features(&texts, Some(&vectors(&cpu)), state));
            let found = values(network.features(&texts, Some(&vectors(&device)), state));
            for (name, found, expected) in [("state", &found[0], &expected[0]), ("last", &found[1], &expected[1])] {
                let error = relative_error(found, expected);
                println!("{part}, {count} texts of {length}, {name} {state} from the end: {error:.2e}");
                assert!(error < TOLERANCE, "{part}, {name}: {error}");
            }
            assert_eq!(values(network.features(&texts, Some(&vectors(&device)), state)), found, "the same bits");
        }
    }
}
