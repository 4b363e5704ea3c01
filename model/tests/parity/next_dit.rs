//! The Next-DiT: velocities, guidance, and all intermediate values, with every configuration that the set has.

use burn::tensor::{Tensor, TensorData};
use sakuga_model::networks::next_dit::{Caption, Conditioned, NextDit, NextDitConfig, joint_positions, key_map};
use sakuga_model::sampler::guidance::combine;
use sakuga_model_core::Guidance;
use serde_json::Value;

use crate::harness::{Layout, Part, Tolerance, device, for_each_set, load_files};

#[test]
fn the_next_dit_matches_its_reference() {
    for_each_set("next_dit", check);
}

fn check(part: &mut Part) {
    for layout in part.layouts() {
        let load = |reader: &_| load(&layout, reader);
        let network = layout.load("transformer", load);
        for case in part.cases() {
            let other = case["weights"].as_str().map(|file| load_files("transformer", &[part.dir.join(file)], load).0);
            let run = Run { layout: &layout.name, case: &case, network: other.as_ref().unwrap_or(&network) };
            match case["kind"].as_str() {
                Some("forward") => run.forward(part),
                Some("forward_mixed_sizes") => run.mixed_sizes(part),
                Some("forward_with_cfg" | "forward_with_cfg_per_sample") => run.guided(part),
                other => part.fail(format!("{}: unknown kind {other:?}", run.name())),
            }
        }
    }
}

fn load(layout: &Layout, reader: &sakuga_model::checkpoint::TensorReader) -> NextDit {
    reader.rename(key_map::canonical_name);
    let config = NextDitConfig::from_json(&layout.config, reader).unwrap_or_else(|error| panic!("{error}"));
    NextDit::load(&config, reader)
}

/// One case with one configuration.
struct Run<'a> {
    layout: &'a str,
    case: &'a Value,
    network: &'a NextDit,
}

/// The inputs of a case.
struct Inputs {
    times: Vec<f32>,
    caption: Caption,
    pooled: Option<Tensor<2>>,
    /// Width of the reference's caption, with padding.
    width: usize,
}

impl Run<'_> {
    fn name(&self) -> &str {
        self.case["name"].as_str().expect("a case has a name")
    }

    fn owner(&self) -> &str {
        self.case["inputs_from"].as_str().unwrap_or(self.name())
    }

    fn inputs(&self, part: &Part) -> Inputs {
        let (tensors, name) = (&part.tensors, |tensor: &str| format!("{}.{tensor}", self.owner()));
        let mask = tensors.i64s(&name("cap_mask"));
        let width = tensors.shape(&name("cap_mask"))[1];
        let lengths = mask.chunks(width).map(|row| row.iter().filter(|&&flag| flag != 0).count()).collect();
        Inputs {
            times: tensors.f32s(&name("t")),
            caption: Caption { features: tensors.tensor(&name("cap_feats")), lengths },
            pooled: tensors.has(&name("clip_text_pooled")).then(|| tensors.tensor(&name("clip_text_pooled"))),
            width,
        }
    }

    fn forward(&self, part: &mut Part) {
        let inputs = self.inputs(part);
        let latents = part.tensors.tensor::<4>(&format!("{}.x", self.owner()));
        let grids = self.grids(&latents);
        let mut taps: Vec<(String, Tensor<3>)> = Vec::new();
        let mut tap = |tensor: &str, value: &Tensor<3>| taps.push((tensor.to_owned(), value.clone()));
        let conditioned = self.network.condition_with(&inputs.caption, inputs.pooled.clone(), &grids, &mut tap);
        let out = self.network.velocity_with(&conditioned, latents, &inputs.times, &mut tap);
        let tolerance = part.tolerance("forward_out");
        part.compare(self.layout, self.name(), "out", out, None, tolerance);

        let tolerance = part.tolerance("intermediates");
        for (tensor, value) in taps {
            self.compare_inside(part, &inputs, &conditioned, &tensor, value, tolerance);
        }
        for (tensor, value) in [("rope_cos", &conditioned.rope().cos), ("rope_sin", &conditioned.rope().sin)] {
            self.compare_inside(part, &inputs, &conditioned, tensor, value.clone(), tolerance);
        }
        self.compare_positions(part, &conditioned);
        self.compare_mask(part, &conditioned);
    }

    /// Converts a value to the reference's order and width before it is compared.
    fn compare_inside(
        &self,
        part: &mut Part,
        inputs: &Inputs,
        conditioned: &Conditioned,
        tensor: &str,
        value: Tensor<3>,
        tolerance: Tolerance,
    ) {
        let lengths = conditioned.caption_lengths();
        let [batch, sequence, channels] = value.dims();
        let order = Order { image: conditioned.image_width(), lengths };
        if matches!(tensor, "t_emb" | "adaln_input" | "clip_emb") {
            let value = value.reshape([batch, channels]);
            part.compare(self.layout, self.name(), tensor, value, None, tolerance);
        } else if tensor == "cap_emb" || tensor.starts_with("context_refiner.") {
            let padding = Tensor::zeros([batch, inputs.width - sequence, channels], &device());
            let value = if sequence == inputs.width { value } else { Tensor::cat(vec![value, padding], 1) };
            let rows: Vec<bool> = lengths.iter().flat_map(|&len| (0..inputs.width).map(move |i| i < len)).collect();
            part.compare(self.layout, self.name(), tensor, value, Some(&rows), tolerance);
        } else if tensor == "img_emb" || tensor.starts_with("noise_refiner.") {
            part.compare(self.layout, self.name(), tensor, value, None, tolerance);
        } else {
            // The final layer is computed for image tokens only; the rest of the reference's result is unused.
            let (value, rows) = order.to_reference(value, tensor == "final_layer");
            part.compare(self.layout, self.name(), tensor, value, Some(&rows), tolerance);
        }
    }

    fn compare_positions(&self, part: &mut Part, conditioned: &Conditioned) {
        let name = format!("{}.position_ids", self.name());
        if !part.tensors.has(&name) {
            return;
        }
        let order = Order { image: conditioned.image_width(), lengths: conditioned.caption_lengths() };
        let expected = part.tensors.i64s(&name);
        let width = part.tensors.shape(&name)[1];
        for (row, (&grid, &len)) in conditioned.grids().iter().zip(conditioned.caption_lengths()).enumerate() {
            let ours = joint_positions(grid, order.image, len, order.caption());
            for (place, source) in order.sources(row).into_iter().enumerate() {
                let found = source.map(|source| ours[source].map(|position| position as i64));
                let reference = &expected[(row * width + place) * 3..][..3];
                if found.is_some_and(|found| found != reference) {
                    part.fail(format!("{}: {name} row {row} token {place}: {found:?}, not {reference:?}", self.layout));
                }
            }
        }
    }

    fn compare_mask(&self, part: &mut Part, conditioned: &Conditioned) {
        let name = format!("{}.joint_mask", self.name());
        if !part.tensors.has(&name) {
            return;
        }
        let order = Order { image: conditioned.image_width(), lengths: conditioned.caption_lengths() };
        let ours = conditioned.mask().map(|mask| mask.clone().try_into_vec_as::<bool>().expect("a mask on the CPU"));
        let sequence = order.image + order.caption();
        let expected = part.tensors.i64s(&name);
        let width = part.tensors.shape(&name)[1];
        for row in 0..conditioned.batch() {
            let hidden = ours.as_ref().map(|ours| &ours[row * sequence..][..sequence]);
            let seen = (0..sequence).filter(|&i| !hidden.is_some_and(|hidden| hidden[i])).count();
            let sources = order.sources(row);
            let right = (0..width).all(|place| {
                let visible = sources[place].is_some_and(|source| !hidden.is_some_and(|hidden| hidden[source]));
                visible == (expected[row * width + place] != 0)
            });
            if !right || seen as i64 != expected[row * width..][..width].iter().sum::<i64>() {
                part.fail(format!("{}: {name} row {row} differs", self.layout));
            }
        }
    }

    fn mixed_sizes(&self, part: &mut Part) {
        let inputs = self.inputs(part);
        let count = self.case["n"].as_u64().unwrap_or(inputs.times.len() as u64) as usize;
        let patch = self.network.config().patch_size;
        let images: Vec<Tensor<3>> =
            (0..count).map(|i| part.tensors.tensor(&format!("{}.x.{i}", self.owner()))).collect();
        let grids: Vec<[usize; 2]> = images
            .iter()
            .map(|image| {
                let [_, height, width] = image.dims();
                [height / patch, width / patch]
            })
            .collect();
        let conditioned = self.network.condition(&inputs.caption, inputs.pooled, &grids);
        let tolerance = part.tolerance("forward_out");
        for (i, out) in self.network.velocity_mixed(&conditioned, &images, &inputs.times).into_iter().enumerate() {
            part.compare(self.layout, self.name(), &format!("out.{i}"), out, None, tolerance);
        }
    }

    fn guided(&self, part: &mut Part) {
        let inputs = self.inputs(part);
        let latents = part.tensors.tensor::<4>(&format!("{}.x", self.owner()));
        let number = |key: &str| self.case[key].as_f64().expect("a number") as f32;
        let guidance =
            Guidance { until: number("cfg_trunc"), renorm: number("renorm_cfg"), ..Guidance::new(number("cfg_scale")) };
        let half = inputs.times.len() / 2;
        let conditioned = self.network.condition(&inputs.caption, inputs.pooled.clone(), &self.grids(&latents));
        let all = self.network.velocity(&conditioned, latents.clone(), &inputs.times);
        let tolerance = part.tolerance("forward_out");
        part.compare(self.layout, self.name(), "model_out", all.clone(), None, tolerance);

        let guided = if guidance.is_active(inputs.times[0]) {
            combine(&guidance, all.clone().narrow(0, 0, half), all.narrow(0, half, half))
        } else {
            let conditional = conditioned.select(&(0..half).collect::<Vec<_>>());
            self.network.velocity(&conditional, latents.narrow(0, 0, half), &inputs.times[..half])
        };
        let both = Tensor::cat(vec![guided.clone(), guided], 0);
        let tolerance = part.tolerance("guided_out");
        part.compare(self.layout, self.name(), "out", both, None, tolerance);
    }

    fn grids(&self, latents: &Tensor<4>) -> Vec<[usize; 2]> {
        let [batch, _, height, width] = latents.dims();
        let patch = self.network.config().patch_size;
        vec![[height / patch, width / patch]; batch]
    }
}

/// Our joint sequence is image, caption, padding; the reference's is caption, image, padding.
struct Order<'a> {
    image: usize,
    lengths: &'a [usize],
}

impl Order<'_> {
    fn caption(&self) -> usize {
        self.lengths.iter().copied().max().unwrap_or(0)
    }

    /// For each position of the reference's row, ours, if there is a token.
    fn sources(&self, row: usize) -> Vec<Option<usize>> {
        let len = self.lengths[row];
        let tokens = (0..len).map(|i| self.image + i).chain(0..self.image).map(Some);
        tokens.chain(std::iter::repeat_n(None, self.caption() - len)).collect()
    }

    /// A value in the reference's order, with a flag for each token to compare.
    fn to_reference(&self, value: Tensor<3>, image_only: bool) -> (Tensor<3>, Vec<bool>) {
        let [batch, sequence, channels] = value.dims();
        let ours: Vec<f32> = value.try_into_vec_as().expect("f32 on the CPU");
        let mut values = Vec::new();
        let mut rows = Vec::new();
        for row in 0..batch {
            for source in self.sources(row) {
                let source = source.filter(|&source| !image_only || source < self.image);
                rows.push(source.is_some());
                match source {
                    Some(source) => values.extend(&ours[(row * sequence + source) * channels..][..channels]),
                    None => values.extend(vec![0.0; channels]),
                }
            }
        }
        let width = self.image + self.caption();
        (Tensor::from_data(TensorData::new(values, [batch, width, channels]), &device()), rows)
    }
}
