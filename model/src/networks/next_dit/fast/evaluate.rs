//! One evaluation: conditioning vectors, noise refiner, joint stream and final layer.

use super::operands::{row_address, tables};
use super::reuse::Joint;
use super::weights::Weights;
use crate::cuda::block::Buffers;
use crate::cuda::kernels::{Modulation, Next};
use crate::cuda::operand::Operand;
use crate::cuda::product::{Layer, Matrix, Product};
use crate::cuda::profile::Cost;
use crate::cuda::row_attention;
use crate::cuda::rows::Rows;
use crate::cuda::session::{Layout, Place, Session};
use crate::cuda::stack::{self, BlockModulation, Tokens};
use crate::cuda::{BF16, CudaError};
use crate::networks::next_dit::config::TIME_FEATURES;
use crate::networks::next_dit::final_layer;
use crate::networks::next_dit::reuse::ReuseRow;
use crate::nn::sinusoid;
use crate::sampler::reuse::Evaluation;

impl Weights {
    /// One evaluation: patches and refined captions to the velocity, `[rows, image, patch_dim]` at `out`. `image` is the number of
    /// image tokens of a row. `whole` are the rows of the batch that `rows` are a part of, whose bits they get. `operands` are
    /// patches, captions, cosines and sines; with a `reusing` some blocks may be skipped.
    ///
    /// # Errors
    ///
    /// A library refuses.
    #[expect(clippy::too_many_arguments, reason = "the inputs of one evaluation")]
    pub(super) fn evaluate(
        &self,
        session: &mut Session<'_>,
        (rows, whole): (&Rows, Option<&Rows>),
        image: usize,
        times: &[f32],
        operands: &[Operand],
        pooled: Option<&Operand>,
        reusing: Option<(&[ReuseRow], Evaluation)>,
        out: u64,
    ) -> Result<(), CudaError> {
        let whole = whole.unwrap_or(rows);
        session.products.plan_rows_as(planned_as(rows, whole, image));
        let done = self.evaluate_rows(session, (rows, whole), image, times, operands, pooled, reusing, out);
        session.products.plan_rows_as(Vec::new());
        done
    }

    #[expect(clippy::too_many_arguments, reason = "the inputs of one evaluation")]
    fn evaluate_rows(
        &self,
        session: &mut Session<'_>,
        (rows, whole): (&Rows, &Rows),
        image: usize,
        times: &[f32],
        operands: &[Operand],
        pooled: Option<&Operand>,
        reusing: Option<(&[ReuseRow], Evaluation)>,
        out: u64,
    ) -> Result<(), CudaError> {
        session.enter("next_dit");
        let [patches, caption, cosine, sine, ..] = operands else {
            return Err(CudaError::operands(operands.len(), "4 or 5"));
        };
        let (batch, dim) = (rows.count(), self.geometry.dim);
        let row_bytes = dim * BF16 as usize;
        let Some(image_rows) = Rows::of(std::iter::repeat_n(image, batch)) else { return Ok(()) };
        let mut layout = Layout::default();
        let vectors = Vectors::new(&mut layout, self, batch);
        let images = layout.bf16(batch * image * dim);
        let x = layout.bf16(rows.tokens() * dim);
        let has_fp8 = self.layers.iter().chain(&self.noise_refiner).any(|block| block.qkv.is_fp8());
        let buffers = if has_fp8 { Buffers::with_fp8 } else { Buffers::new };
        let buffers = buffers(&mut layout, &self.geometry, rows.tokens());
        let base = session.scratch(&layout)?;
        let (images, x) = (images.in_scratch(base), x.in_scratch(base));
        let stream = session.stream;

        let conditioning = self.condition_vectors(session, base, &vectors, times, pooled)?;
        let mut at = vectors.modulations.in_scratch(base);
        let mut modulate = |session: &mut Session<'_>, layer: &Layer| {
            let modulation = BlockModulation(at);
            at += (batch * layer.d_output) as u64 * BF16;
            let product = Product::linear(batch, conditioning, layer, modulation.0);
            session.products.run(stream, &product).map(|()| modulation)
        };
        let noise_modulations =
            self.noise_modulations.iter().map(|layer| modulate(session, layer)).collect::<Result<Vec<_>, _>>()?;
        let modulations =
            self.modulations.iter().map(|layer| modulate(session, layer)).collect::<Result<Vec<_>, _>>()?;
        let BlockModulation(final_scale) = modulate(session, &self.final_modulation)?;
        session.mark("times and modulations", Cost::default())?;

        for row in 0..batch {
            let product = Product {
                x: Matrix { at: row_address(patches, row), row_stride: patches.strides[1] },
                ..Product::linear(image, 0, &self.patches, images + (row * image * row_bytes) as u64)
            };
            session.products.run(stream, &product)?;
        }
        session.mark("embed patches", Cost::product(batch * image, self.patch_dim, dim))?;
        let tables = tables(cosine, sine);
        let refined = self.context_refiner.len();
        let over = Tokens { x: images, rows: &image_rows, tables, first_layer: refined };
        let none = (Next::None, 0.0);
        stack::run(session, base, &self.geometry, &self.noise_refiner, &noise_modulations, over, &buffers, none)?;

        for row in 0..batch {
            let to = x + (rows.start(row) * row_bytes) as u64;
            session.copy(images + (row * image * row_bytes) as u64, to, image * row_bytes)?;
            session.copy_rows(
                (row_address(caption, row), caption.strides[1] * BF16 as usize),
                (to + (image * row_bytes) as u64, row_bytes),
                row_bytes,
                rows.length(row) - image,
            )?;
        }
        row_attention::clear_filling(session, x, dim, rows)?;
        buffers.clear_filling(session, base, &self.geometry, rows)?;
        session.mark("join captions", Cost::moved(2 * rows.tokens() * dim))?;
        let scale = Modulation { values: final_scale, stride: dim as i64 };
        let last = (Next::Layer { scale }, final_layer::NORM_EPS as f32);
        let over = Tokens { x, rows, tables, first_layer: refined + self.noise_refiner.len() };
        match reusing {
            None => stack::run(session, base, &self.geometry, &self.layers, &modulations, over, &buffers, last)?,
            Some(reusing) => {
                let joint = Joint {
                    geometry: &self.geometry,
                    blocks: &self.layers,
                    modulations: &modulations,
                    tokens: over,
                    buffers: &buffers,
                    images,
                    image,
                    whole,
                };
                joint.run(session, base, last, reusing, times)?;
            }
        }

        for row in 0..batch {
            let from = buffers.normed(base) + (rows.start(row) * row_bytes) as u64;
            let to = out + (row * image * self.patch_dim) as u64 * BF16;
            session.products.run(stream, &Product::linear(image, from, &self.final_linear, to))?;
        }
        session.mark("final layer", Cost::product(batch * image, dim, self.patch_dim))?;
        Ok(())
    }

    /// The address of `[batch, adaln_dim]`, after its SiLU.
    fn condition_vectors(
        &self,
        session: &mut Session<'_>,
        base: u64,
        vectors: &Vectors,
        times: &[f32],
        pooled: Option<&Operand>,
    ) -> Result<u64, CudaError> {
        let batch = times.len();
        let stream = session.stream;
        let [a, b] = [vectors.a.in_scratch(base), vectors.b.in_scratch(base)];
        session.kernels.time_sinusoid(stream, times, a, TIME_FEATURES / 2, sinusoid::PERIOD_MAX)?;
        session.products.run(stream, &Product::linear(batch, a, &self.time[0], b))?;
        session.kernels.silu_each(stream, b, b, batch * self.adaln_dim)?;
        session.products.run(stream, &Product::linear(batch, b, &self.time[1], a))?;
        if let (Some(embedder), Some(pooled)) = (&self.pooled, pooled) {
            let text = (pooled.at, embedder.projection.d_output, pooled.strides[0] as i64);
            session.kernels.silu_join(stream, batch, (a, self.adaln_dim), text, b)?;
            session.products.run(stream, &Product::linear(batch, b, &embedder.joined, a))?;
        }
        session.kernels.silu_each(stream, a, a, batch * self.adaln_dim)?;
        Ok(a)
    }
}

/// The numbers of rows of the products of an evaluation, and those in the evaluation of the whole batch.
fn planned_as(rows: &Rows, whole: &Rows, image: usize) -> Vec<[usize; 2]> {
    let counts = |rows: &Rows| [rows.tokens(), image * rows.count(), rows.count()];
    let pairs = counts(rows).into_iter().zip(counts(whole)).map(|(own, whole)| [own, whole]);
    pairs.filter(|[own, whole]| own != whole).collect()
}

/// Buffers of vectors.
struct Vectors {
    a: Place,
    b: Place,
    modulations: Place,
}

impl Vectors {
    fn new(layout: &mut Layout, weights: &Weights, batch: usize) -> Self {
        let text = weights.pooled.as_ref().map_or(0, |pooled| pooled.projection.d_output);
        let width = TIME_FEATURES.max(weights.adaln_dim + text);
        let layers = weights.noise_modulations.iter().chain(&weights.modulations).chain([&weights.final_modulation]);
        let modulations: usize = layers.map(|layer| layer.d_output).sum();
        Self {
            a: layout.bf16(batch * width),
            b: layout.bf16(batch * width),
            modulations: layout.bf16(batch * modulations),
        }
    }
}
