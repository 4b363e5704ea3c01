//! Rotary tables of both kinds of layers, and the window mask.

use burn::tensor::{Bool, DType, Device, Tensor, TensorData};

use super::{Gemma3Config, LayerKind};

/// What depends on positions only, shared by all layers of a pass. Positions count from 0 in every row.
#[derive(Debug)]
pub(super) struct Positions {
    sliding: Table,
    full: Table,
    /// Hides keys before the window, `[1, 1, L, L]`; none when the whole text fits into the window.
    window: Option<Tensor<4, Bool>>,
}

/// Cosines and sines, each `[1, L, head_dim/2]` in f32.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) cos: Tensor<3>,
    pub(super) sin: Tensor<3>,
}

impl Positions {
    pub(super) fn new(config: &Gemma3Config, len: usize, device: &Device) -> Self {
        Self {
            sliding: table(config.rope_base_sliding, 1.0, config.head_dim, len, device),
            full: table(config.rope_base_full, config.rope_factor_full, config.head_dim, len, device),
            window: (len > config.sliding_window).then(|| window_mask(config.sliding_window, len, device)),
        }
    }

    pub(super) fn table(&self, kind: LayerKind) -> Table {
        match kind {
            LayerKind::Sliding => self.sliding.clone(),
            LayerKind::Full => self.full.clone(),
        }
    }

    pub(super) fn mask(&self, kind: LayerKind) -> Option<Tensor<4, Bool>> {
        match kind {
            LayerKind::Sliding => self.window.clone(),
            LayerKind::Full => None,
        }
    }
}

/// Angles `position / factor / base^(2i / head_dim)`. The frequency and the angle are rounded to f32 as the reference does.
pub(super) fn table(base: f64, factor: f64, head_dim: usize, len: usize, device: &Device) -> Table {
    let half = head_dim / 2;
    let frequencies: Vec<f32> =
        (0..half).map(|i| (1.0 / (base.powf(2.0 * i as f64 / head_dim as f64) * factor)) as f32).collect();
    let angles = (0..len).flat_map(|position| frequencies.iter().map(move |frequency| position as f32 * frequency));
    let (cos, sin): (Vec<f32>, Vec<f32>) =
        angles.map(|angle| (f64::from(angle).cos() as f32, f64::from(angle).sin() as f32)).unzip();
    let tensor = |values| Tensor::from_data(TensorData::new(values, [1, len, half]), (device, DType::F32));
    Table { cos: tensor(cos), sin: tensor(sin) }
}

/// True where the key lies `window` or more positions before the query. Keys after the query are hidden by causality.
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
