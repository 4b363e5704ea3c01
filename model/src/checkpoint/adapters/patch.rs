//! The change of one tensor by one adapter module.

use burn::tensor::{Device, Tensor};

use crate::checkpoint::{SafetensorsFile, TensorEntry, decode_f32};

/// A change to a tensor; the factors stay in the adapter's file until they are needed.
#[derive(Debug)]
pub(super) enum Patch {
    /// `scale · B A` with A `[r, in]` and B `[out, r]` (Hu et al. 2021, <https://arxiv.org/abs/2106.09685>).
    LowRank { down: TensorEntry, up: TensorEntry, scale: f32 },
    /// `scale · kron(w1, w2)`, each factor whole or a product (LoKr of LyCORIS, <https://arxiv.org/abs/2309.14859>).
    Kronecker { left: Factor, right: Factor, scale: f32 },
    /// `scale · d`, a difference stored whole.
    Whole { difference: TensorEntry, scale: f32 },
}

/// A matrix stored whole or as the product of two.
#[derive(Debug)]
pub(super) enum Factor {
    Whole(TensorEntry),
    Product(TensorEntry, TensorEntry),
}

impl Factor {
    /// Rows and columns of the matrix, if the entries are matrices whose sizes match.
    pub(super) fn dims(&self) -> Option<[usize; 2]> {
        match self {
            Self::Whole(entry) => matrix(entry),
            Self::Product(a, b) => {
                let ([rows, rank], [rank_too, columns]) = (matrix(a)?, matrix(b)?);
                (rank == rank_too).then_some([rows, columns])
            }
        }
    }

    fn tensor(&self, file: &SafetensorsFile, device: &Device) -> Tensor<2> {
        match self {
            Self::Whole(entry) => factor(file, entry, device),
            Self::Product(a, b) => factor(file, a, device).matmul(factor(file, b, device)),
        }
    }
}

/// Rows and columns of an entry of rank 2.
pub(super) fn matrix(entry: &TensorEntry) -> Option<[usize; 2]> {
    entry.shape.as_slice().try_into().ok()
}

/// An entry of rank 2 in f32.
fn factor(file: &SafetensorsFile, entry: &TensorEntry, device: &Device) -> Tensor<2> {
    decode_f32(file, entry, matrix(entry).unwrap_or([0, 0]), device)
}

impl Patch {
    /// The shape of the change, if its factors match.
    pub(super) fn shape(&self) -> Option<Vec<usize>> {
        match self {
            Self::LowRank { down, up, .. } => {
                let ([rank, columns], [rows, rank_too]) = (matrix(down)?, matrix(up)?);
                (rank == rank_too).then(|| vec![rows, columns])
            }
            Self::Kronecker { left, right, .. } => {
                let ([a, b], [c, d]) = (left.dims()?, right.dims()?);
                Some(vec![a.checked_mul(c)?, b.checked_mul(d)?])
            }
            Self::Whole { difference, .. } => Some(difference.shape.clone()),
        }
    }

    /// The change in f32, in the shape of the tensor that it changes (the same as [`Patch::shape`], checked when
    /// resolved).
    pub(super) fn delta<const D: usize>(
        &self,
        file: &SafetensorsFile,
        shape: [usize; D],
        device: &Device,
    ) -> Tensor<D> {
        match self {
            Self::LowRank { down, up, scale } => {
                factor(file, up, device).matmul(factor(file, down, device)).mul_scalar(*scale).reshape(shape)
            }
            Self::Kronecker { left, right, scale } => {
                kronecker(left.tensor(file, device), right.tensor(file, device)).mul_scalar(*scale).reshape(shape)
            }
            Self::Whole { difference, scale } => decode_f32(file, difference, shape, device).mul_scalar(*scale),
        }
    }
}

/// Kronecker product: `[a, b]` and `[c, d]` to `[a c, b d]`.
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
