//! Layers and arithmetic that several networks share.

pub(crate) mod accelerated;
pub mod ops;
