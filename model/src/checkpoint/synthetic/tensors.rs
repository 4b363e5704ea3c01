//! Names, shapes and statistics of the tensors of a checkpoint.

use super::init::Init;

/// One tensor to be written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TensorSpec {
    /// Its name in the file.
    pub name: String,
    pub shape: Vec<usize>,
    /// How its elements are drawn.
    pub init: Init,
}

impl TensorSpec {
    /// The number of elements.
    pub(crate) fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Collects tensors under a prefix.
#[derive(Debug, Default)]
pub(crate) struct Specs {
    pub tensors: Vec<TensorSpec>,
}

impl Specs {
    pub(crate) fn add(&mut self, name: impl Into<String>, shape: &[usize], init: Init) {
        self.tensors.push(TensorSpec { name: name.into(), shape: shape.to_vec(), init });
    }

    /// `[outputs, inputs]` that keeps the spread of its inputs, times `gain`.
    pub(crate) fn matrix(&mut self, name: impl Into<String>, outputs: usize, inputs: usize, gain: f64) {
        self.add(name, &[outputs, inputs], Init::fan_in(inputs, gain));
    }

    pub(crate) fn vector(&mut self, name: impl Into<String>, len: usize, mean: f64, std: f64) {
        self.add(name, &[len], Init::around(mean, std));
    }
}
