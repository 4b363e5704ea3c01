//! Where the device's time in a stage went, operation by operation, and what the device can do at most.

use crate::Stage;

/// The work of an operation, for comparison with what the device can do.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cost {
    /// Floating-point operations of products and attention; a multiplication with its addition counts as two. 0 for an
    /// operation that is bound by memory.
    pub flops: f64,
    /// The least bytes that must be read and written. 0 for an operation that is bound by arithmetic.
    pub bytes: f64,
}

impl Cost {
    /// 2 m k n operations of the product of `[m, k]` and `[k, n]`; bytes are not counted.
    pub fn product(m: usize, k: usize, n: usize) -> Self {
        Self { flops: 2.0 * m as f64 * k as f64 * n as f64, bytes: 0.0 }
    }

    /// No operations, and the bytes of `elements` bf16 values read or written.
    pub fn moved(elements: usize) -> Self {
        Self::moved_bytes(2 * elements)
    }

    /// No operations, and `bytes` bytes read or written.
    pub fn moved_bytes(bytes: usize) -> Self {
        Self { flops: 0.0, bytes: bytes as f64 }
    }
}

/// Total of all operations with the same name in one layer of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct ProfileSpan {
    /// The network, as the model names it.
    pub network: &'static str,
    /// The layer or block, from 0; `None` outside of them.
    pub layer: Option<u32>,
    /// The operation, such as `attention` or `product qkv`.
    pub name: &'static str,
    /// How often it ran.
    pub count: u32,
    /// Time on the device in milliseconds.
    pub ms: f64,
    /// Its work in all.
    pub cost: Cost,
}

/// Merges spans that `is_same` groups, in the order of first appearance.
pub fn sum_spans(spans: &[ProfileSpan], is_same: impl Fn(&ProfileSpan, &ProfileSpan) -> bool) -> Vec<ProfileSpan> {
    let mut sums: Vec<ProfileSpan> = Vec::new();
    for span in spans {
        match sums.iter_mut().find(|sum| is_same(sum, span)) {
            Some(sum) => {
                sum.count += span.count;
                sum.ms += span.ms;
                sum.cost.flops += span.cost.flops;
                sum.cost.bytes += span.cost.bytes;
            }
            None => sums.push(span.clone()),
        }
    }
    sums
}

/// Measured peak rates of a device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Peaks {
    /// Floating-point operations a second, in a large square product of bf16 values. Products in fp8 can do more.
    pub flops_per_second: f64,
    /// Bytes read and written a second, in a large copy.
    pub bytes_per_second: f64,
}

/// Where the device's time in one stage went.
#[derive(Debug, Clone, PartialEq)]
pub struct StageProfile {
    /// The stage that was measured.
    pub stage: Stage,
    /// The operations, summed up by network, layer and name, in the order of first appearance. Empty where the device
    /// cannot measure them: burn's own operations are not seen.
    pub spans: Vec<ProfileSpan>,
    /// The time of the stage by the host's clock, in milliseconds.
    pub wall_ms: f64,
    /// What the device can do, if it was measured.
    pub peaks: Option<Peaks>,
}

impl StageProfile {
    /// The device's time in all spans, in milliseconds.
    pub fn device_ms(&self) -> f64 {
        self.spans.iter().map(|span| span.ms).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_summed_by_any_criterion() {
        let span = |layer, name, ms| ProfileSpan {
            network: "unet",
            layer: Some(layer),
            name,
            count: 1,
            ms,
            cost: Cost { flops: 10.0, bytes: 1.0 },
        };
        let spans = [span(0, "attention", 2.0), span(0, "product", 1.0), span(1, "attention", 3.0)];
        let names = sum_spans(&spans, |a, b| a.name == b.name);
        assert_eq!(names.len(), 2);
        assert_eq!((names[0].name, names[0].count, names[0].ms, names[0].cost.flops), ("attention", 2, 5.0, 20.0));
        assert_eq!(sum_spans(&spans, |a, b| a.layer == b.layer).len(), 2);
        let profile = StageProfile { stage: Stage::Denoise, spans: spans.to_vec(), wall_ms: 7.0, peaks: None };
        assert_eq!(profile.device_ms(), 6.0);
    }
}
