//! Adapters in every form, merged into the U-Net and both text encoders.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{DType, Tensor};
use sakuga_model::checkpoint::adapters::{AdaptedPart, DoraRule, LoraSet, Selection};
use sakuga_model::checkpoint::{TensorReader, weight_files};
use sakuga_model::families::sdxl::adapters::merge;
use sakuga_model::networks::clip_text::{ClipText, ClipTextConfig};
use sakuga_model::networks::unet2d::{Unet, UnetConfig};
use sakuga_model::tokenizer::TextTokenizer;
use sakuga_model_core::LoraChoice;
use serde_json::Value;

use crate::clip::texts;
use crate::harness::{Part, device, for_each_set, json};
use crate::load::{conditioning, times};

#[test]
fn merged_adapters_match_their_references() {
    for_each_set("lora", check);
}

fn check(part: &mut Part) {
    let tolerance = part.tolerance("unet_out_prompt_embeds_pooled");
    let weights_tolerance = part.tolerance("weight");
    let model = part.set.join("model");
    let tokenizer = TextTokenizer::clip(&model.join("tokenizer_2")).unwrap_or_else(|error| panic!("{error}"));
    for case in part.cases() {
        let name = case["name"].as_str().expect("a case has a name").to_owned();
        let choices = choices(part, &case);
        let rule = (case["rule"].as_str() == Some("comfyui")).then_some(DoraRule::ComfyUi);
        let open = |folder: &str, which: AdaptedPart| {
            let selection = Selection { dora_rule: rule, ..Selection::one_of(which) };
            Opened::new(&model.join(folder), &choices, selection)
        };
        // Merged weights, read as they are.
        for module in case["weights"].as_array().cloned().unwrap_or_default() {
            let module = module.as_str().expect("a module").to_owned();
            let found = open("unet", AdaptedPart::Denoiser).weight(&module);
            let expected = part.tensors.f32s(&format!("{name}.weight.{module}"));
            part.compare_values(&format!("{name}.weight.{module}"), &found, &expected, None, weights_tolerance);
        }
        if part.tensors.has(&format!("{name}.unet_out")) {
            let unet = open("unet", AdaptedPart::Denoiser).unet();
            let (times, conditioning) = (times(part, "inputs"), conditioning(part, "inputs"));
            let out = unet.forward(part.tensors.tensor("inputs.sample"), &times, &conditioning, None, &mut |_, _| ());
            part.compare("merged", &name, "unet_out", out, None, tolerance);
        }
        if part.tensors.has(&format!("{name}.prompt_embeds")) {
            let l = open("text_encoder", AdaptedPart::TextEncoder).clip();
            let g = open("text_encoder_2", AdaptedPart::TextEncoder2).clip();
            let ((ids_l, _), (ids_g, ends)) =
                (texts(part, "inputs.input_ids_l", &tokenizer), texts(part, "inputs.input_ids_g", &tokenizer));
            let (l, encoded) = (l.encode(&ids_l, None), g.encode(&ids_g, None));
            let features = Tensor::cat(vec![l.state_from_end(2), encoded.state_from_end(2)], 2);
            part.compare("merged", &name, "prompt_embeds", features, None, tolerance);
            let pooled = g.pool(&encoded, &ends).expect("CLIP-G has a projection");
            part.compare("merged", &name, "pooled", pooled, None, tolerance);
        }
    }
}

/// The adapters of a case, `[[name, strength], ..]`.
fn choices(part: &Part, case: &Value) -> Vec<LoraChoice> {
    let list = case["adapters"].as_array().cloned().unwrap_or_default();
    let choice = |pair: &Value| LoraChoice {
        path: part.dir.join(pair[0].as_str().expect("an adapter has a name")),
        strength: pair[1].as_f64().expect("a strength is a number") as f32,
    };
    list.iter().map(choice).collect()
}

/// A reader with adapters merged, and the configuration of its network.
struct Opened {
    reader: TensorReader,
    config: Value,
    shapes: BTreeMap<String, Vec<usize>>,
}

impl Opened {
    fn new(dir: &Path, choices: &[LoraChoice], selection: Selection) -> Self {
        let files = weight_files(dir).unwrap_or_else(|error| panic!("{error}"));
        let reader =
            TensorReader::open("part", &files, &device(), DType::F32).unwrap_or_else(|error| panic!("{error}"));
        let config = json(&dir.join("config.json"));
        let set = LoraSet::open(choices, selection).unwrap_or_else(|error| panic!("{error}"));
        let names = match selection.part {
            AdaptedPart::Denoiser => {
                let config = UnetConfig::from_json(&config).expect("a valid configuration");
                Unet::rename(&config, &reader);
                Some(config)
            }
            AdaptedPart::TextEncoder | AdaptedPart::TextEncoder2 => {
                ClipText::rename(&reader);
                None
            }
        };
        merge(&reader, set, names.as_ref()).unwrap_or_else(|error| panic!("{error}"));
        let shapes = reader.names().into_iter().filter_map(|name| Some((name.clone(), reader.shape(&name)?)));
        Self { config, shapes: shapes.collect(), reader }
    }

    /// The values of a module's weight.
    fn weight(self, module: &str) -> Vec<f32> {
        let name = format!("{module}.weight");
        let values = |tensor: Tensor<1>| tensor.try_into_vec_as().expect("f32 on the CPU");
        match self.shapes[&name][..] {
            [rows, columns] => values(self.reader.tensor(&name, [rows, columns]).reshape([rows * columns])),
            [a, b, c, d] => values(self.reader.tensor(&name, [a, b, c, d]).reshape([a * b * c * d])),
            ref other => panic!("{name} has the shape {other:?}"),
        }
    }

    fn unet(self) -> Unet {
        let config = UnetConfig::from_json(&self.config).expect("a valid configuration");
        let unet = Unet::load(&config, &self.reader);
        self.reader.finish().unwrap_or_else(|error| panic!("{error}"));
        unet
    }

    fn clip(self) -> ClipText {
        let config = ClipTextConfig::from_json(&self.config).expect("a valid configuration");
        let clip = ClipText::load(&config, &self.reader);
        self.reader.finish().unwrap_or_else(|error| panic!("{error}"));
        clip
    }
}
