//! Layers and arithmetic that several networks share.

pub(crate) mod accelerated;
pub(crate) mod block;
pub(crate) mod ops;
pub(crate) mod rope;
