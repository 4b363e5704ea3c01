//! A batch of token ids on the host, padded on the right, checked before it touches a device.

use burn::tensor::{Bool, DType, Device, Int, Tensor, TensorData};

use crate::error::TokenError;

/// Rows of token ids of one width; after its own length a row holds padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenBatch {
    ids: Vec<u32>,
    lengths: Vec<usize>,
    width: usize,
}

impl TokenBatch {
    /// Pads rows on the right with `pad_id` to the longest, rounded up to a multiple of `multiple`.
    ///
    /// # Errors
    /// [`TokenError::Empty`] when there is no row or a row has no token.
    pub fn padded<R: AsRef<[u32]>>(rows: &[R], pad_id: u32, multiple: usize) -> Result<Self, TokenError> {
        let lengths: Vec<usize> = rows.iter().map(|row| row.as_ref().len()).collect();
        let longest = lengths.iter().copied().max().unwrap_or(0);
        if lengths.contains(&0) || longest == 0 {
            return Err(TokenError::Empty);
        }
        let width = longest.next_multiple_of(multiple.max(1));
        let mut ids = Vec::with_capacity(rows.len() * width);
        for row in rows {
            let row = row.as_ref();
            ids.extend_from_slice(row);
            ids.resize(ids.len() + width - row.len(), pad_id);
        }
        Ok(Self { ids, lengths, width })
    }

    /// Number of rows.
    pub fn batch(&self) -> usize {
        self.lengths.len()
    }

    /// Padded length of every row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Length of each row without padding.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// The ids of a row without padding.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn row(&self, row: usize) -> &[u32] {
        &self.ids[row * self.width..][..self.lengths[row]]
    }

    /// A sequence that identifies the batch.
    pub(crate) fn key(&self) -> Vec<u32> {
        let lengths = self.lengths.iter().map(|&length| length as u32);
        [self.batch() as u32, self.width as u32].into_iter().chain(lengths).chain(self.ids.iter().copied()).collect()
    }

    /// Whether every id has an embedding among `vocabulary`.
    ///
    /// # Errors
    /// [`TokenError::OutOfVocabulary`] with the first that has none.
    pub fn check(&self, encoder: &'static str, vocabulary: usize) -> Result<(), TokenError> {
        match self.ids.iter().position(|&id| id as usize >= vocabulary) {
            None => Ok(()),
            Some(at) => {
                let (row, position) = (at / self.width, at % self.width);
                Err(TokenError::OutOfVocabulary { encoder, id: self.ids[at], row, position, vocabulary })
            }
        }
    }

    /// The ids on a device, `[B, L]`.
    ///
    /// # Errors
    /// [`TokenError::OutOfVocabulary`] when an id has no embedding among `vocabulary`: a lookup beyond the table would be
    /// undefined on a GPU.
    pub fn ids(&self, encoder: &'static str, vocabulary: usize, device: &Device) -> Result<Tensor<2, Int>, TokenError> {
        self.check(encoder, vocabulary)?;
        let ids: Vec<i32> = self.ids.iter().map(|&id| id as i32).collect();
        Ok(Tensor::from_data(TensorData::new(ids, [self.batch(), self.width]), (device, DType::I32)))
    }

    /// For every position, row after row, whether its id is another than `pad_id`.
    pub fn differs_from(&self, pad_id: u32) -> Vec<bool> {
        self.ids.iter().map(|&id| id != pad_id).collect()
    }

    /// A mask for attention, `[B, 1, 1, L]`, true where a key is not `visible`; none when all are.
    pub fn key_mask(&self, visible: &[bool], device: &Device) -> Option<Tensor<4, Bool>> {
        if visible.iter().all(|&visible| visible) {
            return None;
        }
        let hidden: Vec<bool> = visible.iter().map(|&visible| !visible).collect();
        Some(Tensor::from_data(TensorData::new(hidden, [self.batch(), 1, 1, self.width]), device))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pads_on_the_right_to_a_multiple() {
        let batch = TokenBatch::padded(&[vec![2, 5, 6], vec![2]], 0, 4).unwrap();
        assert_eq!((batch.batch(), batch.width(), batch.lengths()), (2, 4, [3, 1].as_slice()));
        assert_eq!((batch.row(0), batch.row(1)), ([2, 5, 6].as_slice(), [2].as_slice()));
        assert_ne!(batch.key(), TokenBatch::padded(&[vec![2, 5, 6], vec![2, 0]], 0, 4).unwrap().key());
        let ids = batch.ids("test", 7, &Device::flex()).unwrap();
        ids.into_data().assert_eq(&TensorData::from([[2_i32, 5, 6, 0], [2, 0, 0, 0]]), true);
        assert_eq!(TokenBatch::padded(&[vec![1_u32; 8]], 0, 8).unwrap().width(), 8);
    }

    #[test]
    fn refuses_empty_rows_and_foreign_ids() {
        assert_eq!(TokenBatch::padded::<Vec<u32>>(&[], 0, 8), Err(TokenError::Empty));
        assert_eq!(TokenBatch::padded(&[vec![1], vec![]], 0, 8), Err(TokenError::Empty));
        let batch = TokenBatch::padded(&[vec![1, 2], vec![3, 9]], 0, 1).unwrap();
        let error = batch.ids("Gemma", 9, &Device::flex()).unwrap_err();
        assert_eq!(error, TokenError::OutOfVocabulary { encoder: "Gemma", id: 9, row: 1, position: 1, vocabulary: 9 });
    }
}
