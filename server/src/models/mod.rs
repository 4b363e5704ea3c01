//! The models that this server serves: what they are, where their weights are, and which leave the device for others.
//!
//! [`Catalog`] has what does not change: names, tokenizers and limits. [`ModelTable`] has what does, for each device, as plain
//! data that the [scheduler](crate::scheduler) keeps under its lock and the device's engine thread acts on; [`ResidentSet`] decides in it which
//! models are evicted.
//!
//! A budget counts weights only. What a job needs besides is checked when the job is created.

mod budget;
mod catalog;
mod error;
mod name;
mod named;
mod resident_set;
mod similar;
mod status;
mod table;

pub(crate) use budget::MemoryBudget;
pub(crate) use catalog::{Catalog, ServedModel};
pub(crate) use error::StartError;
#[cfg(feature = "burn")]
pub(crate) use name::is_model_name;
pub(crate) use name::{MODEL_NAME_BYTES_MAX, has_name_letters};
pub(crate) use named::NamedSource;
pub(crate) use resident_set::ResidentSet;
pub(crate) use similar::{nearest, suggestion};
pub(crate) use status::{ModelState, ModelStatus, merged};
pub(crate) use table::{ModelFacts, ModelTable};

/// A model of this server, by its place in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ModelId(usize);

impl ModelId {
    /// The model of requests that name none: the first of the configuration.
    pub(crate) const DEFAULT: Self = Self(0);

    /// The place in the configuration, from 0.
    pub(crate) fn index(self) -> usize {
        self.0
    }

    /// The ids of a server's models, `count` of them.
    pub(crate) fn all(count: usize) -> impl Iterator<Item = Self> {
        (0..count).map(Self)
    }
}
