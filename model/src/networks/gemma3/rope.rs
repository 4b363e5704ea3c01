//! Rotary tables of both kinds of layers, and the window mask.

use burn::tensor::{Bool, Device, Tensor, TensorData};

use super::{Gemma3Config, LayerKind};
use crate::nn::block::Positions;
use crate::nn::rope::RopeTable;

/// Positions of the layers of either kind. They count from 0 in every row.
#[derive(Debug)]
pub(super) struct AllPositions {
    sliding: RopeTable,
    full: RopeTable,
    /// Hides keys before the window, `[1, 1, L, L]`; `None` if the whole text fits into the window.
    window: Option<Tensor<4, Bool>>,
}

impl AllPositions {
    pub(super) fn new(config: &Gemma3Config, len: usize, device: &Device) -> Self {
        Self {
            sliding: table(config.rope_base_sliding, 1.0, config.head_dim, len, device),
            full: table(config.rope_base_full, config.rope_factor_full, config.head_dim, len, device),
            window: (len > config.sliding_window).then(|| window_mask(config.sliding_window, len, device)),
        }
    }

    /// The positions of a layer. Padding is on the right, so the causal mask hides it from every token of a text.
    pub(super) fn of(&self, kind: LayerKind) -> Positions<'_> {
        match kind {
            LayerKind::Sliding => Positions { rope: &self.sliding, mask: self.window.as_ref(), is_causal: true },
            LayerKind::Full => Positions { rope: &self.full, mask: None, is_causal: true },
        }
    }
}

/// Angles `position / factor / base^(2i / head_dim)`. The frequency and the angle are rounded to f32 as the reference
/// does.
pub(super) fn table(base: f64, factor: f64, head_dim: usize, len: usize, device: &Device) -> RopeTable {
    let half = head_dim / 2;
    let frequencies: Vec<f32> =
        (0..half).map(|i| (1.0 / (base.powf(2.0 * i as f64 / head_dim as f64) * factor)) as f32).collect();
    RopeTable::of_frequencies(&frequencies, len, device)
}

/// True where the key is `window` or more positions before the query. Keys after the query are hidden by causality.
fn window_mask(window: usize, len: usize, device: &Device) -> Tensor<4, Bool> {
    let hidden: Vec<bool> =
        (0..len).flat_map(|query| (0..len).map(move |key| query.saturating_sub(key) >= window)).collect();
    Tensor::from_data(TensorData::new(hidden, [1, 1, len, len]), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_divide_positions_by_the_factor() {
        let table = table(100.0, 2.0, 4, 3, &Device::flex());
        // Frequencies 1/2 and 1/20.
        let expected = [1.0, 1.0, 0.5_f32.cos(), 0.05_f32.cos(), 1.0_f32.cos(), 0.1_f32.cos()];
        table.cos.into_data().assert_approx_eq::<f32>(
            &TensorData::new(expected.to_vec(), [1, 3, 2]),
            burn::tensor::Tolerance::absolute(1e-6),
        );
    }

    #[test]
    fn the_window_includes_the_query_itself() {
        let mask = window_mask(2, 4, &Device::flex());
        let seen: Vec<bool> = mask.into_data().iter::<bool>().map(|hidden| !hidden).collect();
        assert_eq!(seen[12..], [false, false, true, true]);
        assert_eq!(seen[4..6], [true, true]);
    }
}
