//! The blocks of the joint stream with the step cache: the same as `reuse::forward` over a flat sequence.
//!
//! If the decision does not depend on values, the whole evaluation is queued without a synchronisation. Otherwise the host waits
//! once for the front blocks and reads some sums.

use crate::cuda::block::{BlockWeights, Buffers, Geometry};
use crate::cuda::kernels::{Next, RopeTables};
use crate::cuda::locked_memory::LockedMemory;
use crate::cuda::profile::Cost;
use crate::cuda::projection::Projection;
use crate::cuda::rows::Rows;
use crate::cuda::session::Session;
use crate::cuda::stack::{self, BlockModulation, Tokens};
use crate::cuda::{BF16, CudaError};
use crate::networks::next_dit::ROW_MULTIPLE;
use crate::networks::next_dit::reuse::{self, ReuseRow, Row, ratio};
use crate::networks::next_dit::row_memory::RowMemory;
use crate::sampler::reuse::{Evaluation, Plan, runs};

/// Bytes of a value of a rotary table.
const F32: u64 = 4;

/// A stack over the joint stream.
pub(super) struct Joint<'a> {
    pub(super) geometry: &'a Geometry,
    pub(super) blocks: &'a [BlockWeights<Projection>],
    pub(super) modulations: &'a [BlockModulation],
    pub(super) tokens: Tokens<'a>,
    pub(super) buffers: &'a Buffers,
    /// Address of the image tokens as they were before the stack, `[batch * image, dim]`.
    pub(super) images: u64,
    /// Image tokens of each row, the first ones.
    pub(super) image: usize,
    /// The rows of the batch that these are a part of.
    pub(super) whole: &'a Rows,
}

impl Joint<'_> {
    /// Runs the stack; `last` is computed from the result. The rows have memory.
    ///
    /// # Errors
    ///
    /// A library refuses.
    pub(super) fn run(
        &self,
        session: &mut Session<'_>,
        base: u64,
        last: (Next, f32),
        reusing: (&[ReuseRow], Evaluation),
        times: &[f32],
    ) -> Result<(), CudaError> {
        let (rows, evaluation) = reusing;
        let mut rows: Vec<_> = rows.iter().map(ReuseRow::lock).collect();
        let mut rows: Vec<&mut Row> = rows.iter_mut().map(|row| &mut **row).collect();
        let Some(settings) = rows.first().map(|row| *row.decisions.settings()) else { return Ok(()) };
        let [front_end, back_begin] = reuse::split(&settings, self.blocks.len());
        let none = || (Next::None, 0.0);
        self.stack(session, base, 0..front_end, 0..rows.len(), none())?;
        let computes = self.decide(session, &mut rows, evaluation)?;
        for (first, count) in runs(&computes) {
            for (index, row) in rows.iter_mut().enumerate().skip(first).take(count) {
                self.keep_front(session, index, memory(row)?)?;
            }
            self.stack(session, base, front_end..back_begin, first..first + count, none())?;
            for (index, row) in rows.iter_mut().enumerate().skip(first).take(count) {
                let last = memory(row)?.middle[0];
                session.kernels.subtract_each(session.stream, self.row(index), last, last, self.row_elements(index))?;
            }
            session.mark("step cache", Cost::default())?;
        }
        for (index, row) in rows.iter_mut().enumerate() {
            if !computes[index] {
                let [last, before] = memory(row)?.middle;
                let factors = row.decisions.factors(times[index]);
                let x = self.row(index);
                session.kernels.add_scaled(session.stream, x, [last, before], factors, self.row_elements(index))?;
            }
            row.decisions.note(evaluation, times[index], !computes[index]);
        }
        session.mark("step cache", Cost::default())?;
        self.stack(session, base, back_begin..self.blocks.len(), 0..rows.len(), last)
    }

    /// Some blocks over some rows.
    fn stack(
        &self,
        session: &mut Session<'_>,
        base: u64,
        blocks: std::ops::Range<usize>,
        rows: std::ops::Range<usize>,
        last: (Next, f32),
    ) -> Result<(), CudaError> {
        let lengths = rows.clone().map(|row| self.tokens.rows.length(row));
        let Some(some) = Rows::filled_up(lengths, ROW_MULTIPLE) else { return Ok(()) };
        // Which rows are computed together must not change their bits.
        if some.tokens() != self.whole.tokens() {
            session.products.plan_rows_as(vec![[some.tokens(), self.whole.tokens()]]);
        }
        self.buffers.clear_filling(session, base, self.geometry, &some)?;
        let offset = |at: u64, stride: i64, bytes: u64| at + rows.start as u64 * stride.unsigned_abs() * bytes;
        let tables = self.tokens.tables;
        let tables = RopeTables {
            cosine: offset(tables.cosine, tables.row_stride, F32),
            sine: offset(tables.sine, tables.row_stride, F32),
            ..tables
        };
        let scales = rows.start as u64 * 4 * self.geometry.dim as u64 * BF16;
        let modulations: Vec<BlockModulation> =
            self.modulations[blocks.clone()].iter().map(|BlockModulation(at)| BlockModulation(at + scales)).collect();
        let tokens = Tokens {
            x: self.row(rows.start),
            rows: &some,
            tables,
            first_layer: self.tokens.first_layer + blocks.start,
        };
        let blocks = &self.blocks[blocks];
        stack::run(session, base, self.geometry, blocks, &modulations, tokens, self.buffers, last)
    }

    /// Whether each row computes the middle blocks. Waits for the device if values decide.
    fn decide(
        &self,
        session: &mut Session<'_>,
        rows: &mut [&mut Row],
        evaluation: Evaluation,
    ) -> Result<Vec<bool>, CudaError> {
        let plans: Vec<Plan> = rows.iter().map(|row| row.decisions.plan(evaluation)).collect();
        let mut waits = false;
        for (index, row) in rows.iter_mut().enumerate() {
            if let Plan::IfBelow(_) = plans[index] {
                waits = true;
                let memory = memory(row)?;
                let sums = match &memory.sums {
                    Some(sums) => sums.address(),
                    None => {
                        let sums = LockedMemory::new(session, session.kernels.difference_change_bytes())?;
                        memory.sums.insert(sums).address()
                    }
                };
                let operands = [self.row(index), self.image(index), memory.front];
                session.kernels.difference_change(session.stream, operands, sums, self.image_elements())?;
            }
        }
        session.mark("step cache", Cost::default())?;
        if waits {
            session.wait("wait for the front blocks")?;
        }
        let computes = |(row, plan): (&mut &mut Row, Plan)| match plan {
            Plan::Compute => Ok(true),
            Plan::Reuse => Ok(false),
            Plan::IfBelow(threshold) => {
                let memory = memory(row)?;
                let sums = memory.sums.as_mut().map(LockedMemory::values_mut::<f32>).unwrap_or_default();
                let (change, before) = sums.as_chunks::<2>().0.iter().fold((0.0, 0.0), |(change, before), pair| {
                    (change + f64::from(pair[0]), before + f64::from(pair[1]))
                });
                Ok(ratio(change, before) >= threshold)
            }
        };
        rows.iter_mut().zip(plans).map(computes).collect()
    }

    /// Keeps what the front added to a row, and the row itself as it enters the middle.
    fn keep_front(&self, session: &Session<'_>, row: usize, memory: &mut RowMemory) -> Result<(), CudaError> {
        let (x, stream) = (self.row(row), session.stream);
        session.kernels.subtract_each(stream, x, self.image(row), memory.front, self.image_elements())?;
        memory.middle.swap(0, 1);
        session.copy(x, memory.middle[0], self.row_elements(row) * BF16 as usize)
    }

    /// The address of a row of the stream.
    fn row(&self, row: usize) -> u64 {
        self.tokens.x + (self.tokens.rows.start(row) * self.geometry.dim) as u64 * BF16
    }

    /// The address of the image tokens of a row before the stack.
    fn image(&self, row: usize) -> u64 {
        self.images + (row * self.image_elements()) as u64 * BF16
    }

    fn row_elements(&self, row: usize) -> usize {
        self.tokens.rows.span(row) * self.geometry.dim
    }

    fn image_elements(&self) -> usize {
        self.image * self.geometry.dim
    }
}

/// What the step cache keeps of a row. An error if it was not allocated.
fn memory(row: &mut Row) -> Result<&mut RowMemory, CudaError> {
    row.memory.as_mut().ok_or(CudaError::Driver {
        doing: "find what a row of the step cache keeps",
        reason: "it was not allocated".to_owned(),
    })
}
