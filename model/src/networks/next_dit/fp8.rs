//! The network with fp8 products in the linear layers of the noise refiner and of the joint stream, which do more than
//! nine tenths of an evaluation's arithmetic. The context refiner runs once for a picture and stays in bf16.

use std::sync::Arc;

use super::NextDit;
use crate::cuda::fp8_linear::{self, Fp8Linear};
use crate::cuda::{self, CudaError, Gpu};
use crate::nn::accelerated::Accelerated;
use crate::nn::block::{Block, Projection};

/// Tokens for which products are checked: those of a small picture.
const PROBED_TOKENS: usize = 1024;

impl NextDit {
    /// The same network with products of e4m3 values on the fast path, with a scale for each token and each output. The
    /// bf16 weights are freed layer by layer. Batches that the fast path does not support use the dequantised weights
    /// in bf16.
    ///
    /// # Errors
    ///
    /// The network is not on a GPU with the fast path, the device or cuBLASLt has no fp8 products, or they do not
    /// support a size. The network is unchanged then, unless the device fails.
    pub fn into_fp8(self) -> Result<Self, CudaError> {
        let gpu = match cuda::open(&self.patches.weight.val().device()) {
            Some(gpu) => gpu?,
            None => return Err(CudaError::NoFp8 { found: "the network is not on a GPU".to_owned() }),
        };
        // Pinned addresses would belong to the weights that are freed.
        let mut network = Self { fast: Accelerated::new(), ..self };
        network.check_fp8(&gpu)?;
        for block in network.noise_refiner.iter_mut().chain(&mut network.layers) {
            quantise(&gpu, block)?;
        }
        Ok(network)
    }

    /// Whether its products are in fp8.
    pub fn is_fp8(&self) -> bool {
        self.fp8_layers().next().is_some()
    }

    /// How many bytes smaller the network is in fp8 than in bf16, before [`into_fp8`](Self::into_fp8) and after it.
    pub fn fp8_bytes_saved(&self) -> usize {
        let layers = self.noise_refiner.iter().chain(&self.layers).flat_map(Block::projections);
        let sizes = layers.map(|layer| match layer {
            Projection::Loaded(layer) => layer.weight.dims(),
            Projection::Quantised(layer) => Fp8Linear::downcast(layer.as_ref()).map_or([0, 0], Fp8Linear::dims),
        });
        sizes.map(fp8_linear::bytes_saved).sum()
    }

    /// The fp8 layers, block by block: query, key and value; the attention's output; gate and up; down.
    fn fp8_layers(&self) -> impl Iterator<Item = &Fp8Linear> {
        self.noise_refiner.iter().chain(&self.layers).flat_map(Block::projections).filter_map(|layer| match layer {
            Projection::Quantised(layer) => Fp8Linear::downcast(layer.as_ref()).ok(),
            Projection::Loaded(_) => None,
        })
    }

    fn check_fp8(&self, gpu: &Gpu) -> Result<(), CudaError> {
        let mut sizes = Vec::new();
        for layer in self.noise_refiner.iter().chain(&self.layers).flat_map(Block::projections) {
            let Projection::Loaded(layer) = layer else { continue };
            fp8_linear::check(layer)?;
            let [d_input, d_output] = layer.weight.dims();
            let size = [PROBED_TOKENS, d_input, d_output];
            if !sizes.contains(&size) {
                sizes.push(size);
            }
        }
        gpu.check_fp8(&sizes)
    }
}

/// Replaces each layer of a block that is not in fp8 yet.
fn quantise(gpu: &Arc<Gpu>, block: &mut Block) -> Result<(), CudaError> {
    for layer in block.projections_mut() {
        if let Projection::Loaded(loaded) = layer {
            let quantised = Fp8Linear::of(gpu, loaded)?;
            *layer = Projection::Quantised(Box::new(quantised));
        }
    }
    Ok(())
}
