//! Operations of the networks in burn, for every device. With the feature `cuda`, networks on an NVIDIA GPU use vendor
//! libraries and our kernels instead.
//!
//! Reductions and rotations compute in f32 for any type of input, as the reference implementations do.

use burn::nn::Linear;
use burn::tensor::module::{self, conv2d as burn_conv2d};
use burn::tensor::ops::{AttentionModuleOptions, ConvOptions};
use burn::tensor::{Bool, DType, Tensor, activation};

/// `x W + b` over the last axis: `[.., d_input]` to `[.., d_output]`.
pub(crate) fn linear<const D: usize>(x: Tensor<D>, layer: &Linear) -> Tensor<D> {
    module::linear(x, layer.weight.val(), layer.bias.as_ref().map(|bias| bias.val()))
}

/// Root-mean-square norm over the last axis as in the Next-DiT: normalise in f32, cast back, then multiply by `weight`
/// (Zhang & Sennrich 2019, <https://arxiv.org/abs/1910.07467>). Shapes: `x` `[.., D]`, `weight` `[D]`.
pub(crate) fn rms_norm<const D: usize>(x: Tensor<D>, weight: Tensor<1>, eps: f64) -> Tensor<D> {
    let dtype = x.dtype();
    rms_normalised(x, eps).cast(dtype) * weight.unsqueeze()
}

/// Root-mean-square norm over the last axis as in Gemma: multiply by `1 + weight` in f32 and cast afterwards.
/// Shapes: `x` `[.., D]`, `weight` `[D]`.
pub(crate) fn rms_norm_plus_one<const D: usize>(x: Tensor<D>, weight: Tensor<1>, eps: f64) -> Tensor<D> {
    let dtype = x.dtype();
    let weight = weight.cast(DType::F32).add_scalar(1.0);
    (rms_normalised(x, eps) * weight.unsqueeze()).cast(dtype)
}

fn rms_normalised<const D: usize>(x: Tensor<D>, eps: f64) -> Tensor<D> {
    let x = x.cast(DType::F32);
    let rms = x.clone().square().mean_dim(D - 1).add_scalar(eps).sqrt();
    x / rms
}

/// Layer norm over the last axis with the biased variance, in f32; `affine` is weight and bias, each `[D]`.
pub(crate) fn layer_norm<const D: usize>(x: Tensor<D>, affine: Option<(Tensor<1>, Tensor<1>)>, eps: f64) -> Tensor<D> {
    let dtype = x.dtype();
    let x = x.cast(DType::F32);
    let centred = x.clone() - x.mean_dim(D - 1);
    let deviation = centred.clone().square().mean_dim(D - 1).add_scalar(eps).sqrt();
    let normalised = centred / deviation;
    let scaled = match affine {
        Some((weight, bias)) => normalised * weight.cast(DType::F32).unsqueeze() + bias.cast(DType::F32).unsqueeze(),
        None => normalised,
    };
    scaled.cast(dtype)
}

/// Group norm of `[B, C, H, W]` over `groups` groups of neighbouring channels, in f32; `weight` and `bias` are `[C]`
/// (Wu & He 2018, <https://arxiv.org/abs/1803.08494>). `groups` must divide C.
pub(crate) fn group_norm(x: Tensor<4>, weight: Tensor<1>, bias: Tensor<1>, groups: usize, eps: f64) -> Tensor<4> {
    let dtype = x.dtype();
    let [batch, channels, height, width] = x.dims();
    let x = x.cast(DType::F32).reshape([batch, groups, channels / groups * height * width]);
    let centred = x.clone() - x.mean_dim(2);
    let deviation = centred.clone().square().mean_dim(2).add_scalar(eps).sqrt();
    let normalised = (centred / deviation).reshape([batch, channels, height, width]);
    let per_channel = |values: Tensor<1>| values.cast(DType::F32).reshape([1, channels, 1, 1]);
    (normalised * per_channel(weight) + per_channel(bias)).cast(dtype)
}

/// Scaled dot-product attention. `q` is `[B, S, heads, head_dim]`; `k` and `v` are `[B, T, kv_heads, head_dim]` where
/// `kv_heads` divides `heads` (query head h reads head h / (heads / kv_heads)). The mask is `[B or 1, 1, S or 1, T]`,
/// true where a key must not be seen; `is_causal` hides keys after the query. The scale is 1 / sqrt(head_dim): fold
/// another one into `q`. A query that sees no key gets zeros. Returns `[B, S, heads, head_dim]`.
pub(crate) fn attention(
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    mask: Option<Tensor<4, Bool>>,
    is_causal: bool,
) -> Tensor<4> {
    let heads = q.dims()[2];
    // Grouped heads are repeated here because only some of burn's backends group them, and without an error.
    let (k, v) = (repeat_heads(k, heads), repeat_heads(v, heads));
    let options = AttentionModuleOptions { is_causal, ..Default::default() };
    let heads_first = |x: Tensor<4>| x.swap_dims(1, 2);
    module::attention(heads_first(q), heads_first(k), heads_first(v), mask, None, options).swap_dims(1, 2)
}

/// `[B, S, kv_heads, D]` to `[B, S, heads, D]`, each head repeated in place.
fn repeat_heads(x: Tensor<4>, heads: usize) -> Tensor<4> {
    let [batch, len, kv_heads, head_dim] = x.dims();
    if kv_heads == heads {
        return x;
    }
    x.unsqueeze_dim::<5>(3)
        .expand([batch, len, kv_heads, heads / kv_heads, head_dim])
        .reshape([batch, len, heads, head_dim])
}

/// `silu(gate) * up`, the gated unit of a SwiGLU feed-forward (Shazeer 2020, <https://arxiv.org/abs/2002.05202>).
pub(crate) fn swiglu(gate: Tensor<3>, up: Tensor<3>) -> Tensor<3> {
    activation::silu(gate) * up
}

/// `x * sigmoid(x)`.
pub(crate) fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    activation::silu(x)
}

/// GELU by the error function, `x/2 (1 + erf(x / sqrt 2))` (Hendrycks & Gimpel 2016,
/// <https://arxiv.org/abs/1606.08415>).
pub(crate) fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    activation::gelu(x)
}

/// GELU by the hyperbolic tangent, `x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))`.
pub(crate) fn gelu_tanh<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    const SQRT_2_OVER_PI: f64 = std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2;
    // Not burn's `gelu_approximate`: on a CPU its power function costs more than the neighbouring matrix products.
    let cubic = x.clone().square().mul_scalar(0.044715).add_scalar(1.0);
    let inner = (x.clone() * cubic).mul_scalar(SQRT_2_OVER_PI);
    x.mul_scalar(0.5) * inner.tanh().add_scalar(1.0)
}

/// Rotary embedding of neighbouring pairs (2i, 2i+1), in f32 (Su et al. 2021, <https://arxiv.org/abs/2104.09864>).
/// Shapes: `x` `[B, S, heads, D]`, tables `[B or 1, S, D/2]`.
pub(crate) fn rope_interleaved(x: Tensor<4>, cos: Tensor<3>, sin: Tensor<3>) -> Tensor<4> {
    let dtype = x.dtype();
    let [batch, len, heads, dim] = x.dims();
    let (cos, sin) = (per_head(cos), per_head(sin));
    let pairs = x.cast(DType::F32).reshape([batch, len, heads, dim / 2, 2]);
    let even = pairs.clone().narrow(4, 0, 1).squeeze_dim::<4>(4);
    let odd = pairs.narrow(4, 1, 1).squeeze_dim::<4>(4);
    let rotated = [even.clone() * cos.clone() - odd.clone() * sin.clone(), odd * cos + even * sin];
    Tensor::stack::<5>(rotated.into(), 4).reshape([batch, len, heads, dim]).cast(dtype)
}

/// Rotary embedding of the pairs (i, i + D/2), in f32, the form of GPT-NeoX, Llama, Gemma and XLM-R with RoPE.
/// Shapes: `x` `[B, S, heads, D]`, tables `[B or 1, S, D/2]`.
pub(crate) fn rope_half(x: Tensor<4>, cos: Tensor<3>, sin: Tensor<3>) -> Tensor<4> {
    let dtype = x.dtype();
    let half = x.dims()[3] / 2;
    let (cos, sin) = (per_head(cos), per_head(sin));
    let x = x.cast(DType::F32);
    let first = x.clone().narrow(3, 0, half);
    let second = x.narrow(3, half, half);
    let rotated = [first.clone() * cos.clone() - second.clone() * sin.clone(), second * cos + first * sin];
    Tensor::cat(rotated.into(), 3).cast(dtype)
}

/// `[B, S, D/2]` to `[B, S, 1, D/2]` in f32.
fn per_head(table: Tensor<3>) -> Tensor<4> {
    table.cast(DType::F32).unsqueeze_dim(2)
}

/// 2-D convolution with a square stride; `padding` is top, left, bottom, right rows or columns of zeros. `x` `[B, C, H,
/// W]`, `weight` `[C_out, C, kernel, kernel]`, `bias` `[C_out]`.
pub(crate) fn conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    stride: usize,
    padding: [usize; 4],
) -> Tensor<4> {
    let [top, left, bottom, right] = padding;
    let options = if (top, left) == (bottom, right) {
        ConvOptions::new([stride, stride], [top, left], [1, 1], 1)
    } else {
        return burn_conv2d(
            x.pad((left, right, top, bottom), 0.0),
            weight,
            bias,
            ConvOptions::new([stride, stride], [0, 0], [1, 1], 1),
        );
    };
    burn_conv2d(x, weight, bias, options)
}

/// Doubles height and width by repeating pixels: `[B, C, H, W]` to `[B, C, 2H, 2W]`.
pub(crate) fn upsample_nearest_2x(x: Tensor<4>) -> Tensor<4> {
    let [batch, channels, height, width] = x.dims();
    x.reshape([batch, channels, height, 1, width, 1]).expand([batch, channels, height, 2, width, 2]).reshape([
        batch,
        channels,
        2 * height,
        2 * width,
    ])
}

#[cfg(test)]
mod tests {
    use burn::module::Param;
    use burn::tensor::{Device, TensorData, Tolerance};

    use super::*;

    fn t<const D: usize>(data: impl Into<TensorData>) -> Tensor<D> {
        Tensor::from_data(data, (&Device::flex(), DType::F32))
    }

    fn close<const D: usize>(found: Tensor<D>, expected: impl Into<TensorData>) {
        found.into_data().assert_approx_eq::<f32>(&expected.into(), Tolerance::absolute(1e-5));
    }

    #[test]
    fn linear_takes_the_file_order_through_a_transposed_view() {
        // y = [1*1 + 2*3 + 10, 1*2 + 2*4 + 20] for rows (outputs) [1,3] and [2,4].
        let weight = t::<2>([[1.0, 3.0], [2.0, 4.0]]).transpose();
        let layer = Linear { weight: Param::from_tensor(weight), bias: Some(Param::from_tensor(t::<1>([10.0, 20.0]))) };
        close(linear(t::<2>([[1.0, 2.0]]), &layer), [[17.0, 30.0]]);
    }

    #[test]
    fn rms_norms_differ_by_one_in_the_weight() {
        // Mean square of [3, 4] is 12.5.
        let rms = 12.5_f32.sqrt();
        close(rms_norm(t::<2>([[3.0, 4.0]]), t([2.0, 0.5]), 0.0), [[6.0 / rms, 2.0 / rms]]);
        close(rms_norm_plus_one(t::<2>([[3.0, 4.0]]), t([1.0, -0.5]), 0.0), [[6.0 / rms, 2.0 / rms]]);
        close(rms_norm(t::<2>([[0.0, 0.0]]), t([1.0, 1.0]), 1e-6), [[0.0, 0.0]]);
    }

    #[test]
    fn layer_norm_uses_the_biased_variance() {
        // Mean 2, variance 1.
        close(layer_norm(t::<2>([[1.0, 3.0]]), None, 0.0), [[-1.0, 1.0]]);
        let affine = Some((t([2.0, 3.0]), t([10.0, 20.0])));
        close(layer_norm(t::<2>([[1.0, 3.0]]), affine, 0.0), [[8.0, 23.0]]);
    }

    #[test]
    fn group_norm_normalises_neighbouring_channels_together() {
        // Group one holds 1 and 3, group two -2 and 2.
        let x = t::<4>([[[[1.0]], [[3.0]], [[-2.0]], [[2.0]]]]);
        let out = group_norm(x, t([1.0, 1.0, 1.0, 2.0]), t([0.0, 5.0, 0.0, 0.0]), 2, 0.0);
        close(out, [[[[-1.0]], [[6.0]], [[-1.0]], [[2.0]]]]);
    }

    #[test]
    fn attention_weights_by_softmax_and_repeats_grouped_heads() {
        // One query of dimension 1: scores 0 and ln 3 give weights 1/4 and 3/4.
        let q = t::<4>([[[[1.0], [1.0]]]]);
        let k = t::<4>([[[[0.0]], [[3.0_f32.ln()]]]]);
        let v = t::<4>([[[[4.0]], [[8.0]]]]);
        close(attention(q, k, v, None, false), [[[[7.0], [7.0]]]]);
    }

    #[test]
    fn query_heads_read_the_kv_head_of_their_group() {
        let q = t::<4>([[[[0.0], [0.0], [0.0], [0.0]]]]);
        let k = t::<4>([[[[0.0], [0.0]]]]);
        let v = t::<4>([[[[1.0], [2.0]]]]);
        close(attention(q, k, v, None, false), [[[[1.0], [1.0], [2.0], [2.0]]]]);
    }

    #[test]
    fn masks_hide_keys_and_a_blind_query_gets_zeros() {
        let zeros = || t::<4>([[[[0.0]], [[0.0]]]]);
        let v = t::<4>([[[[4.0]], [[8.0]]]]);
        close(attention(zeros(), zeros(), v.clone(), None, true), [[[[4.0]], [[6.0]]]]);
        let mask = Tensor::<4, Bool>::from_data([[[[true, false], [true, true]]]], &Device::flex());
        close(attention(zeros(), zeros(), v, Some(mask), false), [[[[8.0]], [[0.0]]]]);
    }

    #[test]
    fn the_two_rotary_forms_pair_different_elements() {
        // A quarter turn for the first pair, none for the second.
        let (cos, sin) = (t::<3>([[[0.0, 1.0]]]), t::<3>([[[1.0, 0.0]]]));
        let x = t::<4>([[[[1.0, 2.0, 3.0, 4.0]]]]);
        close(rope_interleaved(x.clone(), cos.clone(), sin.clone()), [[[[-2.0, 1.0, 3.0, 4.0]]]]);
        close(rope_half(x, cos, sin), [[[[-3.0, 2.0, 1.0, 4.0]]]]);
    }

    #[test]
    fn activations_at_known_points() {
        close(silu(t::<1>([0.0, 1.0])), [0.0, 0.731_058_6]);
        close(swiglu(t([[[1.0]]]), t([[[2.0]]])), [[[1.462_117_2]]]);
        close(gelu(t::<1>([1.0, -1.0])), [0.841_344_7, -0.158_655_3]);
        close(gelu_tanh(t::<1>([1.0, -1.0])), [0.841_192, -0.158_808]);
    }

    #[test]
    fn convolution_pads_where_asked() {
        let x = t::<4>([[[[1.0, 2.0], [3.0, 4.0]]]]);
        let ones = t::<4>([[[[1.0, 1.0], [1.0, 1.0]]]]);
        close(conv2d(x.clone(), ones.clone(), Some(t([0.5])), 2, [1, 1, 1, 1]), [[[[1.5, 2.5], [3.5, 4.5]]]]);
        close(conv2d(x, ones, None, 1, [0, 0, 1, 1]), [[[[10.0, 6.0], [7.0, 4.0]]]]);
    }

    #[test]
    fn upsampling_repeats_pixels() {
        close(upsample_nearest_2x(t([[[[1.0, 2.0]]]])), [[[[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]]]);
    }
}
