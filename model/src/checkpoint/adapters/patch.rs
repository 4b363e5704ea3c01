//! The change of one tensor by one adapter module.

use std::ops::Range;

use burn::tensor::{Device, Tensor};

use super::decompose::Magnitudes;
use crate::checkpoint::{SafetensorsFile, TensorEntry, decode_f32};

/// A change to a tensor; the factors stay in the adapter's file until they are needed.
#[derive(Debug)]
pub(super) struct Patch {
    pub(super) delta: Delta,
    /// Multiplies the change, without the strength.
    pub(super) scale: f32,
    /// Of the whole adapter.
    pub(super) strength: f32,
    /// The magnitudes of DoRA; `None`: the change is added without a decomposition.
    pub(super) magnitudes: Option<Magnitudes>,
    /// The rows of the tensor that it changes; `None`: all.
    pub(super) rows: Option<Range<usize>>,
}

/// A change before it is scaled. A convolution's kernel counts to the columns: `[out, in, h, w]` is `out` rows.
#[derive(Debug)]
pub(super) enum Delta {
    /// `B A` with A `[r, in]` and B `[out, r]` (Hu et al. 2021, <https://arxiv.org/abs/2106.09685>), or with a convolution
    /// `[r, r, h, w]` between both.
    LowRank { down: TensorEntry, up: TensorEntry, middle: Option<TensorEntry> },
    /// The elementwise product of two products (LoHa of LyCORIS, <https://arxiv.org/abs/2108.06098>).
    Hadamard([Factor; 2]),
    /// `kron(w1, w2)` (LoKr of LyCORIS, <https://arxiv.org/abs/2309.14859>).
    Kronecker { left: Factor, right: Factor },
    /// A difference stored whole.
    Whole(TensorEntry),
}

/// A matrix or a stack of kernels, stored whole or as a product.
#[derive(Debug)]
pub(super) enum Factor {
    Whole(TensorEntry),
    /// `[rows, r]` and `[r, columns]`.
    Product(TensorEntry, TensorEntry),
    /// `sum over i, j of a[i, row] core[i, j, ..] b[j, column]`, with a core `[r, r, h, w]` (Tucker).
    Cored {
        core: TensorEntry,
        a: TensorEntry,
        b: TensorEntry,
    },
}

impl Factor {
    /// The shape, if the entries fit each other: rows and columns, with a kernel or without.
    fn shape(&self) -> Option<Vec<usize>> {
        match self {
            Self::Whole(entry) => (entry.shape.len() >= 2).then(|| entry.shape.clone()),
            Self::Product(a, b) => {
                let ([rows, rank], [rank_too, columns]) = (matrix(a)?, matrix(b)?);
                (rank == rank_too).then(|| vec![rows, columns])
            }
            Self::Cored { core, a, b } => {
                let [first, second, height, width] = core.shape.as_slice().try_into().ok()?;
                let ([rank, rows], [rank_too, columns]) = (matrix(a)?, matrix(b)?);
                (rank == first && rank_too == second).then(|| vec![rows, columns, height, width])
            }
        }
    }

    /// The rank, of a factor that is not stored whole.
    pub(super) fn rank(&self) -> Option<usize> {
        match self {
            Self::Whole(_) => None,
            Self::Product(_, b) | Self::Cored { b, .. } => b.shape.first().copied(),
        }
    }

    /// `[rows, columns]`, a kernel counting to the columns.
    fn tensor(&self, file: &SafetensorsFile, device: &Device) -> Tensor<2> {
        match self {
            Self::Whole(entry) => flat(file, entry, device),
            Self::Product(a, b) => flat(file, a, device).matmul(flat(file, b, device)),
            Self::Cored { core, a, b } => cored(file, [core, a, b], device),
        }
    }
}

/// Rows and columns of an entry of rank 2.
fn matrix(entry: &TensorEntry) -> Option<[usize; 2]> {
    entry.shape.as_slice().try_into().ok()
}

/// Rows and all other axes as columns.
fn rows_columns(shape: &[usize]) -> Option<[usize; 2]> {
    let (&rows, rest) = shape.split_first()?;
    Some([rows, rest.iter().product()])
}

/// An entry in f32 as a matrix.
fn flat(file: &SafetensorsFile, entry: &TensorEntry, device: &Device) -> Tensor<2> {
    decode_f32(file, entry, rows_columns(&entry.shape).unwrap_or([0, 0]), device)
}

/// The sum over a core, as documented at [`Factor::Cored`]: `[rows, columns * height * width]`.
fn cored(file: &SafetensorsFile, [core, a, b]: [&TensorEntry; 3], device: &Device) -> Tensor<2> {
    let [first, second, height, width]: [usize; 4] = core.shape.as_slice().try_into().unwrap_or_default();
    let ([_, rows], [_, columns]) = (matrix(a).unwrap_or_default(), matrix(b).unwrap_or_default());
    let kernel = height * width;
    // [i, j, kernel] to [i, kernel, j], times b: [i, kernel, columns], to [i, columns * kernel].
    let core = flat(file, core, device).reshape([first, second, kernel]).swap_dims(1, 2);
    let spread = core.reshape([first * kernel, second]).matmul(flat(file, b, device));
    let spread = spread.reshape([first, kernel, columns]).swap_dims(1, 2).reshape([first, columns * kernel]);
    flat(file, a, device).reshape([first, rows]).transpose().matmul(spread)
}

impl Delta {
    /// The shape of the change, if its factors fit each other.
    fn shape(&self) -> Option<Vec<usize>> {
        match self {
            Self::LowRank { down, up, middle } => {
                let ([rank, columns], [rows, rank_too]) = (rows_columns(&down.shape)?, rows_columns(&up.shape)?);
                match middle {
                    None => {
                        let is_fit = rank == rank_too && up.shape.iter().skip(2).all(|&length| length == 1);
                        is_fit.then(|| std::iter::once(rows).chain(down.shape.iter().skip(1).copied()).collect())
                    }
                    Some(middle) => {
                        let [first, second, height, width] = middle.shape.as_slice().try_into().ok()?;
                        (first == rank_too && second == rank).then(|| vec![rows, columns, height, width])
                    }
                }
            }
            Self::Hadamard([first, second]) => {
                let (first, second) = (first.shape()?, second.shape()?);
                (rows_columns(&first) == rows_columns(&second)).then_some(first)
            }
            Self::Kronecker { left, right } => {
                let ([a, b], right) = (left.shape()?.try_into().ok()?, right.shape()?);
                let mut shape = right.clone();
                shape[0] = right[0].checked_mul(a)?;
                shape[1] = right[1].checked_mul(b)?;
                Some(shape)
            }
            Self::Whole(difference) => Some(difference.shape.clone()),
        }
    }

    /// `[rows, columns]` in f32.
    fn tensor(&self, file: &SafetensorsFile, device: &Device) -> Tensor<2> {
        match self {
            Self::LowRank { down, up, middle: None } => flat(file, up, device).matmul(flat(file, down, device)),
            Self::LowRank { down, up, middle: Some(middle) } => {
                // The factors are in the opposite order of those of LyCORIS' cores.
                let [first, second, height, width]: [usize; 4] = middle.shape.as_slice().try_into().unwrap_or_default();
                let kernel = height * width;
                let down = flat(file, down, device);
                let columns = down.dims()[1];
                let middle = flat(file, middle, device).reshape([first, second, kernel]).swap_dims(1, 2);
                let spread = middle.reshape([first * kernel, second]).matmul(down);
                let spread = spread.reshape([first, kernel, columns]).swap_dims(1, 2);
                flat(file, up, device).matmul(spread.reshape([first, columns * kernel]))
            }
            Self::Hadamard([first, second]) => first.tensor(file, device) * second.tensor(file, device),
            Self::Kronecker { left, right } => kronecker(left.tensor(file, device), right.tensor(file, device)),
            Self::Whole(difference) => flat(file, difference, device),
        }
    }
}

impl Patch {
    /// Whether it can be added to a tensor of this shape, or why not. A kernel of a convolution may be written as columns.
    pub(super) fn check(&self, name: &str, shape: &[usize]) -> Result<(), String> {
        let Some(change) = self.delta.shape() else {
            return Err(format!("the factors for `{name}` do not fit each other"));
        };
        let mut part = shape.to_vec();
        if let (Some(rows), Some(all)) = (&self.rows, part.first_mut()) {
            *all = rows.len();
        }
        let shape = part.as_slice();
        if change != shape && (shape.len() < 2 || rows_columns(&change) != rows_columns(shape)) {
            return Err(format!("it changes `{name}` as {change:?}, but that is {shape:?}"));
        }
        self.magnitudes.as_ref().map_or(Ok(()), |magnitudes| magnitudes.check(name, shape))
    }

    /// The tensor with the change, in f32. The shape was [checked](Self::check).
    pub(super) fn apply<const D: usize>(&self, file: &SafetensorsFile, base: Tensor<D>) -> Tensor<D> {
        let Some(Range { start, end }) = self.rows.clone() else { return self.change(file, base) };
        let all = base.dims()[0];
        let part = |from: usize, to: usize| base.clone().narrow(0, from, to - from);
        let changed = self.change(file, part(start, end));
        let before = (start > 0).then(|| part(0, start));
        let after = (end < all).then(|| part(end, all));
        Tensor::cat(before.into_iter().chain([changed]).chain(after).collect(), 0)
    }

    fn change<const D: usize>(&self, file: &SafetensorsFile, base: Tensor<D>) -> Tensor<D> {
        let (shape, device) = (base.dims(), base.device());
        let delta = self.delta.tensor(file, &device).reshape(shape);
        match &self.magnitudes {
            None => base + delta.mul_scalar(self.strength * self.scale),
            Some(magnitudes) => magnitudes.apply(file, base, delta.mul_scalar(self.scale), self.strength),
        }
    }
}

/// Kronecker product: `[a, b]` and `[c, d]` to `[a c, b d]`, where d may have the kernel of a convolution as its last part.
fn kronecker(left: Tensor<2>, right: Tensor<2>) -> Tensor<2> {
    let ([a, b], [c, d]) = (left.dims(), right.dims());
    (left.reshape([a, 1, b, 1]) * right.reshape([1, c, 1, d])).reshape([a * c, b * d])
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, TensorData};

    use super::*;

    #[test]
    fn kronecker_product_by_hand() {
        let device = Device::flex();
        let left = Tensor::<2>::from_data([[1.0, 2.0]], (&device, DType::F32));
        let right = Tensor::<2>::from_data([[1.0, 10.0], [100.0, 1000.0]], (&device, DType::F32));
        kronecker(left, right)
            .into_data()
            .assert_eq(&TensorData::from([[1.0_f32, 10.0, 2.0, 20.0], [100.0, 1000.0, 200.0, 2000.0]]), true);
    }
}
