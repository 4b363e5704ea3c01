//! Whole models in one file: the same outputs as the folders, and the markers of community files.

use std::path::Path;

use burn::tensor::DType;
use sakuga_model::checkpoint::TensorReader;
use sakuga_model::families::sdxl::embedding::Embeddings;
use sakuga_model::families::sdxl::prompt::PromptRules;
use sakuga_model::families::sdxl::single_file::{FilePart, SingleFile};
use sakuga_model::families::sdxl::text::{STATE_FROM_END, TextEncoders};
use sakuga_model::networks::autoencoder_kl::{AutoencoderKl, AutoencoderKlConfig};
use sakuga_model::networks::clip_text::{ClipText, ClipTextConfig};
use sakuga_model::networks::unet2d::{ControlConfig, ControlNet, Unet, UnetConfig};
use serde_json::Value;

use crate::harness::{Part, device, for_each_set, json, load_files};
use crate::load::{self, conditioning, names, times};
use crate::prompt::encoders;

#[test]
fn single_files_match_their_folders() {
    for_each_set("single_file", check);
}

/// Reads one part of a file; every tensor of the part must be read.
fn part_of<T>(path: &Path, kind: &SingleFile, part: FilePart, load: impl FnOnce(&TensorReader) -> T) -> T {
    load_files("part", &[path.to_owned()], |reader| {
        reader.select(part.prefix(kind.is_refiner));
        load(reader)
    })
    .0
}

fn check(part: &mut Part) {
    let tolerance = part.tolerance("outputs");
    for case in part.cases() {
        let (name, owner) = names(&case);
        let folder = part.set.join(case["same_weights_as"].as_str().expect("a case names its folder"));
        let path = part.dir.join(case["file"].as_str().expect("a case has a file"));
        let kind = SingleFile::open(&path).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(kind.is_refiner, case["which"].as_str() == Some("refiner"), "{name}");
        assert!(kind.has_vae && !kind.predicts_v && !kind.has_zero_terminal_snr, "{name}");
        let config = |dir: &str| json(&folder.join(dir).join("config.json"));

        let unet_config = UnetConfig::from_json(&config("unet")).expect("a valid configuration");
        let unet = part_of(&path, &kind, FilePart::Unet, |reader| {
            Unet::rename(&unet_config, reader);
            Unet::load(&unet_config, reader)
        });
        let sample = part.tensors.tensor::<4>(&format!("{owner}.sample"));
        let rows = conditioning(part, &owner);
        let out = unet.forward(sample.clone(), &times(part, &owner), &rows, None, &mut |_, _| ());
        part.compare("file", &name, "unet_out", out, None, tolerance);

        let vae_config = AutoencoderKlConfig::from_json(&config("vae")).expect("a valid configuration");
        let vae = part_of(&path, &kind, FilePart::Vae, |reader| AutoencoderKl::load(&vae_config, reader));
        let image = part.tensors.tensor::<4>(&format!("{owner}.image"));
        let posterior = vae.posterior(image, &mut |_, _| ()).expect("the encoder was loaded");
        part.compare("file", &name, "encoded_mean", posterior.mean, None, tolerance);
        part.compare("file", &name, "decoded", vae.decode_raw(sample, &mut |_, _| ()), None, tolerance);

        let clip = |which: FilePart, config: &Value| {
            let config = ClipTextConfig::from_json(config).expect("a valid configuration");
            part_of(&path, &kind, which, |reader| {
                ClipText::rename(reader);
                ClipText::load(&config, reader)
            })
        };
        let encoders = TextEncoders {
            l: (!kind.is_refiner).then(|| clip(FilePart::ClipL, &config("text_encoder"))),
            g: clip(FilePart::ClipG, &config("text_encoder_2")),
            tokenizers: encoders(&folder).tokenizers,
            embeddings: Embeddings::default(),
        };
        let text = case["text"].as_str().expect("a case has a text");
        let features = encoders.encode(PromptRules::Plain, text, STATE_FROM_END);
        part.compare("file", &name, "prompt_embeds", features.context, None, tolerance);
        part.compare("file", &name, "pooled", features.pooled, None, tolerance);
        check_weights(part, &name, (&path, &folder), &kind, &unet_config);
    }
    check_control(part);
}

/// The U-Net's tensors of file and folder are equal.
fn check_weights(part: &mut Part, name: &str, (file, folder): (&Path, &Path), kind: &SingleFile, config: &UnetConfig) {
    let open = |files: &[std::path::PathBuf]| {
        TensorReader::open("part", files, &device(), DType::F32).unwrap_or_else(|error| panic!("{error}"))
    };
    let files = sakuga_model::checkpoint::weight_files(&folder.join("unet")).expect("the folder has weights");
    let (of_folder, of_file) = (open(&files), open(&[file.to_owned()]));
    of_file.select(FilePart::Unet.prefix(kind.is_refiner));
    Unet::rename(config, &of_file);
    if of_folder.names() != of_file.names() {
        part.fail(format!("{name}: file and folder have different tensors"));
        return;
    }
    for tensor in of_folder.names() {
        let values = |reader: &TensorReader| -> Vec<f32> {
            let shape = reader.shape(&tensor).expect("it is there");
            let data = match shape[..] {
                [a] => reader.tensor(&tensor, [a]).into_data(),
                [a, b] => reader.tensor(&tensor, [a, b]).into_data(),
                [a, b, c, d] => reader.tensor(&tensor, [a, b, c, d]).into_data(),
                ref other => panic!("{tensor} has the shape {other:?}"),
            };
            data.as_slice::<f32>().expect("f32").to_vec()
        };
        if values(&of_folder) != values(&of_file) {
            part.fail(format!("{name}: {tensor} differs between file and folder"));
        }
    }
}

/// The control network under LDM's names gives the residuals of the one under diffusers'.
fn check_control(part: &mut Part) {
    let dir = part.set.join("controlnet/model");
    let config = ControlConfig::from_json(&json(&dir.join("config.json"))).expect("a valid configuration");
    let file = part.dir.join("controlnet_ldm_names.safetensors");
    let renamed = load_files("control", &[file], |reader| ControlNet::load(&config, reader)).0;
    let original = load::control(&dir);
    let (rows, times) = (conditioning(part, "base"), times(part, "base"));
    let sample = part.tensors.tensor::<4>("base.sample");
    let [batch, _, height, width] = sample.dims();
    let factor = config.factor();
    let image = burn::tensor::Tensor::<4>::ones([batch, 3, factor * height, factor * width], &device()).mul_scalar(0.3);
    let mid = |network: &ControlNet| -> Vec<f32> {
        let residuals = network.forward(sample.clone(), &times, &rows, image.clone(), &mut |_, _| ());
        residuals.mid.try_into_vec_as().expect("f32 on the CPU")
    };
    if mid(&renamed) != mid(&original) {
        part.fail("the control network under LDM's names gives other residuals".to_owned());
    }
}
