//! Evaluating a control network on the fast path where there is one.

use std::sync::OnceLock;

use burn::tensor::Tensor;

use super::conditioning::{Conditioned, Conditioning};
use super::control::{ControlNet, ControlPasses, Residuals};

/// A conditioning and an image with what all evaluations of a batch share; see [`Conditioned`].
#[derive(Debug)]
pub struct ControlConditioned {
    conditioned: Conditioned,
    /// `[1 or B, 3, 8H, 8W]`
    image: Tensor<4>,
    /// Computed with the first evaluation.
    hint: OnceLock<Option<Tensor<1>>>,
}

impl ControlNet {
    fn fast(&self) -> Option<&dyn ControlPasses> {
        self.fast.get_or_build(|| {
            #[cfg(feature = "cuda")]
            return super::fast::FastControlNet::of(self).map(|fast| -> Box<dyn ControlPasses> { Box::new(fast) });
            #[cfg(not(feature = "cuda"))]
            return None;
        })
    }

    /// Whether residuals are computed by vendor libraries and our kernels instead of burn's operations. The first call
    /// prepares that.
    pub fn is_fast(&self) -> bool {
        self.fast().is_some()
    }

    /// A conditioning and an image in 0..1, `[1 or B, 3, 8H, 8W]`, for evaluations at these times.
    pub fn condition(&self, conditioning: Conditioning, image: Tensor<4>, times: &[f32]) -> ControlConditioned {
        ControlConditioned { conditioned: Conditioned::new(conditioning, times), image, hint: OnceLock::new() }
    }

    /// The residuals for the U-Net at one time, on the fast path where there is one. `sample` and `time` are what the U-Net
    /// gets.
    pub fn residuals(&self, sample: &Tensor<4>, time: f32, conditioned: &ControlConditioned) -> Residuals {
        let ControlConditioned { conditioned, image, hint } = conditioned;
        let rows = sample.dims()[0];
        let fast = self.fast().and_then(|fast| {
            let hint = hint.get_or_init(|| fast.hint(image, rows)).as_ref()?;
            let (step, prepared) = conditioned.at(time, |conditioning, times| fast.prepare(conditioning, times))?;
            fast.evaluate(sample, step, &prepared, hint)
        });
        fast.unwrap_or_else(|| {
            let image = image.clone().repeat_dim(0, rows / image.dims()[0]);
            self.forward(sample.clone(), &[time], conditioned.conditioning(), image, &mut |_, _| ())
        })
    }
}
