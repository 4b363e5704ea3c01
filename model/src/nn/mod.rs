//! Layers and arithmetic that several networks share.

pub mod ops;
