//! The jobs of this server: accepted once, stored before they are acknowledged, watched from any event on, and resumed after
//! a restart.

mod artifacts;
mod caller;
mod cancel;
mod changes;
mod create;
#[cfg(feature = "fleet")]
mod describe;
mod estimate;
mod event_encoder;
mod hooks;
mod labels;
mod measurements;
mod memory;
mod migrate;
mod page;
mod policy;
mod prepare;
mod query;
mod record;
mod recover;
mod registry;
mod retention_loop;
mod scene;
mod search;
mod stored_events;
#[cfg(test)]
mod tests;
mod thumbnail_cache;
mod thumbnails;
mod uploads;
mod watch;

pub(crate) use artifacts::{CheckedPictures, check_picture};
pub(crate) use caller::Caller;
pub(crate) use create::Call;
#[cfg(feature = "fleet")]
pub(crate) use create::fingerprint;
#[cfg(feature = "fleet")]
pub(crate) use describe::Described;
pub(crate) use labels::LabelChange;
#[cfg(feature = "fleet")]
pub(crate) use page::PageDraft;
pub(crate) use page::{Listed, PageLimits};
#[cfg(feature = "fleet")]
pub(crate) use policy::JobPolicy;
pub(crate) use record::Record;
pub(crate) use registry::{Dependencies, Jobs};
pub(crate) use search::JobQuery;
pub(crate) use thumbnail_cache::Thumbnail;
#[cfg(feature = "fleet")]
pub(crate) use thumbnail_cache::Thumbnails;
#[cfg(feature = "fleet")]
pub(crate) use thumbnails::{check_edge, shrink};
pub(crate) use uploads::OwnFiles;
