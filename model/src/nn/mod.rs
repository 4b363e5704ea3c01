//! Layers and arithmetic that several networks share.

pub(crate) mod accelerated;
pub(crate) mod adaptable;
pub(crate) mod block;
pub(crate) mod conv;
pub(crate) mod layer_norm;
pub(crate) mod ops;
pub(crate) mod resnet;
pub(crate) mod rope;
pub(crate) mod sinusoid;
