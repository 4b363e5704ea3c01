//! The weights of a loaded network by the names of the checkpoint, so that adapters can replace them and put them back.

use std::mem::swap;

use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::Tensor;

use super::block::{Block, Norm, Projection};
use super::conv::{Conv, GroupNorm};
use super::layer_norm::LayerNorm;
use super::resnet::Resnet;

/// A weight of a loaded network, and the tensors of the checkpoint that it consists of.
pub(crate) struct AdaptableWeight<'a> {
    /// Names and rows of the tensors, in the order in which they are stacked.
    pub(crate) parts: Vec<(String, usize)>,
    /// The field of the layer that holds the weight.
    pub(crate) place: WeightPlace<'a>,
}

/// Where a weight is in a network.
pub(crate) enum WeightPlace<'a> {
    /// `[d_input, d_output]`
    Matrix(&'a mut Param<Tensor<2>>),
    /// `[d_output]`
    Bias(&'a mut Param<Tensor<1>>),
    /// Of a norm, or the bias of a convolution: `[width]`
    Vector(&'a mut Tensor<1>),
    /// Embeddings: `[rows, width]`
    Table(&'a mut Tensor<2>),
    /// Of a convolution: `[output, input, kernel, kernel]`
    Filter(&'a mut Tensor<4>),
    /// `[d_input, d_output]`, perhaps quantised.
    Projection(&'a mut Projection),
}

/// A weight outside of its network.
#[derive(Debug)]
pub(crate) enum WeightValue {
    /// `[d_input, d_output]`
    Matrix(Param<Tensor<2>>),
    /// `[d_output]`
    Bias(Param<Tensor<1>>),
    /// Of a norm, or the bias of a convolution: `[width]`
    Vector(Tensor<1>),
    /// Embeddings: `[rows, width]`
    Table(Tensor<2>),
    /// Of a convolution: `[output, input, kernel, kernel]`
    Filter(Tensor<4>),
    /// `[d_input, d_output]`, perhaps quantised.
    Projection(Projection),
}

impl WeightPlace<'_> {
    /// Exchanges the weight in the network for `value`, which must be of the same kind.
    pub(crate) fn exchange(&mut self, value: &mut WeightValue) {
        match (self, value) {
            (Self::Matrix(place), WeightValue::Matrix(value)) => swap(*place, value),
            (Self::Bias(place), WeightValue::Bias(value)) => swap(*place, value),
            (Self::Vector(place), WeightValue::Vector(value)) => swap(*place, value),
            (Self::Table(place), WeightValue::Table(value)) => swap(*place, value),
            (Self::Filter(place), WeightValue::Filter(value)) => swap(*place, value),
            (Self::Projection(place), WeightValue::Projection(value)) => swap(*place, value),
            _ => debug_assert!(false, "weights of two kinds"),
        }
    }
}

/// The weight and the bias of a linear layer at `path`.
pub(crate) fn linear<'a>(path: &str, layer: &'a mut Linear) -> Vec<AdaptableWeight<'a>> {
    let [_, d_output] = layer.weight.dims();
    let part = |tensor: &str| vec![(format!("{path}.{tensor}"), d_output)];
    let weight = AdaptableWeight { parts: part("weight"), place: WeightPlace::Matrix(&mut layer.weight) };
    let bias = layer.bias.as_mut().map(|bias| AdaptableWeight { parts: part("bias"), place: WeightPlace::Bias(bias) });
    [weight].into_iter().chain(bias).collect()
}

/// The weight of several layers without bias as one, of equal outputs, whose names in the module `path` are `names`.
pub(crate) fn linear_stack<'a>(path: &str, names: &[&str], layer: &'a mut Linear) -> AdaptableWeight<'a> {
    let [_, d_output] = layer.weight.dims();
    let rows = d_output / names.len().max(1);
    let parts = names.iter().map(|name| (format!("{path}.{name}.weight"), rows)).collect();
    AdaptableWeight { parts, place: WeightPlace::Matrix(&mut layer.weight) }
}

/// The scale vector of an RMS norm at `path`.
pub(crate) fn norm<'a>(path: &str, norm: &'a mut Norm) -> AdaptableWeight<'a> {
    let [width] = norm.weight.dims();
    AdaptableWeight { parts: vec![(format!("{path}.weight"), width)], place: WeightPlace::Vector(&mut norm.weight) }
}

/// A table of embeddings at `path`.
pub(crate) fn table<'a>(path: &str, table: &'a mut Tensor<2>) -> AdaptableWeight<'a> {
    let [rows, _] = table.dims();
    AdaptableWeight { parts: vec![(format!("{path}.weight"), rows)], place: WeightPlace::Table(table) }
}

/// The filter and the bias of a convolution at `path`.
pub(crate) fn conv<'a>(path: &str, conv: &'a mut Conv) -> Vec<AdaptableWeight<'a>> {
    let [output, ..] = conv.weight.dims();
    let weight = vec![(format!("{path}.weight"), output)];
    vec![
        AdaptableWeight { parts: weight, place: WeightPlace::Filter(&mut conv.weight) },
        vector(path, "bias", &mut conv.bias),
    ]
}

/// The weight and the bias of a group norm at `path`.
pub(crate) fn group_norm<'a>(path: &str, norm: &'a mut GroupNorm) -> Vec<AdaptableWeight<'a>> {
    vec![vector(path, "weight", &mut norm.weight), vector(path, "bias", &mut norm.bias)]
}

/// The weight and the bias of a layer norm at `path`.
pub(crate) fn layer_norm<'a>(path: &str, norm: &'a mut LayerNorm) -> Vec<AdaptableWeight<'a>> {
    vec![vector(path, "weight", &mut norm.weight), vector(path, "bias", &mut norm.bias)]
}

/// All weights of a residual block at `path`.
pub(crate) fn resnet<'a>(path: &str, block: &'a mut Resnet) -> Vec<AdaptableWeight<'a>> {
    let at = |name: &str| format!("{path}.{name}");
    let mut weights = group_norm(&at("norm1"), &mut block.norm1);
    weights.extend(conv(&at("conv1"), &mut block.conv1));
    weights.extend(block.time.iter_mut().flat_map(|layer| linear(&at("time_emb_proj"), layer)));
    weights.extend(group_norm(&at("norm2"), &mut block.norm2));
    weights.extend(conv(&at("conv2"), &mut block.conv2));
    weights.extend(block.shortcut.iter_mut().flat_map(|shortcut| conv(&at("conv_shortcut"), shortcut)));
    weights
}

fn vector<'a>(path: &str, tensor: &str, place: &'a mut Tensor<1>) -> AdaptableWeight<'a> {
    let [width] = place.dims();
    AdaptableWeight { parts: vec![(format!("{path}.{tensor}"), width)], place: WeightPlace::Vector(place) }
}

/// The modules that the parts of a [`Block`] are in a checkpoint, each with its outputs.
pub(crate) struct BlockNames {
    pub(crate) qkv: Vec<(String, usize)>,
    pub(crate) out: (String, usize),
    pub(crate) gate_up: Vec<(String, usize)>,
    pub(crate) down: (String, usize),
    /// Before and after the attention, before and after the feed-forward.
    pub(crate) norms: [String; 4],
    /// Of query and key heads.
    pub(crate) head_norms: [String; 2],
    pub(crate) modulation: String,
}

pub(crate) fn block(names: BlockNames, block: &mut Block) -> Vec<AdaptableWeight<'_>> {
    let weight = |(path, rows): (String, usize)| (format!("{path}.weight"), rows);
    let projections = [
        (names.qkv, &mut block.qkv),
        (vec![names.out], &mut block.out),
        (names.gate_up, &mut block.gate_up),
        (vec![names.down], &mut block.down),
    ];
    let projection = |(parts, place): (Vec<(String, usize)>, _)| AdaptableWeight {
        parts: parts.into_iter().map(weight).collect(),
        place: WeightPlace::Projection(place),
    };
    let mut weights: Vec<_> = projections.into_iter().map(projection).collect();
    let norms = block.attention_norm.iter_mut().chain(&mut block.ffn_norm);
    weights.extend(names.norms.iter().zip(norms).map(|(name, place)| norm(name, place)));
    let head_norms = block.head_norm.iter_mut().flatten();
    weights.extend(names.head_norms.iter().zip(head_norms).map(|(name, place)| norm(name, place)));
    weights.extend(block.modulation.iter_mut().flat_map(|layer| linear(&names.modulation, layer)));
    weights
}
