//! Convolutions and group norms of the convolutional networks.

use burn::nn::Linear;
use burn::tensor::Tensor;

use super::ops;
use crate::checkpoint::{TensorReader, linear_of};

/// A convolution with bias and a square kernel of odd width.
#[derive(Debug)]
pub(crate) struct Conv {
    /// `[output, input, kernel, kernel]`
    pub(crate) weight: Tensor<4>,
    /// `[output]`
    pub(crate) bias: Tensor<1>,
    padding: usize,
}

impl Conv {
    /// Reads `weight` and `bias`. `kernel` is odd.
    pub(crate) fn load(weights: &TensorReader, input: usize, output: usize, kernel: usize) -> Self {
        Self {
            weight: weights.tensor("weight", [output, input, kernel, kernel]),
            bias: weights.vector("bias", output),
            padding: kernel / 2,
        }
    }

    /// `[B, input, H, W]` to `[B, output, H, W]`.
    pub(crate) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.apply(x, 1, [self.padding; 4])
    }

    /// `[B, input, H, W]` to `[B, output, ceil(H/2), ceil(W/2)]`, with zero padding on all sides.
    pub(crate) fn forward_halving(&self, x: Tensor<4>) -> Tensor<4> {
        self.apply(x, 2, [self.padding; 4])
    }

    /// As [`forward_halving`](Self::forward_halving), with zero padding below and to the right only.
    pub(crate) fn forward_halving_from_corner(&self, x: Tensor<4>) -> Tensor<4> {
        self.apply(x, 2, [0, 0, self.padding, self.padding])
    }

    /// Casts an input to the type of the weights.
    pub(crate) fn adopt(&self, x: Tensor<4>) -> Tensor<4> {
        x.cast(self.weight.dtype())
    }

    fn apply(&self, x: Tensor<4>, stride: usize, padding: [usize; 4]) -> Tensor<4> {
        ops::conv2d(x, self.weight.clone(), Some(self.bias.clone()), stride, padding)
    }
}

/// What the group norms of a network have in common.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct GroupNormKind {
    /// Groups of neighbouring channels that are normalised together.
    pub(crate) groups: usize,
    /// Added to the variance.
    pub(crate) eps: f64,
}

/// A group norm with weight and bias.
#[derive(Debug)]
pub(crate) struct GroupNorm {
    /// `[channels]`
    pub(crate) weight: Tensor<1>,
    /// `[channels]`
    pub(crate) bias: Tensor<1>,
    pub(crate) kind: GroupNormKind,
}

impl GroupNorm {
    /// Reads `weight` and `bias`.
    pub(crate) fn load(weights: &TensorReader, kind: GroupNormKind, channels: usize) -> Self {
        Self { weight: weights.vector("weight", channels), bias: weights.vector("bias", channels), kind }
    }

    /// `[B, channels, H, W]` to the same.
    pub(crate) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        ops::group_norm(x, self.weight.clone(), self.bias.clone(), self.kind.groups, self.kind.eps)
    }
}

/// A linear layer over channels with bias, stored as a matrix or as a convolution of width 1: older files have the
/// latter.
pub(crate) fn pointwise(weights: &TensorReader, input: usize, output: usize) -> Linear {
    let weight = if weights.shape("weight") == Some(vec![output, input, 1, 1]) {
        weights.tensor("weight", [output, input, 1, 1]).reshape([output, input])
    } else {
        weights.tensor("weight", [output, input])
    };
    linear_of(weight, Some(weights.vector("bias", output)))
}
