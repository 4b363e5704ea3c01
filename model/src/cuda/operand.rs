//! Tensors by their addresses on the device.

use std::sync::{Arc, Mutex};

use super::error::CudaError;

/// A tensor by its address on the device.
#[derive(Debug, Clone)]
pub struct Operand {
    /// Address of the first element.
    pub at: u64,
    /// Elements on each axis.
    pub shape: Vec<usize>,
    /// Elements from one index to the next, on each axis. burn pads rows, so they need not follow from the shape.
    pub strides: Vec<usize>,
    /// Keeps the tensor at its address.
    pub(super) hold: Hold,
}

impl Operand {
    /// A tensor without gaps at `at`, which the caller keeps there.
    pub fn contiguous(at: u64, shape: &[usize]) -> Self {
        let mut strides = vec![1; shape.len()];
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = strides[axis] * shape[axis];
        }
        Self { at, shape: shape.to_vec(), strides, hold: Hold::new(()) }
    }

    /// Elements from one output to the next of a linear layer's weight `[d_input, d_output]`, stored by output as in
    /// checkpoints.
    ///
    /// # Errors
    ///
    /// The weight is stored in another order.
    pub fn output_stride(&self) -> Result<usize, CudaError> {
        match self.strides[..] {
            [1, stride] => Ok(stride),
            _ => Err(CudaError::Unsupported {
                what: "the distance of a weight's inputs",
                found: self.strides[0],
                wanted: "1, the order of checkpoints",
            }),
        }
    }
}

/// Keeps a tensor's memory from being moved or reused.
#[derive(Clone)]
pub(super) struct Hold(Arc<Mutex<dyn Send>>);

impl Hold {
    /// Holds what `resource` keeps alive.
    pub(super) fn new(resource: impl Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(resource)))
    }
}

impl std::fmt::Debug for Hold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hold").field("holders", &Arc::strong_count(&self.0)).finish()
    }
}
