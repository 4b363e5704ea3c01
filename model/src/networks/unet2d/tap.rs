//! Gives access to intermediate values for comparisons.

use burn::tensor::Tensor;

/// An intermediate value.
#[derive(Debug, Clone)]
pub enum Tapped {
    /// Embeddings, `[B, width]`.
    Vectors(Tensor<2>),
    /// Tokens of a transformer, `[B, H W, channels]`.
    Tokens(Tensor<3>),
    /// Images, `[B, channels, H, W]`.
    Images(Tensor<4>),
}

/// Receives intermediate values under the names of diffusers' modules.
pub type Tap<'a> = dyn FnMut(&str, Tapped) + 'a;

/// Passes values on with a prefix before their names.
pub(super) struct Scope<'a, 'b> {
    tap: &'a mut Tap<'b>,
    prefix: String,
}

impl<'a, 'b> Scope<'a, 'b> {
    pub(super) fn new(tap: &'a mut Tap<'b>, prefix: impl Into<String>) -> Self {
        Self { tap, prefix: prefix.into() }
    }

    /// A scope within this one.
    pub(super) fn at(&mut self, name: &str) -> Scope<'_, 'b> {
        Scope { prefix: self.full(name), tap: &mut *self.tap }
    }

    /// The value of the module itself, `name` being empty, or of a part of it.
    pub(super) fn images(&mut self, name: &str, value: &Tensor<4>) {
        let name = self.full(name);
        (self.tap)(&name, Tapped::Images(value.clone()));
    }

    pub(super) fn tokens(&mut self, name: &str, value: &Tensor<3>) {
        let name = self.full(name);
        (self.tap)(&name, Tapped::Tokens(value.clone()));
    }

    fn full(&self, name: &str) -> String {
        if name.is_empty() { self.prefix.clone() } else { format!("{}.{name}", self.prefix) }
    }
}
