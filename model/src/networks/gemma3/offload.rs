//! The tower's large weights in host memory: those of a layer are copied to the device when the pass reaches it.
//!
//! A new text costs the copy of all layers, 6.2 GB at full size, about an eighth of a second on a PCIe 5.0 bus. The
//! device holds one layer instead of all layers and the embeddings, of which only the rows of the text are read.

use std::sync::Arc;

use burn::nn::Linear;
use burn::tensor::Tensor;

use super::pin::Pin;
use crate::cuda::BF16;
use crate::cuda::block::BlockWeights;
use crate::cuda::bridge::Pins;
use crate::cuda::host_memory::{self, HostMemory};
use crate::cuda::product::{Layer, Matrix};
use crate::cuda::session::{Layout, Place, Session};
use crate::cuda::{CudaError, Gpu};

/// Collects weights of the tower in host memory; norms stay on the device.
pub(super) struct Offload {
    /// Addresses of the norms.
    pins: Pins,
    host: HostMemory,
    /// The norms, kept as long as their addresses are used.
    norms: Vec<Tensor<1>>,
}

/// Owns the memory of offloaded weights.
#[derive(Debug)]
pub(super) struct Offloaded {
    _host: HostMemory,
    _norms: Vec<Tensor<1>>,
}

impl Offload {
    pub(super) fn new(gpu: &Arc<Gpu>) -> Self {
        Self { pins: Pins::new(gpu), host: HostMemory::default(), norms: Vec::new() }
    }

    /// Moves a table of embeddings. The device reads single rows of it over the bus.
    pub(super) fn table(&mut self, table: &Tensor<2>) -> Result<Matrix, CudaError> {
        let pins = Pins::new(self.pins.gpu());
        let [rows, _] = table.dims();
        self.matrix(pins.table(table)?, rows)
    }

    /// The addresses of the norms, and the owner of the memory.
    pub(super) fn finish(self) -> (Pins, Offloaded) {
        tracing::info!(bytes = self.host.bytes(), "weights of Gemma 3 are kept in host memory");
        (self.pins, Offloaded { _host: self.host, _norms: self.norms })
    }

    fn matrix(&mut self, matrix: Matrix, rows: usize) -> Result<Matrix, CudaError> {
        let bytes = rows * matrix.row_stride * BF16 as usize;
        let host = &mut self.host;
        let at = self.pins.gpu().run(|session| host.keep(session, matrix.at, bytes))?;
        Ok(Matrix { at, ..matrix })
    }
}

impl Pin for Offload {
    /// Moves the weight to host memory.
    fn linear(&mut self, layer: &Linear) -> Result<Layer, CudaError> {
        // Pinned until it is copied.
        let pins = Pins::new(self.pins.gpu());
        let pinned = pins.linear(layer)?;
        Ok(Layer { weight: self.matrix(pinned.weight, pinned.d_output)?, ..pinned })
    }

    fn norm(&mut self, norm: &Tensor<1>) -> Result<u64, CudaError> {
        self.norms.push(norm.clone());
        self.pins.vector(norm)
    }
}

/// Buffers on the device for the large weights of one layer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Staging([Place; 4]);

impl Staging {
    /// For layers of the sizes of `block`.
    pub(super) fn new(layout: &mut Layout, block: &BlockWeights) -> Self {
        Self(large(block).map(|layer| layout.bytes(layer_bytes(layer))))
    }

    /// Queues the copy of a layer's weights to the buffers; returns the layer with their addresses.
    pub(super) fn fill(
        &self,
        session: &mut Session<'_>,
        base: u64,
        block: &BlockWeights,
    ) -> Result<BlockWeights, CudaError> {
        let mut staged = [block.qkv, block.out, block.gate_up, block.down];
        for (layer, place) in staged.iter_mut().zip(self.0) {
            let to = place.in_scratch(base);
            host_memory::copy(session, layer.weight.at, to, layer_bytes(layer))?;
            layer.weight.at = to;
        }
        let [qkv, out, gate_up, down] = staged;
        Ok(BlockWeights { qkv, out, gate_up, down, ..block.clone() })
    }
}

fn large(block: &BlockWeights) -> [&Layer; 4] {
    [&block.qkv, &block.out, &block.gate_up, &block.down]
}

fn layer_bytes(layer: &Layer) -> usize {
    layer.d_output * layer.weight.row_stride * BF16 as usize
}
