//! Which ended jobs are kept: the bounds and an index of ended jobs ([`index`]), and the gate that makes a finishing job
//! wait while the bounds are exceeded ([`gate`]).

pub mod gate;
pub mod index;

pub use gate::RetentionGate;
pub use index::Retention;
