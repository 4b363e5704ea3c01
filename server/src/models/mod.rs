//! The models of this server: their properties, where their weights are, and which are evicted for others.
//!
//! [`Catalog`] has the constant properties: names, tokenizers and limits. [`ModelTable`] has the state of the models on one device.
//! It is plain data: the [scheduler](crate::scheduler) keeps it under its lock, and the device's engine thread acts on it. In it,
//! [`ResidentSet`] decides which models are evicted.
//!
//! A budget counts weights only. The other memory of a job is checked when the job is created.

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
