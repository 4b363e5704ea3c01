//! Reading weights that may be parametrised by stacked low-rank adapters, merging the selected one.
//!
//! A plain tensor is `X.weight`. A parametrised one is `X.parametrizations.weight.original` with `0.lora_A` and
//! `0.lora_B`, whose first axis counts adapters. A linear becomes W + scale · B A, an embedding W + scale · A B: its
//! factors are transposed. Sums are computed in f32 and rounded once.

use burn::nn::Linear;
use burn::tensor::{DType, Tensor};

use super::JinaClipConfig;
use super::config::TaskAdapter;
use crate::checkpoint::{TensorReader, linear_of};
use crate::device;

/// A reader that merges the adapter.
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

    /// The underlying reader, for tensors that are never parametrised.
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
        // The file determines the rank: the last axis of an embedding's A and of a linear's B.
        let rank_owner = if is_embedding { "0.lora_A" } else { "0.lora_B" };
        let rank = parametrised.shape(rank_owner).and_then(|shape| shape.get(2).copied()).unwrap_or(1);
        let [rows, columns] = shape;
        let (a, b) = if is_embedding { ([rows, rank], [rank, columns]) } else { ([rank, columns], [rows, rank]) };
        let fits = [("0.lora_A", a), ("0.lora_B", b)]
            .map(|(name, [rows, columns])| parametrised.shape(name) == Some(vec![self.adapters, rows, columns]));
        let factor = |name: &str, [rows, columns]: [usize; 2]| {
            let stacked: Tensor<3> = parametrised.tensor_as(name, [self.adapters, rows, columns], DType::F32);
            stacked.narrow(0, index, 1).squeeze_dim::<2>(0)
        };
        let (a, b) = (factor("0.lora_A", a), factor("0.lora_B", b));
        if self.weights.is_header_only()
            || fits != [true, true]
            || parametrised.shape("original") != Some(shape.to_vec())
        {
            // Reading noted the fault; multiplying placeholders of any size the configuration names could exhaust memory.
            return parametrised.tensor_as("original", shape, DType::F32);
        }
        let product = if is_embedding { low_rank(a, b) } else { low_rank(b, a) };
        let original: Tensor<2> = parametrised.tensor_as("original", shape, DType::F32);
        let (device, dtype) = (self.weights.device(), self.weights.dtype());
        // Weights get memory of exactly their size, as the reader's tensors do.
        device.memory_persistent_allocations((original, product), |(original, product)| {
            (original + product.mul_scalar(scale)).cast(dtype)
        })
    }
}

/// `a b` for an inner size of a few. On a GPU burn would tune the product of such matrices for seconds and round to
/// TF32; a sum of outer products is neither tuned nor rounded.
fn low_rank(a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    let rank = a.dims()[1];
    if device::is_cpu(&a.device()) || rank == 0 {
        return a.matmul(b);
    }
    let outer = |i: usize| a.clone().narrow(1, i, 1) * b.clone().narrow(0, i, 1);
    (1..rank).fold(outer(0), |sum, i| sum + outer(i))
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData, Tolerance};
    use serde_json::json;

    use super::*;
    use crate::checkpoint::testing::{Stored, write_file};

    /// Two stacked adapters of rank 1 on a 2x2 matrix; the second is selected, at half its effect.
    fn merged_matrix(is_embedding: bool, task: Option<&str>) -> Vec<f32> {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = if is_embedding { ([2, 2, 1], [2, 1, 2]) } else { ([2, 1, 2], [2, 2, 1]) };
        let path = write_file(
            dir.path(),
            "model.safetensors",
            &[
                Stored::f32("x.parametrizations.weight.original", &[2, 2], &[1.0, 2.0, 3.0, 4.0]),
                Stored::f32("x.parametrizations.weight.0.lora_A", &a, &[9.0, 9.0, 1.0, 10.0]),
                Stored::f32("x.parametrizations.weight.0.lora_B", &b, &[9.0, 9.0, 2.0, 4.0]),
            ],
        );
        let config =
            JinaClipConfig::from_json(&json!({"lora_adaptations": ["a", "b"], "lora_alpha": 2, "lora_rank": 4}))
                .and_then(|config| config.with_task(task))
                .unwrap();
        let reader = TensorReader::open("clip_model", &[path], &Device::flex(), DType::F32).unwrap();
        let matrix = Merged::new(&config, &reader).matrix("x", [2, 2], is_embedding);
        reader.finish().unwrap();
        matrix.try_into_vec_as().unwrap()
    }

    #[test]
    fn linears_and_embeddings_multiply_their_factors_in_opposite_order() {
        // Linear: B A = [2, 4]^T [1, 10]; embedding: A B = [1, 10]^T [2, 4]; both times 1/2.
        assert_eq!(merged_matrix(false, Some("b")), [2.0, 12.0, 5.0, 24.0]);
        assert_eq!(merged_matrix(true, Some("b")), [2.0, 4.0, 13.0, 24.0]);
        assert_eq!(merged_matrix(true, None), [1.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn a_factor_of_the_wrong_shape_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = write_file(
            dir.path(),
            "model.safetensors",
            &[
                Stored::f32("x.parametrizations.weight.original", &[2, 2], &[0.0; 4]),
                Stored::f32("x.parametrizations.weight.0.lora_A", &[1, 1, 3], &[0.0; 3]),
                Stored::f32("x.parametrizations.weight.0.lora_B", &[1, 2, 1], &[0.0; 2]),
            ],
        );
        let config = JinaClipConfig::from_json(&json!({})).unwrap();
        let reader = TensorReader::open("clip_model", &[path], &Device::flex(), DType::F32).unwrap();
        Merged::new(&config, &reader).matrix("x", [2, 2], false);
        let error = reader.finish().unwrap_err().to_string();
        assert!(error.contains("x.parametrizations.weight.0.lora_A is [1, 1, 3], needed [1, 1, 2]"), "{error}");
    }

    #[test]
    fn plain_weights_are_read_as_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let path = write_file(dir.path(), "model.safetensors", &[Stored::f32("x.weight", &[1, 2], &[5.0, 6.0])]);
        let config = JinaClipConfig::from_json(&json!({})).unwrap();
        let reader = TensorReader::open("clip_model", &[path], &Device::flex(), DType::F32).unwrap();
        let matrix = Merged::new(&config, &reader).embedding("x", [1, 2]);
        matrix.into_data().assert_approx_eq::<f32>(&TensorData::from([[5.0_f32, 6.0]]), Tolerance::absolute(0.0));
    }
}
