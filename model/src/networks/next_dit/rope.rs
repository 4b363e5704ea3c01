//! Rotary positions on three axes: caption, row and column.
//!
//! Caption token `i` is at `(i, 0, 0)`. The image token at `(row, column)` is at `(caption length, row, column)` with
//! the length of its *own* row's caption, so padding a batch does not change positions. Reference: `RopeEmbedder` and
//! `patchify_and_embed` in `models/model.py`.

use burn::tensor::Device;

use super::NextDitConfig;
use crate::nn::rope::RopeTable;

/// One position on the three axes.
pub type Position = [usize; 3];

/// Positions of one row of the joint sequence: its image tokens, then its caption tokens.
pub fn joint_positions(
    image: [usize; 2],
    image_width: usize,
    caption_len: usize,
    caption_width: usize,
) -> Vec<Position> {
    let [rows, columns] = image;
    let image_tokens = (0..rows * columns).map(|token| [caption_len, token / columns, token % columns]);
    let caption_tokens = (0..caption_len).map(|token| [token, 0, 0]);
    // Padding is masked, so its position is arbitrary.
    let pad = |tokens: usize, width: usize| std::iter::repeat_n([0; 3], width.saturating_sub(tokens));
    image_tokens
        .chain(pad(rows * columns, image_width))
        .chain(caption_tokens)
        .chain(pad(caption_len, caption_width))
        .collect()
}

/// The tables of a batch of sequences of equal length.
///
/// Angles are computed in `f64` and rounded once.
pub(crate) fn table(config: &NextDitConfig, positions: &[Vec<Position>], device: &Device) -> RopeTable {
    let half = config.head_dim() / 2;
    let frequencies: Vec<(usize, f64)> = config
        .axes_dims
        .iter()
        .enumerate()
        .flat_map(|(axis, &width)| {
            (0..width / 2).map(move |i| (axis, config.rope_theta.powf(-((2 * i) as f64) / width as f64)))
        })
        .collect();
    let sequence = positions.first().map_or(0, Vec::len);
    let mut cos = Vec::with_capacity(positions.len() * sequence * half);
    let mut sin = Vec::with_capacity(cos.capacity());
    for position in positions.iter().flatten() {
        for &(axis, frequency) in &frequencies {
            // The reference rounds the frequency's angle in f64 before it becomes a complex f32.
            let (s, c) = (position[axis] as f64 * frequency).sin_cos();
            cos.push(c as f32);
            sin.push(s as f32);
        }
    }
    RopeTable::of_values(cos, sin, [positions.len(), sequence, half], device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_begin_at_their_own_caption_length() {
        let positions = joint_positions([2, 3], 8, 2, 4);
        assert_eq!(positions.len(), 12);
        assert_eq!(positions[0], [2, 0, 0]);
        assert_eq!(positions[4], [2, 1, 1]);
        assert_eq!(positions[6..8], [[0; 3]; 2]);
        assert_eq!(positions[8..10], [[0, 0, 0], [1, 0, 0]]);
    }
}
