//! Which ended jobs are kept: the bounds and an index of ended jobs ([`index`]), and the gate that makes a finishing job
//! wait while the bounds are exceeded ([`gate`]).

pub(crate) mod gate;
pub(crate) mod index;

pub(crate) use gate::RetentionGate;
pub use index::Retention;
