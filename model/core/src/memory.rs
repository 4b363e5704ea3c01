//! Device memory: what a model holds, and what a request needs.

use std::sync::Arc;

use crate::GenerationSpec;

/// Reads how much memory a model holds. It may be called from any thread, also while the model computes: it returns at
/// once and waits for no lock that the model's thread holds while it computes.
pub type MemoryProbe = Arc<dyn Fn() -> Vec<MemoryPool> + Send + Sync>;

/// Device memory that is held for one purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryPool {
    /// `weights and tensors`, `scratch` or `library workspace`.
    pub name: &'static str,
    /// Bytes in use.
    pub used_bytes: u64,
    /// Bytes held, in use or not.
    pub held_bytes: u64,
}

/// An estimate of the device memory that a request needs: good enough to refuse what cannot fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryNeed {
    /// Bytes that every request needs, the weights included.
    pub fixed_bytes: u64,
    /// Bytes for each pixel of the images that are computed at once.
    pub pixel_bytes: u64,
    /// The most images that are computed at once; 0: all of them.
    pub batch_max: u32,
}

impl MemoryNeed {
    /// Bytes that a request needs.
    pub fn needed(&self, spec: &GenerationSpec) -> u64 {
        let largest = spec.passes().map(|pass| pass.pixels()).max().unwrap_or(0);
        let pixels = largest * u64::from(self.batch(spec.images));
        let controls = spec.controls.iter().map(|control| control.device_bytes).fold(0, u64::saturating_add);
        let fixed = self.fixed_bytes.saturating_add(self.adapter_bytes(spec)).saturating_add(controls);
        fixed.saturating_add(pixels.saturating_mul(self.pixel_bytes))
    }

    /// Upper bound of the bytes that the adapters of a request take. Adapters that change the same weights share one changed
    /// copy, so together they need at most a copy of all weights, or what the largest of them needs.
    fn adapter_bytes(&self, spec: &GenerationSpec) -> u64 {
        let each = || spec.adapters.iter().map(|adapter| adapter.device_bytes);
        let all = each().fold(0, u64::saturating_add);
        each().max().unwrap_or(0).max(all.min(self.fixed_bytes))
    }

    /// The next smaller request, which needs at most about half of the memory above [`fixed_bytes`](Self::fixed_bytes): fewer
    /// images if a batch has several, otherwise smaller ones with edges that are multiples of `multiple_px`. `None` if there
    /// is no smaller request.
    pub fn smaller(&self, spec: &GenerationSpec, multiple_px: u32) -> Option<SmallerRequest> {
        let GenerationSpec { images, width_px, height_px, .. } = *spec;
        if images > 1 && self.batch_max != 1 {
            return Some(SmallerRequest { images: self.batch(images) / 2, width_px, height_px });
        }
        // 0.7 of each edge is about half of the pixels.
        let shorter = |edge_px: u32| (edge_px / 10 * 7 / multiple_px.max(1) * multiple_px.max(1)).max(multiple_px);
        let smaller = SmallerRequest { images, width_px: shorter(width_px), height_px: shorter(height_px) };
        (smaller.width_px < width_px || smaller.height_px < height_px).then_some(smaller)
    }

    /// Batch size of a request.
    fn batch(&self, images: u32) -> u32 {
        if self.batch_max == 0 { images } else { images.min(self.batch_max) }
    }
}

/// Number and size of the images of a request that is smaller than one that did not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SmallerRequest {
    /// Number of images.
    pub images: u32,
    /// Width in pixels.
    pub width_px: u32,
    /// Height in pixels.
    pub height_px: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AdapterChoice, Guidance, NoiseSchedule, Quality, Sampling, Solver};

    #[test]
    fn adapters_take_memory_but_never_more_than_all_weights_or_the_largest_of_them() {
        let need = MemoryNeed { fixed_bytes: 100, pixel_bytes: 1, batch_max: 0 };
        let (solver, schedule) = (Solver::Euler, NoiseSchedule::Native);
        let sampling = Sampling {
            solver,
            schedule,
            steps: 1,
            guidance: Guidance::new(2.0),
            shift: 1.0,
            quality: Quality::Exact,
            step_cache: None,
        };
        let with = |bytes: &[u64]| {
            let adapter = |device_bytes: &u64| AdapterChoice {
                name: String::new(),
                path: "x".into(),
                sha256: String::new(),
                scale: 1.0,
                text_scale: 1.0,
                device_bytes: *device_bytes,
            };
            let adapters = bytes.iter().map(adapter).collect();
            need.needed(&GenerationSpec { adapters, ..GenerationSpec::new("", 2, 3, sampling) })
        };
        assert_eq!([with(&[]), with(&[10]), with(&[10, 20])], [106, 116, 136]);
        assert_eq!([with(&[80, 80]), with(&[150, 80])], [206, 256]);
    }
}
