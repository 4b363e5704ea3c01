//! Runs the forward pass of a text encoder: results are cached, and an accelerated implementation takes precedence over
//! burn's operations.

use burn::tensor::Tensor;

use super::token_lru::{KeptBatches, TextCounts};
use crate::error::TokenError;
use crate::nn::accelerated::Accelerated;
use crate::tokens::TokenBatch;

/// An accelerated forward pass with its own cache. Its results have rank `D`.
pub(crate) trait FastTextPass<const D: usize>: Send + Sync {
    /// The result of a batch whose ids are in the vocabulary. `None` if the implementation does not support the batch.
    fn run(&self, tokens: &TokenBatch) -> Option<Tensor<D>>;

    /// How often the cache saved work on a text.
    fn text_counts(&self) -> TextCounts;

    /// Clears the cache.
    fn forget_texts(&self);
}

/// The accelerated pass of an encoder if there is one, and the cache of the other pass.
#[derive(Debug)]
pub(crate) struct TextPasses<const D: usize> {
    kept: KeptBatches<Tensor<D>>,
    /// It holds addresses of the encoder's weights.
    fast: Accelerated<dyn FastTextPass<D>>,
}

impl<const D: usize> TextPasses<D> {
    /// Without a built pass. At most `kept_bytes` of results are cached.
    pub(crate) fn new(kept_bytes: usize) -> Self {
        Self { kept: KeptBatches::new(kept_bytes), fast: Accelerated::new() }
    }

    /// Replaces the accelerated pass.
    #[cfg(any(feature = "cuda", test))]
    pub(crate) fn with_fast(self, fast: Box<dyn FastTextPass<D>>) -> Self {
        Self { fast: Accelerated::from(fast), ..self }
    }

    /// Without an accelerated pass.
    pub(crate) fn plain(self) -> Self {
        Self { fast: Accelerated::none(), ..self }
    }

    /// Whether there is an accelerated pass. The first call of this and [`run`](Self::run) builds it.
    pub(crate) fn is_fast(&self, build: impl FnOnce() -> Option<Box<dyn FastTextPass<D>>>) -> bool {
        self.fast.get_or_build(build).is_some()
    }

    /// The result of a batch: of the accelerated pass where it supports the batch, else of `compute`, which is cached.
    ///
    /// # Errors
    /// The error of `compute`.
    pub(crate) fn run(
        &self,
        tokens: &TokenBatch,
        build: impl FnOnce() -> Option<Box<dyn FastTextPass<D>>>,
        compute: impl FnOnce() -> Result<Tensor<D>, TokenError>,
    ) -> Result<Tensor<D>, TokenError> {
        if let Some(result) = self.fast.get_or_build(build).and_then(|fast| fast.run(tokens)) {
            return Ok(result);
        }
        let bytes = |result: &Tensor<D>| result.shape().num_elements() * result.dtype().size();
        self.kept.get_or(tokens, bytes, compute)
    }

    /// Drops what depends on weights that were replaced: cached results, and the accelerated pass.
    pub(crate) fn weights_changed(&mut self) {
        self.forget_texts();
        self.fast.rebuild();
    }

    /// How often a cache saved work on a text: the accelerated pass's, if it is built.
    pub(crate) fn text_counts(&self) -> TextCounts {
        self.fast.built().map_or_else(|| self.kept.counts(), FastTextPass::text_counts)
    }

    /// Clears the caches, so that the next text is computed completely.
    pub(crate) fn forget_texts(&self) {
        self.kept.clear();
        if let Some(fast) = self.fast.built() {
            fast.forget_texts();
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    /// Gives zeros for texts of one token.
    struct Short;

    impl FastTextPass<1> for Short {
        fn run(&self, tokens: &TokenBatch) -> Option<Tensor<1>> {
            tokens.lengths().iter().all(|&length| length == 1).then(|| value(0.0))
        }

        fn text_counts(&self) -> TextCounts {
            TextCounts { hits: 7, ..TextCounts::default() }
        }

        fn forget_texts(&self) {}
    }

    fn value(value: f32) -> Tensor<1> {
        Tensor::from_floats([value], &Device::flex())
    }

    fn run(passes: &TextPasses<1>, ids: &[u32], computed: f32) -> f32 {
        let tokens = TokenBatch::padded(&[ids.to_vec()], 0, 1).expect("a batch");
        let result = passes.run(&tokens, || Some(Box::new(Short)), || Ok(value(computed)));
        result.expect("computed").into_scalar()
    }

    #[test]
    fn the_accelerated_pass_goes_first_and_other_batches_are_computed_once() {
        let passes = TextPasses::new(64);
        assert_eq!(run(&passes, &[5], 1.0), 0.0);
        assert_eq!([run(&passes, &[5, 6], 1.0), run(&passes, &[5, 6], 2.0)], [1.0, 1.0]);
        passes.forget_texts();
        assert_eq!(run(&passes, &[5, 6], 3.0), 3.0);
        assert!(passes.is_fast(|| None), "it is built already");
        assert_eq!(passes.text_counts().hits, 7);
    }

    #[test]
    fn a_plain_encoder_never_builds_one() {
        let passes = TextPasses::new(64).plain();
        assert!(!passes.is_fast(|| Some(Box::new(Short))));
        assert_eq!([run(&passes, &[5], 1.0), run(&passes, &[5], 2.0)], [1.0, 1.0]);
        assert_eq!((passes.text_counts().hits, passes.text_counts().misses), (1, 1));
        assert!(passes.with_fast(Box::new(Short)).is_fast(|| None));
    }
}
