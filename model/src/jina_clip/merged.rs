//! Reading weights that may be parametrised by stacked low-rank adapters, merging the one that is wanted.
//!
//! A plain tensor is `X.weight`. A parametrised one is `X.parametrizations.weight.original` with `0.lora_A` and `0.lora_B`,
//! whose first axis counts adapters. A linear becomes W + scale · B A, an embedding W + scale · A B: its factors are
//! transposed. Sums are made in f32 and rounded once.

use burn::nn::Linear;
use burn::tensor::{DType, Tensor};

use super::JinaClipConfig;
use super::config::TaskAdapter;
use crate::loader::{TensorReader, linear_of};

/// A reader that merges.
#[derive(Clone)]
pub(super) struct Merged {
    weights: TensorReader,
    adapters: usize,
    adapter: Option<TaskAdapter>,
}

impl Merged {
    pub(super) fn new(config: &JinaClipConfig, weights: &TensorReader) -> Self {
        Self { weights: weights.clone(), adapters: config.adapters.len(), adapter: config.adapter }
    }

    /// The same under a prefix.
    pub(super) fn at(&self, prefix: impl AsRef<str>) -> Self {
        Self { weights: self.weights.at(prefix), ..*self }
    }

    /// The reader beneath, for tensors that are never parametrised.
    pub(super) fn plain(&self) -> &TensorReader {
        &self.weights
    }

    /// An embedding table `[rows, width]`.
    pub(super) fn embedding(&self, name: &str, shape: [usize; 2]) -> Tensor<2> {
        self.matrix(name, shape, true)
    }

    /// A linear layer with bias.
    pub(super) fn linear(&self, name: &str, d_input: usize, d_output: usize) -> Linear {
        let weight = self.matrix(name, [d_output, d_input], false);
        let bias = self.weights.at(name).vector("bias", d_output);
        linear_of(weight, Some(bias))
    }

    fn matrix(&self, name: &str, shape: [usize; 2], is_embedding: bool) -> Tensor<2> {
        let scope = self.weights.at(name);
        let parametrised = scope.at("parametrizations.weight");
        if scope.has("weight") || !parametrised.has("original") {
            return scope.tensor("weight", shape);
        }
        let Some(TaskAdapter { index, scale }) = self.adapter else {
            parametrised.tolerate("0.lora_A");
            parametrised.tolerate("0.lora_B");
            return parametrised.tensor("original", shape);
        };
        // The rank is the file's to say: on the last axis of an embedding's A and of a linear's B.
        let rank_owner = if is_embedding { "0.lora_A" } else { "0.lora_B" };
        let rank = parametrised.shape(rank_owner).and_then(|shape| shape.get(2).copied()).unwrap_or(1);
        let factor = |name: &str, rows: usize, columns: usize| {
            let stacked: Tensor<3> = parametrised.tensor_as(name, [self.adapters, rows, columns], DType::F32);
            stacked.narrow(0, index, 1).squeeze_dim::<2>(0)
        };
        let [rows, columns] = shape;
        let product = if is_embedding {
            factor("0.lora_A", rows, rank).matmul(factor("0.lora_B", rank, columns))
        } else {
            factor("0.lora_B", rows, rank).matmul(factor("0.lora_A", rank, columns))
        };
        let original: Tensor<2> = parametrised.tensor_as("original", shape, DType::F32);
        (original + product.mul_scalar(scale)).cast(self.weights.dtype())
    }
}
