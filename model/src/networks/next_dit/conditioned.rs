//! The conditioning of a batch, prepared once and read by every evaluation.

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use super::NextDitConfig;
use super::rope::{self, Position};
use crate::nn::rope::RopeTable;

/// Features of the captions of a batch, padded on the right.
#[derive(Clone, Debug)]
pub struct Caption {
    /// `[batch, width, cap_feat_dim]`; values beyond a row's length are ignored, but must be finite.
    pub features: Tensor<3>,
    /// Tokens of each row, 1 to `width`.
    pub lengths: Vec<usize>,
}

/// Everything that does not depend on the time or the latents: the refined captions, the projected pooled text, the
/// rotary tables and the masks.
///
/// The joint sequence is ordered *image tokens, caption tokens, padding*. The reference puts the caption first; as
/// attention here is not causal and positions are in the rotary tables, the order does not change the result, and this
/// one joins the two streams by one concatenation although captions differ in length.
#[derive(Clone, Debug)]
pub struct Conditioned {
    /// `[batch, caption width, dim]`
    pub(super) caption: Tensor<3>,
    /// `[batch, clip_text_dim]`, projected
    pub(super) pooled: Option<Tensor<2>>,
    /// Tables of the joint sequence
    pub(super) rope: RopeTable,
    /// `[batch, 1, 1, image width + caption width]`, true for padding; `None` without padding
    pub(super) mask: Option<Tensor<4, Bool>>,
    /// The same for the image stream alone
    pub(super) image_mask: Option<Tensor<4, Bool>>,
    layout: Layout,
    /// Caption tokens of each row of the batch that these rows are a part of; see [`Conditioned::part`].
    whole: Option<Vec<usize>>,
}

/// The positions of the tokens of each row.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// Rows and columns of patches of each image.
    grids: Vec<[usize; 2]>,
    /// Tokens of each caption.
    lengths: Vec<usize>,
    /// Tokens of the image part, with padding.
    image_width: usize,
    /// Tokens of the caption part, with padding.
    caption_width: usize,
}

impl Layout {
    pub(crate) fn new(grids: Vec<[usize; 2]>, lengths: Vec<usize>) -> Self {
        let image_width = grids.iter().map(|[rows, columns]| rows * columns).max().unwrap_or(0);
        let caption_width = lengths.iter().copied().max().unwrap_or(0);
        Self { grids, lengths, image_width, caption_width }
    }

    /// Tokens of the longest caption.
    pub(crate) fn caption_width(&self) -> usize {
        self.caption_width
    }

    pub(crate) fn rope(&self, config: &NextDitConfig, device: &Device) -> RopeTable {
        let positions: Vec<Vec<Position>> = self
            .grids
            .iter()
            .zip(&self.lengths)
            .map(|(&grid, &len)| rope::joint_positions(grid, self.image_width, len, self.caption_width))
            .collect();
        rope::table(config, &positions, device)
    }

    /// The tables of the captions alone.
    pub(crate) fn caption_rope(&self, config: &NextDitConfig, device: &Device) -> RopeTable {
        Self::new(vec![[0, 0]; self.grids.len()], self.lengths.clone()).rope(config, device)
    }

    pub(crate) fn joint_mask(&self, device: &Device) -> Option<Tensor<4, Bool>> {
        let rows = self.grids.iter().zip(&self.lengths).map(|([rows, columns], &len)| {
            padding(rows * columns, self.image_width).chain(padding(len, self.caption_width)).collect()
        });
        mask(rows.collect(), device)
    }

    pub(crate) fn image_mask(&self, device: &Device) -> Option<Tensor<4, Bool>> {
        let row = |[rows, columns]: &[usize; 2]| padding(rows * columns, self.image_width).collect();
        mask(self.grids.iter().map(row).collect(), device)
    }

    pub(crate) fn caption_mask(&self, device: &Device) -> Option<Tensor<4, Bool>> {
        mask(self.lengths.iter().map(|&len| padding(len, self.caption_width).collect()).collect(), device)
    }
}

fn padding(tokens: usize, width: usize) -> impl Iterator<Item = bool> {
    (0..width).map(move |i| i >= tokens)
}

/// `[batch, 1, 1, width]`; `None` if nothing is masked, because attention is faster without a mask.
fn mask(rows: Vec<Vec<bool>>, device: &Device) -> Option<Tensor<4, Bool>> {
    if rows.iter().flatten().all(|masked| !masked) {
        return None;
    }
    let shape = [rows.len(), 1, 1, rows[0].len()];
    Some(Tensor::from_data(TensorData::new(rows.concat(), shape), device))
}

impl Conditioned {
    pub(super) fn new(config: &NextDitConfig, layout: Layout, caption: Tensor<3>, pooled: Option<Tensor<2>>) -> Self {
        let device = caption.device();
        Self {
            caption,
            pooled,
            rope: layout.rope(config, &device),
            mask: layout.joint_mask(&device),
            image_mask: layout.image_mask(&device),
            layout,
            whole: None,
        }
    }

    /// Number of rows of the batch.
    pub fn batch(&self) -> usize {
        self.layout.lengths.len()
    }

    /// Rows and columns of patches of each row's image.
    pub fn grids(&self) -> &[[usize; 2]] {
        &self.layout.grids
    }

    /// Caption tokens of each row.
    pub fn caption_lengths(&self) -> &[usize] {
        &self.layout.lengths
    }

    /// Image tokens of the widest row; the caption tokens follow from here on.
    pub fn image_width(&self) -> usize {
        self.layout.image_width
    }

    /// Tables of the joint sequence, `[batch, image width + caption width, head_dim / 2]`.
    pub fn rope(&self) -> &RopeTable {
        &self.rope
    }

    /// The mask of the joint sequence, `[batch, 1, 1, image width + caption width]`, true for padding; `None`
    /// without padding.
    pub fn mask(&self) -> Option<&Tensor<4, Bool>> {
        self.mask.as_ref()
    }

    /// The rows of these indices, in this order and with repetitions. Padding that none of them needs is removed.
    ///
    /// # Panics
    ///
    /// If `rows` is empty or an index is out of range.
    pub fn select(&self, rows: &[usize]) -> Self {
        let device = self.caption.device();
        let lengths: Vec<usize> = rows.iter().map(|&row| self.layout.lengths[row]).collect();
        let layout = Layout {
            grids: rows.iter().map(|&row| self.layout.grids[row]).collect(),
            image_width: self.layout.image_width,
            caption_width: lengths.iter().copied().max().unwrap_or(0),
            lengths,
        };
        let indices: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
        let indices = Tensor::<1, Int>::from_data(TensorData::new(indices, [rows.len()]), &device);
        Self {
            caption: self.caption.clone().select(0, indices.clone()).narrow(1, 0, layout.caption_width),
            pooled: self.pooled.clone().map(|pooled| pooled.select(0, indices.clone())),
            rope: self.rope.select(&indices).narrow(0, layout.image_width + layout.caption_width),
            mask: layout.joint_mask(&device),
            image_mask: layout.image_mask(&device),
            layout,
            whole: None,
        }
    }

    /// [`select`](Self::select)s the rows at places `part` of the batch `rows`. On the fast path an evaluation of them is bit-identical
    /// to the one in that batch: products have the algorithms that they have there.
    ///
    /// # Panics
    ///
    /// If `part` is empty or out of range, or an index is out of range.
    pub fn part(&self, rows: &[usize], part: std::ops::Range<usize>) -> Self {
        let whole = rows.iter().map(|&row| self.layout.lengths[row]).collect();
        Self { whole: Some(whole), ..self.select(&rows[part]) }
    }

    /// Caption tokens of each row of the batch that these rows are a part of; `None`: they are not a [`part`](Self::part).
    #[cfg_attr(not(feature = "cuda"), expect(dead_code, reason = "only the fast path plans for another batch"))]
    pub(super) fn whole(&self) -> Option<&[usize]> {
        self.whole.as_deref()
    }
}
